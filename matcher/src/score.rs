//! Scores and the thresholds they are compared with.

use std::cmp::Ordering;

/// A similarity: higher is more alike. The score of two templates is their inner product (the cosine of
/// their angle, as templates have unit length), summed in the order that [`crate::kernel`] defines.
///
/// Always finite and never -0, so scores are totally ordered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score(f32);

impl Score {
    /// A score from a kernel; `None` for what cannot be the score of two templates.
    pub fn new(value: f32) -> Option<Self> {
        value.is_finite().then_some(Self(value + 0.0))
    }

    /// The bare number.
    pub fn value(self) -> f32 {
        self.0
    }
}

impl Eq for Score {}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The score from which on a reference is a candidate. The only decision is `score >= threshold`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold(f32);

/// Why a number is not a threshold.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("a threshold is a finite number from -1 to 1")]
pub struct ThresholdError;

impl Threshold {
    /// Every score reaches it.
    pub const LOWEST: Self = Self(-1.0);

    /// # Errors
    /// When the value is not a finite number from -1 to 1.
    pub fn new(value: f32) -> Result<Self, ThresholdError> {
        if (-1.0..=1.0).contains(&value) { Ok(Self(value + 0.0)) } else { Err(ThresholdError) }
    }

    /// The bare number.
    pub fn value(self) -> f32 {
        self.0
    }

    /// Is a reference with this score a candidate?
    pub fn admits(self, score: Score) -> bool {
        score.0 >= self.0
    }

    /// The stricter (higher) of two.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }

    /// The looser (lower) of two.
    #[must_use]
    pub fn looser(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_finite_and_within_the_range_of_cosines() {
        for bad in [f32::NAN, f32::INFINITY, -1.000_001, 1.000_001] {
            assert_eq!(Threshold::new(bad), Err(ThresholdError));
        }
        assert_eq!(Threshold::new(-0.0).unwrap().value().to_bits(), 0);
    }

    #[test]
    fn a_score_on_the_threshold_is_admitted_and_one_ulp_below_is_not() {
        let threshold = Threshold::new(0.5).unwrap();
        assert!(threshold.admits(Score::new(0.5).unwrap()));
        assert!(!threshold.admits(Score::new(0.5f32.next_down()).unwrap()));
    }
}
