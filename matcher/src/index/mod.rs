//! The searches. [`oracle`] is the definition that every other one must equal.

pub mod cascade;
#[cfg(test)]
mod equality;
pub mod fit;
pub mod hnsw;
mod leaders;
pub mod oracle;

use crate::{candidate::Hit, filter::SlotFilter, score::Threshold, template::Probe};

/// One probe's question.
#[derive(Debug)]
pub struct Query<'a> {
    /// What to search with.
    pub probe: &'a Probe,
    /// From which score on a reference is a hit.
    pub threshold: Threshold,
    /// Only this many of the hits, the best; of those with the same score the ones in the first slots.
    pub best: Option<usize>,
    /// The rows of each segment that this lookup may see, in the order of the segments. Lookups that may see the
    /// same had best share a filter.
    pub filters: Vec<&'a SlotFilter>,
}

/// One probe's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Every admitted reference at or above the threshold, or the best of them, by ascending slot.
    pub hits: Vec<Hit>,
    /// How many references were compared, or ruled out by proof.
    pub compared: u64,
}

/// Keeps the `best` hits, by ascending slot.
fn keep_best(hits: &mut Vec<Hit>, best: usize) {
    hits.sort_unstable_by_key(|hit| (std::cmp::Reverse(hit.score), hit.slot));
    hits.truncate(best);
    hits.sort_unstable_by_key(|hit| hit.slot);
}
