//! The normal way to begin: bring the log up to the store, and make what is searched from the record.

use super::{Reading, StoreError, WriteError, answer, read, standing};
use crate::{
    generation::{Delta, Index, Site, Snapshot},
    id::{GenerationId, RecordSequence, SubjectId},
    keys::{KeysError, ledger::Ledger},
};
use audit::{
    log::Log,
    receipt::Receipt,
    storage::Disk,
    verify::{self, VerifyError},
};
use rusqlite::Connection;
use std::{
    collections::{HashMap, HashSet},
    io,
    path::Path,
    sync::Arc,
};

/// Why record and log cannot be used together.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger of erasures cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The audit log cannot be used.
    #[error(transparent)]
    Log(#[from] VerifyError),
    /// An event that the store holds could not be taken into the log.
    #[error("the record and the audit log could not be brought together: {0}")]
    Write(#[from] WriteError),
    /// The store is an older copy than the log.
    #[error(
        "the audit log holds event {log} of the record, the store ends at {store}: an older copy of the store was put back, or records were lost"
    )]
    StoreBehind {
        /// The last event in the log.
        log: u64,
        /// The last event in the store.
        store: u64,
    },
    /// The log has lost events that the store knows were in it.
    #[error(
        "the store has events up to {store}, the audit log ends at {log} and the events between are gone: the log has lost its tail"
    )]
    LogBehind {
        /// The last event in the log.
        log: u64,
        /// The last event in the store.
        store: u64,
    },
    /// What the store counts is not what it holds.
    #[error("the store counts other numbers of references than it holds: it is damaged; restore a backup")]
    Counts,
}

/// Brings the log up to the store, or finds that one of them has lost something.
pub(crate) fn reconcile(
    connection: &mut Connection,
    log: &Log,
    log_folder: &Path,
) -> Result<(), RecoverError> {
    let store = read::sequence(connection)?.0;
    let last = log.head().last_tag;
    if last > store {
        return Err(RecoverError::StoreBehind { log: last, store });
    }
    let outbox = read::outbox(connection)?;
    // The outbox holds every event after the last that was settled, without a gap.
    let first_missing = last + 1;
    if last < store && !outbox.iter().any(|leaf| leaf.tag == first_missing) {
        return Err(RecoverError::LogBehind { log: last, store });
    }
    let held = match outbox.first() {
        Some(oldest) if oldest.tag <= last => {
            verify::receipts(&Disk::open(log_folder).map_err(VerifyError::Io)?, oldest.tag)?
        }
        _ => Vec::new(),
    };
    Ok(catch_up(connection, log, &held)?)
}

/// Writes what the store believes into its main file, synced. The write-ahead log may be whole in the operating
/// system's memory and not on the disk: after a killed process, or a failed sync.
pub(crate) fn settle_store(connection: &Connection) -> Result<(), StoreError> {
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy == 0 { Ok(()) } else { Err(StoreError::Locked) }
}

/// Begins a new generation.
pub(crate) fn next_generation(connection: &mut Connection) -> Result<GenerationId, StoreError> {
    let transaction = connection.transaction()?;
    transaction.execute("UPDATE meta SET value = value + 1 WHERE name = 'generation'", [])?;
    let sql = "SELECT value FROM meta WHERE name = 'generation'";
    let value: i64 = transaction.query_row(sql, [], |row| row.get(0))?;
    transaction.commit()?;
    let generation = u64::try_from(value).map_err(|_| StoreError::Damaged("the generation".to_owned()))?;
    Ok(GenerationId(generation))
}

/// Opens the ledger of erasures. One that is lost, or lacks what the store knows, is written anew from the store.
pub(crate) fn open_ledger(connection: &Connection, path: &Path) -> Result<Ledger, RecoverError> {
    let known = standing::ledger_lines(connection)?;
    match Ledger::open(path)? {
        Some(ledger) if ledger.lines() >= known => Ok(ledger),
        _ => {
            Ledger::write(path, &standing::erasures(connection)?).map_err(KeysError::Io)?;
            let written = Ledger::open(path)?;
            Ok(written.ok_or_else(|| KeysError::from(io::Error::from(io::ErrorKind::NotFound)))?)
        }
    }
}

/// Whom the ledger names beyond what the store knows.
fn erased_since(connection: &Connection, ledger: &Ledger) -> Result<HashSet<SubjectId>, StoreError> {
    let lines = standing::ledger_lines(connection)?..ledger.lines();
    lines.map(|number| Ok(ledger.line(number)?.subject)).collect()
}

/// Makes what is searched from the record, without whom the ledger names.
pub(crate) fn load(
    store: &Reading<'_>,
    ledger: &Ledger,
    generation: GenerationId,
    site: Site,
) -> Result<Snapshot, RecoverError> {
    let expected = read::counted(store)?;
    if expected != read::recounted(store)? {
        return Err(RecoverError::Counts);
    }
    let mut snapshot = Snapshot {
        generation,
        as_of: read::sequence(store)?,
        catalogue: Arc::new(read::catalogue(store)?),
        models: Arc::new(read::models(store)?),
        pieces: HashMap::new(),
        codings: HashMap::new(),
        site: Arc::new(site),
        expected,
        next_expiry: read::next_expiry(store)?,
    };
    if snapshot.site.index == Index::Unsearched {
        return Ok(snapshot);
    }
    let erased = erased_since(store, ledger)?;
    const AT_ONCE: usize = 4096;
    let mut deltas = Vec::with_capacity(AT_ONCE);
    read::each_reference(store, &erased, |stored| {
        let bad = || StoreError::Damaged(format!("encounter {} is not a template of its model", stored.id));
        let profile = snapshot.models.get(&stored.sample.model).ok_or_else(bad)?;
        let template = profile.template(&stored.sample.features).map_err(|_| bad())?;
        deltas.push(Delta::Reference {
            key: stored.key,
            subject: stored.subject,
            template,
            lists: stored.lists,
        });
        if deltas.len() == AT_ONCE {
            snapshot.apply(std::mem::take(&mut deltas));
        }
        Ok(())
    })?;
    snapshot.apply(deltas);
    Ok(snapshot)
}

/// Appends to the log what a stop left between store and log, and clears the outbox.
fn catch_up(connection: &mut Connection, log: &Log, held: &[(u64, Receipt)]) -> Result<(), WriteError> {
    let last = log.head().last_tag;
    let outbox = answer::outbox(connection)?;
    let mut settled = Vec::new();
    for leaf in outbox {
        let tag = leaf.tag;
        let receipt = if tag > last {
            log.append(vec![leaf])?[0]
        } else {
            let held = held.iter().find(|(held, _)| *held == tag);
            held.ok_or_else(|| StoreError::Damaged(format!("event {tag} is not in the audit log")))?.1
        };
        settled.push((RecordSequence(tag), receipt));
    }
    let transaction = connection.transaction().map_err(StoreError::from)?;
    answer::settle(&transaction, &settled)?;
    transaction.commit().map_err(StoreError::from)?;
    Ok(())
}
