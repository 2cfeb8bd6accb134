//! What witnesses are asked to cosign (c2sp.org/tlog-witness).

use crate::{
    evidence::{self, EvidenceError},
    gallery::Gallery,
};
use audit::{note::Note, proof};
use base64::{Engine, engine::general_purpose::STANDARD};

pub use audit::note::{Kind, NoteError, VerifierKey};

/// A checkpoint of the log as it is now, to be cosigned.
#[derive(Clone, Debug)]
pub struct Submission {
    checkpoint: Note,
    size: u64,
}

impl Submission {
    /// The log as it is now.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn of(gallery: &Gallery) -> Result<Self, NoteError> {
        let head = gallery.log.head();
        let checkpoint = evidence::sign(gallery.keys.log(), &head).parse()?;
        Ok(Self { checkpoint, size: head.tree.size() })
    }

    /// Leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The request to a witness that saw `old` leaves of it.
    ///
    /// # Errors
    /// When the tiles cannot be read.
    pub fn request(&self, gallery: &Gallery, old: u64) -> Result<String, EvidenceError> {
        let tiles = evidence::tiles(gallery)?;
        let path = proof::consistency(tiles, old, self.size).map_err(EvidenceError::of)?;
        let path: String = path.into_iter().map(|hash| STANDARD.encode(hash.0) + "\n").collect();
        Ok(format!("old {old}\n{path}\n{}", self.checkpoint))
    }

    /// Takes on a witness's answer.
    ///
    /// # Errors
    /// When it is not the witness's cosignature of this checkpoint.
    pub fn take(&mut self, answer: &str, witness: &VerifierKey) -> Result<(), NoteError> {
        let with =
            answer.lines().try_fold(self.checkpoint.clone(), |note, line| note.with(&format!("{line}\n")))?;
        with.signed_by(witness)?.ok_or(NoteError::Unsigned("the witness"))?;
        // Nobody else's signature is taken from it.
        self.checkpoint = self.checkpoint.with(&with.lines_of(witness))?;
        Ok(())
    }

    /// Keeps it as the last that was cosigned: proofs are of it from now on, if it reaches.
    ///
    /// # Errors
    /// When it cannot be written; it counts until the node stops all the same.
    pub fn keep(self, gallery: &Gallery) -> std::io::Result<()> {
        gallery.cosigned.put(self.size, self.checkpoint)
    }
}
