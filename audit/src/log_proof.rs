//! Proofs that somebody else can check without the log (c2sp.org/tlog-proof).

use crate::{
    checkpoint::{Checkpoint, decode, encode, number},
    hash::Hash,
    note::{Kind, Note, NoteError, VerifierKey},
    proof,
};
use std::{fmt, str::FromStr};

const HEAD: &str = "c2sp.org/tlog-proof@v1";

/// A leaf's place in a log that was signed, and perhaps cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogProof {
    /// The leaf's position, from 0.
    pub index: u64,
    /// From the leaf's sibling to the root's child.
    pub path: Vec<Hash>,
    /// The checkpoint, as it was signed.
    pub checkpoint: Note,
}

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// The checkpoint is not the log's.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] NoteError),
    /// The leaf is not in that tree at that place.
    #[error("the leaf is not in the log of this checkpoint at this place")]
    Elsewhere,
    /// Too few of the witnesses have seen that tree.
    #[error("{0} of {1} witnesses have cosigned the checkpoint")]
    Unwitnessed(usize, usize),
}

impl LogProof {
    /// Is a leaf of this hash in the log of this key, and did at least `quorum` of these witnesses see it there?
    ///
    /// # Errors
    /// When it is not shown to be so.
    pub fn check(
        &self,
        leaf: Hash,
        log: &VerifierKey,
        witnesses: &[VerifierKey],
        quorum: usize,
    ) -> Result<Checkpoint, Unproven> {
        let checkpoint = Checkpoint::of(&self.checkpoint, log)?;
        let mut seen = 0;
        for witness in witnesses.iter().filter(|witness| witness.kind() == Kind::Cosignature) {
            seen += usize::from(self.checkpoint.signed_by(witness)?.is_some());
        }
        if seen < quorum {
            return Err(Unproven::Unwitnessed(seen, quorum));
        }
        let included = proof::includes(checkpoint.root, checkpoint.size, self.index, leaf, &self.path);
        if included { Ok(checkpoint) } else { Err(Unproven::Elsewhere) }
    }
}

impl fmt::Display for LogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}\nindex {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", encode(*hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for LogProof {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (head, checkpoint) = text.split_once("\n\n").ok_or(NoteError::Malformed)?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEAD) {
            return Err(NoteError::Malformed);
        }
        // Extra data is nobody's promise.
        lines.next_if(|line| line.starts_with("extra "));
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).ok_or(NoteError::Malformed)?;
        let path: Vec<Hash> = lines.map(decode).collect::<Result<_, _>>()?;
        if path.len() > 63 {
            return Err(NoteError::Malformed);
        }
        Ok(Self { index: number(index)?, path, checkpoint: checkpoint.parse()? })
    }
}
