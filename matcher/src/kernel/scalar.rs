//! The definition. It is slow on purpose: plain enough to be read as the specification.

use super::{Block, LANES};

pub(super) fn scores(probe: &[Block], rows: &[Block], scores: &mut [f32]) {
    for (row, score) in rows.chunks_exact(probe.len()).zip(scores) {
        *score = score_of(probe, row);
    }
}

fn score_of(probe: &[Block], row: &[Block]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    for (p, r) in probe.iter().zip(row) {
        for (lane, (x, y)) in lanes.iter_mut().zip(p.0.iter().zip(&r.0)) {
            *lane = x.mul_add(*y, *lane);
        }
    }
    let mut half = LANES / 2;
    while half > 0 {
        for j in 0..half {
            lanes[j] += lanes[j + half];
        }
        half /= 2;
    }
    lanes[0] + 0.0 // -0 + 0 is +0
}
