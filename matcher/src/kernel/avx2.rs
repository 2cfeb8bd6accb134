//! AVX2 with FMA: four registers hold the 32 lanes of a row. Two rows go at a time, so that eight
//! independent sums hide the latency of the multiply-add.

use super::Block;
use std::arch::x86_64::{
    __m256, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_movehl_ps, _mm_shuffle_ps, _mm256_add_ps,
    _mm256_castps256_ps128, _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_load_ps, _mm256_setzero_ps,
};

/// Proof that this processor has AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub struct Token(());

impl Token {
    pub(super) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
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
