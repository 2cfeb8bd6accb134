//! A calibration that is in use.

use crate::{id::CalibrationId, timestamp::Timestamp};
use matcher::{
    calibration::{BeyondError, Calibration, Estimate},
    rates::Fpir,
    score::Threshold,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// What scores of a model mean, as it was measured once.
#[derive(Debug)]
pub struct Calibrated {
    /// Named in certificates.
    pub id: CalibrationId,
    /// When it came into use.
    pub made_at: Timestamp,
    /// The distributions.
    pub calibration: Calibration,
    told: Mutex<HashMap<Question, Estimate>>,
}

/// A threshold or an FPIR, by its bits, among so many references.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Question {
    Threshold(u32, u64),
    Fpir(u64, u64),
}

/// Answers that are kept: lookups ask the same of the same lists again and again, and an interval is hundreds of tails.
const KEPT: usize = 4096;

impl Calibrated {
    /// In use from then on.
    pub(crate) fn new(id: CalibrationId, made_at: Timestamp, calibration: Calibration) -> Self {
        Self { id, made_at, calibration, told: Mutex::default() }
    }

    /// How often a stranger's lookup reaches a threshold among so many references.
    ///
    /// # Errors
    /// Where the calibration cannot tell.
    pub(crate) fn fpir(&self, threshold: Threshold, references: u64) -> Result<Estimate, BeyondError> {
        let question = Question::Threshold(threshold.value().to_bits(), references);
        self.once(question, || self.calibration.fpir(threshold, references))
    }

    /// The threshold for an FPIR among so many references.
    ///
    /// # Errors
    /// Where the calibration cannot tell.
    pub(crate) fn threshold(&self, fpir: Fpir, references: u64) -> Result<Estimate, BeyondError> {
        let question = Question::Fpir(fpir.value().to_bits(), references);
        self.once(question, || self.calibration.threshold(fpir, references))
    }

    fn once(
        &self,
        question: Question,
        tell: impl FnOnce() -> Result<Estimate, BeyondError>,
    ) -> Result<Estimate, BeyondError> {
        let told = || self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = told().get(&question) {
            return Ok(*known);
        }
        let estimate = tell()?;
        let mut told = told();
        if told.len() >= KEPT {
            told.clear();
        }
        told.insert(question, estimate);
        Ok(estimate)
    }
}

/// What a score means.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meaning {
    /// How often two captures of different people reach it.
    pub false_match_rate: f64,
    /// How much rather two captures of one person have it than two of different people; absent where the gallery has too few people with two
    /// captures to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likelihood_ratio: Option<f64>,
}

impl Meaning {
    /// By a calibration.
    pub(crate) fn of(score: f32, calibration: &Calibration) -> Self {
        let (false_match_rate, likelihood_ratio) =
            (calibration.fmr(score), calibration.likelihood_ratio(score));
        Self { false_match_rate, likelihood_ratio }
    }
}
