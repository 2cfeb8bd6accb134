//! The ledger of erasures: who was erased, kept apart from the data folder, so that a backup from before is told.
//! docs/formats/keys.md draws it.

use super::{KeysError, cells::CELL, medium::Medium};
use crate::{id::SubjectId, timestamp::Timestamp};
use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// One erasure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Erasure {
    /// Who.
    pub(crate) subject: SubjectId,
    /// The number of the subject's row and of its key.
    pub(crate) row: i64,
    /// When.
    pub(crate) at: Timestamp,
}

const HEAD: &[u8; 32] = b"limen ledger of erasures, v 1\n\0\0";
const TEXT: usize = 60;

/// An open ledger.
pub(crate) struct Ledger {
    medium: Box<dyn Medium>,
    /// How many lines it has; held while one is written.
    lines: Mutex<u64>,
}

impl Ledger {
    /// Where it is if nothing else is said: the folder's name with `.erasures` after it.
    pub(crate) fn beside(folder: &Path) -> PathBuf {
        super::beside(folder, ".erasures")
    }

    /// Makes a ledger of these, in place of what is there.
    pub(crate) fn write(path: &Path, erasures: &[Erasure]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(CELL * (erasures.len() + 1));
        bytes.extend(HEAD);
        bytes.resize(CELL, 0);
        erasures.iter().for_each(|erasure| bytes.extend(encode(*erasure)));
        audit::storage::publish(path, &bytes)
    }

    /// Adds what another ledger has beyond this one, which is made if it is not there.
    ///
    /// # Errors
    /// When one of them is damaged, or it cannot be written.
    pub(crate) fn unite(path: &Path, other: &Path) -> Result<(), KeysError> {
        let all = |ledger: Option<Self>| -> Result<Vec<Erasure>, KeysError> {
            ledger.map_or(Ok(Vec::new()), |ledger| (0..ledger.lines()).map(|n| ledger.line(n)).collect())
        };
        let mut united = all(Self::open(path)?)?;
        let known: HashSet<SubjectId> = united.iter().map(|erasure| erasure.subject).collect();
        let more: Vec<_> = all(Self::open_to_read(other)?)?
            .into_iter()
            .filter(|one| !known.contains(&one.subject))
            .collect();
        if !more.is_empty() || !path.exists() {
            united.extend(more);
            Self::write(path, &united)?;
        }
        Ok(())
    }

    /// Opens a ledger; `None` if there is none. What an interrupted write left at its end is not a line.
    ///
    /// # Errors
    /// When it is not a ledger, or damaged before its last line.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, KeysError> {
        Self::open_with(OpenOptions::new().read(true).write(true), path)
    }

    fn open_to_read(path: &Path) -> Result<Option<Self>, KeysError> {
        Self::open_with(OpenOptions::new().read(true), path)
    }

    fn open_with(options: &OpenOptions, path: &Path) -> Result<Option<Self>, KeysError> {
        let file: File = match options.open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Self::over(Box::new(file)).map(Some)
    }

    /// The ledger in a medium.
    pub(crate) fn over(medium: Box<dyn Medium>) -> Result<Self, KeysError> {
        let damaged = || KeysError::Damaged("the ledger of erasures".to_owned());
        let mut head = [0; HEAD.len()];
        medium.read_at(0, &mut head).map_err(|_| damaged())?;
        if head != *HEAD {
            return Err(damaged());
        }
        // What a killed process wrote and did not sync is built upon from here on.
        medium.sync()?;
        let lines = (medium.length()? / CELL as u64).checked_sub(1).ok_or_else(damaged)?;
        let ledger = Self { lines: Mutex::new(lines), medium };
        let written = ledger.lines();
        // Only the last can be torn; all others are read where they are needed.
        if written > 0 && ledger.line(written - 1).is_err() {
            *ledger.lines.lock().unwrap_or_else(PoisonError::into_inner) = written - 1;
        }
        Ok(ledger)
    }

    /// How many lines it has.
    pub(crate) fn lines(&self) -> u64 {
        *self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line, durably; returns how many there are.
    ///
    /// # Errors
    /// When it cannot be written or synced: then it may be there or not.
    pub(crate) fn append(&self, erasure: Erasure) -> io::Result<u64> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        self.medium.write_at((*lines + 1) * CELL as u64, &encode(erasure))?;
        self.medium.sync()?;
        *lines += 1;
        Ok(*lines)
    }

    /// The line of this number, from 0.
    ///
    /// # Errors
    /// When it is not there as it was written.
    pub(crate) fn line(&self, number: u64) -> Result<Erasure, KeysError> {
        let mut cell = [0; CELL];
        self.medium.read_at((number + 1) * CELL as u64, &mut cell)?;
        decode(&cell).ok_or_else(|| KeysError::Damaged(format!("line {number} of the ledger of erasures")))
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ledger({} lines)", self.lines())
    }
}

fn encode(erasure: Erasure) -> [u8; CELL] {
    let mut cell = [0; CELL];
    cell[..16].copy_from_slice(erasure.subject.as_bytes());
    cell[16..24].copy_from_slice(&erasure.row.to_le_bytes());
    cell[24..32].copy_from_slice(&erasure.at.unix_ms().to_le_bytes());
    let checksum = crc32c::crc32c(&cell[..TEXT]);
    cell[TEXT..].copy_from_slice(&checksum.to_le_bytes());
    cell
}

fn decode(cell: &[u8; CELL]) -> Option<Erasure> {
    let number = |at: usize| cell[at..at + 8].try_into().ok().map(i64::from_le_bytes);
    let whole = crc32c::crc32c(&cell[..TEXT]).to_le_bytes() == cell[TEXT..];
    let (row, at) = (number(16)?, Timestamp::from_unix_ms(number(24)?)?);
    let subject = SubjectId::from_bytes(cell[..16].try_into().ok()?);
    (whole && row > 0).then_some(Erasure { subject, row, at })
}
