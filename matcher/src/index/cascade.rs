//! The exhaustive search that compares few references in f32, and misses none.
//!
//! Every admitted reference is ruled out by an upper bound of its score that lies below the threshold
//! ([`crate::bound`]), or compared as the oracle compares it. So the answer equals the oracle's, bit for bit.
//! Three tests stand in a row: leading 8-bit codes, swept over all rows for many probes at a time; 8-bit codes
//! of all features, for the rows that survive; and the f32 rows themselves.

use super::{Found, Query, leaders::Leaders};
use crate::{
    bound::{FullProbe, LeadProbe},
    candidate::Hit,
    coded::{Coded, WINDOW_ROWS},
    filter::{SlotFilter, ones},
    kernel::{Aims, BLOCK_ROWS, BLOCKS_AHEAD, Block, Kernel, Slopes, Survivors, Swept},
    plan::Plan,
    rows::{ExactRows, Slot},
    score::{Score, Threshold},
};
use rayon::prelude::*;
use std::{
    borrow::Cow,
    collections::VecDeque,
    ops::{AddAssign, Range},
    sync::Arc,
};

/// Consecutive references: row `r` has slot `first + r`.
#[derive(Clone, Copy)]
pub struct Segment<'a> {
    /// The slot of row 0.
    pub first: Slot,
    /// The references in codes.
    pub coded: &'a Coded,
    /// The same in f32.
    pub exact: &'a dyn ExactRows,
}

/// How many pairs of probe and reference came how far, over all probes of a search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Admitted to the search.
    pub admitted: u64,
    /// Not ruled out by the greatest norms of their block.
    pub past_block: u64,
    /// Not ruled out by their own leading codes.
    pub past_lead: u64,
    /// Compared in f32.
    pub exact: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.admitted += other.admitted;
        self.past_block += other.past_block;
        self.past_lead += other.past_lead;
        self.exact += other.exact;
    }
}

/// Rows that one thread takes at a time: a window, so that they stand in the places of the same numbers.
const ROWS_A_TASK: usize = WINDOW_ROWS;
const WORDS_A_TASK: usize = ROWS_A_TASK / 64;
/// Blocks that are swept before their survivors are looked at: all of a task; where thresholds may rise, one at
/// first, then twice as many each time, up to these.
const BLOCKS_A_RUN: usize = ROWS_A_TASK / BLOCK_ROWS;
const BLOCKS_A_SHORT_RUN: usize = 8;
/// Rows on their way into cache at a time.
const WAITING: usize = 8;
/// A probe that may see no more rows of a task than this goes to the second stage of each, if there is one.
const SPARSE_ROWS: u64 = 16;

/// Searches for every probe among every reference that its filters admit. The answer does not depend on the
/// kernel, the plans, the number of threads or the other queries.
///
/// A reference that has to be compared and cannot be read was not compared: [`Found::compared`] does not count it.
///
/// # Panics
/// When a probe is of another dimension than the references, or a query has not one filter a segment.
pub fn search(
    pool: &rayon::ThreadPool,
    kernel: Kernel,
    segments: &[Segment<'_>],
    queries: &[Query<'_>],
) -> (Vec<Found>, Tally) {
    for query in queries {
        assert_eq!(query.filters.len(), segments.len(), "a query has one filter a segment");
    }
    let Some(plan) = segments.first().map(|segment| segment.coded.plan()) else {
        return (vec![Found::default(); queries.len()], Tally::default());
    };
    pool.install(|| {
        let mut sights: Vec<Sight<'_>> = Vec::new();
        for segment in segments {
            if !sights.iter().any(|sight| Arc::ptr_eq(sight.plan, segment.coded.plan())) {
                sights.push(Sight::of(segment.coded.plan(), kernel, queries));
            }
        }
        let pass = Pass {
            kernel,
            queries,
            full: if sights.iter().any(|sight| sight.plan.has_full()) {
                let full = |query: &Query<'_>| FullProbe::of(&plan.features(query.probe.blocks()));
                queries.par_iter().map(full).collect()
            } else {
                Vec::new()
            },
            leaders: queries
                .iter()
                .map(|query| query.best.map(|best| Leaders::new(best, query.threshold)))
                .collect(),
        };
        let tasks: Vec<(usize, usize)> = segments
            .iter()
            .enumerate()
            .flat_map(|(index, segment)| {
                (0..segment.coded.len()).step_by(ROWS_A_TASK).map(move |row| (index, row))
            })
            .collect();
        let parts: Vec<Part> = tasks
            .par_iter()
            .map(|&(index, start)| {
                let plan = segments[index].coded.plan();
                let sight = sights.iter().find(|sight| Arc::ptr_eq(sight.plan, plan)).expect("one a plan");
                Task::new(&pass, sight, index, &segments[index], start).run()
            })
            .collect();
        pass.conclude(parts)
    })
}

/// All probes as one plan sees them.
struct Sight<'a> {
    plan: &'a Arc<Plan>,
    lead: Vec<LeadProbe>,
    aims: Aims,
}

impl<'a> Sight<'a> {
    fn of(plan: &'a Arc<Plan>, kernel: Kernel, queries: &[Query<'_>]) -> Self {
        let probe = |query: &Query<'_>| {
            assert_eq!(query.probe.blocks().len(), plan.blocks(), "a probe of another dimension");
            plan.probe(kernel, query.probe.blocks())
        };
        let lead: Vec<LeadProbe> = queries.par_iter().map(probe).collect();
        let slopes = lead.iter().zip(queries).map(|(lead, query)| lead.slopes(query.threshold));
        let aims = Aims::new(plan.quads(), lead.iter().map(|lead| &lead.codes[..]).zip(slopes));
        Self { plan, lead, aims }
    }
}

/// What all threads of a search share.
struct Pass<'a> {
    kernel: Kernel,
    queries: &'a [Query<'a>],
    /// None if no plan has a second stage.
    full: Vec<FullProbe>,
    /// The running best, for queries that ask for them.
    leaders: Vec<Option<Leaders>>,
}

impl Pass<'_> {
    /// From which score on a reference may still be part of the answer.
    fn threshold(&self, query: usize) -> Threshold {
        self.leaders[query].as_ref().map_or(self.queries[query].threshold, Leaders::threshold)
    }

    fn conclude(self, parts: Vec<Part>) -> (Vec<Found>, Tally) {
        let mut found = vec![Found::default(); self.queries.len()];
        let mut tally = Tally::default();
        for part in parts {
            tally += part.tally;
            for (query, hit) in part.hits {
                found[query].hits.push(hit);
            }
            for (found, compared) in found.iter_mut().zip(part.compared) {
                found.compared += compared;
            }
        }
        for (found, leaders) in found.iter_mut().zip(self.leaders) {
            match leaders {
                Some(leaders) => found.hits = leaders.into_hits(),
                None => found.hits.sort_unstable_by_key(|hit| hit.slot),
            }
        }
        (found, tally)
    }
}

/// What one task found.
#[derive(Default)]
struct Part {
    hits: Vec<(usize, Hit)>,
    compared: Vec<u64>,
    tally: Tally,
}

/// A run of rows, searched by one thread for all probes.
struct Task<'a> {
    pass: &'a Pass<'a>,
    sight: &'a Sight<'a>,
    /// Which segment.
    index: usize,
    segment: &'a Segment<'a>,
    rows: Range<usize>,
    part: Part,
    /// Pairs of query and row that the second bound has to look at, on their way into cache.
    waiting: VecDeque<(usize, usize)>,
    /// Room for a row that is read on demand.
    room: Vec<Block>,
}

impl<'a> Task<'a> {
    fn new(
        pass: &'a Pass<'a>,
        sight: &'a Sight<'a>,
        index: usize,
        segment: &'a Segment<'a>,
        start: usize,
    ) -> Self {
        let rows = start..segment.coded.len().min(start + ROWS_A_TASK);
        let room = vec![Block([0.0; 32]); sight.plan.blocks()];
        Self { pass, sight, index, segment, rows, part: Part::default(), waiting: VecDeque::new(), room }
    }

    fn run(mut self) -> Part {
        let (mut dense, mut sparse) = (Vec::new(), Vec::new());
        let mut counted: Option<(&SlotFilter, u64)> = None;
        for (query, Query { filters, .. }) in self.pass.queries.iter().enumerate() {
            let filter = filters[self.index];
            let admitted = match counted {
                Some((same, admitted)) if std::ptr::eq(same, filter) => admitted,
                _ => self.pass.kernel.count_ones(self.words(filter)),
            };
            counted = Some((filter, admitted));
            self.part.compared.push(admitted);
            self.part.tally.admitted += admitted;
            match admitted {
                0 => {}
                1..=SPARSE_ROWS if self.sight.plan.has_full() => sparse.push(query),
                _ => dense.push(query),
            }
        }
        for query in sparse {
            for (at, &word) in self.words(self.pass.queries[query].filters[self.index]).iter().enumerate() {
                for bit in ones(word) {
                    self.look_closer_soon(query, self.rows.start + at * 64 + bit);
                }
            }
        }
        if !dense.is_empty() {
            self.sweep(&dense);
        }
        while let Some((query, row)) = self.waiting.pop_front() {
            self.look_closer(query, row);
        }
        self.part
    }

    /// The words of a filter that cover this task's rows.
    fn words<'f>(&self, filter: &'f SlotFilter) -> &'f [u64] {
        let words = filter.words();
        let start = (self.rows.start / 64).min(words.len());
        &words[start..words.len().min(start + WORDS_A_TASK)]
    }

    /// Sweeps these probes over all rows.
    fn sweep(&mut self, dense: &[usize]) {
        let whole = dense.len() == self.pass.queries.len();
        let mut aims = if whole { Cow::Borrowed(&self.sight.aims) } else { Cow::Owned(self.aims_of(dense)) };
        // The queries whose thresholds rise, and at which they aim now.
        let mut running: Vec<(usize, Option<Threshold>)> = (0..dense.len())
            .filter(|&at| self.pass.leaders[dense[at]].is_some())
            .map(|at| (at, None))
            .collect();
        let mut swept = Swept::of(&aims);
        let coded = self.segment.coded;
        let end = self.rows.end.div_ceil(BLOCK_ROWS);
        let most = if running.is_empty() { BLOCKS_A_RUN } else { BLOCKS_A_SHORT_RUN };
        let (mut first, mut count) =
            (self.rows.start / BLOCK_ROWS, if running.is_empty() { most } else { 1 });
        while first < end {
            for (at, aimed) in &mut running {
                let threshold = self.pass.threshold(dense[*at]);
                if aimed.replace(threshold) != Some(threshold) {
                    aims.to_mut().aim(*at, self.sight.lead[dense[*at]].slopes(threshold));
                }
            }
            let run = first..end.min(first + count);
            let (codes, next) = (coded.blocks(run.clone()), coded.blocks(run.end..run.end + BLOCKS_AHEAD));
            self.pass.kernel.sweep(&aims, codes, coded.peaks(run), next, &mut swept);
            for survivors in &swept.survivors {
                self.walk(dense[survivors.probe], aims.slopes(survivors.probe), first, survivors);
            }
            first += count;
            count = (count * 2).min(most);
        }
    }

    fn aims_of(&self, queries: &[usize]) -> Aims {
        let aim = |&query: &usize| (&self.sight.lead[query].codes[..], self.sight.aims.slopes(query));
        Aims::new(self.sight.plan.quads(), queries.iter().map(aim))
    }

    /// Looks at the rows that survived a sweep over a run of blocks.
    fn walk(&mut self, query: usize, slopes: Slopes, first_block: usize, survivors: &Survivors) {
        let filter = self.pass.queries[query].filters[self.index];
        for at in ones(u64::from(survivors.mask)) {
            let place = (first_block + survivors.block) * BLOCK_ROWS + at;
            let row = self.segment.coded.row_at(place);
            if !filter.contains(row) {
                continue;
            }
            self.part.tally.past_block += 1;
            if survivors.dots[at] >= slopes.limit(self.segment.coded.peak_at(place)) {
                self.look_closer_soon(query, row);
            }
        }
    }

    /// Looks closer when the row has had time to come from memory.
    fn look_closer_soon(&mut self, query: usize, row: usize) {
        self.segment.coded.fetch_full(self.pass.kernel, row);
        self.waiting.push_back((query, row));
        if self.waiting.len() > WAITING
            && let Some((query, row)) = self.waiting.pop_front()
        {
            self.look_closer(query, row);
        }
    }

    /// The second bound, then the score itself.
    fn look_closer(&mut self, query: usize, row: usize) {
        let Self { pass, segment, part, .. } = self;
        part.tally.past_lead += 1;
        let threshold = pass.threshold(query);
        if let Some((codes, terms)) = segment.coded.full(row) {
            let probe = &pass.full[query];
            let bound = probe.bound(pass.kernel.dot(codes, &probe.codes), terms);
            if bound < f64::from(threshold.value()) {
                return;
            }
        }
        part.tally.exact += 1;
        let Ok(exact) = segment.exact.row(row, &mut self.room) else {
            part.compared[query] -= 1;
            return;
        };
        let mut score = [0.0];
        pass.kernel.scores(pass.queries[query].probe.blocks(), exact, &mut score);
        let score = Score::new(score[0]).expect("the score of two templates is finite");
        if threshold.admits(score) {
            let hit = Hit { slot: Slot(segment.first.0 + row as u32), score };
            match &pass.leaders[query] {
                Some(leaders) => leaders.offer(hit),
                None => part.hits.push((query, hit)),
            }
        }
    }
}
