//! From which score on somebody is a candidate: what a watchlist's policy says, and what a caller asks beyond it.

use crate::{generation::Snapshot, watchlist::Watchlist};
use matcher::{rates::Fpir, score::Threshold, template::ModelId};
use std::sync::Arc;

/// What a caller asks beyond the watchlists' own policies.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stricter {
    /// A threshold.
    pub threshold: Option<Threshold>,
    /// At most such a share of strangers' lookups is to propose somebody, over all watchlists that are searched together.
    pub fpir: Option<Fpir>,
}

impl Stricter {
    /// Nothing?
    pub(crate) fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// Why there is no threshold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum StrictnessError {
    /// An FPIR is asked for of which no calibration tells.
    Uncalibrated(String),
    /// The caller asks for an FPIR of which the calibration does not tell.
    Beyond(String),
    /// The caller asks for less than a watchlist's own.
    Looser { index: usize, policy: f32 },
}

/// Of one watchlist.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InForce {
    /// Its own threshold.
    pub(crate) policy: Threshold,
    /// The caller's, which is not below it.
    pub(crate) asked: Threshold,
}

impl Snapshot {
    /// The thresholds of watchlists of one model that are searched together.
    pub(crate) fn in_force(
        &self,
        lists: &[Arc<Watchlist>],
        model: &ModelId,
        stricter: Stricter,
    ) -> Result<Vec<InForce>, StrictnessError> {
        let together = lists.iter().map(|list| self.references_on(list)).sum();
        let by_rate = stricter.fpir.map(|fpir| self.at(fpir, model, together)).transpose();
        let beyond = |why| match self.calibrated(model) {
            Some(_) => StrictnessError::Beyond(why),
            None => StrictnessError::Uncalibrated(why),
        };
        let by_rate = by_rate.map_err(beyond)?;
        let of = |(index, list): (usize, &Arc<Watchlist>)| {
            let policy = self.own_threshold(list).map_err(StrictnessError::Uncalibrated)?;
            match [stricter.threshold, by_rate].into_iter().flatten().reduce(Threshold::stricter) {
                Some(asked) if asked.value() < policy.value() => {
                    Err(StrictnessError::Looser { index, policy: policy.value() })
                }
                asked => Ok(InForce { policy, asked: asked.unwrap_or(policy) }),
            }
        };
        lists.iter().enumerate().map(of).collect()
    }
}
