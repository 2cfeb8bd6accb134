//! What a caller brings to be compared: features of its own, or an image of which they were made here.

use crate::subject::RawFeatures;
pub use audit::hash::Hash;
use matcher::quality::Quality;

crate::law::words! {
    /// Why an image is not enough to search with.
    Shortcoming ("reason") {
        /// It is no image, is too large, or is damaged.
        Unreadable = "unreadable",
        /// Nobody is seen.
        NoFace = "no_face",
        /// Several people could be meant.
        SeveralFaces = "several_faces",
        /// It is not as good as the watchlist's owner asks for.
        Quality = "quality",
        /// It took more memory or time than it may.
        Limits = "limits",
    }
}

/// SHA-256 of an image's file.
pub fn image_hash(file: &[u8]) -> Hash {
    audit::hash::sha256(&[file])
}

/// A probe before it is prepared.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// The caller's own features.
    Raw(RawFeatures),
    /// Made here of an image.
    Made {
        /// As the model gave them.
        features: RawFeatures,
        /// How good the image is.
        quality: Quality,
        /// SHA-256 of the file.
        image: Hash,
    },
    /// An image of which none could be made.
    Unusable {
        /// Why, in a word.
        reason: Shortcoming,
        /// What to do.
        advice: Vec<String>,
        /// SHA-256 of the file.
        image: Hash,
    },
}

impl From<RawFeatures> for Sample {
    fn from(features: RawFeatures) -> Self {
        Self::Raw(features)
    }
}

impl Sample {
    /// Did the caller make them?
    pub(crate) fn is_raw(&self) -> bool {
        matches!(self, Self::Raw(_))
    }

    /// The file, if there was one.
    pub(crate) fn image(&self) -> Option<Hash> {
        match self {
            Self::Raw(_) => None,
            Self::Made { image, .. } | Self::Unusable { image, .. } => Some(*image),
        }
    }
}
