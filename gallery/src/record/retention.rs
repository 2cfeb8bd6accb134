//! Whose retention is over.

use super::{StoreError, codec};
use crate::{
    id::{SubjectId, WatchlistId},
    law::Nation,
    timestamp::Timestamp,
};
use rusqlite::{Connection, params};
use std::collections::{BTreeSet, HashMap};

/// Of subjects that are neither contested nor erased: none of whose entries is active, restricted or to be retained still.
const OVER: &str = "s.erase_at IS NULL AND s.restricted_at IS NULL AND NOT EXISTS (SELECT 1 FROM entry o \
    WHERE o.subject = s.key AND (o.state IN (0, 3) OR o.retain_until > ?1))";

/// Of each watchlist: entries of any state, active ones, active ones that are to be reviewed, and those of subjects whose
/// retention is over everywhere.
pub(crate) fn counts(
    connection: &Connection,
    now: Timestamp,
) -> Result<HashMap<WatchlistId, [u64; 4]>, StoreError> {
    let sql = format!(
        "SELECT w.id, count(*), sum(e.state = 0), sum(e.state = 0 AND e.review_by <= ?1), \
         sum(e.state IN (1, 2) AND {OVER}) FROM entry e JOIN watchlist w ON w.key = e.watchlist \
         JOIN subject s ON s.key = e.subject GROUP BY e.watchlist"
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([now.unix_ms()])?;
    let mut counts = HashMap::new();
    while let Some(row) = rows.next()? {
        let list = WatchlistId::from_bytes(codec::id(row, 0, "a watchlist's id")?);
        let mut four = [0; 4];
        for (column, count) in four.iter_mut().enumerate() {
            *count = codec::count(row, column + 1, "a count")?;
        }
        counts.insert(list, four);
    }
    Ok(counts)
}

/// The subjects of a nation whose retention is over, but for those on these watchlists.
pub(crate) fn over(
    connection: &Connection,
    owner: &Nation,
    now: Timestamp,
    without: &BTreeSet<WatchlistId>,
) -> Result<Vec<SubjectId>, StoreError> {
    let sql = format!(
        "SELECT DISTINCT s.id, w.id FROM entry e JOIN subject s ON s.key = e.subject \
         JOIN watchlist w ON w.key = e.watchlist WHERE s.owner = ?2 AND e.retain_until <= ?1 AND {OVER}"
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(params![now.unix_ms(), owner.as_str()])?;
    let (mut over, mut held) = (BTreeSet::new(), BTreeSet::new());
    while let Some(row) = rows.next()? {
        let subject = SubjectId::from_bytes(codec::id(row, 0, "a subject's id")?);
        over.insert(subject);
        if without.contains(&WatchlistId::from_bytes(codec::id(row, 1, "a watchlist's id")?)) {
            held.insert(subject);
        }
    }
    Ok(over.difference(&held).copied().collect())
}
