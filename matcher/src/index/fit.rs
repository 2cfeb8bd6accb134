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

/// What the steps of a search cost a pair, in multiply-adds of the sweep: measured with the `peers` bench, see
/// `docs/search-log.md`.
struct Costs {
    /// Only its block's norms did not rule it out.
    past_block: f64,
    /// Its second bound is computed: its codes come from anywhere in memory, fetched ahead.
    past_lead: f64,
    /// It is compared in f32: its row comes from a file.
    exact: f64,
}

impl Costs {
    fn of(kernel: Kernel) -> Self {
        match kernel {
            // A multiply-add costs less, and so all else costs more of them.
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Kernel::Amx(_) => Self { past_block: 40_000.0, past_lead: 80_000.0, exact: 2_000_000.0 },
            _ => Self { past_block: 10_000.0, past_lead: 30_000.0, exact: 500_000.0 },
        }
    }
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
/// pool; the same sample gives the same plan wherever the kernel is the same.
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
    let costs = Costs::of(kernel);
    let cost = plan.lead() as f64
        + share(tally.past_block) * costs.past_block
        + share(tally.past_lead) * costs.past_lead
        + share(tally.exact) * costs.exact;
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
