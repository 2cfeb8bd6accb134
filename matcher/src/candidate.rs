//! From hits on references to candidates that are subjects.

use crate::{rows::Slot, score::Score};
use std::{cmp::Reverse, collections::HashMap, hash::Hash};

/// A reference at or above the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Which reference.
    pub slot: Slot,
    /// Its score with the probe.
    pub score: Score,
}

/// A subject that the machine proposes, with the best score of its references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<S> {
    /// Who.
    pub subject: S,
    /// The best of its references.
    pub best: Hit,
}

/// Candidates by descending score, ties by ascending subject, each subject once: as many as are shown, and
/// the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidateList<S> {
    candidates: Vec<Candidate<S>>,
    limit: usize,
}

impl<S: Copy + Ord + Hash> CandidateList<S> {
    /// Fuses hits to subjects by their best score. The first `limit` are to be shown.
    pub fn fuse(hits: impl IntoIterator<Item = (S, Hit)>, limit: usize) -> Self {
        let mut best: HashMap<S, Hit> = HashMap::new();
        for (subject, hit) in hits {
            let held = best.entry(subject).or_insert(hit);
            // Of two references with the same score the older one is named, whatever the order of hits.
            if (hit.score, Reverse(hit.slot)) > (held.score, Reverse(held.slot)) {
                *held = hit;
            }
        }
        let mut candidates: Vec<_> =
            best.into_iter().map(|(subject, best)| Candidate { subject, best }).collect();
        candidates.sort_unstable_by_key(|c| (Reverse(c.best.score), c.subject));
        Self { candidates, limit }
    }

    /// The candidates that are shown, best first.
    pub fn shown(&self) -> &[Candidate<S>] {
        &self.candidates[..self.limit.min(self.candidates.len())]
    }

    /// Those beyond the limit: they reach the threshold, too.
    pub fn beyond(&self) -> &[Candidate<S>] {
        &self.candidates[self.limit.min(self.candidates.len())..]
    }

    /// How many subjects reach the threshold, shown or not.
    pub fn total(&self) -> usize {
        self.candidates.len()
    }

    /// Do more subjects reach the threshold than are shown?
    pub fn truncated(&self) -> bool {
        !self.beyond().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(slot: u32, score: f32) -> Hit {
        Hit { slot: Slot(slot), score: Score::new(score).unwrap() }
    }

    #[test]
    fn a_subject_stands_once_with_its_best_reference() {
        let list = CandidateList::fuse([(7, hit(0, 0.5)), (7, hit(1, 0.9)), (7, hit(2, 0.9))], 10);
        assert_eq!(list.shown(), [Candidate { subject: 7, best: hit(1, 0.9) }]);
        assert_eq!((list.total(), list.truncated()), (1, false));
    }

    #[test]
    fn candidates_descend_and_ties_go_by_subject() {
        let list = CandidateList::fuse([(3, hit(0, 0.5)), (1, hit(1, 0.5)), (2, hit(2, 0.6))], 10);
        assert_eq!(list.shown().iter().map(|c| c.subject).collect::<Vec<_>>(), [2, 1, 3]);
    }

    #[test]
    fn a_bounded_list_says_how_many_there_are() {
        let list = CandidateList::fuse((0..9u32).map(|i| (i, hit(i, 0.5))), 4);
        assert_eq!((list.shown().len(), list.beyond().len()), (4, 5));
        assert_eq!((list.total(), list.truncated()), (9, true));
    }
}
