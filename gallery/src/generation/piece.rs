//! A run of references with consecutive slots.

use super::shelf::Shelf;
use crate::id::{EncounterKey, SubjectId, WatchlistId};
use matcher::{
    bytes::{Reader, Writer},
    coded::Coded,
    filter::SlotFilter,
    index::cascade::Segment,
    kernel::{Block, Kernel},
    plan::Plan,
    rows::{ExactRows, Rows, Slot, Unreadable},
    template::Template,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// References in a piece that is not merged any more.
pub(super) const LIMIT: usize = 16_384;

/// Whose references are in consecutive slots, and which stand on each watchlist.
#[derive(Default)]
pub(super) struct Table {
    keys: Vec<EncounterKey>,
    subjects: Vec<SubjectId>,
    lists: HashMap<WatchlistId, SlotFilter>,
}

/// In the place of a subject that was erased.
const NOBODY: [u8; 16] = [0; 16];

impl Table {
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The key of the first; a table that is kept is never empty.
    pub(crate) fn first_key(&self) -> EncounterKey {
        self.keys[0]
    }

    pub(super) fn push(&mut self, key: EncounterKey, subject: SubjectId, lists: &[WatchlistId]) {
        for list in lists {
            self.lists.entry(*list).or_default().set(self.keys.len());
        }
        self.keys.push(key);
        self.subjects.push(subject);
    }

    /// Leaves nobody in the place of a reference; which row it was, if it was there.
    pub(super) fn forget(&mut self, key: EncounterKey) -> Option<usize> {
        let row = self.keys.binary_search(&key).ok()?;
        if self.subjects[row].bytes() == NOBODY {
            return None;
        }
        self.subjects[row] = SubjectId::from_bytes(NOBODY);
        self.lists.values_mut().for_each(|filter| filter.clear(row));
        Some(row)
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let lists: usize = self.lists.values().map(|filter| 32 + filter.words().len() * 8).sum();
        16 + self.len() * (size_of::<EncounterKey>() + size_of::<SubjectId>()) + lists
    }

    pub(super) fn write(&self, to: &mut Writer) {
        to.number(self.len());
        to.items(&self.keys, |key| key.0.to_le_bytes());
        to.items(&self.subjects, SubjectId::bytes);
        let mut lists: Vec<_> = self.lists.iter().collect();
        lists.sort_by_key(|(list, _)| **list);
        to.number(lists.len());
        for (list, filter) in lists {
            to.items(&[*list], WatchlistId::bytes);
            to.number(filter.words().len());
            to.items(filter.words(), u64::to_le_bytes);
        }
    }

    /// What was written; `None` if it was not.
    pub(super) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let count = from.number()?;
        let keys = from.items(count, |bytes| EncounterKey(i64::from_le_bytes(bytes)))?;
        let subjects = from.items(count, SubjectId::from_bytes)?;
        let mut lists = HashMap::new();
        for _ in 0..from.number()? {
            let list = from.items(1, WatchlistId::from_bytes)?[0];
            let words = from.number()?;
            let filter = SlotFilter::of_words(from.items(words, u64::from_le_bytes)?);
            if filter.rows().any(|row| row >= count) {
                return None;
            }
            lists.insert(list, filter);
        }
        keys.is_sorted_by(|a, b| a < b).then_some(Self { keys, subjects, lists })
    }
}

/// References that have come and are not coded yet.
pub(super) struct Arriving {
    rows: Rows,
    table: Table,
}

impl Arriving {
    /// None yet, of templates like this one.
    pub(super) fn new(like: &Template) -> Self {
        let rows = Rows::new(like.model().clone(), like.features().len());
        Self { rows, table: Table::default() }
    }

    /// Features of a template.
    pub(super) fn dimension(&self) -> usize {
        self.rows.dimension()
    }

    pub(super) fn push(
        &mut self,
        key: EncounterKey,
        subject: SubjectId,
        template: &Template,
        lists: &[WatchlistId],
    ) {
        self.rows.push(template);
        self.table.push(key, subject, lists);
    }

    pub(super) fn set_lists(&mut self, key: EncounterKey, lists: &[WatchlistId]) -> bool {
        set_lists(&mut self.table.lists, &self.table.keys, key, lists)
    }

    /// Codes them, and puts them on the shelf.
    pub(super) fn into_piece(
        self,
        first: u32,
        plan: &Arc<Plan>,
        shelf: &Arc<Shelf>,
        kernel: Kernel,
    ) -> Piece {
        shelf.put(Slot(first), &self.rows);
        let mut coded = Coded::new(Arc::clone(plan));
        coded.extend(kernel, &self.rows);
        Piece::of(first, self.table, coded, Arc::clone(shelf))
    }
}

/// References of one model. A clone shares all but the lists.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    first: u32,
    coded: Arc<Coded>,
    shelf: Arc<Shelf>,
    keys: Arc<[EncounterKey]>,
    subjects: Arc<[SubjectId]>,
    /// The references that stand on each watchlist.
    lists: HashMap<WatchlistId, SlotFilter>,
}

impl Piece {
    pub(super) fn of(first: u32, table: Table, coded: Coded, shelf: Arc<Shelf>) -> Self {
        let Table { keys, subjects, lists } = table;
        Self { first, coded: Arc::new(coded), shelf, keys: keys.into(), subjects: subjects.into(), lists }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The first slot.
    pub(crate) fn first(&self) -> Slot {
        Slot(self.first)
    }

    /// The slot after the last.
    pub(crate) fn end(&self) -> u32 {
        u32::try_from(self.first as usize + self.len())
            .expect("a node holds fewer than four billion references")
    }

    /// The key of the last reference.
    pub(super) fn last_key(&self) -> EncounterKey {
        self.keys[self.keys.len() - 1]
    }

    /// The key of the first reference; a piece in a snapshot is never empty.
    pub(crate) fn first_key(&self) -> EncounterKey {
        self.keys[0]
    }

    /// Puts a reference on these watchlists and no other; `false` if it is not in this piece.
    pub(super) fn set_lists(&mut self, key: EncounterKey, lists: &[WatchlistId]) -> bool {
        set_lists(&mut self.lists, &self.keys, key, lists)
    }

    /// Takes a reference out of every list, blanks its codes and its row on the shelf.
    pub(super) fn forget(&mut self, key: EncounterKey) {
        let Ok(row) = self.keys.binary_search(&key) else { return };
        self.lists.values_mut().for_each(|filter| filter.clear(row));
        Arc::make_mut(&mut self.coded).blank(row);
        self.shelf.blank(Slot(self.first + row as u32));
    }

    /// Can the next piece be merged into this one?
    pub(super) fn takes(&self, next: &Self) -> bool {
        self.len() < 2 * next.len()
            && self.len() + next.len() <= LIMIT
            && Arc::ptr_eq(self.coded.plan(), next.coded.plan())
    }

    /// This piece and the one after it as one.
    pub(super) fn followed_by(&self, next: &Self) -> Self {
        let mut coded = Coded::clone(&self.coded);
        coded.append(&next.coded);
        let mut lists = self.lists.clone();
        for (list, filter) in &next.lists {
            let whole = lists.entry(*list).or_default();
            filter.rows().for_each(|row| whole.set(self.len() + row));
        }
        Self {
            first: self.first,
            coded: Arc::new(coded),
            shelf: Arc::clone(&self.shelf),
            keys: [&self.keys[..], &next.keys].concat().into(),
            subjects: [&self.subjects[..], &next.subjects].concat().into(),
            lists,
        }
    }

    /// The references in codes.
    pub(super) fn coded(&self) -> &Arc<Coded> {
        &self.coded
    }

    /// The same references in other codes.
    pub(super) fn with_codes(&self, coded: Arc<Coded>) -> Self {
        Self { coded, ..self.clone() }
    }

    /// What a search reads.
    pub(crate) fn segment(&self) -> Segment<'_> {
        Segment { first: Slot(self.first), coded: &self.coded, exact: self }
    }

    /// Was a row overwritten, as those of erased subjects are?
    pub(crate) fn is_blank(&self, row: usize) -> bool {
        self.shelf.is_blank(Slot(self.first + row as u32))
    }

    /// The references on any watchlist.
    pub(crate) fn listed(&self) -> SlotFilter {
        let mut listed = SlotFilter::default();
        self.lists.values().for_each(|list| listed.unite(list));
        listed
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

    /// The keys of these subjects' references.
    pub(crate) fn keys_of(&self, subjects: &HashSet<SubjectId>) -> Vec<EncounterKey> {
        let of_them = self.subjects.iter().zip(&*self.keys).filter(|(subject, _)| subjects.contains(subject));
        of_them.map(|(_, key)| *key).collect()
    }

    /// Bytes of memory that the references take.
    pub(crate) fn bytes(&self) -> usize {
        let lists: usize = self.lists.values().map(|filter| filter.words().len() * 8).sum();
        self.coded.bytes() + self.len() * (size_of::<EncounterKey>() + size_of::<SubjectId>()) + lists
    }
}

impl ExactRows for Piece {
    fn row<'a>(&'a self, row: usize, room: &'a mut [Block]) -> Result<&'a [Block], Unreadable> {
        self.shelf.read(Slot(self.first + row as u32), room)?;
        Ok(room)
    }
}

fn set_lists(
    all: &mut HashMap<WatchlistId, SlotFilter>,
    keys: &[EncounterKey],
    key: EncounterKey,
    lists: &[WatchlistId],
) -> bool {
    let Ok(row) = keys.binary_search(&key) else { return false };
    all.values_mut().for_each(|filter| filter.clear(row));
    for list in lists {
        all.entry(*list).or_default().set(row);
    }
    true
}
