//! A calibration that is in use.

use crate::{id::CalibrationId, timestamp::Timestamp};
use matcher::calibration::Calibration;
use serde::{Deserialize, Serialize};

/// What scores of a model mean, as it was measured once.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibrated {
    /// Named in certificates.
    pub id: CalibrationId,
    /// When it came into use.
    pub made_at: Timestamp,
    /// The distributions.
    pub calibration: Calibration,
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
