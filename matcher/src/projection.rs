//! Leading directions: few axes that hold most of what the templates of a gallery have.

use crate::{
    bytes::{Reader, Writer},
    kernel::{Block, Kernel, LANES},
    quantize::gamma,
    rows::Rows,
};
use ndarray::{Array1, Array2, ArrayView1, Axis};
use rayon::prelude::*;
use std::fmt;

/// Axes in template space, nearly orthonormal, most telling first.
#[derive(Clone)]
pub struct Projection {
    dimension: usize,
    /// A row of padded blocks for each axis.
    axes: Vec<Block>,
    deviation: f64,
    norm: f64,
}

impl Projection {
    /// The first `count` principal axes of the rows' second moments, by orthogonal iteration: as its only use
    /// is to gather energy, axes that are not quite principal cost speed, never an answer. Runs on the
    /// current rayon pool.
    ///
    /// # Panics
    /// When there are no rows, or `count` is not from 1 to their dimension.
    pub fn fit(sample: &Rows, count: usize) -> Self {
        let dimension = sample.dimension();
        assert!((1..=dimension).contains(&count) && !sample.is_empty(), "axes of nothing");
        let moments = moments(sample);
        let spread = |i: usize| i * sample.len() / count % sample.len();
        let mut axes = Array2::zeros((count, dimension));
        for (i, mut axis) in axes.rows_mut().into_iter().enumerate() {
            axis.iter_mut().zip(sample.features(spread(i))).for_each(|(a, x)| *a = f64::from(x));
        }
        orthonormalise(&mut axes);
        const ROUNDS: usize = 16;
        for round in 1..=ROUNDS {
            axes = product(&axes, &moments);
            // Two steps apart the axes are still told apart in f64.
            if round % 2 == 0 {
                orthonormalise(&mut axes);
            }
        }
        Self::of(&axes)
    }

    /// The axes given, one a row, rounded to `f32`.
    pub fn of(axes: &Array2<f64>) -> Self {
        let rounded = axes.mapv(|x| x as f32);
        let exact = rounded.mapv(f64::from);
        let mut gram = exact.dot(&exact.t());
        gram.diag_mut().mapv_inplace(|x| x - 1.0);
        let (count, dimension) = exact.dim();
        // The Frobenius norm of A·Aᵀ − I is not below its spectral norm. Each entry was summed in f64, from
        // `dimension` products of axes shorter than 2.
        let summed = 8.0 * dimension as f64 * f64::EPSILON * count as f64;
        let deviation = gram.iter().map(|x| x * x).sum::<f64>().sqrt() + summed;
        let norm = exact.iter().map(|x| x * x).sum::<f64>().sqrt() * (1.0 + summed);
        let padded = |row: ArrayView1<'_, f32>| Block::pad(&row.to_vec()).collect::<Vec<_>>();
        let axes = rounded.rows().into_iter().flat_map(padded).collect();
        Self { dimension, axes, deviation, norm }
    }

    /// As bytes.
    pub(crate) fn write(&self, to: &mut Writer) {
        to.items(&[self.deviation, self.norm], f64::to_le_bytes);
        let features: Vec<f32> = self.axes.iter().flat_map(|block| block.0).collect();
        to.items(&features, f32::to_le_bytes);
    }

    /// What was written, so many axes of so many features; `None` if it was not.
    pub(crate) fn read(dimension: usize, count: usize, from: &mut Reader<'_>) -> Option<Self> {
        let beside = from.items(2, f64::from_le_bytes)?;
        let features = from.items(count * dimension.div_ceil(LANES) * LANES, f32::from_le_bytes)?;
        let axes = features.as_chunks().0.iter().map(|features| Block(*features)).collect();
        let finite = features.iter().all(|x| x.is_finite()) && beside.iter().all(|x| x.is_finite());
        finite.then_some(Self { dimension, axes, deviation: beside[0], norm: beside[1] })
    }

    /// Features of a template.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Number of axes.
    pub fn len(&self) -> usize {
        self.axes.len() / self.dimension.div_ceil(LANES)
    }

    /// No axes?
    pub fn is_empty(&self) -> bool {
        self.axes.is_empty()
    }

    /// The first `count` axes. The deviation of all is not below theirs.
    #[must_use]
    pub fn leading(&self, count: usize) -> Self {
        let axes = self.axes[..count * self.dimension.div_ceil(LANES)].to_vec();
        Self { axes, ..*self }
    }

    /// `A·x` for the axes `A`, by the score's own definition: the same bits on every processor.
    pub fn project(&self, kernel: Kernel, template: &[Block]) -> Vec<f32> {
        let mut coordinates = vec![0.0; self.len()];
        kernel.scores(template, &self.axes, &mut coordinates);
        coordinates
    }

    /// An upper bound of the spectral norm of `A·Aᵀ − I`: how far the axes are from orthonormal.
    pub fn deviation(&self) -> f64 {
        self.deviation
    }

    /// An upper bound of the norm of what rounding adds to `A·x`, for `x` of norm 1: each coordinate errs by
    /// at most `γ_k` times its axis' norm, k the roundings of a score.
    pub fn rounding(&self) -> f64 {
        gamma(score_roundings(self.dimension)) * self.norm + UNDERFLOW
    }
}

/// Roundings through which a product passes in the score of two templates: one in its lane for each block and
/// one for each halving; and one to spare.
pub fn score_roundings(dimension: usize) -> usize {
    dimension.div_ceil(LANES) + LANES.ilog2() as usize + 1
}

/// What subnormal results may add to a sum of any number of products that occurs here: less than 2^13 of them,
/// each rounded by at most 2^-150; and to the norm of as many such sums.
pub const UNDERFLOW: f64 = 1e-38;

impl fmt::Debug for Projection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Projection({} axes of {}, {:.1e} from orthonormal)",
            self.len(),
            self.dimension,
            self.deviation
        )
    }
}

/// `Xᵀ·X` of the rows.
fn moments(sample: &Rows) -> Array2<f64> {
    const TILE: usize = 512;
    let dimension = sample.dimension();
    let starts: Vec<usize> = (0..sample.len()).step_by(TILE).collect();
    let tile = |&start: &usize| {
        let count = TILE.min(sample.len() - start);
        let mut tile = Array2::<f64>::zeros((count, dimension));
        for (i, mut row) in tile.rows_mut().into_iter().enumerate() {
            row.iter_mut().zip(sample.features(start + i)).for_each(|(a, x)| *a = f64::from(x));
        }
        tile.t().dot(&tile)
    };
    starts.par_iter().map(tile).reduce(|| Array2::zeros((dimension, dimension)), |a, b| a + b)
}

/// `a·b`, on the current pool.
fn product(a: &Array2<f64>, b: &Array2<f64>) -> Array2<f64> {
    const TILE: usize = 64;
    let mut result = Array2::zeros((a.nrows(), b.ncols()));
    let tiles: Vec<_> =
        result.axis_chunks_iter_mut(Axis(0), TILE).zip(a.axis_chunks_iter(Axis(0), TILE)).collect();
    tiles.into_par_iter().for_each(|(mut tile, a)| tile.assign(&a.dot(b)));
    result
}

/// Makes each row of unit length and orthogonal to those before it (twice, so that rounding does not matter).
/// A row that lies in the span of those before it is replaced.
pub(crate) fn orthonormalise(axes: &mut Array2<f64>) {
    let mut spare = 0; // features tried as replacements: those that failed lie in the span for good
    for i in 0..axes.nrows() {
        let (done, mut rest) = axes.view_mut().split_at(Axis(0), i);
        let mut axis = rest.row_mut(0);
        loop {
            let before = axis.dot(&axis).sqrt();
            for _ in 0..2 {
                let shares: Array1<f64> = done.dot(&axis);
                axis -= &shares.dot(&done);
            }
            let length = axis.dot(&axis).sqrt();
            if length > before * 1e-9 {
                axis /= length;
                break;
            }
            axis.fill(0.0);
            axis[spare] = 1.0;
            spare += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{ModelId, ModelProfile};

    #[test]
    fn axes_are_orthonormal_and_the_first_hold_the_most() {
        let id = ModelId::new("m").unwrap();
        let profile = ModelProfile::new(id.clone(), 48, None).unwrap();
        let mut rows = Rows::new(id, 48);
        // All rows lie in 6 dimensions, the first of them strongest; and many rows are alike.
        for i in 0..300u32 {
            let features: Vec<f32> = (0..48u32)
                .map(|j| {
                    (0..6u32)
                        .map(|k| {
                            ((i % 150 * 7 + k * 13) as f32).sin() * ((j * 5 + k * 3) as f32).cos()
                                / (k + 1) as f32
                        })
                        .sum()
                })
                .collect();
            rows.push(&profile.template(&features).unwrap());
        }
        let projection = Projection::fit(&rows, 10);
        assert!(projection.deviation() < 1e-5, "{projection:?}");
        let energy = |count: usize| -> f64 {
            let leading = projection.leading(count);
            let of = |row: usize| leading.project(Kernel::detect(), rows.blocks(row, 1));
            (0..300).flat_map(of).map(|y| f64::from(y).powi(2)).sum::<f64>() / 300.0
        };
        assert!(energy(6) > 0.9999 && energy(10) < 1.0001, "{} {}", energy(6), energy(10));
        assert!((1..6).all(|count| energy(count + 1) - energy(count) < energy(count) / count as f64 + 1e-6));
    }
}
