//! Answers kept under their idempotency keys.

use super::{StoreError, codec, read::Answer};
use crate::{id::RecordSequence, idempotency::Idempotency, timestamp::Timestamp};
use audit::{hash::Hash, receipt::Receipt, segment::Leaf};
use rusqlite::{Connection, OptionalExtension, params};

/// The answer under a key.
pub(crate) fn find(
    connection: &Connection,
    caller: &str,
    with: &Idempotency,
) -> Result<Option<Answer>, StoreError> {
    let sql = "SELECT request, outcome, leaf_index, leaf_hash FROM answer WHERE caller = ?1 AND name = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![caller, with.key.as_str()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let request: Vec<u8> = row.get(0)?;
    if request != with.request {
        return Ok(Some(Answer::OfAnotherRequest));
    }
    let receipt = match (row.get::<_, Option<i64>>(2)?, row.get::<_, Option<Vec<u8>>>(3)?) {
        (Some(_), Some(hash)) => {
            let hash = hash.try_into().map_err(|_| codec::damaged("the receipt of an answer"))?;
            Some(Receipt::kept(codec::count(row, 2, "the receipt of an answer")?, Hash(hash)))
        }
        _ => None,
    };
    Ok(Some(Answer::Given { outcome: row.get(1)?, receipt }))
}

pub(super) fn insert(
    connection: &Connection,
    caller: &str,
    with: &Idempotency,
    outcome: &[u8],
    sequence: RecordSequence,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO answer (caller, name, request, outcome, sequence, given_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let values = params![caller, with.key.as_str(), with.request, outcome, sequence.0 as i64, now.unix_ms()];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Forgets what is older than `before`, a bounded part at a time.
pub(super) fn forget(connection: &Connection, before: Timestamp) -> Result<(), StoreError> {
    let sql = "DELETE FROM answer WHERE (caller, name) IN \
               (SELECT caller, name FROM answer WHERE given_at < ?1 AND leaf_index IS NOT NULL LIMIT 1000)";
    connection.prepare_cached(sql)?.execute([before.unix_ms()])?;
    Ok(())
}

/// The log holds these events: their bytes are no more needed here, and their answers get their receipts.
pub(super) fn settle(
    connection: &Connection,
    logged: &[(RecordSequence, Receipt)],
) -> Result<(), StoreError> {
    let mut clear = connection.prepare_cached("DELETE FROM outbox WHERE sequence = ?1")?;
    let sql = "UPDATE answer SET leaf_index = ?2, leaf_hash = ?3 WHERE sequence = ?1";
    let mut keep = connection.prepare_cached(sql)?;
    for (sequence, receipt) in logged {
        let sequence = sequence.0 as i64;
        clear.execute([sequence])?;
        keep.execute(params![sequence, receipt.leaf_index() as i64, receipt.leaf_hash().0])?;
    }
    Ok(())
}

pub(super) fn put_outbox(
    connection: &Connection,
    sequence: RecordSequence,
    leaf: &Leaf,
) -> Result<(), StoreError> {
    let sequence = sequence.0 as i64;
    let sql = "INSERT INTO outbox (sequence, commitment, payload) VALUES (?1, ?2, ?3)";
    connection.prepare_cached(sql)?.execute(params![sequence, leaf.commitment.0, leaf.payload])?;
    connection.prepare_cached("UPDATE meta SET value = ?1 WHERE name = 'sequence'")?.execute([sequence])?;
    Ok(())
}

/// The events whose log entry is not known here, oldest first: sequence and leaf.
pub(crate) fn outbox(connection: &Connection) -> Result<Vec<Leaf>, StoreError> {
    let mut statement =
        connection.prepare("SELECT sequence, commitment, payload FROM outbox ORDER BY sequence")?;
    let mut rows = statement.query([])?;
    let mut leaves = Vec::new();
    while let Some(row) = rows.next()? {
        let commitment: Vec<u8> = row.get(1)?;
        let commitment = commitment.try_into().map_err(|_| codec::damaged("an event of the outbox"))?;
        let tag = codec::count(row, 0, "an event of the outbox")?;
        leaves.push(Leaf { tag, commitment: Hash(commitment), payload: row.get(2)? });
    }
    Ok(leaves)
}

/// The number of the last event.
pub(crate) fn sequence(connection: &Connection) -> Result<RecordSequence, StoreError> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = 'sequence'")?;
    let value: Option<i64> = statement.query_row([], |row| row.get(0)).optional()?;
    let value = value.and_then(|value| u64::try_from(value).ok());
    value.map(RecordSequence).ok_or_else(|| codec::damaged("the sequence"))
}

/// The latest time at which a change was made.
pub(crate) fn clock(connection: &Connection) -> Result<Timestamp, StoreError> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = 'clock'")?;
    let ms: i64 = statement.query_row([], |row| row.get(0))?;
    Timestamp::from_unix_ms(ms).ok_or_else(|| codec::damaged("the clock"))
}

/// A change is made at this time.
pub(super) fn set_clock(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE meta SET value = ?1 WHERE name = 'clock' AND value < ?1";
    connection.prepare_cached(sql)?.execute([now.unix_ms()])?;
    Ok(())
}
