//! The running best hits of a query.

use super::keep_best;
use crate::{candidate::Hit, score::Threshold};
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU32, Ordering},
};

/// The best hits so far of one query, kept by all threads together.
pub(super) struct Leaders {
    best: usize,
    hits: Mutex<Vec<Hit>>,
    /// Score of the last of `best` hits, once there are so many: bits of an f32.
    threshold: AtomicU32,
}

impl Leaders {
    /// None yet, of those that reach the threshold.
    pub(super) fn new(best: usize, threshold: Threshold) -> Self {
        let hits = Mutex::new(Vec::with_capacity(best.min(4096)));
        Self { best, hits, threshold: AtomicU32::new(threshold.value().to_bits()) }
    }

    /// From which score on a hit may still be among them; it only rises.
    pub(super) fn threshold(&self) -> Threshold {
        let bits = self.threshold.load(Ordering::Relaxed);
        Threshold::new(f32::from_bits(bits)).expect("made from one")
    }

    /// Takes a hit that may be among them.
    pub(super) fn offer(&self, hit: Hit) {
        let mut hits = self.hits.lock().unwrap_or_else(PoisonError::into_inner);
        hits.push(hit);
        // Cut back now and then: each hit is moved a bounded number of times.
        if hits.len() / 2 >= self.best.max(1) {
            self.cut(&mut hits);
        }
    }

    fn cut(&self, hits: &mut Vec<Hit>) {
        keep_best(hits, self.best);
        if let Some(last) = hits.iter().map(|hit| hit.score).min().filter(|_| hits.len() == self.best) {
            // A score may exceed 1 by its rounding; a threshold may not.
            self.threshold.store(last.value().min(1.0).to_bits(), Ordering::Relaxed);
        }
    }

    /// The best of all that were offered, by ascending slot.
    pub(super) fn into_hits(self) -> Vec<Hit> {
        let mut hits = self.hits.into_inner().unwrap_or_else(PoisonError::into_inner);
        keep_best(&mut hits, self.best);
        hits
    }
}
