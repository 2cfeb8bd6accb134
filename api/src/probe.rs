//! What is to be compared, as requests bring it: features, or an image.

use crate::{
    images::{Image, ImagesError, Room},
    node::Node,
    problem::{Kind, Problem},
    wire::{self, FaceBody, Features},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use extractor::extract::Wanted;
use gallery::{sample::Sample, subject::RawFeatures};
use matcher::{quality::Quality, template::ModelId};
use serde::{Deserialize, Deserializer, de};
use std::{collections::BTreeMap, sync::Arc};
use utoipa::ToSchema;

/// Features of one sample, made by one model; or an image, of which this node makes them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SampleBody {
    /// The model's id; with `features`.
    #[schema(value_type = Option<String>, example = "sface-2021dec")]
    model: Option<ModelId>,
    /// As many finite numbers as the model has dimensions, as the model gave them: a JSON array, or base64
    /// of little-endian f32. Instead of them, an image.
    #[schema(schema_with = wire::features)]
    features: Option<Features>,
    image: Option<ImageBody>,
}

/// An image of a face: JPEG, PNG, BMP, TIFF, JPEG 2000, a face record of ISO/IEC 19794-5 or 39794-5, or data group 2 of a travel
/// document; at most 20 MiB and 16 megapixels. Either `base64` or `part`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImageBody {
    /// The file, in base64.
    #[schema(value_type = Option<String>)]
    base64: Option<File>,
    /// The name of the part that is the file, where the request is `multipart/form-data` and this JSON its part `request`.
    part: Option<String>,
    /// Which face is meant, if not the largest: left, top, width, height, in pixels of the upright picture.
    #[schema(value_type = Option<Vec<f32>>, min_items = 4, max_items = 4)]
    r#box: Option<[f32; 4]>,
}

/// A file in base64, decoded as it is read.
struct File(Bytes);

impl<'de> Deserialize<'de> for File {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = File;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a file in base64")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<File, E> {
                STANDARD
                    .decode(text)
                    .map(|file| File(file.into()))
                    .map_err(|_| E::custom("not padded standard base64"))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// Files that came beside a request, by the names of their parts.
#[derive(Default)]
pub(crate) struct Files {
    pub(crate) by_name: BTreeMap<String, Bytes>,
    /// What the request takes of the room for images.
    pub(crate) room: Option<Room>,
}

/// One of the two.
pub(crate) enum Source {
    Features(RawFeatures),
    Image(Image),
}

impl SampleBody {
    /// Is an image to be looked at?
    pub(crate) fn is_image(&self) -> bool {
        self.image.is_some()
    }

    /// Features or image; `field` is where they stand in the request.
    pub(crate) fn source(self, files: &Files, field: &str) -> Result<Source, Problem> {
        match self {
            Self { model: Some(model), features: Some(features), image: None } => {
                Ok(Source::Features(RawFeatures { model, features: features.0 }))
            }
            Self { model: None, features: None, image: Some(image) } => {
                Ok(Source::Image(image.image(files, &format!("{field}.image"))?))
            }
            _ => Err(Problem::of(Kind::Malformed, field, "give either model and features, or an image")),
        }
    }
}

impl ImageBody {
    /// The image that is meant.
    pub(crate) fn image(self, files: &Files, field: &str) -> Result<Image, Problem> {
        let wanted = Wanted { area: self.r#box };
        let file = match (self.base64, self.part) {
            (Some(File(file)), None) => file,
            (None, Some(part)) => {
                let file = files.by_name.get(&part).ok_or_else(|| {
                    Problem::of(Kind::Malformed, format!("{field}.part"), "there is no part of this name")
                })?;
                file.clone()
            }
            _ => return Err(Problem::of(Kind::Malformed, field, "give either base64 or part")),
        };
        let sound = |area: [f32; 4]| area.iter().all(|x| x.is_finite()) && area[2] > 0.0 && area[3] > 0.0;
        if !self.r#box.is_none_or(sound) {
            return Err(Problem::of(
                Kind::Malformed,
                format!("{field}.box"),
                "a box is four finite numbers, with a width and a height",
            ));
        }
        Ok(Image { file, wanted, room: files.room.clone() })
    }
}

/// Features to be enrolled, with the quality of the image of which they were made.
pub(crate) type Enrollable = (RawFeatures, Option<Quality>);

impl Node {
    /// A probe, made here if an image came.
    pub(crate) async fn probe(&self, source: Source) -> Result<(Sample, Vec<FaceBody>), Problem> {
        match source {
            Source::Features(features) => Ok((Sample::Raw(features), Vec::new())),
            Source::Image(image) => {
                let (sample, faces) = self.images.sample(image).await?;
                Ok((sample, faces.into_iter().map(Into::into).collect()))
            }
        }
    }

    /// Features to be enrolled; `field` is where they stand in the request.
    pub(crate) async fn enrollable(&self, source: Source, field: &str) -> Result<Enrollable, Problem> {
        let (sample, faces) = self.probe(source).await?;
        match sample {
            Sample::Raw(features) => Ok((features, None)),
            Sample::Made { features, quality, .. } => Ok((features, Some(quality))),
            Sample::Unusable { advice, .. } => {
                let problem = Problem::of(Kind::Invalid, format!("{field}.image"), advice.join("; "));
                Err(problem.with_faces(faces))
            }
        }
    }

    /// What is said of an image that is not enough to search with, with the faces in it, if that is why, and the proof.
    pub(crate) async fn inconclusive(self: &Arc<Self>, problem: Problem, faces: Vec<FaceBody>) -> Problem {
        match problem.logged() {
            Some(receipt) => problem.with_faces(faces).proven(self.prove(receipt).await),
            None => problem,
        }
    }
}

impl From<ImagesError> for Problem {
    fn from(error: ImagesError) -> Self {
        match error {
            ImagesError::Absent => {
                Self::new(Kind::NoModel, "this node makes no templates of images: image_model is not set")
            }
            ImagesError::Full => Self::new(Kind::Busy, "the queue of images is full"),
            ImagesError::Failed(why) => Self::fault(why),
        }
    }
}
