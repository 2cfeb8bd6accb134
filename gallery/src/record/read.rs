//! Queries.

pub(crate) use super::answer::{find as find_answer, outbox, sequence};

use super::{StoreError, change::checked_features, codec};
use crate::{
    authority::Catalogue,
    id::{EncounterId, EncounterKey, SubjectId, WatchlistId},
    law::{Category, Nation, OwnReference},
    subject::{Encounter, Entry, EntryState, RawFeatures, Subject},
    timestamp::Timestamp,
    watchlist::{Policy, Watchlist},
};
use audit::receipt::Receipt;
use matcher::{
    score::Threshold,
    template::{ModelId, ModelProfile},
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::{collections::HashMap, sync::Arc};

/// What is stored under an idempotency key.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Another request came with this key.
    OfAnotherRequest,
    /// The answer, and its receipt once the log has given it.
    Given { outcome: Vec<u8>, receipt: Option<Receipt> },
}

/// Every model profile.
pub(crate) fn models(connection: &Connection) -> Result<HashMap<ModelId, ModelProfile>, StoreError> {
    let mut statement = connection.prepare("SELECT name, dimension, mean, checksum FROM model")?;
    let mut rows = statement.query([])?;
    let mut models = HashMap::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let bad = || codec::damaged(&format!("model profile {name}"));
        let mean: Option<Vec<u8>> = row.get(2)?;
        let dimension: u32 = row.get(1)?;
        if row.get::<_, u32>(3)? != super::change::model_checksum(&name, dimension, mean.as_deref()) {
            return Err(bad());
        }
        let mean = mean.map(|mean| codec::features_from_bytes(&mean).ok_or_else(bad)).transpose()?;
        let id = ModelId::new(&name).map_err(|_| bad())?;
        let profile = ModelProfile::new(id.clone(), dimension as usize, mean).map_err(|_| bad())?;
        models.insert(id, profile);
    }
    Ok(models)
}

/// Every watchlist.
pub(crate) fn catalogue(connection: &Connection) -> Result<Catalogue, StoreError> {
    let sql = "SELECT w.id, w.owner, w.name, w.purposes, w.legal_bases, w.handling, w.categories, m.name, \
               w.threshold, w.retention_days, w.created_at FROM watchlist w JOIN model m ON m.key = w.model";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut catalogue = Catalogue::new();
    while let Some(row) = rows.next()? {
        let watchlist = watchlist(row)?;
        catalogue.insert(watchlist.id, Arc::new(watchlist));
    }
    Ok(catalogue)
}

fn watchlist(row: &Row<'_>) -> Result<Watchlist, StoreError> {
    let what = "a watchlist";
    let text = |column| row.get::<_, String>(column);
    let policy = Policy {
        name: codec::parse(&text(2)?, what)?,
        purposes: codec::words_from_text(&text(3)?, what)?,
        legal_bases: codec::words_from_text(&text(4)?, what)?,
        handling: codec::parse(&text(5)?, what)?,
        categories: codec::words_from_text(&text(6)?, what)?,
        model: ModelId::new(&text(7)?).map_err(|_| codec::damaged(what))?,
        threshold: Threshold::new(row.get(8)?).map_err(|_| codec::damaged(what))?,
        retention_days: row.get(9)?,
    };
    Ok(Watchlist {
        id: WatchlistId::from_bytes(codec::id(row, 0, what)?),
        owner: codec::parse(&text(1)?, what)?,
        policy,
        created_at: codec::time(row, 10, what)?,
    })
}

/// How many active references the writer has counted for each watchlist.
pub(crate) fn counted(connection: &Connection) -> Result<HashMap<WatchlistId, u64>, StoreError> {
    counts(connection, "SELECT id, active FROM watchlist")
}

/// The same, counted anew from entries and encounters.
pub(crate) fn recounted(connection: &Connection) -> Result<HashMap<WatchlistId, u64>, StoreError> {
    counts(
        connection,
        "SELECT w.id, (SELECT count(*) FROM entry e JOIN encounter c ON c.subject = e.subject AND c.model = w.model \
         WHERE e.watchlist = w.key AND e.state = 0) FROM watchlist w",
    )
}

fn counts(connection: &Connection, sql: &str) -> Result<HashMap<WatchlistId, u64>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut counts = HashMap::new();
    while let Some(row) = rows.next()? {
        let id = WatchlistId::from_bytes(codec::id(row, 0, "a watchlist's id")?);
        counts.insert(id, codec::count(row, 1, "a watchlist's count")?);
    }
    Ok(counts)
}

/// When the next entry reaches the end of its retention.
pub(crate) fn next_expiry(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT min(retain_until) FROM entry WHERE state = 0")?;
    let mut rows = statement.query([])?;
    rows.next()?.map_or(Ok(None), |row| codec::maybe_time(row, 0, "a retention date"))
}

/// An encounter with what the search needs of it.
pub(crate) struct StoredReference {
    pub(crate) key: EncounterKey,
    pub(crate) id: EncounterId,
    pub(crate) subject: SubjectId,
    pub(crate) sample: RawFeatures,
    /// The watchlists of its model on which its subject is active.
    pub(crate) lists: Vec<WatchlistId>,
}

const REFERENCE: &str = "SELECT c.key, c.id, s.id, m.name, c.features, c.checksum, \
    (SELECT group_concat(hex(w.id), ',') FROM entry e JOIN watchlist w ON w.key = e.watchlist \
     WHERE e.subject = c.subject AND e.state = 0 AND w.model = c.model) \
    FROM encounter c JOIN subject s ON s.key = c.subject JOIN model m ON m.key = c.model";

fn reference(row: &Row<'_>) -> Result<StoredReference, StoreError> {
    let id = EncounterId::from_bytes(codec::id(row, 1, "an encounter's id")?);
    let bad = || StoreError::Damaged(format!("encounter {id} fails its checksum"));
    let subject = SubjectId::from_bytes(codec::id(row, 2, "a subject's id")?);
    let model: String = row.get(3)?;
    let bytes = row.get_ref(4)?.as_blob().map_err(|_| bad())?;
    let features = checked_features(id, subject, &model, (bytes, row.get(5)?))?;
    let lists = match row.get::<_, Option<String>>(6)? {
        None => Vec::new(),
        Some(text) => text.split(',').map(watchlist_from_hex).collect::<Option<_>>().ok_or_else(bad)?,
    };
    let model = ModelId::new(&model).map_err(|_| bad())?;
    Ok(StoredReference {
        key: EncounterKey(row.get(0)?),
        id,
        subject,
        sample: RawFeatures { model, features },
        lists,
    })
}

fn watchlist_from_hex(text: &str) -> Option<WatchlistId> {
    let bytes = u128::from_str_radix(text, 16).ok()?;
    Some(WatchlistId::from_bytes(bytes.to_be_bytes()))
}

/// Every encounter of subjects that are not retired, in the order of their keys.
pub(crate) fn each_reference(
    connection: &Connection,
    visit: impl FnMut(StoredReference) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    each(connection, "WHERE s.retired_at IS NULL", visit)
}

/// Every encounter, also of retired subjects.
pub(crate) fn each_encounter(
    connection: &Connection,
    visit: impl FnMut(StoredReference) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    each(connection, "", visit)
}

fn each(
    connection: &Connection,
    which: &str,
    mut visit: impl FnMut(StoredReference) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare(&format!("{REFERENCE} {which} ORDER BY c.key"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        visit(reference(row)?)?;
    }
    Ok(())
}

/// Every encounter of one subject.
pub(crate) fn references_of(
    connection: &Connection,
    subject: SubjectId,
) -> Result<Vec<StoredReference>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{REFERENCE} WHERE s.id = ?1 ORDER BY c.key"))?;
    let mut rows = statement.query([subject.bytes()])?;
    let mut references = Vec::new();
    while let Some(row) = rows.next()? {
        references.push(reference(row)?);
    }
    Ok(references)
}

/// The id of an encounter.
pub(crate) fn encounter_id(connection: &Connection, key: EncounterKey) -> Result<EncounterId, StoreError> {
    let mut statement = connection.prepare_cached("SELECT id FROM encounter WHERE key = ?1")?;
    let mut rows = statement.query([key.0])?;
    let row = rows.next()?.ok_or_else(|| codec::damaged("a candidate's encounter"))?;
    Ok(EncounterId::from_bytes(codec::id(row, 0, "an encounter's id")?))
}

/// A subject's place on a watchlist: category and state.
pub(crate) fn entry(
    connection: &Connection,
    subject: SubjectId,
    watchlist: WatchlistId,
) -> Result<Option<(Category, EntryState)>, StoreError> {
    let sql = "SELECT e.category, e.state FROM entry e JOIN subject s ON s.key = e.subject \
               JOIN watchlist w ON w.key = e.watchlist WHERE s.id = ?1 AND w.id = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![subject.bytes(), watchlist.bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some((codec::parse(&row.get::<_, String>(0)?, "an entry's category")?, state(row.get(1)?)?)))
}

fn state(number: u8) -> Result<EntryState, StoreError> {
    match number {
        0 => Ok(EntryState::Active),
        1 => Ok(EntryState::Retired),
        2 => Ok(EntryState::Expired),
        _ => Err(codec::damaged("an entry's state")),
    }
}

/// How many references of a subject the record holds for a watchlist.
pub(crate) fn count_of(
    connection: &Connection,
    subject: SubjectId,
    watchlist: WatchlistId,
) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM encounter c JOIN subject s ON s.key = c.subject \
               JOIN watchlist w ON w.model = c.model WHERE s.id = ?1 AND w.id = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![subject.bytes(), watchlist.bytes()])?;
    rows.next()?.map_or(Ok(0), |row| codec::count(row, 0, "a count"))
}

/// Does this owner have a retired subject of this reference?
pub(crate) fn is_retired(
    connection: &Connection,
    owner: &Nation,
    reference: &OwnReference,
) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM subject WHERE owner = ?1 AND reference = ?2 AND retired_at IS NOT NULL";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.exists([owner.as_str(), reference.as_str()])?)
}

/// A subject of this owner that is not retired, by the owner's reference.
pub(crate) fn subject_by_reference(
    connection: &Connection,
    owner: &Nation,
    reference: &OwnReference,
) -> Result<Option<SubjectId>, StoreError> {
    let sql = "SELECT id FROM subject WHERE owner = ?1 AND reference = ?2 AND retired_at IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([owner.as_str(), reference.as_str()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(SubjectId::from_bytes(codec::id(row, 0, "a subject's id")?)))
}

/// The owner's reference of a subject.
pub(crate) fn reference_of(
    connection: &Connection,
    subject: SubjectId,
) -> Result<Option<OwnReference>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT reference FROM subject WHERE id = ?1")?;
    let text: Option<String> = statement.query_row([subject.bytes()], |row| row.get(0)).optional()?;
    text.map(|text| codec::parse(&text, "a subject's reference")).transpose()
}

/// A subject of this owner, retired or not.
pub(crate) fn subject(
    connection: &Connection,
    owner: &Nation,
    id: SubjectId,
) -> Result<Option<Subject>, StoreError> {
    let sql = "SELECT key, reference, enrolled_at, retired_at FROM subject WHERE id = ?1 AND owner = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![id.bytes(), owner.as_str()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let key: i64 = row.get(0)?;
    Ok(Some(Subject {
        id,
        owner: owner.clone(),
        reference: codec::parse(&row.get::<_, String>(1)?, "a subject's reference")?,
        enrolled_at: codec::time(row, 2, "a subject")?,
        retired_at: codec::maybe_time(row, 3, "a subject")?,
        entries: entries(connection, key)?,
        encounters: encounters(connection, key)?,
    }))
}

fn entries(connection: &Connection, subject: i64) -> Result<Vec<Entry>, StoreError> {
    let sql = "SELECT w.id, e.category, e.listed_at, e.retain_until, e.state FROM entry e \
               JOIN watchlist w ON w.key = e.watchlist WHERE e.subject = ?1 ORDER BY e.watchlist";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([subject])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(Entry {
            watchlist: WatchlistId::from_bytes(codec::id(row, 0, "a watchlist's id")?),
            category: codec::parse(&row.get::<_, String>(1)?, "an entry's category")?,
            listed_at: codec::time(row, 2, "an entry")?,
            retain_until: codec::time(row, 3, "an entry")?,
            state: state(row.get(4)?)?,
        });
    }
    Ok(entries)
}

fn encounters(connection: &Connection, subject: i64) -> Result<Vec<Encounter>, StoreError> {
    let sql = "SELECT c.id, c.reference, m.name, c.captured_at, c.enrolled_at FROM encounter c \
               JOIN model m ON m.key = c.model WHERE c.subject = ?1 ORDER BY c.key";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([subject])?;
    let mut encounters = Vec::new();
    while let Some(row) = rows.next()? {
        let what = "an encounter";
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

/// One row of an export.
pub(crate) struct Exported {
    pub(crate) subject: OwnReference,
    pub(crate) encounter: Option<OwnReference>,
    pub(crate) category: Category,
    pub(crate) features: Vec<f32>,
}

/// Every active reference of a watchlist, in the order of enrolment.
pub(crate) fn each_of_watchlist<E: From<StoreError>>(
    connection: &Connection,
    watchlist: WatchlistId,
    mut visit: impl FnMut(Exported) -> Result<(), E>,
) -> Result<(), E> {
    let sql = "SELECT s.reference, c.reference, e.category, c.features, c.checksum, c.id, s.id, m.name FROM watchlist w \
               JOIN entry e ON e.watchlist = w.key AND e.state = 0 JOIN subject s ON s.key = e.subject \
               JOIN model m ON m.key = w.model JOIN encounter c ON c.subject = e.subject AND c.model = w.model WHERE w.id = ?1 ORDER BY c.key";
    let store = |error: rusqlite::Error| E::from(error.into());
    let mut statement = connection.prepare(sql).map_err(store)?;
    let mut rows = statement.query([watchlist.bytes()]).map_err(store)?;
    while let Some(row) = rows.next().map_err(store)? {
        visit(exported(row)?)?;
    }
    Ok(())
}

fn exported(row: &Row<'_>) -> Result<Exported, StoreError> {
    let encounter: Option<String> = row.get(1)?;
    let features: Vec<u8> = row.get(3)?;
    let id = EncounterId::from_bytes(codec::id(row, 5, "an encounter's id")?);
    let subject = SubjectId::from_bytes(codec::id(row, 6, "a subject's id")?);
    let model: String = row.get(7)?;
    Ok(Exported {
        subject: codec::parse(&row.get::<_, String>(0)?, "a subject's reference")?,
        encounter: encounter.map(|text| codec::parse(&text, "an encounter's reference")).transpose()?,
        category: codec::parse(&row.get::<_, String>(2)?, "an entry's category")?,
        features: checked_features(id, subject, &model, (&features, row.get(4)?))?,
    })
}

/// How much is on record: subjects not retired, subjects retired, encounters.
pub(crate) fn totals(connection: &Connection) -> Result<[u64; 3], StoreError> {
    let sql = "SELECT (SELECT count(*) FROM subject WHERE retired_at IS NULL), \
               (SELECT count(*) FROM subject WHERE retired_at IS NOT NULL), (SELECT count(*) FROM encounter)";
    let counts =
        connection.query_row(sql, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?])).optional()?;
    counts
        .map(|counts: [i64; 3]| counts.map(|count| u64::try_from(count).unwrap_or(0)))
        .ok_or_else(|| codec::damaged("the totals"))
}

/// Does SQLite find its own file in order?
pub(crate) fn integrity(connection: &Connection) -> Result<(), StoreError> {
    let answer: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if answer == "ok" { Ok(()) } else { Err(StoreError::Damaged(answer)) }
}
