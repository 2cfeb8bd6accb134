//! Error rates of identification (ISO/IEC 19795-1), and how sure one can be of them.

use serde::{Deserialize, Serialize};

/// A share of people not on a watchlist for whom a lookup proposes somebody (false positive identification rate).
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(into = "f64", try_from = "f64")]
pub struct Fpir(f64);

/// Why a number is not such a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an error rate to be asked for lies between 0 and 1, neither of them included")]
pub struct FpirError;

impl Fpir {
    /// A rate to be asked for.
    ///
    /// # Errors
    /// When it does not lie between 0 and 1.
    pub fn new(value: f64) -> Result<Self, FpirError> {
        if value > 0.0 && value < 1.0 { Ok(Self(value)) } else { Err(FpirError) }
    }

    /// The bare number.
    pub fn value(self) -> f64 {
        self.0
    }
}

impl From<Fpir> for f64 {
    fn from(rate: Fpir) -> Self {
        rate.0
    }
}

impl TryFrom<f64> for Fpir {
    type Error = FpirError;

    fn try_from(value: f64) -> Result<Self, FpirError> {
        Self::new(value)
    }
}

/// The normal quantile of 97.5 %.
const Z: f64 = 1.959_963_984_540_054;

/// A share that was counted, with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// What was counted.
    pub count: u64,
    /// Among so many.
    pub of: u64,
    /// The share; 0 of nothing.
    pub rate: f64,
    /// The interval's lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Rate {
    /// Of independent trials: Wilson's interval (1927), which holds for rare events, too.
    pub fn of(count: u64, of: u64) -> Self {
        Self::widened(count, of, 1.0)
    }

    /// Of trials in groups, as several lookups of one person are: `(count, of)` each. The interval is as wide as if there were fewer trials, by the
    /// groups' design effect (Kish, 1965: ratio estimator between groups), never as if there were more.
    pub fn of_groups(groups: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let groups: Vec<_> = groups.into_iter().filter(|(_, of)| *of > 0).collect();
        let (count, of) = groups.iter().fold((0, 0), |(c, n), (count, of)| (c + count, n + of));
        let share = count as f64 / (of as f64).max(1.0);
        let binomial = of as f64 * share * (1.0 - share);
        if binomial <= 0.0 || groups.len() < 2 {
            return Self::widened(count, of, of as f64 / groups.len().max(1) as f64);
        }
        let between: f64 = groups.iter().map(|(c, n)| (*c as f64 - share * *n as f64).powi(2)).sum();
        let between = between * groups.len() as f64 / (groups.len() - 1) as f64;
        Self::widened(count, of, (between / binomial).max(1.0))
    }

    /// As if there were `effect` times fewer trials.
    fn widened(count: u64, of: u64, effect: f64) -> Self {
        if of == 0 {
            return Self { count, of, rate: 0.0, low: 0.0, high: 1.0 };
        }
        let rate = count as f64 / of as f64;
        let (low, high) = wilson(rate, of as f64 / effect);
        Self { count, of, rate, low, high }
    }
}

/// Wilson's 95 % interval of a share of `trials`.
pub(crate) fn wilson(share: f64, trials: f64) -> (f64, f64) {
    let (z2, n) = (Z * Z, trials);
    let middle = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    let low = if share <= 0.0 { 0.0 } else { (middle - half).max(0.0) };
    let high = if share >= 1.0 { 1.0 } else { (middle + half).min(1.0) };
    (low, high)
}

/// Scores, from the highest down, and how many of a set reach a threshold. Trials without a score (nobody was proposed) reach none.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    descending: Vec<f32>,
    trials: u64,
}

impl Reach {
    /// Of all trials, each with its score, if it has one.
    pub fn of(scores: impl IntoIterator<Item = Option<f32>>) -> Self {
        let (mut descending, mut trials) = (Vec::new(), 0);
        for score in scores {
            trials += 1;
            descending.extend(score);
        }
        descending.sort_unstable_by(|a, b| b.total_cmp(a));
        Self { descending, trials }
    }

    /// Trials.
    pub fn trials(&self) -> u64 {
        self.trials
    }

    /// The scores that there are, from the highest down.
    pub fn descending(&self) -> &[f32] {
        &self.descending
    }

    /// How many reach a threshold: `score >= threshold`.
    pub fn reaching(&self, threshold: f32) -> u64 {
        self.descending.partition_point(|score| *score >= threshold) as u64
    }

    /// The share that does.
    pub fn share(&self, threshold: f32) -> f64 {
        self.reaching(threshold) as f64 / (self.trials as f64).max(1.0)
    }

    /// The lowest threshold that at most such a share reaches; scores that are equal reach it together or not at all. `None` where the trials are too few
    /// to tell: less than one of them.
    pub fn threshold(&self, share: f64) -> Option<f32> {
        // A share of a count that is whole but for its rounding is that count.
        let allowed = (share * self.trials as f64 * (1.0 + 1e-12)).floor();
        if allowed < 1.0 {
            return None;
        }
        #[expect(clippy::cast_sign_loss, reason = "it is at least 1")]
        let first_refused = self.descending.get(allowed as usize);
        // Or all that have a score may reach it.
        Some(first_refused.map_or(-1.0, |score| score.next_up()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_to_ask_for_lie_between_0_and_1() {
        for bad in [0.0, 1.0, -0.1, f64::NAN, f64::INFINITY] {
            assert!(Fpir::new(bad).is_err());
        }
        assert_eq!(Fpir::new(1e-3).map(Fpir::value), Ok(1e-3));
    }

    #[test]
    fn wilsons_interval_is_the_published_one() {
        // Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
        for (count, of, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let rate = Rate::of(count, of);
            assert!((rate.low - low).abs() < 5e-5 && (rate.high - high).abs() < 5e-5, "{rate:?}");
        }
        assert_eq!((Rate::of(0, 0).low, Rate::of(0, 0).high), (0.0, 1.0));
    }

    #[test]
    fn lookups_of_one_person_do_not_count_as_of_many() {
        let alone = Rate::of(10, 100);
        let singles = Rate::of_groups((0..100).map(|i| (u64::from(i < 10), 1)));
        assert!((singles.high - alone.high).abs() < 2e-3);
        // Ten lookups each, all of them the same: as ten people.
        let tenfold = Rate::of_groups((0..10).map(|i| (if i == 0 { 10 } else { 0 }, 10)));
        let ten = Rate::of(1, 10);
        assert!((tenfold.high - ten.high).abs() < 0.02, "{tenfold:?} {ten:?}");
        let none = Rate::of_groups((0..10).map(|_| (0, 10)));
        assert!((none.high - Rate::of(0, 10).high).abs() < 1e-12);
    }

    #[test]
    fn equal_scores_reach_a_threshold_together() {
        let reach = Reach::of([Some(0.5), Some(0.5), Some(0.25), None]);
        assert_eq!((reach.reaching(0.5), reach.reaching(0.5f32.next_up()), reach.trials()), (2, 0, 4));
        assert_eq!(reach.threshold(0.5), Some(0.25f32.next_up()));
        assert_eq!(reach.threshold(0.25), Some(0.5f32.next_up()), "two at once are too many");
        assert_eq!(reach.threshold(0.1), None);
        assert_eq!(reach.threshold(0.75), Some(-1.0));
    }
}
