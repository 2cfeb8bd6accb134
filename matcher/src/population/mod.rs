//! Synthetic people, for demo, tests and benches.
//!
//! A person is a draw `z`, a capture of the person a draw `w`, both standard normal; the raw features are
//! `mean + between · z + s · within · w`, where the spread `s = exp(spread · g)`, `g` standard normal, makes
//! some captures harder than others, and a little noise in every feature. The factors are those that were
//! fitted to real face templates, or they are chosen so that the population imitates stated statistics.
//!
//! Real galleries are not as regular. [`Irregular`] says which share of people have kin, a twin or a second name among the others (person `2k` and person
//! `2k + 1`), and which share of captures is hard. For people drawn at random from a fitted population, kin of a correlation of 0.5 to 0.7 score 0.3 to 0.5, twins
//! of 0.9 about as two captures of one person.
//!
//! Chance is passed in: `source(person, 0)` draws the person, `source(person, 1 + capture)` the capture, `source(2k, RELATED)` whether a pair is
//! related, so any capture of any person can be drawn by itself, in any order and on any thread.

mod fit;

pub use fit::{FitError, LEAST_MATED, Statistics};

use crate::projection::orthonormalise;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1, Axis, concatenate, s};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal, StandardUniform};
use rayon::prelude::*;

/// What a population should look like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Imitation {
    /// Number of features.
    pub dimension: usize,
    /// Standard deviation of the cosine of two people; its mean is 0. A decaying spectrum is chosen with
    /// `1 / nonmated_sd²` effective dimensions (participation ratio).
    pub nonmated_sd: f64,
    /// Mean cosine of two captures of one person.
    pub mated_mean: f64,
    /// Standard deviation of that cosine.
    pub mated_sd: f64,
}

impl Default for Imitation {
    /// A good modern model with 512 dimensions.
    fn default() -> Self {
        Self { dimension: 512, nonmated_sd: 0.065, mated_mean: 0.65, mated_sd: 0.12 }
    }
}

/// Why a population cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ImitationError {
    /// Fewer dimensions than the spread of nonmated scores needs, or a spread of 1 or more.
    #[error("with {dimension} dimensions the nonmated standard deviation lies between {least:.4} and 1")]
    NonmatedSd {
        /// Number of features.
        dimension: usize,
        /// The least standard deviation, that of a flat spectrum.
        least: f64,
    },
    /// The mated mean is not between 0 and 1.
    #[error("the mean mated cosine lies between 0 and 1")]
    MatedMean,
    /// No spread of captures gives this standard deviation at this mean.
    #[error("at this mean the mated standard deviation lies between {least:.3} and {most:.3}")]
    MatedSd {
        /// Captures all equally hard.
        least: f64,
        /// Captures spread as far as is modelled.
        most: f64,
    },
}

/// A generator of people and their captures.
#[derive(Clone, Debug)]
pub struct Population {
    /// `between` above `within`: 2 · rank rows, `dimension` columns.
    factors: Array2<f32>,
    mean: Array1<f32>,
    spread: f64,
    noise: f32,
    irregular: Irregular,
}

/// What real galleries have, beside people who are strangers to each other: shares of all people, or of captures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Irregular {
    /// People who have a relative: their draws correlate by 0.5 to 0.7.
    pub kin: f64,
    /// People who have a twin: by 0.9.
    pub twins: f64,
    /// People who are there a second time, under another number.
    pub duplicates: f64,
    /// Captures that are twice as far from the person as others.
    pub hard: f64,
}

impl Irregular {
    /// About what the statistics of real sets want: in the far tail of nonmated scores, and among the lowest mated ones.
    pub const REAL: Self = Self { kin: 0.001, twins: 0.000_1, duplicates: 0.0, hard: 0.015 };
}

/// What persons `2k` and `2k + 1` are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Nothing.
    Strangers,
    /// Relatives.
    Kin,
    /// Twins.
    Twins,
    /// One person.
    Same,
}

/// The draw that says whether two are related, and that holds what they share.
pub const RELATED: u64 = u64::MAX;

/// A factor model fitted to real templates: statistics, no person's data.
#[derive(Clone, Debug)]
pub struct Factors {
    /// Mean of the unit-length features: `dimension` of them.
    pub mean: Vec<f32>,
    /// How people differ: `dimension` rows of `rank` numbers, row after row.
    pub between: Vec<f32>,
    /// How captures of one person differ, in the same form.
    pub within: Vec<f32>,
}

impl Population {
    /// A population with the given statistics, its axes turned by a random rotation.
    ///
    /// # Errors
    /// When no population of this family has these statistics.
    pub fn imitating(wanted: &Imitation, rotation: &mut impl Rng) -> Result<Self, ImitationError> {
        let Imitation { dimension, nonmated_sd, mated_mean, mated_sd } = *wanted;
        let least = (dimension as f64).sqrt().recip();
        if dimension == 0 || !(least..1.0).contains(&nonmated_sd) {
            return Err(ImitationError::NonmatedSd { dimension, least });
        }
        if !(mated_mean > 0.0 && mated_mean < 1.0) {
            return Err(ImitationError::MatedMean);
        }
        let spectrum = spectrum(dimension, nonmated_sd);
        // Part of the mated variance is there without any spread: the captures' own random directions.
        let floor = nonmated_sd * (1.0 - mated_mean * mated_mean).sqrt();
        let sd_at = |spread| mated_moments(weight_for(mated_mean, spread), spread).1.hypot(floor);
        let most = sd_at(SPREAD_LIMIT);
        if !(floor..=most).contains(&mated_sd) {
            return Err(ImitationError::MatedSd { least: floor, most });
        }
        let spread = bisect(EXACT, 0.0, SPREAD_LIMIT, |spread| sd_at(spread) < mated_sd);
        let weight = weight_for(mated_mean, spread);
        let axes = rotation_matrix(dimension, rotation);
        let mut factors = Array2::zeros((2 * dimension, dimension));
        for (i, &variance) in spectrum.iter().enumerate() {
            let scale = variance.sqrt();
            factors.row_mut(i).assign(&axes.row(i).mapv(|x| (x * scale) as f32));
            factors.row_mut(dimension + i).assign(&axes.row(i).mapv(|x| (x * scale * weight) as f32));
        }
        let irregular = Irregular::default();
        Ok(Self { factors, mean: Array1::zeros(dimension), spread, noise: 0.0, irregular })
    }

    /// The population of a fitted factor model, with its captures' spread `1.05 · exp(0.30 g − 0.09)` and a floor
    /// of noise, both as they were checked against the real templates.
    ///
    /// # Panics
    /// When the factors are not of one dimension and rank.
    pub fn fitted(model: &Factors) -> Self {
        let dimension = model.mean.len();
        let rank = model.between.len() / dimension;
        let transposed = |values: &[f32], weight: f32| {
            let matrix = ArrayView2::from_shape((dimension, rank), values).expect("factors of one shape");
            matrix.t().mapv(|x| x * weight)
        };
        let weight = 1.05 * (-0.09f32).exp();
        let between = transposed(&model.between, 1.0);
        let factors = concatenate![Axis(0), between, transposed(&model.within, weight)];
        let irregular = Irregular::default();
        Self { factors, mean: Array1::from(model.mean.clone()), spread: 0.30, noise: 0.002, irregular }
    }

    /// The same with kin, twins, duplicates and hard captures among them.
    #[must_use]
    pub fn with(self, irregular: Irregular) -> Self {
        Self { irregular, ..self }
    }

    /// What a person and the next one (`2k` and `2k + 1`) are to each other.
    pub fn relation<R: Rng>(&self, person: u64, source: impl Fn(u64, u64) -> R) -> Relation {
        self.related(person & !1, &source).0
    }

    /// With the correlation of their draws, and the chance that holds what they share.
    fn related<R: Rng>(&self, first: u64, source: &impl Fn(u64, u64) -> R) -> (Relation, f32, R) {
        let Irregular { kin, twins, duplicates, .. } = self.irregular;
        let mut chance = source(first, RELATED);
        let (drawn, degree) = (share(&mut chance), share(&mut chance) as f32);
        let (relation, correlation) = match drawn {
            drawn if drawn < kin => (Relation::Kin, 0.5 + 0.2 * degree),
            drawn if drawn < kin + twins => (Relation::Twins, 0.9),
            drawn if drawn < kin + twins + duplicates => (Relation::Same, 1.0),
            _ => (Relation::Strangers, 0.0),
        };
        (relation, correlation, chance)
    }

    /// What makes a person.
    fn person<R: Rng>(&self, person: u64, source: &impl Fn(u64, u64) -> R, mut draw: ArrayViewMut1<'_, f32>) {
        let normal = |chance: &mut R| -> f32 { StandardNormal.sample(chance) };
        let mut own = source(person, 0);
        draw.map_inplace(|z| *z = normal(&mut own));
        if self.irregular.kin + self.irregular.twins + self.irregular.duplicates > 0.0 {
            let (_, correlation, mut shared) = self.related(person & !1, source);
            if correlation > 0.0 {
                let (shares, rest) = (correlation.sqrt(), (1.0 - correlation).sqrt());
                draw.map_inplace(|z| *z = rest * *z + shares * normal(&mut shared));
            }
        }
    }

    /// Number of features.
    pub fn dimension(&self) -> usize {
        self.factors.ncols()
    }

    /// The mean of the people's features, if it is not zero: a model's profile carries it.
    pub fn mean(&self) -> Option<&[f32]> {
        self.mean.as_slice().filter(|mean| mean.iter().any(|x| *x != 0.0))
    }

    /// Raw features of captures `(person, capture)`, one row each. Runs on the current rayon pool.
    pub fn captures<R: Rng>(&self, who: &[(u64, u64)], source: impl Fn(u64, u64) -> R + Sync) -> Array2<f32> {
        const TILE: usize = 256;
        let rank = self.factors.nrows() / 2;
        let mut features = Array2::zeros((who.len(), self.dimension()));
        let tiles: Vec<_> = features.axis_chunks_iter_mut(ndarray::Axis(0), TILE).collect();
        tiles.into_par_iter().zip(who.par_chunks(TILE)).for_each(|(mut tile, who)| {
            let mut draws = Array2::<f32>::zeros((who.len(), 2 * rank));
            let mut floor = Array2::from_elem(tile.dim(), 0.0) + &self.mean;
            let rows = draws.rows_mut().into_iter().zip(floor.rows_mut());
            for ((mut draw, mut floor), &(person, capture)) in rows.zip(who) {
                self.person(person, &source, draw.slice_mut(s![..rank]));
                let mut chance = source(person, 1 + capture);
                let g: f64 = StandardNormal.sample(&mut chance);
                let mut hardness = (self.spread * g).exp() as f32;
                if self.irregular.hard > 0.0 && share(&mut chance) < self.irregular.hard {
                    hardness *= 2.0;
                }
                draw.slice_mut(s![rank..]).map_inplace(|w| {
                    let normal: f32 = StandardNormal.sample(&mut chance);
                    *w = hardness * normal;
                });
                if self.noise > 0.0 {
                    floor.map_inplace(|x| {
                        let normal: f32 = StandardNormal.sample(&mut chance);
                        *x += self.noise * normal;
                    });
                }
            }
            tile.assign(&(draws.dot(&self.factors) + floor));
        });
        features
    }
}

/// From 0 to 1.
fn share(chance: &mut impl Rng) -> f64 {
    StandardUniform.sample(chance)
}

/// The widest spread of captures that is modelled: one in six is e times noisier than the median.
const SPREAD_LIMIT: f64 = 1.0;

/// Variances `exp(-i / τ)` with a participation ratio of `1 / sd²`.
fn spectrum(dimension: usize, sd: f64) -> Vec<f64> {
    let decaying = |tau: f64| (0..dimension).map(move |i| (-(i as f64) / tau).exp());
    let ratio = |tau: f64| {
        let (sum, squares) = decaying(tau).fold((0.0, 0.0), |(s, q), v| (s + v, q + v * v));
        sum * sum / squares
    };
    let tau = bisect(EXACT, 1e-3f64.ln(), 1e9f64.ln(), |ln| ratio(ln.exp()) < sd.powi(-2)).exp();
    decaying(tau).collect()
}

/// Mean and standard deviation of the cosine of two captures with noise `weight · exp(spread · g)`, the
/// directions of their noise taken as orthogonal: `E[f]²`, where `f = 1 / sqrt(1 + noise²)`.
fn mated_moments(weight: f64, spread: f64) -> (f64, f64) {
    let (mut total, mut mean, mut square) = (0.0, 0.0, 0.0);
    for step in -120..=120 {
        let g = f64::from(step) * 0.05;
        let density = (-0.5 * g * g).exp();
        let noise = weight * (spread * g).exp();
        let f = (1.0 + noise * noise).sqrt().recip();
        total += density;
        mean += density * f;
        square += density * f * f;
    }
    let (mean, square) = (mean / total, square / total);
    (mean * mean, (square * square - mean.powi(4)).max(0.0).sqrt())
}

/// The weight of the captures' noise at which mated cosines have this mean.
fn weight_for(mean: f64, spread: f64) -> f64 {
    bisect(EXACT, -20.0, 20.0, |ln: f64| mated_moments(ln.exp(), spread).0 > mean).exp()
}

/// Halvings to the last bits.
const EXACT: u32 = 60;

/// The point between `low` and `high` where `below` turns from true to false, in so many halvings.
fn bisect(rounds: u32, mut low: f64, mut high: f64, below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..rounds {
        let middle = f64::midpoint(low, high);
        if below(middle) { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// A random orthonormal basis, from Gaussian vectors.
fn rotation_matrix(dimension: usize, chance: &mut impl Rng) -> Array2<f64> {
    let mut axes: Array2<f64> =
        Array2::from_shape_simple_fn((dimension, dimension), || StandardNormal.sample(chance));
    orthonormalise(&mut axes);
    axes
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

    fn source(person: u64, draw: u64) -> ChaCha8Rng {
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&person.to_le_bytes());
        seed[8..16].copy_from_slice(&draw.to_le_bytes());
        ChaCha8Rng::from_seed(seed)
    }

    fn moments(values: &[f64]) -> (f64, f64) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        (mean, variance.sqrt())
    }

    #[test]
    fn a_population_has_the_statistics_it_imitates() {
        let wanted = Imitation { dimension: 256, nonmated_sd: 0.08, ..Imitation::default() };
        let population = Population::imitating(&wanted, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        let who: Vec<_> = (0..1500).flat_map(|person| [(person, 0), (person, 1)]).collect();
        let features = population.captures(&who, source);
        let cosine = |a: usize, b: usize| {
            let (a, b) = (features.row(a), features.row(b));
            f64::from(a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt())
        };
        let (mean, sd) = moments(&(0..1500).map(|i| cosine(2 * i, 2 * i + 1)).collect::<Vec<_>>());
        assert!((mean - 0.65).abs() < 0.02 && (sd - 0.12).abs() < 0.02, "mated {mean} ± {sd}");
        let (mean, sd) = moments(&(0..2998).map(|i| cosine(i, i + 2)).collect::<Vec<_>>());
        assert!(mean.abs() < 0.01 && (sd - 0.08).abs() < 0.005, "nonmated {mean} ± {sd}");
    }

    #[test]
    fn a_capture_is_the_same_whatever_is_drawn_beside_it() {
        let wanted = Imitation { dimension: 64, nonmated_sd: 0.2, mated_mean: 0.7, mated_sd: 0.2 };
        let population = Population::imitating(&wanted, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        let many = population.captures(&(0..700).map(|i| (i, i % 3)).collect::<Vec<_>>(), source);
        let one = population.captures(&[(500, 2)], source);
        let difference = (&many.row(500) - &one.row(0)).mapv(f32::abs).sum();
        assert!(difference < 1e-4, "{difference}");
    }

    #[test]
    fn kin_twins_and_duplicates_are_as_many_and_as_alike_as_was_asked() {
        let wanted = Imitation { dimension: 128, nonmated_sd: 0.1, mated_mean: 0.7, mated_sd: 0.1 };
        let some = Irregular { kin: 0.2, twins: 0.1, duplicates: 0.1, hard: 0.3 };
        let plain = Population::imitating(&wanted, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        let population = plain.clone().with(some);
        let who: Vec<_> = (0..4000).map(|person| (person, 0)).collect();
        let features = population.captures(&who, source);
        let mut scores = std::collections::HashMap::<String, Vec<f64>>::new();
        for first in (0..4000).step_by(2) {
            let (a, b) = (features.row(first), features.row(first + 1));
            let cosine = f64::from(a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt());
            let relation = population.relation(first as u64, source);
            assert_eq!(relation, population.relation(first as u64 + 1, source));
            scores.entry(format!("{relation:?}")).or_default().push(cosine);
        }
        for (name, share, least, most) in [
            ("Strangers", 0.6, -0.02, 0.02),
            ("Kin", 0.2, 0.3, 0.5),
            ("Twins", 0.1, 0.5, 0.68),
            ("Same", 0.1, 0.58, 0.72),
        ] {
            let (mean, _) = moments(&scores[name]);
            let found = scores[name].len() as f64 / 2000.0;
            assert!((found - share).abs() < 0.03 && (least..most).contains(&mean), "{name}: {found} {mean}");
        }
        // A third of the captures is harder.
        let twice: Vec<_> = (0..4000).map(|person| (person, 1)).collect();
        let mated = |population: &Population| {
            let (one, other) = (population.captures(&who, source), population.captures(&twice, source));
            let all = one.rows().into_iter().zip(other.rows());
            moments(
                &all.map(|(a, b)| f64::from(a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt())).collect::<Vec<_>>(),
            )
            .0
        };
        assert!(mated(&population) < mated(&plain) - 0.05);
    }

    #[test]
    fn impossible_statistics_are_refused() {
        let refused = |wanted| Population::imitating(&wanted, &mut ChaCha8Rng::seed_from_u64(1)).unwrap_err();
        let usual = Imitation { dimension: 64, nonmated_sd: 0.2, ..Imitation::default() };
        assert!(matches!(
            refused(Imitation { nonmated_sd: 0.1, ..usual }),
            ImitationError::NonmatedSd { .. }
        ));
        assert!(matches!(refused(Imitation { mated_mean: f64::NAN, ..usual }), ImitationError::MatedMean));
        assert!(matches!(refused(Imitation { mated_sd: 0.9, ..usual }), ImitationError::MatedSd { .. }));
    }
}
