//! Data group 2 of a travel document: ICAO Doc 9303-10, and within it the biometric information templates of ISO/IEC 7816-11.

use super::{EnvelopeError, IMAGE_LIMIT, iso19794, iso39794, tlv};

const DATA_GROUP: u32 = 0x75;
const GROUP_TEMPLATE: u32 = 0x7f61;
const TEMPLATE: u32 = 0x7f60;
/// A biometric data block in a format of its own, as of ISO/IEC 19794-5.
const BLOCK: u32 = 0x5f2e;
/// The same, made of elements, as of ISO/IEC 39794-5.
const CONSTRUCTED_BLOCK: u32 = 0x7f2e;

/// The images of all its templates.
pub(super) fn images(file: &[u8]) -> Result<Vec<&[u8]>, EnvelopeError> {
    let group = match tlv::elements(file).next() {
        Some(Ok((DATA_GROUP, content))) => tlv::find(content, GROUP_TEMPLATE, "group of templates")?,
        Some(Ok((GROUP_TEMPLATE, content))) => content,
        Some(Err(error)) => return Err(error),
        _ => return Err(EnvelopeError::Wrong("data group")),
    };
    let mut images = Vec::new();
    for template in tlv::elements(group) {
        let (TEMPLATE, template) = template? else { continue };
        for element in tlv::elements(template) {
            match element? {
                (BLOCK | CONSTRUCTED_BLOCK, block) => images.extend(in_block(block)?),
                _ => continue,
            }
            if images.len() >= IMAGE_LIMIT {
                return Ok(images);
            }
        }
    }
    Ok(images)
}

/// Which standard it is, is told by how it begins: the header's format type is often wrong.
fn in_block(block: &[u8]) -> Result<Vec<&[u8]>, EnvelopeError> {
    match block {
        [b'F', b'A', b'C', 0, ..] => iso19794::images(block),
        [0xa1, ..] => iso39794::images(tlv::find(block, 0xa1, "biometric data block")?),
        _ => iso39794::images(block),
    }
}
