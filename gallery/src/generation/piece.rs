//! A run of references with consecutive slots.

use crate::id::{EncounterKey, SubjectId, WatchlistId};
use matcher::{
    filter::SlotFilter,
    index::oracle::Segment,
    rows::{Rows, Slot},
    template::Template,
};
use std::{collections::HashMap, sync::Arc};

/// References in a piece that is not merged any more.
pub(super) const LIMIT: usize = 8192;

/// References of one model. A clone shares all but the lists.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    first: u32,
    rows: Arc<Rows>,
    keys: Arc<Vec<EncounterKey>>,
    subjects: Arc<Vec<SubjectId>>,
    /// The references that stand on each watchlist.
    lists: HashMap<WatchlistId, SlotFilter>,
}

impl Piece {
    /// An empty piece for templates like this one.
    pub(super) fn new(like: &Template, first: u32) -> Self {
        let rows = Arc::new(Rows::new(like.model().clone(), like.features().len()));
        Self { first, rows, keys: Arc::default(), subjects: Arc::default(), lists: HashMap::new() }
    }

    pub(super) fn push(
        &mut self,
        key: EncounterKey,
        subject: SubjectId,
        template: &Template,
        lists: &[WatchlistId],
    ) {
        for list in lists {
            self.lists.entry(*list).or_default().set(self.keys.len());
        }
        Arc::make_mut(&mut self.rows).push(template);
        Arc::make_mut(&mut self.keys).push(key);
        Arc::make_mut(&mut self.subjects).push(subject);
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The slot after the last.
    pub(super) fn end(&self) -> u32 {
        u32::try_from(self.first as usize + self.len())
            .expect("a node holds fewer than four billion references")
    }

    /// The key of the first reference; a piece in a snapshot is never empty.
    pub(super) fn first_key(&self) -> EncounterKey {
        self.keys[0]
    }

    /// Puts a reference on these watchlists and no other; `false` if it is not in this piece.
    pub(super) fn set_lists(&mut self, key: EncounterKey, lists: &[WatchlistId]) -> bool {
        let Ok(row) = self.keys.binary_search(&key) else { return false };
        self.lists.values_mut().for_each(|filter| filter.clear(row));
        for list in lists {
            self.lists.entry(*list).or_default().set(row);
        }
        true
    }

    /// This piece and the one after it as one.
    pub(super) fn followed_by(&self, next: &Self) -> Self {
        let mut rows = Rows::clone(&self.rows);
        rows.append(&next.rows);
        let mut lists = self.lists.clone();
        for (list, filter) in &next.lists {
            let whole = lists.entry(*list).or_default();
            filter.rows().for_each(|row| whole.set(self.len() + row));
        }
        let keys = Arc::new([self.keys.as_slice(), &next.keys].concat());
        let subjects = Arc::new([self.subjects.as_slice(), &next.subjects].concat());
        Self { first: self.first, rows: Arc::new(rows), keys, subjects, lists }
    }

    /// What the scan reads.
    pub(crate) fn segment(&self) -> Segment<'_> {
        Segment { first: Slot(self.first), rows: &self.rows }
    }

    /// The references on a watchlist.
    pub(crate) fn on_list(&self, watchlist: WatchlistId) -> Option<&SlotFilter> {
        self.lists.get(&watchlist)
    }

    /// Whose reference is in this slot, and its key.
    pub(crate) fn reference(&self, slot: Slot) -> Option<(usize, SubjectId, EncounterKey)> {
        let row = slot.0.checked_sub(self.first)? as usize;
        Some((row, *self.subjects.get(row)?, self.keys[row]))
    }

    /// Bytes of memory that the references take.
    pub(crate) fn bytes(&self) -> usize {
        let lists: usize = self.lists.values().map(|filter| filter.words().len() * 8).sum();
        self.rows.bytes() + self.len() * (size_of::<EncounterKey>() + size_of::<SubjectId>()) + lists
    }
}
