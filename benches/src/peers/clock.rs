//! Medians, and the floors of this machine.

use matcher::kernel::{Block, Kernel};
use rayon::prelude::*;
use std::{hint::black_box, time::Instant};

/// The median seconds of `times` runs, after one that does not count.
pub(crate) fn median_s(times: usize, mut run: impl FnMut(usize)) -> f64 {
    run(0);
    let mut seconds: Vec<f64> = (1..=times)
        .map(|time| {
            let began = Instant::now();
            run(time);
            began.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[times / 2]
}

/// How fast this machine can go with so many threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floors {
    /// Bytes a second from memory.
    pub(crate) read: f64,
    /// Multiply-adds of 8-bit codes a second, from registers.
    pub(crate) codes: f64,
}

impl Floors {
    /// Measured on these rows.
    pub(crate) fn measure(pool: &rayon::ThreadPool, rows: &[Block]) -> Self {
        let threads = pool.current_num_threads();
        let part = rows.len().div_ceil(threads);
        let read_s = median_s(5, |_| {
            let most = pool.install(|| rows.par_chunks(part).map(greatest).reduce(|| 0.0, f32::max));
            black_box(most);
        });
        let kernel = Kernel::detect();
        let rounds = 2_000_000;
        let products = kernel.saturate(rounds).map(|(products, _)| products as f64);
        let codes_s = median_s(3, |_| {
            pool.broadcast(|_| black_box(kernel.saturate(black_box(rounds))));
        });
        Self {
            read: size_of_val(rows) as f64 / read_s,
            codes: products.unwrap_or(f64::NAN) * threads as f64 / codes_s,
        }
    }
}

/// The greatest feature: little work for each byte that is read.
fn greatest(rows: &[Block]) -> f32 {
    let mut lanes = [[0.0f32; 32]; 4];
    for four in rows.chunks_exact(4) {
        for (lanes, block) in lanes.iter_mut().zip(four) {
            lanes.iter_mut().zip(&block.0).for_each(|(lane, x)| *lane = if *x > *lane { *x } else { *lane });
        }
    }
    lanes.as_flattened().iter().copied().fold(0.0, f32::max)
}
