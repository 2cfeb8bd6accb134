//! Calibration: what do scores of a model mean in this gallery? References of subjects drawn by lot are compared with those of all others.

use crate::{
    authority::{self, Actor, Caller, Inspect, Rebuild, Refusal},
    calibrated::Calibrated,
    compare,
    event::What,
    gallery::{Asked, Gallery},
    generation::{Delta, Snapshot},
    id::{CalibrationId, WatchlistId},
    job::{Progress, Stage},
    priority,
    record::{StoreError, WriteError, change::Done},
    suspected::{self, Suspected},
};
use audit::hash::sha256;
use matcher::{
    calibration::{Calibration, CalibrationError, Maxima, Whose},
    filter::SlotFilter,
    rows::Rows,
    template::ModelId,
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::{
    collections::{BinaryHeap, HashMap},
    sync::{Arc, PoisonError},
};

/// Subjects whose references are compared with those of all others, at most.
const PROBES: usize = 10_000;
/// References that are in memory at a time.
const AT_ONCE: usize = 1024;
/// A node calibrates by itself from so many references on.
const MANY: u64 = 1000;

/// Why there is no calibration.
#[derive(Debug, thiserror::Error)]
pub enum CalibrateError {
    /// No authority; it is in the log.
    #[error(transparent)]
    Refused(Refusal),
    /// No profile of the model.
    #[error("no model {0} is known here")]
    Model(ModelId),
    /// The references do not tell.
    #[error("model {model}: {error}")]
    Fit {
        /// Which.
        model: ModelId,
        /// Why.
        error: CalibrationError,
    },
    /// It is not one.
    #[error("this is no calibration: its numbers are not those of one")]
    Unsound,
    /// Somebody ended it.
    #[error("it was ended")]
    Ended,
    /// References could not be read.
    #[error("references could not be read: {0}")]
    Unread(String),
    /// The node is at fault.
    #[error(transparent)]
    Node(#[from] WriteError),
}

crate::fault::faults!(CalibrateError);

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// It is in use now.
    pub calibrated: Arc<Calibrated>,
    /// Who may be on record under two names, as far as they are the caller's to know.
    pub suspected: Vec<Suspected>,
}

/// Measures each model of the gallery, or one. `go_on` is told how far it has come, and may end it. Who may be on record under two names is told to who may
/// inspect all watchlists of the nation, and is in the log like a [deduplication](crate::dedup); to others nobody is.
///
/// # Errors
/// When the caller may not, the references do not tell, `go_on` says no, or the node cannot.
pub fn calibrate(
    gallery: &Gallery,
    caller: &Caller,
    model: Option<&ModelId>,
    mut go_on: impl FnMut(Progress) -> bool,
) -> Result<Vec<Outcome>, CalibrateError> {
    let actor = permitted(gallery, caller)?;
    let models = match model {
        Some(model) => vec![known(&gallery.current.load(), model)?],
        None => measured(&gallery.current.load()).into_iter().map(|(model, _)| model).collect(),
    };
    let own = own_lists(caller, &gallery.current.load());
    let asked = Asked { watchlists: &own, ..Asked::default() };
    let inspecting =
        authority::permit_own::<Inspect>(caller, &gallery.current.load().catalogue, asked.watchlists);
    let told = inspecting.is_ok() && !own.is_empty();
    if told {
        let what = What::Dedup { watchlists: own.clone(), threshold: None };
        gallery.log_event(&actor, |_| what)?;
    }
    let outcome = |model| {
        let mut outcome = measure(gallery, &actor, model, &mut go_on)?;
        if !told {
            outcome.suspected.clear();
        }
        Ok(outcome)
    };
    models.iter().map(outcome).collect()
}

fn own_lists(caller: &Caller, snapshot: &Snapshot) -> Vec<WatchlistId> {
    let own = snapshot.catalogue.values().filter(|list| list.owner == *caller.nation());
    let mut own: Vec<WatchlistId> = own.map(|list| list.id).collect();
    own.sort_unstable();
    own
}

/// The same for a job: of the models that have outgrown their calibrations, or of all.
pub(crate) fn calibrate_as(
    gallery: &Gallery,
    actor: &Actor,
    mut go_on: impl FnMut(Progress) -> bool,
) -> Result<Vec<Outcome>, CalibrateError> {
    let all = measured(&gallery.current.load());
    let mut models = outgrown(gallery, &all);
    if models.is_empty() {
        models = all.into_iter().map(|(model, _)| model).collect();
    }
    // One that does not tell is not in the way of the others.
    let (mut made, mut failed) = (Vec::new(), None);
    for model in &models {
        match measure(gallery, actor, model, &mut go_on) {
            Ok(outcome) => made.push(outcome),
            Err(error @ CalibrateError::Fit { .. }) => {
                let references = listed(&gallery.current.load(), model);
                let mut tried = gallery.running.tried.lock().unwrap_or_else(PoisonError::into_inner);
                tried.insert(model.clone(), references);
                failed = failed.or(Some(error));
            }
            Err(error) => return Err(error),
        }
    }
    failed.map_or(Ok(made), Err)
}

/// Brings a calibration into use that was measured elsewhere.
///
/// # Errors
/// When the caller may not, the model is not known here, or the node cannot.
pub fn import(
    gallery: &Gallery,
    caller: &Caller,
    calibration: &Calibration,
) -> Result<Arc<Calibrated>, CalibrateError> {
    let actor = permitted(gallery, caller)?;
    known(&gallery.current.load(), &calibration.model)?;
    if !calibration.is_sound() {
        return Err(CalibrateError::Unsound);
    }
    put(gallery, &actor, calibration, 0, true)
}

/// The calibrations in use, by model.
///
/// # Errors
/// When the caller may not.
pub fn list(gallery: &Gallery, caller: &Caller) -> Result<Vec<Arc<Calibrated>>, CalibrateError> {
    permitted(gallery, caller)?;
    let mut all: Vec<_> = gallery.current.load().calibrations.values().cloned().collect();
    all.sort_by(|a, b| a.calibration.model.cmp(&b.calibration.model));
    Ok(all)
}

/// Should a node measure again by itself? When a model's references have become a tenth more since it was measured, or since it was tried in vain.
pub(crate) fn is_due(gallery: &Gallery) -> bool {
    let all = measured(&gallery.current.load());
    let outgrown = outgrown(gallery, &all);
    let tried = gallery.running.tried.lock().unwrap_or_else(PoisonError::into_inner);
    let in_vain = |(model, references): &(ModelId, u64)| {
        tried.get(model).is_some_and(|before| *references <= before + before / 10)
    };
    all.iter().any(|of| outgrown.contains(&of.0) && !in_vain(of))
}

fn permitted(gallery: &Gallery, caller: &Caller) -> Result<Actor, CalibrateError> {
    let permit = authority::permit_own::<Rebuild>(caller, &gallery.current.load().catalogue, &[]);
    Ok(gallery.logged(caller, Asked::default(), permit)?.actor().clone())
}

fn known(snapshot: &Snapshot, model: &ModelId) -> Result<ModelId, CalibrateError> {
    let known = snapshot.models.contains_key(model);
    if known { Ok(model.clone()) } else { Err(CalibrateError::Model(model.clone())) }
}

/// References of a model that stand on a watchlist.
fn listed(snapshot: &Snapshot, model: &ModelId) -> u64 {
    snapshot.pieces(model).iter().map(|piece| piece.listed().count()).sum()
}

/// Models with references, and how many of these.
fn measured(snapshot: &Snapshot) -> Vec<(ModelId, u64)> {
    let counted = snapshot.pieces.keys().map(|model| (model.clone(), listed(snapshot, model)));
    let mut models: Vec<_> = counted.filter(|(_, references)| *references > 0).collect();
    models.sort();
    models
}

/// Those that have outgrown their calibrations, or have none.
fn outgrown(gallery: &Gallery, measured: &[(ModelId, u64)]) -> Vec<ModelId> {
    let snapshot = gallery.current.load();
    let is = |(model, references): &&(ModelId, u64)| {
        let known = snapshot.calibrations.get(model);
        *references >= MANY && known.is_none_or(|known| known.calibration.outgrown(*references))
    };
    measured.iter().filter(is).map(|(model, _)| model.clone()).collect()
}

/// An even chance for each.
fn lot(number: u64, seed: u64) -> u64 {
    let digest = sha256(&[b"limen/lot/v1\0", &seed.to_le_bytes(), &number.to_le_bytes()]);
    u64::from_le_bytes(*digest.0.first_chunk().expect("a hash is longer"))
}

/// A reference that is a probe: piece and row.
#[derive(Clone, Copy)]
struct Drawn {
    lot: u64,
    piece: usize,
    row: usize,
    whose: Whose,
}

/// Draws subjects by lot, and of each one reference.
fn draw(snapshot: &Snapshot, model: &ModelId, seed: u64) -> Vec<Drawn> {
    let mut drawn = HashMap::<u64, Drawn>::new();
    // The greatest lots of those that are drawn, to be given up for lesser ones.
    let mut greatest = BinaryHeap::<(u64, u64)>::new();
    for (at, piece) in snapshot.pieces(model).iter().enumerate() {
        for row in piece.listed().rows() {
            let Some(whose) = whose(piece, row) else { continue };
            let own = lot(whose.reference, seed);
            if let Some(held) = drawn.get_mut(&whose.subject) {
                if own < held.lot {
                    *held = Drawn { lot: own, piece: at, row, whose };
                }
                continue;
            }
            let subject = lot(whose.subject, seed);
            if drawn.len() == PROBES {
                let full = greatest.peek().is_some_and(|(most, _)| *most <= subject);
                let Some((_, other)) = (!full).then(|| greatest.pop()).flatten() else { continue };
                drawn.remove(&other);
            }
            greatest.push((subject, whose.subject));
            drawn.insert(whose.subject, Drawn { lot: own, piece: at, row, whose });
        }
    }
    let mut drawn: Vec<Drawn> = drawn.into_values().collect();
    drawn.sort_unstable_by_key(|one| (one.piece, one.row));
    drawn
}

fn whose(piece: &crate::generation::Piece, row: usize) -> Option<Whose> {
    let slot = matcher::rows::Slot(piece.first().0 + row as u32);
    let (_, subject, key) = piece.reference(slot)?;
    Some(Whose { subject: suspected::number(subject), reference: key.0.cast_unsigned() })
}

fn measure(
    gallery: &Gallery,
    actor: &Actor,
    model: &ModelId,
    go_on: &mut impl FnMut(Progress) -> bool,
) -> Result<Outcome, CalibrateError> {
    let pool = priority::quiet_pool(gallery).map_err(StoreError::from)?;
    let snapshot = gallery.current.load();
    let seed = u64::from_le_bytes(gallery.ambient.random());
    let failed = |error| CalibrateError::Fit { model: model.clone(), error };
    let drawn = draw(&snapshot, model, seed);
    let Some(coding) = snapshot.codings.get(model) else { return Err(failed(CalibrationError::TooFew(0))) };
    let (dimension, pieces) = (coding.plan.dimension(), snapshot.pieces(model));
    let (mut probes, mut owners) = (Rows::new(model.clone(), dimension), Vec::new());
    for one in &drawn {
        let mut only = SlotFilter::default();
        only.set(one.row);
        let row = compare::rows(model, dimension, &pieces[one.piece], one.row..one.row + 1, &mut only);
        let row = row.map_err(CalibrateError::Unread)?;
        if only.count() == 1 {
            probes.append(&row);
            owners.push(one.whose);
        }
    }
    let mut maxima = Maxima::begin(gallery.kernel, probes, &owners, seed);
    let total = listed(&snapshot, model);
    let mut done = 0;
    for piece in pieces {
        let length = (piece.end() - piece.first().0) as usize;
        let mut listed = piece.listed();
        for start in (0..length).step_by(AT_ONCE) {
            let part = start..length.min(start + AT_ONCE);
            let all = compare::rows(model, dimension, piece, part.clone(), &mut listed);
            let all = all.map_err(CalibrateError::Unread)?;
            let (mut rows, mut owners) = (Rows::with_room(model.clone(), dimension, part.len()), Vec::new());
            for row in part.clone().filter(|row| listed.contains(*row)) {
                if let Some(whose) = whose(piece, row) {
                    rows.push_row(&all, row - start);
                    owners.push(whose);
                }
            }
            maxima.observe(&pool, &rows, &owners);
            done += owners.len() as u64;
            if !go_on(Progress { stage: Stage::Comparing, done, total }) {
                return Err(CalibrateError::Ended);
            }
        }
    }
    let mut chance = ChaCha8Rng::from_seed(gallery.ambient.random());
    let (calibration, suspects) = Calibration::fit(&maxima, &mut chance).map_err(failed)?;
    let calibrated = put(gallery, actor, &calibration, suspects.len() as u64, false)?;
    Ok(Outcome { calibrated, suspected: suspected::of(gallery, actor, &snapshot, model, &suspects)? })
}

/// Puts it on record, from where it is in use.
fn put(
    gallery: &Gallery,
    actor: &Actor,
    calibration: &Calibration,
    suspected: u64,
    imported: bool,
) -> Result<Arc<Calibrated>, CalibrateError> {
    let id = CalibrationId::mint(&gallery.ambient);
    let body = serde_json::to_string(calibration).expect("text keys");
    // What a restart will read is what is in use.
    let read = serde_json::from_str::<Calibration>(&body).ok().filter(Calibration::is_sound);
    let calibration = read.ok_or(CalibrateError::Unsound)?;
    let model = calibration.model.clone();
    let what = What::Calibrate {
        calibration: id,
        model: model.clone(),
        references: calibration.references,
        probes: calibration.probes,
        suspected,
        sha256: sha256(&[body.as_bytes()]).to_string(),
        imported,
    };
    let kept = calibration.clone();
    let written = gallery.writer.write(actor.clone(), None, move |change| {
        if !change.insert_calibration(id, &model, &body)? {
            return Err(CalibrateError::Model(model));
        }
        let calibrated = Arc::new(Calibrated::new(id, change.now, calibration));
        Ok(Done { outcome: change.now, what, deltas: vec![Delta::Calibration(calibrated)] })
    });
    let (made_at, _) = written?;
    Ok(Arc::new(Calibrated::new(id, made_at, kept)))
}
