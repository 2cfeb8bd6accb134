//! The highest nonmated score of a lookup in a gallery of one size.

use super::{
    CalibrationError,
    mated::Mated,
    maxima::Seen,
    tail::{Excesses, Tail},
};
use crate::rates;
use ndarray::Array2;
use rand::Rng;
use rand_distr::{Distribution, Poisson};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The tail begins where so large a share of the scores is above,
const TAIL_SHARE: f64 = 0.15;
/// and no more than so many.
const TAIL_MOST: usize = 1500;
/// Fewer tell no tail.
const LEAST_TAIL: usize = 20;
/// At least such a share of mated scores lies above the tail's beginning: else it is mated scores that make the tail.
const MATED_ABOVE: f64 = 0.75;
/// The body is kept as so many points of equal distance in share.
const BODY: usize = 256;
/// Resampled distributions.
const RESAMPLED: usize = 200;

/// Its distribution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Level {
    /// In the mean of all probes.
    pub(super) references: f64,
    pub(super) probes: u64,
    /// So many independent probes would tell as much.
    effective: f64,
    /// Scores from the least up to where the tail begins, as far apart in share.
    body: Vec<f32>,
    tail: Tail,
    /// `share`, `scale` and `shape` of the tail, resampled.
    resampled: Vec<[f32; 3]>,
}

/// A probe's highest score.
struct Highest {
    score: f32,
    probe: u64,
    other: u64,
    /// How far it counts as nonmated.
    weight: f64,
}

impl Level {
    /// The whole gallery; and of each probe the probability that its highest score is a mated one.
    pub(super) fn whole(
        seen: &[&Seen],
        mated: &Mated,
        chance: &mut impl Rng,
    ) -> Result<(Self, Vec<f64>), CalibrationError> {
        let mut highest = highest(seen, 0, &vec![0.0; seen.len()]);
        let from = tail_from(&highest)?;
        let beyond: Vec<usize> = (0..highest.len()).filter(|i| highest[*i].score > from).collect();
        let scores = beyond.iter().map(|i| f64::from(highest[*i].score));
        let judged = Excesses::over(f64::from(from), scores).mated(mated.density_above(f64::from(from)));
        // What is left is to be a tail, and strangers' scores: not the lower end of mated ones.
        let certain = judged.iter().filter(|p| **p >= 1.0).count();
        let strange = beyond.len() - certain >= LEAST_TAIL && mated.reaches(f64::from(from)) >= MATED_ABOVE;
        if !strange {
            return Err(CalibrationError::Mixed);
        }
        let mut probabilities = vec![0.0; seen.len()];
        for (at, probability) in beyond.iter().zip(judged) {
            probabilities[*at] = probability;
            highest[*at].weight = 1.0 - probability;
        }
        Ok((Self::of(mean_compared(seen, 0), &highest, from, chance), probabilities))
    }

    /// A share of the gallery. Who is suspected in the whole is so here.
    pub(super) fn part(
        seen: &[&Seen],
        level: usize,
        probabilities: &[f64],
        chance: &mut impl Rng,
    ) -> Result<Self, CalibrationError> {
        let highest = highest(seen, level, probabilities);
        let from = tail_from(&highest)?;
        Ok(Self::of(mean_compared(seen, level), &highest, from, chance))
    }

    fn of(references: f64, highest: &[Highest], from: f32, chance: &mut impl Rng) -> Self {
        let is_beyond = |one: &&Highest| one.score > from && one.weight > 0.0;
        let beyond: Vec<&Highest> = highest.iter().filter(is_beyond).collect();
        let excesses = Excesses::over(f64::from(from), beyond.iter().map(|one| f64::from(one.score)));
        let all: f64 = highest.iter().map(|one| one.weight).sum();
        let share = beyond.iter().map(|one| one.weight).sum::<f64>() / all.max(f64::MIN_POSITIVE);
        let tail = excesses.fit(&Array2::from_shape_fn((beyond.len(), 1), |(i, _)| beyond[i].weight))[0];
        let clusters = clusters(highest, from);
        let count = clusters.iter().max().map_or(0, |most| most + 1);
        let one = Poisson::new(1.0).expect("a rate above 0");
        let mut weights = Array2::zeros((beyond.len(), RESAMPLED));
        let mut shares = Vec::with_capacity(RESAMPLED);
        for mut column in weights.columns_mut() {
            let drawn: Vec<f64> = (0..count).map(|_| one.sample(chance)).collect();
            let (mut inside, mut all, mut at) = (0.0, 0.0, 0);
            for (highest, cluster) in highest.iter().zip(&clusters) {
                let weight = drawn[*cluster] * highest.weight;
                all += weight;
                if is_beyond(&highest) {
                    column[at] = weight;
                    inside += weight;
                    at += 1;
                }
            }
            shares.push(inside / f64::max(all, f64::MIN_POSITIVE));
        }
        let mean = shares.iter().sum::<f64>() / RESAMPLED as f64;
        let variance = shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / RESAMPLED as f64;
        let effective = (share * (1.0 - share) / variance.max(f64::MIN_POSITIVE)).min(highest.len() as f64);
        let resampled = excesses.fit(&weights).into_iter().zip(shares);
        let resampled = resampled.map(|(tail, share)| [share as f32, tail.scale as f32, tail.shape as f32]);
        Self {
            references,
            probes: highest.len() as u64,
            effective,
            body: body(highest, from),
            tail: Tail { share, ..tail },
            resampled: resampled.collect(),
        }
    }

    /// The share that reaches a score.
    pub(super) fn share(&self, score: f64) -> f64 {
        if score < self.tail.from { self.body_share(score) } else { self.tail.survival(score) }
    }

    /// The same, and the ends of its 95 % interval.
    pub(super) fn rate(&self, score: f64) -> (f64, f64, f64) {
        if score < self.tail.from {
            let rate = self.body_share(score);
            let (low, high) = rates::wilson(rate, self.effective);
            return (rate, low, high);
        }
        let again = |[share, scale, shape]: &[f32; 3]| {
            let (share, scale, shape) = (f64::from(*share), f64::from(*scale), f64::from(*shape));
            Tail { share, scale, shape, ..self.tail }.survival(score)
        };
        let mut rates: Vec<f64> = self.resampled.iter().map(again).collect();
        rates.sort_unstable_by(f64::total_cmp);
        let rate = self.tail.survival(score);
        let (low, high) = (rates[rates.len() / 40], rates[rates.len() - 1 - rates.len() / 40]);
        (rate, low.min(rate), high.max(rate))
    }

    /// The score that such a share reaches.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        if share <= self.tail.share {
            // A tail may go on beyond all scores.
            return self.tail.quantile(share.max(f64::MIN_POSITIVE)).clamp(-1.0, 1.0);
        }
        let steps = (self.body.len() - 1) as f64;
        let place = ((1.0 - share) / (1.0 - self.tail.share) * steps).clamp(0.0, steps);
        #[expect(clippy::cast_sign_loss, reason = "clamped")]
        let below = (place as usize).min(self.body.len() - 2);
        let (low, high) = (f64::from(self.body[below]), f64::from(self.body[below + 1]));
        low + (high - low) * (place - below as f64)
    }

    fn body_share(&self, score: f64) -> f64 {
        let at = self.body.partition_point(|point| f64::from(*point) <= score);
        if at == 0 {
            return 1.0;
        }
        let (low, high) = (self.body[at - 1], self.body.get(at).copied().unwrap_or(self.tail.from as f32));
        let within = (score - f64::from(low)) / f64::from(high - low).max(f64::MIN_POSITIVE);
        let place = ((at - 1) as f64 + within.min(1.0)) / (self.body.len() - 1) as f64;
        1.0 - (1.0 - self.tail.share) * place.min(1.0)
    }

    pub(super) fn is_sound(&self) -> bool {
        let Tail { from, share, scale, shape } = self.tail;
        let good = |share: f64, scale: f64, shape: f64| {
            (0.0..=1.0).contains(&share) && scale > 0.0 && scale <= 1.0 && shape.abs() <= 1.0
        };
        let tails = self.resampled.iter().all(|[a, b, c]| good((*a).into(), (*b).into(), (*c).into()));
        let counts = self.references >= 1.0 && self.references.is_finite() && self.effective > 0.0;
        let body =
            self.body.len() == BODY && self.body.is_sorted() && self.body.iter().all(|x| x.abs() <= 1.001);
        good(share, scale, shape)
            && from.abs() <= 1.001
            && tails
            && counts
            && body
            && self.resampled.len() == RESAMPLED
    }
}

fn highest(seen: &[&Seen], level: usize, probabilities: &[f64]) -> Vec<Highest> {
    let one = |(seen, probability): (&&Seen, &f64)| {
        let (best, suspected) = (seen.at(level), seen.at(0).subject);
        let weight = if best.subject == suspected { 1.0 - probability } else { 1.0 };
        let highest = Highest { score: best.score, probe: seen.whose.subject, other: best.subject, weight };
        (best.compared > 0).then_some(highest)
    };
    seen.iter().zip(probabilities).filter_map(one).collect()
}

fn mean_compared(seen: &[&Seen], level: usize) -> f64 {
    let sum: u64 = seen.iter().map(|seen| u64::from(seen.at(level).compared)).sum();
    sum as f64 / seen.len() as f64
}

/// The score over which the tail begins.
fn tail_from(highest: &[Highest]) -> Result<f32, CalibrationError> {
    let mut scores: Vec<f32> = highest.iter().map(|one| one.score).collect();
    scores.sort_unstable_by(|a, b| b.total_cmp(a));
    #[expect(clippy::cast_sign_loss, reason = "a share of a count")]
    let most = (TAIL_SHARE * scores.len() as f64) as usize;
    let from = scores[most.min(TAIL_MOST).min(scores.len() - 1)];
    if scores[0] > from { Ok(from) } else { Err(CalibrationError::Flat) }
}

/// Scores up to where the tail begins, whose shares are equally far apart.
fn body(highest: &[Highest], from: f32) -> Vec<f32> {
    let mut below: Vec<(f32, f64)> =
        highest.iter().filter(|one| one.score <= from).map(|one| (one.score, one.weight)).collect();
    below.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = below.iter().map(|(_, weight)| weight).sum();
    let (mut at, mut sum) = (0, 0.0);
    let point = |step: usize| {
        let wanted = total * step as f64 / (BODY - 1) as f64;
        while at + 1 < below.len() && sum + below[at].1 < wanted {
            sum += below[at].1;
            at += 1;
        }
        if step == BODY - 1 { from } else { below[at].0 }
    };
    (0..BODY).map(point).collect()
}

/// Whose highest scores are of one event: a number for each, from 0 without gaps.
fn clusters(highest: &[Highest], from: f32) -> Vec<usize> {
    let mut numbers = HashMap::new();
    let mut number = |subject: u64| {
        let next = numbers.len();
        *numbers.entry(subject).or_insert(next)
    };
    let ends: Vec<(usize, usize)> =
        highest.iter().map(|one| (number(one.probe), number(one.other))).collect();
    let mut parents: Vec<usize> = (0..numbers.len()).collect();
    fn root(parents: &mut [usize], mut at: usize) -> usize {
        while parents[at] != at {
            parents[at] = parents[parents[at]];
            at = parents[at];
        }
        at
    }
    for (one, (probe, other)) in highest.iter().zip(&ends) {
        if one.score > from {
            let (a, b) = (root(&mut parents, *probe), root(&mut parents, *other));
            parents[a] = b;
        }
    }
    ends.iter().map(|(probe, _)| root(&mut parents, *probe)).collect()
}
