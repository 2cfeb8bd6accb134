//! How much there is, and whether it is whole.

use super::{StoreError, codec};
use rusqlite::{Connection, OptionalExtension, Row};

/// How much is on record: subjects not retired, retired, erased, and encounters.
pub(crate) fn totals(connection: &Connection) -> Result<[u64; 4], StoreError> {
    let sql = "SELECT (SELECT count(*) FROM subject WHERE retired_at IS NULL), \
               (SELECT count(*) FROM subject WHERE retired_at IS NOT NULL AND erase_at IS NULL), \
               (SELECT count(*) FROM subject WHERE erase_at IS NOT NULL), (SELECT count(*) FROM encounter)";
    let get = |row: &Row<'_>| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]);
    let counts = connection.query_row(sql, [], get).optional()?;
    counts
        .map(|counts: [i64; 4]| counts.map(|count| u64::try_from(count).unwrap_or(0)))
        .ok_or_else(|| codec::damaged("the totals"))
}

/// Does SQLite find its own file in order?
pub(crate) fn integrity(connection: &Connection) -> Result<(), StoreError> {
    let answer: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if answer == "ok" { Ok(()) } else { Err(StoreError::Damaged(answer)) }
}

/// Does every row carry its checksum?
pub(crate) fn row_sums(connection: &Connection) -> Result<(), StoreError> {
    let tables = [
        (
            "subject",
            "id, owner, reference, enrolled_at, retired_at, restricted_at, erase_at, erased_at, changed",
        ),
        (
            "entry",
            "subject, watchlist, category, listed_at, retain_until, review_by, state, handling, grading, instruction",
        ),
        ("encounter", "id, subject, reference, model, captured_at, enrolled_at"),
        ("moved", "key, encounter, reference, model, subject, into_subject, sequence"),
        ("merged", "subject, into_subject"),
        ("notice", "owner, subject, lookup, content"),
        ("calibration", "id, model, made_at, body"),
        ("pending", "lookup, caller, sequence, authorise_by, results"),
        (
            "granted",
            "id, nation, name, credential, content, proposed_by, proposed_at, approved_by, approved_at, ends_at, \
             revoked_at",
        ),
    ];
    for (table, columns) in tables {
        let sql = format!("SELECT count(*) FROM {table} WHERE checksum IS NOT row_sum({columns})");
        let bad: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
        if bad > 0 {
            return Err(StoreError::Damaged(format!("{bad} rows of {table} fail their checksums")));
        }
    }
    Ok(())
}
