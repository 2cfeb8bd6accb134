//! A Merkle tree that only grows: its frontier is all that has to be remembered.

use crate::hash::{self, Hash};

/// The roots of the perfect subtrees that make up the tree, largest first: at most 64 hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

impl Frontier {
    /// A tree of `size` leaves with these subtree roots; `None` when their number does not fit the size.
    pub fn new(size: u64, roots: Vec<Hash>) -> Option<Self> {
        (roots.len() == size.count_ones() as usize).then_some(Self { size, roots })
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the perfect subtrees, largest first.
    pub fn roots(&self) -> &[Hash] {
        &self.roots
    }

    /// Appends a leaf by its leaf hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.roots.pop().expect("one root for each bit of the size");
            hash = hash::node(left, hash);
        }
        self.roots.push(hash);
        self.size += 1;
    }

    /// The Merkle tree hash; that of the empty tree is SHA-256 of nothing.
    pub fn root(&self) -> Hash {
        let right_to_left = self.roots.iter().rev().copied();
        right_to_left.reduce(|right, left| hash::node(left, right)).unwrap_or_else(|| hash::sha256(&[]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6962, section 2.1, word for word.
    fn merkle_tree_hash(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => hash::sha256(&[]),
            [leaf] => *leaf,
            _ => {
                let k = leaves.len().next_power_of_two() / 2;
                hash::node(merkle_tree_hash(&leaves[..k]), merkle_tree_hash(&leaves[k..]))
            }
        }
    }

    #[test]
    fn the_frontier_gives_the_tree_hash_of_rfc_6962() {
        let leaves: Vec<Hash> = (0..200u8).map(|i| hash::leaf(hash::sha256(&[&[i]]))).collect();
        let mut frontier = Frontier::default();
        for (size, leaf) in leaves.iter().enumerate() {
            assert_eq!(frontier.root(), merkle_tree_hash(&leaves[..size]), "{size} leaves");
            frontier.push(*leaf);
        }
        assert_eq!(Frontier::new(frontier.size(), frontier.roots().to_vec()), Some(frontier.clone()));
        assert_eq!(Frontier::new(201, frontier.roots().to_vec()), None);
    }

    #[test]
    fn leaf_and_node_hashes_are_those_of_rfc_6962() {
        // The empty tree and the one-leaf tree of an empty entry: published test vectors of RFC 6962.
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Frontier::default().root().to_string(), empty);
        let leaf_of_nothing = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        assert_eq!(hash::sha256(&[&[0]]).to_string(), leaf_of_nothing);
    }
}
