//! The pointer to what is searched now.

use super::{Delta, Snapshot};
use crate::{
    id::{RecordSequence, WatchlistId},
    timestamp::Timestamp,
};
use arc_swap::ArcSwap;
use std::{collections::HashMap, sync::Arc};

/// The current snapshot. Reading never waits; only the record's writer publishes.
#[derive(Debug)]
pub(crate) struct Current(ArcSwap<Snapshot>);

impl Current {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self(ArcSwap::from_pointee(snapshot))
    }

    /// What is searched now; it does not change while it is held.
    pub(crate) fn load(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Makes changes visible to the next lookup. Active references of each watchlist and the next expiry come
    /// from the store; without them the old ones stay, and the writer stops.
    pub(crate) fn publish(
        &self,
        as_of: RecordSequence,
        deltas: Vec<Delta>,
        counted: Option<(HashMap<WatchlistId, u64>, Option<Timestamp>)>,
    ) {
        let mut next = Snapshot::clone(&self.load());
        next.apply(deltas);
        next.as_of = as_of;
        if let Some((expected, next_expiry)) = counted {
            next.expected = expected;
            next.next_expiry = next_expiry;
        }
        self.0.store(Arc::new(next));
    }
}

#[cfg(test)]
impl Current {
    /// What is searched as a test wants it.
    pub(crate) fn replace(&self, snapshot: Snapshot) {
        self.0.store(Arc::new(snapshot));
    }
}
