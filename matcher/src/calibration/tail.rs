//! The tail of the distribution of a lookup's highest nonmated score: a generalised Pareto distribution over a high score, by maximum likelihood.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

/// What is expected of the shape before any score is seen, and how firmly: about that of the greatest of some thousand normal scores (Fisher, Tippett, 1928:
/// the penultimate form), in the manner of Coles and Dixon (1999). Without it a few hundred scores leave the tail all but open.
const SHAPE: f64 = -0.05;
const SHAPE_SD: f64 = 0.05;
/// Heads of the tail beyond which it has no finite likelihood.
const LEAST_SHAPE: f64 = -0.5;

/// `P(score >= s) = share · (1 + shape · (s - from) / scale)^(-1 / shape)` for `s >= from`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tail {
    /// The score over which it holds.
    pub from: f64,
    /// Share of lookups whose highest nonmated score lies above it.
    pub share: f64,
    /// Of the excesses.
    pub scale: f64,
    /// 0 for an exponential tail (Gumbel's domain), below it for one with an end.
    pub shape: f64,
}

impl Tail {
    /// The share that reaches a score over `from`.
    pub(super) fn survival(&self, score: f64) -> f64 {
        let excess = (score - self.from) / self.scale;
        let power = if self.shape.abs() < 1e-9 {
            -excess
        } else {
            let base = 1.0 + self.shape * excess;
            if base <= 0.0 {
                return 0.0;
            }
            -base.ln() / self.shape
        };
        self.share * power.exp()
    }

    /// Of an excess, beyond `from`.
    fn density(&self, excess: f64) -> f64 {
        let base = 1.0 + self.shape * excess / self.scale;
        if base <= 0.0 {
            return 0.0;
        }
        let power = if self.shape.abs() < 1e-9 { -excess / self.scale } else { -base.ln() / self.shape };
        power.exp() / (self.scale * base)
    }

    /// The score that such a share reaches; at most `share`.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let ratio = (share / self.share).ln();
        let excess =
            if self.shape.abs() < 1e-9 { -ratio } else { (-self.shape * ratio).exp_m1() / self.shape };
        self.from + self.scale * excess
    }
}

/// Excesses over a score, and what the likelihood needs of them at each of many ratios of shape and scale (Grimshaw, 1993: at a ratio, the best shape is a mean).
pub(super) struct Excesses {
    from: f64,
    values: Vec<f64>,
    ratios: Vec<f64>,
    /// `ln(1 + ratio · excess)`: a row a ratio.
    logs: Array2<f64>,
}

impl Excesses {
    /// Of these scores, all above `from`.
    pub(super) fn over(from: f64, scores: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = scores.map(|score| score - from).collect();
        let most = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let steps = |low: f64, high: f64, count: u32| {
            let step = (high / low).ln() / f64::from(count - 1);
            (0..count).map(move |i| low * (step * f64::from(i)).exp())
        };
        let mut ratios: Vec<f64> = steps(1e-3, 0.98, 160).map(|x| -x / most).collect();
        ratios.reverse();
        ratios.extend(steps(1e-3, 2.0, 80).map(|x| x / mean.max(f64::MIN_POSITIVE)));
        let logs =
            Array2::from_shape_fn((ratios.len(), values.len()), |(r, v)| (ratios[r] * values[v]).ln_1p());
        Self { from, values, ratios, logs }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The tails that fit best under each column of weights; their shares are left at 1.
    pub(super) fn fit(&self, weights: &Array2<f64>) -> Vec<Tail> {
        let sums = self.logs.dot(weights);
        let fitted = |(column, total): (usize, f64)| {
            let mut best = (f64::NEG_INFINITY, Tail { from: self.from, share: 1.0, scale: 1.0, shape: 0.0 });
            for (row, ratio) in self.ratios.iter().enumerate() {
                let shape = sums[[row, column]] / total;
                let scale = shape / ratio;
                let away = (shape - SHAPE) / SHAPE_SD;
                let likelihood = -total * (scale.ln() + shape + 1.0) - 0.5 * away * away;
                if shape > LEAST_SHAPE && likelihood > best.0 {
                    best = (likelihood, Tail { scale, shape, ..best.1 });
                }
            }
            best.1
        };
        weights.columns().into_iter().map(|column| column.sum()).enumerate().map(fitted).collect()
    }

    /// How likely each excess is rather a mated score: of two people on record who are one. `mated` is the density of mated scores among those above
    /// `from`.
    ///
    /// A mixture of both is fitted by expectation and maximisation (Dempster, Laird, Rubin, 1977), and only taken if the scores speak for it clearly: the
    /// highest scores of an ordinary tail are not to be explained away. Who is mated [nearly certainly](CERTAIN) does not count at all for the tail,
    /// which may end below.
    pub(super) fn mated(&self, mated: impl Fn(f64) -> f64) -> Vec<f64> {
        let count = self.len();
        let densities: Vec<f64> = self.values.iter().map(|excess| mated(self.from + excess)).collect();
        let likelihood = |tail: &Tail, share: f64| -> f64 {
            let both = |(excess, mated): (&f64, &f64)| (1.0 - share) * tail.density(*excess) + share * mated;
            self.values.iter().zip(&densities).map(|each| both(each).max(1e-300).ln()).sum()
        };
        let judge = |tail: &Tail, share: f64| -> Vec<f64> {
            let judged = |(excess, mated): (&f64, &f64)| {
                let (is, is_not) = (share * mated, (1.0 - share) * tail.density(*excess));
                is / (is + is_not).max(1e-300)
            };
            self.values.iter().zip(&densities).map(judged).collect()
        };
        // Suspected at first is who stands out of the tail that most of them have.
        let (mut tail, mut share) = (self.of_the_median(), FIRST_GUESS);
        let mut probabilities = judge(&tail, share);
        let mut kept = self.uncertain(&probabilities);
        for _ in 0..ROUNDS {
            let others = self.uncertain(&probabilities);
            if others.values != kept.values {
                kept = others;
            }
            let weights: Vec<f64> = probabilities.iter().filter(|p| **p < CERTAIN).map(|p| 1.0 - p).collect();
            tail = kept.fit(&column(weights))[0];
            let before = share;
            share = probabilities.iter().sum::<f64>() / count as f64;
            probabilities = judge(&tail, share);
            if (share - before).abs() < 1e-7 {
                break;
            }
        }
        let plain = self.fit(&column(vec![1.0; count]))[0];
        if likelihood(&tail, share) > likelihood(&plain, 0.0) + EVIDENCE {
            probabilities.iter().map(|p| if *p < CERTAIN { *p } else { 1.0 }).collect()
        } else {
            vec![0.0; count]
        }
    }

    /// Those of them that are not nearly certainly mated.
    fn uncertain(&self, probabilities: &[f64]) -> Self {
        let all = self.values.iter().zip(probabilities);
        Self::over(self.from, all.filter(|(_, p)| **p < CERTAIN).map(|(excess, _)| self.from + excess))
    }

    /// The exponential tail with the excesses' median, which a few high ones do not move.
    fn of_the_median(&self) -> Tail {
        let mut sorted = self.values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(1.0);
        let scale = (median / std::f64::consts::LN_2).max(f64::MIN_POSITIVE);
        Tail { from: self.from, share: 1.0, scale, shape: 0.0 }
    }
}

fn column(weights: Vec<f64>) -> Array2<f64> {
    Array2::from_shape_vec((weights.len(), 1), weights).expect("as many")
}

/// From this probability on an excess is taken for mated.
const CERTAIN: f64 = 0.9;
/// By how much the logarithm of the likelihood has to grow for a mixture to be taken.
const EVIDENCE: f64 = 6.0;
/// Share of mated scores among the excesses, to begin with.
const FIRST_GUESS: f64 = 0.05;
/// After so many the share hardly moves.
const ROUNDS: usize = 100;
