//! The bytes of a segment file: header, batches, and what is left of them after a crash.

use crate::{hash, hash::Hash, tree::Frontier};

const SEGMENT_MAGIC: &[u8; 8] = b"LIMENLG2";
/// Its leaves have a salt where the others have a commitment, and their payloads are not sealed.
const FIRST_MAGIC: &[u8; 8] = b"LIMENLG1";
const BATCH_MAGIC: &[u8; 4] = b"BTCH";
const BATCH_HEADER: usize = 12;

/// What is appended.
#[derive(Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The writer's own ascending sequence number; 0 if this leaf comes from no store.
    pub tag: u64,
    /// What the tree holds of the payload: see [`hash::commitment`].
    pub commitment: Hash,
    /// What the writer keeps beside it, sealed: opaque here. Of a log of the first format: 0, the salt, and the payload in plain.
    pub payload: Vec<u8>,
}

impl Leaf {
    /// The leaf's hash in the tree.
    pub fn hash(&self) -> Hash {
        hash::leaf(self.commitment)
    }
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Leaf(tag {}, {} bytes)", self.tag, self.payload.len())
    }
}

/// A log up to some leaf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The tree.
    pub tree: Frontier,
    /// The highest tag of any leaf, 0 if none.
    pub last_tag: u64,
}

impl Head {
    /// The head after these leaves.
    pub fn extend(&mut self, leaves: &[Leaf]) {
        for leaf in leaves {
            self.tree.push(leaf.hash());
            self.last_tag = self.last_tag.max(leaf.tag);
        }
    }
}

/// The file name of the segment whose first leaf has this index.
pub fn name(first_leaf: u64) -> String {
    format!("{first_leaf:020}.log")
}

/// Index of the first leaf of the segment with this file name.
pub fn first_leaf(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

/// The header of a segment that begins at this head.
pub fn header(head: &Head) -> Vec<u8> {
    let mut bytes = SEGMENT_MAGIC.to_vec();
    bytes.extend(head.tree.size().to_le_bytes());
    bytes.extend(head.last_tag.to_le_bytes());
    bytes.extend((head.tree.roots().len() as u32).to_le_bytes());
    head.tree.roots().iter().for_each(|root| bytes.extend(root.0));
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// One group commit. `first` is the index of its first leaf.
pub fn batch(first: u64, leaves: &[Leaf]) -> Vec<u8> {
    let size: usize = leaves.iter().map(|leaf| 44 + leaf.payload.len()).sum();
    let mut bytes = Vec::with_capacity(BATCH_HEADER + 12 + size);
    bytes.extend(BATCH_MAGIC);
    bytes.extend(length(12 + size).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(first.to_le_bytes());
    bytes.extend(length(leaves.len()).to_le_bytes());
    for leaf in leaves {
        bytes.extend(leaf.tag.to_le_bytes());
        bytes.extend(leaf.commitment.0);
        bytes.extend(length(leaf.payload.len()).to_le_bytes());
        bytes.extend(&leaf.payload);
    }
    let checksum = batch_checksum(&bytes);
    bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a batch is bounded far below 4 GiB")
}

/// Over the length field and the body.
fn batch_checksum(batch: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&batch[4..8]), &batch[BATCH_HEADER..])
}

/// What is wrong with a segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The header is not one, or its checksum fails.
    #[error("its header is damaged")]
    Header,
    /// A whole batch follows a broken one.
    #[error("the batch at byte {0} is damaged")]
    Batch(u64),
    /// A batch that is whole does not continue the leaves before it.
    #[error("the batch at byte {0} does not continue the one before it")]
    Order(u64),
}

/// A segment as read: its content up to the last whole batch.
#[derive(Debug)]
pub struct Segment {
    /// The log before this segment.
    pub begins: Head,
    /// Its leaves.
    pub leaves: Vec<Leaf>,
    /// Bytes up to the end of the last whole batch.
    pub length: u64,
    /// Is it of the format that is written now?
    pub current: bool,
}

/// Reads a segment. What follows the last whole batch is left out: it was never acknowledged.
///
/// # Errors
/// When bytes that had been synced are not what was written.
pub fn parse(bytes: &[u8]) -> Result<Segment, Damage> {
    let (begins, mut at) = parse_header(bytes).ok_or(Damage::Header)?;
    let current = bytes.starts_with(SEGMENT_MAGIC);
    let mut leaves = Vec::new();
    while at < bytes.len() {
        let Some((body, end)) = whole_batch(bytes, at) else {
            let later = (at + 1..bytes.len()).any(|at| whole_batch(bytes, at).is_some());
            if later {
                return Err(Damage::Batch(at as u64));
            }
            break;
        };
        let (first, batch) = parse_batch(body, current).ok_or(Damage::Batch(at as u64))?;
        if first != begins.tree.size() + leaves.len() as u64 {
            return Err(Damage::Order(at as u64));
        }
        leaves.extend(batch);
        at = end;
    }
    Ok(Segment { begins, leaves, length: at as u64, current })
}

fn parse_header(bytes: &[u8]) -> Option<(Head, usize)> {
    let mut reader = Reader(bytes);
    reader.array::<8>().filter(|magic| magic == SEGMENT_MAGIC || magic == FIRST_MAGIC)?;
    let (size, last_tag) = (reader.u64()?, reader.u64()?);
    let roots = (0..reader.u32()?.min(65)).map(|_| reader.array().map(Hash)).collect::<Option<_>>()?;
    let length = bytes.len() - reader.0.len();
    let tree = Frontier::new(size, roots)?;
    (reader.u32()? == crc32c::crc32c(&bytes[..length])).then_some((Head { tree, last_tag }, length + 4))
}

/// The body of the batch at `at` and where it ends, if it is there whole.
fn whole_batch(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let mut reader = Reader(&bytes[at..]);
    reader.array::<4>().filter(|magic| magic == BATCH_MAGIC)?;
    let length = reader.u32()? as usize;
    let checksum = reader.u32()?;
    let end = (at + BATCH_HEADER).checked_add(length).filter(|&end| end <= bytes.len())?;
    (checksum == batch_checksum(&bytes[at..end])).then(|| (&bytes[at + BATCH_HEADER..end], end))
}

fn parse_batch(body: &[u8], current: bool) -> Option<(u64, Vec<Leaf>)> {
    let mut reader = Reader(body);
    let (first, count) = (reader.u64()?, reader.u32()?);
    let leaf = |reader: &mut Reader<'_>| {
        let (tag, hidden, length) = (reader.u64()?, reader.array()?, reader.u32()? as usize);
        let payload = reader.bytes(length)?;
        Some(if current {
            Leaf { tag, commitment: Hash(hidden), payload: payload.to_vec() }
        } else {
            let commitment = hash::commitment(&hidden, payload);
            Leaf { tag, commitment, payload: [&[0], hidden.as_slice(), payload].concat() }
        })
    };
    let leaves = (0..count).map(|_| leaf(&mut reader)).collect::<Option<_>>()?;
    reader.0.is_empty().then_some((first, leaves))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(from: u64, count: u64) -> Vec<Leaf> {
        let leaf = |i: u64| Leaf {
            tag: i + 1,
            commitment: Hash([i as u8; 32]),
            payload: vec![i as u8; (i * 37 % 50) as usize],
        };
        (from..from + count).map(leaf).collect()
    }

    fn segment() -> (Vec<u8>, Vec<usize>) {
        let mut begins = Head::default();
        begins.extend(&leaves(0, 5));
        let mut bytes = header(&begins);
        let mut ends = vec![bytes.len()];
        for (first, count) in [(5, 1), (6, 4), (10, 2)] {
            bytes.extend(batch(first, &leaves(first, count)));
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn a_segment_reads_as_it_was_written() {
        let (bytes, ends) = segment();
        let read = parse(&bytes).unwrap();
        assert_eq!(read.leaves, leaves(5, 7));
        assert_eq!((read.begins.tree.size(), read.begins.last_tag), (5, 5));
        assert_eq!(read.length, *ends.last().unwrap() as u64);
    }

    #[test]
    fn a_segment_of_the_first_format_gives_the_same_tree() {
        let (salt, payload) = ([3; 32], b"event");
        let leaf = Leaf { tag: 1, commitment: Hash(salt), payload: payload.to_vec() };
        let mut bytes = header(&Head::default());
        bytes[..8].copy_from_slice(FIRST_MAGIC);
        let end = bytes.len() - 4;
        let checksum = crc32c::crc32c(&bytes[..end]);
        bytes[end..].copy_from_slice(&checksum.to_le_bytes());
        bytes.extend(batch(0, &[leaf]));
        let read = parse(&bytes).unwrap();
        let hidden = hash::commitment(&salt, payload);
        assert_eq!((read.current, read.leaves[0].commitment), (false, hidden));
        assert_eq!(read.leaves[0].payload, [&[0], salt.as_slice(), payload].concat());
    }

    #[test]
    fn a_cut_at_any_byte_leaves_the_whole_batches_before_it() {
        let (bytes, ends) = segment();
        for cut in 0..bytes.len() {
            match parse(&bytes[..cut]) {
                Err(damage) => assert!(cut < ends[0] && damage == Damage::Header, "cut at {cut}: {damage}"),
                Ok(read) => {
                    let whole = *ends.iter().rfind(|&&end| end <= cut).unwrap();
                    assert_eq!(read.length, whole as u64, "cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn a_flipped_bit_before_the_last_batch_is_damage_and_in_it_is_never_read() {
        let (bytes, ends) = segment();
        let last = ends[ends.len() - 2];
        for at in 0..bytes.len() {
            for bit in [1, 128] {
                let mut bytes = bytes.clone();
                bytes[at] ^= bit;
                match parse(&bytes) {
                    Err(_) => assert!(at < last, "byte {at}"),
                    Ok(read) => {
                        assert!(at >= last, "byte {at} went unnoticed");
                        assert_eq!(read.leaves, leaves(5, 5), "byte {at}");
                    }
                }
            }
        }
    }
}
