//! Numbers in 8 bits, and norms that are rounded up so that they stay upper bounds.

/// The least value of `f32` that is not below this one.
pub fn up(value: f64) -> f32 {
    let near = value as f32;
    if f64::from(near) >= value { near } else { near.next_up() }
}

/// The greatest value of `f32` that is not above this one.
pub fn down(value: f64) -> f32 {
    -up(-value)
}

/// A number of at least 0 in 16 bits, rounded up: the upper half of an `f32` (bfloat16).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Up16(u16);

impl Up16 {
    /// The least such number that is not below `value`, which is from 0 to 2.
    ///
    /// # Panics
    /// When it is not.
    pub fn of(value: f64) -> Self {
        assert!((0.0..=2.0).contains(&value), "a norm is from 0 to 2");
        let bits = up(value).to_bits();
        Self((bits >> 16) as u16 + u16::from(bits & 0xffff != 0))
    }

    /// To be kept.
    pub fn to_le_bytes(self) -> [u8; 2] {
        self.0.to_le_bytes()
    }

    /// From where it was kept.
    pub fn from_le_bytes(bytes: [u8; 2]) -> Self {
        Self(u16::from_le_bytes(bytes))
    }

    /// The number.
    pub fn value(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
}

/// The greatest code. The least is its negative: products of two codes are then alike in size.
pub const CODE_LIMIT: i8 = 127;

/// The step at which the greatest of these values becomes the greatest code, not below `least`; an `f32`, so
/// that step times code is exact in `f64`.
pub fn step_for(values: &[f64], least: f32) -> f32 {
    let greatest = values.iter().fold(0.0, |greatest: f64, value| greatest.max(value.abs()));
    up(greatest / f64::from(CODE_LIMIT)).max(least)
}

/// Codes of values at a step, and an upper bound of the norm of `values - step · codes`. A value beyond the
/// greatest code gets that code; no code stands farther from its value than zero does.
pub fn quantize(values: &[f64], step: f32) -> (Vec<i8>, f64) {
    let step = f64::from(step);
    let steps = step.recip();
    let limit = f64::from(CODE_LIMIT);
    let mut codes = vec![0; values.len()];
    let mut squares = [0.0; 4]; // in four sums, for the processor to go on with
    for (values, codes) in values.chunks(4).zip(codes.chunks_mut(4)) {
        for ((value, place), square) in values.iter().zip(codes).zip(&mut squares) {
            // Any code will do, as long as the error is that of the code that was taken.
            let code = nearest((value * steps).clamp(-limit, limit));
            // Step times code is exact: 24 bits times 7.
            let rest = value - step * code;
            *square += rest * rest;
            *place = code as i8;
        }
    }
    let squares: f64 = squares.iter().sum();
    let error = squares.sqrt() * rounding_margin(codes.len());
    (codes, error)
}

/// The nearest integer of a small number; without the call that `round_ties_even` is on older processors.
fn nearest(value: f64) -> f64 {
    const SHIFT: f64 = 1.5 * (1u64 << 52) as f64;
    (value + SHIFT) - SHIFT
}

/// A factor that makes the root of a sum of `terms` squares, computed in `f64`, an upper bound: each of a
/// difference, a square, `terms` additions and a root errs by at most 2^-53 of its result.
pub fn rounding_margin(terms: usize) -> f64 {
    1.0 + (terms as f64 + 8.0) * f64::EPSILON
}

/// `γ_n = n·u / (1 − n·u)` with `u = 2^-24`: the relative error of a sum of products after `n` roundings in
/// `f32` (Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, Lemma 3.1).
pub fn gamma(roundings: usize) -> f64 {
    let product = roundings as f64 * f64::from(f32::EPSILON) / 2.0;
    product / (1.0 - product)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rounding_up_is_never_below_and_close(value in prop_oneof![0.0f64..2.0, 0.0f64..1e-6, Just(0.0), Just(1.0), Just(2.0)]) {
            prop_assert!(f64::from(up(value)) >= value && f64::from(down(value)) <= value);
            let rounded = f64::from(Up16::of(value).value());
            prop_assert!(rounded >= value && rounded <= value * (1.0 + 1.0 / 64.0) + 1e-38, "{value} {rounded}");
        }

        #[test]
        fn codes_leave_out_no_more_than_is_said(
            values in prop::collection::vec(prop_oneof![-1.0f64..1.0, -1e-9f64..1e-9, Just(0.0)], 1..200),
            clip in 0.1f32..2.0,
        ) {
            let step = step_for(&values, f32::MIN_POSITIVE) * clip;
            let (codes, error) = quantize(&values, step);
            let mut squares = 0.0;
            for (value, &code) in values.iter().zip(&codes) {
                prop_assert!((-127..=127).contains(&code));
                let stands_for = f64::from(step) * f64::from(code);
                prop_assert!((value - stands_for).abs() <= value.abs() * (1.0 + 1e-12), "farther than zero is");
                squares += (value - stands_for).powi(2);
            }
            prop_assert!(error >= squares.sqrt() && error <= squares.sqrt() * 1.000_001);
        }
    }
}
