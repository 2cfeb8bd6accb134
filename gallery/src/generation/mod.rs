//! What is searched: made from the record at start, then kept up with it.
//!
//! A lookup reads one [`Snapshot`] from its beginning to its end and never waits for a change; the writer
//! makes the next snapshot beside it, sharing all that did not change. References are searched in codes; how
//! they are coded ([`refit`]) changes how fast, never what is found.

mod approximate;
pub(crate) mod build;
mod current;
pub(crate) mod files;
pub(crate) mod manifest;
mod piece;
mod refit;
mod shelf;
mod thresholds;
pub(crate) mod upkeep;

pub(crate) use approximate::Approximate;
pub(crate) use current::Current;
pub(crate) use piece::Piece;
pub(crate) use shelf::Shelf;

use crate::{
    ambient::Ambient,
    authority::Catalogue,
    calibrated::Calibrated,
    id::{EncounterKey, GenerationId, RecordSequence, SubjectId, WatchlistId},
    timestamp::Timestamp,
    watchlist::Watchlist,
};
use matcher::{
    kernel::Kernel,
    plan::Plan,
    template::{ModelId, ModelProfile, Template},
};
use piece::Arriving;
use std::{collections::HashMap, path::PathBuf, sync::Arc};

/// What a change of the record means to the search.
#[derive(Debug)]
pub(crate) enum Delta {
    /// A model profile came into use.
    Model(ModelProfile),
    /// What scores of a model mean was measured.
    Calibration(Arc<Calibrated>),
    /// A watchlist was made.
    Watchlist(Box<Watchlist>),
    /// A new reference, and the watchlists on which it stands.
    Reference { key: EncounterKey, subject: SubjectId, template: Template, lists: Vec<WatchlistId> },
    /// The watchlists on which a reference now stands.
    Lists { key: EncounterKey, model: ModelId, lists: Vec<WatchlistId> },
    /// Another build takes the place of all that is searched: everything before this change is in it.
    Generation(Box<Snapshot>),
    /// A reference was erased.
    Forget { key: EncounterKey, model: ModelId },
}

/// How references are searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Index {
    /// All of them: nothing at or above the threshold is missed.
    #[default]
    Exhaustive,
    /// Those that a graph of neighbours leads to, once there is one. It may miss some; what was asked of it says
    /// so, and is never `no_hit`.
    Hnsw,
    /// None of them, for tools that only change or read the record: nothing is kept to be searched, and a lookup
    /// is inconclusive where the store counts anybody.
    #[serde(skip)]
    Unsearched,
}

/// Where and with what references are coded.
#[derive(Debug)]
pub(crate) struct Site {
    /// The folder for rows that are not kept in memory.
    pub(crate) folder: PathBuf,
    /// Where the keys of those rows come from.
    pub(crate) ambient: Ambient,
    /// What this processor can do.
    pub(crate) kernel: Kernel,
    /// What the administrator asks for.
    pub(crate) index: Index,
}

/// How the references of a model are coded.
#[derive(Clone, Debug)]
pub(crate) struct Coding {
    /// The plan for those that come.
    pub(crate) plan: Arc<Plan>,
    /// How many references there were when it was chosen.
    pub(crate) fitted_on: usize,
    /// Where they are in f32.
    pub(crate) shelf: Arc<Shelf>,
    /// The approximate index over the first of them, if one is asked for.
    pub(crate) approximate: Option<Arc<Approximate>>,
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
    /// What scores of each model mean, where it was measured.
    pub(crate) calibrations: Arc<HashMap<ModelId, Arc<Calibrated>>>,
    /// The references of each model, by ascending slot and ascending key.
    pub(crate) pieces: HashMap<ModelId, Vec<Arc<Piece>>>,
    /// How they are coded.
    pub(crate) codings: HashMap<ModelId, Coding>,
    /// Where and with what.
    pub(crate) site: Arc<Site>,
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

    /// The last encounter that is in it.
    pub(crate) fn last_key(&self) -> EncounterKey {
        let lasts = self.pieces.values().filter_map(|pieces| pieces.last());
        lasts.map(|last| last.last_key()).max().unwrap_or(EncounterKey(0))
    }

    /// Takes changes in, in their order.
    pub(crate) fn apply(&mut self, mut deltas: Vec<Delta>) {
        if self.site.index == Index::Unsearched {
            let kept = |delta: &Delta| {
                matches!(delta, Delta::Model(_) | Delta::Calibration(_) | Delta::Watchlist(_))
            };
            deltas.retain(kept);
        }
        let mut arriving: HashMap<ModelId, Arriving> = HashMap::new();
        for delta in deltas {
            match delta {
                Delta::Model(profile) => {
                    Arc::make_mut(&mut self.models).insert(profile.id().clone(), profile);
                }
                Delta::Calibration(calibrated) => {
                    let model = calibrated.calibration.model.clone();
                    Arc::make_mut(&mut self.calibrations).insert(model, calibrated);
                }
                Delta::Watchlist(watchlist) => {
                    Arc::make_mut(&mut self.catalogue).insert(watchlist.id, Arc::new(*watchlist));
                }
                Delta::Reference { key, subject, template, lists } => {
                    let model = template.model().clone();
                    let arriving = arriving.entry(model).or_insert_with(|| Arriving::new(&template));
                    arriving.push(key, subject, &template, &lists);
                }
                Delta::Lists { key, model, lists } => {
                    if !arriving.get_mut(&model).is_some_and(|arriving| arriving.set_lists(key, &lists)) {
                        self.set_lists(key, &model, &lists);
                    }
                }
                Delta::Generation(next) => {
                    arriving.clear();
                    (self.generation, self.pieces, self.codings) =
                        (next.generation, next.pieces, next.codings);
                }
                Delta::Forget { key, model } => {
                    // It may have come with the same changes.
                    if let Some(arrived) = arriving.remove(&model) {
                        self.take_in(&model, arrived);
                    }
                    self.forget(key, &model);
                }
            }
        }
        for (model, arriving) in arriving {
            self.take_in(&model, arriving);
        }
    }

    fn take_in(&mut self, model: &ModelId, arriving: Arriving) {
        let site = &self.site;
        let coding = self.codings.entry(model.clone()).or_insert_with(|| {
            let dimension = arriving.dimension();
            Coding {
                plan: Arc::new(Plan::unfitted(dimension)),
                fitted_on: 0,
                shelf: Arc::new(Shelf::new(&site.folder, dimension, &site.ambient)),
                approximate: None,
            }
        });
        let pieces = self.pieces.entry(model.clone()).or_default();
        let first = pieces.last().map_or(0, |last| last.end());
        pieces.push(Arc::new(arriving.into_piece(first, &coding.plan, &coding.shelf, site.kernel)));
        merge_tail(pieces);
    }

    fn set_lists(&mut self, key: EncounterKey, model: &ModelId, lists: &[WatchlistId]) {
        let Some(pieces) = self.pieces.get_mut(model) else { return };
        let after = pieces.partition_point(|piece| piece.first_key() <= key);
        if let Some(piece) = after.checked_sub(1).map(|at| &mut pieces[at]) {
            Arc::make_mut(piece).set_lists(key, lists);
        }
    }

    /// Takes a reference out of every list, and its codes out of memory.
    fn forget(&mut self, key: EncounterKey, model: &ModelId) {
        let Some(pieces) = self.pieces.get_mut(model) else { return };
        let after = pieces.partition_point(|piece| piece.first_key() <= key);
        if let Some(piece) = after.checked_sub(1).map(|at| &mut pieces[at]) {
            Arc::make_mut(piece).forget(key);
        }
    }

    /// Bytes of memory that the references take.
    pub(crate) fn bytes(&self) -> usize {
        let pieces: usize = self.pieces.values().flatten().map(|piece| piece.bytes()).sum();
        let beside = |coding: &Coding| {
            coding.shelf.bytes() + coding.approximate.as_ref().map_or(0, |approximate| approximate.bytes())
        };
        pieces + self.codings.values().map(beside).sum::<usize>()
    }
}

/// Merges the last pieces while they are of like size, as a binary counter carries: each reference is copied
/// a logarithmic number of times, however small the changes it came in.
fn merge_tail(pieces: &mut Vec<Arc<Piece>>) {
    while let [.., left, right] = pieces.as_slice() {
        if !left.takes(right) {
            return;
        }
        let merged = left.followed_by(right);
        pieces.truncate(pieces.len() - 2);
        pieces.push(Arc::new(merged));
    }
}
