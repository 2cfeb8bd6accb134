//! The tree's hashes on disk, in tiles (c2sp.org/tlog-tiles): made of the segments, and made anew if they are lost or damaged.
//!
//! A file a level: that of level `l` holds, one after the other, the roots of all perfect subtrees of `256^l` leaves. A tile is 8,192 bytes of it.
//! Beside them, the leaves' commitments, which are the log's entries.

use crate::{
    hash::{self, Hash},
    proof::{self, Nodes},
    segment::{Head, Leaf},
    storage::{self, Storage},
    tree::Frontier,
    verify::{self, VerifyError},
};
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// Hashes of a whole tile.
pub const WIDTH: u64 = 256;
/// Levels below each other: a tile spans so many.
const HEIGHT: u32 = 8;
const HASH: u64 = 32;

/// The folder of tiles.
#[derive(Debug)]
pub struct Tiles {
    folder: PathBuf,
    entries: File,
    levels: RwLock<Vec<File>>,
    broken: AtomicBool,
}

fn file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// A tile's hashes are not there: the log is shorter, or they could not be written.
fn missing() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the log has no such hashes")
}

fn unwritten() -> io::Error {
    io::Error::other("they could not be written, or did not fit the log")
}

impl Tiles {
    /// Opens a folder, which is made if it is not there.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let entries = file(&folder.join("entries"))?;
        let (levels, broken) = (RwLock::default(), AtomicBool::new(false));
        let tiles = Self { folder: folder.to_owned(), entries, levels, broken };
        while tiles.path(tiles.count()).is_file() {
            tiles.add_level()?;
        }
        Ok(tiles)
    }

    fn path(&self, level: usize) -> PathBuf {
        self.folder.join(format!("level-{level}"))
    }

    fn count(&self) -> usize {
        self.levels.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn add_level(&self) -> io::Result<()> {
        let file = file(&self.path(self.count()))?;
        self.levels.write().unwrap_or_else(PoisonError::into_inner).push(file);
        Ok(())
    }

    /// Brings them up to a log that ends with this segment: by nothing, by its leaves, or from the beginning.
    ///
    /// # Errors
    /// When they cannot be written, or the log cannot be read.
    pub fn follow(
        &self,
        log: &impl Storage,
        begins: &Head,
        leaves: &[Leaf],
        ends: &Head,
    ) -> Result<(), VerifyError> {
        if self.is(&ends.tree) && self.has(begins.tree.size(), leaves) {
            return Ok(());
        }
        if self.is(&begins.tree) {
            self.extend(begins.tree.size(), leaves)?;
            if self.is(&ends.tree) {
                return Ok(());
            }
        }
        let (mut at, mut waiting, mut failed) = (0, Vec::new(), Ok(()));
        verify::verify(log, |index, leaf| {
            waiting.push(Leaf { payload: Vec::new(), ..leaf.clone() });
            if waiting.len() as u64 == WIDTH * WIDTH && failed.is_ok() {
                failed = self.extend(at, &std::mem::take(&mut waiting));
                at = index + 1;
            }
        })?;
        failed?;
        Ok(self.extend(at, &waiting)?)
    }

    /// Do they hold these leaves that follow the first `size`, hash by hash? What came last is what a loss of power takes.
    fn has(&self, size: u64, leaves: &[Leaf]) -> bool {
        let (mut entries, width) = (vec![0; leaves.len() * HASH as usize], leaves.len() as u64);
        let read = self.entries.read_exact_at(&mut entries, size * HASH).is_ok();
        let hashes = if leaves.is_empty() { Ok(Vec::new()) } else { self.read(0, size, width) };
        let same = |hashes: Vec<u8>| {
            leaves
                .iter()
                .zip(entries.as_chunks::<32>().0)
                .zip(hashes.as_chunks::<32>().0)
                .all(|((leaf, entry), hash)| leaf.commitment.0 == *entry && leaf.hash().0 == *hash)
        };
        read && hashes.is_ok_and(same)
    }

    /// They do not fit the log: the next start makes them anew, and until then there are no proofs.
    pub fn distrust(&self) {
        self.broken.store(true, Ordering::Release);
        let _ = std::fs::remove_file(self.path(0)); // if it cannot be, they are distrusted again
    }

    /// Could they not be written, or do they not fit the log?
    pub fn broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Are these the hashes of this tree? Asks what its root is made of.
    fn is(&self, tree: &Frontier) -> bool {
        let entries = self.entries.metadata().is_ok_and(|file| file.len() >= tree.size() * HASH);
        entries && proof::subtree(self, 0, tree.size()).is_ok_and(|root| root == tree.root())
    }

    /// Takes in leaves that follow the first `size`.
    ///
    /// # Errors
    /// When they cannot be written: then there are no proofs before the next start.
    pub fn extend(&self, size: u64, leaves: &[Leaf]) -> io::Result<()> {
        let commitments: Vec<u8> = leaves.iter().flat_map(|leaf| leaf.commitment.0).collect();
        let hashes = leaves.iter().map(Leaf::hash).collect();
        let extended =
            self.entries.write_all_at(&commitments, size * HASH).and_then(|()| self.put(size, hashes));
        self.broken.fetch_or(extended.is_err(), Ordering::AcqRel);
        extended
    }

    fn put(&self, size: u64, mut hashes: Vec<Hash>) -> io::Result<()> {
        let (mut level, mut from) = (0, size);
        while !hashes.is_empty() {
            if level == self.count() {
                self.add_level()?;
            }
            let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
            let to = from + hashes.len() as u64;
            {
                let levels = self.levels.read().unwrap_or_else(PoisonError::into_inner);
                levels[level].write_all_at(&bytes, from * HASH)?;
            }
            hashes = (from / WIDTH..to / WIDTH)
                .map(|tile| fold(&self.read(level, tile * WIDTH, WIDTH)?))
                .collect::<io::Result<_>>()?;
            (from, level) = (from / WIDTH, level + 1);
        }
        Ok(())
    }

    /// Makes them durable, so that a start after a loss of power finds all but what came since.
    ///
    /// # Errors
    /// When they cannot be synced.
    pub fn settle(&self) -> io::Result<()> {
        let levels = self.levels.read().unwrap_or_else(PoisonError::into_inner);
        levels.iter().chain([&self.entries]).try_for_each(File::sync_data)?;
        storage::sync_folder(&self.folder)
    }

    /// `width` hashes of a level, from the one of this number.
    fn read(&self, level: usize, first: u64, width: u64) -> io::Result<Vec<u8>> {
        let levels = self.levels.read().unwrap_or_else(PoisonError::into_inner);
        let file = levels.get(level).ok_or_else(missing)?;
        let mut bytes = vec![0; (width * HASH) as usize];
        file.read_exact_at(&mut bytes, first * HASH).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => missing(),
            _ => error,
        })?;
        Ok(bytes)
    }

    /// A tile: its first `width` hashes.
    ///
    /// # Errors
    /// When a log of `size` leaves has no such tile, or it cannot be read.
    pub fn tile(&self, size: u64, level: u32, index: u64, width: u64) -> io::Result<Vec<u8>> {
        self.there(size, level, index, width)?;
        self.read(level as usize, index * WIDTH, width)
    }

    /// A bundle of entries: the first `width` commitments of a tile's leaves, each after its length.
    ///
    /// # Errors
    /// When a log of `size` leaves has no such bundle, or it cannot be read.
    pub fn bundle(&self, size: u64, index: u64, width: u64) -> io::Result<Vec<u8>> {
        self.there(size, 0, index, width)?;
        let mut bytes = vec![0; (width * HASH) as usize];
        self.entries.read_exact_at(&mut bytes, index * WIDTH * HASH)?;
        let (entries, _) = bytes.as_chunks::<32>();
        Ok(entries.iter().flat_map(|entry| [0, 32].into_iter().chain(*entry)).collect())
    }

    fn there(&self, size: u64, level: u32, index: u64, width: u64) -> io::Result<()> {
        let there = size.checked_shr(HEIGHT * level).unwrap_or(0);
        let first = index.checked_mul(WIDTH).ok_or_else(missing)?;
        let end = first.checked_add(width).ok_or_else(missing)?;
        if self.broken() {
            return Err(unwritten());
        }
        if !(1..=WIDTH).contains(&width) || end > there {
            return Err(missing());
        }
        Ok(())
    }
}

/// The root over hashes whose number is a power of two.
fn fold(bytes: &[u8]) -> io::Result<Hash> {
    let mut hashes: Vec<Hash> = bytes.as_chunks::<32>().0.iter().map(|hash| Hash(*hash)).collect();
    while hashes.len() > 1 {
        hashes = hashes.as_chunks::<2>().0.iter().map(|[left, right]| hash::node(*left, *right)).collect();
    }
    hashes.pop().ok_or_else(missing)
}

impl Nodes for Tiles {
    fn node(&self, height: u32, index: u64) -> io::Result<Hash> {
        if self.broken() {
            return Err(unwritten());
        }
        let (level, below) = ((height / HEIGHT) as usize, height % HEIGHT);
        let first = index.checked_shl(below).ok_or_else(missing)?;
        fold(&self.read(level, first, 1 << below)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{log::Log, storage::Disk};

    fn leaf(tag: u64) -> Leaf {
        Leaf { tag, commitment: hash::sha256(&[&tag.to_le_bytes()]), payload: Vec::new() }
    }

    #[test]
    fn tiles_give_the_proofs_of_the_log_that_they_follow_whatever_was_lost_of_them() {
        let place = tempfile::tempdir().unwrap();
        let (folder, tiles) = (place.path().join("log"), place.path().join("tiles"));
        let open = || Log::open_tiled(Disk::open(&folder).unwrap(), None, &tiles).unwrap();
        let log = open();
        let mut known = vec![(0, log.head().tree.root())];
        let mut receipts = Vec::new();
        for (n, count) in [1u64, 254, 2, 700, 65_600, 3, 40].into_iter().enumerate() {
            receipts
                .extend(log.append((0..count).map(|i| leaf(1 + i + n as u64 * 100_000)).collect()).unwrap());
            known.push((log.head().tree.size(), log.head().tree.root()));
        }
        drop(log);
        let everything_holds = |log: &Log| {
            let (size, root) = *known.last().unwrap();
            assert_eq!((log.head().tree.size(), log.head().tree.root()), (size, root));
            for receipt in receipts.iter().step_by(977).chain(&receipts[65_000..65_010]) {
                let path = proof::inclusion(log.tiles().unwrap(), receipt.leaf_index(), size).unwrap();
                assert!(proof::includes(root, size, receipt.leaf_index(), receipt.leaf_hash(), &path));
            }
            for old in &known {
                let path = proof::consistency(log.tiles().unwrap(), old.0, size).unwrap();
                assert!(proof::continues(*old, (size, root), &path));
            }
        };
        everything_holds(&open());
        let flip = |path: &Path, at: u64| {
            let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 1], at).unwrap();
        };
        let level = |n: usize| tiles.join(format!("level-{n}"));
        let cut = |n: usize, length: u64| {
            OpenOptions::new().write(true).open(level(n)).unwrap().set_len(length).unwrap();
        };
        for damage in [
            &(|| cut(0, 32)) as &dyn Fn(),
            &|| cut(1, 0),
            &|| std::fs::remove_file(level(2)).unwrap(),
            &|| std::fs::write(level(1), vec![7; 20_000]).unwrap(),
            &|| flip(&level(0), 66_000 * 32),
            &|| flip(&tiles.join("entries"), 66_500 * 32),
            &|| std::fs::remove_dir_all(&tiles).unwrap(),
        ] {
            damage();
            everything_holds(&open());
        }
    }

    #[test]
    fn a_tile_is_there_as_far_as_the_log_is() {
        let place = tempfile::tempdir().unwrap();
        let log =
            Log::open_tiled(Disk::open(place.path()).unwrap(), None, &place.path().join("tiles")).unwrap();
        let receipts = log.append((1..=300).map(leaf).collect()).unwrap();
        let tiles = log.tiles().unwrap();
        let whole = tiles.tile(300, 0, 0, 256).unwrap();
        assert_eq!(whole[..32], receipts[0].leaf_hash().0);
        assert_eq!(tiles.tile(300, 0, 1, 44).unwrap().len(), 44 * 32);
        assert_eq!(tiles.tile(300, 1, 0, 1).unwrap(), fold(&whole).unwrap().0);
        for (level, index, width) in [
            (0, 1, 45),
            (0, 2, 1),
            (1, 0, 2),
            (2, 0, 1),
            (0, 0, 0),
            (0, 0, 257),
            (63, 0, 1),
            (0, u64::MAX, 1),
        ] {
            assert!(tiles.tile(300, level, index, width).is_err(), "{level} {index} {width}");
        }
        assert!(tiles.tile(299, 0, 1, 44).is_err(), "not of a log that was shorter");
        let bundle = tiles.bundle(300, 1, 44).unwrap();
        assert_eq!((bundle.len(), &bundle[..2]), (44 * 34, [0, 32].as_slice()));
        let entry = Hash(*bundle[2..].first_chunk().unwrap());
        assert_eq!(hash::leaf(entry), receipts[256].leaf_hash());
    }
}
