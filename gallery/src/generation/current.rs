//! The pointer to what is searched now.

use super::{
    Delta, Snapshot,
    refit::{self, Refitted},
};
use crate::{
    id::{RecordSequence, WatchlistId},
    timestamp::Timestamp,
};
use arc_swap::ArcSwap;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// The current snapshot. Reading never waits; the record's writer publishes, and now and then a refit.
#[derive(Debug)]
pub(crate) struct Current {
    snapshot: ArcSwap<Snapshot>,
    /// Held while the next snapshot is made from the last.
    publishing: Mutex<()>,
    refitting: AtomicBool,
}

impl Current {
    /// Begins with this, and codes anew in the background what should be.
    pub(crate) fn begin(snapshot: Snapshot) -> Arc<Self> {
        let snapshot = Arc::new(snapshot);
        let current = Arc::new(Self {
            snapshot: ArcSwap::new(Arc::clone(&snapshot)),
            publishing: Mutex::default(),
            refitting: AtomicBool::new(false),
        });
        refit::begin(&current, &snapshot);
        current
    }

    /// What is searched now; it does not change while it is held.
    pub(crate) fn load(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Makes changes visible to the next lookup. Active references of each watchlist and the next expiry come
    /// from the store; without them the old ones stay, and the writer stops.
    pub(crate) fn publish(
        self: &Arc<Self>,
        as_of: RecordSequence,
        deltas: Vec<Delta>,
        counted: Option<(HashMap<WatchlistId, u64>, Option<Timestamp>)>,
    ) {
        let next = self.change(|next| {
            next.apply(deltas);
            next.as_of = as_of;
            if let Some((expected, next_expiry)) = counted {
                next.expected = expected;
                next.next_expiry = next_expiry;
            }
        });
        refit::begin(self, &next);
    }

    /// May a refit begin? One at a time.
    pub(super) fn begin_refit(&self) -> bool {
        !self.refitting.swap(true, Ordering::AcqRel)
    }

    /// Another may begin.
    pub(super) fn end_refit(&self) {
        self.refitting.store(false, Ordering::Release);
    }

    /// Takes over what a refit made.
    pub(super) fn take_over(&self, refitted: Refitted) {
        self.change(|next| next.take_over(refitted));
    }

    fn change(&self, change: impl FnOnce(&mut Snapshot)) -> Arc<Snapshot> {
        let _one_at_a_time = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Snapshot::clone(&self.load());
        change(&mut next);
        let next = Arc::new(next);
        self.snapshot.store(Arc::clone(&next));
        next
    }
}

#[cfg(test)]
impl Current {
    /// What is searched as a test wants it.
    pub(crate) fn replace(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
    }
}
