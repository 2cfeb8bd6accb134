//! Which rows a lookup may see, one bit each.

/// A bitmap over the rows of one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotFilter {
    words: Vec<u64>,
    count: u64,
}

impl SlotFilter {
    /// No row of `rows`.
    pub fn none(rows: usize) -> Self {
        Self { words: vec![0; rows.div_ceil(64)], count: 0 }
    }

    /// No row of any number.
    pub const fn nothing() -> Self {
        Self { words: Vec::new(), count: 0 }
    }

    /// Every one of `rows`.
    pub fn all(rows: usize) -> Self {
        let mut all = Self { words: vec![u64::MAX; rows.div_ceil(64)], count: rows as u64 };
        if let Some(last) = all.words.last_mut().filter(|_| !rows.is_multiple_of(64)) {
            *last = (1 << (rows % 64)) - 1;
        }
        all
    }

    /// The rows of these words, as [`Self::words`] gives them.
    pub fn of_words(words: Vec<u64>) -> Self {
        let count = words.iter().map(|word| u64::from(word.count_ones())).sum();
        Self { words, count }
    }

    /// The words, 64 rows each, lowest bit first.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Admits a row.
    pub fn set(&mut self, row: usize) {
        if self.words.len() <= row / 64 {
            self.words.resize(row / 64 + 1, 0);
        }
        self.count += u64::from(!self.contains(row));
        self.words[row / 64] |= 1 << (row % 64);
    }

    /// Hides a row.
    pub fn clear(&mut self, row: usize) {
        if self.contains(row) {
            self.count -= 1;
            self.words[row / 64] &= !(1 << (row % 64));
        }
    }

    /// Is this row admitted?
    pub fn contains(&self, row: usize) -> bool {
        self.words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// Number of rows admitted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Admits what the other admits, too.
    pub fn unite(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            self.count += u64::from((more & !*word).count_ones());
            *word |= more;
        }
    }

    /// The rows admitted, ascending.
    pub fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(index, &word)| ones(word).map(move |bit| index * 64 + bit))
    }
}

/// The positions of the set bits of a word, ascending.
pub fn ones(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros() as usize;
        (word != 0).then(|| {
            word &= word - 1;
            bit
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_filter_is_a_set_of_rows(
            changes in prop::collection::vec((0usize..300, any::<bool>()), 0..200),
            more in prop::collection::btree_set(0usize..500, 0..50),
        ) {
            let (mut filter, mut set) = (SlotFilter::none(100), BTreeSet::new());
            for (row, admit) in changes {
                if admit { filter.set(row); set.insert(row); } else { filter.clear(row); set.remove(&row); }
            }
            let mut other = SlotFilter::default();
            more.iter().for_each(|&row| other.set(row));
            filter.unite(&other);
            set.extend(&more);
            prop_assert!(filter.rows().eq(set.iter().copied()));
            prop_assert_eq!(filter.count(), set.len() as u64);
            let everyone = SlotFilter::all(set.len());
            prop_assert!(everyone.rows().eq(0..set.len()));
            prop_assert!((0..600).all(|row| filter.contains(row) == set.contains(&row)));
        }
    }
}
