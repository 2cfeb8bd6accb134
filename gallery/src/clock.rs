//! The clock, watched: retention is counted in its time, so a node whose clock went back answers nothing.

use crate::{ambient::Ambient, timestamp::Timestamp};
use std::sync::atomic::{AtomicI64, Ordering};

/// How far back is still taken for the clock being set right.
const TOLERANCE_MS: i64 = 60_000;

/// The clock went back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the clock says {now}, and {known} was seen before: set it right; if {known} was wrong, `limen-index clock --accept` on the stopped node"
)]
pub struct ClockBack {
    /// What it says.
    pub now: Timestamp,
    /// What it said before.
    pub known: Timestamp,
}

/// When something is due next.
#[derive(Debug)]
pub(crate) struct Awaiting {
    /// `i64::MAX` when nothing is.
    next_ms: AtomicI64,
}

impl Default for Awaiting {
    fn default() -> Self {
        Self { next_ms: AtomicI64::new(i64::MAX) }
    }
}

impl Awaiting {
    /// Something has come that is due then. Called once others can find it.
    pub(crate) fn until(&self, at: Timestamp) {
        self.next_ms.fetch_min(at.unix_ms(), Ordering::AcqRel);
    }

    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.next_ms.load(Ordering::Acquire) <= now.unix_ms()
    }

    /// Asks anew what is due next.
    pub(crate) fn look<E>(&self, next: impl FnOnce() -> Result<Option<Timestamp>, E>) -> Result<(), E> {
        let before = self.next_ms.swap(i64::MAX, Ordering::AcqRel);
        match next() {
            Ok(next) => next.into_iter().for_each(|next| self.until(next)),
            Err(error) => {
                self.next_ms.fetch_min(before, Ordering::AcqRel);
                return Err(error);
            }
        }
        Ok(())
    }
}

/// The latest time that was seen.
#[derive(Debug)]
pub(crate) struct Watch {
    latest_ms: AtomicI64,
}

impl Watch {
    /// It was this late, as the record knows.
    pub(crate) fn since(known: Timestamp) -> Self {
        Self { latest_ms: AtomicI64::new(known.unix_ms()) }
    }

    /// Now; an error when that is earlier than it was.
    pub(crate) fn now(&self, ambient: &Ambient) -> Result<Timestamp, ClockBack> {
        let now = ambient.clock.now();
        let latest = self.latest_ms.fetch_max(now.unix_ms(), Ordering::AcqRel);
        match Timestamp::from_unix_ms(latest) {
            Some(known) if now.unix_ms() < latest - TOLERANCE_MS => Err(ClockBack { now, known }),
            _ => Ok(now),
        }
    }

    /// From here on this is the latest time.
    pub(crate) fn accept(&self, now: Timestamp) {
        self.latest_ms.store(now.unix_ms(), Ordering::Release);
    }
}
