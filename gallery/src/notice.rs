//! What a watchlist's owner is told: somebody of it was found whom the searcher was not shown in full.

use crate::{
    authority::Ground,
    handling::Visibility,
    id::{AgencyId, LookupId, SubjectId, VerificationId, WatchlistId},
    law::{Nation, OwnReference},
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};

/// In which search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Search {
    /// A lookup.
    Lookup(LookupId),
    /// A verification.
    Verification(VerificationId),
}

impl Search {
    pub(crate) fn bytes(self) -> [u8; 16] {
        match self {
            Self::Lookup(id) => id.bytes(),
            Self::Verification(id) => id.bytes(),
        }
    }
}

/// Who was found, where, and who searched. The searcher's people and grants are its own affair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Whom it is for.
    pub owner: Nation,
    /// When.
    pub at: Timestamp,
    /// In which search.
    pub search: Search,
    /// Who was found.
    pub subject: SubjectId,
    /// On which of the owner's watchlists.
    pub watchlist: WatchlistId,
    /// What the searcher was shown.
    pub visibility: Visibility,
    /// The searcher's nation.
    pub nation: Nation,
    /// The searcher's authority.
    pub agency: AgencyId,
    /// Where the searcher acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station: Option<OwnReference>,
    /// Why it was searched.
    pub ground: Ground,
}
