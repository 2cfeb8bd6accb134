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
        Found, Query,
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

/// References in codes, ready to be searched.
pub(crate) struct Cascade<'a> {
    setting: &'a Setting,
    lead: usize,
    build_s: f64,
    coded: Vec<(Coded, From<'a>)>,
    filters: Vec<SlotFilter>,
}

impl<'a> Cascade<'a> {
    /// Codes them under a plan, the last `overlay` of them in segments as small as enrolments leave them.
    pub(crate) fn new(setting: &'a Setting, machine: &Machine, plan: &Plan, overlay: usize) -> Self {
        let (began, count) = (Instant::now(), setting.rows.len());
        let (plan, lead) = (Arc::new(plan.clone()), plan.lead());
        let mut bounds = vec![0, count - overlay];
        while let Some(&last) = bounds.last().filter(|last| count > **last) {
            bounds.push(last + (count - last).div_ceil(2).clamp(500, 16_384).min(count - last));
        }
        let code = |range| {
            let coded = || Coded::of(Arc::clone(&plan), Kernel::detect(), &setting.rows, range);
            machine.widest().install(coded)
        };
        let coded: Vec<(Coded, From<'_>)> = bounds
            .windows(2)
            .map(|pair| (code(pair[0]..pair[1]), From { rows: &setting.rows, first: pair[0] }))
            .collect();
        let build_s = began.elapsed().as_secs_f64();
        let filters = coded.iter().map(|(coded, _)| SlotFilter::all(coded.len())).collect();
        Self { setting, lead, build_s, coded, filters }
    }

    fn run(&self, pool: &ThreadPool, queries: &[Query<'_>]) -> (Vec<Found>, Tally) {
        let segments: Vec<Segment<'_>> = self
            .coded
            .iter()
            .map(|(coded, exact)| Segment { first: Slot(exact.first as u32), coded, exact })
            .collect();
        cascade::search(pool, Kernel::detect(), &segments, queries)
    }

    /// Compares every answer with the oracle's, and counts how many pairs came how far.
    pub(crate) fn check(&self, machine: &Machine) -> Tally {
        let mut tally = Tally::default();
        let mut found: Vec<Vec<Hit>> = Vec::new();
        for probes in self.setting.probes.chunks(64) {
            let queries = self.setting.queries(probes, &self.filters, None);
            let (some, more) = self.run(machine.widest(), &queries);
            tally += more;
            found.extend(some.into_iter().map(|found| found.hits));
        }
        assert!(found == self.setting.truth, "an answer differs from the oracle's");
        tally
    }

    /// How fast it is; with `best`, for only so many of the hits, from no threshold on.
    pub(crate) fn measure(&self, name: &str, machine: &Machine, best: Option<usize>) -> Entry {
        let run = |pool: &ThreadPool, queries: &[Query<'_>]| drop(black_box(self.run(pool, queries)));
        let bytes: usize = self.coded.iter().map(|(coded, _)| coded.bytes()).sum();
        Entry {
            system: name.to_owned(),
            kind: "lossless".to_owned(),
            build_s: self.build_s,
            bytes: bytes as f64 / self.setting.rows.len() as f64,
            lost: 0.0,
            speeds: machine.speeds(self.setting, self.lead, (&self.filters, best), run),
        }
    }

    /// How fast it is beside another, pass by pass in turn: the ratio of median times, in batches of 64, for each
    /// number of threads.
    pub(crate) fn beside(&self, other: &Self, machine: &Machine) -> Vec<(usize, f64)> {
        let ratio = |(pool, _): &(ThreadPool, Floors)| {
            let times = |cascade: &Self, time: usize| {
                let probes = self.setting.probes.chunks_exact(64);
                let probes = probes.cycle().nth(time).expect("some probes");
                let queries = self.setting.queries(probes, &cascade.filters, None);
                let began = Instant::now();
                drop(black_box(cascade.run(pool, &queries)));
                began.elapsed().as_secs_f64()
            };
            let (mut own, mut others): (Vec<f64>, Vec<f64>) =
                (0..41).map(|time| (times(self, time), times(other, time))).unzip();
            own.sort_by(f64::total_cmp);
            others.sort_by(f64::total_cmp);
            (pool.current_num_threads(), others[20] / own[20])
        };
        machine.0.iter().map(ratio).collect()
    }
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
