//! Coding references anew, under a plan that suits how many and what they are. It changes how fast they are
//! searched, never what is found, and no lookup or change waits for it.

use super::{Approximate, Coding, Current, Piece, Shelf, Snapshot};
use matcher::{
    coded::Coded,
    index::fit::fit,
    plan::Plan,
    rows::{Rows, Slot, Unreadable},
    score::Threshold,
    template::ModelId,
};
use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

/// Fewer references are searched soon enough however they are coded.
const LEAST: usize = 1024;
/// A plan serves until there are so many times the references that it was chosen on.
const GROWTH: usize = 4;
/// References on which a plan is chosen.
const SAMPLE: usize = 16_384;

/// A model's references in new codes, each beside the piece that it was made from.
pub(super) struct Refitted {
    /// In whose slots.
    shelf: Arc<Shelf>,
    model: ModelId,
    plan: Arc<Plan>,
    fitted_on: usize,
    approximate: Option<Arc<Approximate>>,
    pieces: Vec<(Arc<Coded>, Arc<Coded>)>,
}

impl Snapshot {
    /// The models that have outgrown their plans.
    pub(super) fn outgrown(&self) -> Vec<ModelId> {
        let outgrown = |(model, coding): (&ModelId, &Coding)| {
            let count = self.pieces(model).last().map_or(0, |last| last.end()) as usize;
            (count >= LEAST && count >= GROWTH * coding.fitted_on).then(|| model.clone())
        };
        self.codings.iter().filter_map(outgrown).collect()
    }

    /// Chooses a plan for a model's references and codes them under it, with the threads of this pool; `None`
    /// when `go_on` says no in between.
    pub(super) fn refit(
        &self,
        model: &ModelId,
        pool: &rayon::ThreadPool,
        go_on: impl Fn() -> bool,
    ) -> Result<Option<Refitted>, Unreadable> {
        let (kernel, pieces) = (self.site.kernel, self.pieces(model));
        let sample = self.sample(model)?;
        let threshold = self.usual_threshold(model);
        let (plan, _) = fit(pool, kernel, &sample, threshold);
        let mut refitted = Refitted {
            shelf: Arc::clone(&self.codings[model].shelf),
            model: model.clone(),
            plan: Arc::new(plan),
            fitted_on: pieces.last().map_or(0, |last| last.end()) as usize,
            approximate: None,
            pieces: Vec::with_capacity(pieces.len()),
        };
        for piece in pieces {
            if !go_on() {
                return Ok(None);
            }
            let rows = self.rows(model, piece.first().0..piece.end(), 1)?;
            let coded = pool.install(|| Coded::of(Arc::clone(&refitted.plan), kernel, &rows, 0..rows.len()));
            refitted.pieces.push((Arc::clone(piece.coded()), Arc::new(coded)));
        }
        refitted.approximate = self.approximate(model, threshold, pool, go_on)?;
        Ok(Some(refitted))
    }

    /// The same codes as before, for as long as a new plan would have served: it is not tried again at once.
    fn unchanged(&self, model: &ModelId) -> Refitted {
        let Coding { plan, approximate, .. } = self.codings[model].clone();
        let fitted_on = self.pieces(model).last().map_or(0, |last| last.end()) as usize;
        let (shelf, model) = (Arc::clone(&self.codings[model].shelf), model.clone());
        Refitted { shelf, model, plan, fitted_on, approximate, pieces: Vec::new() }
    }

    /// Puts new codes in place of those that they were made from; what has come or was merged since stays as it
    /// is.
    pub(super) fn take_over(&mut self, refitted: Refitted) {
        let Refitted { shelf, model, plan, fitted_on, approximate, pieces } = refitted;
        if !self.codings.get(&model).is_some_and(|coding| Arc::ptr_eq(&coding.shelf, &shelf)) {
            return; // another build has other codes, in other slots
        }
        // The old codes are held until the end, so that no other can stand at their address.
        let made: HashMap<*const Coded, &Arc<Coded>> =
            pieces.iter().map(|(old, coded)| (Arc::as_ptr(old), coded)).collect();
        for piece in self.pieces.get_mut(&model).into_iter().flatten() {
            if let Some(coded) = made.get(&Arc::as_ptr(piece.coded())) {
                *piece = Arc::new(Piece::with_codes(piece, Arc::clone(coded)));
            }
        }
        if let Some(coding) = self.codings.get_mut(&model) {
            *coding = Coding { plan, fitted_on, approximate, shelf: Arc::clone(&coding.shelf) };
        }
    }

    /// The loosest threshold under which these references are searched as a rule.
    pub(crate) fn usual_threshold(&self, model: &ModelId) -> Threshold {
        let of_model = self.catalogue.values().filter(|list| list.policy.model == *model);
        let loosest = of_model.filter_map(|list| self.own_threshold(list).ok()).reduce(Threshold::looser);
        loosest.unwrap_or_else(|| Threshold::new(0.4).expect("a cosine"))
    }

    fn sample(&self, model: &ModelId) -> Result<Rows, Unreadable> {
        let count = self.pieces(model).last().map_or(0, |last| last.end());
        let step = (count as usize).div_ceil(SAMPLE).max(1);
        self.rows(model, 0..count, step)
    }

    /// Every `step`th of these references, from the shelf.
    pub(super) fn rows(
        &self,
        model: &ModelId,
        slots: std::ops::Range<u32>,
        step: usize,
    ) -> Result<Rows, Unreadable> {
        let coding = &self.codings[model];
        let dimension = coding.plan.dimension();
        let mut rows = Rows::with_room(model.clone(), dimension, slots.len().div_ceil(step));
        for slot in slots.step_by(step) {
            rows.push_with(|room| coding.shelf.read(Slot(slot), room))?;
        }
        Ok(rows)
    }
}

/// Codes anew what has outgrown its plan, on a thread of its own, one at a time. It ends early when nobody
/// searches any more.
pub(super) fn begin(current: &Arc<Current>, snapshot: &Arc<Snapshot>) {
    let outgrown = snapshot.outgrown();
    if outgrown.is_empty() || !current.begin_refit() {
        return;
    }
    let (turn, snapshot) = (Turn(Arc::downgrade(current)), Arc::clone(snapshot));
    // If there is no thread to be had now, the old codes serve.
    let _ =
        std::thread::Builder::new().name("refit".to_owned()).spawn(move || work(turn, &snapshot, &outgrown));
}

/// The right to refit; given back also by a thread that panics.
struct Turn(Weak<Current>);

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(current) = self.0.upgrade() {
            current.end_refit();
        }
    }
}

fn work(turn: Turn, snapshot: &Snapshot, outgrown: &[ModelId]) {
    let Ok(pool) = rayon::ThreadPoolBuilder::new().num_threads(1).build() else { return };
    for model in outgrown {
        // What cannot be read stays in its old codes; a lookup that needs it will say so.
        let refitted = snapshot.refit(model, &pool, || turn.0.strong_count() > 0).ok().flatten();
        let Some(current) = turn.0.upgrade() else { return };
        current.take_over(refitted.unwrap_or_else(|| snapshot.unchanged(model)));
    }
    let current = turn.0.upgrade();
    drop(turn);
    // What came meanwhile may have outgrown the new plan, too.
    if let Some(current) = current {
        begin(&current, &current.load());
    }
}
