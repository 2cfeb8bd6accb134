//! Reads a whole log from its beginning and checks every byte of it.

use crate::{
    anchor::{AnchorError, Mark},
    checkpoint::Checkpoint,
    receipt::Receipt,
    segment::{self, Damage, Head, Leaf},
    storage::Storage,
    tree::Frontier,
};
use std::{io, ops::ControlFlow};

/// Why a log is not what it was.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file could not be read.
    #[error("the audit log cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Bytes that had been synced have changed.
    #[error("audit log segment {name} is damaged: {damage}")]
    Damaged {
        /// The file.
        name: String,
        /// What is wrong with it.
        damage: Damage,
    },
    /// A segment does not begin where the one before it ended.
    #[error("audit log segment {name} does not continue the log before it")]
    Gap {
        /// The file.
        name: String,
    },
    /// It is another log than the one that was seen.
    #[error("the first {0} leaves are not those that were seen: the log was written anew")]
    Another(u64),
    /// It has fewer leaves than were seen.
    #[error("the log has {log} leaves, {seen} were seen: it was rolled back")]
    Shorter {
        /// What it has.
        log: u64,
        /// What was seen.
        seen: u64,
    },
    /// The log does not reach its anchor.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
}

/// The names of the segments, oldest first.
pub(crate) fn segments(storage: &impl Storage) -> io::Result<Vec<String>> {
    let mut names = storage.names()?;
    names.retain(|name| segment::first_leaf(name).is_some());
    names.sort_unstable();
    Ok(names)
}

pub(crate) fn read(storage: &impl Storage, name: &str) -> Result<segment::Segment, VerifyError> {
    parse(name, &storage.read(name)?)
}

pub(crate) fn parse(name: &str, bytes: &[u8]) -> Result<segment::Segment, VerifyError> {
    segment::parse(bytes).map_err(|damage| VerifyError::Damaged { name: name.to_owned(), damage })
}

/// Reads leaves in order until `visit` has seen enough, each segment by itself: that each continues the one before is [`verify`]'s to say.
///
/// # Errors
/// When a file cannot be read or is damaged.
pub fn walk(
    storage: &impl Storage,
    mut visit: impl FnMut(u64, &Leaf) -> ControlFlow<()>,
) -> Result<(), VerifyError> {
    for name in segments(storage)? {
        let segment = read(storage, &name)?;
        for (leaf, index) in segment.leaves.iter().zip(segment.begins.tree.size()..) {
            if visit(index, leaf).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// One leaf, from the segment that holds it.
///
/// # Errors
/// When the segment cannot be read or is damaged.
pub fn leaf(storage: &impl Storage, index: u64) -> Result<Option<Leaf>, VerifyError> {
    let names = segments(storage)?;
    let holds = |name: &&String| segment::first_leaf(name).is_some_and(|first| first <= index);
    let Some(name) = names.iter().rev().find(holds) else { return Ok(None) };
    let segment = read(storage, name)?;
    let at = usize::try_from(index - segment.begins.tree.size().min(index)).unwrap_or(usize::MAX);
    Ok(segment.leaves.into_iter().nth(at))
}

/// Reads a whole log, and compares it with what was seen of it; returns its head.
///
/// # Errors
/// When it cannot be read, is damaged, or is not what was seen.
pub fn compare(storage: &impl Storage, seen: &[Checkpoint]) -> Result<Head, VerifyError> {
    let other = |tree: &Frontier| seen.iter().find(|it| it.size == tree.size() && it.root != tree.root());
    let mut tree = Frontier::default();
    let mut unlike = other(&tree).map(|it| it.size);
    let head = verify(storage, |_, leaf| {
        tree.push(leaf.hash());
        unlike = unlike.or_else(|| other(&tree).map(|it| it.size));
    })?;
    if let Some(size) = unlike {
        return Err(VerifyError::Another(size));
    }
    match seen.iter().find(|it| it.size > head.tree.size()) {
        Some(longer) => Err(VerifyError::Shorter { log: head.tree.size(), seen: longer.size }),
        None => Ok(head),
    }
}

/// Reads every leaf in order, gives each to `visit` with its index, and returns the head that follows from
/// them.
///
/// # Errors
/// When a file cannot be read, is damaged, or does not continue the one before it.
pub fn verify(storage: &impl Storage, mut visit: impl FnMut(u64, &Leaf)) -> Result<Head, VerifyError> {
    let mut head = Head::default();
    for name in segments(storage)? {
        let segment = read(storage, &name)?;
        if segment.begins != head || segment::first_leaf(&name) != Some(head.tree.size()) {
            return Err(VerifyError::Gap { name });
        }
        for leaf in &segment.leaves {
            visit(head.tree.size(), leaf);
            head.extend(std::slice::from_ref(leaf));
        }
    }
    Ok(head)
}

/// The receipts of all leaves with a tag of at least `oldest`, read from the end of the log backwards.
///
/// # Errors
/// When a segment cannot be read or is damaged.
pub fn receipts(storage: &impl Storage, oldest: u64) -> Result<Vec<(u64, Receipt)>, VerifyError> {
    let mut receipts = Vec::new();
    for name in segments(storage)?.iter().rev() {
        let segment = read(storage, name)?;
        let leaves = segment.leaves.iter().zip(segment.begins.tree.size()..);
        let tagged = leaves.filter(|(leaf, _)| leaf.tag >= oldest.max(1));
        receipts.extend(tagged.map(|(leaf, index)| (leaf.tag, Receipt::kept(index, leaf.hash()))));
        if segment.begins.last_tag < oldest {
            break;
        }
    }
    Ok(receipts)
}

/// Does the log hold all that its anchor knows? Reads one segment.
///
/// # Errors
/// When it does not, or a segment cannot be read or is damaged.
pub fn reaches(storage: &impl Storage, anchor: Mark) -> Result<(), VerifyError> {
    let names = segments(storage)?;
    let holds = |name: &&String| segment::first_leaf(name).is_some_and(|first| first <= anchor.size);
    let segment = names.iter().rev().find(holds).map(|name| read(storage, name)).transpose()?;
    let (mut head, leaves) =
        segment.map_or_else(Default::default, |segment| (segment.begins, segment.leaves));
    let known = anchor.size.saturating_sub(head.tree.size());
    head.extend(&leaves[..leaves.len().min(known as usize)]);
    if head.tree.size() < anchor.size {
        return Err(AnchorError::Behind { anchor, log: head.tree.size() }.into());
    }
    if Mark::from(&head) == anchor { Ok(()) } else { Err(AnchorError::Other(anchor.size).into()) }
}
