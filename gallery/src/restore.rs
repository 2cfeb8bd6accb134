//! Restoring: a backup becomes a data folder. What the folder in its place knew beyond the backup is lost, and named; whom the
//! ledger calls erased stays erased.

use crate::{
    administer,
    ambient::Ambient,
    authority::Actor,
    backup::{self, Backup, BackupError},
    erase,
    event::{Event, What},
    evidence,
    gallery::{Gallery, LOG_FOLDER},
    generation::manifest,
    id::{GrantId, RecordSequence},
    keys::{self, Keys, KeysError, ledger::Ledger, root::RootKey},
    misuse,
    open::{OpenError, Searching, Setup},
    record::{WriteError, recover::RecoverError},
};
use audit::{
    anchor::{Anchor, AnchorError},
    storage::{self, Disk},
    verify,
};
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

/// Why nothing was restored. The folder that was there is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is a folder, and nobody said that it may be replaced.
    #[error("{folder} is there: what it knows beyond the backup would be lost ({lost})")]
    Exists {
        /// Which.
        folder: PathBuf,
        /// What.
        lost: Lost,
    },
    /// Neither the folder that is there nor a backup of keys has them.
    #[error("there are no keys: give the keys' backup")]
    NoKeys,
    /// The backup cannot be used.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// What was restored cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What was restored is not whole.
    #[error(transparent)]
    Check(#[from] RecoverError),
    /// The node is at fault.
    #[error(transparent)]
    Node(#[from] WriteError),
}

/// What is lost by a restoration: the events of the record after the backup's, and leaves of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The backup's last event.
    pub restored: RecordSequence,
    /// The last event that anyone knows of: the log of the folder in its place, or the anchor.
    pub known: RecordSequence,
    /// Leaves of the log after the backup's.
    pub leaves: u64,
    /// Grants that were taken back since: they are taken back again.
    pub revoked: BTreeSet<GrantId>,
    /// Leaves after the backup's that cannot be read, for want of keys: grants that were taken back in them live again.
    pub unread: u64,
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { restored, known, leaves, unread, .. } = self;
        if known > restored {
            write!(f, "events {} to {} of the record, {leaves} leaves of the log", restored.0 + 1, known.0)?;
        } else {
            write!(f, "no event of the record, {leaves} leaves of the log")?;
        }
        match unread {
            0 => Ok(()),
            _ => write!(
                f,
                "; {unread} of them cannot be read: look at the grants, some may have been taken back"
            ),
        }
    }
}

/// What was restored.
#[derive(Clone, Debug)]
pub struct Restored {
    /// From which backup.
    pub backup: Backup,
    /// What is lost.
    pub lost: Lost,
    /// Where the folder that was in its place is now, without its keys.
    pub replaced: Option<PathBuf>,
}

/// From what is restored, and to where.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// The backup.
    pub from: &'a Path,
    /// The backup of keys; without it, those of the folder in its place are kept.
    pub keys: Option<&'a Path>,
    /// The data folder.
    pub folder: &'a Path,
    /// May a folder that is there be replaced?
    pub replace: bool,
    /// The anchor, which is then made anew.
    pub anchor: Option<&'a Path>,
    /// The ledger of erasures, if it is not beside the folder.
    pub ledger: Option<&'a Path>,
}

/// In a restored folder: it is whole.
const COMPLETE: &str = "restored";

/// Makes a data folder of a backup. Everything is made and checked beside the folder that is there, and takes its place at the end.
///
/// # Errors
/// When the backup, keys or ledger cannot be used, a folder is there and may not be replaced, or something cannot be written.
pub fn restore(order: &Order<'_>, root: &RootKey, ambient: &Ambient) -> Result<Restored, RestoreError> {
    let Order { from, keys, folder, replace, anchor, ledger } = *order;
    let manifest = backup::check(from, root)?;
    if manifest.keys {
        return Err(BackupError::Missing(from.to_owned()).into());
    }
    let making = beside(folder, ".restoring");
    // A stop came after the folder that was there had made room: what takes its place is whole.
    if !folder.exists() && making.join(COMPLETE).is_file() {
        storage::rename_folder(&making, folder).map_err(|error| failed(folder, error))?;
    }
    let keys_there = folder.join(keys::FOLDER);
    let keys_of_folder = Keys::open(&keys_there, root).ok();
    match keys {
        Some(keys) => drop(backup::check(keys, root)?),
        None if keys_of_folder.is_some() => (),
        None => return Err(RestoreError::NoKeys),
    }
    let of_backup = keys.and_then(|keys| Keys::open(keys, root).ok());
    let known: Vec<&Keys> = [keys_of_folder.as_ref(), of_backup.as_ref()].into_iter().flatten().collect();
    let lost = lost(&manifest, folder, anchor, &known);
    if folder.exists() && !replace {
        return Err(RestoreError::Exists { folder: folder.to_owned(), lost });
    }
    let _lock = if folder.exists() { Some(crate::open::lock(folder)?) } else { None };
    if making.exists() {
        fs::remove_dir_all(&making).map_err(|error| failed(&making, error))?;
    }
    backup::make_folder(&making)?;
    backup::make_folder(&making.join(LOG_FOLDER))?;
    backup::make_folder(&making.join(keys::FOLDER))?;
    // What the manifest names, and nothing else.
    for name in manifest.files.keys().filter(|name| *name != backup::LEDGER) {
        backup::copy(&from.join(name), &making.join(name))?;
    }
    let keys_from = keys.map_or(keys_there, Path::to_owned);
    // A backup from before the log had keys has none of them: another log key is made, and a witness says so.
    for name in keys::FILES.into_iter().filter(|name| *name != keys::LOG || keys_from.join(name).is_file()) {
        backup::copy(&keys_from.join(name), &making.join(keys::FOLDER).join(name))?;
    }
    let ledger = ledger.map_or_else(|| Ledger::beside(folder), Path::to_owned);
    Ledger::unite(&ledger, &from.join(backup::LEDGER)).map_err(OpenError::from)?;
    let (index, searching) = (crate::Index::Unsearched, Searching::Never);
    let setup = Setup { index, searching, ledger: Some(ledger), ..Setup::new(root.clone(), 1) };
    let gallery = Gallery::open(&making, setup, ambient.clone())?;
    erase::destroy_again(&gallery)?;
    administer::revoke_again(&gallery, &lost.revoked)?;
    gallery.check()?;
    let (known, leaves) = (lost.known, lost.leaves);
    let what = What::Restore { as_of: manifest.as_of, known, leaves, made_at: manifest.made_at };
    gallery.log_event(&Actor::node(), |_| what).map_err(WriteError::from)?;
    let head = gallery.log.head();
    drop(gallery);
    let complete = making.join(COMPLETE);
    storage::publish(&complete, b"").map_err(|error| failed(&complete, error))?;
    let replaced = put_in_place(&making, folder)?;
    if let Some(anchor) = anchor {
        Anchor::replace(anchor, &head).map_err(OpenError::Anchor)?;
    }
    Ok(Restored { backup: manifest, lost, replaced })
}

/// What is known beyond the backup: by the log of the folder that is there, as far as it can be read, and by the anchor.
fn lost(manifest: &Backup, folder: &Path, anchor: Option<&Path>, keys: &[&Keys]) -> Lost {
    let (mut known, mut size) = (manifest.as_of.0, manifest.log_size);
    let (mut revoked, mut unread) = (BTreeSet::new(), 0);
    if folder.join(LOG_FOLDER).is_dir()
        && let Ok(log) = Disk::open(&folder.join(LOG_FOLDER))
    {
        // Until where it is damaged, if it is.
        let mut count = 0;
        let _ = verify::verify(&log, |_, leaf| {
            known = known.max(leaf.tag);
            count += 1;
            // Whatever their numbers: after an earlier restoration they may be lower than the backup's.
            match keys.iter().find_map(|keys| evidence::event(keys.log(), leaf)) {
                Some(Event { what: What::RevokeGrant { grant }, .. }) => drop(revoked.insert(grant)),
                None if count > manifest.log_size => unread += 1,
                _ => (),
            }
        });
        size = size.max(count);
    }
    if let Some(Ok(anchor)) = anchor.map(Anchor::open) {
        known = known.max(anchor.mark().last_tag);
        size = size.max(anchor.mark().size);
    }
    let leaves = size - manifest.log_size;
    Lost { restored: manifest.as_of, known: RecordSequence(known), leaves, revoked, unread }
}

/// The folder that is there, if any, keeps all but its keys, under another name.
fn put_in_place(making: &Path, folder: &Path) -> Result<Option<PathBuf>, RestoreError> {
    let mut replaced = None;
    if folder.exists() {
        let numbered = |n: u32| beside(folder, &format!(".replaced-{n}"));
        let name = (1..=u32::MAX).map(numbered).find(|path| !path.exists());
        let name = name.expect("there are more numbers than folders");
        storage::rename_folder(folder, &name).map_err(|error| failed(&name, error))?;
        replaced = Some(name);
    }
    storage::rename_folder(making, folder).map_err(|error| failed(folder, error))?;
    // At last, so that a stop before leaves them: a second copy of the keys, or of what other keys open, would outlive an erasure.
    for name in [keys::FOLDER, manifest::FOLDER] {
        if let Some(part) = replaced.as_ref().map(|replaced| replaced.join(name)).filter(|part| part.is_dir())
        {
            fs::remove_dir_all(&part).map_err(|error| failed(&part, error))?;
        }
    }
    if let Some(replaced) = &replaced {
        misuse::forget_all(replaced).map_err(|error| failed(replaced, error))?;
    }
    Ok(replaced)
}

fn beside(folder: &Path, ending: &str) -> PathBuf {
    keys::beside(folder, ending)
}

fn failed(path: &Path, error: io::Error) -> RestoreError {
    RestoreError::Io { path: path.to_owned(), error }
}

impl From<KeysError> for RestoreError {
    fn from(error: KeysError) -> Self {
        Self::Open(error.into())
    }
}

impl From<AnchorError> for RestoreError {
    fn from(error: AnchorError) -> Self {
        Self::Open(error.into())
    }
}
