//! The definition. It is slow on purpose: plain enough to be read as the specification.

use super::{
    Block, LANES,
    aims::{Aims, BLOCK_ROWS, Line, Peak, Survivors, Swept, tiles},
};

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

pub(super) fn dot(row: &[Line], probe: &[Line]) -> i32 {
    let pairs = row.iter().flat_map(|line| &line.0).zip(probe.iter().flat_map(|line| &line.0));
    pairs.map(|(&r, &p)| i32::from(r) * i32::from(p.cast_signed())).sum()
}

pub(super) fn sweep(aims: &Aims, blocks: &[Line], peaks: &[Peak], swept: &mut Swept) {
    for (index, (block, &peak)) in blocks.chunks_exact(aims.lines_a_block()).zip(peaks).enumerate() {
        for (first, width) in tiles(aims.len()) {
            let codes = &aims.codes[first * aims.quads..];
            for at in 0..width {
                let probe = first + at;
                let dots: [i32; BLOCK_ROWS] = std::array::from_fn(|row| {
                    let quads = 0..aims.quads;
                    let sum: i32 =
                        quads.map(|quad| dot_quad(block, quad, row, codes[quad * width + at])).sum();
                    sum - aims.offsets[probe]
                });
                let limit = aims.slopes(probe).limit(peak);
                let mask = (0..BLOCK_ROWS).map(|row| u32::from(dots[row] >= limit) << row).sum();
                if mask != 0 {
                    swept.survivors.push(Survivors { block: index, probe, mask, dots });
                }
            }
        }
    }
}

fn dot_quad(block: &[Line], quad: usize, row: usize, codes: u32) -> i32 {
    let four = &block[quad * 2 + row / 16].0[row % 16 * 4..][..4];
    four.iter().zip(codes.to_le_bytes()).map(|(&r, p)| i32::from(r) * i32::from(p.cast_signed())).sum()
}

pub(super) fn count_ones(words: &[u64]) -> u64 {
    words.iter().map(|word| u64::from(word.count_ones())).sum()
}
