//! Checkpoints: a log's size and root as a signed note (c2sp.org/tlog-checkpoint).

use crate::{
    hash::Hash,
    note::{Note, NoteError, VerifierKey},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{fmt, str::FromStr};

/// A log at some size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// The Merkle tree hash of these leaves.
    pub root: Hash,
}

impl Checkpoint {
    /// The checkpoint of a note that the log has signed. Extension lines are passed over.
    ///
    /// # Errors
    /// When it is not one of this log, or the log has not signed it.
    pub fn of(note: &Note, log: &VerifierKey) -> Result<Self, NoteError> {
        note.signed_by(log)?.ok_or(NoteError::Unsigned("the log"))?;
        let checkpoint: Self = note.text().parse()?;
        if checkpoint.origin == log.name() { Ok(checkpoint) } else { Err(NoteError::Malformed) }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, encode(self.root))
    }
}

impl FromStr for Checkpoint {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.strip_suffix('\n').ok_or(NoteError::Malformed)?.split('\n');
        let mut line = || lines.next().filter(|line| !line.is_empty()).ok_or(NoteError::Malformed);
        let (origin, size, root) = (line()?.to_owned(), number(line()?)?, decode(line()?)?);
        if lines.any(str::is_empty) { Err(NoteError::Malformed) } else { Ok(Self { origin, size, root }) }
    }
}

/// A decimal number without leading zeros.
pub(crate) fn number(text: &str) -> Result<u64, NoteError> {
    let number: u64 = text.parse().map_err(|_| NoteError::Malformed)?;
    if number.to_string() == text { Ok(number) } else { Err(NoteError::Malformed) }
}

/// A hash as text.
pub(crate) fn encode(hash: Hash) -> String {
    STANDARD.encode(hash.0)
}

/// The reverse.
pub(crate) fn decode(text: &str) -> Result<Hash, NoteError> {
    let bytes = STANDARD.decode(text).map_err(|_| NoteError::Malformed)?;
    bytes.try_into().map(Hash).map_err(|_| NoteError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::{Kind, SigningKey};

    #[test]
    fn a_checkpoint_has_one_form_and_its_logs_signature() {
        let [log, forger] =
            [[1; 32], [2; 32]].map(|seed| SigningKey::new("limen/a", Kind::Note, &seed).unwrap());
        let checkpoint = Checkpoint { origin: "limen/a".to_owned(), size: 70_000, root: Hash([7; 32]) };
        let text = checkpoint.to_string();
        assert_eq!(text.parse::<Checkpoint>().as_ref(), Ok(&checkpoint));
        let signed =
            |by: &SigningKey, text: &str| format!("{text}\n{}", by.line(text, 0)).parse::<Note>().unwrap();
        assert_eq!(Checkpoint::of(&signed(&log, &text), log.verifier()).as_ref(), Ok(&checkpoint));
        assert!(Checkpoint::of(&signed(&forger, &text), log.verifier()).is_err());
        let elsewhere = text.replace("limen/a", "limen/b");
        assert!(Checkpoint::of(&signed(&log, &elsewhere), log.verifier()).is_err(), "of another log");
        for bad in ["", "a\n1\n", "a\n01\nAAAA\n", "a\n1\nAAAA\n", "\n1\nAAAA\n", text.trim_end()] {
            assert!(bad.parse::<Checkpoint>().is_err(), "{bad:?}");
        }
    }
}
