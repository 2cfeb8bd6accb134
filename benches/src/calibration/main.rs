//! Do thresholds stop as many strangers as was asked for? And do people on record under two names change them?
//!
//! `coverage` draws galleries, calibrates each from its own references, and counts how many strangers really reach the threshold. `poison` calibrates each
//! gallery twice, with and without people under a second name. The populations are synthetic, of three spectra; `--fitted FILE` adds one that was fitted to real
//! templates.

#[path = "../fitted.rs"]
mod fitted;

mod trial;

use anyhow::ensure;
use clap::{Parser, Subcommand};
use matcher::population::{Imitation, Population};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::path::PathBuf;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Statistics of a population fitted to real templates (.npz); may be repeated.
    #[arg(long, global = true)]
    fitted: Vec<PathBuf>,
    /// Seed of the first trial.
    #[arg(long, global = true, default_value_t = 1)]
    seed: u64,
    /// Threads.
    #[arg(long, global = true, default_value_t = 2)]
    threads: usize,
}

#[derive(Subcommand)]
enum What {
    /// The share of strangers who are stopped against what was asked for.
    Coverage {
        /// References of a gallery, one a subject.
        #[arg(long, default_value_t = 1000)]
        references: usize,
        /// Galleries, the populations taking turns.
        #[arg(long, default_value_t = 60)]
        trials: u64,
        /// Strangers who are looked up in each.
        #[arg(long, default_value_t = 20_000)]
        strangers: usize,
        /// References that are probes of the calibration, at most.
        #[arg(long, default_value_t = 10_000)]
        probes: usize,
    },
    /// What people under two names change.
    Poison {
        /// Subjects of a gallery; every fifth has a second encounter.
        #[arg(long, default_value_t = 10_000)]
        subjects: usize,
        /// Galleries of each population.
        #[arg(long, default_value_t = 5)]
        trials: u64,
        /// Share of them who are there a second time under another name.
        #[arg(long, default_value_t = 0.01)]
        share: f64,
    },
}

/// Error rates that are asked for.
const FPIRS: [f64; 3] = [1e-1, 1e-2, 1e-3];

fn populations(fitted: &[PathBuf]) -> anyhow::Result<Vec<(String, Population)>> {
    let like = |dimension, nonmated_sd, mated_mean, mated_sd| Imitation {
        dimension,
        nonmated_sd,
        mated_mean,
        mated_sd,
    };
    let kinds = [
        ("decaying, 512", like(512, 0.065, 0.65, 0.12)),
        ("low rank, 512", like(512, 0.098, 0.62, 0.138)),
        ("nearly flat, 128", like(128, 0.0925, 0.66, 0.11)),
    ];
    let mut all = Vec::new();
    for (name, imitation) in kinds {
        all.push((name.to_owned(), Population::imitating(&imitation, &mut ChaCha8Rng::seed_from_u64(1))?));
    }
    for file in fitted {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        all.push((name, fitted::fitted(file)?));
    }
    Ok(all)
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let populations = populations(&arguments.fitted)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(arguments.threads).build()?;
    match arguments.what {
        What::Coverage { references, trials, strangers, probes } => {
            ensure!(references >= matcher::calibration::LEAST_PROBES, "too small a gallery");
            coverage(
                &populations,
                &pool,
                arguments.seed,
                trials,
                &trial::Size { references, strangers, probes },
            )
        }
        What::Poison { subjects, trials, share } => {
            poison(&populations, &pool, arguments.seed, trials, subjects, share)
        }
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[expect(clippy::print_stdout, reason = "it is what it is for")]
fn coverage(
    populations: &[(String, Population)],
    pool: &rayon::ThreadPool,
    seed: u64,
    trials: u64,
    size: &trial::Size,
) -> anyhow::Result<()> {
    println!(
        "{} references, {} strangers a gallery; inside: of the stated 95 % interval, the trial's own binomial noise included",
        size.references, size.strangers
    );
    println!(
        "population            FPIR   inside       realised/asked (median)   interval (median, of asked)"
    );
    let mut all = Vec::new();
    for number in 0..trials {
        let at = number as usize % populations.len();
        for (asked, outcome) in
            trial::coverage(&populations[at].1, pool, seed + number, size)?.into_iter().enumerate()
        {
            all.push((at, asked, outcome));
        }
    }
    let line = |name: &str, fpir: f64, of: &[&trial::Outcome]| {
        let inside = of.iter().filter(|outcome| outcome.inside).count();
        let mut ratios: Vec<f64> = of.iter().map(|outcome| outcome.realised / fpir).collect();
        let mut low: Vec<f64> = of.iter().map(|outcome| outcome.low / fpir).collect();
        let mut high: Vec<f64> = of.iter().map(|outcome| outcome.high / fpir).collect();
        println!(
            "{name:20} {fpir:6.0e}   {inside:3} of {:3}   {:.2}                      {:.2} to {:.2}",
            of.len(),
            median(&mut ratios),
            median(&mut low),
            median(&mut high)
        );
    };
    for (asked, fpir) in FPIRS.into_iter().enumerate() {
        let of = |at: Option<usize>| -> Vec<&trial::Outcome> {
            let wanted = all.iter().filter(|one| one.1 == asked && at.is_none_or(|at| at == one.0));
            wanted.map(|one| &one.2).collect()
        };
        for (at, (name, _)) in populations.iter().enumerate() {
            line(name, fpir, &of(Some(at)));
        }
        line("all", fpir, &of(None));
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "it is what it is for")]
fn poison(
    populations: &[(String, Population)],
    pool: &rayon::ThreadPool,
    seed: u64,
    trials: u64,
    subjects: usize,
    share: f64,
) -> anyhow::Result<()> {
    println!(
        "{subjects} subjects, {share} of them twice; FPIR of the poisoned calibration at the clean one's threshold, by what was asked for"
    );
    println!(
        "population            median (furthest) at 1e-1, 1e-2, 1e-3               reported   excluded   reported though two"
    );
    for (name, population) in populations {
        let mut ratios = [const { Vec::new() }; 3];
        let (mut reported, mut excluded, mut duplicates, mut wrongly) = (0, 0, 0, 0);
        for number in 0..trials {
            let outcome = trial::poison(population, pool, seed + number, subjects, share)?;
            ratios.iter_mut().zip(outcome.ratios).for_each(|(all, one)| all.push(one));
            reported += outcome.reported;
            excluded += outcome.excluded;
            duplicates += outcome.duplicates;
            wrongly += outcome.wrongly;
        }
        let told: Vec<String> = ratios
            .iter_mut()
            .map(|all| {
                let furthest = all
                    .iter()
                    .copied()
                    .fold(1.0, |a: f64, b| if (b - 1.0).abs() > (a - 1.0).abs() { b } else { a });
                format!("{:.3} ({furthest:.3})", median(all))
            })
            .collect();
        let percent = |part: usize| 100.0 * part as f64 / duplicates as f64;
        println!(
            "{name:20}  {}   {:5.1} %    {:5.1} %    {:.1} a gallery",
            told.join("   "),
            percent(reported),
            percent(excluded),
            wrongly as f64 / trials as f64
        );
    }
    Ok(())
}
