//! Error rates, as they are asked for and told.

use gallery::calibrated::Meaning;
use matcher::calibration::Estimate;
use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::ToSchema;

/// A false positive identification rate: the share of people not on a watchlist whose lookup would propose somebody.
#[derive(Serialize, ToSchema)]
pub(crate) struct FpirBody {
    rate: f64,
    /// Ends of its 95 % interval.
    low: f64,
    high: f64,
    /// Is it beyond what was measured: rarer than one of the calibration's probes, or among more than a tenth more references?
    extrapolated: bool,
}

impl From<Estimate> for FpirBody {
    fn from(Estimate { fpir, low, high, extrapolated, .. }: Estimate) -> Self {
        Self { rate: fpir, low, high, extrapolated }
    }
}

/// What a score means, for who sees it.
#[derive(Serialize, ToSchema)]
pub(crate) struct MeaningBody {
    /// How often two captures of different people reach it.
    false_match_rate: f64,
    /// How much rather two captures of one person have it than two of different people.
    #[serde(skip_serializing_if = "Option::is_none")]
    likelihood_ratio: Option<f64>,
}

impl From<Meaning> for MeaningBody {
    fn from(Meaning { false_match_rate, likelihood_ratio }: Meaning) -> Self {
        Self { false_match_rate, likelihood_ratio }
    }
}

/// An FPIR to be asked for.
#[derive(Clone, Copy)]
pub(crate) struct Fpir(pub(crate) matcher::rates::Fpir);

impl<'de> Deserialize<'de> for Fpir {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        matcher::rates::Fpir::new(value).map(Self).map_err(de::Error::custom)
    }
}
