//! The file of subjects' keys: a cell of 64 bytes each, so that none lies across two sectors and each can be
//! written over where it stands. docs/formats/keys.md draws it.

use super::{
    medium::Medium,
    seal::{KEY, KeyBytes, OVERHEAD, SealingKey},
};
use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io,
    path::Path,
    sync::{Mutex, PoisonError},
};
use zeroize::Zeroizing;

/// Bytes of a cell.
pub(crate) const CELL: usize = 64;
/// Bytes of a wrapped key.
pub(crate) const WRAPPED: usize = KEY + OVERHEAD;

type Cell = [u8; CELL];

/// The first cell: which format it is.
const HEAD: Cell = {
    let (mut cell, text) = ([0; CELL], b"limen subject keys, version 1\n");
    let mut at = 0;
    while at < text.len() {
        cell[at] = text[at];
        at += 1;
    }
    cell
};

/// What is wrong with a cell.
#[derive(Debug)]
pub(crate) enum CellFault {
    /// The key was destroyed.
    Destroyed,
    /// It is not what was written, or was never written.
    Damaged,
    /// It cannot be read.
    Unread(io::Error),
}

/// The cells of a folder, and those that wait to be written.
pub(crate) struct Cells {
    medium: Box<dyn Medium>,
    waiting: Mutex<BTreeMap<u64, Cell>>,
}

impl Cells {
    /// Makes a file without keys.
    pub(crate) fn create(path: &Path) -> io::Result<()> {
        audit::storage::publish(path, &HEAD)
    }

    /// Opens a file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::over(Box::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    /// The cells in a medium.
    pub(crate) fn over(medium: Box<dyn Medium>) -> io::Result<Self> {
        let mut head = [0; CELL];
        medium.read_at(0, &mut head)?;
        if head != HEAD {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a file of subjects' keys"));
        }
        medium.sync()?; // what a killed process wrote and did not sync is built upon from here on
        Ok(Self { medium, waiting: Mutex::default() })
    }

    /// Wraps a key, to be written with the next [`Self::settle`].
    pub(crate) fn put(&self, number: u64, wrapped: &[u8; WRAPPED]) {
        let mut cell = [0; CELL];
        cell[..WRAPPED].copy_from_slice(wrapped);
        seal(number, &mut cell);
        self.wait(number, cell);
    }

    /// Puts a mark in place of a key, to be written with the next [`Self::settle`].
    pub(crate) fn destroy(&self, number: u64) {
        self.wait(number, destroyed(number));
    }

    /// The key in a cell, unwrapped.
    pub(crate) fn key(
        &self,
        number: u64,
        under: &SealingKey,
        about: &[&[u8]],
    ) -> Result<KeyBytes, CellFault> {
        let cell = self.cell(number).map_err(CellFault::Unread)?;
        let mut expected = cell;
        seal(number, &mut expected);
        if cell == destroyed(number) {
            return Err(CellFault::Destroyed);
        }
        let opened = if cell == expected { under.open(about, &cell[..WRAPPED]) } else { None };
        let opened = opened.ok_or(CellFault::Damaged)?;
        Ok(Zeroizing::new(opened.as_slice().try_into().map_err(|_| CellFault::Damaged)?))
    }

    /// Is there a mark in place of the key?
    pub(crate) fn is_destroyed(&self, number: u64) -> io::Result<bool> {
        Ok(self.cell(number)? == destroyed(number))
    }

    /// Writes what waits, durably. What cannot be written waits on.
    pub(crate) fn settle(&self) -> io::Result<()> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.is_empty() {
            return Ok(());
        }
        // Neighbours in one write.
        let mut run: Vec<u8> = Vec::new();
        let mut next = 0;
        for (&number, cell) in &*waiting {
            if number != next && !run.is_empty() {
                self.medium.write_at(next * CELL as u64 - run.len() as u64, &run)?;
                run.clear();
            }
            run.extend(cell);
            next = number + 1;
        }
        self.medium.write_at(next * CELL as u64 - run.len() as u64, &run)?;
        self.medium.sync()?;
        waiting.clear();
        Ok(())
    }

    /// Forgets what waits: the transaction that it belongs to was undone.
    pub(crate) fn forget(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn wait(&self, number: u64, cell: Cell) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(number, cell);
    }

    fn cell(&self, number: u64) -> io::Result<Cell> {
        if let Some(cell) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).get(&number) {
            return Ok(*cell);
        }
        let mut cell = [0; CELL];
        self.medium.read_at(number * CELL as u64, &mut cell)?;
        Ok(cell)
    }
}

/// The cell of a key that was destroyed: nothing but its checksum.
fn destroyed(number: u64) -> Cell {
    let mut cell = [0; CELL];
    seal(number, &mut cell);
    cell
}

/// Fills in the checksum: CRC-32C over the cell's number and what stands before it.
fn seal(number: u64, cell: &mut Cell) {
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), &cell[..WRAPPED]);
    cell[WRAPPED..].copy_from_slice(&checksum.to_le_bytes());
}

impl std::fmt::Debug for Cells {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cells")
    }
}
