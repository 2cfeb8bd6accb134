//! Authenticated encryption: AES-256-GCM (NIST SP 800-38D).

use crate::ambient::Ambient;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::fmt;
use zeroize::Zeroizing;

/// Bytes of a key.
pub(crate) const KEY: usize = 32;
/// Bytes of a tag.
pub(crate) const TAG: usize = 16;
/// Bytes by which a sealed text is longer than its plain text: nonce before it, tag after it.
pub(crate) const OVERHEAD: usize = NONCE_LEN + TAG;

/// Bytes of a key; forgotten when it is dropped.
pub(crate) type KeyBytes = Zeroizing<[u8; KEY]>;

/// Why nobody vouches for a line of text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unvouched {
    /// There are not two such lines.
    Malformed,
    /// The text was changed, or the key is another.
    Unsealed,
}

/// A key under which texts are sealed and opened.
pub(crate) struct SealingKey(LessSafeKey);

impl SealingKey {
    pub(crate) fn new(bytes: &[u8; KEY]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, bytes).expect("a key of this length is one");
        Self(LessSafeKey::new(key))
    }

    /// Nonce, ciphertext and tag, under a nonce drawn by chance. What it is the text of must be said again to open
    /// it.
    pub(crate) fn seal(&self, ambient: &Ambient, about: &[&[u8]], plain: &[u8]) -> Vec<u8> {
        self.seal_under(ambient.random(), about, plain)
    }

    /// The same under a nonce that the caller never uses twice.
    pub(crate) fn seal_under(&self, nonce: [u8; NONCE_LEN], about: &[&[u8]], plain: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD);
        sealed.extend(nonce);
        sealed.extend(plain);
        let tag = self.seal_in_place(nonce, about, &mut sealed[NONCE_LEN..]);
        sealed.extend(tag);
        sealed
    }

    /// A line of text, and one of hexadecimal digits that vouches for it: nothing, sealed about the kind of text and the text.
    pub(crate) fn vouch(&self, nonce: [u8; NONCE_LEN], kind: &[u8], mut line: Vec<u8>) -> Vec<u8> {
        let seal = self.seal_under(nonce, &[kind, &line], &[]);
        line.push(b'\n');
        line.extend(base16ct::lower::encode_string(&seal).as_bytes());
        line.push(b'\n');
        line
    }

    /// The line of text, if its second line vouches for it.
    pub(crate) fn vouched<'a>(&self, kind: &[u8], lines: &'a [u8]) -> Result<&'a [u8], Unvouched> {
        let parts = lines.strip_suffix(b"\n").and_then(|lines| {
            let at = lines.iter().rposition(|byte| *byte == b'\n')?;
            Some((&lines[..at], base16ct::lower::decode_vec(&lines[at + 1..]).ok()?))
        });
        let (line, seal) = parts.ok_or(Unvouched::Malformed)?;
        self.open(&[kind, line], &seal).map(|_| line).ok_or(Unvouched::Unsealed)
    }

    /// Makes a plain text the ciphertext, and gives its tag. The nonce must never be used twice under this key.
    pub(crate) fn seal_in_place(
        &self,
        nonce: [u8; NONCE_LEN],
        about: &[&[u8]],
        text: &mut [u8],
    ) -> [u8; TAG] {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(joined(about)), text);
        let tag = tag.expect("a text is shorter than 64 GiB");
        tag.as_ref().try_into().expect("a tag has 16 bytes")
    }

    /// The plain text, if this is what was sealed under this key about the same.
    pub(crate) fn open(&self, about: &[&[u8]], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, text) = sealed.split_first_chunk()?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = self.open_in_place(*nonce, about, &mut text)?;
        text.truncate(length);
        Some(text)
    }

    /// Makes nonce, ciphertext and tag the plain text.
    pub(crate) fn open_file(&self, about: &[&[u8]], sealed: &mut Vec<u8>) -> Option<()> {
        let nonce = *sealed.first_chunk()?;
        let length = self.open_in_place(nonce, about, &mut sealed[NONCE_LEN..])?;
        sealed.copy_within(NONCE_LEN..NONCE_LEN + length, 0);
        sealed.truncate(length);
        Some(())
    }

    /// Makes ciphertext and tag the plain text at its beginning, and gives its length.
    pub(crate) fn open_in_place(
        &self,
        nonce: [u8; NONCE_LEN],
        about: &[&[u8]],
        text: &mut [u8],
    ) -> Option<usize> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.open_in_place(nonce, Aad::from(joined(about)), text).ok().map(|plain| plain.len())
    }
}

/// Parts, each preceded by its length, so that no two lists of parts are the same bytes.
fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let mut all = Vec::with_capacity(parts.iter().map(|part| 8 + part.len()).sum());
    for part in parts {
        all.extend((part.len() as u64).to_le_bytes());
        all.extend(*part);
    }
    all
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NIST's GCM test vectors (gcmEncryptExtIV256.rsp): key, nonce, plain text, ciphertext, tag; nothing about.
    #[test]
    fn it_is_aes_256_gcm() {
        let key = SealingKey::new(&[0; KEY]);
        // Ours says the parts' lengths before them; without parts nothing is said.
        let sealed = key.seal_under([0; 12], &[], &[0; 16]);
        let hex = base16ct::lower::encode_string(&sealed[12..]);
        assert_eq!(hex, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
    }

    #[test]
    fn only_what_was_sealed_about_the_same_is_opened() {
        let (key, ambient) = (SealingKey::new(&[7; KEY]), Ambient::system());
        let sealed = key.seal(&ambient, &[b"a", b"bc"], b"text");
        assert_eq!(sealed.len(), 4 + OVERHEAD);
        assert_eq!(key.open(&[b"a", b"bc"], &sealed).unwrap().as_slice(), b"text");
        assert!(key.open(&[b"ab", b"c"], &sealed).is_none());
        assert!(SealingKey::new(&[8; KEY]).open(&[b"a", b"bc"], &sealed).is_none());
        assert!(key.open(&[b"a", b"bc"], &sealed[..20]).is_none() && key.open(&[], &[]).is_none());
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(key.open(&[b"a", b"bc"], &flipped).is_none(), "bit {bit}");
        }
    }
}
