//! Limen's own searches.

use crate::{
    clock::{Floors, median_s},
    setting::{Setting, pool},
    table::{Entry, Speed},
};
use matcher::{
    candidate::Hit,
    coded::Coded,
    filter::SlotFilter,
    index::{
        Query,
        cascade::{self, Segment, Tally},
        fit, oracle,
    },
    kernel::{Block, Kernel},
    plan::Plan,
    projection::Projection,
    rows::{ExactRows, Rows, Slot, Unreadable},
};
use rayon::ThreadPool;
use std::{hint::black_box, sync::Arc, time::Instant};

/// Probes that share a pass.
const BATCHES: [usize; 3] = [1, 16, 64];

/// Pools of threads, and how fast each of them can go.
pub(crate) struct Machine(pub(crate) Vec<(ThreadPool, Floors)>);

impl Machine {
    pub(crate) fn new(threads: &[usize], rows: &Rows) -> Self {
        let of = |&threads: &usize| {
            let pool = pool(threads);
            let floors = Floors::measure(&pool, rows.blocks(0, rows.len()));
            (pool, floors)
        };
        Self(threads.iter().map(of).collect())
    }

    /// The pool with the most threads.
    pub(crate) fn widest(&self) -> &ThreadPool {
        &self.0.iter().max_by_key(|(pool, _)| pool.current_num_threads()).expect("some threads").0
    }

    /// How long a pass takes for each number of threads and probes; and what share of it the greater of the
    /// two floors would take, if a pass reads `bytes` and makes `products` a reference and probe.
    pub(crate) fn speeds(
        &self,
        setting: &Setting,
        lead: usize,
        (filters, best): (&[SlotFilter], Option<usize>),
        mut run: impl FnMut(&ThreadPool, &[Query<'_>]),
    ) -> Vec<Speed> {
        let mut speeds = Vec::new();
        for (pool, floors) in &self.0 {
            for batch in BATCHES {
                let queries: Vec<_> =
                    setting.probes.chunks_exact(batch).map(|p| setting.queries(p, filters, best)).collect();
                let pass_s = median_s(if batch == 1 { 31 } else { 15 }, |time| {
                    run(pool, &queries[time % queries.len()]);
                });
                let codes = (setting.rows.len() * lead) as f64;
                let floor_s = (codes / floors.read).max(codes * batch as f64 / floors.codes);
                let of_floor = (lead > 0).then(|| floor_s / pass_s);
                speeds.push(Speed { threads: pool.current_num_threads(), batch, pass_s, of_floor });
            }
        }
        speeds
    }
}

/// Rows of a setting from one on.
struct From<'a> {
    rows: &'a Rows,
    first: usize,
}

impl ExactRows for From<'_> {
    fn row<'a>(&'a self, row: usize, room: &'a mut [Block]) -> Result<&'a [Block], Unreadable> {
        self.rows.row(self.first + row, room)
    }
}

/// The plan that is chosen for the setting, and what was tried.
pub(crate) fn fit(setting: &Setting, machine: &Machine) -> (Plan, Vec<fit::Trial>) {
    fit::fit(machine.widest(), Kernel::detect(), &setting.sample(16_384), setting.threshold)
}

/// A plan with so many leading axes, or with all features in its first stage.
pub(crate) fn plan(setting: &Setting, machine: &Machine, lead: Option<usize>) -> Plan {
    let sample = setting.sample(16_384);
    machine.widest().install(|| {
        let axes = lead.map(|lead| Projection::fit(&sample, lead));
        Plan::fitted(Kernel::detect(), axes, &sample)
    })
}

/// The cascade under a plan, the last `overlay` references in segments as small as enrolments leave them; and
/// how many pairs came how far. With `best`, only so many of the hits, from no threshold on.
pub(crate) fn cascade(
    name: &str,
    setting: &Setting,
    machine: &Machine,
    plan: &Plan,
    overlay: usize,
    best: Option<usize>,
) -> (Entry, Tally) {
    let (began, kernel, count) = (Instant::now(), Kernel::detect(), setting.rows.len());
    let (plan, lead) = (Arc::new(plan.clone()), plan.lead());
    let mut bounds = vec![0, count - overlay];
    while let Some(&last) = bounds.last().filter(|last| count > **last) {
        bounds.push(last + (count - last).div_ceil(2).clamp(500, 16_384).min(count - last));
    }
    let code =
        |range| machine.widest().install(|| Coded::of(Arc::clone(&plan), kernel, &setting.rows, range));
    let coded: Vec<(Coded, From<'_>)> = bounds
        .windows(2)
        .map(|pair| (code(pair[0]..pair[1]), From { rows: &setting.rows, first: pair[0] }))
        .collect();
    let build_s = began.elapsed().as_secs_f64();
    let segments: Vec<Segment<'_>> = coded
        .iter()
        .map(|(coded, exact)| Segment { first: Slot(exact.first as u32), coded, exact })
        .collect();
    let filters: Vec<SlotFilter> = coded.iter().map(|(coded, _)| SlotFilter::all(coded.len())).collect();
    let run = |pool: &ThreadPool, queries: &[Query<'_>]| cascade::search(pool, kernel, &segments, queries);
    let mut tally = Tally::default();
    let mut found: Vec<Vec<Hit>> = Vec::new();
    for probes in setting.probes.chunks(64) {
        let (some, more) = run(machine.widest(), &setting.queries(probes, &filters, None));
        tally += more;
        found.extend(some.into_iter().map(|found| found.hits));
    }
    assert!(found == setting.truth, "an answer differs from the oracle's");
    let entry = Entry {
        system: name.to_owned(),
        kind: "lossless".to_owned(),
        build_s,
        bytes: coded.iter().map(|(coded, _)| coded.bytes()).sum::<usize>() as f64 / count as f64,
        lost: 0.0,
        speeds: machine
            .speeds(setting, lead, (&filters, best), |pool, queries| drop(black_box(run(pool, queries)))),
    };
    (entry, tally)
}

/// The exhaustive scan in f32.
pub(crate) fn oracle(setting: &Setting, machine: &Machine) -> Entry {
    let segments = [oracle::Segment { first: Slot(0), rows: &setting.rows }];
    let run = |pool: &ThreadPool, queries: &[Query<'_>]| {
        drop(black_box(oracle::search(pool, Kernel::detect(), &segments, queries)));
    };
    Entry {
        system: "Limen oracle f32".to_owned(),
        kind: "exact".to_owned(),
        build_s: 0.0,
        bytes: (setting.rows.bytes() / setting.rows.len()) as f64,
        lost: 0.0,
        speeds: machine.speeds(setting, 0, (&setting.all, None), run),
    }
}
