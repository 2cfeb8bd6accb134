//! Face records of ISO/IEC 19794-5, first edition (2005, version 010) and second (2011, version 030).

use super::{Bytes, EnvelopeError, IMAGE_LIMIT};

/// From here on a type of image is one of three dimensions.
const THREE_DIMENSIONS: usize = 0x80;

/// The images of all representations that have two dimensions. What stands after the last one is passed over: some issuers write a
/// record's length too small.
pub(super) fn images(record: &[u8]) -> Result<Vec<&[u8]>, EnvelopeError> {
    let mut bytes = Bytes(record);
    bytes.take(4, "the header")?;
    let version = bytes.take(4, "the header")?;
    bytes.take(4, "the header")?; // the record's length
    let count = bytes.number(2, "the header")?;
    let image: fn(Bytes<'_>) -> Result<Option<&[u8]>, EnvelopeError> = match version {
        b"010\0" => of_2005,
        b"030\0" => {
            bytes.take(3, "the header")?; // certification, temporal semantics
            of_2011
        }
        _ => return Err(EnvelopeError::Version),
    };
    let mut images = Vec::new();
    for _ in 0..count.min(IMAGE_LIMIT) {
        let mut ahead = bytes;
        let length = ahead.number(4, "a representation's length")?;
        let mut representation = Bytes(bytes.take(length, "a representation")?);
        representation.take(4, "a representation")?;
        images.extend(image(representation)?);
    }
    Ok(images)
}

/// Behind its length: 16 bytes of facial information, landmarks of 8 bytes, 12 bytes of image information, the image.
fn of_2005(mut bytes: Bytes<'_>) -> Result<Option<&[u8]>, EnvelopeError> {
    let landmarks = bytes.number(2, "the facial information")?;
    bytes.take(14, "the facial information")?;
    bytes.take(landmarks * 8, "the landmarks")?;
    let kind = bytes.number(1, "the image information")?;
    bytes.take(11, "the image information")?;
    Ok((kind < THREE_DIMENSIONS && !bytes.0.is_empty()).then_some(bytes.0))
}

/// Behind its length: 14 bytes of when and by what, quality blocks of 5 bytes, 17 bytes of facial information, landmarks of 8 bytes, 11
/// bytes of image information, the image with its length.
fn of_2011(mut bytes: Bytes<'_>) -> Result<Option<&[u8]>, EnvelopeError> {
    bytes.take(14, "the representation header")?;
    let qualities = bytes.number(1, "the representation header")?;
    bytes.take(qualities * 5, "the quality blocks")?;
    let landmarks = bytes.number(2, "the facial information")?;
    bytes.take(15, "the facial information")?;
    bytes.take(landmarks * 8, "the landmarks")?;
    let kind = bytes.number(1, "the image information")?;
    bytes.take(10, "the image information")?;
    let length = bytes.number(4, "the image's length")?;
    let image = bytes.take(length, "the image")?;
    Ok((kind < THREE_DIMENSIONS && !image.is_empty()).then_some(image))
}
