//! BER-TLV with definite lengths (ISO/IEC 8825-1).

use super::{Bytes, EnvelopeError};

/// One element: its tag as a number, and its content.
pub(super) type Element<'a> = (u32, &'a [u8]);

/// The elements of a constructed content, one by one; an error ends them.
pub(super) struct Elements<'a>(Bytes<'a>);

/// The elements in these bytes.
pub(super) fn elements(content: &[u8]) -> Elements<'_> {
    Elements(Bytes(content))
}

/// The first element with this tag.
pub(super) fn find<'a>(content: &'a [u8], tag: u32, what: &'static str) -> Result<&'a [u8], EnvelopeError> {
    for element in elements(content) {
        let (found, inner) = element?;
        if found == tag {
            return Ok(inner);
        }
    }
    Err(EnvelopeError::Wrong(what))
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, EnvelopeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.0.is_empty() {
            return None;
        }
        let element = element(&mut self.0);
        if element.is_err() {
            self.0 = Bytes(&[]);
        }
        Some(element)
    }
}

/// Tags of up to three bytes, lengths of up to four.
fn element<'a>(bytes: &mut Bytes<'a>) -> Result<Element<'a>, EnvelopeError> {
    let first = bytes.number(1, "a tag")?;
    let mut tag = first;
    if first & 0x1f == 0x1f {
        loop {
            let next = bytes.number(1, "a tag")?;
            tag = tag << 8 | next;
            if next & 0x80 == 0 {
                break;
            }
            if tag > 0xffff {
                return Err(EnvelopeError::Wrong("tag"));
            }
        }
    }
    let length = match bytes.number(1, "a length")? {
        short if short < 0x80 => short,
        long @ 0x81..=0x84 => bytes.number(long - 0x80, "a length")?,
        _ => return Err(EnvelopeError::Wrong("length")),
    };
    let tag = u32::try_from(tag).map_err(|_| EnvelopeError::Wrong("tag"))?;
    Ok((tag, bytes.take(length, "an element")?))
}
