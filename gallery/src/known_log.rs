//! A log as far as somebody knows it, and what stood where an anchor was made.

use audit::{anchor::Mark, segment::Head};
use serde::{Deserialize, Serialize};

/// What stood where an anchor was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FormerAnchor {
    /// Nothing.
    None,
    /// An anchor that could not be read.
    Unreadable,
    /// An anchor that knew this log.
    Known(KnownLog),
}

/// A log as far as somebody knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownLog {
    /// Number of leaves.
    pub leaves: u64,
    /// The last event of the record among them.
    pub last_event: u64,
    /// The Merkle root over them.
    pub root: String,
}

impl From<Mark> for KnownLog {
    fn from(mark: Mark) -> Self {
        Self { leaves: mark.size, last_event: mark.last_tag, root: mark.root.to_string() }
    }
}

impl From<&Head> for KnownLog {
    fn from(head: &Head) -> Self {
        Mark::from(head).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_anchor_replaced_is_read_as_it_was_told() {
        let known = KnownLog { leaves: 3, last_event: 2, root: "00".to_owned() };
        for former in [FormerAnchor::None, FormerAnchor::Unreadable, FormerAnchor::Known(known)] {
            let text = serde_json::to_string(&former).unwrap();
            assert_eq!(serde_json::from_str::<FormerAnchor>(&text).unwrap(), former, "{text}");
        }
    }
}
