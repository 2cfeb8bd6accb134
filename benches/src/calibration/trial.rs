//! One gallery: calibrated, and tried on strangers.

use crate::FPIRS;
use matcher::{
    calibration::{Calibration, Maxima, Whose},
    coded::Coded,
    filter::SlotFilter,
    index::{Query, cascade},
    kernel::Kernel,
    plan::Plan,
    population::Population,
    rates::Fpir,
    rows::{Rows, Slot},
    score::Threshold,
    template::{ModelId, ModelProfile, Probe},
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::{collections::HashSet, sync::Arc};

/// Rows that are drawn at a time.
const DRAWN: usize = 10_000;

/// How large a trial is.
pub(crate) struct Size {
    pub(crate) references: usize,
    pub(crate) strangers: usize,
    pub(crate) probes: usize,
}

/// What came of one error rate in one gallery.
pub(crate) struct Outcome {
    pub(crate) realised: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) inside: bool,
}

fn source(seed: u64) -> impl Fn(u64, u64) -> ChaCha8Rng + Sync {
    move |person, draw| {
        let mut key = [0; 32];
        for (part, number) in key.as_chunks_mut::<8>().0.iter_mut().zip([seed, person, draw]) {
            *part = number.to_le_bytes();
        }
        ChaCha8Rng::from_seed(key)
    }
}

/// Templates of captures, each with the population's mean subtracted.
fn rows(
    population: &Population,
    pool: &rayon::ThreadPool,
    seed: u64,
    who: &[(u64, u64)],
) -> anyhow::Result<Rows> {
    let dimension = population.dimension();
    let mean = population.mean().map(<[f32]>::to_vec);
    let profile = ModelProfile::new(ModelId::new("bench")?, dimension, mean)?;
    let mut rows = Rows::with_room(profile.id().clone(), dimension, who.len());
    for who in who.chunks(DRAWN) {
        let features = pool.install(|| population.captures(who, source(seed)));
        for row in features.rows() {
            rows.push(&profile.template(row.as_slice().expect("in order"))?);
        }
    }
    Ok(rows)
}

/// Calibrates, and looks strangers up.
pub(crate) fn coverage(
    population: &Population,
    pool: &rayon::ThreadPool,
    seed: u64,
    size: &Size,
) -> anyhow::Result<Vec<Outcome>> {
    let n = size.references;
    let who: Vec<_> = (0..n as u64).map(|person| (person, 0)).collect();
    let gallery = rows(population, pool, seed, &who)?;
    let whose: Vec<_> = (0..n as u64).map(|i| Whose { subject: i, reference: i }).collect();
    let chosen: Vec<usize> = (0..size.probes.min(n)).map(|i| i * n / size.probes.min(n)).collect();
    let mut probes = Rows::with_room(gallery.model().clone(), gallery.dimension(), chosen.len());
    chosen.iter().for_each(|at| probes.push_row(&gallery, *at));
    let owners: Vec<_> = chosen.iter().map(|at| whose[*at]).collect();
    let mut maxima = Maxima::begin(Kernel::detect(), probes, &owners, seed);
    maxima.observe(pool, &gallery, &whose);
    let (calibration, _) = Calibration::fit(&maxima, &mut ChaCha8Rng::seed_from_u64(seed))?;
    let asked = FPIRS.map(|fpir| calibration.threshold(Fpir::new(fpir).expect("a rate"), n as u64));
    let estimates = asked.into_iter().collect::<Result<Vec<_>, _>>()?;
    let strangers: Vec<_> = (0..size.strangers as u64).map(|i| (1 << 40 | i, 0)).collect();
    let strangers = rows(population, pool, seed, &strangers)?;
    let scores = highest(pool, &gallery, &strangers, estimates[0].threshold);
    let k = size.strangers as f64;
    let outcome = |told: matcher::calibration::Estimate| {
        let realised = scores.iter().filter(|score| **score >= told.threshold).count() as f64 / k;
        // The interval and the trial's own noise are independent: their widths add as squares, on the scale of ratios.
        let noise = 1.96 * ((1.0 - told.fpir) / (k * told.fpir)).sqrt();
        let away = (realised.max(0.1 / k) / told.fpir).ln();
        let stated = if away > 0.0 { (told.high / told.fpir).ln() } else { (told.fpir / told.low).ln() };
        Outcome { realised, low: told.low, high: told.high, inside: away.abs() <= stated.hypot(noise) }
    };
    Ok(estimates.into_iter().map(outcome).collect())
}

/// The highest score of each probe that reaches `lowest`.
fn highest(pool: &rayon::ThreadPool, gallery: &Rows, probes: &Rows, lowest: f32) -> Vec<f32> {
    let kernel = Kernel::detect();
    let threshold = Threshold::new(lowest).expect("a cosine");
    let coded = pool.install(|| {
        let plan = Plan::unfitted(gallery.dimension());
        Coded::of(Arc::new(plan), kernel, gallery, 0..gallery.len())
    });
    let segment = cascade::Segment { first: Slot(0), coded: &coded, exact: gallery };
    let all = SlotFilter::all(gallery.len());
    let mut scores = Vec::new();
    for start in (0..probes.len()).step_by(256) {
        let probes: Vec<Probe> = (start..probes.len().min(start + 256)).map(|at| probes.probe(at)).collect();
        let query = |probe| Query { probe, threshold, best: Some(1), filters: vec![&all] };
        let queries: Vec<Query<'_>> = probes.iter().map(query).collect();
        let (found, _) = cascade::search(pool, kernel, &[segment], &queries);
        scores.extend(found.iter().flat_map(|found| &found.hits).map(|hit| hit.score.value()));
    }
    scores
}

/// What people under two names change.
pub(crate) struct Poisoned {
    pub(crate) ratios: [f64; 3],
    pub(crate) duplicates: usize,
    pub(crate) reported: usize,
    pub(crate) excluded: usize,
    pub(crate) wrongly: usize,
}

/// Calibrates with and without them.
pub(crate) fn poison(
    population: &Population,
    pool: &rayon::ThreadPool,
    seed: u64,
    subjects: usize,
    share: f64,
) -> anyhow::Result<Poisoned> {
    let n = subjects as u64;
    let people: Vec<_> = (0..n).map(|person| (person, 0)).collect();
    let again: Vec<_> = (0..n).step_by(5).map(|person| (person, 1)).collect();
    #[expect(clippy::cast_sign_loss, reason = "a share of a count")]
    let twice = (share * n as f64) as u64;
    // Whose other captures stand under other names.
    let person = |i: u64| i * (n / twice) + 2;
    let others: Vec<_> = (0..twice).map(|i| (person(i), 2)).collect();
    let [people, again, others] = [people, again, others].map(|who| rows(population, pool, seed, &who));
    let (people, again, others) = (people?, again?, others?);
    let whose = |subjects: &mut dyn Iterator<Item = u64>, first: u64| -> Vec<Whose> {
        subjects.zip(first..).map(|(subject, reference)| Whose { subject, reference }).collect()
    };
    let first = whose(&mut (0..n), 0);
    let second = whose(&mut (0..n).step_by(5), n);
    let under_other_names = whose(&mut (n..n + twice), 2 * n);
    let calibrate = |poisoned: bool| -> anyhow::Result<_> {
        let (mut probes, mut owners) = (people.clone(), first.clone());
        if poisoned {
            probes.append(&others);
            owners.extend(&under_other_names);
        }
        let mut maxima = Maxima::begin(Kernel::detect(), probes, &owners, seed);
        maxima.observe(pool, &people, &first);
        maxima.observe(pool, &again, &second);
        if poisoned {
            maxima.observe(pool, &others, &under_other_names);
        }
        Ok(Calibration::fit(&maxima, &mut ChaCha8Rng::seed_from_u64(seed))?)
    };
    let ((clean, _), (poisoned, suspects)) = (calibrate(false)?, calibrate(true)?);
    let mut ratios = [0.0; 3];
    for (ratio, fpir) in ratios.iter_mut().zip(FPIRS) {
        let references = clean.references;
        let told = clean.threshold(Fpir::new(fpir)?, references)?;
        let threshold = Threshold::new(told.threshold)?;
        *ratio = poisoned.fpir(threshold, references)?.fpir / told.fpir;
    }
    let true_pair = |one: &matcher::calibration::Suspect| {
        let (a, b) = (one.probe.subject.min(one.other), one.probe.subject.max(one.other));
        b >= n && person(b - n) == a
    };
    let found = |least: f64| {
        let all = suspects.iter().filter(|one| one.probability >= least && true_pair(one));
        all.map(|one| one.probe.subject.max(one.other)).collect::<HashSet<_>>().len()
    };
    Ok(Poisoned {
        ratios,
        duplicates: twice as usize,
        reported: found(0.0),
        excluded: found(0.5),
        wrongly: suspects.iter().filter(|one| !true_pair(one)).count(),
    })
}
