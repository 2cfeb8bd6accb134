//! What is searched: made from the record at start, then kept up with it.
//!
//! A lookup reads one [`Snapshot`] from its beginning to its end and never waits for a change; the writer
//! makes the next snapshot beside it, sharing all that did not change.

mod current;
mod piece;

pub(crate) use current::Current;
pub(crate) use piece::Piece;

use crate::{
    authority::Catalogue,
    id::{EncounterKey, GenerationId, RecordSequence, SubjectId, WatchlistId},
    timestamp::Timestamp,
    watchlist::Watchlist,
};
use matcher::template::{ModelId, ModelProfile, Template};
use std::{collections::HashMap, sync::Arc};

/// What a change of the record means to the search.
#[derive(Debug)]
pub(crate) enum Delta {
    /// A model profile came into use.
    Model(ModelProfile),
    /// A watchlist was made.
    Watchlist(Watchlist),
    /// A new reference, and the watchlists on which it stands.
    Reference { key: EncounterKey, subject: SubjectId, template: Template, lists: Vec<WatchlistId> },
    /// The watchlists on which a reference now stands.
    Lists { key: EncounterKey, model: ModelId, lists: Vec<WatchlistId> },
}

/// One state of what is searched.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// Which build.
    pub(crate) generation: GenerationId,
    /// Up to which event of the record.
    pub(crate) as_of: RecordSequence,
    /// The watchlists.
    pub(crate) catalogue: Arc<Catalogue>,
    /// The model profiles.
    pub(crate) models: Arc<HashMap<ModelId, ModelProfile>>,
    /// The references of each model, by ascending slot and ascending key.
    pub(crate) pieces: HashMap<ModelId, Vec<Arc<Piece>>>,
    /// Active references that the store counts for each watchlist at `as_of`.
    pub(crate) expected: HashMap<WatchlistId, u64>,
    /// When the next entry reaches the end of its retention.
    pub(crate) next_expiry: Option<Timestamp>,
}

impl Snapshot {
    /// The references of a model.
    pub(crate) fn pieces(&self, model: &ModelId) -> &[Arc<Piece>] {
        self.pieces.get(model).map_or(&[], Vec::as_slice)
    }

    /// Takes changes in, in their order.
    pub(crate) fn apply(&mut self, deltas: Vec<Delta>) {
        let mut arriving: HashMap<ModelId, Piece> = HashMap::new();
        for delta in deltas {
            match delta {
                Delta::Model(profile) => {
                    Arc::make_mut(&mut self.models).insert(profile.id().clone(), profile);
                }
                Delta::Watchlist(watchlist) => {
                    Arc::make_mut(&mut self.catalogue).insert(watchlist.id, Arc::new(watchlist));
                }
                Delta::Reference { key, subject, template, lists } => {
                    let piece = arriving.entry(template.model().clone()).or_insert_with(|| {
                        let first = self.pieces.get(template.model()).and_then(|pieces| pieces.last());
                        Piece::new(&template, first.map_or(0, |last| last.end()))
                    });
                    piece.push(key, subject, &template, &lists);
                }
                Delta::Lists { key, model, lists } => {
                    if !arriving.get_mut(&model).is_some_and(|piece| piece.set_lists(key, &lists)) {
                        self.set_lists(key, &model, &lists);
                    }
                }
            }
        }
        for (model, piece) in arriving {
            let pieces = self.pieces.entry(model).or_default();
            pieces.push(Arc::new(piece));
            merge_tail(pieces);
        }
    }

    fn set_lists(&mut self, key: EncounterKey, model: &ModelId, lists: &[WatchlistId]) {
        let Some(pieces) = self.pieces.get_mut(model) else { return };
        let after = pieces.partition_point(|piece| piece.first_key() <= key);
        if let Some(piece) = after.checked_sub(1).map(|at| &mut pieces[at]) {
            Arc::make_mut(piece).set_lists(key, lists);
        }
    }
}

/// Merges the last pieces while they are of like size, as a binary counter carries: each reference is copied
/// a logarithmic number of times, however small the changes it came in.
fn merge_tail(pieces: &mut Vec<Arc<Piece>>) {
    while let [.., left, right] = pieces.as_slice() {
        if left.len() >= 2 * right.len() || left.len() + right.len() > piece::LIMIT {
            return;
        }
        let merged = left.followed_by(right);
        pieces.truncate(pieces.len() - 2);
        pieces.push(Arc::new(merged));
    }
}
