//! The references in f32, which a search reads one by one and seldom, so that they take no memory: those of a generation in its
//! own file, those that came since in a file without a name that ends with the process. The record is what they are made from.

use crate::{
    ambient::Ambient,
    keys::seal::{SealingKey, TAG},
};
use matcher::{
    kernel::{Block, LANES},
    rows::{Rows, Slot, Unreadable},
};
use std::{
    collections::HashMap,
    fmt,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

/// Rows in a file, by slot: the features of each, little-endian, sealed with its slot and the file's number as the nonce, so that
/// a row that was damaged, or is another's, is not believed. No slot is put twice under a key.
pub(super) struct SealedRows {
    pub(super) file: File,
    pub(super) key: Arc<SealingKey>,
    pub(super) number: u32,
    pub(super) blocks: usize,
}

impl SealedRows {
    /// Bytes of a sealed row.
    pub(super) fn stride(blocks: usize) -> usize {
        blocks * size_of::<Block>() + TAG
    }

    /// Appends a sealed row.
    pub(super) fn seal(key: &SealingKey, number: u32, slot: u32, row: &[Block], to: &mut Vec<u8>) {
        let start = to.len();
        to.extend(row.iter().flat_map(|block| block.0).flat_map(f32::to_le_bytes));
        let tag = key.seal_in_place(nonce(slot, number), &[], &mut to[start..]);
        to.extend(tag);
    }

    pub(super) fn write(&self, slot: u32, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.offset(slot))
    }

    pub(super) fn read(&self, slot: u32, into: &mut [Block]) -> Result<(), Unreadable> {
        let mut sealed = vec![0; Self::stride(self.blocks)];
        self.file
            .read_exact_at(&mut sealed, self.offset(slot))
            .map_err(|error| Unreadable(error.to_string()))?;
        let length = self.key.open_in_place(nonce(slot, self.number), &[], &mut sealed);
        let length = length.ok_or_else(|| Unreadable("it is not what was written".to_owned()))?;
        let (features, _) = sealed[..length].as_chunks::<4>();
        for (block, features) in into.iter_mut().zip(features.chunks_exact(LANES)) {
            for (value, bytes) in block.0.iter_mut().zip(features) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
        Ok(())
    }

    /// Is there nothing but zeros in this slot?
    pub(super) fn is_blank(&self, slot: u32) -> io::Result<bool> {
        let mut bytes = vec![0; Self::stride(self.blocks)];
        self.file.read_exact_at(&mut bytes, self.offset(slot))?;
        Ok(bytes.iter().all(|byte| *byte == 0))
    }

    fn offset(&self, slot: u32) -> u64 {
        u64::from(slot) * Self::stride(self.blocks) as u64
    }
}

fn nonce(slot: u32, number: u32) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&slot.to_le_bytes());
    nonce[4..8].copy_from_slice(&number.to_le_bytes());
    nonce
}

/// The rows of one model, by slot. What cannot be written (the disk is full) stays in memory.
pub(crate) struct Shelf {
    blocks: usize,
    /// Those of the generation, and the slot after the last of them.
    frozen: Option<(SealedRows, u32)>,
    fresh: Option<SealedRows>,
    kept: RwLock<HashMap<u32, Box<[Block]>>>,
}

impl Shelf {
    /// An empty one, for rows of so many features, in this folder; in memory if a file cannot be made there.
    pub(crate) fn new(folder: &Path, dimension: usize, ambient: &Ambient) -> Self {
        let blocks = dimension.div_ceil(LANES);
        let key = Arc::new(SealingKey::new(&ambient.random()));
        let file = tempfile::tempfile_in(folder).ok();
        let fresh = file.map(|file| SealedRows { file, key, number: 0, blocks });
        Self { blocks, frozen: None, fresh, kept: RwLock::default() }
    }

    /// The same, with the rows of a generation in the slots before `end`.
    pub(super) fn over(rows: SealedRows, end: u32, folder: &Path, ambient: &Ambient) -> Self {
        let shelf = Self::new(folder, rows.blocks * LANES, ambient);
        Self { frozen: Some((rows, end)), ..shelf }
    }

    /// Puts rows into the slots from `first` on.
    pub(crate) fn put(&self, first: Slot, rows: &Rows) {
        const AT_ONCE: usize = 256;
        for start in (0..rows.len()).step_by(AT_ONCE) {
            let count = AT_ONCE.min(rows.len() - start);
            let slot = first.0 + start as u32;
            if self.write(slot, (0..count).map(|i| rows.blocks(start + i, 1))).is_err() {
                let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
                kept.extend((0..count).map(|i| (slot + i as u32, rows.blocks(start + i, 1).into())));
            }
        }
    }

    fn write<'a>(&self, first: u32, rows: impl Iterator<Item = &'a [Block]>) -> io::Result<()> {
        let fresh = self.fresh.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let mut bytes = Vec::new();
        for (slot, row) in (first..).zip(rows) {
            SealedRows::seal(&fresh.key, fresh.number, slot, row, &mut bytes);
        }
        fresh.write(first, &bytes)
    }

    /// Reads the row in this slot.
    ///
    /// # Errors
    /// When it is not there as it was put.
    pub(crate) fn read(&self, slot: Slot, into: &mut [Block]) -> Result<(), Unreadable> {
        if let Some((frozen, _)) = self.frozen.as_ref().filter(|(_, end)| slot.0 < *end) {
            return frozen.read(slot.0, into);
        }
        if let Some(row) = self.kept.read().unwrap_or_else(PoisonError::into_inner).get(&slot.0) {
            into.copy_from_slice(row);
            return Ok(());
        }
        let fresh = self.fresh.as_ref().ok_or_else(|| Unreadable("it is not there".to_owned()))?;
        fresh.read(slot.0, into)
    }

    /// Overwrites a row that came since the generation: it cannot be read any more. The file ends with the process, so that
    /// what cannot be overwritten does so, too.
    pub(crate) fn blank(&self, slot: Slot) {
        self.kept.write().unwrap_or_else(PoisonError::into_inner).remove(&slot.0);
        if let Some(fresh) =
            self.fresh.as_ref().filter(|_| self.frozen.as_ref().is_none_or(|(_, end)| slot.0 >= *end))
        {
            let _ = fresh.write(slot.0, &vec![0; SealedRows::stride(self.blocks)]);
        }
    }

    /// Was a row overwritten, as those of erased subjects are?
    pub(crate) fn is_blank(&self, slot: Slot) -> bool {
        let frozen = self.frozen.as_ref().filter(|(_, end)| slot.0 < *end).map(|(frozen, _)| frozen);
        frozen.or(self.fresh.as_ref()).is_some_and(|rows| rows.is_blank(slot.0).unwrap_or(false))
    }

    /// Bytes of memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.len() * self.blocks * size_of::<Block>()
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shelf({} blocks a row)", self.blocks)
    }
}

#[cfg(test)]
impl Shelf {
    /// Flips a bit of a row in the file, as a failing disk would.
    pub(crate) fn damage(&self, slot: Slot) {
        let fresh = self.fresh.as_ref().unwrap();
        let (mut byte, at) = ([0], fresh.offset(slot.0) + 5);
        fresh.file.read_exact_at(&mut byte, at).unwrap();
        fresh.file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use matcher::template::{ModelId, ModelProfile};

    fn rows() -> Rows {
        let profile = ModelProfile::new(ModelId::new("m").unwrap(), 40, None).unwrap();
        let mut rows = Rows::new(profile.id().clone(), 40);
        for i in 0..600u16 {
            let features: Vec<f32> = (0..40u16).map(|j| f32::from(i * 7 + j).sin()).collect();
            rows.push(&profile.template(&features).unwrap());
        }
        rows
    }

    fn read(shelf: &Shelf, slot: u32) -> Result<Vec<Block>, Unreadable> {
        let mut row = vec![Block([0.0; 32]); 2];
        shelf.read(Slot(slot), &mut row).map(|()| row)
    }

    #[test]
    fn rows_come_back_as_they_were_put_from_the_file_or_from_memory() {
        let (rows, folder) = (rows(), tempfile::tempdir().unwrap());
        let missing = folder.path().join("missing");
        for (folder, in_memory) in [(folder.path(), false), (missing.as_path(), true)] {
            let shelf = Shelf::new(folder, 40, &Ambient::system());
            shelf.put(Slot(5), &rows);
            assert_eq!(shelf.bytes() > 0, in_memory);
            for row in 0..rows.len() {
                assert!(read(&shelf, 5 + row as u32).unwrap() == rows.blocks(row, 1), "{row}");
            }
            assert!(read(&shelf, 605).is_err());
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has a name");
    }

    #[test]
    fn a_damaged_row_is_not_believed_and_neither_is_one_of_another_slot() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(folder.path(), 40, &Ambient::system());
        shelf.put(Slot(0), &rows());
        shelf.damage(Slot(9));
        let error = read(&shelf, 9).err();
        assert_eq!(error, Some(Unreadable("it is not what was written".to_owned())));
        let fresh = shelf.fresh.as_ref().unwrap();
        let mut bytes = vec![0; SealedRows::stride(2)];
        fresh.file.read_exact_at(&mut bytes, fresh.offset(10)).unwrap();
        fresh.write(11, &bytes).unwrap();
        assert!(read(&shelf, 10).is_ok() && read(&shelf, 11).is_err());
    }
}
