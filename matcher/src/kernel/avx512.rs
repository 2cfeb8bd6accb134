//! AVX-512 with VNNI.
//!
//! Scores: two registers hold the 32 lanes of a row. Four rows go at a time, so that eight independent sums
//! hide the latency of the multiply-add. Sweeps: two registers hold four codes of each row of a block, and are
//! multiplied with eight probes at a time; a sum starts at minus its limit, so that a row survives where its
//! sign bit is clear, and one test tells whether any of 256 pairs does.

use super::{
    Block,
    aims::{AIMS_PADDING, Aims, BLOCK_ROWS, LIMIT_CLAMP, Line, Peak, QUADS_A_ROUND, Survivors, Swept, tiles},
};
use std::arch::x86_64::{
    __m512, __m512i, _MM_HINT_T0, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_movehl_ps, _mm_prefetch,
    _mm_shuffle_ps, _mm256_add_ps, _mm256_castps256_ps128, _mm256_extractf128_ps, _mm512_add_epi32,
    _mm512_add_ps, _mm512_and_si512, _mm512_castps512_ps256, _mm512_cvtps_epi32, _mm512_dpbusd_epi32,
    _mm512_extractf32x8_ps, _mm512_fmadd_ps, _mm512_fnmadd_ps, _mm512_load_ps, _mm512_load_si512,
    _mm512_loadu_ps, _mm512_loadu_si512, _mm512_max_ps, _mm512_min_ps, _mm512_movepi32_mask,
    _mm512_reduce_add_epi32, _mm512_roundscale_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_setzero_si512, _mm512_storeu_si512, _mm512_sub_epi32, _mm512_xor_si512,
};

/// Proof that this processor has AVX-512 F, DQ, BW and VNNI, and POPCNT.
#[derive(Clone, Copy, Debug)]
pub struct Token(());

impl Token {
    pub(super) fn detect() -> Option<Self> {
        let there = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("popcnt");
        there.then_some(Self(()))
    }
}

pub(super) fn fetch(line: *const i8) {
    // SAFETY: every x86-64 processor has SSE, and a prefetch never faults, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line) }
}

pub(super) fn count_ones(_: Token, words: &[u64]) -> u64 {
    // SAFETY: the token exists only if the processor has popcnt.
    unsafe { super::avx2::count_ones_popcnt(words) }
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

pub(super) fn dot(_: Token, row: &[Line], probe: &[Line]) -> i32 {
    // SAFETY: the token exists only if the processor has avx512f and avx512vnni.
    unsafe { dot_avx512(row, probe) }
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn dot_avx512(row: &[Line], probe: &[Line]) -> i32 {
    let mut sum = _mm512_setzero_si512();
    for (r, p) in row.iter().zip(probe) {
        sum = _mm512_dpbusd_epi32(sum, load_line(r), load_line(p));
    }
    _mm512_reduce_add_epi32(sum)
}

pub(super) fn sweep(
    _: Token,
    aims: &Aims,
    blocks: &[Line],
    peaks: &[Peak],
    next: &[Line],
    swept: &mut Swept,
) {
    // SAFETY: the token exists only if the processor has avx512f, avx512dq, avx512bw and avx512vnni.
    unsafe { sweep_avx512(aims, blocks, peaks, next, swept) }
}

#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vnni")]
fn sweep_avx512(aims: &Aims, blocks: &[Line], peaks: &[Peak], next: &[Line], swept: &mut Swept) {
    let lines = aims.lines_a_block();
    for (index, (block, &peak)) in blocks.chunks_exact(lines).zip(peaks).enumerate() {
        limits(aims, peak, swept);
        let next =
            blocks.get((index + 1) * lines..(index + 2) * lines).unwrap_or(&next[..next.len().min(lines)]);
        let (block, mut next) = (rounds(block), rounds(next));
        // Each tile fetches its share of the next block: more at once would wait for memory.
        let share = block.len().div_ceil(tiles(aims.len()).count());
        for (first, width) in tiles(aims.len()) {
            let (fetch, rest) = next.split_at(share.min(next.len()));
            next = rest;
            match width {
                8 => sweep_tile::<8>(aims, (index, block), fetch, swept, first),
                4 => sweep_tile::<4>(aims, (index, block), fetch, swept, first),
                2 => sweep_tile::<2>(aims, (index, block), fetch, swept, first),
                _ => sweep_tile::<1>(aims, (index, block), fetch, swept, first),
            }
        }
    }
}

/// Each probe's limit in a block with this peak, and where its sums start.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn limits(aims: &Aims, peak: Peak, swept: &mut Swept) {
    const WIDTH: usize = 16;
    const { assert!(AIMS_PADDING.is_multiple_of(WIDTH)) };
    let (error, tail) = (_mm512_set1_ps(peak.error), _mm512_set1_ps(peak.tail));
    let (least, most) = (_mm512_set1_ps(-LIMIT_CLAMP), _mm512_set1_ps(LIMIT_CLAMP));
    for first in (0..aims.len()).step_by(WIDTH) {
        let floats = |values: &[f32]| {
            let chunk: &[f32; WIDTH] = values[first..].first_chunk().expect("padded");
            // SAFETY: the chunk is 16 floats long.
            unsafe { _mm512_loadu_ps(chunk.as_ptr()) }
        };
        let limit = _mm512_fnmadd_ps(floats(&aims.errors), error, floats(&aims.starts));
        let limit = _mm512_fnmadd_ps(floats(&aims.tails), tail, limit);
        let limit = _mm512_min_ps(_mm512_max_ps(limit, least), most);
        // Round down, quietly.
        let limit = _mm512_cvtps_epi32(_mm512_roundscale_ps::<0x09>(limit));
        let offsets: &[i32; WIDTH] = aims.offsets[first..].first_chunk().expect("padded");
        let limits: &mut [i32; WIDTH] = swept.limits[first..].first_chunk_mut().expect("padded");
        let starts: &mut [i32; WIDTH] = swept.starts[first..].first_chunk_mut().expect("padded");
        // SAFETY: each chunk is 16 integers long.
        unsafe {
            let offsets = _mm512_loadu_si512(offsets.as_ptr().cast());
            let start = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_add_epi32(limit, offsets));
            _mm512_storeu_si512(limits.as_mut_ptr().cast(), limit);
            _mm512_storeu_si512(starts.as_mut_ptr().cast(), start);
        }
    }
}

/// The lines of four quads: taken together, so that the processor foresees where the loop ends.
type Round = [[Line; 2]; QUADS_A_ROUND];

fn rounds(lines: &[Line]) -> &[Round] {
    lines.as_chunks().0.as_chunks().0
}

/// Sweeps the tile of `P` probes from `first` on.
#[inline]
#[expect(clippy::needless_range_loop, reason = "iterators over the sums put them into memory")]
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vnni")]
fn sweep_tile<const P: usize>(
    aims: &Aims,
    (index, block): (usize, &[Round]),
    fetch: &[Round],
    swept: &mut Swept,
    first: usize,
) {
    let starts: &[i32; P] = swept.starts[first..].first_chunk().expect("a tile is whole");
    let mut sums = starts.map(|start| [_mm512_set1_epi32(start); 2]);
    let (codes, _) = aims.tile::<P>(first).as_chunks::<QUADS_A_ROUND>();
    let (early, late) = block.split_at(fetch.len());
    let (early_codes, late_codes) = codes.split_at(fetch.len());
    for ((rows, codes), fetch) in early.iter().zip(early_codes).zip(fetch) {
        for line in fetch.as_flattened() {
            _mm_prefetch::<_MM_HINT_T0>(line.0.as_ptr().cast());
        }
        for quad in 0..QUADS_A_ROUND {
            sums = add_quad(sums, &rows[quad], &codes[quad]);
        }
    }
    for (rows, codes) in late.iter().zip(late_codes) {
        for quad in 0..QUADS_A_ROUND {
            sums = add_quad(sums, &rows[quad], &codes[quad]);
        }
    }
    // A sum that survives has a clear sign bit, and so has their conjunction.
    let mut all = _mm512_set1_epi32(-1);
    for p in 0..P {
        all = _mm512_and_si512(all, _mm512_and_si512(sums[p][0], sums[p][1]));
    }
    if _mm512_movepi32_mask(all) != u16::MAX {
        let mut excess = [[0; BLOCK_ROWS]; P];
        for p in 0..P {
            // SAFETY: 32 integers are two registers.
            unsafe {
                _mm512_storeu_si512(excess[p].as_mut_ptr().cast(), sums[p][0]);
                _mm512_storeu_si512(excess[p].as_mut_ptr().add(16).cast(), sums[p][1]);
            }
        }
        for p in 0..P {
            survive(load_sums(&excess[p]), index, first + p, swept);
        }
    }
}

/// Lists the rows of a block whose sums have a clear sign bit.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn survive(excess: [__m512i; 2], block: usize, probe: usize, swept: &mut Swept) {
    let negative = excess.map(|half| u32::from(_mm512_movepi32_mask(half)));
    let mask = !(negative[0] | negative[1] << 16);
    if mask != 0 {
        let limit = _mm512_set1_epi32(swept.limits[probe]);
        let mut dots = [0; BLOCK_ROWS];
        // SAFETY: 32 integers are two registers.
        unsafe {
            _mm512_storeu_si512(dots.as_mut_ptr().cast(), _mm512_add_epi32(excess[0], limit));
            _mm512_storeu_si512(dots.as_mut_ptr().add(16).cast(), _mm512_add_epi32(excess[1], limit));
        }
        swept.survivors.push(Survivors { block, probe, mask, dots });
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load_sums(sums: &[i32; BLOCK_ROWS]) -> [__m512i; 2] {
    // SAFETY: 32 integers are two registers.
    unsafe { [_mm512_loadu_si512(sums.as_ptr().cast()), _mm512_loadu_si512(sums.as_ptr().add(16).cast())] }
}

/// By value and by index: so the sums stay in registers.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn add_quad<const P: usize>(
    mut sums: [[__m512i; 2]; P],
    rows: &[Line; 2],
    codes: &[u32; P],
) -> [[__m512i; 2]; P] {
    let rows = [load_line(&rows[0]), load_line(&rows[1])];
    for p in 0..P {
        let codes = _mm512_set1_epi32(codes[p].cast_signed());
        sums[p][0] = _mm512_dpbusd_epi32(sums[p][0], rows[0], codes);
        sums[p][1] = _mm512_dpbusd_epi32(sums[p][1], rows[1], codes);
    }
    sums
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_line(line: &Line) -> __m512i {
    // SAFETY: a line is 64 bytes, aligned to 64.
    unsafe { _mm512_load_si512(line.0.as_ptr().cast()) }
}

pub(super) fn saturate(_: Token, rounds: u64) -> (u64, i32) {
    // SAFETY: the token exists only if the processor has avx512f and avx512vnni.
    unsafe { saturate_avx512(rounds) }
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn saturate_avx512(rounds: u64) -> (u64, i32) {
    const SUMS: u64 = 16;
    let mut sums: [__m512i; SUMS as usize] = std::array::from_fn(|i| _mm512_set1_epi32(i as i32));
    let (a, b) = (_mm512_set1_epi32(std::hint::black_box(0x0102_0304)), _mm512_set1_epi32(0x0101_0101));
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_dpbusd_epi32(*sum, a, b);
        }
    }
    let all = sums.iter().fold(_mm512_setzero_si512(), |all, &sum| _mm512_xor_si512(all, sum));
    (rounds * SUMS * 64, _mm512_reduce_add_epi32(all))
}
