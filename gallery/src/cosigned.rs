//! What witnesses have cosigned of the log (c2sp.org/tlog-witness).

use audit::{
    checkpoint::Checkpoint,
    note::{Note, VerifierKey},
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

/// In a data folder: the last checkpoint that a witness cosigned.
const FILE: &str = "cosigned";

/// The last checkpoint that a witness cosigned.
#[derive(Debug)]
pub(crate) struct Cosigned {
    path: PathBuf,
    last: RwLock<Option<(u64, Note)>>,
}

impl Cosigned {
    /// As it was left in a data folder, if it is one of this log.
    pub(crate) fn open(folder: &Path, log: &VerifierKey) -> Self {
        let path = folder.join(FILE);
        let note = std::fs::read_to_string(&path).ok().and_then(|text| text.parse::<Note>().ok());
        let size = |note: &Note| Some(Checkpoint::of(note, log).ok()?.size);
        let last = note.and_then(|note| Some((size(&note)?, note)));
        Self { path, last: RwLock::new(last) }
    }

    /// The last, with its size.
    pub(crate) fn last(&self) -> Option<(u64, Note)> {
        self.last.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on it is this one.
    pub(crate) fn put(&self, size: u64, note: Note) -> io::Result<()> {
        let text = note.to_string();
        *self.last.write().unwrap_or_else(PoisonError::into_inner) = Some((size, note));
        audit::storage::publish(&self.path, text.as_bytes())
    }
}
