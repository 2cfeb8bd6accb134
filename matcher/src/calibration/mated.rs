//! Scores of two captures of one person.

use serde::{Deserialize, Serialize};

/// With fewer pairs nothing is said.
const LEAST: u64 = 50;
/// As many quantiles are kept.
const QUANTILES: usize = 256;

/// Their distribution, as quantiles; its density is a sum of Gaussian kernels (Silverman, 1986).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mated {
    pub(super) pairs: u64,
    ascending: Vec<f32>,
    width: f64,
}

impl Mated {
    pub(super) fn of(scores: impl Iterator<Item = f32>) -> Self {
        let mut scores: Vec<f32> = scores.collect();
        scores.sort_unstable_by(f32::total_cmp);
        let count = scores.len();
        let kept = count.min(QUANTILES);
        let ascending: Vec<f32> = (0..kept).map(|i| scores[(2 * i + 1) * count / (2 * kept)]).collect();
        let mean = scores.iter().map(|x| f64::from(*x)).sum::<f64>() / count.max(1) as f64;
        let variance = scores.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>();
        let sd = (variance / count.max(2) as f64).sqrt();
        let quarters =
            if count < 4 { sd } else { f64::from(scores[3 * count / 4] - scores[count / 4]) / 1.34 };
        let width = 0.9 * sd.min(quarters).max(1e-3) * (count.max(1) as f64).powf(-0.2);
        Self { pairs: count as u64, ascending, width }
    }

    /// Of a score; `None` where too few pairs were seen. No score is quite impossible.
    pub(super) fn density(&self, score: f64) -> Option<f64> {
        if self.pairs < LEAST {
            return None;
        }
        let kernel = |at: &f32| {
            let away = (score - f64::from(*at)) / self.width;
            (-0.5 * away * away).exp()
        };
        let sum: f64 = self.ascending.iter().map(kernel).sum();
        let scale = self.width * (2.0 * std::f64::consts::PI).sqrt() * self.ascending.len() as f64;
        let elsewhere = 0.5 / (self.pairs as f64 + 1.0);
        Some(sum / scale * (1.0 - elsewhere) + elsewhere * 0.5)
    }

    /// Among those above a score; where too few pairs were seen, every score up to 1 is as likely.
    pub(super) fn density_above(&self, from: f64) -> impl Fn(f64) -> f64 {
        const STEPS: u32 = 400;
        let step = (1.0 - from).max(1e-6) / f64::from(STEPS);
        let middle = |i: u32| from + step * (f64::from(i) + 0.5);
        let above: f64 = (0..STEPS).filter_map(|i| self.density(middle(i))).sum::<f64>() * step;
        move |score| match self.density(score) {
            Some(density) => density / above.max(f64::MIN_POSITIVE),
            None => 1.0 / (1.0 - from).max(1e-6),
        }
    }

    /// The share of them that reaches a score; all, where too few were seen to tell.
    pub(super) fn reaches(&self, score: f64) -> f64 {
        if self.pairs < LEAST {
            return 1.0;
        }
        let below = self.ascending.partition_point(|mated| f64::from(*mated) < score);
        1.0 - below as f64 / self.ascending.len() as f64
    }

    pub(super) fn is_sound(&self) -> bool {
        let finite = self.width > 0.0 && self.width.is_finite();
        let kept = self.ascending.len() as u64 == self.pairs.min(QUANTILES as u64);
        finite && kept && self.ascending.is_sorted() && self.ascending.iter().all(|x| x.abs() <= 1.001)
    }
}
