//! The kernels alone, each against the others: `cargo bench -p benches`.

use divan::{Bencher, black_box, counter::ItemsCount};
use matcher::kernel::{Aims, Block, Kernel, Line, Peak, Slopes, Swept};

fn main() {
    divan::main();
}

/// Blocks in a bench: 100 thousand rows.
const BLOCKS: usize = 3125;
/// Blocks in one run.
const RUN: usize = 64;

fn kernels() -> Vec<Kernel> {
    Kernel::available()
}

fn lines(count: usize) -> Vec<Line> {
    (0..count)
        .map(|i| Line(std::array::from_fn(|j| (((i * 64 + j) * 2_654_435_761) >> 13) as u8 | 1)))
        .collect()
}

/// Multiply-adds of 8-bit codes, one block after another: leading dimensions, probes.
#[divan::bench(args = kernels(), consts = [1, 8, 16, 64])]
fn sweep_96<const PROBES: usize>(bencher: Bencher<'_, '_>, kernel: Kernel) {
    sweep(bencher, kernel, 96, PROBES);
}

#[divan::bench(args = kernels(), consts = [1, 8, 16, 64])]
fn sweep_128<const PROBES: usize>(bencher: Bencher<'_, '_>, kernel: Kernel) {
    sweep(bencher, kernel, 128, PROBES);
}

fn sweep(bencher: Bencher<'_, '_>, kernel: Kernel, lead: usize, probes: usize) {
    let blocks = lines(BLOCKS * lead / 2);
    let codes = |probe: usize| -> Vec<i8> { (0..lead).map(|j| (j * 37 + probe * 11) as i8).collect() };
    let codes: Vec<_> = (0..probes).map(codes).collect();
    let slopes = Slopes { start: 1e9, error: 1.0, tail: 1.0 };
    let aims = Aims::new(lead / 4, codes.iter().map(|codes| (&codes[..], slopes)));
    let mut swept = Swept::of(&aims);
    bencher.counter(ItemsCount::new(BLOCKS * 32 * lead * probes)).bench_local(|| {
        let mut runs = blocks.chunks(lead / 2 * RUN).peekable();
        while let Some(run) = runs.next() {
            let next = runs.peek().map_or(&[][..], |next| &next[..next.len().min(lead)]);
            let peaks = &[Peak { error: 0.01, tail: 0.3 }; RUN][..run.len() / (lead / 2)];
            kernel.sweep(&aims, run, peaks, next, &mut swept);
            black_box(&swept);
        }
    });
}

/// Dot products of single rows with 512 codes.
#[divan::bench(args = kernels())]
fn dot_512(bencher: Bencher<'_, '_>, kernel: Kernel) {
    let (rows, probe) = (lines(8 * 256), lines(8));
    bencher
        .counter(ItemsCount::new(rows.len() * 64))
        .bench_local(|| rows.chunks_exact(8).map(|row| kernel.dot(row, black_box(&probe))).max());
}

/// Scores of 512 features in f32.
#[divan::bench(args = kernels())]
fn score_512(bencher: Bencher<'_, '_>, kernel: Kernel) {
    let rows = vec![Block([0.03; 32]); 16 * 256];
    let mut scores = vec![0.0; 256];
    bencher
        .counter(ItemsCount::new(rows.len() * 32))
        .bench_local(|| kernel.scores(black_box(&rows[..16]), &rows, &mut scores));
}

/// Nothing but multiply-adds of codes in registers: the floor of a sweep.
#[divan::bench(args = kernels().into_iter().filter(|kernel| kernel.saturate(0).is_some()))]
fn floor(bencher: Bencher<'_, '_>, kernel: Kernel) {
    let products = kernel.saturate(1000).map_or(0, |(products, _)| products);
    bencher.counter(ItemsCount::new(products)).bench(|| kernel.saturate(black_box(1000)));
}
