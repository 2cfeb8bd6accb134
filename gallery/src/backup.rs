//! Backups: record and log as they were after one event, taken while the node serves; keys apart from what they open. Generations
//! are left out: they are derived. docs/formats/backup.md draws them.

use crate::{
    authority::{Actor, Caller},
    event::What,
    gallery::{Gallery, LOG_FOLDER},
    id::{JobId, RecordSequence},
    keys::{self, KeysError, root::RootKey, seal::Unvouched},
    record::{self, StoreError, WriteError},
    room,
    timestamp::Timestamp,
};
use audit::{
    excerpt,
    hash::{Hash, sha256},
    log::AppendError,
    storage::{Disk, publish, sync_folder},
    verify::VerifyError,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

const VERSION: u32 = 1;
/// Written last: a folder without it is no backup.
const MANIFEST: &str = "backup.json";
pub(crate) const LEDGER: &str = "erasures";

/// Why no backup was made, or it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It would be written over something.
    #[error("{0} is there already")]
    Exists(PathBuf),
    /// There is none.
    #[error("{0} is not a backup, or one that was not finished")]
    Missing(PathBuf),
    /// It is not what was written.
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    /// It was made under another root key.
    #[error("the backup was made under another root key, or its manifest was changed")]
    OtherRoot,
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The log cannot be copied.
    #[error(transparent)]
    Log(#[from] VerifyError),
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The node is at fault.
    #[error(transparent)]
    Node(#[from] WriteError),
}

impl From<StoreError> for BackupError {
    fn from(error: StoreError) -> Self {
        Self::Node(error.into())
    }
}

impl From<AppendError> for BackupError {
    fn from(error: AppendError) -> Self {
        Self::Node(error.into())
    }
}

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    version: u32,
    /// Is it one of keys, or of the rest?
    pub keys: bool,
    /// When it was made.
    pub made_at: Timestamp,
    /// Up to which event of the record.
    pub as_of: RecordSequence,
    /// Leaves of the log.
    pub log_size: u64,
    /// Root of the log's tree.
    pub log_root: String,
    /// SHA-256 of each file.
    pub(crate) files: BTreeMap<String, String>,
}

/// Copies record and log into a new folder, and keys into another if asked for. The node serves meanwhile.
///
/// # Errors
/// When a folder is there already, or something cannot be read or written.
pub fn backup(
    gallery: &Gallery,
    caller: &Caller,
    to: &Path,
    keys_to: Option<&Path>,
) -> Result<Backup, BackupError> {
    backup_as(gallery, &caller.into(), to, keys_to)
}

/// Makes the backup of a job, where the node keeps them; returns what was made, in words. What a stop left of it is made anew.
pub(crate) fn of_job(gallery: &Gallery, actor: &Actor, id: JobId) -> Result<String, BackupError> {
    let missing = || BackupError::Missing(PathBuf::from("the folder for backups"));
    let backups = gallery.backups.as_ref().ok_or_else(missing)?;
    let (to, keys) =
        (backups.to.join(id.to_string()), backups.keys.as_ref().map(|keys| keys.join(id.to_string())));
    let whole = |folder: &PathBuf| folder.join(MANIFEST).is_file();
    if whole(&to) && keys.as_ref().is_none_or(whole) {
        return Ok(format!("{}, made before", to.display())); // and only its end not written
    }
    let remove = || -> Result<(), BackupError> {
        for folder in [Some(&to), keys.as_ref()].into_iter().flatten().filter(|folder| folder.is_dir()) {
            fs::remove_dir_all(folder).map_err(|error| BackupError::Io { path: folder.clone(), error })?;
        }
        Ok(())
    };
    remove()?;
    // Beside the reserve: on the data folder's disk it would take the log's room.
    let parts = [record::FILE_NAME, LOG_FOLDER, keys::FOLDER].map(|part| length(&gallery.folder.join(part)));
    let (room, wanted) = (room::of(&backups.to, gallery.reserve_bytes), parts.iter().sum::<u64>());
    if room.is_ok_and(|room| room.free_bytes < room.reserve_bytes.saturating_add(wanted)) {
        return Err(StoreError::Full.into());
    }
    let made = backup_as(gallery, actor, &to, keys.as_deref());
    if made.is_err() {
        let _ = remove(); // half a backup is of no use, and takes room
    }
    Ok(format!("{}, up to event {} of the record", to.display(), made?.as_of.0))
}

/// Bytes of a file, or of the files in a folder.
fn length(path: &Path) -> u64 {
    match fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| length(&entry.path())).sum(),
        Err(_) => fs::metadata(path).map_or(0, |meta| meta.len()),
    }
}

fn backup_as(
    gallery: &Gallery,
    actor: &Actor,
    to: &Path,
    keys_to: Option<&Path>,
) -> Result<Backup, BackupError> {
    for folder in [Some(to), keys_to].into_iter().flatten() {
        if folder.exists() {
            return Err(BackupError::Exists(folder.to_owned()));
        }
    }
    make_folder(to)?;
    let as_of = gallery.store.copy_to(&to.join(record::FILE_NAME))?;
    // The log is copied after the store, up to the store's last event, and the ledger and the keys after both: whom the store
    // still holds and they do not, a restored folder erases.
    let log = Disk::open(&gallery.folder.join(LOG_FOLDER)).map_err(VerifyError::Io)?;
    let mut log_to = Disk::open(&to.join(LOG_FOLDER)).map_err(VerifyError::Io)?;
    let head = excerpt::write(&log, &mut log_to, |leaf| leaf.tag > as_of.0)?;
    let manifest = Backup {
        version: VERSION,
        keys: false,
        made_at: gallery.ambient.clock.now(),
        as_of,
        log_size: head.tree.size(),
        log_root: head.tree.root().to_string(),
        files: BTreeMap::new(),
    };
    // Before it is whole: no copy is without its event.
    let with_keys = keys_to.is_some();
    gallery.log_event(actor, |_| What::Backup { as_of, with_keys })?;
    if let Some(keys_to) = keys_to {
        make_folder(keys_to)?;
        for name in keys::FILES {
            copy(&gallery.folder.join(keys::FOLDER).join(name), &keys_to.join(name))?;
        }
        seal(gallery, keys_to, &Backup { keys: true, ..manifest.clone() })?;
    }
    // Last of all: whom keys or record still hold, it names.
    copy(&gallery.ledger_path, &to.join(LEDGER))?;
    seal(gallery, to, &manifest)?;
    Ok(manifest)
}

/// Reads a backup's manifest, and compares every file with it.
///
/// # Errors
/// When it is not there, not whole, or made under another root key.
pub(crate) fn check(folder: &Path, root: &RootKey) -> Result<Backup, BackupError> {
    let path = folder.join(MANIFEST);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(BackupError::Missing(folder.to_owned()));
        }
        bytes => bytes.map_err(|error| BackupError::Io { path, error })?,
    };
    let bad = || BackupError::Damaged(MANIFEST.to_owned());
    let json = root.sealing().vouched(ABOUT, &bytes).map_err(|error| match error {
        Unvouched::Malformed => bad(),
        Unvouched::Unsealed => BackupError::OtherRoot,
    })?;
    let manifest: Backup = serde_json::from_slice(json).map_err(|_| bad())?;
    if manifest.version != VERSION {
        return Err(bad());
    }
    for (name, digest) in &manifest.files {
        if digest_of(&folder.join(name))?.to_string() != *digest {
            return Err(BackupError::Damaged(name.clone()));
        }
    }
    Ok(manifest)
}

const ABOUT: &[u8] = b"limen/backup/v1";

fn seal(gallery: &Gallery, folder: &Path, manifest: &Backup) -> Result<(), BackupError> {
    let manifest = Backup { files: digests(folder, folder)?, ..manifest.clone() };
    let json = serde_json::to_vec(&manifest).expect("a manifest has text keys");
    let bytes = gallery.keys.root().vouch(gallery.ambient.random(), ABOUT, json);
    let path = folder.join(MANIFEST);
    publish(&path, &bytes).map_err(|error| BackupError::Io { path, error })
}

/// The digest of every file in a folder and the folders in it, by path.
fn digests(folder: &Path, base: &Path) -> Result<BTreeMap<String, String>, BackupError> {
    let failed = |error| BackupError::Io { path: folder.to_owned(), error };
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            all.extend(digests(&path, base)?);
        } else if let Some(name) = path.strip_prefix(base).ok().and_then(Path::to_str) {
            all.insert(name.to_owned(), digest_of(&path)?.to_string());
        }
    }
    Ok(all)
}

fn digest_of(path: &Path) -> Result<Hash, BackupError> {
    let failed = |error| BackupError::Io { path: path.to_owned(), error };
    let mut file = File::open(path).map_err(failed)?;
    // A hash of the hashes of parts, so that no file is held in memory.
    let (mut hashes, mut part) = (Vec::new(), Vec::with_capacity(PART));
    loop {
        part.clear();
        (&mut file).take(PART as u64).read_to_end(&mut part).map_err(failed)?;
        if part.is_empty() {
            return Ok(sha256(&[&hashes]));
        }
        hashes.extend(sha256(&[&part]).0);
    }
}

const PART: usize = 1 << 20;

/// Makes a folder that only its owner can enter.
pub(crate) fn make_folder(folder: &Path) -> Result<(), BackupError> {
    let failed = |error| BackupError::Io { path: folder.to_owned(), error };
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir(folder).map_err(failed)?;
    fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).map_err(failed)?;
    sync_folder(parent).map_err(failed)
}

/// Copies a file, durably, by plain writes: `fs::copy` would leave them to the system.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), BackupError> {
    let copied = || {
        let (mut from, mut part) = (File::open(from)?, vec![0; PART]);
        let mut options = File::options();
        let options = options.write(true).create(true).truncate(true);
        let mut to_file = std::os::unix::fs::OpenOptionsExt::mode(options, 0o600).open(to)?;
        loop {
            match from.read(&mut part)? {
                0 => break,
                length => io::Write::write_all(&mut to_file, &part[..length])?,
            }
        }
        to_file.sync_all()?;
        to.parent().map_or(Ok(()), sync_folder)
    };
    copied().map_err(|error| BackupError::Io { path: to.to_owned(), error })
}
