//! What goes over the pipe between a node and its workers: frames, each a length, the length of a head in JSON, the head, and bytes.

use crate::{
    confine::{Attempt, Confinement},
    decode::FILE_LIMIT_BYTES,
    extract::{Extraction, Unusable, Wanted},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{self, Read, Write};

/// Longest head.
const HEAD_LIMIT_BYTES: usize = 64 << 10;
/// Longest reason that a worker gives for failing, in characters.
const WORDS_LIMIT: usize = 160;
/// Longest frame: an image with its head.
pub(crate) const FRAME_LIMIT_BYTES: usize = FILE_LIMIT_BYTES + HEAD_LIMIT_BYTES;

/// What a worker is asked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "asked", content = "of", rename_all = "snake_case")]
pub(crate) enum Asked {
    /// To make a template; the image is the frame's bytes.
    Extract(Wanted),
    /// To try what it is not to achieve.
    Attempt(Attempt),
}

/// What a worker says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "says", rename_all = "snake_case")]
pub(crate) enum Said {
    /// It is ready.
    Ready {
        /// How far it is confined.
        confinement: Confinement,
    },
    /// It cannot work.
    Failed {
        /// Why.
        why: String,
    },
    /// What it made; the features are the frame's bytes.
    Made(Box<Extraction>),
    /// The image gives no template.
    Unusable(Unusable),
    /// It tried what it is not to achieve.
    Attempted {
        /// And did it.
        succeeded: bool,
    },
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

/// What stands before the bytes of a frame, so many of them.
pub(crate) fn head<T: Serialize>(head: &T, bytes: usize) -> Vec<u8> {
    let head = serde_json::to_vec(head).expect("text keys, finite numbers");
    let length = 4 + head.len() + bytes;
    [&(length as u32).to_le_bytes()[..], &(head.len() as u32).to_le_bytes(), &head].concat()
}

/// Takes a frame apart, behind its length.
pub(crate) fn open<T: DeserializeOwned>(frame: &[u8]) -> io::Result<(T, &[u8])> {
    let (length, rest) = frame.split_first_chunk::<4>().ok_or_else(|| invalid("a frame without a head"))?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > HEAD_LIMIT_BYTES {
        return Err(invalid("a head that is too long"));
    }
    let (head, bytes) = rest.split_at_checked(length).ok_or_else(|| invalid("a head that is cut"))?;
    let head = serde_json::from_slice(head).map_err(|_| invalid("a head that is not understood"))?;
    Ok((head, bytes))
}

/// Reads a frame; `None` at the end.
pub(crate) fn read(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let mut frame = vec![0; checked(length)?];
    from.read_exact(&mut frame)?;
    Ok(Some(frame))
}

/// The length of a frame, if it is within bounds.
pub(crate) fn checked(length: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_le_bytes(length) as usize;
    let good = (4..=FRAME_LIMIT_BYTES).contains(&length);
    if good { Ok(length) } else { Err(invalid("a frame out of bounds")) }
}

/// Writes what a worker says.
pub(crate) fn say(to: &mut impl Write, said: &Said) -> io::Result<()> {
    let features: Vec<u8> = match said {
        Said::Made(extraction) => extraction.features.iter().flat_map(|x| x.to_le_bytes()).collect(),
        _ => Vec::new(),
    };
    to.write_all(&head(said, features.len()))?;
    to.write_all(&features)?;
    to.flush()
}

/// What a worker said, checked: its numbers are finite, its features as many as the model has.
pub(crate) fn heard(frame: &[u8], dimension: usize) -> io::Result<Said> {
    let (said, bytes) = open::<Said>(frame)?;
    let mut extraction = match said {
        Said::Made(extraction) => extraction,
        Said::Unusable(unusable) if !unusable.is_sound() => return Err(invalid("faces that are none")),
        // Words of a process that is not believed: short, and plain.
        Said::Failed { why } => {
            let plain = why.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(WORDS_LIMIT);
            return Ok(Said::Failed { why: plain.collect() });
        }
        said => return Ok(said),
    };
    let (features, rest) = bytes.as_chunks::<4>();
    extraction.features = features.iter().map(|x| f32::from_le_bytes(*x)).collect();
    if !rest.is_empty() || extraction.features.len() != dimension {
        return Err(invalid("another number of features than the model has"));
    }
    let finite = extraction.features.iter().chain([&extraction.norm]).all(|x| x.is_finite());
    if finite && extraction.face.is_sound() {
        Ok(Said::Made(extraction))
    } else {
        Err(invalid("numbers that are not finite"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_as_it_was_written_and_a_cut_one_is_refused() {
        let wanted = Asked::Extract(Wanted { area: Some([1.0, 2.0, 3.5, 4.0]) });
        let written = [head(&wanted, 5), b"image".to_vec()].concat();
        let read_back = read(&mut &written[..]).unwrap().unwrap();
        assert_eq!(open::<Asked>(&read_back).unwrap(), (wanted, &b"image"[..]));
        assert!(read(&mut &b""[..]).unwrap().is_none());
        for length in 4..written.len() {
            assert!(read(&mut &written[..length]).is_err(), "{length}");
        }
        assert!(open::<Asked>(&[0xff, 0xff, 0, 0, 1]).is_err());
        assert!(read(&mut &[0xff; 8][..]).is_err() && read(&mut &[3, 0, 0, 0, 1, 1, 1][..]).is_err());
    }

    #[test]
    fn features_that_are_too_few_or_no_numbers_are_not_believed() {
        let unusable = Said::Unusable(Unusable::NoFace);
        let mut written = Vec::new();
        say(&mut written, &unusable).unwrap();
        assert_eq!(heard(&written[4..], 3).unwrap(), unusable);
        let face = crate::detect::Face { area: [0.0; 4], landmarks: [[0.0; 2]; 5], score: 0.9 };
        let made = |features: &[f32]| {
            let extraction = Extraction {
                model: matcher::template::ModelId::new("m").unwrap(),
                features: features.to_vec(),
                face: face.clone(),
                faces: 1,
                size: [1, 1],
                format: crate::decode::Format::Png,
                quality: matcher::quality::Quality::default(),
                norm: 1.0,
            };
            let mut written = Vec::new();
            say(&mut written, &Said::Made(Box::new(extraction))).unwrap();
            heard(&written[4..], 2)
        };
        assert!(made(&[1.0, 2.0]).is_ok());
        assert!(made(&[1.0]).is_err() && made(&[1.0, f32::NAN]).is_err() && made(&[1.0, 2.0, 3.0]).is_err());
    }
}
