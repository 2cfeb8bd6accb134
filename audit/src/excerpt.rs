//! The beginning of a log, as a log of its own: a prefix of the leaves has the tree that the log had then.

use crate::{
    segment::{self, Head, Leaf},
    storage::Storage,
    verify::{self, VerifyError},
};

/// Writes the leaves before the first for which `ends` says yes into a new log; returns its head.
///
/// # Errors
/// When a file cannot be read or written, or the log is damaged.
pub fn write(
    from: &impl Storage,
    to: &mut impl Storage,
    mut ends: impl FnMut(&Leaf) -> bool,
) -> Result<Head, VerifyError> {
    let mut head = Head::default();
    let names = verify::segments(from)?;
    if names.is_empty() {
        to.create(&segment::name(0), &segment::header(&head))?;
    }
    for name in names {
        let segment = verify::read(from, &name)?;
        if segment.begins != head {
            return Err(VerifyError::Gap { name });
        }
        let before = head.tree.size();
        let kept = segment.leaves.iter().position(&mut ends).unwrap_or(segment.leaves.len());
        let mut bytes = segment::header(&head);
        if kept > 0 {
            bytes.extend(segment::batch(before, &segment.leaves[..kept]));
        }
        head.extend(&segment.leaves[..kept]);
        to.create(&name, &bytes)?;
        if kept < segment.leaves.len() {
            break;
        }
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{hash::Hash, log::Log, storage::Disk};

    #[test]
    fn an_excerpt_is_the_log_as_it_was() {
        let (whole, part) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let leaf = |tag: u64| Leaf { tag, commitment: Hash([tag as u8; 32]), payload: vec![7; tag as usize] };
        let log = Log::open(Disk::open(whole.path()).unwrap()).unwrap();
        let mut heads = vec![log.head()];
        for tag in 1..=9 {
            log.append(vec![leaf(tag), leaf(0)]).unwrap();
            heads.push(log.head());
        }
        drop(log);
        for (last, expected) in (0..).zip(heads) {
            let mut to = Disk::open(&part.path().join(last.to_string())).unwrap();
            let from = Disk::open(whole.path()).unwrap();
            assert_eq!(write(&from, &mut to, |leaf| leaf.tag > last).unwrap(), expected);
            drop(to);
            let again = Log::open(Disk::open(&part.path().join(last.to_string())).unwrap()).unwrap();
            assert_eq!(again.head(), expected);
        }
    }
}
