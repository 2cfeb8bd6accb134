//! AVX2 with FMA.
//!
//! Scores: four registers hold the 32 lanes of a row. Two rows go at a time, so that eight independent sums
//! hide the latency of the multiply-add. Codes: without VNNI, even and odd bytes are widened to 16 bits and
//! multiplied apart, as `maddubs` would saturate; eight rows go at a time with the probes of a tile.

use super::{
    Block,
    aims::{AIMS_PADDING, Aims, BLOCK_ROWS, LIMIT_CLAMP, Line, Peak, Swept, tiles},
};
use std::arch::x86_64::{
    __m256, __m256i, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_movehl_ps, _mm_shuffle_ps, _mm256_add_epi32,
    _mm256_add_ps, _mm256_and_si256, _mm256_castps256_ps128, _mm256_castsi256_ps, _mm256_cvtps_epi32,
    _mm256_extractf128_ps, _mm256_floor_ps, _mm256_fmadd_ps, _mm256_fnmadd_ps, _mm256_load_ps,
    _mm256_load_si256, _mm256_loadu_ps, _mm256_madd_epi16, _mm256_max_ps, _mm256_min_ps, _mm256_movemask_ps,
    _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_setzero_si256,
    _mm256_slli_epi16, _mm256_srai_epi16, _mm256_srli_epi16, _mm256_storeu_si256,
};

/// Proof that this processor has AVX2, FMA and POPCNT.
#[derive(Clone, Copy, Debug)]
pub struct Token(());

impl Token {
    pub(super) fn detect() -> Option<Self> {
        let there = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("popcnt");
        there.then_some(Self(()))
    }
}

pub(super) fn scores(_: Token, probe: &[Block], rows: &[Block], scores: &mut [f32]) {
    // SAFETY: the token exists only if the processor has avx2 and fma.
    unsafe { scores_avx2(probe, rows, scores) }
}

#[target_feature(enable = "avx2,fma")]
fn scores_avx2(probe: &[Block], rows: &[Block], scores: &mut [f32]) {
    let mut rows = rows.chunks_exact(probe.len() * 2);
    let mut scores = scores.chunks_exact_mut(2);
    for (two, scores) in rows.by_ref().zip(scores.by_ref()) {
        scores.copy_from_slice(&score_rows::<2>(probe, two));
    }
    for (row, score) in rows.remainder().chunks_exact(probe.len()).zip(scores.into_remainder()) {
        [*score] = score_rows::<1>(probe, row);
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn score_rows<const N: usize>(probe: &[Block], rows: &[Block]) -> [f32; N] {
    let mut sums = [[_mm256_setzero_ps(); 4]; N];
    for (i, block) in probe.iter().enumerate() {
        let p = load(block);
        for (n, sum) in sums.iter_mut().enumerate() {
            let r = load(&rows[n * probe.len() + i]);
            for lane in 0..4 {
                sum[lane] = _mm256_fmadd_ps(p[lane], r[lane], sum[lane]);
            }
        }
    }
    sums.map(|[a, b, c, d]| halve(_mm256_add_ps(_mm256_add_ps(a, c), _mm256_add_ps(b, d))))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(block: &Block) -> [__m256; 4] {
    let start = block.0.as_ptr();
    // SAFETY: a block is 32 floats aligned to 64 bytes, so each quarter is 8 aligned floats inside it.
    unsafe {
        [
            _mm256_load_ps(start),
            _mm256_load_ps(start.add(8)),
            _mm256_load_ps(start.add(16)),
            _mm256_load_ps(start.add(24)),
        ]
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn halve(sum: __m256) -> f32 {
    let sum = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps::<1>(sum));
    let sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    let sum = _mm_add_ss(sum, _mm_shuffle_ps::<1>(sum, sum));
    _mm_cvtss_f32(sum) + 0.0 // -0 + 0 is +0
}

pub(super) fn dot(_: Token, row: &[Line], probe: &[Line]) -> i32 {
    // SAFETY: the token exists only if the processor has avx2.
    unsafe { dot_avx2(row, probe) }
}

#[target_feature(enable = "avx2")]
fn dot_avx2(row: &[Line], probe: &[Line]) -> i32 {
    let mut sum = _mm256_setzero_si256();
    for (r, p) in row.iter().zip(probe) {
        for half in 0..2 {
            sum = add_products(sum, widen_unsigned(load_half(r, half)), widen_signed(load_half(p, half)));
        }
    }
    let mut sums = [0i32; 8];
    // SAFETY: eight integers are one register.
    unsafe { _mm256_storeu_si256(sums.as_mut_ptr().cast(), sum) };
    sums.iter().sum()
}

pub(super) fn sweep(_: Token, aims: &Aims, blocks: &[Line], peaks: &[Peak], swept: &mut Swept) {
    // SAFETY: the token exists only if the processor has avx2 and fma.
    unsafe { sweep_avx2(aims, blocks, peaks, swept) }
}

#[target_feature(enable = "avx2,fma")]
fn sweep_avx2(aims: &Aims, blocks: &[Line], peaks: &[Peak], swept: &mut Swept) {
    for (index, (block, &peak)) in blocks.chunks_exact(aims.lines_a_block()).zip(peaks).enumerate() {
        limits(aims, peak, swept);
        let (block, _) = block.as_chunks();
        for (first, width) in tiles(aims.len()) {
            match width {
                8 => sweep_tile::<8>(aims, (index, block), swept, first),
                4 => sweep_tile::<4>(aims, (index, block), swept, first),
                2 => sweep_tile::<2>(aims, (index, block), swept, first),
                _ => sweep_tile::<1>(aims, (index, block), swept, first),
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn limits(aims: &Aims, peak: Peak, swept: &mut Swept) {
    const WIDTH: usize = 8;
    const { assert!(AIMS_PADDING.is_multiple_of(WIDTH)) };
    let (error, tail) = (_mm256_set1_ps(peak.error), _mm256_set1_ps(peak.tail));
    let (least, most) = (_mm256_set1_ps(-LIMIT_CLAMP), _mm256_set1_ps(LIMIT_CLAMP));
    for first in (0..aims.len()).step_by(WIDTH) {
        let floats = |values: &[f32]| {
            let chunk: &[f32; WIDTH] = values[first..].first_chunk().expect("padded");
            // SAFETY: the chunk is 8 floats long.
            unsafe { _mm256_loadu_ps(chunk.as_ptr()) }
        };
        let limit = _mm256_fnmadd_ps(floats(&aims.errors), error, floats(&aims.starts));
        let limit = _mm256_fnmadd_ps(floats(&aims.tails), tail, limit);
        let limit = _mm256_min_ps(_mm256_max_ps(limit, least), most);
        let limit = _mm256_cvtps_epi32(_mm256_floor_ps(limit));
        let limits: &mut [i32; WIDTH] = swept.limits[first..].first_chunk_mut().expect("padded");
        // SAFETY: the chunk is 8 integers long.
        unsafe { _mm256_storeu_si256(limits.as_mut_ptr().cast(), limit) };
        for (at, limit) in limits.iter().enumerate() {
            swept.starts[first + at] = -(limit + aims.offsets[first + at]);
        }
    }
}

/// Sweeps the tile of `P` probes from `first` on, eight rows at a time.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn sweep_tile<const P: usize>(
    aims: &Aims,
    (index, block): (usize, &[[Line; 2]]),
    swept: &mut Swept,
    first: usize,
) {
    let mut any = false;
    let mut excess = [[0i32; BLOCK_ROWS]; P];
    for eight in 0..BLOCK_ROWS / 8 {
        let starts: &[i32; P] = swept.starts[first..].first_chunk().expect("a tile is whole");
        let mut sums = starts.map(|start| _mm256_set1_epi32(start));
        for (rows, codes) in block.iter().zip(aims.tile::<P>(first)) {
            let rows = widen_unsigned(load_half(&rows[eight / 2], eight % 2));
            for p in 0..P {
                let codes = widen_signed(_mm256_set1_epi32(codes[p].cast_signed()));
                sums[p] = add_products(sums[p], rows, codes);
            }
        }
        for p in 0..P {
            any |= _mm256_movemask_ps(_mm256_castsi256_ps(sums[p])) != 0xff;
            let excess = &mut excess[p][eight * 8..][..8];
            // SAFETY: the slice is 8 integers long.
            unsafe { _mm256_storeu_si256(excess.as_mut_ptr().cast(), sums[p]) };
        }
    }
    if any {
        for (p, excess) in excess.iter().enumerate() {
            swept.survive(index, first + p, excess);
        }
    }
}

/// Adds the products of four neighbouring codes to each sum. A product of an unsigned and a signed byte, and
/// the sum of two, fit 32 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn add_products(sum: __m256i, [re, ro]: [__m256i; 2], [pe, po]: [__m256i; 2]) -> __m256i {
    _mm256_add_epi32(sum, _mm256_add_epi32(_mm256_madd_epi16(re, pe), _mm256_madd_epi16(ro, po)))
}

/// Even and odd bytes as 16 bits, unsigned.
#[inline]
#[target_feature(enable = "avx2")]
fn widen_unsigned(bytes: __m256i) -> [__m256i; 2] {
    [_mm256_and_si256(bytes, _mm256_set1_epi16(0xff)), _mm256_srli_epi16::<8>(bytes)]
}

/// Even and odd bytes as 16 bits, signed.
#[inline]
#[target_feature(enable = "avx2")]
fn widen_signed(bytes: __m256i) -> [__m256i; 2] {
    [_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(bytes)), _mm256_srai_epi16::<8>(bytes)]
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_half(line: &Line, half: usize) -> __m256i {
    let half: &[u8; 32] =
        if half == 0 { line.0.first_chunk() } else { line.0.last_chunk() }.expect("half a line");
    // SAFETY: half a line is 32 bytes, aligned to 32 as the line is to 64.
    unsafe { _mm256_load_si256(half.as_ptr().cast()) }
}

pub(super) fn count_ones(_: Token, words: &[u64]) -> u64 {
    // SAFETY: the token exists only if the processor has popcnt.
    unsafe { count_ones_popcnt(words) }
}

#[target_feature(enable = "popcnt")]
pub(super) fn count_ones_popcnt(words: &[u64]) -> u64 {
    words.iter().map(|word| u64::from(word.count_ones())).sum()
}
