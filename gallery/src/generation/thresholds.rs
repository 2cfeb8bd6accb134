//! What thresholds and scores mean in what is searched.

use super::Snapshot;
use crate::{calibrated::Calibrated, watchlist::Watchlist};
use matcher::{rates::Fpir, score::Threshold, template::ModelId};
use std::sync::Arc;

impl Snapshot {
    /// What scores of a model mean.
    pub(crate) fn calibrated(&self, model: &ModelId) -> Option<&Arc<Calibrated>> {
        self.calibrations.get(model)
    }

    /// References that stand on a watchlist.
    pub(crate) fn references_on(&self, list: &Watchlist) -> u64 {
        self.expected.get(&list.id).copied().unwrap_or(0)
    }

    /// A watchlist's own threshold: the higher of the one that it names and of the one for the FPIR that it names.
    pub(crate) fn own_threshold(&self, list: &Watchlist) -> Result<Threshold, String> {
        let named = list.policy.threshold;
        let Some(fpir) = list.policy.fpir else { return Ok(named) };
        Ok(named.stricter(self.at(fpir, &list.policy.model, self.references_on(list))?))
    }

    /// The threshold for an FPIR among so many references; or why there is none.
    pub(crate) fn at(&self, fpir: Fpir, model: &ModelId, references: u64) -> Result<Threshold, String> {
        let calibrated = self.calibrated(model);
        let calibrated = calibrated.ok_or_else(|| format!("model {model} is not calibrated here"))?;
        let told = calibrated.threshold(fpir, references).map_err(|error| error.to_string())?;
        Ok(Threshold::new(told.threshold).expect("a calibration tells thresholds"))
    }
}
