//! Face image data blocks of ISO/IEC 39794-5:2019, in its tagged binary encoding.
//!
//! The way to an image: 65 (block) › A1 (representations) › 30 (one) › A1 (image or extension) › A0 (image) › A0 (of two dimensions)
//! › 80 (its bytes). Elements beside these are passed over, wherever they stand.

use super::{EnvelopeError, IMAGE_LIMIT, tlv};

const BLOCK: u32 = 0x65;
const REPRESENTATIONS: u32 = 0xa1;
const REPRESENTATION: u32 = 0x30;

/// The images of all representations that have two dimensions.
pub(super) fn images(block: &[u8]) -> Result<Vec<&[u8]>, EnvelopeError> {
    let block = tlv::find(block, BLOCK, "face image data block")?;
    let mut images = Vec::new();
    for element in tlv::elements(tlv::find(block, REPRESENTATIONS, "list of representations")?) {
        if let (REPRESENTATION, representation) = element? {
            images.extend(image(representation)?);
            if images.len() >= IMAGE_LIMIT {
                break;
            }
        }
    }
    Ok(images)
}

/// `None` for one of three dimensions, or of a kind that a later edition adds.
fn image(representation: &[u8]) -> Result<Option<&[u8]>, EnvelopeError> {
    let mut content = tlv::find(representation, 0xa1, "image representation")?;
    for _ in 0..2 {
        match tlv::elements(content).next() {
            Some(Ok((0xa0, inner))) => content = inner,
            Some(Err(error)) => return Err(error),
            _ => return Ok(None),
        }
    }
    tlv::find(content, 0x80, "representation's data").map(Some)
}
