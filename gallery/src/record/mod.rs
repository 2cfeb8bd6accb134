//! The store: an embedded SQLite database, the source of truth. SQL stands only in this folder.

pub(crate) mod answer;
pub(crate) mod begin;
pub(crate) mod calibrations;
pub(crate) mod catalogue;
pub(crate) mod catch_up;
pub(crate) mod change;
pub(crate) mod check;
mod codec;
mod commit;
pub(crate) mod grants;
pub(crate) mod jobs;
pub(crate) mod kept;
pub(crate) mod moves;
pub(crate) mod person;
pub(crate) mod read;
pub mod recover;
pub(crate) mod retention;
pub(crate) mod standing;
pub(crate) mod writer;

use crate::{
    clock::ClockBack,
    id::RecordSequence,
    keys::{Keys, KeysError},
};
use audit::log::AppendError;
use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
    config::DbConfig,
};
use std::{
    ops::Deref,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError},
};

/// The database's file name in a data folder.
pub const FILE_NAME: &str = "limen.db";

/// Why the store does not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// SQLite undid a transaction by itself, and not for want of room.
    #[error("the store undid a transaction by itself")]
    Aborted,
    /// More encounters than whoever opened the gallery allows.
    #[error("no more than {0} encounters may be on record here")]
    TooMany(u64),
    /// Another process holds the store's lock.
    #[error("another process holds the store's lock")]
    Locked,
    /// SQLite says why.
    #[error("the store failed: {0}")]
    Sql(rusqlite::Error),
    /// The keys cannot be read or written.
    #[error("the keys cannot be used: {0}")]
    Keys(std::io::Error),
    /// The subject's key was destroyed: it was erased, perhaps while this was read.
    #[error("the key of {0} was destroyed: the subject was erased")]
    Erased(crate::id::SubjectId),
    /// The subject's encounter was moved to another while it was searched.
    #[error("an encounter of {0} was moved to another subject; ask again")]
    Moved(crate::id::SubjectId),
    /// A record is not what was written.
    #[error("the store is damaged: {0}; restore a backup")]
    Damaged(String),
}

impl StoreError {
    /// May the same succeed later, without a restart?
    pub(crate) fn passing(&self) -> bool {
        matches!(self, Self::Full | Self::Locked)
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Keys(error),
        }
    }
}

impl From<KeysError> for StoreError {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::Io(error) => error.into(),
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full,
            Some(rusqlite::ErrorCode::DatabaseBusy) => Self::Locked,
            _ => Self::Sql(error),
        }
    }
}

/// Why a change was not made, or not known to be made.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Too many wait already.
    #[error("too many changes are waiting")]
    Busy,
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It shared a transaction with a change that the store did not take.
    #[error("the store could not take the change now")]
    Undone,
    /// The log did not take its event: the change stands, and its event is appended as soon as possible.
    #[error(transparent)]
    Log(#[from] AppendError),
    /// The clock went back: how long anybody may be searched is not known.
    #[error(transparent)]
    Clock(#[from] ClockBack),
    /// The writer has stopped after a failed sync.
    #[error("the store is poisoned by a failed commit; restart the node")]
    Poisoned,
}

/// One consistent state of the record, to be read, and what its templates are opened with.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    connection: &'a Connection,
    keys: &'a Keys,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(connection: &'a Connection, keys: &'a Keys) -> Self {
        Self { connection, keys }
    }

    pub(crate) fn keys(&self) -> &Keys {
        self.keys
    }
}

impl Deref for Reading<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

/// How long a connection waits for another's lock.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Connections that may read at a time; further readers wait.
const READERS: usize = 16;

/// Read connections to the store. Writing goes through [`writer::Writer`] alone.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    keys: Arc<Keys>,
    places: Mutex<Places>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Places {
    taken: usize,
    idle: Vec<Connection>,
}

impl Store {
    pub(crate) fn new(path: PathBuf, keys: Arc<Keys>) -> Self {
        Self { path, keys, places: Mutex::default(), freed: Condvar::new() }
    }

    /// Reads one consistent state of the record.
    pub(crate) fn read<T, E: From<StoreError>>(
        &self,
        read: impl FnOnce(&Reading<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut place = self.take();
        let mut connection = match place.connection.take() {
            Some(connection) => connection,
            None => open_for_reading(&self.path).map_err(|error| E::from(error.into()))?,
        };
        let transaction = connection.transaction().map_err(|error| E::from(error.into()))?;
        let result = read(&Reading::new(&transaction, &self.keys));
        // Nothing was written: ending it cannot lose anything.
        let ended = transaction.finish();
        place.connection = ended.is_ok().then_some(connection);
        result
    }

    /// Copies one consistent state of the record into a new file, durably; returns its last event. Writing goes on meanwhile.
    pub(crate) fn copy_to(&self, path: &Path) -> Result<RecordSequence, StoreError> {
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let from = open_for_reading(&self.path)?;
        let mut to = Connection::open(path)?;
        to.pragma_update(None, "synchronous", "FULL")?;
        // In one step, so that it is one state.
        match Backup::new(&from, &mut to)?.step(-1)? {
            StepResult::Done => (),
            _ => return Err(StoreError::Locked),
        }
        to.pragma_update(None, "journal_mode", "DELETE")?; // one file
        to.pragma_update(None, "secure_delete", "ON")?;
        kept::leave_out_pending(&to)?;
        let sequence = answer::sequence(&to)?;
        drop(to);
        std::fs::File::open(path)?.sync_all()?;
        Ok(sequence)
    }

    fn take(&self) -> Place<'_> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |places: &mut Places| places.taken == READERS;
        let mut places = self.freed.wait_while(places, full).unwrap_or_else(PoisonError::into_inner);
        places.taken += 1;
        Place { store: self, connection: places.idle.pop() }
    }
}

/// A reader's place, given back when it is dropped.
struct Place<'a> {
    store: &'a Store,
    connection: Option<Connection>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut places = self.store.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.taken -= 1;
        places.idle.extend(self.connection.take());
        self.store.freed.notify_one();
    }
}

fn open_for_reading(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(64);
    codec::define_row_sum(&connection)?;
    Ok(connection)
}

/// The writing connection. With `create`, a database that is not there is made.
pub(crate) fn open_for_writing(path: &Path, create: bool) -> Result<Connection, StoreError> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(128);
    codec::define_row_sum(&connection)?;
    // Otherwise a statement that a partial index may serve is planned anew each time it is bound.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Before the first table: a template of 512 f32 and its row fill an eighth of a page.
    connection.pragma_update(None, "page_size", 16_384)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // In pages: a bulk enrolment copies each of its pages into the main file once, not at every commit.
    connection.pragma_update(None, "wal_autocheckpoint", 4096)?;
    // What a savepoint may have to undo stands in memory, and a large transaction is written when it is whole.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -65_536)?; // KiB
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    refinery::Runner::new(&migrations()?)
        .run(&mut connection)
        .map_err(|error| StoreError::Damaged(format!("its schema: {error}")))?;
    Ok(connection)
}

/// Every schema that a store had, and the last.
fn migrations() -> Result<[refinery::Migration; 7], StoreError> {
    let migration = |name: &str, sql: &str| {
        refinery::Migration::unapplied(name, sql).map_err(|error| StoreError::Damaged(error.to_string()))
    };
    Ok([
        migration("V1__first", include_str!("migrations/V1__first.sql"))?,
        migration("V2__moves", include_str!("migrations/V2__moves.sql"))?,
        migration("V3__grants", include_str!("migrations/V3__grants.sql"))?,
        migration("V4__handling", include_str!("migrations/V4__handling.sql"))?,
        migration("V5__sealed_events", include_str!("migrations/V5__sealed_events.sql"))?,
        migration("V6__gates", include_str!("migrations/V6__gates.sql"))?,
        migration("V7__calibrations", include_str!("migrations/V7__calibrations.sql"))?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{handling::Grading, watchlist::Gates};
    use rusqlite::params;

    /// As a store was before entries had terms and events were sealed.
    fn third(path: &Path) -> Connection {
        let mut connection = Connection::open(path).unwrap();
        codec::define_row_sum(&connection).unwrap();
        let target = refinery::Target::Version(3);
        refinery::Runner::new(&migrations().unwrap()).set_target(target).run(&mut connection).unwrap();
        let model = change::model_checksum("m", 4, None);
        connection.execute("INSERT INTO model VALUES (1, 'm', 4, NULL, ?1)", [model]).unwrap();
        for (key, handling) in [(1u8, "H1"), (2, "H3")] {
            let sql = "INSERT INTO watchlist (key, id, owner, name, purposes, legal_bases, handling, categories, model, threshold, \
                       retention_days, review_days, created_at, checksum) VALUES (?1, ?2, 'UTO', ?3, 'border_control', 'eu_2018_1861', ?3, \
                       'wanted', 1, 0.5, 9, 9, 7, row_sum(?2, 'UTO', ?3, 'border_control', 'eu_2018_1861', ?3, 'wanted', 1, 0.5, 9, 9, 7))";
            connection.execute(sql, params![key, [key; 16], handling]).unwrap();
        }
        let subject = "INSERT INTO subject VALUES (1, ?1, 'UTO', 'a', 7, NULL, NULL, NULL, NULL, 1, \
                       row_sum(?1, 'UTO', 'a', 7, NULL, NULL, NULL, NULL, 1))";
        connection.execute(subject, [[5u8; 16]]).unwrap();
        let entry =
            "INSERT INTO entry VALUES (1, 1, 'wanted', 7, 8, 8, 0, row_sum(1, 1, 'wanted', 7, 8, 8, 0))";
        connection.execute(entry, []).unwrap();
        connection
            .execute("INSERT INTO outbox VALUES (1, ?1, ?2)", params![[3u8; 32], b"{}".to_vec()])
            .unwrap();
        connection
    }

    #[test]
    fn a_store_of_before_is_taken_on_as_it_was() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(FILE_NAME);
        drop(third(&path));
        let connection = open_for_writing(&path, false).unwrap();
        check::row_sums(&connection).unwrap();
        let handling: Vec<String> = {
            let catalogue = read::catalogue(&connection).unwrap();
            let mut lists: Vec<_> = catalogue.values().collect();
            lists.sort_by_key(|list| list.id);
            assert!(lists.iter().all(|list| list.policy.defaults.grading == Grading::UNKNOWN));
            assert!(
                lists.iter().all(|list| list.policy.gates == Gates::default() && list.policy.fpir.is_none())
            );
            lists.iter().map(|list| list.policy.defaults.handling.to_string()).collect()
        };
        assert_eq!(handling, ["H1", "H3: ask the owner"]);
        let leaf = read::outbox(&connection).unwrap().remove(0);
        assert_eq!(leaf.commitment, audit::hash::commitment(&[3; 32], b"{}"));
        assert_eq!(leaf.payload, [&[0], [3u8; 32].as_slice(), b"{}"].concat());
    }

    #[test]
    fn a_row_that_was_damaged_before_is_so_after() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(FILE_NAME);
        third(&path).execute("UPDATE entry SET category = 'missing'", []).unwrap();
        assert!(check::row_sums(&open_for_writing(&path, false).unwrap()).is_err());
    }

    #[test]
    fn a_watchlist_that_was_damaged_before_is_so_after() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(FILE_NAME);
        third(&path).execute("UPDATE watchlist SET threshold = 0.1 WHERE key = 1", []).unwrap();
        assert!(read::catalogue(&open_for_writing(&path, false).unwrap()).is_err());
    }
}
