//! Lawful selections of the gallery.

use crate::{
    handling::{Defaults, Remarks, Terms},
    id::WatchlistId,
    law::{Category, LegalBasis, Nation, PriorAuthorisation, Purpose, WatchlistName},
    timestamp::Timestamp,
};
use matcher::{quality::Gate, rates::Fpir, score::Threshold, template::ModelId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How good an image must be for what is made of it to be used. Features that a caller brings along come without their quality, and pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gates {
    /// To search with.
    pub lookup: Gate,
    /// To go on record.
    pub enrolment: Gate,
}

impl Default for Gates {
    fn default() -> Self {
        Self { lookup: Gate::for_lookups(), enrolment: Gate::for_enrolment() }
    }
}

/// What a watchlist's owner decides about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Unique within its owner.
    pub name: WatchlistName,
    /// For which purposes it may be searched.
    pub purposes: BTreeSet<Purpose>,
    /// Under which instruments it may be searched.
    pub legal_bases: BTreeSet<LegalBasis>,
    /// What holds for its records, where their own entries say nothing else.
    pub defaults: Defaults,
    /// Must somebody have authorised a search of it?
    pub prior_authorisation: PriorAuthorisation,
    /// Which categories of persons may stand on it.
    pub categories: BTreeSet<Category>,
    /// Whose templates it holds.
    pub model: ModelId,
    /// From which score on a reference is a candidate, whatever the calibration says. A caller may be stricter, never looser.
    pub threshold: Threshold,
    /// At most such a share of strangers' lookups is to propose somebody: where the calibration of the model asks for a higher threshold than
    /// that, it is taken; without a calibration nothing is searched.
    pub fpir: Option<Fpir>,
    /// How good an image must be.
    pub gates: Gates,
    /// For how many days after listing an entry may be searched.
    pub retention_days: u32,
    /// After how many days a person is to look whether an entry is still needed.
    pub review_days: u32,
}

/// Why a policy is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// No purpose.
    #[error("a watchlist serves at least one purpose")]
    Purposes,
    /// No legal basis.
    #[error("a watchlist has at least one legal basis")]
    LegalBases,
    /// No category.
    #[error("a watchlist allows at least one category")]
    Categories,
    /// An instruction for a category that nobody can have.
    #[error("an instruction is for one of the watchlist's categories")]
    Instructions,
    /// A gate beyond the scale, or one for enrolment that asks for less than the one for lookups.
    #[error(
        "gates of quality are from 0 to 100, and enrolment asks for at least as much as a lookup, in everything"
    )]
    Gates,
    /// Retention of nothing, or of more than a century.
    #[error("retention is from 1 to 36500 days")]
    Retention,
    /// No review, or one after the end.
    #[error("a review is after 1 day or more, and not after the end of retention")]
    Review,
}

impl PolicyError {
    /// The policy's field that is wrong.
    pub fn field(self) -> &'static str {
        match self {
            Self::Purposes => "purposes",
            Self::LegalBases => "legal_bases",
            Self::Categories => "categories",
            Self::Instructions => "instructions",
            Self::Gates => "quality",
            Self::Retention => "retention_days",
            Self::Review => "review_days",
        }
    }
}

impl Policy {
    /// # Errors
    /// When something is missing or out of bounds.
    pub fn check(&self) -> Result<(), PolicyError> {
        let wrong = [
            (self.purposes.is_empty(), PolicyError::Purposes),
            (self.legal_bases.is_empty(), PolicyError::LegalBases),
            (self.categories.is_empty(), PolicyError::Categories),
            (
                !self.defaults.instructions.keys().all(|it| self.categories.contains(it)),
                PolicyError::Instructions,
            ),
            (
                !self.gates.enrolment.is_sound() || !self.gates.enrolment.is_at_least(&self.gates.lookup),
                PolicyError::Gates,
            ),
            (!(1..=36_500).contains(&self.retention_days), PolicyError::Retention),
            (!(1..=self.retention_days).contains(&self.review_days), PolicyError::Review),
        ];
        wrong.into_iter().find(|(wrong, _)| *wrong).map_or(Ok(()), |(_, error)| Err(error))
    }

    /// What holds for a record of this category with these remarks.
    pub fn terms(&self, category: Category, remarks: &Remarks) -> Terms {
        self.defaults.terms(category, remarks)
    }
}

/// A lawful selection of the gallery.
#[derive(Clone, Debug, PartialEq)]
pub struct Watchlist {
    /// Minted by Limen.
    pub id: WatchlistId,
    /// The nation whose list it is.
    pub owner: Nation,
    /// What the owner decided.
    pub policy: Policy,
    /// When it was made.
    pub created_at: Timestamp,
    /// The nations whose officers may grant searches of it, and until when.
    pub shared_with: BTreeMap<Nation, Timestamp>,
}

impl Watchlist {
    /// Is it this nation's own, or shared with it now?
    pub fn is_for(&self, nation: &Nation, now: Timestamp) -> bool {
        self.owner == *nation || self.shared_with.get(nation).is_some_and(|ends_at| now < *ends_at)
    }
}
