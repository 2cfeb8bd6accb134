//! The arithmetic that every search is made of, for each kind of processor: the score itself, and two dot
//! products of 8-bit codes, which are exact integers.
//!
//! [`scalar`] is their definition; every other kernel gives the same bits, and is tested to. The score of
//! two vectors is defined so that this is possible on any processor: 32 lanes, lane `j` sums the products
//! of the features with index `j mod 32` in ascending order by fused multiply-add, starting from +0, the
//! vectors zero-padded to whole blocks of 32; then the lanes are halved 32 → 16 → 8 → 4 → 2 → 1 by adding
//! lane `j + half` to lane `j`; a result of -0 becomes +0.

mod aims;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[expect(
    unsafe_code,
    reason = "tile instructions, which have no stable intrinsics, and asking Linux for them"
)]
mod amx;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "SIMD loads and the calls into target-feature functions")]
mod avx2;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "SIMD loads and the calls into target-feature functions")]
mod avx512;
mod scalar;

pub use aims::{Aims, BLOCK_ROWS, BLOCKS_AHEAD, Line, Peak, QUADS_A_ROUND, Slopes, Survivors, Swept};

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
    /// The same with AMX, whose registers are tiles of 16 lines.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Amx(amx::Token),
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
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        kernels.extend(amx::Token::detect().map(Self::Amx));
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
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Amx(_) => "amx",
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
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Amx(token) => avx512::scores(token.avx512(), probe, rows, scores),
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
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Amx(token) => avx512::dot(token.avx512(), row, probe),
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
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Amx(token) => avx512::count_ones(token.avx512(), words),
        }
    }

    /// Has these values brought into cache, if the processor can, and does not wait for them.
    pub fn fetch<T>(self, values: &[T]) {
        #[cfg(target_arch = "x86_64")]
        if !matches!(self, Self::Scalar | Self::Avx2(_)) {
            for line in values.chunks((size_of::<Line>() / size_of::<T>().max(1)).max(1)) {
                avx512::fetch(line.as_ptr().cast());
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
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Amx(token) => Some(amx::saturate(token, rounds)),
            _ => None,
        }
    }

    /// Sweeps probes over a run of blocks of [`BLOCK_ROWS`] rows with these peaks, and lists which rows survive
    /// for which of them. A block interleaves its rows: for each quad two lines, in which four codes of each row
    /// stand together, 128 added to each. Blocks to come, of the run and of the [`BLOCKS_AHEAD`] `next` ones,
    /// are fetched into cache meanwhile.
    ///
    /// # Panics
    /// When blocks, peaks and probes disagree in length, or `swept` has no room.
    pub fn sweep(self, aims: &Aims, blocks: &[Line], peaks: &[Peak], next: &[Line], swept: &mut Swept) {
        assert_eq!(blocks.len(), aims.lines_a_block() * peaks.len(), "blocks, peaks and probes disagree");
        assert!(swept.limits.len() >= aims.starts.len(), "no room for what is found");
        swept.survivors.clear();
        if aims.is_empty() {
            return;
        }
        match self {
            Self::Scalar => scalar::sweep(aims, blocks, peaks, swept),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(token) => avx2::sweep(token, aims, blocks, peaks, swept),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(token) => avx512::sweep(token, aims, blocks, peaks, next, swept),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Amx(token) => amx::sweep(token, aims, blocks, peaks, next, swept),
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
            (quads, probes, blocks) in (1usize..=33, 0usize..=70, 1usize..=3).prop_flat_map(|(rounds, probes, blocks)| {
                let quads = rounds * QUADS_A_ROUND;
                let code = prop_oneof![6 => -127i8..=127, 1 => Just(127), 1 => Just(-127)];
                let probe = (prop::collection::vec(code, quads * 4 - 3..=quads * 4), slopes());
                let peak = (0.0f32..0.1, 0.0f32..1.0).prop_map(|(error, tail)| Peak { error, tail });
                let blocks = prop::collection::vec((bytes(quads * 128), peak), blocks);
                (Just(quads), prop::collection::vec(probe, probes), blocks)
            }),
            words in prop::collection::vec(any::<u64>(), 0..70),
        ) {
            let (codes, peaks): (Vec<_>, Vec<_>) = blocks.into_iter().map(|(bytes, peak)| (lines(&bytes), peak)).unzip();
            let aims = Aims::new(quads, probes.iter().map(|(codes, slopes)| (&codes[..], *slopes)));
            // Written out independently.
            let dot = |block: usize, probe: usize, row: usize| -> i32 {
                let code = |i: usize| i32::from(probes[probe].0.get(i).copied().unwrap_or(0));
                let line = |i: usize| codes[block][i / 4 * 2 + row / 16];
                (0..quads * 4).map(|i| (i32::from(line(i).0[row % 16 * 4 + i % 4]) - 128) * code(i)).sum()
            };
            let mut expected = Vec::new();
            for (block, peak) in peaks.iter().enumerate() {
                for (probe, (_, slopes)) in probes.iter().enumerate() {
                    let dots = std::array::from_fn(|row| dot(block, probe, row));
                    let mask = (0..32).map(|row| u32::from(dots[row] >= slopes.limit(*peak)) << row).sum();
                    expected.extend((mask != 0).then_some(Survivors { block, probe, mask, dots }));
                }
            }
            for kernel in Kernel::available() {
                let mut swept = Swept::of(&aims);
                kernel.sweep(&aims, &codes.concat(), &peaks, &codes[0], &mut swept);
                prop_assert!(swept.survivors == expected, "{}", kernel.name());
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
