//! Persons on record.

use crate::{
    handling::Remarks,
    id::{EncounterId, SubjectId, WatchlistId},
    law::{Category, Nation, OwnReference},
    timestamp::Timestamp,
};
use matcher::{quality::Quality, template::ModelId};
use serde::{Deserialize, Serialize};

/// A person on record, without features.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Minted by Limen.
    pub id: SubjectId,
    /// Whose record it is.
    pub owner: Nation,
    /// The owner's own name for it, unique among the owner's subjects that are not retired.
    pub reference: OwnReference,
    /// When it was enrolled.
    pub enrolled_at: Timestamp,
    /// When it was retired, if it was.
    pub retired_at: Option<Timestamp>,
    /// Since when it is contested, if it is: kept, not searched.
    pub restricted_at: Option<Timestamp>,
    /// The watchlists on which it stands or stood.
    pub entries: Vec<Entry>,
    /// Its capture events.
    pub encounters: Vec<Encounter>,
}

/// A subject's place on a watchlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which.
    pub watchlist: WatchlistId,
    /// Why, and what the owner says of it.
    pub listing: Listing,
    /// Since when.
    pub listed_at: Timestamp,
    /// Until when it may be searched.
    pub retain_until: Timestamp,
    /// By when a person is to look whether it is still needed.
    pub review_by: Timestamp,
    /// Is it searched?
    pub state: EntryState,
}

/// Why a subject stands on a watchlist, and what its owner says of it that differs from the watchlist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Why.
    pub category: Category,
    /// What the owner says.
    #[serde(flatten)]
    pub remarks: Remarks,
}

impl Listing {
    /// On the watchlist's own terms.
    pub fn plain(category: Category) -> Self {
        Self { category, remarks: Remarks::default() }
    }
}

/// Is an entry searched?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryState {
    /// Yes.
    Active,
    /// No: the subject was retired.
    Retired,
    /// No: its retention is over.
    Expired,
    /// No: the subject is contested.
    Restricted,
}

/// One capture event, without features.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encounter {
    /// Minted by Limen.
    pub id: EncounterId,
    /// The owner's own name for it, unique within the subject.
    pub reference: Option<OwnReference>,
    /// Which model made the features.
    pub model: ModelId,
    /// When the sample was captured, if known.
    pub captured_at: Option<Timestamp>,
    /// When it was enrolled.
    pub enrolled_at: Timestamp,
}

/// Raw features of one sample, as they came. `Debug` shows how many, never which.
#[derive(Clone, PartialEq)]
pub struct RawFeatures {
    /// Which model made them.
    pub model: ModelId,
    /// As the model gave them, not normalised.
    pub features: Vec<f32>,
}

impl std::fmt::Debug for RawFeatures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawFeatures({}, {} features)", self.model, self.features.len())
    }
}

/// An encounter to be enrolled.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEncounter {
    /// The owner's own name for it.
    pub reference: Option<OwnReference>,
    /// When the sample was captured.
    pub captured_at: Option<Timestamp>,
    /// What was captured.
    pub sample: RawFeatures,
    /// How good the image is of which it was made; none of features that the caller brought along.
    pub quality: Option<Quality>,
}

/// A subject to be enrolled.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSubject {
    /// The owner's own name for it.
    pub reference: OwnReference,
    /// On which watchlists, why, and what its owner says of it.
    pub entries: Vec<(WatchlistId, Listing)>,
    /// Its capture events.
    pub encounters: Vec<NewEncounter>,
}
