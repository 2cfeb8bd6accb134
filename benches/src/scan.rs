//! How fast is the exact scan? Against its floor: the bytes of the rows over the rate at which this machine
//! reads memory, measured in the same run.
#![expect(clippy::print_stdout, reason = "printing is what a bench is for")]

use clap::Parser;
use matcher::{
    filter::SlotFilter,
    index::oracle::{self, Query, Segment},
    kernel::{Block, Kernel},
    population::{Imitation, Population},
    rows::{Rows, Slot},
    score::Threshold,
    template::{ModelId, ModelProfile, Probe},
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rayon::prelude::*;
use std::{hint::black_box, time::Instant};

/// Times the exact scan with each kernel, for one probe and for many.
#[derive(Parser)]
struct Args {
    /// References.
    #[arg(long, default_value_t = 100_000)]
    n: usize,
    /// Features.
    #[arg(long, default_value_t = 512)]
    dim: usize,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// Passes of which the median is told.
const PASSES: usize = 9;

fn median_s(mut run: impl FnMut()) -> f64 {
    run();
    let mut times: Vec<f64> = (0..PASSES)
        .map(|_| {
            let began = Instant::now();
            run();
            began.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[PASSES / 2]
}

fn source(person: u64, draw: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(person.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ draw)
}

/// Seconds to read the rows once, with as many threads as the scan has.
fn read_once_s(pool: &rayon::ThreadPool, threads: usize, rows: &[Block]) -> f64 {
    let part = rows.len().div_ceil(threads * 8);
    let sum_of = |part: &[Block]| {
        let mut lanes = [0.0f32; 32];
        part.iter().for_each(|block| lanes.iter_mut().zip(&block.0).for_each(|(lane, x)| *lane += x));
        lanes.iter().sum::<f32>()
    };
    median_s(|| {
        black_box(pool.install(|| rows.par_chunks(part).map(sum_of).sum::<f32>()));
    })
}

fn main() {
    let args = Args::parse();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads).build().expect("a pool");
    let imitation = Imitation {
        dimension: args.dim,
        nonmated_sd: 0.065_f64.max(1.2 / (args.dim as f64).sqrt()),
        ..Imitation::default()
    };
    let population =
        Population::imitating(&imitation, &mut ChaCha8Rng::seed_from_u64(1)).expect("a population");
    let profile =
        ModelProfile::new(ModelId::new("bench").expect("an id"), args.dim, None).expect("a profile");
    let template = |features: &[f32]| profile.template(features).expect("a template");
    let mut rows = Rows::new(profile.id().clone(), args.dim);
    for start in (0..args.n).step_by(10_000) {
        let who: Vec<_> = (start..args.n.min(start + 10_000)).map(|i| (i as u64, 0)).collect();
        let features = pool.install(|| population.captures(&who, source));
        features.rows().into_iter().for_each(|row| rows.push(&template(&row.to_vec())));
    }
    let probes: Vec<Probe> = (0..64)
        .map(|i| Probe::new(&template(&population.captures(&[(i, 1)], source).row(0).to_vec())))
        .collect();
    let mut all = SlotFilter::none(args.n);
    (0..args.n).for_each(|row| all.set(row));
    let bytes = rows.blocks(0, rows.len());
    let read_s = read_once_s(&pool, args.threads, bytes);
    let megabytes = size_of_val(bytes) as f64 / 1e6;
    println!("{} references × {} features, {megabytes:.0} MB, {} threads", args.n, args.dim, args.threads);
    println!(
        "reading them once takes {:.2} ms ({:.1} GB/s): the floor of a lone probe\n",
        read_s * 1e3,
        megabytes / 1e3 / read_s
    );
    println!(
        "{:<8}{:>8}{:>14}{:>14}{:>22}",
        "kernel", "probes", "ms a pass", "lookups/s", "a pass over the floor"
    );
    for kernel in Kernel::available() {
        for count in [1, 16, 64] {
            if matches!(kernel, Kernel::Scalar) && count > 1 {
                continue; // slow, and no other number
            }
            let query = |probe| Query {
                probe,
                threshold: Threshold::new(0.33).expect("a threshold"),
                filters: vec![all.clone()],
            };
            let queries: Vec<_> = probes[..count].iter().map(query).collect();
            let segments = [Segment { first: Slot(0), rows: &rows }];
            let pass_s = median_s(|| drop(black_box(oracle::search(&pool, kernel, &segments, &queries))));
            println!(
                "{:<8}{count:>8}{:>14.2}{:>14.1}{:>22.2}",
                kernel.name(),
                pass_s * 1e3,
                count as f64 / pass_s,
                pass_s / read_s
            );
        }
    }
}
