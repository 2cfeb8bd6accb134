//! What an operator says of an embedder: what it is, and what it wants.

use matcher::template::DIMENSION_LIMIT;
use serde::{Deserialize, Serialize};

/// Where the five landmarks come to lie in a crop of 112 × 112: both eyes, nose, both corners of the mouth; those of the image's left
/// first. Source: `ArcFace` (`InsightFace`), as `OpenCV`'s `FaceRecognizerSF` has them.
pub const LANDMARKS: [[f32; 2]; 5] =
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]];

/// The order of colours that a graph wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// What an embedder wants as its input: a crop of the face, one f32 a colour of a pixel, `(value - mean) · scale`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Width of the crop, in pixels.
    #[serde(default = "side")]
    pub width: usize,
    /// Height of the crop, in pixels.
    #[serde(default = "side")]
    pub height: usize,
    /// Order of colours.
    #[serde(default = "rgb")]
    pub channels: Channels,
    /// Are the colours of a pixel together (height × width × colours), not in planes?
    #[serde(default)]
    pub interleaved: bool,
    /// Subtracted from each value (0 to 255), by colour in the order of `channels`.
    #[serde(default)]
    pub mean: [f32; 3],
    /// Multiplied then.
    #[serde(default = "ones")]
    pub scale: [f32; 3],
    /// Where eyes, nose and corners of the mouth come to lie.
    #[serde(default = "landmarks")]
    pub landmarks: [[f32; 2]; 5],
}

fn side() -> usize {
    112
}

fn rgb() -> Channels {
    Channels::Rgb
}

fn ones() -> [f32; 3] {
    [1.0; 3]
}

fn landmarks() -> [[f32; 2]; 5] {
    LANDMARKS
}

impl Default for Input {
    fn default() -> Self {
        Self {
            width: side(),
            height: side(),
            channels: rgb(),
            interleaved: false,
            mean: [0.0; 3],
            scale: ones(),
            landmarks: landmarks(),
        }
    }
}

/// From which score on its makers take two images for one person's, and who says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Cosine.
    pub threshold: f32,
    /// Measured on what, by whom.
    pub source: String,
}

/// What an operator says of an embedder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Name: what the id begins with.
    pub name: String,
    /// Number of features.
    pub dimension: usize,
    /// Under which licence it may be used.
    pub licence: String,
    /// What it wants.
    #[serde(default)]
    pub input: Input,
    /// What its makers measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
}

impl Description {
    /// # Errors
    /// In words, when something is out of bounds.
    pub fn check(&self) -> Result<(), &'static str> {
        let Self { dimension, input, .. } = self;
        let finite = |floats: &[f32]| floats.iter().all(|x| x.is_finite());
        let wrong = [
            (!(1..=DIMENSION_LIMIT).contains(dimension), "the dimension is out of bounds"),
            (
                ![input.width, input.height].iter().all(|side| (16..=1024).contains(side)),
                "the input's sides are from 16 to 1024 pixels",
            ),
            (
                !finite(&input.mean) || !finite(&input.scale) || !finite(input.landmarks.as_flattened()),
                "mean, scale and landmarks are finite numbers",
            ),
            (
                self.calibration.as_ref().is_some_and(|it| !(-1.0..=1.0).contains(&it.threshold)),
                "a calibration's threshold is a cosine",
            ),
        ];
        wrong.into_iter().find(|(wrong, _)| *wrong).map_or(Ok(()), |(_, why)| Err(why))
    }
}
