//! Making and opening data folders.

use crate::{
    ambient::Ambient,
    gallery::{Gallery, LOG_FOLDER},
    generation::{Current, Index, Site},
    idempotency::Claims,
    record::{
        self, Store, StoreError,
        recover::{self, RecoverError},
        writer::Writer,
    },
};
use audit::{
    log::Log,
    storage::{Disk, Storage},
    verify::VerifyError,
};
use matcher::kernel::Kernel;
use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Held by the process that has the folder open.
const LOCK_FILE: &str = "lock";

/// Why a data folder is not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no data folder here.
    #[error("{0} is not a data folder: make one with `limen-index init`")]
    Missing(PathBuf),
    /// There is one already.
    #[error("{0} is a data folder already")]
    Exists(PathBuf),
    /// Another process has it open.
    #[error("another process has this data folder open")]
    Locked,
    /// The operating system says why.
    #[error("the data folder cannot be used: {0}")]
    Io(#[from] io::Error),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Record and log cannot be used together.
    #[error(transparent)]
    Recover(#[from] RecoverError),
}

impl From<VerifyError> for OpenError {
    fn from(error: VerifyError) -> Self {
        Self::Recover(error.into())
    }
}

impl Gallery {
    /// Makes an empty data folder. One whose making was interrupted is completed.
    ///
    /// # Errors
    /// When there is a complete one already, or it cannot be written.
    pub fn create(folder: &Path) -> Result<(), OpenError> {
        make_private(folder)?;
        let _lock = lock(folder)?;
        let database = folder.join(record::FILE_NAME);
        let log_folder = folder.join(LOG_FOLDER);
        if database.is_file() && log_folder.is_dir() {
            return Err(OpenError::Exists(folder.to_owned()));
        }
        private().open(&database)?; // SQLite gives its other files the same mode
        drop(record::open_for_writing(&database, true)?);
        drop(Log::open(Disk::open(&log_folder)?)?);
        Ok(())
    }

    /// Opens a data folder: brings store and log together, and makes what is searched. `threads` is the
    /// number of threads that a scan may use.
    ///
    /// # Errors
    /// When the folder is not there, in use, or damaged, or store and log contradict each other.
    pub fn open(folder: &Path, threads: usize, ambient: Ambient) -> Result<Self, OpenError> {
        Self::open_on(folder, threads, Index::Exhaustive, ambient, |disk| disk)
    }

    /// The same, searched as the administrator asks for.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(
        folder: &Path,
        threads: usize,
        index: Index,
        ambient: Ambient,
    ) -> Result<Self, OpenError> {
        Self::open_on(folder, threads, index, ambient, |disk| disk)
    }

    /// The same, with the log on another storage over its folder.
    pub(crate) fn open_on<S: Storage>(
        folder: &Path,
        threads: usize,
        index: Index,
        ambient: Ambient,
        storage: impl FnOnce(Disk) -> S,
    ) -> Result<Self, OpenError> {
        let (database, log_folder) = (folder.join(record::FILE_NAME), folder.join(LOG_FOLDER));
        if !database.is_file() || !log_folder.is_dir() {
            return Err(OpenError::Missing(folder.to_owned()));
        }
        let lock = lock(folder)?;
        let mut connection = record::open_for_writing(&database, false)?;
        recover::settle_store(&connection)?; // before the log is compared with it
        let generation = recover::next_generation(&mut connection)?;
        let log = Arc::new(Log::open(storage(Disk::open(&log_folder)?))?);
        recover::reconcile(&mut connection, &log, &log_folder)?;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("scan-{index}"))
            .build()
            .map_err(io::Error::other)?;
        let kernel = Kernel::detect();
        let site = Site { folder: folder.to_owned(), kernel, index };
        let snapshot = recover::load(&connection, generation, site)?;
        let sequence = snapshot.as_of;
        let current = Current::begin(snapshot);
        let (writer_log, writer_current) = (Arc::clone(&log), Arc::clone(&current));
        let writer = Writer::start(connection, sequence, writer_log, writer_current, ambient.clone())?;
        Ok(Self {
            writer,
            store: Store::new(database),
            log,
            current,
            pool,
            kernel,
            ambient,
            claims: Claims::default(),
            folder: folder.to_owned(),
            _lock: lock,
        })
    }
}

/// For files that only their owner can read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// A folder that only its owner can enter, also if it was there before.
fn make_private(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    #[cfg(unix)]
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    Ok(())
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let file = private().open(folder.join(LOCK_FILE))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}
