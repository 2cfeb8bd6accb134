//! Deduplication: who stands on record under two names? Every reference of a nation's watchlists is compared with every other of its
//! model, exhaustively. What is found is for people to judge: nothing is changed.

use crate::{
    authority::{self, Caller, Inspect, Refusal},
    event::What,
    expire::{self, ExpireError},
    gallery::{Asked, Gallery},
    generation::Snapshot,
    id::{EncounterId, EncounterKey, SubjectId, WatchlistId},
    law::OwnReference,
    priority,
    record::{
        Reading, StoreError, WriteError,
        read::{self, StoredReference, Without},
    },
    scan,
    watchlist::Watchlist,
};
use matcher::{
    filter::SlotFilter,
    index::{Query, cascade},
    score::{Score, Threshold},
    template::{ModelId, Probe},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, io, sync::Arc};

/// References that are compared in one pass.
const BATCH: usize = 512;

/// Why it is not done, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum DedupError {
    /// No authority; it is in the log.
    #[error(transparent)]
    Refused(Refusal),
    /// What was found could not be taken.
    #[error("the report could not be written: {0}")]
    Sink(io::Error),
    /// A watchlist names an FPIR only, and no calibration tells its threshold.
    #[error("no threshold can be told, name one: {0}")]
    Uncalibrated(String),
    /// References could not be read, and so not be compared.
    #[error("{0} references could not be read and were not compared: rebuild, or restore a backup")]
    Unread(u64),
    /// The node is at fault.
    #[error(transparent)]
    Node(#[from] WriteError),
}

crate::fault::faults!(DedupError);

/// What is compared.
#[derive(Clone, Debug)]
pub struct DedupRequest {
    /// Whose active references: watchlists of the caller's nation. None: all of them that the grant reaches.
    pub watchlists: Vec<WatchlistId>,
    /// From which score on two subjects are reported; by default the lowest threshold of the watchlists of a model.
    pub threshold: Option<Threshold>,
    /// References up to this one were compared before: [`Compared::through`] of the last batch, or 0.
    pub after: u64,
    /// Is it to wait for whatever else wants the processor?
    pub quietly: bool,
}

/// What is told of it.
#[derive(Clone, Debug)]
pub enum Told {
    /// First: which watchlists are compared.
    Begun {
        /// In the order of their ids.
        watchlists: Vec<WatchlistId>,
    },
    /// Then each batch.
    Compared(Compared),
}

/// Two subjects who resemble each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suspicion {
    /// Who was enrolled later.
    pub subject: SubjectId,
    /// Its owner's name for it.
    pub reference: OwnReference,
    /// With which encounter.
    pub encounter: EncounterId,
    /// Whom it resembles.
    pub other: SubjectId,
    /// Its owner's name for it.
    pub other_reference: OwnReference,
    /// The other's encounter with the best score.
    pub other_encounter: EncounterId,
    /// The score.
    pub score: f32,
}

/// A batch of references that were compared with all before them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compared {
    /// The last of them: a later run may go on after it.
    pub through: u64,
    /// References up to it.
    pub done: u64,
    /// References that there are.
    pub total: u64,
    /// What was found: of each reference, each other subject once.
    pub suspicions: Vec<Suspicion>,
}

/// Compares in batches; each is given to `take`, which may end it by `false`. What is to be compared is in the log before.
/// Returns how many were compared in this run.
///
/// # Errors
/// When the caller may not, `take` fails, a reference cannot be read, or the node cannot.
pub fn dedup(
    gallery: &Gallery,
    caller: &Caller,
    request: &DedupRequest,
    mut take: impl FnMut(Told) -> io::Result<bool>,
) -> Result<u64, DedupError> {
    expire::due(gallery).map_err(|ExpireError(error)| error)?;
    let snapshot = gallery.current.load();
    let watchlists = wanted(caller, &snapshot, &request.watchlists);
    let asked = Asked { watchlists: &watchlists, ..Asked::default() };
    let permit = authority::permit_own::<Inspect>(caller, &snapshot.catalogue, asked.watchlists);
    let permit = gallery.logged(caller, asked, permit)?;
    let quiet =
        request.quietly.then(|| priority::quiet_pool(gallery)).transpose().map_err(StoreError::from)?;
    let pool = quiet.as_ref().unwrap_or(&gallery.pool);
    let search = Search::begin(gallery, pool, &snapshot, permit.watchlists(), request.threshold)?;
    let what =
        What::Dedup { watchlists: watchlists.clone(), threshold: request.threshold.map(Threshold::value) };
    gallery.log_event(permit.actor(), |_| what)?;
    if !take(Told::Begun { watchlists: watchlists.clone() }).map_err(DedupError::Sink)? {
        return Ok(0);
    }
    let (mut after, mut compared) = (EncounterKey(request.after.cast_signed()), 0);
    let counted = |store: &Reading<'_>| Ok((read::searchable_up_to(store, after)?, read::searchable(store)?));
    let (mut done, total) = gallery.store.read::<_, StoreError>(counted)?;
    loop {
        let batch = next(gallery, after)?;
        let Some(last) = batch.last() else { return Ok(compared) };
        done += batch.len() as u64;
        after = last.key;
        let mut suspicions = Vec::new();
        for (model, references) in by_model(batch, &watchlists) {
            compared += references.len() as u64;
            suspicions.extend(search.among_earlier(&model, &references)?);
        }
        let through = after.0.cast_unsigned();
        let told = Told::Compared(Compared { through, done: done.min(total), total, suspicions });
        if !take(told).map_err(DedupError::Sink)? {
            return Ok(compared);
        }
    }
}

fn wanted(caller: &Caller, snapshot: &Snapshot, named: &[WatchlistId]) -> Vec<WatchlistId> {
    let own = |list: &&Arc<Watchlist>| list.owner == *caller.nation() && authority::reaches(caller, list);
    let mut wanted: Vec<WatchlistId> = named.to_vec();
    if named.is_empty() {
        wanted.extend(snapshot.catalogue.values().filter(own).map(|list| list.id));
    }
    wanted.sort_unstable();
    wanted.dedup();
    wanted
}

/// The next references after one.
fn next(gallery: &Gallery, after: EncounterKey) -> Result<Vec<StoredReference>, StoreError> {
    gallery.store.read(|store| {
        let mut batch = Vec::with_capacity(BATCH);
        let read = read::each_reference(store, after, Without::Erased, |stored| {
            batch.push(stored);
            if batch.len() < BATCH { Ok(()) } else { Err(StoreError::Aborted) }
        });
        if batch.len() < BATCH {
            read?; // it came to its end
        }
        Ok(batch)
    })
}

fn by_model(batch: Vec<StoredReference>, lists: &[WatchlistId]) -> BTreeMap<ModelId, Vec<StoredReference>> {
    let mut models = BTreeMap::<_, Vec<_>>::new();
    for reference in batch.into_iter().filter(|one| one.lists.iter().any(|list| lists.contains(list))) {
        models.entry(reference.sample.model.clone()).or_default().push(reference);
    }
    models
}

struct Search<'a> {
    gallery: &'a Gallery,
    pool: &'a rayon::ThreadPool,
    snapshot: &'a Snapshot,
    /// Of each model: from which score on, and which references of each piece.
    asked: BTreeMap<ModelId, (Threshold, Vec<SlotFilter>)>,
}

impl<'a> Search<'a> {
    fn begin(
        gallery: &'a Gallery,
        pool: &'a rayon::ThreadPool,
        snapshot: &'a Snapshot,
        watchlists: &[Arc<Watchlist>],
        threshold: Option<Threshold>,
    ) -> Result<Self, DedupError> {
        let mut asked = BTreeMap::<ModelId, (Threshold, Vec<SlotFilter>)>::new();
        for watchlist in watchlists {
            let own = threshold.map_or_else(|| snapshot.own_threshold(watchlist), Ok);
            let (model, own) = (&watchlist.policy.model, own.map_err(DedupError::Uncalibrated)?);
            let pieces = snapshot.pieces(model);
            let nothing = || (own, vec![SlotFilter::default(); pieces.len()]);
            let (lowest, filters) = asked.entry(model.clone()).or_insert_with(nothing);
            *lowest = lowest.looser(own);
            for (filter, piece) in filters.iter_mut().zip(pieces) {
                piece.on_list(watchlist.id).into_iter().for_each(|list| filter.unite(list));
            }
        }
        Ok(Self { gallery, pool, snapshot, asked })
    }

    /// Compares references of one model, in the order of their keys, with those before each.
    fn among_earlier(
        &self,
        model: &ModelId,
        references: &[StoredReference],
    ) -> Result<Vec<Suspicion>, DedupError> {
        let (Some((threshold, filters)), Some(last)) = (self.asked.get(model), references.last()) else {
            return Ok(Vec::new());
        };
        let pieces = self.snapshot.pieces(model);
        let pieces = &pieces[..pieces.partition_point(|piece| piece.first_key() < last.key)];
        let damaged = |id| StoreError::Damaged(format!("encounter {id} is not a template of its model"));
        let probe = |reference: &StoredReference| {
            let profile = self.snapshot.models.get(model).ok_or_else(|| damaged(reference.id))?;
            let template = profile.template(&reference.sample.features).map_err(|_| damaged(reference.id))?;
            Ok::<_, StoreError>(Probe::new(&template))
        };
        let probes = references.iter().map(probe).collect::<Result<Vec<_>, _>>()?;
        let filters: Vec<&SlotFilter> = filters[..pieces.len()].iter().collect();
        let admitted: u64 = filters.iter().map(|filter| filter.count()).sum();
        let query = |probe| Query { probe, threshold: *threshold, best: None, filters: filters.clone() };
        let queries: Vec<_> = probes.iter().map(query).collect();
        let segments: Vec<_> = pieces.iter().map(|piece| piece.segment()).collect();
        let (found, _) = cascade::search(self.pool, self.gallery.kernel, &segments, &queries);
        let mut suspicions = Vec::new();
        for (reference, found) in references.iter().zip(found) {
            if found.compared != admitted {
                return Err(DedupError::Unread(admitted - found.compared));
            }
            let mut others = BTreeMap::<SubjectId, (Score, EncounterKey)>::new();
            for hit in found.hits {
                let Some((_, _, other, key)) = scan::locate(pieces, hit.slot) else { continue };
                if other == reference.subject || key >= reference.key {
                    continue;
                }
                let best = others.entry(other).or_insert((hit.score, key));
                *best = (*best).max((hit.score, key));
            }
            for (other, (score, key)) in others {
                let found = self.gallery.store.read(|store| {
                    let other_encounter = read::encounter_id(store, key)?;
                    let both =
                        (read::reference_of(store, reference.subject)?, read::reference_of(store, other)?);
                    Ok::<_, StoreError>((other_encounter, both))
                })?;
                let (Some(other_encounter), (Some(own), Some(other_reference))) = found else {
                    continue; // moved or erased since
                };
                suspicions.push(Suspicion {
                    subject: reference.subject,
                    reference: own,
                    encounter: reference.id,
                    other,
                    other_reference,
                    other_encounter,
                    score: score.value(),
                });
            }
        }
        Ok(suspicions)
    }
}
