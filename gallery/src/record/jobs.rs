//! The table of jobs.

use super::{StoreError, change::Change, codec};
use crate::{
    id::JobId,
    job::{Job, Kind, State},
};
use rusqlite::{Connection, Row, params};
use serde::{Serialize, de::DeserializeOwned};

/// How long a job that has ended stays on record.
const KEPT_DAYS: i64 = 30;

impl Change<'_> {
    /// Puts a job on record; those that ended long ago go.
    pub(crate) fn insert_job(&self, id: JobId, kind: Kind) -> Result<(), StoreError> {
        let now = self.now.unix_ms();
        self.connection.execute("DELETE FROM job WHERE ended_at < ?1", [now - KEPT_DAYS * 86_400_000])?;
        let sql = "INSERT INTO job (id, kind, state, created_at) VALUES (?1, ?2, ?3, ?4)";
        self.connection.execute(sql, params![id.bytes(), word(&kind), word(&State::Running), now])?;
        Ok(())
    }

    /// What became of it.
    pub(crate) fn end_job(&self, id: JobId, state: State, outcome: &str) -> Result<(), StoreError> {
        let sql = "UPDATE job SET state = ?2, outcome = ?3, ended_at = ?4 WHERE id = ?1";
        self.connection.execute(sql, params![id.bytes(), word(&state), outcome, self.now.unix_ms()])?;
        Ok(())
    }
}

/// The jobs that are to run, oldest first.
pub(crate) fn running(connection: &Connection) -> Result<Vec<Job>, StoreError> {
    jobs(connection, "WHERE ended_at IS NULL ORDER BY id")
}

/// The last hundred, newest first.
pub(crate) fn last(connection: &Connection) -> Result<Vec<Job>, StoreError> {
    jobs(connection, "ORDER BY id DESC LIMIT 100")
}

/// A job.
pub(crate) fn find(connection: &Connection, id: JobId) -> Result<Option<Job>, StoreError> {
    let mut statement = connection.prepare_cached(&query("WHERE id = ?1"))?;
    let mut rows = statement.query([id.bytes()])?;
    rows.next()?.map(job).transpose()
}

fn jobs(connection: &Connection, which: &str) -> Result<Vec<Job>, StoreError> {
    let mut statement = connection.prepare(&query(which))?;
    let mut rows = statement.query([])?;
    let mut jobs = Vec::new();
    while let Some(row) = rows.next()? {
        jobs.push(job(row)?);
    }
    Ok(jobs)
}

fn query(which: &str) -> String {
    format!("SELECT id, kind, state, outcome, created_at, ended_at FROM job {which}")
}

fn job(row: &Row<'_>) -> Result<Job, StoreError> {
    let what = "a job";
    Ok(Job {
        id: JobId::from_bytes(codec::id(row, 0, what)?),
        kind: unword(&row.get::<_, String>(1)?)?,
        state: unword(&row.get::<_, String>(2)?)?,
        progress: None,
        outcome: row.get(3)?,
        created_at: codec::time(row, 4, what)?,
        ended_at: codec::maybe_time(row, 5, what)?,
    })
}

/// As it is written elsewhere, too.
fn word<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).expect("a word")
}

fn unword<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_value(text.into()).map_err(|_| codec::damaged("a job"))
}
