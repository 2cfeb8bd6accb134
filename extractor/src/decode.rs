//! From a file to pixels, upright, in eight bits a colour. The only place that knows formats.

use hayro_jpeg2000::{ColorSpace, DecodeSettings, DecoderContext};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage, metadata::Orientation};
use std::io::Cursor;

/// Longest file.
pub const FILE_LIMIT_BYTES: usize = 20 << 20;
/// Most pixels: 4,000 × 4,000.
pub const PIXEL_LIMIT: u64 = 16_000_000;
/// No side is shorter: nothing of a face would be seen.
const SHORTEST_SIDE: u32 = 16;

/// What an image was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// ISO/IEC 10918-1.
    Jpeg,
    /// ISO/IEC 15948.
    Png,
    /// Windows bitmap.
    Bmp,
    /// TIFF 6.0.
    Tiff,
    /// ISO/IEC 15444-1, in a JP2 file or as a bare codestream.
    Jpeg2000,
}

/// Why a file is no image that can be read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum DecodeError {
    /// What wraps the image.
    #[error("the face record is cut, malformed, of a version that is not read, or holds no image")]
    Record,
    /// Nothing at all.
    #[error("the file is empty")]
    Empty,
    /// More than is read.
    #[error("the file has {0} bytes; at most {FILE_LIMIT_BYTES} are read")]
    Long(usize),
    /// Of none of the formats.
    #[error("this is no JPEG, PNG, BMP, TIFF or JPEG 2000")]
    Format,
    /// The header promises too much.
    #[error("the image is {width} × {height}; at most {PIXEL_LIMIT} pixels are read")]
    Large {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// Too little for a face.
    #[error("the image is {width} × {height}; no side may be shorter than {SHORTEST_SIDE}")]
    Small {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// Cut, damaged, or of a kind that is not read.
    #[error("the {0:?} image is damaged, or of a kind that is not read")]
    Damaged(Format),
}

/// Which format it is, told by how it begins.
pub(crate) fn format(file: &[u8]) -> Option<Format> {
    match file {
        [0xff, 0x4f, 0xff, 0x51, ..] | [0, 0, 0, 0x0c, b'j', b'P', b' ', b' ', ..] => Some(Format::Jpeg2000),
        [0xff, 0xd8, 0xff, ..] => Some(Format::Jpeg),
        [0x89, b'P', b'N', b'G', ..] => Some(Format::Png),
        [b'B', b'M', ..] => Some(Format::Bmp),
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Some(Format::Tiff),
        _ => None,
    }
}

/// Decodes a file. Dimensions are checked before anything is decoded; an orientation of EXIF is applied; transparency is passed over.
///
/// # Errors
/// When it is no image of a known format, too large or too small, or damaged.
pub fn decode(file: &[u8]) -> Result<(RgbImage, Format), DecodeError> {
    if file.is_empty() {
        return Err(DecodeError::Empty);
    }
    if file.len() > FILE_LIMIT_BYTES {
        return Err(DecodeError::Long(file.len()));
    }
    let format = format(file).ok_or(DecodeError::Format)?;
    if format == Format::Jpeg && is_cut_jpeg(file) {
        return Err(DecodeError::Damaged(format));
    }
    let pixels = match format {
        Format::Jpeg => with_image(file, format, ImageFormat::Jpeg),
        Format::Png => with_image(file, format, ImageFormat::Png),
        Format::Bmp => with_image(file, format, ImageFormat::Bmp),
        Format::Tiff => with_image(file, format, ImageFormat::Tiff),
        Format::Jpeg2000 => jpeg2000(file),
    };
    Ok((pixels?, format))
}

/// Does it end before its end marker? The decoder would fill up what is missing with grey: half a face. What comes after the end, as
/// telephones append films, is not looked at.
fn is_cut_jpeg(file: &[u8]) -> bool {
    let mut rest = &file[2..];
    loop {
        // A marker: a byte of ones, perhaps several, and its kind.
        let Some(start) =
            rest.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff | 0xd0..=0xd7))
        else {
            return true;
        };
        let kind = rest[start + 1];
        rest = &rest[start + 2..];
        match kind {
            0xd9 => return false,
            0x01 | 0xd8 => (), // alone
            _ => {
                let Some(length) = rest.first_chunk::<2>() else { return true };
                let Some(behind) = rest.get(usize::from(u16::from_be_bytes(*length)).max(2)..) else {
                    return true;
                };
                rest = behind;
            }
        }
    }
}

fn check(width: u32, height: u32) -> Result<(), DecodeError> {
    if u64::from(width) * u64::from(height) > PIXEL_LIMIT {
        return Err(DecodeError::Large { width, height });
    }
    if width.min(height) < SHORTEST_SIDE { Err(DecodeError::Small { width, height }) } else { Ok(()) }
}

fn with_image(file: &[u8], format: Format, kind: ImageFormat) -> Result<RgbImage, DecodeError> {
    let damaged = |_| DecodeError::Damaged(format);
    let mut reader = ImageReader::with_format(Cursor::new(file), kind);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(8 * PIXEL_LIMIT); // four colours in 16 bits
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    check(width, height)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}

fn jpeg2000(file: &[u8]) -> Result<RgbImage, DecodeError> {
    let damaged = || DecodeError::Damaged(Format::Jpeg2000);
    let settings = DecodeSettings { strict: true, ..DecodeSettings::default() };
    let image = hayro_jpeg2000::Image::new(file, &settings).map_err(|_| damaged())?;
    let (width, height) = (image.width(), image.height());
    check(width, height)?;
    let colours = match image.color_space() {
        ColorSpace::Gray | ColorSpace::Icc { num_channels: 1, .. } => 1,
        ColorSpace::RGB | ColorSpace::Icc { num_channels: 3, .. } => 3,
        _ => return Err(damaged()),
    };
    let mut context = DecoderContext::default();
    let samples = image.decode(&mut context).map_err(|_| damaged())?.data_u8();
    let pixels = width as usize * height as usize;
    let each = samples.len().checked_div(pixels).filter(|each| (colours..=colours + 1).contains(each));
    let each = each.filter(|each| each * pixels == samples.len()).ok_or_else(damaged)?;
    let rgb = samples.chunks_exact(each).flat_map(|pixel| match colours {
        1 => [pixel[0]; 3],
        _ => [pixel[0], pixel[1], pixel[2]],
    });
    RgbImage::from_raw(width, height, rgb.collect()).ok_or_else(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ExtendedColorType, ImageEncoder, codecs};

    fn picture() -> RgbImage {
        RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8 * 6, y as u8 * 8, 99]))
    }

    fn written(kind: ImageFormat) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        picture().write_to(&mut file, kind).unwrap();
        file.into_inner()
    }

    #[test]
    fn lossless_formats_give_their_pixels_back() {
        for (kind, format) in [
            (ImageFormat::Png, Format::Png),
            (ImageFormat::Bmp, Format::Bmp),
            (ImageFormat::Tiff, Format::Tiff),
        ] {
            assert_eq!(decode(&written(kind)).unwrap(), (picture(), format));
        }
        assert_eq!(decode(&written(ImageFormat::Jpeg)).unwrap().0.dimensions(), (40, 30));
    }

    #[test]
    fn an_orientation_is_applied() {
        let exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let mut file = Vec::new();
        let mut encoder = codecs::jpeg::JpegEncoder::new_with_quality(&mut file, 90);
        encoder.set_exif_metadata(exif[6..].to_vec()).unwrap();
        encoder.write_image(&picture(), 40, 30, ExtendedColorType::Rgb8).unwrap();
        assert_eq!(decode(&file).unwrap().0.dimensions(), (30, 40));
    }

    #[test]
    fn a_header_that_promises_too_much_is_refused_before_decoding() {
        let mut png = written(ImageFormat::Png);
        png[16..20].copy_from_slice(&60_000u32.to_be_bytes());
        png[20..24].copy_from_slice(&60_000u32.to_be_bytes());
        // The checksum of the header, anew.
        let crc = png[12..29].iter().fold(!0u32, |crc, byte| {
            (0..8)
                .fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
        });
        png[29..33].copy_from_slice(&(!crc).to_be_bytes());
        assert_eq!(decode(&png), Err(DecodeError::Large { width: 60_000, height: 60_000 }));
    }

    #[test]
    fn what_is_cut_or_no_image_is_refused() {
        assert_eq!(decode(b""), Err(DecodeError::Empty));
        assert_eq!(decode(b"GIF89a and so on"), Err(DecodeError::Format));
        assert_eq!(decode(&vec![0; FILE_LIMIT_BYTES + 1]), Err(DecodeError::Long(FILE_LIMIT_BYTES + 1)));
        // With a film behind it, as telephones write it, and without.
        let film: Vec<u8> = (0..3000u32).flat_map(|x| [0xff, (x % 256) as u8]).collect();
        assert!(decode(&[written(ImageFormat::Jpeg), film].concat()).is_ok());
        for kind in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Bmp, ImageFormat::Tiff] {
            let file = written(kind);
            for length in [4, 12, 20, file.len() / 2] {
                assert!(decode(&file[..length]).is_err(), "{kind:?} {length}");
            }
        }
    }
}
