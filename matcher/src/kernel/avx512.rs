//! AVX-512: two registers hold the 32 lanes of a row. Four rows go at a time, so that eight independent
//! sums hide the latency of the multiply-add.

use super::Block;
use std::arch::x86_64::{
    __m512, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_movehl_ps, _mm_shuffle_ps, _mm256_add_ps,
    _mm256_castps256_ps128, _mm256_extractf128_ps, _mm512_add_ps, _mm512_castps512_ps256,
    _mm512_extractf32x8_ps, _mm512_fmadd_ps, _mm512_load_ps, _mm512_setzero_ps,
};

/// Proof that this processor has AVX-512 F and DQ.
#[derive(Clone, Copy, Debug)]
pub struct Token(());

impl Token {
    pub(super) fn detect() -> Option<Self> {
        let there = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq");
        there.then_some(Self(()))
    }
}

pub(super) fn scores(_: Token, probe: &[Block], rows: &[Block], scores: &mut [f32]) {
    // SAFETY: the token exists only if the processor has avx512f and avx512dq.
    unsafe { scores_avx512(probe, rows, scores) }
}

#[target_feature(enable = "avx512f,avx512dq")]
fn scores_avx512(probe: &[Block], rows: &[Block], scores: &mut [f32]) {
    let mut rows = rows.chunks_exact(probe.len() * 4);
    let mut scores = scores.chunks_exact_mut(4);
    for (four, scores) in rows.by_ref().zip(scores.by_ref()) {
        scores.copy_from_slice(&score_rows::<4>(probe, four));
    }
    for (row, score) in rows.remainder().chunks_exact(probe.len()).zip(scores.into_remainder()) {
        [*score] = score_rows::<1>(probe, row);
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn score_rows<const N: usize>(probe: &[Block], rows: &[Block]) -> [f32; N] {
    let mut sums = [[_mm512_setzero_ps(); 2]; N];
    for (i, block) in probe.iter().enumerate() {
        let p = load(block);
        for (n, sum) in sums.iter_mut().enumerate() {
            let r = load(&rows[n * probe.len() + i]);
            sum[0] = _mm512_fmadd_ps(p[0], r[0], sum[0]);
            sum[1] = _mm512_fmadd_ps(p[1], r[1], sum[1]);
        }
    }
    sums.map(|[low, high]| halve(_mm512_add_ps(low, high)))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(block: &Block) -> [__m512; 2] {
    let start = block.0.as_ptr();
    // SAFETY: a block is 32 floats aligned to 64 bytes, so both halves are 16 aligned floats inside it.
    unsafe { [_mm512_load_ps(start), _mm512_load_ps(start.add(16))] }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn halve(sum: __m512) -> f32 {
    let sum = _mm256_add_ps(_mm512_castps512_ps256(sum), _mm512_extractf32x8_ps::<1>(sum));
    let sum = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps::<1>(sum));
    let sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    let sum = _mm_add_ss(sum, _mm_shuffle_ps::<1>(sum, sum));
    _mm_cvtss_f32(sum) + 0.0 // -0 + 0 is +0
}
