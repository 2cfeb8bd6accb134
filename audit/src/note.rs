//! Signed notes, with Ed25519 (c2sp.org/signed-note), and timestamped cosignatures of checkpoints (c2sp.org/tlog-cosignature).

use crate::hash::sha256;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{fmt, str::FromStr};

/// Signatures that a note may have.
const SIGNATURE_LIMIT: usize = 64;
const DASH: &str = "\u{2014} ";

/// What a signature says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The note's text is the signer's.
    Note,
    /// The signer saw the log of a checkpoint at some time, and never another.
    Cosignature,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Note => 1,
            Self::Cosignature => 4,
        }
    }
}

/// Why something is not a note, a key or a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is not a signed note.
    #[error("it is not a signed note")]
    Malformed,
    /// It is not the text of a key.
    #[error("a key is written name+id+base64, as in c2sp.org/signed-note")]
    Key,
    /// It is not a name.
    #[error("a key's name has no white space and no plus")]
    Name,
    /// Nobody who is known has signed.
    #[error("it is not signed by {0}")]
    Unsigned(&'static str),
    /// A signature under a known key is not one.
    #[error("a signature under a known key does not verify")]
    Forged,
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// By which signatures are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    kind: Kind,
    public: [u8; 32],
}

impl VerifierKey {
    /// Whose.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The first bytes of a hash over name, kind and key.
    pub fn id(&self) -> [u8; 4] {
        let digest = sha256(&[self.name.as_bytes(), b"\n", &[self.kind.byte()], &self.public]);
        *digest.0.first_chunk().expect("a hash is longer")
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), NoteError> {
        UnparsedPublicKey::new(&ED25519, self.public)
            .verify(message, signature)
            .map_err(|_| NoteError::Forged)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+", self.name)?;
        self.id().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        let key: Vec<u8> = std::iter::once(self.kind.byte()).chain(self.public).collect();
        write!(f, "+{}", STANDARD.encode(key))
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (name, rest) = text.split_once('+').ok_or(NoteError::Key)?;
        let (_, key) = rest.split_once('+').ok_or(NoteError::Key)?;
        let key = STANDARD.decode(key).map_err(|_| NoteError::Key)?;
        let (kind, public) = key.split_first().ok_or(NoteError::Key)?;
        let kind = [Kind::Note, Kind::Cosignature].into_iter().find(|one| one.byte() == *kind);
        let public = public.try_into().map_err(|_| NoteError::Key)?;
        let key = Self { name: name.to_owned(), kind: kind.ok_or(NoteError::Key)?, public };
        // Its id stands in it, too.
        if is_name(name) && key.to_string() == text { Ok(key) } else { Err(NoteError::Key) }
    }
}

/// Signs.
pub struct SigningKey {
    verifier: VerifierKey,
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// The key of a seed, under a name.
    ///
    /// # Errors
    /// When the name has white space or a plus.
    pub fn new(name: &str, kind: Kind, seed: &[u8; 32]) -> Result<Self, NoteError> {
        if !is_name(name) {
            return Err(NoteError::Name);
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoteError::Key)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| NoteError::Key)?;
        Ok(Self { verifier: VerifierKey { name: name.to_owned(), kind, public }, pair })
    }

    /// By which its signatures are known.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The line by which a text is signed. The text ends with a newline. A cosigner says when, in seconds since 1970.
    pub fn line(&self, text: &str, seconds: u64) -> String {
        let signed = match self.verifier.kind {
            Kind::Note => self.pair.sign(text.as_bytes()).as_ref().to_vec(),
            Kind::Cosignature => {
                let signature = self.pair.sign(cosigned(text, seconds).as_bytes());
                [&seconds.to_be_bytes(), signature.as_ref()].concat()
            }
        };
        let signature = STANDARD.encode([self.verifier.id().as_slice(), &signed].concat());
        format!("{DASH}{} {signature}\n", self.verifier.name)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.verifier)
    }
}

fn cosigned(text: &str, seconds: u64) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

/// A text and its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// The text: not to be believed before a signature is verified.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The lines by which this key signed it.
    pub fn lines_of(&self, key: &VerifierKey) -> String {
        let ours = self.signatures.iter().filter(|one| one.name == key.name && one.id == key.id());
        ours.map(Signature::to_string).collect()
    }

    /// The same with more signatures.
    ///
    /// # Errors
    /// When they are no lines of signatures.
    pub fn with(&self, line: &str) -> Result<Self, NoteError> {
        format!("{self}{line}").parse()
    }

    /// Has this key signed it? Of a cosignature, when.
    ///
    /// # Errors
    /// When a signature under this key does not verify.
    pub fn signed_by(&self, key: &VerifierKey) -> Result<Option<u64>, NoteError> {
        let mut signed = None;
        for signature in self.signatures.iter().filter(|one| one.name == key.name && one.id == key.id()) {
            let seconds = match key.kind {
                Kind::Note => {
                    key.verify(self.text.as_bytes(), &signature.bytes)?;
                    0
                }
                Kind::Cosignature => {
                    let (seconds, bytes) = signature.bytes.split_first_chunk().ok_or(NoteError::Forged)?;
                    let seconds = u64::from_be_bytes(*seconds);
                    key.verify(cosigned(&self.text, seconds).as_bytes(), bytes)?;
                    seconds
                }
            };
            signed = Some(signed.map_or(seconds, |last: u64| last.max(seconds)));
        }
        Ok(signed)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| signature.fmt(f))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{DASH}{} {}", self.name, STANDARD.encode([self.id.as_slice(), &self.bytes].concat()))
    }
}

impl FromStr for Note {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        if note.chars().any(|c| c.is_ascii_control() && c != '\n') {
            return Err(NoteError::Malformed);
        }
        let at = note.rfind("\n\n").ok_or(NoteError::Malformed)?;
        let (text, lines) = (&note[..=at], &note[at + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed)?;
        let signature = |line: &str| {
            let (name, bytes) = line.strip_prefix(DASH)?.split_once(' ')?;
            let bytes = STANDARD.decode(bytes).ok()?;
            let (id, bytes) = bytes.split_first_chunk()?;
            is_name(name).then(|| Signature { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
        };
        let signatures: Vec<_> =
            lines.split('\n').map(signature).collect::<Option<_>>().ok_or(NoteError::Malformed)?;
        if signatures.len() > SIGNATURE_LIMIT {
            return Err(NoteError::Malformed);
        }
        Ok(Self { text: text.to_owned(), signatures })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_verifies() {
        let key = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
        let text = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
        let (key, note) = (key.parse::<VerifierKey>().unwrap(), text.parse::<Note>().unwrap());
        assert_eq!(note.signed_by(&key), Ok(Some(0)));
        assert_eq!(note.to_string(), text);
        let other = text.replace("example message", "exemplary message").parse::<Note>().unwrap();
        assert_eq!(other.signed_by(&key), Err(NoteError::Forged));
    }

    #[test]
    fn a_signature_is_known_by_its_key_and_says_what_it_says() {
        let signer = SigningKey::new("a/log", Kind::Note, &[1; 32]).unwrap();
        let witness = SigningKey::new("b/witness", Kind::Cosignature, &[2; 32]).unwrap();
        let text = "a/log\n7\nxyz\n";
        let note = format!("{text}\n{}{}", signer.line(text, 0), witness.line(text, 99));
        let note: Note = note.parse().unwrap();
        assert_eq!(note.text(), text);
        assert_eq!(note.signed_by(signer.verifier()), Ok(Some(0)));
        assert_eq!(note.signed_by(witness.verifier()), Ok(Some(99)));
        let stranger = SigningKey::new("a/log", Kind::Note, &[3; 32]).unwrap();
        assert_eq!(note.signed_by(stranger.verifier()), Ok(None));
        let key = witness.verifier().to_string();
        assert_eq!(key.parse::<VerifierKey>().as_ref(), Ok(witness.verifier()));
        assert!(key.replace("b/", "c/").parse::<VerifierKey>().is_err(), "its id is another");
        assert!(SigningKey::new("a b", Kind::Note, &[1; 32]).is_err());
        for bad in [
            "",
            "text\n",
            "text\n\n",
            "text\n\n\u{2014} a",
            "text\n\nx a AAAAAA==\n",
            "te\rxt\n\n\u{2014} a AAAAAA==\n",
        ] {
            assert!(bad.parse::<Note>().is_err(), "{bad:?}");
        }
    }
}
