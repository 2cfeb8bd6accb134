//! Queries.

pub(crate) use super::{
    answer::{find as find_answer, outbox, sequence},
    catalogue::{catalogue, counted, models, recounted},
};

use super::{
    Reading, StoreError,
    codec::{self, ENCOUNTER_IS_WHOLE, ENTRY_IS_WHOLE, SUBJECT_IS_WHOLE},
};
use crate::{
    generation::Delta,
    id::{EncounterId, EncounterKey, GenerationId, SubjectId, WatchlistId},
    keys::Keys,
    law::{Nation, OwnReference},
    subject::{EntryState, Listing, RawFeatures},
    timestamp::Timestamp,
};
use audit::receipt::Receipt;
use matcher::template::{ModelId, ModelProfile};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::{HashMap, HashSet};

/// What is stored under an idempotency key.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Another request came with this key.
    OfAnotherRequest,
    /// The answer, and its receipt once the log has given it.
    Given { outcome: Vec<u8>, receipt: Option<Receipt> },
}

/// The last generation that was searched.
pub(crate) fn last_generation(connection: &Connection) -> Result<GenerationId, StoreError> {
    let sql = "SELECT value FROM meta WHERE name = 'generation'";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let row = rows.next()?.ok_or_else(|| codec::damaged("the generation"))?;
    codec::count(row, 0, "the generation").map(GenerationId)
}

/// How many encounters a search may need: those of subjects that are not retired.
pub(crate) fn searchable(connection: &Connection) -> Result<u64, StoreError> {
    let sql =
        "SELECT count(*) FROM encounter c JOIN subject s ON s.key = c.subject WHERE s.retired_at IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    rows.next()?.map_or(Ok(0), |row| codec::count(row, 0, "a count"))
}

/// How many of them come up to one.
pub(crate) fn searchable_up_to(connection: &Connection, last: EncounterKey) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM encounter c JOIN subject s ON s.key = c.subject \
               WHERE s.retired_at IS NULL AND c.key <= ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([last.0])?;
    rows.next()?.map_or(Ok(0), |row| codec::count(row, 0, "a count"))
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

/// The watchlists on which an encounter stands.
const LISTS: &str = "(SELECT group_concat(hex(w.id), ',') FROM entry e JOIN watchlist w ON w.key = e.watchlist \
    WHERE e.subject = c.subject AND e.state = 0 AND w.model = c.model)";

fn lists(row: &Row<'_>, column: usize) -> Result<Vec<WatchlistId>, StoreError> {
    let Some(text) = row.get::<_, Option<String>>(column)? else { return Ok(Vec::new()) };
    let lists = text.split(',').map(watchlist_from_hex).collect::<Option<_>>();
    lists.ok_or_else(|| codec::damaged("the watchlists of an encounter"))
}

/// Encounters with all that a search needs of them.
fn references(which: &str) -> String {
    format!(
        "SELECT c.key, c.id, s.id, m.name, c.template, s.owner, {LISTS}, c.subject \
         FROM encounter c JOIN subject s ON s.key = c.subject JOIN model m ON m.key = c.model {which} ORDER BY c.key"
    )
}

fn reference(keys: &Keys, row: &Row<'_>) -> Result<StoredReference, StoreError> {
    let id = EncounterId::from_bytes(codec::id(row, 1, "an encounter's id")?);
    let key = codec::template_key(keys, row, (2, 5), row.get(7)?)?;
    let model: String = row.get(3)?;
    let features = codec::template(row, 4, id, &model, &key)?;
    let model = ModelId::new(&model).map_err(|_| codec::damaged("an encounter"))?;
    Ok(StoredReference {
        key: EncounterKey(row.get(0)?),
        id,
        subject: key.subject(),
        sample: RawFeatures { model, features },
        lists: lists(row, 6)?,
    })
}

fn watchlist_from_hex(text: &str) -> Option<WatchlistId> {
    let bytes = u128::from_str_radix(text, 16).ok()?;
    Some(WatchlistId::from_bytes(bytes.to_be_bytes()))
}

/// Whose encounters are passed over.
#[derive(Clone, Copy)]
pub(crate) enum Without<'a> {
    /// These subjects'.
    These(&'a HashSet<SubjectId>),
    /// Those of subjects who are erased while they are read.
    Erased,
}

/// Every encounter after `after` of subjects that are not retired, in the order of their keys.
pub(crate) fn each_reference(
    store: &Reading<'_>,
    after: EncounterKey,
    without: Without<'_>,
    visit: impl FnMut(StoredReference) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    each(store, "WHERE s.retired_at IS NULL AND c.key > ?1", after, without, visit)
}

/// Every encounter, also of retired subjects.
pub(crate) fn each_encounter(
    store: &Reading<'_>,
    visit: impl FnMut(StoredReference) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let nobody = HashSet::new();
    each(store, "WHERE s.erase_at IS NULL AND c.key > ?1", EncounterKey(0), Without::These(&nobody), visit)
}

fn each(
    store: &Reading<'_>,
    which: &str,
    after: EncounterKey,
    without: Without<'_>,
    mut visit: impl FnMut(StoredReference) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement = store.prepare(&references(which))?;
    let mut rows = statement.query([after.0])?;
    while let Some(row) = rows.next()? {
        let subject = SubjectId::from_bytes(codec::id(row, 2, "a subject's id")?);
        if matches!(without, Without::These(subjects) if subjects.contains(&subject)) {
            continue;
        }
        match reference(store.keys, row) {
            Err(StoreError::Erased(_)) if matches!(without, Without::Erased) => (),
            stored => visit(stored?)?,
        }
    }
    Ok(())
}

/// What the search learns of an encounter.
pub(crate) fn delta(
    models: &HashMap<ModelId, ModelProfile>,
    stored: StoredReference,
) -> Result<Delta, StoreError> {
    let bad = || StoreError::Damaged(format!("encounter {} is not a template of its model", stored.id));
    let profile = models.get(&stored.sample.model).ok_or_else(bad)?;
    let template = profile.template(&stored.sample.features).map_err(|_| bad())?;
    Ok(Delta::Reference { key: stored.key, subject: stored.subject, template, lists: stored.lists })
}

/// Where an encounter stands.
pub(crate) struct Place {
    pub(crate) key: EncounterKey,
    pub(crate) model: ModelId,
    /// The watchlists of its model on which its subject is active.
    pub(crate) lists: Vec<WatchlistId>,
}

/// Where each encounter of one subject stands.
pub(crate) fn places_of(connection: &Connection, subject: SubjectId) -> Result<Vec<Place>, StoreError> {
    let mut statement = connection.prepare_cached(&places("WHERE s.id = ?1"))?;
    let mut rows = statement.query([subject.bytes()])?;
    let mut places = Vec::new();
    while let Some(row) = rows.next()? {
        places.push(place(row)?);
    }
    Ok(places)
}

/// The query for where encounters stand, subject by subject.
pub(super) fn places(which: &str) -> String {
    format!(
        "SELECT c.key, m.name, {LISTS} FROM subject s CROSS JOIN encounter c ON c.subject = s.key \
         JOIN model m ON m.key = c.model {which}"
    )
}

pub(super) fn place(row: &Row<'_>) -> Result<Place, StoreError> {
    let model = ModelId::new(&row.get::<_, String>(1)?).map_err(|_| codec::damaged("an encounter"))?;
    Ok(Place { key: EncounterKey(row.get(0)?), model, lists: lists(row, 2)? })
}

/// Every encounter of one subject.
pub(crate) fn references_of(
    store: &Reading<'_>,
    subject: SubjectId,
) -> Result<Vec<StoredReference>, StoreError> {
    let mut statement = store.prepare_cached(&references("WHERE s.id = ?1"))?;
    let mut rows = statement.query([subject.bytes()])?;
    let mut references = Vec::new();
    while let Some(row) = rows.next()? {
        references.push(reference(store.keys, row)?);
    }
    Ok(references)
}

/// The id of an encounter; `None` if it was moved or erased.
pub(crate) fn encounter_id(
    connection: &Connection,
    key: EncounterKey,
) -> Result<Option<EncounterId>, StoreError> {
    let sql = format!("SELECT c.id, {ENCOUNTER_IS_WHOLE} FROM encounter c WHERE c.key = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([key.0])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    codec::whole(row, 1, "a candidate's encounter")?;
    Ok(Some(EncounterId::from_bytes(codec::id(row, 0, "an encounter's id")?)))
}

/// A subject's place on a watchlist, and is it searched?
pub(crate) fn entry(
    connection: &Connection,
    subject: SubjectId,
    watchlist: WatchlistId,
) -> Result<Option<(Listing, EntryState)>, StoreError> {
    let sql = format!(
        "SELECT e.category, e.handling, e.grading, e.instruction, e.state, {ENTRY_IS_WHOLE} FROM entry e JOIN subject s ON s.key = e.subject \
         JOIN watchlist w ON w.key = e.watchlist WHERE s.id = ?1 AND w.id = ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![subject.bytes(), watchlist.bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    codec::whole(row, 5, "an entry")?;
    Ok(Some((codec::listing(row, 0)?, state(row.get(4)?)?)))
}

pub(super) fn state(number: u8) -> Result<EntryState, StoreError> {
    match number {
        0 => Ok(EntryState::Active),
        1 => Ok(EntryState::Retired),
        2 => Ok(EntryState::Expired),
        3 => Ok(EntryState::Restricted),
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
    let sql = "SELECT 1 FROM subject WHERE owner = ?1 AND reference = ?2 AND retired_at IS NOT NULL \
               AND erase_at IS NULL";
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

/// An owner's own name for a subject of its own that is not to be erased.
pub(crate) fn own_reference(
    connection: &Connection,
    subject: SubjectId,
    owner: &Nation,
) -> Result<Option<OwnReference>, StoreError> {
    let sql = "SELECT reference FROM subject WHERE id = ?1 AND owner = ?2 AND erase_at IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    let text: Option<String> =
        statement.query_row(params![subject.bytes(), owner.as_str()], |row| row.get(0)).optional()?;
    text.map(|text| codec::parse(&text, "a subject's reference")).transpose()
}

/// One row of an export.
pub(crate) struct Exported {
    pub(crate) subject: OwnReference,
    pub(crate) encounter: Option<OwnReference>,
    pub(crate) listing: Listing,
    pub(crate) features: Vec<f32>,
}

/// Every active reference of a watchlist, in the order of enrolment.
pub(crate) fn each_of_watchlist<E: From<StoreError>>(
    store: &Reading<'_>,
    watchlist: WatchlistId,
    mut visit: impl FnMut(Exported) -> Result<(), E>,
) -> Result<(), E> {
    let sql = format!(
        "SELECT s.reference, c.reference, e.category, e.handling, e.grading, e.instruction, c.template, c.id, s.id, s.owner, \
         m.name, s.key, \
         {SUBJECT_IS_WHOLE} AND {ENTRY_IS_WHOLE} AND {ENCOUNTER_IS_WHOLE} FROM watchlist w \
         JOIN entry e ON e.watchlist = w.key AND e.state = 0 JOIN subject s ON s.key = e.subject \
         JOIN model m ON m.key = w.model JOIN encounter c ON c.subject = e.subject AND c.model = w.model WHERE w.id = ?1 ORDER BY c.key"
    );
    let failed = |error: rusqlite::Error| E::from(error.into());
    let mut statement = store.prepare(&sql).map_err(failed)?;
    let mut rows = statement.query([watchlist.bytes()]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        visit(exported(store.keys, row)?)?;
    }
    Ok(())
}

fn exported(keys: &Keys, row: &Row<'_>) -> Result<Exported, StoreError> {
    codec::whole(row, 12, "an encounter, its subject or its entry")?;
    let encounter: Option<String> = row.get(1)?;
    let id = EncounterId::from_bytes(codec::id(row, 7, "an encounter's id")?);
    let key = codec::template_key(keys, row, (8, 9), row.get(11)?)?;
    let model: String = row.get(10)?;
    Ok(Exported {
        subject: codec::parse(&row.get::<_, String>(0)?, "a subject's reference")?,
        encounter: encounter.map(|text| codec::parse(&text, "an encounter's reference")).transpose()?,
        listing: codec::listing(row, 2)?,
        features: codec::template(row, 6, id, &model, &key)?,
    })
}

/// Subjects that a query names.
pub(super) fn subject_ids(connection: &Connection, sql: &str) -> Result<Vec<SubjectId>, StoreError> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut subjects = Vec::new();
    while let Some(row) = rows.next()? {
        subjects.push(SubjectId::from_bytes(codec::id(row, 0, "a subject's id")?));
    }
    Ok(subjects)
}
