//! The approximate index, for administrators who ask for one: it may find candidates, and never says that there are
//! none.

use super::{Index, Snapshot, shelf::Shelf};
use crate::id::SubjectId;
use matcher::{
    index::hnsw::{Breadth, Graph},
    kernel::{Block, Kernel},
    rows::{ExactRows, Rows, Slot, Unreadable},
    score::{Score, Threshold},
    template::{ModelId, Probe},
};
use std::{collections::HashMap, sync::Arc};

/// A graph over the first references of a model; those that came since are searched exhaustively.
#[derive(Debug)]
pub(crate) struct Approximate {
    graph: Graph,
    shelf: Arc<Shelf>,
    /// Of pairs of references of one subject that reach the threshold, the share of which a search with the one did
    /// not find the other; `None` if there were too few.
    pub(crate) miss_rate: Option<f32>,
}

/// References that a search looks at: no more can be found.
const NEAR: usize = 256;

/// Pairs of one subject's references on which misses are counted, and the fewest that say anything.
const MATES: usize = 1000;
const LEAST_MATES: usize = 20;

impl ExactRows for Shelf {
    fn row<'a>(&'a self, row: usize, room: &'a mut [Block]) -> Result<&'a [Block], Unreadable> {
        self.read(slot(row), room)?;
        Ok(room)
    }
}

fn slot(row: usize) -> Slot {
    Slot(u32::try_from(row).expect("slots are numbered so"))
}

impl Approximate {
    /// How many references it covers, from slot 0 on.
    pub(crate) fn covered(&self) -> u32 {
        slot(self.graph.len()).0
    }

    /// What it finds at or above the threshold, among the slots that `admits`, ascending; and how many of what it
    /// found could not be read.
    pub(crate) fn search(
        &self,
        kernel: Kernel,
        probe: &Probe,
        threshold: Threshold,
        admits: impl Fn(Slot) -> bool,
    ) -> (Vec<(Slot, Score)>, usize) {
        let admits = |row| admits(slot(row));
        let (hits, unread) = self.graph.search(kernel, &*self.shelf, probe, threshold, NEAR, admits);
        (hits.into_iter().map(|(row, score)| (slot(row), score)).collect(), unread)
    }

    /// Bytes of memory that it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        self.graph.bytes()
    }
}

impl Snapshot {
    /// Builds a graph of a model's references with the threads of this pool, if one is asked for; `None` when
    /// `go_on` says no in between.
    pub(super) fn approximate(
        &self,
        model: &ModelId,
        threshold: Threshold,
        pool: &rayon::ThreadPool,
        go_on: impl Fn() -> bool,
    ) -> Result<Option<Arc<Approximate>>, Unreadable> {
        let coding = &self.codings[model];
        if self.site.index != Index::Hnsw {
            return Ok(None);
        }
        let mut graph = Graph::new(coding.plan.dimension(), Breadth::default());
        for piece in self.pieces(model) {
            if !go_on() {
                return Ok(None);
            }
            graph.extend(pool, &self.rows(model, piece.first().0..piece.end(), 1)?);
        }
        let mut built = Approximate { graph, shelf: Arc::clone(&coding.shelf), miss_rate: None };
        built.miss_rate = self.miss_rate(model, threshold, &built)?;
        Ok(Some(Arc::new(built)))
    }

    fn miss_rate(
        &self,
        model: &ModelId,
        threshold: Threshold,
        built: &Approximate,
    ) -> Result<Option<f32>, Unreadable> {
        let mut first: HashMap<SubjectId, Slot> = HashMap::new();
        let (mut mates, mut missed) = (0, 0);
        for piece in self.pieces(model) {
            for at in piece.first().0..piece.end() {
                let Some((_, subject, _)) = piece.reference(Slot(at)) else { continue };
                let mate = *first.entry(subject).or_insert(Slot(at));
                if mate == Slot(at) || mates == MATES {
                    continue;
                }
                let mut rows = Rows::new(model.clone(), self.codings[model].plan.dimension());
                for slot in [Slot(at), mate] {
                    rows.push_with(|room| built.shelf.read(slot, room))?;
                }
                let (probe, mut score) = (rows.probe(0), [0.0]);
                self.site.kernel.scores(probe.blocks(), rows.blocks(1, 1), &mut score);
                if Score::new(score[0]).is_some_and(|score| threshold.admits(score)) {
                    let (found, _) = built.search(self.site.kernel, &probe, threshold, |_| true);
                    mates += 1;
                    missed += usize::from(!found.iter().any(|(slot, _)| *slot == mate));
                }
            }
        }
        Ok((mates >= LEAST_MATES).then(|| missed as f32 / mates as f32))
    }
}
