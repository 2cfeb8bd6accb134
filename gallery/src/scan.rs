//! The middle of a lookup: many prepared ones share one pass over the references.

use crate::{
    authority::{Lookup, Permit},
    calibrated::Calibrated,
    decision::{Certificate, Searched},
    disclosure::Reaching,
    gallery::Gallery,
    generation::{Approximate, Piece, Snapshot},
    id::{EncounterKey, LookupId, SubjectId, WatchlistId},
    idempotency::Claim,
    misuse::Admission,
    strictness::InForce,
    timestamp::Timestamp,
};
use audit::hash::Hash;
use matcher::{
    candidate::{Candidate, CandidateList, Hit},
    filter::SlotFilter,
    index::{Found, Query, cascade},
    rows::Slot,
    score::Threshold,
    template::Probe,
};
use rayon::prelude::*;
use std::{collections::HashMap, sync::Arc};

/// A lookup that may be made, ready to be searched.
#[derive(Debug)]
pub struct Prepared {
    pub(crate) id: LookupId,
    pub(crate) permit: Permit<Lookup>,
    pub(crate) thresholds: Vec<InForce>,
    /// By which thresholds and scores are explained.
    pub(crate) calibrated: Option<Arc<Calibrated>>,
    pub(crate) probe: Probe,
    pub(crate) features: Vec<f32>,
    /// SHA-256 of the image of which they were made here.
    pub(crate) image: Option<Hash>,
    pub(crate) limit: u32,
    pub(crate) claim: Option<Claim>,
    pub(crate) admission: Admission,
}

/// A lookup that has been searched.
#[derive(Debug)]
pub struct Concluding {
    pub(crate) prepared: Box<Prepared>,
    /// Who reaches the threshold, best first; ties by ascending subject id.
    pub(crate) reaching: Vec<Reaching>,
    pub(crate) certificate: Certificate,
    /// Was everything read that should have been?
    pub(crate) whole: bool,
}

/// Searches for all of them at once, in what is searched now: everything acknowledged before this call.
pub fn search_batch(gallery: &Gallery, batch: Vec<Box<Prepared>>) -> Vec<Concluding> {
    let snapshot = gallery.current.load();
    let found = scan(gallery, &snapshot, &batch);
    let searched_at = gallery.ambient.clock.now();
    batch
        .into_iter()
        .zip(found)
        .map(|(prepared, found)| evaluate(&snapshot, prepared, &found, searched_at))
        .collect()
}

/// What a scan brought.
#[derive(Clone, Default)]
struct Scanned {
    found: Found,
    /// Was everything read that should have been?
    whole: bool,
    /// The index that was asked for the references in the first pieces, and how many pieces these are.
    approximate: Option<(Arc<Approximate>, usize)>,
}

/// One pass over the references of each model that is asked for. What cannot be read was not compared.
fn scan(gallery: &Gallery, snapshot: &Snapshot, batch: &[Box<Prepared>]) -> Vec<Scanned> {
    let mut found = vec![Scanned::default(); batch.len()];
    let mut open: Vec<usize> = (0..batch.len()).collect();
    while let Some(&first) = open.first() {
        let model = batch[first].probe.model();
        let (together, rest) = open.into_iter().partition(|&at| batch[at].probe.model() == model);
        open = rest;
        let together: Vec<usize> = together;
        let pieces = snapshot.pieces(model);
        let unions = unions(pieces, together.iter().map(|&at| batch[at].as_ref()));
        let queries: Vec<_> = together.iter().map(|&at| query(pieces, &unions, &batch[at])).collect();
        let scanned = match snapshot.codings.get(model).and_then(|coding| coding.approximate.as_ref()) {
            None => exhaustively(gallery, pieces, &queries),
            Some(index) => approximately(gallery, index, pieces, &queries),
        };
        for (at, scanned) in together.into_iter().zip(scanned) {
            found[at] = scanned;
        }
    }
    found
}

fn exhaustively(gallery: &Gallery, pieces: &[Arc<Piece>], queries: &[Query<'_>]) -> Vec<Scanned> {
    let segments: Vec<_> = pieces.iter().map(|piece| piece.segment()).collect();
    let (answers, _) = cascade::search(&gallery.pool, gallery.kernel, &segments, queries);
    let scanned = answers.into_iter().zip(queries).map(|(found, query)| {
        let asked: u64 = query.filters.iter().map(|filter| filter.count()).sum();
        Scanned { whole: found.compared == asked, found, approximate: None }
    });
    scanned.collect()
}

/// A lookup that may see less than one in so many of the references that an index covers is not put to it: it would
/// walk through all of them to find those few.
const SPARSE: u64 = 16;

/// Asks the index for the references that it covers, and compares all others.
fn approximately(
    gallery: &Gallery,
    index: &Arc<Approximate>,
    pieces: &[Arc<Piece>],
    queries: &[Query<'_>],
) -> Vec<Scanned> {
    let covered = pieces.partition_point(|piece| piece.end() <= index.covered());
    let (inside, outside) = pieces.split_at(covered);
    let sparse = |query: &Query<'_>| {
        let admitted: u64 = query.filters[..covered].iter().map(|filter| filter.count()).sum();
        admitted * SPARSE < u64::from(index.covered())
    };
    let near = |query: &Query<'_>| {
        let admits = |slot: Slot| {
            let at = inside.partition_point(|piece| piece.end() <= slot.0);
            inside
                .get(at)
                .is_some_and(|piece| query.filters[at].contains((slot.0 - piece.first().0) as usize))
        };
        index.search(gallery.kernel, query.probe, query.threshold, admits)
    };
    let ask = |query: &Query<'_>| if sparse(query) { None } else { Some(near(query)) };
    let near: Vec<_> = gallery.pool.install(|| queries.par_iter().map(ask).collect());
    let pick = |asked: bool, first: usize| -> Vec<Query<'_>> {
        let picked = queries.iter().zip(&near).filter(|(_, near)| near.is_some() == asked);
        picked.map(|(query, _)| Query { filters: query.filters[first..].to_vec(), ..*query }).collect()
    };
    let mut beside = exhaustively(gallery, outside, &pick(true, covered)).into_iter();
    let mut alone = exhaustively(gallery, pieces, &pick(false, 0)).into_iter();
    let scanned = near.into_iter().map(|near| {
        let Some((near, unread)) = near else { return alone.next().unwrap_or_default() };
        let mut scanned = beside.next().unwrap_or_default();
        scanned.found.hits.splice(0..0, near.into_iter().map(|(slot, score)| Hit { slot, score }));
        scanned.whole &= unread == 0;
        scanned.approximate = Some((Arc::clone(index), covered));
        scanned
    });
    scanned.collect()
}

/// The rows that several watchlists admit together, for each set of watchlists that is asked for.
type Unions = HashMap<Vec<WatchlistId>, Vec<SlotFilter>>;

fn unions<'a>(pieces: &[Arc<Piece>], batch: impl Iterator<Item = &'a Prepared>) -> Unions {
    let mut unions = Unions::new();
    for prepared in batch {
        let lists = lists(prepared);
        if lists.len() > 1 && !unions.contains_key(&lists) {
            let union = |piece: &Arc<Piece>| {
                let mut union = SlotFilter::default();
                let on_lists = lists.iter().filter_map(|list| piece.on_list(*list));
                on_lists.for_each(|list| union.unite(list));
                union
            };
            let union = pieces.iter().map(union).collect();
            unions.insert(lists, union);
        }
    }
    unions
}

fn lists(prepared: &Prepared) -> Vec<WatchlistId> {
    prepared.permit.watchlists().iter().map(|list| list.id).collect()
}

fn query<'a>(pieces: &'a [Arc<Piece>], unions: &'a Unions, prepared: &'a Prepared) -> Query<'a> {
    static NOTHING: SlotFilter = SlotFilter::nothing();
    let lists = lists(prepared);
    let filters = match lists[..] {
        [list] => pieces.iter().map(|piece| piece.on_list(list).unwrap_or(&NOTHING)).collect(),
        _ => unions[&lists].iter().collect(),
    };
    let thresholds = prepared.thresholds.iter().map(|it| it.asked);
    let threshold = thresholds.reduce(Threshold::looser).expect("a lookup names a watchlist");
    Query { probe: &prepared.probe, threshold, best: None, filters }
}

/// Hits become candidates, and what was searched becomes a certificate.
fn evaluate(
    snapshot: &Snapshot,
    prepared: Box<Prepared>,
    scanned: &Scanned,
    searched_at: Timestamp,
) -> Concluding {
    let pieces = snapshot.pieces(prepared.probe.model());
    let reached = |hit: &Hit| {
        let (piece, row, subject, key) = locate(pieces, hit.slot)?;
        let lists = prepared.permit.watchlists().iter().zip(&prepared.thresholds).enumerate();
        let reaches = lists.filter(|(_, (list, threshold))| {
            threshold.asked.admits(hit.score)
                && piece.on_list(list.id).is_some_and(|filter| filter.contains(row))
        });
        let lists: Vec<usize> = reaches.map(|(at, _)| at).collect();
        (!lists.is_empty()).then_some((subject, key, lists))
    };
    let hits = scanned.found.hits.iter().filter_map(|hit| Some((reached(hit)?.0, *hit)));
    let list = CandidateList::fuse(hits);
    let reaching = list.candidates().iter().filter_map(|Candidate { subject, best }| {
        let (_, encounter, lists) = reached(best)?;
        Some(Reaching { subject: *subject, score: best.score, encounter, lists })
    });
    let reaching = reaching.collect();
    let certificate = certificate(snapshot, pieces, &prepared, scanned, searched_at);
    Concluding { prepared, reaching, certificate, whole: scanned.whole }
}

pub(crate) fn locate(
    pieces: &[Arc<Piece>],
    slot: Slot,
) -> Option<(&Arc<Piece>, usize, SubjectId, EncounterKey)> {
    let after = pieces.partition_point(|piece| piece.segment().first <= slot);
    let piece = &pieces[after.checked_sub(1)?];
    let (row, subject, key) = piece.reference(slot)?;
    Some((piece, row, subject, key))
}

fn certificate(
    snapshot: &Snapshot,
    pieces: &[Arc<Piece>],
    prepared: &Prepared,
    scanned: &Scanned,
    searched_at: Timestamp,
) -> Certificate {
    let lists = prepared.permit.watchlists().iter().zip(&prepared.thresholds);
    // What an approximate index looked at was not all of it: only what was compared besides counts.
    let approximate = scanned.approximate.as_ref();
    let pieces = &pieces[approximate.map_or(0, |(_, covered)| *covered)..];
    // As it was when thresholds were chosen.
    let calibrated = prepared.calibrated.as_deref();
    let estimate = |threshold, references| calibrated?.fpir(threshold, references).ok();
    let watchlists: Vec<Searched> = lists
        .map(|(list, threshold)| {
            let on_list =
                pieces.iter().filter_map(|piece| piece.on_list(list.id)).map(SlotFilter::count).sum();
            Searched {
                watchlist: list.id,
                threshold: threshold.asked.value(),
                fpir: estimate(threshold.asked, snapshot.references_on(list)),
                // What the scan did not see through was not compared.
                compared: if scanned.whole { on_list } else { 0 },
                expected: snapshot.expected.get(&list.id).copied().unwrap_or(0),
            }
        })
        .collect();
    Certificate {
        model: prepared.probe.model().clone(),
        compared: watchlists.iter().map(|searched| searched.compared).sum(),
        expected: watchlists.iter().map(|searched| searched.expected).sum(),
        exhaustive: approximate.is_none(),
        miss_rate: approximate.and_then(|(index, _)| index.miss_rate),
        generation: Some(snapshot.generation),
        calibration: calibrated.map(|calibrated| calibrated.id),
        as_of: snapshot.as_of,
        searched_at,
        watchlists,
    }
}
