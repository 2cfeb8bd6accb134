//! The memory of searches on disk, sealed: so that a stop does not forget. Appended without a sync: it outlives the process, and of a power
//! failure it may lose the last seconds.

use super::memory::{BITS, CallerKey, Deed, Meeting, Seen, Sketch};
use crate::{
    ambient::Ambient,
    id::SubjectId,
    keys::seal::{KEY, KeyBytes, OVERHEAD, SealingKey},
    timestamp::Timestamp,
};
use audit::storage;
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

const MAGIC: &[u8; 16] = b"limen/searches/1";
/// About the keys, and about a deed.
const HEAD: &[u8] = b"limen/searches/v1";
const DEED: &[u8] = b"limen/deed/v1";
const HEAD_BYTES: usize = MAGIC.len() + 2 * KEY + OVERHEAD;
const SKETCH: usize = BITS / 8;
/// Kind, time, caller, digest of the probe; sketch and whether it is related, or a subject and whether it was met directly.
const PLAIN: usize = 1 + 8 + 16 + 8 + SKETCH + 1;
const SEALED: usize = PLAIN + OVERHEAD;

/// The file, and the key of what is appended to it.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    key: SealingKey,
    length: u64,
    ambient: Ambient,
}

/// A file that is to take the place of one.
pub(super) struct Draft(Journal);

impl Journal {
    /// Reads a file, if there is one: the seed that it holds, and where to go on. What cannot be opened after the head is what a power failure
    /// left.
    pub(super) fn read(
        path: &Path,
        root: &SealingKey,
        ambient: &Ambient,
        mut each: impl FnMut(CallerKey, Deed),
    ) -> io::Result<Option<(KeyBytes, Self)>> {
        let bytes = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        let opened = bytes.split_at_checked(HEAD_BYTES).and_then(|(head, deeds)| {
            let keys = root.open(&[HEAD], head.strip_prefix(MAGIC)?)?;
            let (key, seed) = keys.split_first_chunk::<KEY>()?;
            Some((SealingKey::new(key), Zeroizing::new(*seed.first_chunk::<KEY>()?), deeds))
        });
        let damaged =
            || io::Error::new(io::ErrorKind::InvalidData, "it was changed, or the root key is another");
        let (key, seed, deeds) = opened.ok_or_else(damaged)?;
        let deeds = deeds.chunks_exact(SEALED);
        let length = (bytes.len() - deeds.remainder().len()) as u64;
        for (caller, deed) in deeds.filter_map(|sealed| decode(&key.open(&[DEED], sealed)?)) {
            each(caller, deed);
        }
        let file = OpenOptions::new().write(true).open(path)?;
        Ok(Some((seed, Self { path: path.to_owned(), file, key, length, ambient: ambient.clone() })))
    }

    /// Appends; what a failure left half written is written over by the next.
    pub(super) fn append(&mut self, deeds: impl Iterator<Item = (CallerKey, Deed)>) -> io::Result<()> {
        let sealed = |(caller, deed)| self.key.seal(&self.ambient, &[DEED], &encode(caller, deed));
        let sealed: Vec<u8> = deeds.flat_map(sealed).collect();
        self.file.write_all_at(&sealed, self.length)?;
        self.length += sealed.len() as u64;
        Ok(())
    }

    /// Deeds in the file.
    pub(super) fn len(&self) -> usize {
        (self.length as usize).saturating_sub(HEAD_BYTES) / SEALED
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Draft {
    /// Writes a file beside the one that is there, under a new key: what is forgotten is gone.
    pub(super) fn write(
        path: &Path,
        root: &SealingKey,
        seed: &KeyBytes,
        deeds: impl Iterator<Item = (CallerKey, Deed)>,
        ambient: &Ambient,
    ) -> io::Result<Self> {
        let bytes: KeyBytes = Zeroizing::new(ambient.random());
        let key = SealingKey::new(&bytes);
        let keys = Zeroizing::new([*bytes, **seed].concat());
        let mut content = MAGIC.to_vec();
        content.extend(root.seal(ambient, &[HEAD], &keys));
        deeds.for_each(|(caller, deed)| content.extend(key.seal(ambient, &[DEED], &encode(caller, deed))));
        let file = storage::write_beside(path, &content)?;
        let length = content.len() as u64;
        Ok(Self(Journal { path: path.to_owned(), file, key, length, ambient: ambient.clone() }))
    }

    /// What came meanwhile.
    pub(super) fn append(&mut self, deeds: impl Iterator<Item = (CallerKey, Deed)>) -> io::Result<()> {
        self.0.append(deeds)
    }

    /// It is the file from now on.
    pub(super) fn put_in_place(self) -> io::Result<Journal> {
        storage::take_place(&self.0.path)?;
        // Otherwise a power failure may bring the one before back.
        let _ = self.0.path.parent().map_or(Ok(()), storage::sync_folder);
        Ok(self.0)
    }
}

fn encode(caller: CallerKey, deed: Deed) -> Zeroizing<Vec<u8>> {
    let mut plain = Zeroizing::new(Vec::with_capacity(PLAIN));
    let (kind, ms, digest) = match deed {
        Deed::Searched(seen) => (0, seen.at.unix_ms(), seen.digest),
        Deed::Met(_, met) => (1, met.at.unix_ms(), met.digest),
        Deed::TakenBack(digest) => (2, 0, digest),
    };
    plain.push(kind);
    plain.extend(ms.to_le_bytes());
    plain.extend(caller);
    plain.extend(digest);
    match deed {
        Deed::Searched(Seen { sketch, related, .. }) => {
            sketch.0.iter().for_each(|word| plain.extend(word.to_le_bytes()));
            plain.push(u8::from(related));
        }
        Deed::Met(subject, met) => {
            plain.extend(subject.bytes());
            plain.push(u8::from(met.direct));
        }
        Deed::TakenBack(_) => (),
    }
    plain.resize(PLAIN, 0);
    plain
}

fn decode(plain: &[u8]) -> Option<(CallerKey, Deed)> {
    let (kind, rest) = plain.split_first()?;
    let (at, rest) = rest.split_first_chunk()?;
    let at = Timestamp::from_unix_ms(i64::from_le_bytes(*at))?;
    let (caller, rest) = rest.split_first_chunk()?;
    let (digest, rest) = rest.split_first_chunk()?;
    let digest = *digest;
    let deed = match kind {
        0 => {
            let (words, related) = rest.split_first_chunk::<SKETCH>()?;
            let mut sketch = Sketch([0; BITS / 64]);
            let words = words.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
            sketch.0.iter_mut().zip(words).for_each(|(to, word)| *to = word);
            Deed::Searched(Seen { at, digest, sketch, related: related.first() == Some(&1) })
        }
        1 => {
            let (subject, direct) = rest.split_first_chunk()?;
            let direct = direct.first() == Some(&1);
            Deed::Met(SubjectId::from_bytes(*subject), Meeting { at, digest, direct })
        }
        2 => Deed::TakenBack(digest),
        _ => return None,
    };
    Some((*caller, deed))
}
