//! What wraps an image: face records of ISO/IEC 19794-5 and 39794-5, and data group 2 of a travel document (ICAO Doc 9303-10).
//!
//! The parsers here take foreign bytes: they copy nothing, allocate nothing that grows with what a length says, and look at each
//! byte at most a few times. docs/formats/face-records.md draws what they read.

mod dg2;

mod iso19794;

mod iso39794;

mod tlv;

/// Images that one record may hold; those beyond are not looked at.
pub const IMAGE_LIMIT: usize = 16;

/// Why a face record is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// It ends before it should.
    #[error("the face record ends in the middle of {0}")]
    Cut(&'static str),
    /// A value that the standard does not have there.
    #[error("the face record has a wrong {0}")]
    Wrong(&'static str),
    /// There is nothing in it that is an image of two dimensions.
    #[error("the face record holds no image")]
    NoImage,
    /// A version that is not read here.
    #[error("the face record is of a version that is not read here: 010 (2005) and 030 (2011) are")]
    Version,
}

/// The images in a file: those of a face record, or the file itself.
///
/// # Errors
/// When it begins as a face record and is none.
pub fn images(file: &[u8]) -> Result<Vec<&[u8]>, EnvelopeError> {
    let images = match file {
        [b'F', b'A', b'C', 0, ..] => iso19794::images(file)?,
        [0x75, ..] | [0x7f, 0x61, ..] => dg2::images(file)?,
        [0x65, ..] => iso39794::images(file)?,
        _ => return Ok(vec![file]),
    };
    if images.is_empty() { Err(EnvelopeError::NoImage) } else { Ok(images) }
}

/// Bytes, taken from the front.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], EnvelopeError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(EnvelopeError::Cut(what))?;
        self.0 = rest;
        Ok(taken)
    }

    /// A number of 1 to 4 bytes, big-endian.
    fn number(&mut self, length: usize, what: &'static str) -> Result<usize, EnvelopeError> {
        let bytes = self.take(length, what)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }
}

#[cfg(test)]
mod tests;
