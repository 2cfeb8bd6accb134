//! Making and opening data folders.

use crate::{
    ambient::Ambient,
    clock::{Awaiting, Watch},
    cosigned::Cosigned,
    erase,
    gallery::{Backups, Gallery, LOG_FOLDER, TILES_FOLDER},
    generation::{Current, Index, Site, files::Yard},
    idempotency::Claims,
    job::Running,
    keys::{self, Keys, KeysError, ledger::Ledger, root::RootKey},
    misuse::{self, Guard},
    rebuild,
    record::{
        self, Reading, Store, StoreError, WriteError, answer, begin, grants, kept,
        recover::{self, RecoverError},
        writer::{Beside, Writer},
    },
    register::Register,
    room,
    timestamp::Timestamp,
};
use audit::{
    anchor::{Anchor, AnchorError},
    log::Log,
    storage::{Disk, Storage},
    verify::VerifyError,
};
use matcher::kernel::Kernel;
use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    ops::ControlFlow,
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
    /// A part of it is not there.
    #[error("{0} lacks its store, its log or its keys: is a disk missing? Otherwise restore a backup")]
    Incomplete(PathBuf),
    /// There is one already, or what is left of one.
    #[error("{0} is a data folder already, or what is left of one")]
    Exists(PathBuf),
    /// Another process has it open.
    #[error("another process has this data folder open")]
    Locked,
    /// The operating system says why.
    #[error("the data folder cannot be used: {0}")]
    Io(#[from] io::Error),
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// What is remembered of searches cannot be read or written.
    #[error("{path} cannot be used: {error}; without it, what callers have asked is forgotten")]
    Searches {
        /// Where it is.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Record and log cannot be used together.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The anchor cannot be used.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
}

/// How a gallery is opened.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The key of the data folder's keys.
    pub root: RootKey,
    /// Threads that a scan may use.
    pub threads: usize,
    /// How references are searched.
    pub index: Index,
    /// A file outside of the data folder that knows the audit log's head. No answer is given before it does.
    pub anchor: Option<PathBuf>,
    /// The ledger of erasures; by default beside the data folder.
    pub ledger: Option<PathBuf>,
    /// While less than this is free on the folder's disk, nobody is enrolled and nothing is built.
    pub reserve_bytes: u64,
    /// Where backups are made that a caller asks for, if they may.
    pub backups: Option<Backups>,
    /// More encounters than this do not come on record, if it is limited.
    pub limit: Option<u64>,
    /// Who watches over searches.
    pub searching: Searching,
}

/// Whether callers are watched who search (docs/decisions/0016-misuse.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Searching {
    /// Who searches too often, or with probes that are too much alike, is stopped.
    Guarded,
    /// Callers search as they like, and what was remembered of searches is deleted.
    InsecureUnlimited,
    /// By tools that search for no caller: what is remembered is left alone.
    Never,
}

impl Setup {
    /// An exhaustive search on so many threads, without an anchor.
    pub fn new(root: RootKey, threads: usize) -> Self {
        Self {
            root,
            threads,
            index: Index::Exhaustive,
            anchor: None,
            ledger: None,
            reserve_bytes: room::RESERVE_BYTES,
            backups: None,
            limit: None,
            searching: Searching::Guarded,
        }
    }
}

impl From<VerifyError> for OpenError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Anchor(error) => Self::Anchor(error),
            error => Self::Recover(error.into()),
        }
    }
}

impl Gallery {
    /// Makes an empty data folder. One whose making was interrupted is completed.
    ///
    /// # Errors
    /// When there is one already, or what is left of one, or it cannot be written.
    pub fn create(folder: &Path, root: &RootKey, ambient: &Ambient) -> Result<(), OpenError> {
        Self::must_not_be_there(folder)?;
        make_private(folder)?;
        let _lock = lock(folder)?;
        let database = folder.join(record::FILE_NAME);
        Keys::create(&folder.join(keys::FOLDER), root, ambient)?;
        drop(Log::open(Disk::open(&folder.join(LOG_FOLDER))?)?);
        // Last: with it, it is a data folder.
        private().open(&database)?; // SQLite gives its other files the same mode
        drop(record::open_for_writing(&database, true)?);
        Ok(())
    }

    /// Is nothing lost when a data folder is made here?
    ///
    /// # Errors
    /// When there is one, or what is left of one: a store, keys of subjects, or events of a log.
    pub fn must_not_be_there(folder: &Path) -> Result<(), OpenError> {
        let (keys, log) = (folder.join(keys::FOLDER), folder.join(LOG_FOLDER));
        let store = folder.join(record::FILE_NAME).is_file();
        let events = log.is_dir() && audit::verify::verify(&Disk::open(&log)?, |_, _| ())?.tree.size() > 0;
        if store || events || Keys::has_some(&keys) {
            Err(OpenError::Exists(folder.to_owned()))
        } else {
            Ok(())
        }
    }

    /// Opens a data folder: brings store and log together, and makes what is searched.
    ///
    /// # Errors
    /// When the folder is not there, in use, or damaged, or store, log and anchor contradict each other.
    pub fn open(folder: &Path, setup: Setup, ambient: Ambient) -> Result<Self, OpenError> {
        Self::open_on(folder, setup, ambient, |disk| disk)
    }

    /// The same, with the log on another storage over its folder.
    pub(crate) fn open_on<S: Storage>(
        folder: &Path,
        setup: Setup,
        ambient: Ambient,
        storage: impl FnOnce(Disk) -> S,
    ) -> Result<Self, OpenError> {
        let (database, log_folder) = (folder.join(record::FILE_NAME), folder.join(LOG_FOLDER));
        Self::must_be_whole(folder)?;
        let lock = lock(folder)?;
        let keys = Arc::new(open_keys(folder, &setup.root, &ambient)?);
        // The log first: where it does not reach its anchor, nothing is changed.
        let open = |path: &Path| Anchor::must_be_outside(path, folder).and_then(|()| Anchor::open(path));
        let anchor = setup.anchor.as_deref().map(open).transpose()?;
        let log = Log::open_tiled(storage(Disk::open(&log_folder)?), anchor, &folder.join(TILES_FOLDER))?;
        let log = Arc::new(log);
        let mut connection = record::open_for_writing(&database, false)?;
        recover::settle_store(&connection)?; // before the log is compared with it
        recover::reconcile(&mut connection, &log, &log_folder)?;
        let ledger_path = setup.ledger.clone().unwrap_or_else(|| Ledger::beside(folder));
        let ledger = begin::open_ledger(&connection, &ledger_path)?;
        let pool = scanners(setup.threads)?;
        let kernel = Kernel::detect();
        let site = Site { folder: folder.to_owned(), ambient: ambient.clone(), kernel, index: setup.index };
        let site = Arc::new(site);
        let yard = Yard { data: folder, root: keys.generations(), ambient: &ambient, kernel, pool: &pool };
        let (snapshot, unused) = begin::searched(&mut connection, &keys, &ledger, yard, &site)?;
        let sequence = snapshot.as_of;
        let current = Current::begin(snapshot);
        let cosigned = Cosigned::open(folder, keys.log().signing().verifier());
        let known = answer::clock(&connection)?;
        let guard = guard(folder, &setup, kernel, &ambient, known.max(ambient.clock.now()))?;
        let watch = Arc::new(Watch::since(known));
        let beside = Beside {
            log: Arc::clone(&log),
            current: Arc::clone(&current),
            ambient: ambient.clone(),
            keys: Arc::clone(&keys),
            watch: Arc::clone(&watch),
            limit: setup.limit,
        };
        let writer = Writer::start(connection, sequence, beside)?;
        let gallery = Self {
            writer,
            store: Store::new(database, Arc::clone(&keys)),
            log,
            current,
            pool,
            kernel,
            ambient,
            watch,
            claims: Claims::default(),
            callers: Register::default(),
            keys,
            ledger: Arc::new(ledger),
            ledger_path,
            building: std::sync::Mutex::new(()),
            files: std::sync::RwLock::new(()),
            running: Running::default(),
            awaiting: Awaiting::default(),
            cosigned,
            guard,
            unused,
            folder: folder.to_owned(),
            reserve_bytes: setup.reserve_bytes,
            backups: setup.backups,
            _lock: lock,
        };
        gallery.settled()
    }

    /// Are store, log and keys there?
    fn must_be_whole(folder: &Path) -> Result<(), OpenError> {
        let folders = [LOG_FOLDER, keys::FOLDER].map(|name| folder.join(name).is_dir());
        match (folder.join(record::FILE_NAME).is_file(), folders) {
            (true, [true, true]) => Ok(()),
            (false, [false, false]) => Err(OpenError::Missing(folder.to_owned())),
            _ => Err(OpenError::Incomplete(folder.to_owned())),
        }
    }

    /// With what a stop, or an older copy of the record, left to be erased.
    fn settled(self) -> Result<Self, OpenError> {
        let granted = |store: &Reading<'_>| grants::live(store, None);
        self.callers.refresh(|| self.store.read(granted))?;
        if let Some(due) = self.store.read(|store| kept::next_pending(store))? {
            self.awaiting.until(due);
        }
        let _ = rebuild::tidy(&self); // what cannot be deleted now is in nobody's way
        match erase::replay(&self) {
            // Nobody finds them meanwhile, and the next erasure or start carries them out.
            Ok(()) | Err(WriteError::Store(StoreError::Full) | WriteError::Undone | WriteError::Clock(_)) => {
                Ok(self)
            }
            Err(error) => Err(RecoverError::Write(error).into()),
        }
    }
}

fn scanners(threads: usize) -> io::Result<rayon::ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.thread_name(|index| format!("scan-{index}")).build().map_err(io::Error::other)
}

fn guard(
    folder: &Path,
    setup: &Setup,
    kernel: Kernel,
    ambient: &Ambient,
    now: Timestamp,
) -> Result<Guard, OpenError> {
    let guard = match setup.searching {
        Searching::Guarded => Guard::open(folder, &setup.root, kernel, ambient, now),
        Searching::InsecureUnlimited => Guard::off(folder),
        Searching::Never => Ok(Guard::absent()),
    };
    guard.map_err(|error| OpenError::Searches { path: folder.join(misuse::FILE), error })
}

/// The keys of a folder. One from before the log had keys gets them; where its events are sealed, they were lost.
fn open_keys(folder: &Path, root: &RootKey, ambient: &Ambient) -> Result<Keys, OpenError> {
    let keys = folder.join(keys::FOLDER);
    if !Keys::has_log(&keys) {
        let mut sealed = false;
        audit::verify::walk(&Disk::open(&folder.join(LOG_FOLDER))?, |_, leaf| {
            sealed |= keys::log::is_sealed(leaf);
            if sealed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if sealed {
            return Err(KeysError::Damaged("the log's keys, which are not there,".to_owned()).into());
        }
        Keys::make_log(&keys, root, ambient)?;
    }
    Ok(Keys::open(&keys, root)?)
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

pub(crate) fn lock(folder: &Path) -> Result<File, OpenError> {
    let file = private().open(folder.join(LOCK_FILE))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}
