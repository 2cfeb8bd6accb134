//! A subject's record as a person reads it, without features.

use super::{
    StoreError,
    codec::{self, ENCOUNTER_IS_WHOLE, ENTRY_IS_WHOLE, SUBJECT_IS_WHOLE},
    read::state,
};
use crate::{
    id::{EncounterId, SubjectId, WatchlistId},
    law::Nation,
    subject::{Encounter, Entry, Subject},
};
use matcher::template::ModelId;
use rusqlite::{Connection, params};

/// A subject of this owner, retired or not.
pub(crate) fn subject(
    connection: &Connection,
    owner: &Nation,
    id: SubjectId,
) -> Result<Option<Subject>, StoreError> {
    let sql = format!(
        "SELECT s.key, s.reference, s.enrolled_at, s.retired_at, s.restricted_at, {SUBJECT_IS_WHOLE} FROM subject s \
         WHERE s.id = ?1 AND s.owner = ?2 AND s.erase_at IS NULL"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![id.bytes(), owner.as_str()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    codec::whole(row, 5, "a subject")?;
    let key: i64 = row.get(0)?;
    Ok(Some(Subject {
        id,
        owner: owner.clone(),
        reference: codec::parse(&row.get::<_, String>(1)?, "a subject's reference")?,
        enrolled_at: codec::time(row, 2, "a subject")?,
        retired_at: codec::maybe_time(row, 3, "a subject")?,
        restricted_at: codec::maybe_time(row, 4, "a subject")?,
        entries: entries(connection, key)?,
        encounters: encounters(connection, key)?,
    }))
}

fn entries(connection: &Connection, subject: i64) -> Result<Vec<Entry>, StoreError> {
    let sql = format!(
        "SELECT w.id, e.category, e.handling, e.grading, e.instruction, e.listed_at, e.retain_until, e.state, e.review_by, \
         {ENTRY_IS_WHOLE} FROM entry e \
         JOIN watchlist w ON w.key = e.watchlist WHERE e.subject = ?1 ORDER BY e.watchlist"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([subject])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        codec::whole(row, 9, "an entry")?;
        entries.push(Entry {
            watchlist: WatchlistId::from_bytes(codec::id(row, 0, "a watchlist's id")?),
            listing: codec::listing(row, 1)?,
            listed_at: codec::time(row, 5, "an entry")?,
            retain_until: codec::time(row, 6, "an entry")?,
            review_by: codec::time(row, 8, "an entry")?,
            state: state(row.get(7)?)?,
        });
    }
    Ok(entries)
}

fn encounters(connection: &Connection, subject: i64) -> Result<Vec<Encounter>, StoreError> {
    let sql = format!(
        "SELECT c.id, c.reference, m.name, c.captured_at, c.enrolled_at, {ENCOUNTER_IS_WHOLE} FROM encounter c \
         JOIN model m ON m.key = c.model WHERE c.subject = ?1 ORDER BY c.key"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([subject])?;
    let mut encounters = Vec::new();
    while let Some(row) = rows.next()? {
        let what = "an encounter";
        codec::whole(row, 5, what)?;
        let reference: Option<String> = row.get(1)?;
        encounters.push(Encounter {
            id: EncounterId::from_bytes(codec::id(row, 0, what)?),
            reference: reference.map(|text| codec::parse(&text, what)).transpose()?,
            model: ModelId::new(&row.get::<_, String>(2)?).map_err(|_| codec::damaged(what))?,
            captured_at: codec::maybe_time(row, 3, what)?,
            enrolled_at: codec::time(row, 4, what)?,
        });
    }
    Ok(encounters)
}
