//! The error rates of searches whose truth is known.
//!
//! A mated search misses when its mate's score is below the threshold, or no template could be made of the probe; a nonmated search stops somebody when its
//! highest score reaches it. Intervals are Wilson's 95 %, as wide as the number of *people* allows: several searches of one person are not independent.

use super::{
    differentials::{self, Differential},
    outcome::Outcome,
};
use matcher::{
    calibration::Calibration,
    rates::{Fpir, Rate, Reach},
    score::Threshold,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Rates of false positives at which rates of misses are told.
pub(crate) const FPIRS: [f64; 6] = [1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4];
/// False match rates at which false non-match rates are told.
const FMRS: [f64; 5] = [1e-2, 1e-3, 1e-4, 1e-5, 1e-6];
/// The rate of false positives at which groups, sizes and discarding are told, if there are data for it.
pub(crate) const USUAL: f64 = 1e-2;
/// With fewer errors a rate is rather an order of magnitude (Doddington's rule of 30).
pub(crate) const FEW: u64 = 30;
/// Points of a curve.
const POINTS: usize = 200;
/// Width of a bin of scores.
const BIN: f64 = 0.02;

/// What was searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) references: u64,
    pub(crate) subjects: u64,
    /// Samples to be enrolled of which no template could be made.
    pub(crate) failed_enrolments: u64,
    pub(crate) mated: u64,
    pub(crate) nonmated: u64,
    pub(crate) mated_people: u64,
    pub(crate) nonmated_people: u64,
    /// Searches of whose probe no template could be made.
    pub(crate) failed_searches: u64,
}

/// Rates at one threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct At {
    /// The FPIR that was asked for; of a threshold that was given, none.
    pub(crate) asked: Option<f64>,
    /// Absent where the searches are too few to tell.
    pub(crate) threshold: Option<f32>,
    pub(crate) fpir: Option<Rate>,
    pub(crate) fnir: Option<Rate>,
    /// What is to be known of it.
    pub(crate) note: Option<String>,
}

/// A point of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    pub(crate) threshold: f32,
    pub(crate) fpir: f64,
    pub(crate) fnir: f64,
}

/// Scores from `from` to below `to`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bin {
    pub(crate) from: f64,
    pub(crate) mated: u64,
    /// Highest scores of nonmated searches.
    pub(crate) highest: u64,
    /// Scores with somebody drawn by lot.
    pub(crate) nonmated: u64,
}

/// One comparison at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OneToOne {
    pub(crate) asked: f64,
    pub(crate) threshold: Option<f32>,
    pub(crate) fmr: Option<Rate>,
    pub(crate) fnmr: Option<Rate>,
}

/// Misses in a gallery of another size, at the usual FPIR.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sized {
    pub(crate) references: u64,
    pub(crate) threshold: f32,
    pub(crate) fnir: f64,
    pub(crate) extrapolated: bool,
}

/// What a calibration says, and what these searches say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Checked {
    pub(crate) asked: f64,
    pub(crate) threshold: Option<f32>,
    /// The calibration's interval.
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
    pub(crate) extrapolated: bool,
    pub(crate) realised: Option<Rate>,
    pub(crate) fnir: Option<Rate>,
    /// Do both intervals share a rate?
    pub(crate) agrees: Option<bool>,
    pub(crate) note: Option<String>,
}

/// Misses when the worst probes are discarded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Discarded {
    /// Share of mated searches whose quality is lower.
    pub(crate) share: f64,
    /// The least quality that is left.
    pub(crate) quality: u8,
    pub(crate) fnir: Rate,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measures {
    pub(crate) counts: Counts,
    pub(crate) at: Vec<At>,
    pub(crate) det: Vec<Point>,
    /// Share of mated searches whose mate is among so many, whatever its score.
    pub(crate) cmc: Vec<f64>,
    pub(crate) bins: Vec<Bin>,
    pub(crate) one_to_one: Vec<OneToOne>,
    pub(crate) sizes: Vec<Sized>,
    pub(crate) differentials: Vec<Differential>,
    pub(crate) discarding: Vec<Discarded>,
    pub(crate) calibration: Vec<Checked>,
}

/// The searches, ordered for counting.
pub(crate) struct Counted<'a> {
    pub(crate) mated: Vec<&'a Outcome>,
    pub(crate) nonmated: Vec<&'a Outcome>,
    mates: Reach,
    highest: Reach,
}

impl<'a> Counted<'a> {
    pub(crate) fn of(outcomes: &'a [Outcome]) -> Self {
        let (mated, nonmated): (Vec<_>, Vec<_>) = outcomes.iter().partition(|one| one.mated);
        let mates = Reach::of(mated.iter().map(|one| one.mate));
        let highest = Reach::of(nonmated.iter().map(|one| one.other));
        Self { mated, nonmated, mates, highest }
    }

    /// The lowest threshold at which at most such a share of nonmated searches stops somebody.
    pub(crate) fn threshold(&self, fpir: f64) -> Option<f32> {
        self.highest.threshold(fpir)
    }

    pub(crate) fn fpir(&self, threshold: f32) -> Rate {
        rate(&self.nonmated, |one| stops(one, threshold))
    }

    pub(crate) fn fnir(&self, threshold: f32) -> Rate {
        rate(&self.mated, |one| misses(one, threshold))
    }

    /// The threshold at which groups, sizes and discarding are told: at the usual FPIR, or the least that can be told.
    pub(crate) fn usual(&self) -> Option<(f64, f32)> {
        FPIRS
            .into_iter()
            .filter(|fpir| *fpir >= USUAL)
            .rev()
            .find_map(|fpir| Some((fpir, self.threshold(fpir)?)))
    }

    fn det(&self) -> Vec<Point> {
        let scores = self.highest.descending();
        let ratio = (scores.len().max(2) as f64).powf(1.0 / POINTS as f64);
        #[expect(clippy::cast_sign_loss, reason = "a power of something positive")]
        let mut places: Vec<usize> = (0..=POINTS).map(|i| ratio.powi(i as i32) as usize - 1).collect();
        places.dedup();
        let point = |at: usize| {
            let threshold = *scores.get(at)?;
            let fnir = 1.0 - self.mates.share(threshold);
            Some(Point { threshold, fpir: self.highest.share(threshold), fnir })
        };
        let mut points: Vec<Point> = places.into_iter().filter_map(point).collect();
        points.dedup_by_key(|point| point.threshold.to_bits());
        points
    }
}

pub(crate) fn stops(one: &Outcome, threshold: f32) -> bool {
    one.other.is_some_and(|score| score >= threshold)
}

pub(crate) fn misses(one: &Outcome, threshold: f32) -> bool {
    one.mate.is_none_or(|score| score < threshold)
}

/// The share of searches of which it is so, by people.
pub(crate) fn rate(searches: &[&Outcome], is: impl Fn(&Outcome) -> bool) -> Rate {
    let mut people = BTreeMap::<&str, (u64, u64)>::new();
    for one in searches {
        let (count, of) = people.entry(&one.subject).or_default();
        *count += u64::from(is(one));
        *of += 1;
    }
    Rate::of_groups(people.into_values())
}

impl Measures {
    /// Of searches, scores with people drawn by lot, thresholds that were given, the calibration of the nonmated searches (for other sizes), and one that is to be checked.
    pub(crate) fn of(
        (outcomes, columns): (&[Outcome], &[String]),
        nonmated: &[f32],
        given: &[f32],
        limit: usize,
        counts: Counts,
        (own, checked): (Option<&Calibration>, Option<&Calibration>),
    ) -> Self {
        let counted = Counted::of(outcomes);
        let mut at: Vec<At> = FPIRS.iter().map(|fpir| asked(&counted, *fpir)).collect();
        at.extend(given.iter().map(|threshold| At {
            asked: None,
            threshold: Some(*threshold),
            fpir: Some(counted.fpir(*threshold)),
            fnir: Some(counted.fnir(*threshold)),
            note: None,
        }));
        Self {
            at,
            det: counted.det(),
            cmc: cmc(&counted.mated, limit),
            bins: bins(&counted, nonmated),
            one_to_one: one_to_one(outcomes, &counted, nonmated),
            sizes: own.map(|own| sizes(&counted, own, counts.references)).unwrap_or_default(),
            differentials: differentials::of(&counted, columns),
            discarding: discarding(&counted),
            calibration: checked.map(|it| check(&counted, it, counts.references)).unwrap_or_default(),
            counts: Counts {
                mated: counted.mated.len() as u64,
                nonmated: counted.nonmated.len() as u64,
                mated_people: people(&counted.mated),
                nonmated_people: people(&counted.nonmated),
                failed_searches: outcomes.iter().filter(|one| one.failed).count() as u64,
                ..counts
            },
        }
    }
}

fn people(searches: &[&Outcome]) -> u64 {
    searches.iter().map(|one| &one.subject).collect::<std::collections::HashSet<_>>().len() as u64
}

fn asked(counted: &Counted<'_>, fpir: f64) -> At {
    let threshold = counted.threshold(fpir);
    let rates = threshold.map(|threshold| (counted.fpir(threshold), counted.fnir(threshold)));
    let count = counted.nonmated.len();
    let note = match &rates {
        None => {
            #[expect(clippy::cast_sign_loss, reason = "a rate is positive")]
            let needed = (1.0 / fpir).ceil() as u64;
            Some(format!("not told: {count} nonmated searches, at least {needed} are needed"))
        }
        Some((stopped, _)) if stopped.count < FEW => {
            Some(format!("an order of magnitude: {} nonmated searches reach it", stopped.count))
        }
        Some(_) => None,
    };
    let (fpir_told, fnir) = rates.unzip();
    At { asked: Some(fpir), threshold, fpir: fpir_told, fnir, note }
}

fn cmc(mated: &[&Outcome], limit: usize) -> Vec<f64> {
    let mut counts = vec![0_u64; limit];
    mated.iter().filter_map(|one| one.rank).for_each(|rank| counts[rank as usize - 1] += 1);
    let mut sum = 0;
    let all = (mated.len() as f64).max(1.0);
    counts
        .into_iter()
        .map(|count| {
            sum += count;
            sum as f64 / all
        })
        .collect()
}

fn bins(counted: &Counted<'_>, nonmated: &[f32]) -> Vec<Bin> {
    let mut bins = BTreeMap::<i64, Bin>::new();
    let mut note = |score: f32, to: fn(&mut Bin) -> &mut u64| {
        let number = (f64::from(score) / BIN).floor() as i64;
        let empty = Bin { from: number as f64 * BIN, mated: 0, highest: 0, nonmated: 0 };
        *to(bins.entry(number).or_insert(empty)) += 1;
    };
    counted.mated.iter().filter_map(|one| one.mate).for_each(|score| note(score, |bin| &mut bin.mated));
    counted.nonmated.iter().filter_map(|one| one.other).for_each(|score| note(score, |bin| &mut bin.highest));
    nonmated.iter().filter(|x| !x.is_nan()).for_each(|score| note(*score, |bin| &mut bin.nonmated));
    bins.into_values().collect()
}

/// `nonmated` holds as many scores of each search, in the order of searches.
fn one_to_one(outcomes: &[Outcome], counted: &Counted<'_>, nonmated: &[f32]) -> Vec<OneToOne> {
    let reach = Reach::of(nonmated.iter().filter(|x| !x.is_nan()).map(|score| Some(*score)));
    let with_template: Vec<&Outcome> = counted.mated.iter().copied().filter(|one| !one.failed).collect();
    let each = (nonmated.len() / outcomes.len().max(1)).max(1);
    let fmr = |threshold: f32| {
        let mut people = BTreeMap::<&str, (u64, u64)>::new();
        for (one, scores) in outcomes.iter().zip(nonmated.chunks(each)) {
            let (count, of) = people.entry(&one.subject).or_default();
            *count += scores.iter().filter(|score| **score >= threshold).count() as u64;
            *of += scores.iter().filter(|score| !score.is_nan()).count() as u64;
        }
        Rate::of_groups(people.into_values())
    };
    let told = |asked: f64| {
        let threshold = reach.threshold(asked);
        let fnmr = threshold.map(|threshold| rate(&with_template, |one| misses(one, threshold)));
        OneToOne { asked, threshold, fmr: threshold.map(fmr), fnmr }
    };
    FMRS.into_iter().map(told).collect()
}

fn sizes(counted: &Counted<'_>, own: &Calibration, references: u64) -> Vec<Sized> {
    let fpir = Fpir::new(USUAL).expect("a rate");
    let told = |factor: i32| {
        #[expect(clippy::cast_sign_loss, reason = "a share of a count")]
        let references = (references as f64 * 2.0_f64.powi(factor)) as u64;
        let told = own.threshold(fpir, references.max(1)).ok()?;
        let fnir = 1.0 - counted.mates.share(told.threshold);
        Some(Sized { references, threshold: told.threshold, fnir, extrapolated: told.extrapolated })
    };
    (-6..=3).filter_map(told).filter(|one| one.references >= 10).collect()
}

pub(crate) fn discarding(counted: &Counted<'_>) -> Vec<Discarded> {
    let mut graded: Vec<&Outcome> =
        counted.mated.iter().copied().filter(|one| one.quality.is_some()).collect();
    let (Some((_, threshold)), false) = (counted.usual(), graded.is_empty()) else { return Vec::new() };
    graded.sort_by_key(|one| one.quality);
    let all = graded.len();
    let mut levels: Vec<u8> = graded.iter().filter_map(|one| one.quality).collect();
    levels.dedup();
    let left = |quality: u8| {
        let first = graded.partition_point(|one| one.quality < Some(quality));
        let fnir = rate(&graded[first..], |one| misses(one, threshold));
        Discarded { share: first as f64 / all as f64, quality, fnir }
    };
    levels.into_iter().map(left).collect()
}

fn check(counted: &Counted<'_>, calibration: &Calibration, references: u64) -> Vec<Checked> {
    let told = |asked: f64| {
        let told = calibration.threshold(Fpir::new(asked).expect("a rate"), references);
        let (estimate, note) = match told {
            Ok(estimate) => (Some(estimate), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let realised = estimate.map(|it| counted.fpir(it.threshold));
        let agrees = estimate.zip(realised).map(|(it, is)| is.low <= it.high && it.low <= is.high);
        Checked {
            asked,
            threshold: estimate.map(|it| it.threshold),
            low: estimate.map(|it| it.low),
            high: estimate.map(|it| it.high),
            extrapolated: estimate.is_some_and(|it| it.extrapolated),
            realised,
            fnir: estimate.map(|it| counted.fnir(it.threshold)),
            agrees,
            note,
        }
    };
    FPIRS.into_iter().map(told).collect()
}

/// The threshold of a scale, if it is one.
pub(crate) fn threshold(value: f32) -> Result<f32, String> {
    Threshold::new(value).map(Threshold::value).map_err(|error| error.to_string())
}
