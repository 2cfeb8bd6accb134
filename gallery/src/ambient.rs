//! Clock and chance, passed in so that tests can hold them.

use crate::timestamp::Timestamp;
use std::sync::Arc;

/// What time it is.
pub trait Clock: Send + Sync {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;
}

/// Unpredictable bytes.
pub trait Chance: Send + Sync {
    /// Fills the bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// Both.
#[derive(Clone)]
pub struct Ambient {
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Unpredictable bytes.
    pub chance: Arc<dyn Chance>,
}

impl Ambient {
    /// The operating system's.
    pub fn system() -> Self {
        Self { clock: Arc::new(System), chance: Arc::new(System) }
    }

    /// Random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.chance.fill(&mut bytes);
        bytes
    }
}

impl std::fmt::Debug for Ambient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ambient")
    }
}

struct System;

impl Clock for System {
    #[expect(clippy::disallowed_methods, reason = "this is the wall clock's home")]
    fn now(&self) -> Timestamp {
        Timestamp::from(time::OffsetDateTime::now_utc())
    }
}

impl Chance for System {
    #[expect(clippy::disallowed_methods, reason = "this is chance's home")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}
