//! Whether a subject is searched: retirement, restriction, the end of retention, erasure.

use super::{
    StoreError,
    change::{Change, SubjectRow},
    codec::{self, ENTRY_IS_WHOLE},
    read,
};
use crate::{
    generation::Delta,
    id::{EncounterKey, GenerationId, SubjectId, WatchlistId},
    keys::ledger::{Erasure, Ledger},
};
use matcher::template::ModelId;
use rusqlite::{OptionalExtension, params};

const ACTIVE: u8 = 0;
const RETIRED: u8 = 1;
const EXPIRED: u8 = 2;
const RESTRICTED: u8 = 3;

impl Change<'_> {
    /// No more returned, on any watchlist.
    pub(crate) fn retire_subject(&self, subject: SubjectRow) -> Result<(), StoreError> {
        self.recount(subject, |change| {
            change.date(subject, "retired_at")?;
            change.set_state(subject, [ACTIVE, RESTRICTED], RETIRED)
        })
    }

    /// Contested: kept, not searched.
    pub(crate) fn restrict_subject(&self, subject: SubjectRow) -> Result<(), StoreError> {
        self.recount(subject, |change| {
            change.date(subject, "restricted_at")?;
            change.set_state(subject, [ACTIVE, ACTIVE], RESTRICTED)
        })
    }

    /// The opposite. What has reached the end of its retention meanwhile expires with the next lookup.
    pub(crate) fn lift_restriction(&self, subject: SubjectRow) -> Result<(), StoreError> {
        self.recount(subject, |change| {
            let sql = "UPDATE subject SET restricted_at = NULL WHERE key = ?1";
            change.connection.prepare_cached(sql)?.execute([subject.0])?;
            change.set_state(subject, [RESTRICTED, RESTRICTED], ACTIVE)
        })
    }

    /// To be erased, with whoever was merged into it: not searched from now on, and for nobody there any more.
    pub(crate) fn order_erasure(&self, subject: SubjectRow) -> Result<(), StoreError> {
        for one in [vec![subject], self.merged_into(subject)?].concat() {
            self.retire_subject(one)?;
            self.recount(one, |change| change.date(one, "erase_at"))?;
            self.forget_results(one)?;
        }
        Ok(())
    }

    /// Puts an ordered erasure into the ledger, destroys the subject's key and deletes its rows but for a stub that
    /// says that there was somebody. Key and ledger are durable before this change is.
    pub(crate) fn carry_out_erasure(
        &self,
        ledger: &Ledger,
        subject: SubjectId,
    ) -> Result<Vec<Delta>, StoreError> {
        let sql = "SELECT key FROM subject WHERE id = ?1";
        let row: i64 = self.connection.prepare_cached(sql)?.query_row([subject.bytes()], |row| row.get(0))?;
        let references = references_of(self.connection, subject)?;
        ledger.append(Erasure { subject, row, at: self.now })?;
        self.keys.destroy(row);
        for table in ["encounter", "entry", "notice"] {
            let sql = format!("DELETE FROM {table} WHERE subject = ?1");
            self.connection.prepare_cached(&sql)?.execute([row])?;
        }
        let sql = "UPDATE subject SET reference = 'erased', enrolled_at = 0, restricted_at = NULL, erased_at = ?2 \
                   WHERE key = ?1";
        self.connection.prepare_cached(sql)?.execute([row, self.now.unix_ms()])?;
        self.recount(SubjectRow(row), |_| Ok(()))?;
        self.connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'ledger'", [])?;
        Ok(references.into_iter().map(|(model, key)| Delta::Forget { key, model }).collect())
    }

    /// Is an erasure of this subject ordered, and not carried out?
    pub(crate) fn is_ordered(&self, subject: SubjectId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM subject WHERE id = ?1 AND erase_at IS NOT NULL AND erased_at IS NULL";
        Ok(self.connection.prepare_cached(sql)?.exists([subject.bytes()])?)
    }

    /// A subject of any owner whose erasure is not ordered.
    pub(crate) fn find_unordered(&self, subject: SubjectId) -> Result<Option<SubjectRow>, StoreError> {
        let sql = "SELECT key FROM subject WHERE id = ?1 AND erase_at IS NULL";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row([subject.bytes()], |row| row.get(0)).optional()?.map(SubjectRow))
    }

    /// The generation that is searched from now on.
    pub(crate) fn set_generation(&self, id: GenerationId) -> Result<(), StoreError> {
        let sql = "UPDATE meta SET value = max(value, ?1) WHERE name = 'generation'";
        self.connection.prepare_cached(sql)?.execute([id.0 as i64])?;
        Ok(())
    }

    /// Ends up to `limit` entries whose retention is over: whose, and on which watchlist.
    pub(crate) fn expire_entries(&self, limit: u32) -> Result<Vec<(SubjectId, WatchlistId)>, StoreError> {
        let sql = format!(
            "SELECT e.subject, e.watchlist, s.id, w.id, {ENTRY_IS_WHOLE} FROM entry e JOIN subject s ON s.key = e.subject \
             JOIN watchlist w ON w.key = e.watchlist \
             WHERE e.state = 0 AND e.retain_until <= ?1 ORDER BY e.retain_until LIMIT ?2"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![self.now.unix_ms(), limit])?;
        let mut due = Vec::new();
        while let Some(row) = rows.next()? {
            codec::whole(row, 4, "an entry")?;
            let subject = SubjectId::from_bytes(codec::id(row, 2, "a subject's id")?);
            let watchlist = WatchlistId::from_bytes(codec::id(row, 3, "a watchlist's id")?);
            due.push((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, subject, watchlist));
        }
        for (subject, watchlist, ..) in &due {
            self.recount(SubjectRow(*subject), |change| {
                let sql = format!(
                    "UPDATE entry SET state = ?3, checksum = {} WHERE subject = ?1 AND watchlist = ?2",
                    codec::entry_sum("subject", "?3", "handling")
                );
                change.connection.prepare_cached(&sql)?.execute(params![subject, watchlist, EXPIRED])?;
                Ok(())
            })?;
        }
        Ok(due.into_iter().map(|(_, _, subject, watchlist)| (subject, watchlist)).collect())
    }

    fn date(&self, subject: SubjectRow, column: &str) -> Result<(), StoreError> {
        let sql = format!("UPDATE subject SET {column} = coalesce({column}, ?2) WHERE key = ?1");
        self.connection.prepare_cached(&sql)?.execute([subject.0, self.now.unix_ms()])?;
        Ok(())
    }

    fn set_state(&self, subject: SubjectRow, from: [u8; 2], to: u8) -> Result<(), StoreError> {
        let sql = format!(
            "UPDATE entry SET state = ?2, checksum = {} WHERE subject = ?1 AND state IN (?3, ?4)",
            codec::entry_sum("subject", "?2", "handling")
        );
        self.connection.prepare_cached(&sql)?.execute(params![subject.0, to, from[0], from[1]])?;
        Ok(())
    }
}

/// The references of a subject.
pub(crate) fn references_of(
    connection: &rusqlite::Connection,
    subject: SubjectId,
) -> Result<Vec<(ModelId, EncounterKey)>, StoreError> {
    let places = read::places_of(connection, subject)?;
    Ok(places.into_iter().map(|place| (place.model, place.key)).collect())
}

/// Erasures that were ordered and are not carried out, oldest first.
pub(crate) fn ordered_erasures(connection: &rusqlite::Connection) -> Result<Vec<SubjectId>, StoreError> {
    read::subject_ids(
        connection,
        "SELECT id FROM subject WHERE erase_at IS NOT NULL AND erased_at IS NULL ORDER BY erase_at",
    )
}

/// Is this subject on record, and not erased?
pub(crate) fn is_there(connection: &rusqlite::Connection, subject: SubjectId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM subject WHERE id = ?1 AND erased_at IS NULL";
    Ok(connection.prepare_cached(sql)?.exists([subject.bytes()])?)
}

/// Whose row it is.
pub(crate) fn holder(connection: &rusqlite::Connection, row: i64) -> Result<Option<SubjectId>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT id FROM subject WHERE key = ?1")?;
    let mut rows = statement.query([row])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(SubjectId::from_bytes(codec::id(row, 0, "a subject's id")?)))
}

/// How many erasures were carried out in this store: the ledger has no fewer lines.
pub(crate) fn erased_count(connection: &rusqlite::Connection) -> Result<u64, StoreError> {
    let sql = "SELECT value FROM meta WHERE name = 'ledger'";
    let lines: Option<i64> = connection.query_row(sql, [], |row| row.get(0)).optional()?;
    lines.and_then(|lines| u64::try_from(lines).ok()).ok_or_else(|| codec::damaged("the count of erasures"))
}

/// Every erasure that was carried out, oldest first, as the ledger holds them.
pub(crate) fn erasures(connection: &rusqlite::Connection) -> Result<Vec<Erasure>, StoreError> {
    let sql = "SELECT id, key, erased_at FROM subject WHERE erased_at IS NOT NULL ORDER BY erased_at, key";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut erasures = Vec::new();
    while let Some(row) = rows.next()? {
        let subject = SubjectId::from_bytes(codec::id(row, 0, "a subject's id")?);
        erasures.push(Erasure { subject, row: row.get(1)?, at: codec::time(row, 2, "an erasure")? });
    }
    Ok(erasures)
}
