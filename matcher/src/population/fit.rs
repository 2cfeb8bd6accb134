//! A population like a real set of templates: its factors are estimated from them, and how well it imitates them is told.

use super::{Irregular, Population, bisect};
use ndarray::{Array2, ArrayView2, Axis, concatenate};
use rand::Rng;
use std::collections::BTreeMap;

/// Subjects with two or more captures that are needed.
pub const LEAST_MATED: usize = 50;
/// Captures harder than others by more are not modelled.
const SPREAD_LIMIT: f64 = 0.6;
/// People who are drawn twice in a trial.
const TRIED: u64 = 400;
/// Pairs of different people that are looked at, about.
const PAIRS: usize = 2_000_000;

/// Why a set cannot be imitated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// Too few.
    #[error("{0} subjects have two or more templates: at least {LEAST_MATED} are needed")]
    TooFew(usize),
}

/// What scores of a set are like, after its mean was subtracted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistics {
    /// The 5, 25, 50, 75 and 95 % quantiles of the scores of two captures of one person.
    pub mated: [f64; 5],
    /// Mean score of different people.
    pub nonmated_mean: f64,
    /// Its standard deviation.
    pub nonmated_sd: f64,
    /// One in a thousand of these scores is higher.
    pub nonmated_999: f64,
}

impl Population {
    /// Fits features of so many dimensions, one capture after another, and whose they are: mean of their unit vectors, the covariance of people, the covariance of a person's captures, and how much some captures are
    /// harder than others.
    ///
    /// How far captures are from their person, and how much harder some are, is then set so that mated scores have the mean and the standard deviation of
    /// the real ones, in a trial that `source` draws.
    ///
    /// # Errors
    /// When too few subjects have two templates.
    ///
    /// # Panics
    /// When there is not one owner a row.
    pub fn fit<R: Rng>(
        features: &[f32],
        dimension: usize,
        whose: &[u32],
        source: impl Fn(u64, u64) -> R + Sync,
    ) -> Result<Self, FitError> {
        let units = units(features, dimension, whose);
        let people = by_person(whose);
        let several: Vec<&Vec<usize>> = people.values().filter(|rows| rows.len() > 1).collect();
        if several.len() < LEAST_MATED {
            return Err(FitError::TooFew(several.len()));
        }
        let mean = units.mean_axis(Axis(0)).expect("there are rows");
        let centred = (&units - &mean).mapv(f64::from);
        let total = centred.t().dot(&centred) / centred.nrows() as f64;
        let mut deviations = Vec::new();
        for rows in &several {
            let own = centred.select(Axis(0), rows);
            let middle = own.mean_axis(Axis(0)).expect("there are rows");
            // So that each has the covariance of one capture.
            let scale = (rows.len() as f64 / (rows.len() - 1) as f64).sqrt();
            deviations.push((own - middle) * scale);
        }
        let deviations = concatenate(Axis(0), &deviations.iter().map(|own| own.view()).collect::<Vec<_>>());
        let deviations: Array2<f64> = deviations.expect("rows of one length");
        let within = deviations.t().dot(&deviations) / deviations.nrows() as f64;
        let (between, within) = (factors(&(total - &within)), factors(&within));
        let wanted = moments(&mated(&normalised(&units - &mean), &people));
        let with = |weight: f64, spread: f64| {
            let factors = concatenate![Axis(0), between, &within * weight].mapv(|x| x as f32);
            Self { factors, mean: mean.clone(), spread, noise: 0.0, irregular: Irregular::default() }
        };
        let trial = |weight: f64, spread: f64| {
            let who: Vec<(u64, u64)> = (0..TRIED).flat_map(|person| [(person, 0), (person, 1)]).collect();
            let units = normalised(with(weight, spread).captures(&who, &source));
            let whose: Vec<u32> = who.iter().map(|(person, _)| *person as u32).collect();
            moments(&mated(&normalised(&units - &mean), &by_person(&whose)))
        };
        let weight = |spread: f64| bisect(10, 0.2, 3.0, |weight| trial(weight, spread).0 > wanted.0);
        let spread = bisect(10, 0.0, SPREAD_LIMIT, |spread| trial(weight(spread), spread).1 < wanted.1);
        Ok(with(weight(spread), spread))
    }

    /// Effective number of dimensions in which people differ (participation ratio).
    pub fn participation(&self) -> f64 {
        let rank = self.factors.nrows() / 2;
        let variances = self.factors.rows().into_iter().take(rank).map(|axis| f64::from(axis.dot(&axis)));
        let (sum, squares) = variances.fold((0.0, 0.0), |(sum, squares), v| (sum + v, squares + v * v));
        sum * sum / squares
    }
}

impl Statistics {
    /// Of features of so many dimensions, one capture after another, and whose they are; `None` where nobody has two captures.
    ///
    /// # Panics
    /// When there is not one owner a capture.
    pub fn of(features: &[f32], dimension: usize, whose: &[u32]) -> Option<Self> {
        let units = units(features, dimension, whose);
        let units = normalised(&units - &units.mean_axis(Axis(0))?);
        let people = by_person(whose);
        let score = |a: usize, b: usize| f64::from(units.row(a).dot(&units.row(b)));
        let mut mated = mated(&units, &people);
        if mated.is_empty() {
            return None;
        }
        let first: Vec<usize> = people.values().map(|rows| rows[0]).collect();
        let n = first.len();
        // All pairs, or as many steps around the circle as give enough.
        let steps = (PAIRS / n).clamp(1, (n - 1).max(2) / 2);
        let around = (1..=steps).flat_map(|step| (0..n).map(move |i| (i, (i + step) % n)));
        let mut nonmated: Vec<f64> = around.map(|(i, j)| score(first[i], first[j])).collect();
        let (nonmated_mean, nonmated_sd) = moments(&nonmated);
        Some(Self {
            mated: [0.05, 0.25, 0.5, 0.75, 0.95].map(|share| quantile(&mut mated, share)),
            nonmated_mean,
            nonmated_sd,
            nonmated_999: quantile(&mut nonmated, 0.999),
        })
    }
}

fn units(features: &[f32], dimension: usize, whose: &[u32]) -> Array2<f32> {
    let features =
        ArrayView2::from_shape((whose.len(), dimension), features).expect("a capture has an owner");
    normalised(features.to_owned())
}

fn normalised(mut features: Array2<f32>) -> Array2<f32> {
    for mut row in features.rows_mut() {
        row /= row.dot(&row).sqrt().max(f32::MIN_POSITIVE);
    }
    features
}

fn quantile(values: &mut [f64], share: f64) -> f64 {
    #[expect(clippy::cast_sign_loss, reason = "a share of a count")]
    let at = ((share * values.len() as f64) as usize).min(values.len() - 1);
    *values.select_nth_unstable_by(at, f64::total_cmp).1
}

fn by_person(whose: &[u32]) -> BTreeMap<u32, Vec<usize>> {
    let mut people = BTreeMap::<u32, Vec<usize>>::new();
    whose.iter().enumerate().for_each(|(row, person)| people.entry(*person).or_default().push(row));
    people
}

/// Scores of all pairs of captures of one person.
fn mated(units: &Array2<f32>, people: &BTreeMap<u32, Vec<usize>>) -> Vec<f64> {
    let pairs = people.values().flat_map(|rows| {
        rows.iter().enumerate().flat_map(move |(i, a)| rows[i + 1..].iter().map(move |b| (*a, *b)))
    });
    pairs.map(|(a, b)| f64::from(units.row(a).dot(&units.row(b)))).collect()
}

/// Mean and standard deviation.
fn moments(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
    (mean, variance.sqrt())
}

/// Axes, a row each, whose outer products sum to the matrix; what a covariance cannot have (negative variance) is left out.
fn factors(covariance: &Array2<f64>) -> Array2<f64> {
    let (values, vectors) = eigen(covariance);
    let mut axes = vectors.reversed_axes();
    for (mut axis, value) in axes.rows_mut().into_iter().zip(values) {
        axis *= value.max(0.0).sqrt();
    }
    axes.as_standard_layout().into_owned()
}

/// Eigenvalues, and eigenvectors as columns, of a symmetric matrix: Jacobi's rotations, sweep by sweep (Golub, Van Loan, 8.5).
fn eigen(matrix: &Array2<f64>) -> (Vec<f64>, Array2<f64>) {
    const SWEEPS: usize = 30;
    let n = matrix.nrows();
    let (mut a, mut vectors) = (matrix.clone(), Array2::eye(n));
    let scale: f64 = a.iter().map(|x| x * x).sum();
    for _ in 0..SWEEPS {
        let off: f64 = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|at| a[at] * a[at]).sum();
        if off <= 1e-20 * scale {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut vectors, p, q);
            }
        }
    }
    (a.diag().to_vec(), vectors)
}

/// Brings one pair of entries to zero.
fn rotate(matrix: &mut Array2<f64>, vectors: &mut Array2<f64>, p: usize, q: usize) {
    let apart = matrix[[p, q]];
    if apart == 0.0 {
        return;
    }
    let theta = (matrix[[q, q]] - matrix[[p, p]]) / (2.0 * apart);
    let tangent = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let cosine = tangent.hypot(1.0).recip();
    let sine = tangent * cosine;
    let turned = |x: f64, y: f64| (cosine * x - sine * y, sine * x + cosine * y);
    for k in 0..matrix.nrows() {
        (matrix[[p, k]], matrix[[q, k]]) = turned(matrix[[p, k]], matrix[[q, k]]);
    }
    for k in 0..matrix.nrows() {
        (matrix[[k, p]], matrix[[k, q]]) = turned(matrix[[k, p]], matrix[[k, q]]);
        (vectors[[k, p]], vectors[[k, q]]) = turned(vectors[[k, p]], vectors[[k, q]]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::population::Imitation;
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

    fn source(person: u64, draw: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64((person << 8) ^ (draw << 40))
    }

    fn draw(population: &Population, seed: u64) -> (Vec<f32>, Vec<u32>) {
        let who: Vec<(u64, u64)> = (0..1500).flat_map(|person| [(person, 0), (person, 1)]).collect();
        let features = population
            .captures(&who, |person, draw| ChaCha8Rng::seed_from_u64(seed ^ (person << 8) ^ (draw << 40)));
        (features.into_iter().collect(), who.iter().map(|(person, _)| *person as u32).collect())
    }

    #[test]
    fn what_is_fitted_to_a_set_imitates_it() {
        let wanted = Imitation { dimension: 64, nonmated_sd: 0.15, mated_mean: 0.65, mated_sd: 0.14 };
        let real = Population::imitating(&wanted, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        let (features, whose) = draw(&real, 5);
        let fitted = Population::fit(&features, 64, &whose, source).unwrap();
        let real = Statistics::of(&features, 64, &whose).unwrap();
        let (features, whose) = draw(&fitted, 6);
        let imitated = Statistics::of(&features, 64, &whose).unwrap();
        for (a, b) in real.mated.iter().zip(imitated.mated) {
            assert!((a - b).abs() < 0.04, "{real:?} {imitated:?}");
        }
        assert!((real.nonmated_sd - imitated.nonmated_sd).abs() < 0.01, "{real:?} {imitated:?}");
        assert!((real.nonmated_999 - imitated.nonmated_999).abs() < 0.03, "{real:?} {imitated:?}");
        assert!((fitted.participation() * 0.15 * 0.15 - 1.0).abs() < 0.2, "{}", fitted.participation());
    }

    #[test]
    fn eigenvectors_are_those_of_the_matrix() {
        let matrix = Array2::from_shape_fn((7, 7), |(i, j)| 1.0 / (1.0 + i as f64 + j as f64));
        let (values, vectors) = eigen(&matrix);
        let back = vectors.dot(&Array2::from_diag(&ndarray::Array1::from(values))).dot(&vectors.t());
        assert!((back - matrix).iter().all(|x| x.abs() < 1e-12));
    }

    #[test]
    fn a_set_in_which_nobody_is_seen_twice_is_refused() {
        let features = [0.5; 240];
        assert_eq!(
            Population::fit(&features, 4, &(0..60).collect::<Vec<_>>(), source).unwrap_err(),
            FitError::TooFew(0)
        );
    }
}
