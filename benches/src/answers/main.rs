//! What an answer costs beside its search: the guard against misuse before it, the event that is durable before it leaves, and its proof; and
//! whether the time of a refusal tells a watchlist that is forbidden from one that is not there.
//!
//! `cargo run --release -p benches --bin answers`
#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use anyhow::Context;
use clap::Parser;
use gallery::{
    Gallery, Searching, Setup,
    ambient::Ambient,
    authority::{Caller, Ground},
    budget::MOST_SEARCHES_PER_HOUR,
    evidence,
    handling::{Defaults, Grading, Handling},
    id::WatchlistId,
    keys::root::RootKey,
    law::{Category, LegalBasis, PriorAuthorisation, Purpose},
    lookup::{self, LookupError, LookupRequest, Preparation},
    publish,
    strictness::Stricter,
    subject::RawFeatures,
    watchlist::{Gates, Policy},
};
use matcher::{
    score::Threshold,
    template::{ModelId, ModelProfile},
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use tempfile::TempDir;

#[derive(Parser)]
struct Args {
    /// Where the data folder is made: on the disk that is to be measured.
    #[arg(long, default_value = "target")]
    place: PathBuf,
    /// Lookups a second.
    #[arg(long, default_value_t = 200)]
    rate: u64,
    /// For so many seconds.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Refusals of each kind.
    #[arg(long, default_value_t = 3000)]
    refusals: usize,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let place = tempfile::tempdir_in(&args.place)?;
    let (folder, ambient) = (place.path().join("data"), Ambient::system());
    let root = RootKey::draw(&ambient);
    Gallery::create(&folder, &root, &ambient)?;
    let gallery = Gallery::open(&folder, Setup::new(root, 1), ambient.clone())?;
    let [own, other] =
        ["UTO", "XAA"].map(|nation| anyhow::Ok(Caller::administrator("bench".parse()?, nation.parse()?)));
    let (own, other) = (own?, other?);
    publish::add_model(&gallery, &own, ModelProfile::new(model()?, 64, None)?)?;
    let (list, _) = publish::create_watchlist(&gallery, &own, policy()?, None)?;
    receipts(&gallery, &own, list.id, &args)?;
    guard(&args.place)?;
    refusals(&gallery, &other, list.id, WatchlistId::mint(&ambient), args.refusals)
}

/// What the guard adds to a lookup before its search, by how much it remembers of the caller: against the same with it off, in turn. The probes
/// are strangers of 512 features.
fn guard(place: &Path) -> anyhow::Result<()> {
    const DIMENSION: usize = 512;
    const EACH: usize = 1000;
    let ambient = Ambient::system();
    let caller = Caller::administrator("bench".parse()?, "UTO".parse()?);
    let open = |searching| {
        let (place, root) = (tempfile::tempdir_in(place)?, RootKey::draw(&ambient));
        let folder = place.path().join("data");
        Gallery::create(&folder, &root, &ambient)?;
        let setup = Setup { searching, ..Setup::new(root, 1) };
        let gallery = Gallery::open(&folder, setup, ambient.clone())?;
        publish::add_model(&gallery, &caller, ModelProfile::new(model()?, DIMENSION, None)?)?;
        let (list, _) = publish::create_watchlist(&gallery, &caller, policy()?, None)?;
        anyhow::Ok((place, gallery, list.id))
    };
    let (guarded, free) = (open(Searching::Guarded)?, open(Searching::InsecureUnlimited)?);
    let mut chance = ChaCha8Rng::seed_from_u64(1);
    let mut prepare = |(_, gallery, list): &(TempDir, Gallery, WatchlistId)| {
        let features = (0..DIMENSION).map(|_| chance.next_u32() as f32 / u32::MAX as f32 - 0.5).collect();
        let request =
            LookupRequest { probe: RawFeatures { model: model()?, features }.into(), ..request(*list)? };
        let began = Instant::now();
        let prepared = lookup::prepare(gallery, &caller, request, None)?;
        let took = began.elapsed();
        std::mem::forget(prepared); // dropped, it would be taken back: it was not answered
        anyhow::Ok(took)
    };
    let (mut remembered, mut told) = (0, Vec::new());
    for until in [EACH, 3_600, MOST_SEARCHES_PER_HOUR as usize] {
        for _ in remembered..until - EACH {
            prepare(&guarded)?;
        }
        remembered = until;
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..EACH {
            times[0].push(prepare(&guarded)?);
            times[1].push(prepare(&free)?);
        }
        times.iter_mut().for_each(|times| times.sort_unstable());
        let [[median, most], [free, _]] =
            times.map(|times| [50, 99].map(|percent| percentile(&times, percent)));
        told.push(format!(
            "with {until} remembered p50 {median:.1?}, p99 {most:.1?}, and {free:.1?} without it"
        ));
    }
    println!("before a search, guarded: {}", told.join("; "));
    Ok(())
}

fn model() -> anyhow::Result<ModelId> {
    Ok(ModelId::new("bench")?)
}

fn policy() -> anyhow::Result<Policy> {
    Ok(Policy {
        name: "bench".parse()?,
        purposes: [Purpose::BorderControl].into(),
        legal_bases: [LegalBasis::SisBorder].into(),
        defaults: Defaults { handling: Handling::H1, grading: Grading::UNKNOWN, instructions: [].into() },
        prior_authorisation: PriorAuthorisation::NotNeeded,
        categories: [Category::Wanted].into(),
        model: model()?,
        threshold: Threshold::new(0.5)?,
        gates: Gates::default(),
        fpir: None,
        retention_days: 9,
        review_days: 9,
    })
}

fn request(list: WatchlistId) -> anyhow::Result<LookupRequest> {
    let ground = Ground {
        purpose: Purpose::BorderControl,
        legal_basis: LegalBasis::SisBorder,
        case_reference: "bench".parse()?,
        authorisation: None,
    };
    let probe = RawFeatures { model: model()?, features: vec![1.0; 64] };
    Ok(LookupRequest {
        watchlists: vec![list],
        ground,
        probe: probe.into(),
        limit: 20,
        stricter: Stricter::default(),
    })
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}

/// Searched, and not yet answered: from here on it is the receipt that is waited for.
fn receipts(gallery: &Gallery, caller: &Caller, list: WatchlistId, args: &Args) -> anyhow::Result<()> {
    let (count, next) = (args.rate * args.seconds, AtomicU64::new(0));
    let interval = Duration::from_secs(1) / u32::try_from(args.rate)?;
    let began = Instant::now();
    let measured: Vec<anyhow::Result<Vec<(Duration, Duration)>>> = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let mut measured = Vec::new();
                    loop {
                        let turn = next.fetch_add(1, Ordering::SeqCst);
                        if turn >= count {
                            return Ok(measured);
                        }
                        std::thread::sleep((interval * u32::try_from(turn)?).saturating_sub(began.elapsed()));
                        let prepared = lookup::prepare(gallery, caller, request(list)?, None)?;
                        let Preparation::Search(prepared) = prepared else { continue };
                        let searched =
                            lookup::search_batch(gallery, vec![prepared]).pop().context("searched")?;
                        let concluding = Instant::now();
                        let (_, receipt) = lookup::conclude(gallery, searched)?;
                        let concluded = concluding.elapsed();
                        let proving = Instant::now();
                        evidence::prove(gallery, receipt.leaf_index())?;
                        measured.push((concluded, proving.elapsed()));
                    }
                })
            })
            .collect();
        askers
            .into_iter()
            .map(|asker| asker.join().unwrap_or_else(|_| anyhow::bail!("an asker has panicked")))
            .collect()
    });
    let mut measured: Vec<(Duration, Duration)> =
        measured.into_iter().collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().collect();
    for (what, part) in [("event durable", 0), ("proof", 1)] {
        let of = |(event, proof): &(Duration, Duration)| if part == 0 { *event } else { *proof };
        measured.sort_by_key(of);
        let sorted: Vec<Duration> = measured.iter().map(of).collect();
        let [median, most] = [50, 99].map(|percent| percentile(&sorted, percent));
        println!(
            "{what}: p50 {median:.1?}, p99 {most:.1?} ({} lookups, {} a second)",
            sorted.len(),
            args.rate
        );
    }
    Ok(())
}

/// Refused in turn: forbidden, not there, and the second once more, which tells what is noise.
fn refusals(
    gallery: &Gallery,
    caller: &Caller,
    forbidden: WatchlistId,
    unknown: WatchlistId,
    count: usize,
) -> anyhow::Result<()> {
    let mut times = [const { Vec::new() }; 3];
    for turn in 0..3 * count {
        // Each kind comes equally often after each other.
        let kind = [0, 1, 2, 1, 0, 2, 0, 2, 1][turn % 9];
        let request = request(if kind == 0 { forbidden } else { unknown })?;
        let began = Instant::now();
        let refused = lookup::prepare(gallery, caller, request, None);
        times[kind].push(began.elapsed());
        anyhow::ensure!(matches!(refused, Err(LookupError::Refused(_))), "it was not refused");
    }
    times.iter_mut().for_each(|times| times.sort_unstable());
    let names = ["forbidden", "unknown", "unknown again"];
    for (name, times) in names.into_iter().zip(&times) {
        println!("{name}: p50 {:.1?}, p99 {:.1?}", percentile(times, 50), percentile(times, 99));
    }
    let [forbidden, unknown, again] = &times;
    // Kolmogorov and Smirnov: at 5 % two samples of one distribution differ by less than this.
    let limit = 1.358 * (2.0 / count as f64).sqrt();
    println!(
        "greatest difference of distributions: forbidden and unknown {:.3}, unknown and unknown {:.3}, of chance up to {limit:.3}",
        difference(forbidden, unknown),
        difference(unknown, again)
    );
    Ok(())
}

/// The greatest difference of two empirical distributions; both are sorted.
fn difference(one: &[Duration], other: &[Duration]) -> f64 {
    let below = |times: &[Duration], at: Duration| {
        times.partition_point(|time| *time <= at) as f64 / times.len() as f64
    };
    one.iter().chain(other).map(|at| (below(one, *at) - below(other, *at)).abs()).fold(0.0, f64::max)
}
