//! Proofs that a leaf is in a tree, and that one tree continues another (RFC 6962, section 2.1; checked as RFC 9162, section 2.1, says).

use crate::hash::{self, Hash};
use std::io;

/// The inner nodes of a tree.
pub trait Nodes {
    /// The root of the perfect subtree of `2^height` leaves that begins at leaf `index · 2^height`.
    ///
    /// # Errors
    /// When it cannot be read.
    fn node(&self, height: u32, index: u64) -> io::Result<Hash>;
}

/// The largest power of two below `leaves`, of which there are at least two.
fn split(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}

/// The tree hash of the leaves from `start` to before `end`, which stand in the tree as one subtree.
///
/// # Errors
/// When a node cannot be read.
pub fn subtree(nodes: &impl Nodes, start: u64, end: u64) -> io::Result<Hash> {
    let leaves = end - start;
    match leaves {
        0 => Ok(hash::sha256(&[])),
        _ if leaves.is_power_of_two() => nodes.node(leaves.ilog2(), start / leaves),
        _ => {
            let middle = start + split(leaves);
            Ok(hash::node(subtree(nodes, start, middle)?, subtree(nodes, middle, end)?))
        }
    }
}

/// The proof that leaf `index` is in the tree of the first `size` leaves: from its sibling to the root's child. `index < size`.
///
/// # Errors
/// When a node cannot be read.
pub fn inclusion(nodes: &impl Nodes, index: u64, size: u64) -> io::Result<Vec<Hash>> {
    let (mut start, mut end, mut proof) = (0, size, Vec::new());
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            proof.push(subtree(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(subtree(nodes, start, middle)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of `new` leaves continues the one of `old` leaves. `old <= new`; none is needed from the empty tree, or to the same.
///
/// # Errors
/// When a node cannot be read.
pub fn consistency(nodes: &impl Nodes, old: u64, new: u64) -> io::Result<Vec<Hash>> {
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let (mut start, mut end, mut proof) = (0, new, Vec::new());
    // Until what is left is a subtree of the old tree.
    while end > old {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(subtree(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(subtree(nodes, start, middle)?);
            start = middle;
        }
    }
    if start > 0 {
        proof.push(subtree(nodes, start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Is the leaf of this hash at `index` in the tree of `size` leaves with this root?
pub fn includes(root: Hash, size: u64, index: u64, leaf: Hash, proof: &[Hash]) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, leaf);
    for &step in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = hash::node(step, hash);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            hash = hash::node(hash, step);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && hash == root
}

/// Does the tree of `new` leaves with its root continue the one of `old` leaves with its root?
pub fn continues(old: (u64, Hash), new: (u64, Hash), proof: &[Hash]) -> bool {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size > new_size {
        return false;
    }
    if old_size == new_size {
        return proof.is_empty() && old_root == new_root;
    }
    if old_size == 0 {
        return proof.is_empty() && old_root == hash::sha256(&[]);
    }
    let itself = old_size.is_power_of_two().then_some(old_root);
    let mut steps = itself.into_iter().chain(proof.iter().copied());
    let Some(first) = steps.next() else { return false };
    let (mut at, mut last) = (old_size - 1, new_size - 1);
    while at & 1 == 1 {
        (at, last) = (at >> 1, last >> 1);
    }
    let (mut of_old, mut of_new) = (first, first);
    for step in steps {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            (of_old, of_new) = (hash::node(step, of_old), hash::node(step, of_new));
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            of_new = hash::node(of_new, step);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && of_old == old_root && of_new == new_root
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Frontier;

    /// A tree whose leaves are at hand.
    struct Leaves(Vec<Hash>);

    impl Nodes for Leaves {
        fn node(&self, height: u32, index: u64) -> io::Result<Hash> {
            let length = 1 << height;
            let mut frontier = Frontier::default();
            let from = index as usize * length;
            self.0[from..from + length].iter().for_each(|leaf| frontier.push(*leaf));
            Ok(frontier.root())
        }
    }

    fn tree(count: u8) -> (Leaves, Vec<Hash>) {
        let leaves: Vec<Hash> = (0..count).map(|n| hash::leaf(Hash([n; 32]))).collect();
        let (mut frontier, mut roots) = (Frontier::default(), vec![Frontier::default().root()]);
        for leaf in &leaves {
            frontier.push(*leaf);
            roots.push(frontier.root());
        }
        (Leaves(leaves), roots)
    }

    #[test]
    fn every_leaf_is_proven_in_every_tree_and_nothing_else_is() {
        let (tree, roots) = tree(40);
        for size in 1..=40u64 {
            let root = roots[size as usize];
            assert_eq!(subtree(&tree, 0, size).unwrap(), root);
            for index in 0..size {
                let (leaf, proof) = (tree.0[index as usize], inclusion(&tree, index, size).unwrap());
                assert!(includes(root, size, index, leaf, &proof), "{index} of {size}");
                assert!(!includes(root, size, index, Hash([9; 32]), &proof));
                assert!(!includes(roots[size as usize - 1], size, index, leaf, &proof));
                let longer = [proof.as_slice(), &[leaf]].concat();
                assert!(!includes(root, size, index, leaf, &longer));
                assert!(proof.is_empty() || !includes(root, size, index, leaf, &proof[1..]));
                for other in (0..size + 2).filter(|other| *other != index) {
                    assert!(!includes(root, size, other, leaf, &proof), "{index} as {other} of {size}");
                }
            }
        }
    }

    #[test]
    fn every_tree_is_proven_to_continue_each_before_it_and_no_other() {
        let (tree, roots) = tree(40);
        for new in 0..=40u64 {
            for old in 0..=new {
                let proof = consistency(&tree, old, new).unwrap();
                let (from, to) = ((old, roots[old as usize]), (new, roots[new as usize]));
                assert!(continues(from, to, &proof), "{old} to {new}");
                assert!(!continues((old, Hash([9; 32])), to, &proof));
                assert!(old == 0 && new > 0 || !continues(from, (new, Hash([9; 32])), &proof));
                assert!(!continues(from, to, &[proof.as_slice(), &[Hash([9; 32])]].concat()));
                for at in 0..proof.len() {
                    let mut changed = proof.clone();
                    changed[at].0[0] ^= 1;
                    assert!(!continues(from, to, &changed), "{old} to {new}");
                }
                assert!(old == new || !continues(to, from, &proof));
            }
        }
    }
}
