use super::*;
use crate::{
    kernel::Kernel,
    population::{Imitation, Population},
    rows::Rows,
    template::{ModelId, ModelProfile},
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

const DIMENSION: usize = 160;

fn pool() -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap()
}

fn population() -> Population {
    let like = Imitation { dimension: DIMENSION, nonmated_sd: 0.085, mated_mean: 0.72, mated_sd: 0.1 };
    Population::imitating(&like, &mut ChaCha8Rng::seed_from_u64(1)).unwrap()
}

/// Captures of people, drawn under a seed.
fn rows(population: &Population, who: &[(u64, u64)], seed: u64) -> Rows {
    let profile = ModelProfile::new(ModelId::new("test").unwrap(), DIMENSION, None).unwrap();
    let features = population.captures(who, |person, draw| {
        ChaCha8Rng::seed_from_u64(seed ^ person.wrapping_mul(0x9e37_79b9) ^ (draw << 48))
    });
    let mut rows = Rows::new(profile.id().clone(), DIMENSION);
    features.rows().into_iter().for_each(|row| rows.push(&profile.template(&row.to_vec()).unwrap()));
    rows
}

fn whose(count: u64, first: u64) -> Vec<Whose> {
    (0..count).map(|i| Whose { subject: i, reference: first + i }).collect()
}

/// People, and again the first of them, compared with each other.
fn compared(count: u64, again: u64, seed: u64) -> Maxima {
    let who: Vec<(u64, u64)> = (0..count).map(|i| (i, 0)).collect();
    let second: Vec<(u64, u64)> = (0..again).map(|i| (i, 1)).collect();
    let (first, second) = (rows(&population(), &who, seed), rows(&population(), &second, seed));
    let mut maxima = Maxima::begin(Kernel::detect(), first.clone(), &whose(count, 0), seed);
    maxima.observe(&pool(), &first, &whose(count, 0));
    maxima.observe(&pool(), &second, &whose(again, count));
    maxima
}

fn fitted(maxima: &Maxima) -> (Calibration, Vec<Suspect>) {
    Calibration::fit(maxima, &mut ChaCha8Rng::seed_from_u64(9)).unwrap()
}

/// The share of strangers who reach a threshold among the people of a seed.
fn realised(count: u32, strangers: u32, threshold: f32, seed: u64) -> Vec<f32> {
    let who = |from: u32, to: u32| (from..to).map(|i| (u64::from(i), 0)).collect::<Vec<_>>();
    let gallery = rows(&population(), &who(0, count), seed);
    let probes = rows(&population(), &who(1_000_000, 1_000_000 + strangers), seed);
    let mut scores = vec![0.0; count as usize];
    let highest = (0..strangers as usize).map(|probe| {
        Kernel::detect().scores(probes.blocks(probe, 1), gallery.blocks(0, count as usize), &mut scores);
        scores.iter().copied().fold(-1.0, f32::max)
    });
    highest.filter(|score| *score >= threshold).collect()
}

#[test]
fn what_is_stopped_is_what_was_asked_for() {
    // Twelve galleries of a thousand; `cargo run --release -p benches --bin calibration` tries hundreds, to a million.
    let (mut inside, mut tried) = (0, 0);
    for seed in 0..12 {
        let (calibration, _) = fitted(&compared(1000, 0, seed));
        for wanted in [0.1, 0.01] {
            let told = calibration.threshold(Fpir::new(wanted).unwrap(), 1000).unwrap();
            assert!(
                (told.fpir / wanted - 1.0).abs() < 0.01 && told.low < wanted && told.high > wanted,
                "{told:?}"
            );
            let strangers = 4000.0;
            let stopped = realised(1000, 4000, told.threshold, seed).len() as f64;
            let noise = |rate: f64| 1.96 * (rate * (1.0 - rate) / strangers).sqrt();
            let (low, high) = (told.low - noise(told.low), told.high + noise(told.high));
            inside += u32::from((low..=high).contains(&(stopped / strangers)));
            tried += 1;
        }
    }
    assert!(inside * 10 >= tried * 9, "{inside} of {tried}");
}

#[test]
fn a_threshold_grows_with_the_gallery_and_with_what_is_asked() {
    let (calibration, _) = fitted(&compared(1500, 300, 3));
    let at = |fpir: f64, references: u64| calibration.threshold(Fpir::new(fpir).unwrap(), references);
    let sizes: Vec<f32> = [1, 10, 40, 100, 300, 374, 376, 1000, 1500, 1800, 5000, 15000]
        .into_iter()
        .map(|n| at(0.05, n).unwrap().threshold)
        .collect();
    assert!(sizes.is_sorted_by(|a, b| a < b), "{sizes:?}");
    let rates: Vec<f32> =
        [0.9, 0.5, 0.2, 0.1, 0.02, 0.001].into_iter().map(|f| at(f, 700).unwrap().threshold).collect();
    assert!(rates.is_sorted_by(|a, b| a < b), "{rates:?}");
    // Of what is far from the data it says so, or nothing.
    assert!(!at(0.01, 1500).unwrap().extrapolated && at(0.0004, 1500).unwrap().extrapolated);
    assert!(at(0.05, 5000).unwrap().extrapolated);
    assert!(
        matches!(at(1e-5, 1500), Err(BeyondError::Rare { least, .. }) if (least * 15_000.0).ln().abs() < 0.3)
    );
    assert!(matches!(at(0.1, 30_000), Err(BeyondError::Large { references: 30_000, .. })));
    assert!(calibration.outgrown(2100) && !calibration.outgrown(1900) && !calibration.outgrown(100));
}

#[test]
fn rates_go_with_thresholds_and_back() {
    let (calibration, _) = fitted(&compared(1500, 300, 4));
    for references in [20, 200, 1500, 3000] {
        for wanted in [0.7, 0.2, 0.05, 0.01] {
            let told = calibration.threshold(Fpir::new(wanted).unwrap(), references).unwrap();
            assert!((told.fpir / wanted - 1.0).abs() < 0.05, "{wanted} of {references}: {told:?}");
            assert!(told.low <= told.fpir && told.fpir <= told.high, "{told:?}");
        }
    }
    let scores = [-0.5, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.9];
    let falling = scores.map(|score| calibration.fmr(score));
    assert!(falling.is_sorted_by(|a, b| a >= b), "{falling:?}");
    let ratios = [0.15, 0.25, 0.35, 0.45, 0.55].map(|score| calibration.likelihood_ratio(score).unwrap());
    assert!(ratios.is_sorted_by(|a, b| a < b) && ratios[0] < 1.0 && ratios[4] > 1e4, "{ratios:?}");
    assert_eq!(
        fitted(&compared(1500, 10, 4)).0.likelihood_ratio(0.5),
        None,
        "of too few pairs of one person"
    );
}

#[test]
fn false_match_rates_are_those_of_pairs() {
    let (calibration, _) = fitted(&compared(1500, 0, 5));
    let gallery = rows(&population(), &(0..1500).map(|i| (i, 0)).collect::<Vec<_>>(), 5);
    let mut scores = vec![0.0; 1500];
    let mut all = Vec::new();
    for probe in 0..1500 {
        Kernel::detect().scores(gallery.blocks(probe, 1), gallery.blocks(0, 1500), &mut scores);
        all.extend(scores[..probe].iter().copied());
    }
    for (score, tolerance) in [(0.2, 0.1), (0.24, 0.1), (0.28, 0.1), (0.32, 0.2)] {
        let measured = all.iter().filter(|pair| **pair >= score).count() as f64 / all.len() as f64;
        let told = calibration.fmr(score);
        assert!((told / measured).ln().abs() < tolerance, "{score}: {told} {measured}");
    }
}

#[test]
fn one_person_under_two_names_is_reported_and_spoils_nothing() {
    let clean = compared(2000, 600, 7);
    let mut poisoned = clean.clone();
    // Twenty of them once more, as others.
    let again: Vec<(u64, u64)> = (0..20).map(|i| (100 * i + 7, 2)).collect();
    let others: Vec<Whose> = (0..20).map(|i| Whose { subject: 5000 + i, reference: 5000 + i }).collect();
    poisoned.observe(&pool(), &rows(&population(), &again, 7), &others);
    let ((clean, none), (fit, suspects)) = (fitted(&clean), fitted(&poisoned));
    assert!(none.is_empty(), "{none:?}");
    let found = (0..20)
        .filter(|i| suspects.iter().any(|one| one.other == 5000 + i && one.probe.subject == 100 * i + 7));
    assert!(found.count() >= 19 && fit.excluded >= 18, "{suspects:?}");
    // A single one that is doubtful is a twentieth of those that count at 0.01; larger galleries: `--bin calibration -- poison`.
    for (wanted, most) in [(0.1, 0.05), (0.01, 0.1)] {
        let threshold =
            |fit: &Calibration| fit.threshold(Fpir::new(wanted).unwrap(), 2000).unwrap().threshold;
        let at = Threshold::new(threshold(&clean)).unwrap();
        let ratio = fit.fpir(at, 2000).unwrap().fpir / clean.fpir(at, 2000).unwrap().fpir;
        assert!((ratio - 1.0).abs() < most, "{wanted}: {ratio}");
    }
}

#[test]
fn too_little_is_no_calibration() {
    let few = Calibration::fit(&compared(150, 0, 1), &mut ChaCha8Rng::seed_from_u64(9));
    assert_eq!(few.unwrap_err(), CalibrationError::TooFew(150));
    // All at right angles to each other.
    let profile = ModelProfile::new(ModelId::new("test").unwrap(), 512, None).unwrap();
    let mut rows = Rows::new(profile.id().clone(), 512);
    for person in 0..300 {
        let mut features = [0.0; 512];
        features[person] = 1.0;
        rows.push(&profile.template(&features).unwrap());
    }
    let mut maxima = Maxima::begin(Kernel::detect(), rows.clone(), &whose(300, 0), 1);
    maxima.observe(&pool(), &rows, &whose(300, 0));
    let flat = Calibration::fit(&maxima, &mut ChaCha8Rng::seed_from_u64(9));
    assert_eq!(flat.unwrap_err(), CalibrationError::Flat);
}

#[test]
fn what_is_written_is_read_back_and_what_is_not_one_is_told() {
    let (calibration, _) = fitted(&compared(1000, 200, 3));
    let json = serde_json::to_string(&calibration).unwrap();
    let read: Calibration = serde_json::from_str(&json).unwrap();
    assert!(read.is_sound() && calibration.is_sound(), "{json}");
    let told = |of: &Calibration| of.threshold(Fpir::new(0.01).unwrap(), 400).unwrap();
    let (before, after) = (told(&calibration), told(&read));
    assert!(
        (before.threshold - after.threshold).abs() < 1e-6 && (before.high / after.high - 1.0).abs() < 1e-6
    );
    for (from, to) in [
        ("\"probes\":1000", "\"probes\":1"),
        ("\"scale\":", "\"scale\":-"),
        ("\"scale\":0", "\"scale\":99990"),
        ("\"pairs\":200", "\"pairs\":201"),
    ] {
        let other: Calibration = serde_json::from_str(&json.replace(from, to)).unwrap();
        assert!(json.contains(from) && !other.is_sound(), "{to}");
    }
}

#[test]
fn of_a_gallery_full_of_people_under_two_names_nothing_is_told() {
    for share in [5, 20, 60] {
        let clean = compared(1000, 300, 8);
        let (mut mixed, again) = (clean.clone(), 1000 * share / 100);
        let others: Vec<(u64, u64)> = (0..again).map(|i| (i, 2)).collect();
        let whose: Vec<Whose> =
            (0..again).map(|i| Whose { subject: 5000 + i, reference: 5000 + i }).collect();
        mixed.observe(&pool(), &rows(&population(), &others, 8), &whose);
        let fit = Calibration::fit(&mixed, &mut ChaCha8Rng::seed_from_u64(9));
        match fit {
            // As it would be without them, or not at all.
            Ok((fit, _)) => {
                let told = |of: &Calibration| of.threshold(Fpir::new(0.05).unwrap(), 1000).unwrap().threshold;
                assert!(
                    share < 20 && fit.is_sound() && (told(&fit) - told(&fitted(&clean).0)).abs() < 0.02,
                    "{share}"
                );
            }
            Err(error) => assert!(share > 5 && error == CalibrationError::Mixed, "{share}: {error}"),
        }
    }
}

#[test]
fn of_nobody_and_of_every_score_something_finite_is_told() {
    let (calibration, _) = fitted(&compared(1000, 200, 3));
    for references in [0, 1, 5, 1000, 10_000] {
        for score in [-1.0, -0.5, 0.0, 0.5, 0.999, 1.0] {
            let told = calibration.fpir(Threshold::new(score).unwrap(), references).unwrap();
            let rates = [told.fpir, told.low, told.high];
            assert!(rates.iter().all(|rate| (0.0..=1.0).contains(rate)), "{told:?}");
            assert!((0.0..=1.0).contains(&calibration.fmr(score)));
        }
    }
}
