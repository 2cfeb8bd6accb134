//! The one arithmetic operation that every score is made of, for each kind of processor.
//!
//! [`scalar`] is its definition; every other kernel gives the same bits, and is tested to. The score of
//! two vectors is defined so that this is possible on any processor: 32 lanes, lane `j` sums the products
//! of the features with index `j mod 32` in ascending order by fused multiply-add, starting from +0, the
//! vectors zero-padded to whole blocks of 32; then the lanes are halved 32 → 16 → 8 → 4 → 2 → 1 by adding
//! lane `j + half` to lane `j`; a result of -0 becomes +0.

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "SIMD loads and the calls into target-feature functions")]
mod avx2;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "SIMD loads and the calls into target-feature functions")]
mod avx512;
mod scalar;

/// Features in one block: the number of lanes of the score's definition.
pub const LANES: usize = 32;

/// A block of 32 features, aligned to a cache line.
#[derive(Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub struct Block(pub [f32; LANES]);

impl Block {
    /// The features as zero-padded blocks: `ceil(features / 32)` of them.
    pub fn pad(features: &[f32]) -> impl Iterator<Item = Block> + '_ {
        features.chunks(LANES).map(|chunk| {
            let mut block = Block([0.0; LANES]);
            block.0[..chunk.len()].copy_from_slice(chunk);
            block
        })
    }
}

/// A way to compute scores that this processor has. A value of this type is the proof that it has it: the
/// SIMD variants hold tokens that only a processor check can make.
#[derive(Clone, Copy, Debug)]
pub enum Kernel {
    /// The definition, in plain Rust.
    Scalar,
    /// AVX2 and FMA, 8 lanes a register.
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Token),
    /// AVX-512 F and DQ, 16 lanes a register.
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Token),
}

impl Kernel {
    /// The fastest kernel of this processor.
    pub fn detect() -> Self {
        *Self::available().last().expect("the scalar kernel is always there")
    }

    /// Every kernel that this processor can run, slowest first.
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut, reason = "other processors have only the scalar kernel so far")]
        let mut kernels = vec![Self::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            kernels.extend(avx2::Token::detect().map(Self::Avx2));
            kernels.extend(avx512::Token::detect().map(Self::Avx512));
        }
        kernels
    }

    /// A short name for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
        }
    }

    /// The score of `probe` with each row: `rows` holds `scores.len()` rows of `probe.len()` blocks each.
    ///
    /// # Panics
    /// When the lengths disagree.
    pub fn scores(self, probe: &[Block], rows: &[Block], scores: &mut [f32]) {
        assert_eq!(rows.len(), probe.len() * scores.len(), "rows and scores disagree in length");
        if probe.is_empty() {
            return scores.fill(0.0);
        }
        match self {
            Self::Scalar => scalar::scores(probe, rows, scores),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(token) => avx2::scores(token, probe, rows, scores),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(token) => avx512::scores(token, probe, rows, scores),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blocks(features: &[f32]) -> Vec<Block> {
        Block::pad(features).collect()
    }

    /// Any finite value: ordinary, huge, subnormal, both zeros. Sums may overflow; the bits must still agree.
    fn feature() -> impl Strategy<Value = f32> {
        prop_oneof![
            8 => -1.0f32..1.0,
            1 => any::<f32>().prop_filter("finite", |x| x.is_finite()),
            1 => prop_oneof![Just(0.0), Just(-0.0), Just(1e-45), Just(-1e-45), Just(f32::MAX), Just(-f32::MAX), Just(f32::MIN_POSITIVE)],
        ]
    }

    fn same(a: f32, b: f32) -> bool {
        a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn every_kernel_equals_the_scalar_definition_bit_for_bit(
            (probe, rows) in (0usize..=600, 0usize..10).prop_flat_map(|(dimension, rows)| (
                prop::collection::vec(feature(), dimension),
                prop::collection::vec(prop::collection::vec(feature(), dimension), rows),
            ))
        ) {
            let probe = blocks(&probe);
            let flat: Vec<Block> = rows.iter().flat_map(|row| blocks(row)).collect();
            let mut expected = vec![f32::NAN; rows.len()];
            Kernel::Scalar.scores(&probe, &flat, &mut expected);
            for kernel in Kernel::available() {
                let mut scores = vec![f32::NAN; rows.len()];
                kernel.scores(&probe, &flat, &mut scores);
                for (row, (score, expected)) in scores.iter().zip(&expected).enumerate() {
                    prop_assert!(same(*score, *expected), "{}: row {row}: {score:e} != {expected:e}", kernel.name());
                }
            }
        }
    }

    #[test]
    fn the_definition_is_the_stated_order_of_sums() {
        // Written out independently: strided lanes, ascending, fused, then a tree.
        let a: Vec<f32> = (0..77_u8).map(|i| (f32::from(i) * 0.37).sin()).collect();
        let b: Vec<f32> = (0..77_u8).map(|i| (f32::from(i) * 0.71).cos()).collect();
        let lane = |j: usize| {
            (j..96).step_by(32).fold(0.0f32, |sum, i| {
                let (x, y) = (a.get(i).copied().unwrap_or(0.0), b.get(i).copied().unwrap_or(0.0));
                x.mul_add(y, sum)
            })
        };
        fn tree(lane: &dyn Fn(usize) -> f32, j: usize, width: usize) -> f32 {
            if width == 32 { lane(j) } else { tree(lane, j, width * 2) + tree(lane, j + width, width * 2) }
        }
        let mut score = [0.0];
        Kernel::Scalar.scores(&blocks(&a), &blocks(&b), &mut score);
        assert_eq!(score[0].to_bits(), tree(&lane, 0, 1).to_bits());
    }

    #[test]
    fn a_score_is_never_negative_zero() {
        for kernel in Kernel::available() {
            let mut score = [f32::NAN; 5];
            let rows: Vec<Block> = (0..5).flat_map(|_| blocks(&[-1e-30; 40])).collect();
            kernel.scores(&blocks(&[1e-30; 40]), &rows, &mut score);
            assert!(score.iter().all(|s| s.to_bits() == 0), "{}: {score:?}", kernel.name());
        }
    }
}
