//! What an answer leaves on record beside its event: what owners are told, and results whose authorisation is to be supplied.

use super::{
    StoreError,
    change::{Change, SubjectRow},
    codec,
};
use crate::{
    findings::Findings,
    id::{LookupId, SubjectId},
    law::Nation,
    notice::Notice,
    timestamp::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, params};

/// Results that are erased unless their search's authorisation is supplied in time.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) lookup: LookupId,
    /// Whose lookup it is.
    pub(crate) caller: String,
    pub(crate) authorise_by: Timestamp,
    pub(crate) findings: Findings,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    pub(crate) notices: Vec<Notice>,
    pub(crate) pending: Option<Pending>,
}

impl Change<'_> {
    /// Puts it on record.
    pub(crate) fn keep(&self, kept: &Kept) -> Result<(), StoreError> {
        // One row of values: for a SELECT, SQLite would keep what each statement has to undo.
        let sql = "INSERT INTO notice (owner, subject, lookup, content, checksum) VALUES (?1, ?2, ?3, ?4, \
                   row_sum(?1, ?2, ?3, ?4))";
        let mut statement = self.connection.prepare_cached(sql)?;
        for notice in &kept.notices {
            let content = serde_json::to_string(notice).expect("text keys");
            // Nobody is told of who was erased meanwhile.
            let Some(SubjectRow(subject)) = self.find_unordered(notice.subject)? else { continue };
            statement.execute(params![notice.owner.as_str(), subject, notice.search.bytes(), content])?;
        }
        let Some(pending) = &kept.pending else { return Ok(()) };
        let sql = "INSERT INTO pending (lookup, caller, sequence, authorise_by, results, checksum) VALUES (?1, ?2, ?3, ?4, ?5, \
                   row_sum(?1, ?2, ?3, ?4, ?5))";
        let Pending { lookup, caller, authorise_by, findings } = pending;
        let findings = serde_json::to_string(findings).expect("text keys");
        let values =
            params![lookup.bytes(), caller, self.sequence.0 as i64, authorise_by.unix_ms(), findings];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// Takes the results of a caller's lookup whose time is not over.
    pub(crate) fn take_pending(
        &self,
        lookup: LookupId,
        caller: &str,
    ) -> Result<Option<Findings>, StoreError> {
        let sql = "SELECT results, checksum = row_sum(lookup, caller, sequence, authorise_by, results) FROM pending \
                   WHERE lookup = ?1 AND caller = ?2 AND authorise_by > ?3";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![lookup.bytes(), caller, self.now.unix_ms()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        codec::whole(row, 1, "a lookup's results")?;
        let findings = serde_json::from_str(&row.get::<_, String>(0)?);
        drop(rows);
        self.connection.execute("DELETE FROM pending WHERE lookup = ?1", [lookup.bytes()])?;
        findings.map(Some).map_err(|_| codec::damaged("a lookup's results"))
    }

    /// Erases the results that name a subject, whose erasure is ordered: their lookups can be authorised no more.
    pub(super) fn forget_results(&self, subject: SubjectRow) -> Result<(), StoreError> {
        let sql = "SELECT id FROM subject WHERE key = ?1";
        let id: [u8; 16] = self.connection.prepare_cached(sql)?.query_row([subject.0], |row| row.get(0))?;
        let named = SubjectId::from_bytes(id).to_string();
        let sql = "DELETE FROM pending WHERE instr(results, ?1)";
        self.connection.prepare_cached(sql)?.execute([named])?;
        Ok(())
    }

    /// Erases up to `limit` results whose time is over, with the answers and the notices that tell of them.
    pub(crate) fn erase_pending(&self, limit: u32) -> Result<Vec<LookupId>, StoreError> {
        let sql =
            "SELECT lookup, sequence FROM pending WHERE authorise_by <= ?1 ORDER BY authorise_by LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![self.now.unix_ms(), limit])?;
        let mut due = Vec::new();
        while let Some(row) = rows.next()? {
            let lookup = LookupId::from_bytes(codec::id(row, 0, "a lookup's results")?);
            due.push((lookup, row.get::<_, i64>(1)?));
        }
        drop(rows);
        for (lookup, sequence) in &due {
            for table in ["pending", "notice"] {
                let sql = format!("DELETE FROM {table} WHERE lookup = ?1");
                self.connection.prepare_cached(&sql)?.execute([lookup.bytes()])?;
            }
            let sql = "DELETE FROM answer WHERE sequence = ?1";
            self.connection.prepare_cached(sql)?.execute([sequence])?;
        }
        Ok(due.into_iter().map(|(lookup, _)| lookup).collect())
    }
}

/// Takes what may have to be erased soon out of a copy of the record: results that nobody has authorised yet, and what tells of them.
pub(super) fn leave_out_pending(copy: &Connection) -> Result<(), StoreError> {
    copy.execute_batch(
        "DELETE FROM notice WHERE lookup IN (SELECT lookup FROM pending); \
         DELETE FROM answer WHERE sequence IN (SELECT sequence FROM pending); DELETE FROM pending;",
    )?;
    Ok(())
}

/// When the next results are to be erased.
pub(crate) fn next_pending(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT authorise_by FROM pending ORDER BY authorise_by LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let ms: Option<i64> = statement.query_row([], |row| row.get(0)).optional()?;
    let time = |ms| Timestamp::from_unix_ms(ms).ok_or_else(|| codec::damaged("a lookup's results"));
    ms.map(time).transpose()
}

/// What an owner is told after a number, oldest first, at most `limit`, each with its number.
pub(crate) fn notices(
    connection: &Connection,
    owner: &Nation,
    after: u64,
    limit: u32,
) -> Result<Vec<(u64, Notice)>, StoreError> {
    let sql = "SELECT number, content, checksum = row_sum(owner, subject, lookup, content) FROM notice \
               WHERE owner = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows =
        statement.query(params![owner.as_str(), i64::try_from(after).unwrap_or(i64::MAX), limit])?;
    let mut notices = Vec::new();
    while let Some(row) = rows.next()? {
        codec::whole(row, 2, "a notice")?;
        let notice = serde_json::from_str(&row.get::<_, String>(1)?);
        notices.push((codec::count(row, 0, "a notice")?, notice.map_err(|_| codec::damaged("a notice"))?));
    }
    Ok(notices)
}
