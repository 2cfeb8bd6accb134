//! What a writer gets for a durable leaf.

use crate::hash::Hash;

/// Under which index and hash the log holds a leaf. Given only for durable leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    leaf_index: u64,
    leaf_hash: Hash,
}

impl Receipt {
    /// A receipt that was given before and kept by its holder.
    pub fn kept(leaf_index: u64, leaf_hash: Hash) -> Self {
        Self { leaf_index, leaf_hash }
    }

    /// Position in the log, from 0.
    pub fn leaf_index(&self) -> u64 {
        self.leaf_index
    }

    /// The leaf's hash in the tree.
    pub fn leaf_hash(&self) -> Hash {
        self.leaf_hash
    }
}
