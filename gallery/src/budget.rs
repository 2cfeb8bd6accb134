//! What a caller may not do too often: searches leak, a little each, what templates they are compared with.
//!
//! Hill climbing (Adler, 2003; Galbally et al., 2010) makes a template out of some thousands of answers to probes that are varied a little each
//! time, with scores or without.

use serde::{Deserialize, Serialize};

/// Searches in an hour, if the grant says nothing else.
pub const SEARCHES_PER_HOUR: u32 = 3_600;
/// More are not granted.
pub const MOST_SEARCHES_PER_HOUR: u32 = 100_000;
/// So many other probes like it, by the same caller within [`MEMORY_HOURS`], and a probe is not searched with.
pub const RELATED_PROBES: usize = 32;
/// So many probes with which it was shown the same subject, or asked for it, or that are like one of these, within [`MEMORY_HOURS`], and a caller
/// searches no more.
pub const MEETINGS: usize = 60;
/// For how long probes that are like others, and who was found, are remembered.
pub const MEMORY_HOURS: i64 = 24;

/// What a caller was stopped for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Misuse {
    /// It has made all the searches that it may make in an hour.
    #[error("this caller has made all the searches of its hour")]
    Searches,
    /// It has searched with many probes like this one.
    #[error(
        "this caller has searched with too many probes like this one: send the best picture of a person, and repeat a request under its key"
    )]
    RelatedProbes,
    /// It was shown the same subject, or asked for it, too often.
    #[error("this caller has met the same subject too often")]
    Meetings,
}

impl Misuse {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Searches => "searches",
            Self::RelatedProbes => "related_probes",
            Self::Meetings => "meetings",
        }
    }
}
