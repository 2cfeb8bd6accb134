//! An approximate search, for administrators who ask for one: a graph of neighbours (Malkov and Yashunin, 2018), as
//! `hnsw_rs` builds it.
//!
//! What it finds is compared as the oracle compares it, so a hit is a hit; what it does not find, it may have
//! missed. Nothing is loaded from a file, and only templates enter: finite and of the right length, as the library
//! does not check.

use crate::{
    kernel::{Block, Kernel},
    rows::{ExactRows, Rows},
    score::{Score, Threshold},
    template::Probe,
};
use hnsw_rs::prelude::{Distance, Hnsw};
use std::fmt;

/// How a graph is built and searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breadth {
    /// Neighbours of a reference: M.
    pub neighbours: u8,
    /// References looked at where one is put in: efConstruction.
    pub build: usize,
}

impl Default for Breadth {
    fn default() -> Self {
        Self { neighbours: 16, build: 200 }
    }
}

/// A graph over references.
pub struct Graph {
    dimension: usize,
    len: usize,
    /// `None` only while it is dropped.
    neighbours: Option<Hnsw<'static, f32, Apart>>,
}

/// How far apart two templates are: one less their inner product, and never below zero, which the library
/// asserts.
#[derive(Clone, Copy, Default)]
struct Apart;

impl Distance<f32> for Apart {
    fn eval(&self, a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len(), "templates of two dimensions");
        let mut lanes = [0.0f32; 16];
        let (a, b) = (a.chunks_exact(16), b.chunks_exact(16));
        let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| x * y).sum();
        for (a, b) in a.zip(b) {
            lanes.iter_mut().zip(a.iter().zip(b)).for_each(|(lane, (x, y))| *lane += x * y);
        }
        (1.0 - (lanes.iter().sum::<f32>() + rest)).max(0.0)
    }
}

impl Graph {
    /// No references yet.
    pub fn new(dimension: usize, breadth: Breadth) -> Self {
        // Room is made as references come: the library would reserve gigabytes for what is only announced.
        const ANNOUNCED: usize = 1000;
        const LAYERS: usize = 16;
        let neighbours = usize::from(breadth.neighbours);
        let graph = Hnsw::new(neighbours, ANNOUNCED, LAYERS, breadth.build, Apart);
        Self { dimension, len: 0, neighbours: Some(graph) }
    }

    /// Number of references.
    pub fn len(&self) -> usize {
        self.len
    }

    /// None?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts in more references, on the threads of this pool.
    ///
    /// # Panics
    /// When they are of another dimension.
    pub fn extend(&mut self, pool: &rayon::ThreadPool, rows: &Rows) {
        assert_eq!(rows.dimension(), self.dimension, "rows of another dimension");
        let features: Vec<Vec<f32>> = (0..rows.len()).map(|row| rows.features(row).collect()).collect();
        let mut items: Vec<(&Vec<f32>, usize)> = features.iter().zip(self.len..).collect();
        let graph = self.neighbours.as_ref().expect("a graph");
        pool.install(|| {
            // The first by itself: others that do not see an entry point yet could be lost.
            if let Some((features, row)) = items.first().copied().filter(|_| self.len == 0) {
                graph.insert((features, row));
                items.remove(0);
            }
            graph.parallel_insert(&items);
        });
        self.len += rows.len();
    }

    /// References that reach the threshold, among those that `admits` and the graph finds; by ascending row. `near`
    /// references are looked at (ef), and no more can be found.
    ///
    /// Beside them, how many that were found could not be read.
    ///
    /// # Panics
    /// When the probe is of another dimension.
    pub fn search(
        &self,
        kernel: Kernel,
        exact: &dyn ExactRows,
        probe: &Probe,
        threshold: Threshold,
        near: usize,
        admits: impl Fn(usize) -> bool,
    ) -> (Vec<(usize, Score)>, usize) {
        let features: Vec<f32> =
            probe.blocks().iter().flat_map(|block| block.0).take(self.dimension).collect();
        assert_eq!(probe.blocks().len(), self.dimension.div_ceil(crate::kernel::LANES), "another dimension");
        let admits = |row: &usize| admits(*row);
        let graph = self.neighbours.as_ref().expect("a graph");
        let near = graph.search_filter(&features, near, near, Some(&admits));
        let mut room = vec![Block([0.0; 32]); probe.blocks().len()];
        let (mut hits, mut unread) = (Vec::new(), 0);
        for row in near.into_iter().map(|neighbour| neighbour.d_id) {
            let Ok(exact) = exact.row(row, &mut room) else {
                unread += 1;
                continue;
            };
            let mut score = [0.0];
            kernel.scores(probe.blocks(), exact, &mut score);
            let score = Score::new(score[0]).expect("the score of two templates is finite");
            if threshold.admits(score) {
                hits.push((row, score));
            }
        }
        hits.sort_unstable_by_key(|(row, _)| *row);
        (hits, unread)
    }

    /// Bytes of memory that it takes, about: the library keeps the features and, as was measured with 16
    /// neighbours, some 3200 bytes a reference.
    pub fn bytes(&self) -> usize {
        self.len * (self.dimension * size_of::<f32>() + 3200)
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // The library takes a graph down with the current pool; without one it would start the global one.
        if let Ok(pool) = rayon::ThreadPoolBuilder::new().num_threads(1).build() {
            let graph = self.neighbours.take();
            pool.install(move || drop(graph));
        }
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Graph({} references of {} features)", self.len, self.dimension)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{ModelId, ModelProfile};

    fn rows(count: u32) -> Rows {
        let profile = ModelProfile::new(ModelId::new("m").unwrap(), 40, None).unwrap();
        let mut rows = Rows::new(profile.id().clone(), 40);
        for i in 0..count {
            let features: Vec<f32> = (0..40u32).map(|j| ((i * 41 + j) as f32 * 12.9898).sin()).collect();
            rows.push(&profile.template(&features).unwrap());
        }
        rows
    }

    #[test]
    fn what_is_found_has_the_oracles_score_and_is_admitted() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let rows = rows(600);
        let mut graph = Graph::new(40, Breadth::default());
        let none =
            graph.search(Kernel::Scalar, &rows, &rows.probe(0), Threshold::new(0.0).unwrap(), 9, |_| true);
        assert_eq!(none, (vec![], 0));
        graph.extend(&pool, &rows);
        let mut found_itself = 0;
        for row in 0..600 {
            let probe = rows.probe(row);
            let threshold = Threshold::new(0.3).unwrap();
            let hits = graph.search(Kernel::detect(), &rows, &probe, threshold, 256, |row| row % 3 != 1).0;
            assert!(hits.is_sorted_by_key(|(row, _)| *row));
            for &(hit, score) in &hits {
                let mut exact = [0.0];
                Kernel::Scalar.scores(probe.blocks(), rows.blocks(hit, 1), &mut exact);
                assert_eq!(score, Score::new(exact[0]).unwrap());
                assert!(hit % 3 != 1 && threshold.admits(score));
            }
            found_itself += usize::from(hits.iter().any(|(hit, _)| *hit == row));
        }
        assert!(found_itself > 380, "{found_itself} of 400");
    }

    #[test]
    fn distances_of_equal_templates_do_not_fall_below_zero() {
        let rows = rows(50);
        for row in 0..50 {
            let features: Vec<f32> = rows.features(row).collect();
            assert!(Apart.eval(&features, &features) >= 0.0);
        }
    }
}
