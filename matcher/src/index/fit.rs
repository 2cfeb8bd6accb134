//! Choosing a plan: each candidate is tried on a sample of the gallery, and the one that should cost least is
//! taken. The choice changes how long a search takes, never its answer.

use super::{Query, cascade};
use crate::{
    coded::Coded,
    filter::SlotFilter,
    kernel::Kernel,
    plan::Plan,
    projection::Projection,
    rows::{Rows, Slot},
    score::Threshold,
    template::Probe,
};
use std::sync::Arc;

/// What the steps of a search cost, in multiply-adds of the sweep: measured with `cargo bench -p benches` and the
/// `peers` bench for AVX-512, see `docs/search-log.md`.
mod cost {
    /// A pair that only its block's norms did not rule out.
    pub(super) const PAST_BLOCK: f64 = 10_000.0;
    /// A pair whose second bound is computed: its codes come from anywhere in memory, fetched ahead.
    pub(super) const PAST_LEAD: f64 = 30_000.0;
    /// A pair compared in f32: its row comes from a file.
    pub(super) const EXACT: f64 = 500_000.0;
}

/// Rows and probes of the sample that are searched in a trial.
const TRIAL_ROWS: usize = 4096;
const TRIAL_PROBES: usize = 64;
/// Fewer rows say nothing about a spectrum.
const LEAST_ROWS: usize = 256;

/// One plan that was tried.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Codes of its first stage.
    pub lead: usize,
    /// How many pairs came how far.
    pub tally: cascade::Tally,
    /// What a pair of probe and reference should cost, in multiply-adds.
    pub cost: f64,
}

/// The plan for references like the sample, searched at a threshold like this; and what was tried. Runs on the
/// pool; the same sample gives the same plan on every processor.
pub fn fit(
    pool: &rayon::ThreadPool,
    kernel: Kernel,
    sample: &Rows,
    threshold: Threshold,
) -> (Plan, Vec<Trial>) {
    let dimension = sample.dimension();
    if sample.is_empty() {
        return (Plan::unfitted(dimension), Vec::new());
    }
    let rows = spread(sample, TRIAL_ROWS);
    let probes: Vec<Probe> = spread_rows(&rows, TRIAL_PROBES).map(|row| rows.probe(row)).collect();
    let full = pool.install(|| Plan::fitted(kernel, None, &rows));
    let mut best = trial(pool, kernel, full, &rows, &probes, threshold);
    let mut trials = vec![best.1.clone()];
    if sample.len() >= LEAST_ROWS {
        let leads = leads(dimension);
        let axes = leads.last().map(|&most| pool.install(|| Projection::fit(sample, most)));
        for lead in leads {
            let axes = axes.as_ref().map(|axes| axes.leading(lead));
            let plan = pool.install(|| Plan::fitted(kernel, axes, &rows));
            let next = trial(pool, kernel, plan, &rows, &probes, threshold);
            trials.push(next.1.clone());
            if next.1.cost < best.1.cost {
                best = next;
            } else if lead as f64 > best.1.cost {
                break; // a longer lead costs more by itself
            }
        }
    }
    (best.0, trials)
}

/// Numbers of leading axes worth trying: sixteenths of a power of two, up to two thirds of all features.
fn leads(dimension: usize) -> Vec<usize> {
    let mut leads: Vec<usize> =
        (2..=64).map(|n| n * 16).take_while(|lead| lead * 3 <= dimension * 2).collect();
    leads.retain(|&lead| lead % (lead.next_power_of_two() / 16).max(16) == 0);
    leads
}

fn trial(
    pool: &rayon::ThreadPool,
    kernel: Kernel,
    plan: Plan,
    rows: &Rows,
    probes: &[Probe],
    threshold: Threshold,
) -> (Plan, Trial) {
    let coded = pool.install(|| Coded::of(Arc::new(plan.clone()), kernel, rows, 0..rows.len()));
    let all = SlotFilter::all(rows.len());
    let query = |probe| Query { probe, threshold, best: None, filters: vec![&all] };
    let queries: Vec<Query<'_>> = probes.iter().map(query).collect();
    let segment = cascade::Segment { first: Slot(0), coded: &coded, exact: rows };
    let (_, tally) = cascade::search(pool, kernel, &[segment], &queries);
    // Each probe is a row itself, and finds itself in every trial.
    let share = |count: u64| count.saturating_sub(probes.len() as u64) as f64 / tally.admitted as f64;
    let cost = plan.lead() as f64
        + share(tally.past_block) * cost::PAST_BLOCK
        + share(tally.past_lead) * cost::PAST_LEAD
        + share(tally.exact) * cost::EXACT;
    let trial = Trial { lead: plan.lead(), tally, cost };
    (plan, trial)
}

/// At most `count` of the rows, spread evenly.
fn spread(rows: &Rows, count: usize) -> Rows {
    let mut some = Rows::new(rows.model().clone(), rows.dimension());
    spread_rows(rows, count).for_each(|row| some.push_row(rows, row));
    some
}

fn spread_rows(rows: &Rows, count: usize) -> impl Iterator<Item = usize> {
    let (len, count) = (rows.len(), count.min(rows.len()));
    (0..count).map(move |i| i * len / count)
}
