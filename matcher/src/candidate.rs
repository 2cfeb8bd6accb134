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

/// Candidates by descending score, ties by ascending subject, each subject once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidateList<S>(Vec<Candidate<S>>);

impl<S: Copy + Ord + Hash> CandidateList<S> {
    /// Fuses hits to subjects by their best score.
    pub fn fuse(hits: impl IntoIterator<Item = (S, Hit)>) -> Self {
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
        Self(candidates)
    }

    /// All of them, best first.
    pub fn candidates(&self) -> &[Candidate<S>] {
        &self.0
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
        let list = CandidateList::fuse([(7, hit(0, 0.5)), (7, hit(1, 0.9)), (7, hit(2, 0.9))]);
        assert_eq!(list.candidates(), [Candidate { subject: 7, best: hit(1, 0.9) }]);
    }

    #[test]
    fn candidates_descend_and_ties_go_by_subject() {
        let list = CandidateList::fuse([(3, hit(0, 0.5)), (1, hit(1, 0.5)), (2, hit(2, 0.6))]);
        assert_eq!(list.candidates().iter().map(|c| c.subject).collect::<Vec<_>>(), [2, 1, 3]);
    }
}
