//! Models on disk: a folder each, with its two graphs and a profile that pins them.
//!
//! A model here is all that lies between an image file and its features: decoders, detector, alignment, embedder. Its id
//! ends with a digest over all of it, so that templates made in different ways are never compared: the same photograph,
//! decoded by another version of a library, has another template (cosine down to 0.96 for a JPEG).

use crate::{
    description::Description,
    digest::sha256,
    graph::{self, GraphError},
};
use matcher::template::{ModelId, ModelProfile, ModelProfileError};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The libraries that turn files into pixels, with their versions: `Cargo.lock` is held to this by a test.
pub const DECODERS: &str = "image 0.25.10, png 0.18.1, tiff 0.11.3, zune-jpeg 0.5.15, hayro-jpeg2000 0.5.0";
/// Everything else between file and features that is written here: a change of what it computes changes this number.
pub const PIPELINE: u32 = 1;
const PROFILE: &str = "profile.toml";
const DETECTOR: &str = "detector.onnx";
const EMBEDDER: &str = "embedder.onnx";
/// Longest profile: a mean of 4,096 numbers has about 60 KB.
const PROFILE_LIMIT_BYTES: u64 = 1 << 20;

/// What stands in a model's profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Name and digest.
    pub id: ModelId,
    /// Decoders with their versions.
    pub decoders: String,
    /// Version of the rest.
    pub pipeline: u32,
    /// SHA-256 of the folded detector.
    pub detector_sha256: String,
    /// SHA-256 of the folded embedder.
    pub embedder_sha256: String,
    /// SHA-256 of the files that they were folded from.
    pub sources_sha256: [String; 2],
    /// Population mean of the model's unit vectors, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Vec<f32>>,
    /// The rest.
    pub embedder: Description,
}

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// None of this id here.
    #[error("there is no model {0} in {1}; `limen-index model list` tells which there are")]
    Missing(ModelId, PathBuf),
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A profile that is none.
    #[error("{path}: {why}")]
    Profile {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A description is out of bounds.
    #[error("{0}")]
    Description(String),
    /// A file is not the one that the profile pins.
    #[error("{0} is not the file that the profile pins: install or import the model again")]
    Digest(PathBuf),
    /// The model was imported by a build that turns images into features in another way.
    #[error(
        "model {id} was imported for other decoders ({theirs}; here {DECODERS}, pipeline {PIPELINE}): import it again, under its new id"
    )]
    OtherBuild {
        /// Which.
        id: ModelId,
        /// Those it was imported for.
        theirs: String,
    },
    /// The graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The features' profile.
    #[error(transparent)]
    Template(#[from] ModelProfileError),
}

impl Profile {
    /// The id that a model of this content has.
    fn id_of(&self) -> Result<ModelId, ModelError> {
        let description = serde_json::to_string(&self.embedder).expect("text keys, finite numbers");
        let content = format!(
            "limen/model/v1\n{}\n{}\n{}\n{}\n{description}\n",
            self.decoders, self.pipeline, self.detector_sha256, self.embedder_sha256
        );
        let name = &self.embedder.name;
        let id = format!("{name}-{}", &sha256(content.as_bytes())[..16]);
        ModelId::new(&id).map_err(|error| ModelError::Description(format!("{id}: {error}")))
    }

    /// How raw features of this model become templates.
    pub fn template_profile(&self) -> Result<ModelProfile, ModelError> {
        Ok(ModelProfile::new(self.id.clone(), self.embedder.dimension, self.mean.clone())?)
    }
}

/// A folder of models.
#[derive(Clone, Debug)]
pub struct Models {
    folder: PathBuf,
}

/// A model as it is loaded: its profile, and its graphs as open files.
#[derive(Debug)]
pub struct Opened {
    /// The profile.
    pub profile: Profile,
    detector: (PathBuf, fs::File),
    embedder: (PathBuf, fs::File),
}

impl Models {
    /// The models in this folder.
    pub fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Imports detector and embedder, folded, and returns the profile. Already there: the same again.
    ///
    /// `publish` makes a folder that has been written appear under its name, durably.
    ///
    /// # Errors
    /// When a file is no graph, does not run or does not fit its description, or cannot be written.
    pub fn import(
        &self,
        detector: &[u8],
        embedder: &[u8],
        (description, mean): (Description, Option<Vec<f32>>),
        publish: impl FnOnce(&Path, &Path) -> io::Result<()>,
    ) -> Result<Profile, ModelError> {
        let sources_sha256 = [sha256(detector), sha256(embedder)];
        let (detector, embedder) = (graph::fold(detector, true)?, graph::fold(embedder, false)?);
        let mut profile = Profile {
            id: ModelId::new("unnamed").expect("a plain name"),
            decoders: DECODERS.to_owned(),
            pipeline: PIPELINE,
            detector_sha256: sha256(&detector),
            embedder_sha256: sha256(&embedder),
            sources_sha256,
            mean,
            embedder: description,
        };
        profile.embedder.check().map_err(|why| ModelError::Description(why.to_owned()))?;
        profile.id = profile.id_of()?;
        profile.template_profile()?;
        crate::detect::Detector::load(detector.clone())?;
        crate::embed::Embedder::load(embedder.clone(), &profile.embedder)?;
        let there = self.folder.join(profile.id.as_str());
        if there.exists() {
            let held = self.profile(&profile.id)?;
            if held.mean == profile.mean {
                return Ok(held);
            }
            let why = format!("{} is here with another mean: remove that folder first", profile.id);
            return Err(ModelError::Description(why));
        }
        let made = self.folder.join(format!(".{}.new", profile.id));
        let file = |path: &Path, error| ModelError::File { path: path.to_owned(), error };
        if made.exists() {
            fs::remove_dir_all(&made).map_err(|error| file(&made, error))?;
        }
        fs::create_dir_all(&made).map_err(|error| file(&made, error))?;
        let text = toml::to_string(&profile)
            .map_err(|error| ModelError::Profile { path: made.clone(), why: error.to_string() })?;
        for (name, bytes) in [(DETECTOR, &detector[..]), (EMBEDDER, &embedder), (PROFILE, text.as_bytes())] {
            let path = made.join(name);
            let write = || {
                let mut file = fs::File::create(&path)?;
                io::Write::write_all(&mut file, bytes)?;
                file.sync_all()
            };
            write().map_err(|error| file(&path, error))?;
        }
        publish(&made, &there).map_err(|error| file(&there, error))?;
        Ok(profile)
    }

    /// The models' profiles, by id; what is no model is told as an error.
    pub fn list(&self) -> Result<Vec<Result<Profile, ModelError>>, ModelError> {
        let mut ids = Vec::new();
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(ModelError::File { path: self.folder.clone(), error }),
        };
        for entry in entries {
            let entry = entry.map_err(|error| ModelError::File { path: self.folder.clone(), error })?;
            ids.extend(entry.file_name().to_str().and_then(|name| ModelId::new(name).ok()));
        }
        ids.sort();
        Ok(ids.iter().map(|id| self.profile(id)).collect())
    }

    /// A model's profile, if its id is that of its content.
    ///
    /// # Errors
    /// When there is none, it cannot be read, or it is of another build.
    pub fn profile(&self, id: &ModelId) -> Result<Profile, ModelError> {
        let path = self.folder.join(id.as_str()).join(PROFILE);
        let bad = |why: String| ModelError::Profile { path: path.clone(), why };
        let mut text = String::new();
        let read =
            fs::File::open(&path).and_then(|file| file.take(PROFILE_LIMIT_BYTES).read_to_string(&mut text));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ModelError::Missing(id.clone(), self.folder.clone()));
            }
            read => read.map_err(|error| ModelError::File { path: path.clone(), error })?,
        };
        let profile: Profile = toml::from_str(&text).map_err(|error| bad(error.message().to_owned()))?;
        profile.embedder.check().map_err(|why| ModelError::Description(why.to_owned()))?;
        if profile.id != *id || profile.id_of()? != *id {
            return Err(bad("the id is not that of the content".to_owned()));
        }
        if profile.decoders != DECODERS || profile.pipeline != PIPELINE {
            let theirs = format!("{}, pipeline {}", profile.decoders, profile.pipeline);
            return Err(ModelError::OtherBuild { id: profile.id, theirs });
        }
        Ok(profile)
    }

    /// Opens a model's files: they are read later, when no more can be opened.
    ///
    /// # Errors
    /// As with [`Self::profile`].
    pub fn open(&self, id: &ModelId) -> Result<Opened, ModelError> {
        let profile = self.profile(id)?;
        let open = |name: &str| {
            let path = self.folder.join(id.as_str()).join(name);
            match fs::File::open(&path) {
                Ok(file) => Ok((path, file)),
                Err(error) => Err(ModelError::File { path, error }),
            }
        };
        Ok(Opened { detector: open(DETECTOR)?, embedder: open(EMBEDDER)?, profile })
    }
}

impl Opened {
    /// Reads the graphs, detector first, if they are what the profile pins.
    ///
    /// # Errors
    /// When a file is another, or cannot be read.
    pub fn read(self) -> Result<(Profile, Vec<u8>, Vec<u8>), ModelError> {
        let Self { profile, detector, embedder } = self;
        let read = |(path, file): (PathBuf, fs::File), pinned: &str| {
            let mut bytes = Vec::new();
            let read = file.take(graph::GRAPH_LIMIT_BYTES).read_to_end(&mut bytes);
            read.map_err(|error| ModelError::File { path: path.clone(), error })?;
            if sha256(&bytes) == pinned { Ok(bytes) } else { Err(ModelError::Digest(path)) }
        };
        let detector = read(detector, &profile.detector_sha256)?;
        let embedder = read(embedder, &profile.embedder_sha256)?;
        Ok((profile, detector, embedder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decoders_that_ids_are_made_of_are_those_that_are_built_in() {
        let lock = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock")).unwrap();
        for decoder in DECODERS.split(", ") {
            let (name, version) = decoder.split_once(' ').unwrap();
            let locked: Vec<&str> = lock
                .split("[[package]]")
                .filter(|package| package.contains(&format!("name = \"{name}\"\n")))
                .filter_map(|package| package.split("version = \"").nth(1)?.split('"').next())
                .collect();
            assert_eq!(
                locked,
                [version],
                "{name}: another version is another model, so DECODERS must say it"
            );
        }
    }
}
