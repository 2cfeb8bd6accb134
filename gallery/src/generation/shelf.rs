//! The references in f32, which a search reads one by one and seldom: in a file without a name that ends with
//! the process, so that they take no memory. They are sealed there under a key that ends with the process, too. The
//! record is what they are made from.

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
    path::Path,
    sync::{PoisonError, RwLock},
};

/// The rows of one model, by slot.
///
/// A row in the file is its features, little-endian, sealed with its slot as the nonce: no slot is put twice, and a
/// row that was damaged, or is another's, is not believed. What cannot be written (the disk is full) stays in memory.
pub(crate) struct Shelf {
    blocks: usize,
    key: SealingKey,
    file: Option<File>,
    kept: RwLock<HashMap<u32, Box<[Block]>>>,
}

impl Shelf {
    /// An empty one, for rows of so many features, in this folder; in memory if a file cannot be made there.
    pub(crate) fn new(folder: &Path, dimension: usize, ambient: &Ambient) -> Self {
        let file = if cfg!(unix) { tempfile::tempfile_in(folder).ok() } else { None };
        let key = SealingKey::new(&ambient.random());
        Self { blocks: dimension.div_ceil(LANES), key, file, kept: RwLock::default() }
    }

    /// Puts rows into the slots from `first` on.
    pub(crate) fn put(&self, first: Slot, rows: &Rows) {
        const AT_ONCE: usize = 256;
        for start in (0..rows.len()).step_by(AT_ONCE) {
            let count = AT_ONCE.min(rows.len() - start);
            let slot = first.0 + start as u32;
            let bytes: Vec<u8> =
                (0..count).flat_map(|i| self.seal(slot + i as u32, rows.blocks(start + i, 1))).collect();
            if self.write(slot, &bytes).is_err() {
                let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
                kept.extend((0..count).map(|i| (slot + i as u32, rows.blocks(start + i, 1).into())));
            }
        }
    }

    /// Reads the row in this slot.
    ///
    /// # Errors
    /// When it is not there as it was put.
    pub(crate) fn read(&self, slot: Slot, into: &mut [Block]) -> Result<(), Unreadable> {
        if let Some(row) = self.kept.read().unwrap_or_else(PoisonError::into_inner).get(&slot.0) {
            into.copy_from_slice(row);
            return Ok(());
        }
        let mut bytes = vec![0; self.stride()];
        self.read_at(slot.0, &mut bytes).map_err(|error| Unreadable(error.to_string()))?;
        self.open(slot.0, &mut bytes, into).ok_or_else(|| Unreadable("it is not what was written".to_owned()))
    }

    /// Overwrites a row: it cannot be read any more. The file ends with the process, so that what cannot be
    /// overwritten does so, too.
    pub(crate) fn blank(&self, slot: Slot) {
        self.kept.write().unwrap_or_else(PoisonError::into_inner).remove(&slot.0);
        let _ = self.write(slot.0, &vec![0; self.stride()]);
    }

    /// Bytes of memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.len() * self.blocks * size_of::<Block>()
    }

    fn seal(&self, slot: u32, row: &[Block]) -> Vec<u8> {
        let mut bytes: Vec<u8> = row.iter().flat_map(|block| block.0).flat_map(f32::to_le_bytes).collect();
        let tag = self.key.seal_in_place(nonce(slot), &[], &mut bytes);
        bytes.extend(tag);
        bytes
    }

    fn open(&self, slot: u32, sealed: &mut [u8], into: &mut [Block]) -> Option<()> {
        let length = self.key.open_in_place(nonce(slot), &[], sealed)?;
        let (features, _) = sealed[..length].as_chunks::<4>();
        for (block, features) in into.iter_mut().zip(features.chunks_exact(LANES)) {
            for (value, bytes) in block.0.iter_mut().zip(features) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
        Some(())
    }

    fn stride(&self) -> usize {
        self.blocks * size_of::<Block>() + TAG
    }

    #[cfg(unix)]
    fn write(&self, slot: u32, bytes: &[u8]) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        let file = self.file.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        file.write_all_at(bytes, u64::from(slot) * self.stride() as u64)
    }

    #[cfg(unix)]
    fn read_at(&self, slot: u32, bytes: &mut [u8]) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        file.read_exact_at(bytes, u64::from(slot) * self.stride() as u64)
    }

    #[cfg(not(unix))]
    fn write(&self, _: u32, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[cfg(not(unix))]
    fn read_at(&self, _: u32, _: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::NotFound.into())
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shelf({} blocks a row)", self.blocks)
    }
}

fn nonce(slot: u32) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&slot.to_le_bytes());
    nonce
}

#[cfg(test)]
impl Shelf {
    /// Flips a bit of a row in the file, as a failing disk would.
    pub(crate) fn damage(&self, slot: Slot) {
        let mut bytes = vec![0; self.stride()];
        self.read_at(slot.0, &mut bytes).unwrap();
        bytes[5] ^= 1;
        self.write(slot.0, &bytes).unwrap();
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
        let mut bytes = vec![0; shelf.stride()];
        shelf.read_at(10, &mut bytes).unwrap();
        shelf.write(11, &bytes).unwrap();
        assert!(read(&shelf, 10).is_ok() && read(&shelf, 11).is_err());
    }
}
