//! The normal way to begin: bring the log up to the store, and make what is searched from the record.

use super::{StoreError, WriteError, answer, read};
use crate::{generation::manifest::GenerationError, id::RecordSequence, keys::KeysError};
use audit::{
    log::Log,
    receipt::Receipt,
    storage::Disk,
    verify::{self, VerifyError},
};
use rusqlite::Connection;
use std::path::Path;

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
    /// A generation is not what was written; it is derived from the record, and another can be built.
    #[error(transparent)]
    Generation(#[from] GenerationError),
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
