//! Comparing what is about to be searched with the exact scan, on probes by chance and on references of its own.

use crate::{
    gallery::Gallery,
    generation::{Piece, Snapshot},
};
use matcher::{
    filter::SlotFilter,
    index::{Found, Query, cascade, oracle},
    kernel::{Block, LANES},
    rows::{ExactRows, Rows, Slot},
    score::Threshold,
    template::{ModelId, ModelProfile, Probe},
};
use std::{ops::Range, sync::Arc};

/// Probes drawn by chance.
const DRAWN: usize = 8;
/// References as probes, each of them also turned round.
const OWN: usize = 8;

/// Rows that are in memory at a time.
const AT_ONCE: usize = 256;

/// A probe, and the slot that it must find or must not.
struct Trial {
    probe: Probe,
    known: Option<(Slot, bool)>,
}

/// Compares the answers of the search with those of the exact scan over the same references, bit for bit; that a reference finds
/// itself, and that its opposite does not find it. `go_on` is told how many references were compared, and of how many; `false` when
/// it ended the comparison.
///
/// # Errors
/// What is wrong, in words.
pub(crate) fn with_the_exact_scan(
    gallery: &Gallery,
    pool: &rayon::ThreadPool,
    snapshot: &Snapshot,
    mut go_on: impl FnMut(u64, u64) -> bool,
) -> Result<bool, String> {
    let length = |piece: &Arc<Piece>| u64::from(piece.end() - piece.first().0);
    let total = snapshot.pieces.values().flatten().map(length).sum();
    let mut done = 0;
    for (model, pieces) in &snapshot.pieces {
        let threshold = snapshot.usual_threshold(model);
        let mut listed: Vec<SlotFilter> = pieces.iter().map(|piece| piece.listed()).collect();
        let trials = trials(gallery, snapshot, model, &listed)?;
        let mut exact = vec![Found::default(); trials.len()];
        let dimension = snapshot.codings[model].plan.dimension();
        for (piece, filter) in pieces.iter().zip(&mut listed) {
            let count = length(piece) as usize;
            for start in (0..count).step_by(AT_ONCE) {
                let part = start..count.min(start + AT_ONCE);
                let rows = rows(model, dimension, piece, part.clone(), filter)?;
                let here = part_of(filter, part);
                let segment = oracle::Segment { first: Slot(piece.first().0 + start as u32), rows: &rows };
                let here =
                    oracle::search(pool, gallery.kernel, &[segment], &queries(&trials, threshold, &[&here]));
                for (exact, here) in exact.iter_mut().zip(here) {
                    exact.hits.extend(here.hits);
                    exact.compared += here.compared;
                }
            }
            done += length(piece);
            if !go_on(done, total) {
                return Ok(false);
            }
        }
        let segments: Vec<_> = pieces.iter().map(|piece| piece.segment()).collect();
        let whole = queries(&trials, threshold, &listed.iter().collect::<Vec<_>>());
        let (found, _) = cascade::search(pool, gallery.kernel, &segments, &whole);
        let answers = found.iter().zip(&exact);
        trials
            .iter()
            .zip(answers)
            .try_for_each(|(trial, (found, exact))| judge(trial, threshold, found, exact))?;
    }
    Ok(true)
}

fn queries<'a>(trials: &'a [Trial], threshold: Threshold, filters: &[&'a SlotFilter]) -> Vec<Query<'a>> {
    let query =
        |trial: &'a Trial| Query { probe: &trial.probe, threshold, best: None, filters: filters.to_vec() };
    trials.iter().map(query).collect()
}

fn judge(trial: &Trial, threshold: Threshold, found: &Found, exact: &Found) -> Result<(), String> {
    if found != exact {
        let (found, exact) = (found.hits.len(), exact.hits.len());
        return Err(format!("a probe has {found} hits, and {exact} by the exact scan"));
    }
    // A reference's score with itself is 1, but for rounding; that of its opposite is -1.
    let possible = threshold.value() > -0.99 && threshold.value() < 0.99;
    match trial.known.filter(|_| possible) {
        Some((slot, expected)) if found.hits.iter().any(|hit| hit.slot == slot) != expected => {
            let what = if expected { "is not found by itself" } else { "is found by its opposite" };
            Err(format!("a reference {what}"))
        }
        _ => Ok(()),
    }
}

fn trials(
    gallery: &Gallery,
    snapshot: &Snapshot,
    model: &ModelId,
    listed: &[SlotFilter],
) -> Result<Vec<Trial>, String> {
    let (coding, pieces) = (&snapshot.codings[model], snapshot.pieces(model));
    let dimension = coding.plan.dimension();
    let plain = ModelProfile::new(model.clone(), dimension, None).map_err(|error| error.to_string())?;
    let trial = |features: &[f32], known| {
        let template = plain.template(features).map_err(|error| error.to_string())?;
        Ok::<_, String>(Trial { probe: Probe::new(&template), known })
    };
    let mut trials = Vec::with_capacity(DRAWN + 2 * OWN);
    for _ in 0..DRAWN {
        let mut bytes = vec![0; dimension];
        gallery.ambient.chance.fill(&mut bytes);
        let features: Vec<f32> = bytes.into_iter().map(|byte| f32::from(byte) - 127.5).collect();
        trials.push(trial(&features, None)?);
    }
    let all: u64 = listed.iter().map(SlotFilter::count).sum();
    for n in 0..(OWN as u64).min(all) {
        // Spread over all that stand on a list.
        let mut nth = (2 * n + 1) * all / (2 * (OWN as u64).min(all));
        for (piece, filter) in pieces.iter().zip(listed) {
            if nth >= filter.count() {
                nth -= filter.count();
                continue;
            }
            let row = filter.rows().nth(nth as usize).ok_or("a bitmap miscounts")?;
            let mut only_it = only(row);
            let rows = rows(model, dimension, piece, row..row + 1, &mut only_it)?;
            if only_it.count() == 0 {
                break; // it was erased a moment ago
            }
            let features: Vec<f32> = rows.features(0).collect();
            let opposite: Vec<f32> = features.iter().map(|x| -x).collect();
            let slot = Slot(piece.first().0 + row as u32);
            trials.push(trial(&features, Some((slot, true)))?);
            trials.push(trial(&opposite, Some((slot, false)))?);
            break;
        }
    }
    Ok(trials)
}

pub(crate) fn part_of(filter: &SlotFilter, rows: Range<usize>) -> SlotFilter {
    let mut part = SlotFilter::default();
    rows.clone().filter(|row| filter.contains(*row)).for_each(|row| part.set(row - rows.start));
    part
}

fn only(row: usize) -> SlotFilter {
    let mut only = SlotFilter::default();
    only.set(row);
    only
}

/// Rows of a piece in f32; those that stand on no list are not read, and those that were erased meanwhile are taken off it.
pub(crate) fn rows(
    model: &ModelId,
    dimension: usize,
    piece: &Piece,
    part: Range<usize>,
    listed: &mut SlotFilter,
) -> Result<Rows, String> {
    let mut rows = Rows::with_room(model.clone(), dimension, part.len());
    let mut room = vec![Block([0.0; LANES]); dimension.div_ceil(LANES)];
    for row in part {
        let filled = rows.push_with(|into| {
            if !listed.contains(row) {
                return Ok(());
            }
            match piece.row(row, &mut room) {
                Ok(blocks) => into.copy_from_slice(blocks),
                Err(error) if !piece.is_blank(row) => return Err(error.to_string()),
                Err(_) => listed.clear(row),
            }
            Ok(())
        });
        filled?;
    }
    Ok(rows)
}
