//! The arithmetic that every search is made of, for each kind of processor: the score itself, and two dot
//! products of 8-bit codes, which are exact integers.
//!
//! [`scalar`] is their definition; every other kernel gives the same bits, and is tested to. The score of
//! two vectors is defined so that this is possible on any processor: 32 lanes, lane `j` sums the products
//! of the features with index `j mod 32` in ascending order by fused multiply-add, starting from +0, the
//! vectors zero-padded to whole blocks of 32; then the lanes are halved 32 → 16 → 8 → 4 → 2 → 1 by adding
//! lane `j + half` to lane `j`; a result of -0 becomes +0.

mod aims;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "SIMD loads and the calls into target-feature functions")]
mod avx2;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "SIMD loads and the calls into target-feature functions")]
mod avx512;
mod scalar;

pub use aims::{Aims, BLOCK_ROWS, Line, Peak, QUADS_A_ROUND, Slopes, Swept};

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
    /// AVX-512 F, DQ, BW and VNNI, 16 lanes a register.
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

    /// The dot product of two runs of codes of the same length: the row's unsigned, the probe's signed.
    /// At most 8192 codes, so that no sum overflows.
    ///
    /// # Panics
    /// When the lengths disagree.
    pub fn dot(self, row: &[Line], probe: &[Line]) -> i32 {
        assert_eq!(row.len(), probe.len(), "codes disagree in length");
        match self {
            Self::Scalar => scalar::dot(row, probe),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(token) => avx2::dot(token, row, probe),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(token) => avx512::dot(token, row, probe),
        }
    }

    /// Number of set bits.
    pub fn count_ones(self, words: &[u64]) -> u64 {
        match self {
            Self::Scalar => scalar::count_ones(words),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(token) => avx2::count_ones(token, words),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(token) => avx512::count_ones(token, words),
        }
    }

    /// Has these values brought into cache, if the processor can, and does not wait for them.
    pub fn fetch<T>(self, values: &[T]) {
        #[cfg(target_arch = "x86_64")]
        if let Self::Avx512(token) = self {
            for line in values.chunks((size_of::<Line>() / size_of::<T>().max(1)).max(1)) {
                avx512::fetch(token, line.as_ptr().cast());
            }
        }
    }

    /// Multiplies and adds codes in registers alone: the rate that no sweep can exceed. Returns how many
    /// products `rounds` rounds make, and a value that depends on all of them; `None` for a kernel without
    /// an instruction for it.
    pub fn saturate(self, rounds: u64) -> Option<(u64, i32)> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(token) => Some(avx512::saturate(token, rounds)),
            _ => None,
        }
    }

    /// Sweeps probes over a block of [`BLOCK_ROWS`] rows with this peak, and says whether any row survives
    /// for any of them. A block interleaves its rows: for each quad two lines, in which four codes of each row
    /// stand together, 128 added to each. The `next` block is fetched into cache meanwhile.
    ///
    /// # Panics
    /// When block and probes disagree in length, or `swept` has no room.
    pub fn sweep(self, aims: &Aims, block: &[Line], next: &[Line], peak: Peak, swept: &mut Swept) -> bool {
        assert_eq!(block.len(), aims.quads * 2, "block and probes disagree in length");
        assert!(swept.masks.len() >= aims.len(), "no room for what is found");
        match self {
            Self::Scalar => scalar::sweep(aims, block, peak, swept),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(token) => avx2::sweep(token, aims, block, peak, swept),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(token) => avx512::sweep(token, aims, block, next, peak, swept),
        }
    }
}

impl std::fmt::Display for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
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

    fn bytes(len: usize) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(
            prop_oneof![4 => any::<u8>(), 1 => Just(0), 1 => Just(255), 1 => Just(128)],
            len,
        )
    }

    fn lines(bytes: &[u8]) -> Vec<Line> {
        bytes.chunks_exact(64).map(|chunk| Line(chunk.try_into().unwrap())).collect()
    }

    /// Limits in the midst of the sums, and beyond all of them.
    fn slopes() -> impl Strategy<Value = Slopes> {
        let start = prop_oneof![4 => -3e5f32..3e5, 1 => -1e30f32..1e30, 1 => Just(0.0)];
        (start, 0.0f32..1e6, 0.0f32..1e6).prop_map(|(start, error, tail)| Slopes { start, error, tail })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn every_kernel_sweeps_and_counts_as_the_definition_does(
            (quads, probes, block) in (1usize..=33, 0usize..=21).prop_flat_map(|(rounds, probes)| {
                let quads = rounds * QUADS_A_ROUND;
                let code = prop_oneof![6 => -127i8..=127, 1 => Just(127), 1 => Just(-127)];
                let probe = (prop::collection::vec(code, quads * 4 - 3..=quads * 4), slopes());
                (Just(quads), prop::collection::vec(probe, probes), bytes(quads * 128))
            }),
            error in 0.0f32..0.1, tail in 0.0f32..1.0,
            words in prop::collection::vec(any::<u64>(), 0..70),
        ) {
            let block = lines(&block);
            let aims = Aims::new(quads, probes.iter().map(|(codes, slopes)| (&codes[..], *slopes)));
            let peak = Peak { error, tail };
            // Written out independently.
            let dot = |probe: usize, row: usize| -> i32 {
                let code = |i: usize| i32::from(probes[probe].0.get(i).copied().unwrap_or(0));
                (0..quads * 4).map(|i| (i32::from(block[i / 4 * 2 + row / 16].0[row % 16 * 4 + i % 4]) - 128) * code(i)).sum()
            };
            for kernel in Kernel::available() {
                let mut swept = Swept::of(&aims);
                swept.masks.fill(7);
                let any = kernel.sweep(&aims, &block, &block, peak, &mut swept);
                let mut expected_any = false;
                for (probe, (_, slopes)) in probes.iter().enumerate() {
                    let limit = slopes.limit(peak);
                    let mask: u32 = (0..32).map(|row| u32::from(dot(probe, row) >= limit) << row).sum();
                    prop_assert_eq!(swept.masks[probe], mask, "{}", kernel.name());
                    prop_assert_eq!(swept.limits[probe], limit, "{}", kernel.name());
                    let excess_right = (0..32).all(|row| swept.excess[probe][row] == dot(probe, row) - limit);
                    prop_assert!(mask == 0 || excess_right, "{}", kernel.name());
                    expected_any |= mask != 0;
                }
                prop_assert_eq!(any, expected_any);
                prop_assert_eq!(kernel.count_ones(&words), words.iter().map(|w| u64::from(w.count_ones())).sum::<u64>());
            }
        }

        #[test]
        fn every_kernel_multiplies_codes_as_the_definition_does(
            (row, probe) in (0usize..=64).prop_flat_map(|lines| (bytes(lines * 64), bytes(lines * 64)))
        ) {
            let expected: i32 = row.iter().zip(&probe).map(|(&r, &p)| i32::from(r) * i32::from(p.cast_signed())).sum();
            for kernel in Kernel::available() {
                prop_assert_eq!(kernel.dot(&lines(&row), &lines(&probe)), expected, "{}", kernel.name());
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
