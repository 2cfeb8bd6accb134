//! A generation from disk, brought up to the record.

use super::{
    Reading, StoreError, calibrations, codec, moves, read,
    read::{Place, Without},
};
use crate::{
    generation::{Delta, Index, Piece, Site, Snapshot, files::Opened, manifest::GenerationError},
    id::{EncounterKey, RecordSequence, SubjectId},
};
use matcher::{filter::SlotFilter, template::ModelId};
use rusqlite::{Connection, params};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Changes that are taken in at a time.
const AT_ONCE: usize = 4096;

/// Why a generation from disk is not searched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatchUpError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The generation.
    #[error(transparent)]
    Generation(#[from] GenerationError),
}

/// What is searched, as an opened generation and all that the record has taken in since. `erased` are the subjects that the
/// record, an older copy, does not know to be erased.
pub(crate) fn snapshot(
    store: &Reading<'_>,
    opened: Opened,
    site: Arc<Site>,
    erased: &HashSet<SubjectId>,
) -> Result<Snapshot, CatchUpError> {
    let Opened { manifest, pieces, mut codings } = opened;
    if site.index == Index::Hnsw {
        // The graph is made in the background, as for references that were never coded to suit them.
        codings.values_mut().for_each(|coding| coding.fitted_on = 0);
    }
    let as_of = read::sequence(store)?;
    let foreign = |what: &str| GenerationError::Foreign { id: manifest.id.0, what: what.to_owned() };
    if manifest.as_of > as_of {
        return Err(foreign("it is younger than the store").into());
    }
    let models = read::models(store)?;
    let known = |part: &crate::generation::manifest::ModelPart| {
        models.get(&part.model).is_some_and(|profile| profile.dimension() == part.dimension)
    };
    if !manifest.models.iter().all(known) {
        return Err(foreign("it holds a model that the store does not know").into());
    }
    let mut snapshot = Snapshot {
        generation: manifest.id,
        as_of: manifest.as_of,
        catalogue: Arc::new(read::catalogue(store)?),
        models: Arc::new(models),
        calibrations: Arc::new(calibrations::newest(store)?),
        pieces,
        codings,
        site,
        expected: HashMap::new(),
        next_expiry: None,
    };
    advance(store, &mut snapshot, manifest.last_key(), erased)?;
    let counted = |list| {
        snapshot
            .pieces
            .values()
            .flatten()
            .filter_map(|piece| piece.on_list(list))
            .map(SlotFilter::count)
            .sum::<u64>()
    };
    let expected = &snapshot.expected;
    // Whom only the ledger calls erased the store still counts; they are erased before anything is answered.
    if erased.is_empty() && expected.iter().any(|(list, expected)| counted(*list) != *expected) {
        return Err(foreign("it holds other numbers of references than the store counts").into());
    }
    Ok(snapshot)
}

/// Takes in what the record has taken in since the snapshot's event; `last_key` is the last encounter that it may hold.
pub(crate) fn advance(
    store: &Reading<'_>,
    snapshot: &mut Snapshot,
    last_key: EncounterKey,
    erased: &HashSet<SubjectId>,
) -> Result<(), StoreError> {
    let since = snapshot.as_of;
    let gone = gone(store, snapshot, since, erased)?;
    snapshot.apply(gone.into_iter().map(|(model, key)| Delta::Forget { key, model }).collect());
    let mut deltas = Vec::with_capacity(AT_ONCE);
    each_moved(store, since, last_key, |place| {
        deltas.push(Delta::Lists { key: place.key, model: place.model, lists: place.lists });
        if deltas.len() == AT_ONCE {
            snapshot.apply(std::mem::take(&mut deltas));
        }
    })?;
    snapshot.apply(std::mem::take(&mut deltas));
    read::each_reference(store, last_key, Without::These(erased), |stored| {
        deltas.push(read::delta(&snapshot.models, stored)?);
        if deltas.len() == AT_ONCE {
            snapshot.apply(std::mem::take(&mut deltas));
        }
        Ok(())
    })?;
    snapshot.apply(deltas);
    snapshot.as_of = read::sequence(store)?;
    snapshot.expected = read::counted(store)?;
    snapshot.next_expiry = read::next_expiry(store)?;
    Ok(())
}

/// The references of subjects that were erased since an event, and those that were moved to others.
pub(crate) fn gone(
    connection: &Connection,
    snapshot: &Snapshot,
    since: RecordSequence,
    erased: &HashSet<SubjectId>,
) -> Result<Vec<(ModelId, EncounterKey)>, StoreError> {
    let sql = "SELECT id FROM subject WHERE changed > ?1 AND erased_at IS NOT NULL";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([since.0 as i64])?;
    let mut erased = erased.clone();
    while let Some(row) = rows.next()? {
        erased.insert(SubjectId::from_bytes(codec::id(row, 0, "a subject's id")?));
    }
    let moved = moves::since(connection, since)?;
    if erased.is_empty() {
        return Ok(moved);
    }
    let of_piece = |piece: &Arc<Piece>| piece.keys_of(&erased);
    let of_model = |(model, pieces): (&ModelId, &Vec<Arc<Piece>>)| {
        let keys = pieces.iter().flat_map(of_piece);
        keys.map(|key| (model.clone(), key)).collect::<Vec<_>>()
    };
    Ok(snapshot.pieces.iter().flat_map(of_model).chain(moved).collect())
}

/// Where the encounters up to `last` of subjects that changed since an event now stand.
fn each_moved(
    connection: &Connection,
    since: RecordSequence,
    last: EncounterKey,
    mut visit: impl FnMut(Place),
) -> Result<(), StoreError> {
    let sql = read::places("WHERE s.changed > ?1 AND c.key <= ?2");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(params![since.0 as i64, last.0])?;
    while let Some(row) = rows.next()? {
        visit(read::place(row)?);
    }
    Ok(())
}
