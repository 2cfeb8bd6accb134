//! What a score means: how often a stranger's lookup reaches it in a gallery of so many references, and how much rather two captures of one person do.
//!
//! A lookup stops a stranger when the *highest* of its nonmated scores reaches the threshold. So that is what is measured: of many probes the highest score
//! with other subjects ([`maxima`]), in the whole gallery and in shares of it, each a quarter of the one before. For each of these sizes the distribution
//! is the empirical one below a high score, and a generalised Pareto tail above it ([`tail`]). Between sizes it is interpolated; for N references instead
//! of n, `1 - FPIR` is raised to the power N / n.
//!
//! **How sure.** Two probes that are each other's best tell of one event, and so do all whose best is the same person: they are resampled together
//! (a bootstrap of clusters), and intervals hold 95 % of what the resampled distributions say.
//!
//! **People on record under two names** have mated scores among those taken for nonmated. They are told by a mixture with the gallery's own mated scores,
//! and count only as far as they are rather nonmated. Real look-alikes as close as two captures of one person are suspected, too: people judge.

mod level;
mod mated;
pub mod maxima;
mod tail;

pub use maxima::{Maxima, Whose};

use crate::{rates::Fpir, score::Threshold, template::ModelId};
use level::Level;
use mated::Mated;
use rand::Rng;
use serde::{Deserialize, Serialize};

/// Fewer probes tell nothing.
pub const LEAST_PROBES: usize = 200;
/// References of the smallest gallery that is told of.
const LEAST_REFERENCES: f64 = 32.0;
/// Beyond what was measured, an answer is given up to so many times as far, and says so.
const REACH: f64 = 10.0;
/// A gallery that has grown by less is the same.
const SAME: f64 = 1.1;

/// What scores of a model mean in galleries of some sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Of which model's scores.
    pub model: ModelId,
    /// References that were compared with.
    pub references: u64,
    /// Probes that were compared, each a lookup of somebody who is not there.
    pub probes: u64,
    /// From the whole gallery down.
    levels: Vec<Level>,
    mated: Mated,
    /// Probes whose highest score is rather a mated one: of somebody on record under two names.
    pub excluded: u64,
}

/// Why there is no calibration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalibrationError {
    /// Too few probes or subjects.
    #[error("{0} subjects could be compared with others; less than {LEAST_PROBES} tell nothing")]
    TooFew(u64),
    /// All the same score.
    #[error("the highest scores of different subjects are all the same: they tell nothing")]
    Flat,
    /// So many of those who resemble somebody most are rather the same person, or resemble as closely as one, that strangers are not told from them.
    #[error("too many may be on record under two names to tell strangers from them: deduplicate first")]
    Mixed,
}

/// Why nothing can be said.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum BeyondError {
    /// A rarer event than there are data for.
    #[error(
        "the calibration has {probes} probes: at {references} references it tells of an FPIR of {least:.1e} and above"
    )]
    Rare {
        /// Probes.
        probes: u64,
        /// References asked for.
        references: u64,
        /// The least rate that is told of.
        least: f64,
    },
    /// Not even two equal templates reach a score that is so rare among strangers.
    #[error(
        "at {references} references strangers have scores so high that no threshold is so rarely reached"
    )]
    Unreachable {
        /// References asked for.
        references: u64,
    },
    /// A larger gallery than ten times the one that was measured.
    #[error(
        "the calibration is of {measured} references, and tells of up to ten times as many, not of {references}"
    )]
    Large {
        /// References that were measured.
        measured: u64,
        /// References asked for.
        references: u64,
    },
}

/// How often a stranger's lookup reaches a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The threshold.
    pub threshold: f32,
    /// In a gallery of so many references.
    pub references: u64,
    /// The false positive identification rate.
    pub fpir: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Beyond what was measured: rarer than one of the probes, or in a gallery more than a tenth larger.
    pub extrapolated: bool,
}

/// Two subjects who may be one person.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Suspect {
    /// Whose probe.
    pub probe: Whose,
    /// Who resembles it most.
    pub other: u64,
    /// Their score.
    pub score: f32,
    /// The probability that it is a mated one. So much less the probe counts.
    pub probability: f64,
}

/// From which probability on two are reported.
pub const SUSPECT: f64 = 0.05;

impl Calibration {
    /// Fits what was seen, and tells who may be on record under two names, the likeliest first. Chance draws the resampling.
    ///
    /// # Errors
    /// When too little was seen.
    pub fn fit(maxima: &Maxima, chance: &mut impl Rng) -> Result<(Self, Vec<Suspect>), CalibrationError> {
        let seen: Vec<_> = maxima.seen().iter().filter(|seen| seen.at(0).compared > 0).collect();
        if seen.len() < LEAST_PROBES {
            return Err(CalibrationError::TooFew(seen.len() as u64));
        }
        let mated = Mated::of(seen.iter().filter_map(|seen| seen.mated));
        let (whole, probabilities) = Level::whole(&seen, &mated, chance)?;
        let mut levels = vec![whole];
        for level in 1..maxima::LEVELS {
            let compared: u64 = seen.iter().map(|seen| u64::from(seen.at(level).compared)).sum();
            if (compared as f64) < LEAST_REFERENCES * seen.len() as f64 {
                break;
            }
            levels.push(Level::part(&seen, level, &probabilities, chance)?);
        }
        let suspect = |(seen, probability): (&&maxima::Seen, &f64)| {
            let best = seen.at(0);
            let suspect = Suspect {
                probe: seen.whose,
                other: best.subject,
                score: best.score,
                probability: *probability,
            };
            (*probability >= SUSPECT).then_some(suspect)
        };
        let mut suspects: Vec<Suspect> = seen.iter().zip(&probabilities).filter_map(suspect).collect();
        suspects.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        let calibration = Self {
            model: maxima.model().clone(),
            references: maxima.references(),
            probes: seen.len() as u64,
            levels,
            mated,
            excluded: probabilities.iter().filter(|p| **p >= 0.5).count() as u64,
        };
        Ok((calibration, suspects))
    }

    /// The score that such a share of strangers' lookups reaches in a gallery of so many references, and how sure that is.
    ///
    /// # Errors
    /// Where the calibration cannot tell.
    pub fn threshold(&self, fpir: Fpir, references: u64) -> Result<Estimate, BeyondError> {
        let (near, far, share) = self.around(references)?;
        let own = |level: &Level| rarer(fpir.value(), level.references / references.max(1) as f64);
        // A gallery that grows within what is taken for the same is not to lose its threshold on the way.
        if own(far) * far.probes as f64 * REACH * SAME < 1.0 {
            let least = rarer(1.0 / (far.probes as f64 * REACH), references as f64 / far.references);
            return Err(BeyondError::Rare { probes: far.probes, references, least });
        }
        let at = |level: &Level| level.quantile(own(level));
        let score = at(near) * (1.0 - share) + at(far) * share;
        // Rounded to the stricter side. A threshold that nobody reaches is none.
        let threshold = Threshold::new((score as f32).next_up()).ok().filter(|it| it.value() < 1.0);
        self.fpir(threshold.ok_or(BeyondError::Unreachable { references })?, references)
    }

    /// How often a stranger's lookup reaches this threshold in a gallery of so many references.
    ///
    /// # Errors
    /// Where the gallery is larger than the calibration can tell of.
    pub fn fpir(&self, threshold: Threshold, references: u64) -> Result<Estimate, BeyondError> {
        let (near, far, share) = self.around(references)?;
        let score = f64::from(threshold.value());
        let told = |level: &Level| {
            let power = references.max(1) as f64 / level.references;
            let (rate, low, high) = level.rate(score);
            let sparse = rate * (level.probes as f64) < 1.0;
            ([rate, low, high].map(|rate| rarer(rate, power)), sparse)
        };
        let ((near, _), (far, sparse)) = (told(near), told(far));
        let mixed = |at: usize| geometric(near[at], far[at], share);
        let larger = references as f64 > self.references as f64 * SAME;
        Ok(Estimate {
            threshold: threshold.value(),
            references,
            fpir: mixed(0),
            low: mixed(1),
            high: mixed(2),
            extrapolated: larger || sparse,
        })
    }

    /// How often two captures of different people reach a score.
    pub fn fmr(&self, score: f32) -> f64 {
        let score = f64::from(score);
        let told = |level: &&Level| level.share(score) <= 0.5;
        let level = self.levels.iter().find(told).or(self.levels.last()).expect("a calibration has a level");
        rarer(level.share(score), 1.0 / level.references)
    }

    /// How much rather two captures of one person have this score than two of different people; `None` where too few pairs of one person were
    /// seen to tell. Never said to be more, or less, than the pairs that were seen can tell.
    pub fn likelihood_ratio(&self, score: f32) -> Option<f64> {
        const STEP: f32 = 0.01;
        let mated = self.mated.density(f64::from(score))?;
        let (above, below) = (self.fmr(score + STEP), self.fmr(score - STEP));
        let nonmated = (below - above) / f64::from(2.0 * STEP);
        let most = self.probes as f64 * self.references as f64;
        Some((mated / nonmated.max(f64::MIN_POSITIVE)).clamp(1.0 / most, most))
    }

    /// Pairs of one person that were seen.
    pub fn mated_pairs(&self) -> u64 {
        self.mated.pairs
    }

    /// References of each size of gallery that was measured, from the whole one down.
    pub fn sizes(&self) -> impl Iterator<Item = u64> + '_ {
        #[expect(clippy::cast_sign_loss, reason = "a mean of counts")]
        self.levels.iter().map(|level| level.references.round() as u64)
    }

    /// Has the gallery grown so much that it should be measured again? Of a smaller one it tells as well.
    pub fn outgrown(&self, references: u64) -> bool {
        references as f64 > self.references as f64 * SAME
    }

    /// Was it made by [`fit`](Self::fit)? What comes from elsewhere may hold any numbers.
    pub fn is_sound(&self) -> bool {
        let whole = self.levels.first().is_some_and(|whole| whole.references <= self.references as f64);
        let descending = whole && self.levels.windows(2).all(|pair| pair[0].references > pair[1].references);
        let sound = !self.levels.is_empty() && self.levels.iter().all(Level::is_sound) && descending;
        sound && self.mated.is_sound() && self.probes >= LEAST_PROBES as u64 && self.references > 0
    }

    /// The sizes next to this one, and how far it is from the first to the second, by ratio.
    fn around(&self, references: u64) -> Result<(&Level, &Level, f64), BeyondError> {
        let wanted = references.max(1) as f64;
        let whole = &self.levels[0];
        if wanted > whole.references * REACH {
            return Err(BeyondError::Large { measured: self.references, references });
        }
        let far = self.levels.iter().rposition(|level| level.references >= wanted).unwrap_or(0);
        let (near, far) = (self.levels.get(far + 1).unwrap_or(&self.levels[far]), &self.levels[far]);
        if wanted >= far.references || near.references >= wanted {
            let only = if wanted >= far.references { far } else { near };
            return Ok((only, only, 0.0));
        }
        let share = (wanted / near.references).ln() / (far.references / near.references).ln();
        Ok((near, far, share))
    }
}

/// `1 - (1 - rate)^power`, for a power above 0.
fn rarer(rate: f64, power: f64) -> f64 {
    if rate >= 1.0 { 1.0 } else { -((-rate).ln_1p() * power).exp_m1() }
}

/// Between two rates, by their logarithms; linearly where one is 0.
fn geometric(near: f64, far: f64, share: f64) -> f64 {
    if near > 0.0 && far > 0.0 {
        (near.ln() * (1.0 - share) + far.ln() * share).exp()
    } else {
        near * (1.0 - share) + far * share
    }
}

#[cfg(test)]
mod tests;
