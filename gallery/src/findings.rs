//! What a lookup found and told, as the log holds it.

use crate::{
    decision::{Certificate, LookupAnswer},
    id::{LookupId, SubjectId, WatchlistId},
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};

/// What came of a lookup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Results {
    /// All of it.
    Told(Findings),
    /// The record keeps it until the lookup is authorised.
    Awaiting {
        /// Which lookup.
        lookup: LookupId,
        /// Until when.
        authorise_by: Timestamp,
        /// What was searched.
        certificate: Certificate,
        /// SHA-256 of the findings' salt and JSON.
        salted_sha256: String,
    },
}

/// What a lookup found and told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// Hides them behind their digest, if they were not told at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// All that was answered.
    pub answer: LookupAnswer,
    /// Who reaches the threshold, shown or not, best first.
    pub found: Vec<Reached>,
}

/// A subject that reaches the threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reached {
    /// Who.
    pub subject: SubjectId,
    /// The best score of the subject's references.
    pub score: f32,
    /// The watchlists whose threshold it reaches.
    pub watchlists: Vec<WatchlistId>,
}
