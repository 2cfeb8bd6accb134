//! A page of named steps: file → image → pixels → faces → one face → crop → features.

use crate::{
    align::{self, Similarity},
    decode::{self, DecodeError, Format},
    detect::{Detector, Face},
    embed::Embedder,
    envelope,
    graph::GraphError,
    measure,
    model::{ModelError, Opened, Profile},
};
use matcher::{quality::Quality, template::ModelId};
use serde::{Deserialize, Serialize};

/// A second face of more than this share of the largest's area could be meant as well.
const LIKE_SIZE: f32 = 0.5;
/// A box that somebody names is a face's if both overlap this much (intersection over union).
const NAMED_OVERLAP: f32 = 0.3;
/// Faces that an error lists.
const LISTED: usize = 8;

/// Which face of a picture is meant, as a request over the pipe says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    /// Left, top, width, height, in pixels of the upright picture; the largest face if there is none.
    pub area: Option<[f32; 4]>,
}

/// What was made of an image.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Extraction {
    /// Which model made it.
    pub model: ModelId,
    /// As the model gave them, not normalised; sent beside the rest.
    #[serde(skip)]
    pub features: Vec<f32>,
    /// The face.
    pub face: Face,
    /// How many faces there are.
    pub faces: usize,
    /// Width and height of the upright picture, in pixels.
    pub size: [u32; 2],
    /// What the file was.
    pub format: Format,
    /// How good it is.
    pub quality: Quality,
    /// Euclidean length of the features: models tend to give shorter ones for worse pictures.
    pub norm: f32,
}

impl std::fmt::Debug for Extraction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Extraction({}, {} features)", self.model, self.features.len())
    }
}

/// Why an image gives no template. None of it says who is in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Unusable {
    /// No image, too large, or damaged.
    #[error("{error}")]
    Unreadable {
        /// What is wrong with it.
        error: DecodeError,
    },
    /// Nobody is seen.
    #[error("no face is seen in the image")]
    NoFace,
    /// The box that was named holds no face.
    #[error("no face is seen in the box that was named; there are {}", .faces.len())]
    NotThere {
        /// Those that are seen, largest first.
        faces: Vec<Face>,
    },
    /// Several could be meant.
    #[error("{count} faces are seen, of like size: name the box of the one that is meant")]
    Several {
        /// How many.
        count: usize,
        /// The largest of them.
        faces: Vec<Face>,
    },
    /// The image took more memory or time than it may.
    #[error("the image could not be processed within the limits of memory and time")]
    Limits,
}

impl From<DecodeError> for Unusable {
    fn from(error: DecodeError) -> Self {
        Self::Unreadable { error }
    }
}

impl Unusable {
    /// Is it something that [`Extractor::extract`] says?
    pub(crate) fn is_sound(&self) -> bool {
        match self {
            Self::NotThere { faces } | Self::Several { faces, .. } => {
                faces.len() <= LISTED && faces.iter().all(Face::is_sound)
            }
            Self::Unreadable { .. } | Self::NoFace | Self::Limits => true,
        }
    }
}

/// Either of the two ways in which an extraction fails.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The image's fault.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// The model's.
    #[error(transparent)]
    Model(#[from] GraphError),
}

/// Detector and embedder, loaded.
pub struct Extractor {
    profile: Profile,
    detector: Detector,
    embedder: Embedder,
}

impl Extractor {
    /// Loads a model's graphs.
    ///
    /// # Errors
    /// When they are not those that the profile pins, or do not run.
    pub fn load(opened: Opened) -> Result<Self, ModelError> {
        let (profile, detector, embedder) = opened.read()?;
        let detector = Detector::load(detector)?;
        let embedder = Embedder::load(embedder, &profile.embedder)?;
        Ok(Self { profile, detector, embedder })
    }

    /// Makes features of the face in a file.
    ///
    /// # Errors
    /// When the file is no image with one face that is meant, or the model fails.
    pub fn extract(&self, file: &[u8], wanted: &Wanted) -> Result<Extraction, ExtractError> {
        let images = envelope::images(file).map_err(|_| Unusable::from(DecodeError::Record))?;
        let image = images.first().copied().unwrap_or_default();
        let (picture, format) = decode::decode(image).map_err(Unusable::from)?;
        let faces = self.detector.detect(&picture)?;
        let face = choose(&faces, wanted)?;
        let quality = measure::measure(&picture, &faces, face);
        let similarity = Similarity::between(&face.landmarks, self.embedder.landmarks());
        let similarity = similarity.ok_or(Unusable::NoFace)?;
        let crop = align::crop(&picture, &similarity, self.embedder.width(), self.embedder.height());
        let features = self.embedder.embed(&crop)?;
        let norm = features.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt() as f32;
        Ok(Extraction {
            model: self.profile.id.clone(),
            features,
            face: face.clone(),
            faces: faces.len(),
            size: [picture.width(), picture.height()],
            format,
            quality,
            norm,
        })
    }
}

/// The face that is meant: the one in the named box, or the largest, if it is by far.
fn choose<'a>(faces: &'a [Face], wanted: &Wanted) -> Result<&'a Face, Unusable> {
    let listed = || faces.iter().take(LISTED).cloned().collect();
    let Some(largest) = faces.first() else { return Err(Unusable::NoFace) };
    if let Some(area) = wanted.area {
        let best = faces.iter().max_by(|a, b| a.overlap(&area).total_cmp(&b.overlap(&area)));
        let best = best.filter(|face| face.overlap(&area) >= NAMED_OVERLAP);
        return best.ok_or_else(|| Unusable::NotThere { faces: listed() });
    }
    let like = faces.iter().filter(|face| face.size() > LIKE_SIZE * largest.size()).count();
    if like > 1 { Err(Unusable::Several { count: like, faces: listed() }) } else { Ok(largest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(x: f32, width: f32) -> Face {
        Face { area: [x, 10.0, width, width], landmarks: [[0.0; 2]; 5], score: 0.9 }
    }

    #[test]
    fn the_largest_face_is_meant_unless_another_is_of_like_size() {
        let any = Wanted::default();
        let faces = [face(0.0, 100.0), face(200.0, 60.0)];
        assert_eq!(choose(&faces, &any), Ok(&faces[0]));
        let faces = [face(0.0, 100.0), face(200.0, 90.0), face(400.0, 20.0)];
        assert_eq!(choose(&faces, &any), Err(Unusable::Several { count: 2, faces: faces.to_vec() }));
        let named = Wanted { area: Some([195.0, 5.0, 100.0, 100.0]) };
        assert_eq!(choose(&faces, &named), Ok(&faces[1]));
        let nowhere = Wanted { area: Some([600.0, 5.0, 100.0, 100.0]) };
        assert_eq!(choose(&faces, &nowhere), Err(Unusable::NotThere { faces: faces.to_vec() }));
        assert_eq!(choose(&[], &any), Err(Unusable::NoFace));
    }
}
