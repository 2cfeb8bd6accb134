//! Keys at rest: the root key, from outside of the data folder, wraps those of nations; a nation's wraps those of
//! its subjects; a subject's seals the templates of that subject. Who destroys a subject's key has erased the
//! subject's templates wherever they are, in backups too: so the wrapped keys are a store of their own.

mod cells;
pub(crate) mod ledger;
pub(crate) mod log;
mod medium;
pub mod memory;
mod nations;
#[cfg(test)]
mod power;
pub mod root;
pub(crate) mod seal;

use crate::{
    ambient::Ambient,
    id::{EncounterId, SubjectId},
    law::Nation,
};
use cells::{CellFault, Cells};
use log::LogKeys;
use nations::NationKeys;
use root::RootKey;
use seal::{KeyBytes, SealingKey};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The keys' folder in a data folder.
pub(crate) const FOLDER: &str = "keys";
const SUBJECTS: &str = "subjects";
const NATIONS: &str = "nations";
pub(crate) const LOG: &str = "log";

/// The files in it.
pub(crate) const FILES: [&str; 3] = [SUBJECTS, NATIONS, LOG];

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The operating system says why.
    #[error("the keys cannot be used: {0}")]
    Io(#[from] io::Error),
    /// It is another root key than the one under which the folder was made.
    #[error("this root key is not the one of this data folder")]
    OtherRoot,
    /// A key is not what was written.
    #[error("the keys are damaged: {0} cannot be read back; restore the keys' backup")]
    Damaged(String),
}

/// Why a subject's templates cannot be opened.
#[derive(Debug)]
pub(crate) enum NoKey {
    /// The key was destroyed: the subject was erased.
    Destroyed,
    /// The key cannot be read back.
    Damaged,
    /// The disk does not give it.
    Unread(io::Error),
}

impl From<CellFault> for NoKey {
    fn from(fault: CellFault) -> Self {
        match fault {
            CellFault::Destroyed => Self::Destroyed,
            CellFault::Damaged => Self::Damaged,
            CellFault::Unread(error) => Self::Unread(error),
        }
    }
}

/// Whose key: a subject, its row in the record, and its nation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder<'a> {
    pub(crate) subject: SubjectId,
    /// The number of the key's cell.
    pub(crate) row: i64,
    pub(crate) owner: &'a Nation,
}

/// The keys of a data folder.
#[derive(Debug)]
pub(crate) struct Keys {
    nations: NationKeys,
    cells: Cells,
    log: LogKeys,
}

impl Keys {
    /// Makes a folder without keys.
    pub(crate) fn create(folder: &Path, root: &RootKey, ambient: &Ambient) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        #[cfg(unix)]
        fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        Cells::create(&folder.join(SUBJECTS))?;
        NationKeys::create(&folder.join(NATIONS), root, ambient)?;
        LogKeys::create(&folder.join(LOG), root, ambient)?;
        folder.parent().map_or(Ok(()), audit::storage::sync_folder)
    }

    /// Does a folder hold a subject's key?
    pub(crate) fn has_some(folder: &Path) -> bool {
        fs::metadata(folder.join(SUBJECTS)).is_ok_and(|file| file.len() > cells::CELL as u64)
    }

    /// Opens a folder.
    ///
    /// # Errors
    /// When it is not there or damaged, or made under another root key.
    pub(crate) fn open(folder: &Path, root: &RootKey) -> Result<Self, KeysError> {
        let nations = NationKeys::open(&folder.join(NATIONS), root)?;
        let cells = Cells::open(&folder.join(SUBJECTS))?;
        Ok(Self { nations, cells, log: LogKeys::open(&folder.join(LOG), root)? })
    }

    /// Makes the log's keys, where a folder is from before there were any.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn make_log(folder: &Path, root: &RootKey, ambient: &Ambient) -> io::Result<()> {
        LogKeys::create(&folder.join(LOG), root, ambient)
    }

    /// Are the log's keys there?
    pub(crate) fn has_log(folder: &Path) -> bool {
        folder.join(LOG).is_file()
    }

    /// The log's keys.
    pub(crate) fn log(&self) -> &LogKeys {
        &self.log
    }

    /// The key under which those of generations are wrapped.
    pub(crate) fn generations(&self) -> &SealingKey {
        self.nations.generations()
    }

    /// The root key, for what belongs to no nation: backups.
    pub(crate) fn root(&self) -> &SealingKey {
        self.nations.root()
    }

    /// Makes a key for a new subject. It is durable after the next [`Self::settle`].
    ///
    /// # Errors
    /// When the nation has no key yet and it cannot be written.
    pub(crate) fn make(&self, holder: Holder<'_>, ambient: &Ambient) -> io::Result<TemplateKey> {
        let under = self.nations.get_or_make(holder.owner, ambient)?;
        let bytes: KeyBytes = Zeroizing::new(ambient.random());
        let wrapped = under.seal(ambient, &about(&holder), &*bytes);
        let wrapped = wrapped.as_slice().try_into().expect("a key of this length, wrapped");
        self.cells.put(number(holder.row), wrapped);
        Ok(TemplateKey { subject: holder.subject, key: SealingKey::new(&bytes) })
    }

    /// The key of a subject.
    pub(crate) fn of(&self, holder: Holder<'_>) -> Result<TemplateKey, NoKey> {
        let under = self.nations.get(holder.owner).ok_or(NoKey::Damaged)?;
        let bytes = self.cells.key(number(holder.row), &under, &about(&holder))?;
        Ok(TemplateKey { subject: holder.subject, key: SealingKey::new(&bytes) })
    }

    /// Destroys a subject's key. It is gone for good after the next [`Self::settle`].
    pub(crate) fn destroy(&self, row: i64) {
        self.cells.destroy(number(row));
    }

    /// Was it destroyed?
    pub(crate) fn is_destroyed(&self, row: i64) -> io::Result<bool> {
        self.cells.is_destroyed(number(row))
    }

    /// Makes what was made and destroyed durable.
    ///
    /// # Errors
    /// When it cannot be written or synced.
    pub(crate) fn settle(&self) -> io::Result<()> {
        self.cells.settle()
    }

    /// Forgets what was made and destroyed since the last [`Self::settle`].
    pub(crate) fn forget(&self) {
        self.cells.forget();
    }
}

fn number(row: i64) -> u64 {
    u64::try_from(row).expect("rows are numbered from 1")
}

fn about<'a>(holder: &'a Holder<'_>) -> [&'a [u8]; 3] {
    [b"limen/subject-key/v1", holder.subject.as_bytes(), holder.owner.as_str().as_bytes()]
}

/// A file beside a data folder: the folder's name with an ending.
pub(crate) fn beside(folder: &Path, ending: &str) -> PathBuf {
    let mut path = folder.components().as_path().as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// The key of one subject's templates.
#[derive(Debug)]
pub(crate) struct TemplateKey {
    subject: SubjectId,
    key: SealingKey,
}

impl TemplateKey {
    /// Whose.
    pub(crate) fn subject(&self) -> SubjectId {
        self.subject
    }

    /// Features at rest.
    pub(crate) fn seal(&self, ambient: &Ambient, id: EncounterId, model: &str, plain: &[u8]) -> Vec<u8> {
        self.key.seal(ambient, &self.about(&id, model), plain)
    }

    /// The features, if they are those of this encounter as they were sealed.
    pub(crate) fn open(&self, id: EncounterId, model: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.key.open(&self.about(&id, model), sealed)
    }

    fn about<'a>(&'a self, id: &'a EncounterId, model: &'a str) -> [&'a [u8]; 4] {
        [b"limen/template/v1", id.as_bytes(), self.subject.as_bytes(), model.as_bytes()]
    }
}
