//! SHA-256 of files, as text.

use sha2::{Digest, Sha256};

/// In hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}"); // a string takes everything
    }
    text
}
