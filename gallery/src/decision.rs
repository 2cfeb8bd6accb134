//! The machine's answers. Only people declare that two records are the same person.

use crate::{
    calibrated::Meaning,
    handling::Terms,
    id::{
        CalibrationId, EncounterId, GenerationId, LookupId, RecordSequence, SubjectId, VerificationId,
        WatchlistId,
    },
    law::{Band, Category, Nation, OwnReference},
    timestamp::Timestamp,
};
use matcher::{calibration::Estimate, template::ModelId};
use serde::{Deserialize, Serialize};

/// The machine's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// At least one reference reaches its watchlist's threshold.
    Hit,
    /// Every watchlist asked for was searched exhaustively, and no reference reaches the threshold.
    NoHit,
    /// Neither can be said.
    Inconclusive,
}

/// Why an answer is inconclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Fewer references were compared than the record holds: the node is at fault.
    Incomplete,
    /// Nothing was found by an approximate index, which may have missed somebody.
    Approximate,
}

/// What was searched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Whose templates were compared.
    pub model: ModelId,
    /// References compared, or ruled out by proof. One that stands on two of the watchlists counts in each; what an
    /// approximate index looked at does not count.
    pub compared: u64,
    /// References that the record holds for these watchlists at `as_of`, counted in the store.
    pub expected: u64,
    /// Was every reference compared, none left out by an approximate index?
    pub exhaustive: bool,
    /// If not: of pairs of one person's references in the gallery, the share that the approximate index missed
    /// when it was built; `None` if there were too few to say.
    #[serde(default)]
    pub miss_rate: Option<f32>,
    /// What was searched: one build of the gallery, and what has changed since; `None` for a comparison
    /// with the record itself.
    pub generation: Option<GenerationId>,
    /// By which calibration thresholds and rates are told; `None` where the model has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationId>,
    /// Up to which event of the record.
    pub as_of: RecordSequence,
    /// When.
    pub searched_at: Timestamp,
    /// The same for each watchlist.
    pub watchlists: Vec<Searched>,
}

impl Certificate {
    /// Was everything searched that should have been, on every watchlist?
    pub fn complete(&self) -> bool {
        self.exhaustive && self.watchlists.iter().all(|searched| searched.compared == searched.expected)
    }
}

/// What was searched of one watchlist.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Searched {
    /// Which.
    pub watchlist: WatchlistId,
    /// From which score on a reference is a candidate.
    pub threshold: f32,
    /// How often a stranger's lookup reaches it here, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fpir: Option<Estimate>,
    /// References compared.
    pub compared: u64,
    /// References that the record holds.
    pub expected: u64,
}

/// A subject that the machine proposes, as far as the searcher is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// From 1, among those that are shown.
    pub rank: u32,
    /// The owner's own name for the subject: what the owner is asked by.
    pub reference: OwnReference,
    /// All else; absent where the handling codes let only the reference be shown.
    pub seen: Option<Seen>,
    /// The watchlists whose threshold it reaches, as far as they are shown.
    pub watchlists: Vec<Listed>,
}

/// What is shown of a candidate beside its reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Who.
    pub subject: SubjectId,
    /// The encounter whose reference has the best score.
    pub encounter: EncounterId,
    /// How alike they are.
    pub likeness: Likeness,
    /// What the score means, for who sees it, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<Meaning>,
}

/// How alike two are, by the best score of the subject's references.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Likeness {
    /// The score.
    Score(f32),
    /// Where between the threshold and the greatest score it lies.
    Band(Band),
}

/// A candidate's place on a watchlist.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// Which.
    pub watchlist: WatchlistId,
    /// Whose it is.
    pub owner: Nation,
    /// All else; absent where only the reference is shown.
    pub told: Option<Told>,
}

/// What is told of a place on a watchlist.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Why the subject stands there.
    pub category: Category,
    /// How the record may be used, how good it is, and what is to be done.
    pub terms: Terms,
}

/// A lookup's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LookupAnswer {
    /// Which lookup.
    pub lookup: LookupId,
    /// The machine's answer.
    pub decision: Decision,
    /// Why it is inconclusive, if it is.
    pub reason: Option<Reason>,
    /// Best first; ties by ascending subject id.
    pub candidates: Vec<Candidate>,
    /// Do more subjects reach the threshold than are listed?
    pub truncated: bool,
    /// How many subjects reach the threshold and may be shown.
    pub total: u64,
    /// By when the search's authorisation is to be supplied, if it is: or its results are erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorise_by: Option<Timestamp>,
    /// What was searched.
    pub certificate: Certificate,
}

/// A verification's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerificationAnswer {
    /// Which verification.
    pub verification: VerificationId,
    /// Does a reference of the subject reach the threshold?
    pub decision: Decision,
    /// Why it is inconclusive, if it is.
    pub reason: Option<Reason>,
    /// Who was compared with.
    pub subject: SubjectId,
    /// The encounter whose reference has the best score.
    pub encounter: EncounterId,
    /// How alike they are; absent below the threshold for who does not see scores.
    pub likeness: Option<Likeness>,
    /// What the score means, for who sees it, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<Meaning>,
    /// The subject's place on the watchlist.
    pub told: Told,
    /// What was searched.
    pub certificate: Certificate,
}
