//! `limen-index model`

use crate::{
    error::Failure,
    place::{self, Place},
};
use clap::{Args, Subcommand};
use gallery::{Gallery, law::Nation, npy, publish};
use matcher::template::{ModelId, ModelProfile};
use std::path::PathBuf;

/// Model profiles: how raw features become templates.
#[derive(Args)]
pub(crate) struct Model {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Bring a model profile into use. A profile never changes; another one needs another id.
    Add {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        profile: Profile,
    },
    /// List the model profiles.
    List {
        #[command(flatten)]
        place: Place,
    },
}

/// A model profile.
#[derive(Args)]
pub(crate) struct Profile {
    /// Id of the model: a-z, 0-9, '.', '_', '-'.
    #[arg(long = "model")]
    id: String,
    /// Number of features.
    #[arg(long)]
    dimension: usize,
    /// Population mean of the model's unit-length vectors (.npy): subtracted before vectors are normalised.
    #[arg(long)]
    mean: Option<PathBuf>,
}

impl Profile {
    pub(crate) fn read(&self) -> Result<ModelProfile, Failure> {
        let argument = |error: &dyn std::fmt::Display| Failure::Argument(error.to_string());
        let id = ModelId::new(&self.id).map_err(|error| argument(&error))?;
        let read = |path: &PathBuf| {
            npy::read_vector(path).map_err(|error| Failure::Matrix { path: path.clone(), error })
        };
        let mean = self.mean.as_ref().map(read).transpose()?;
        ModelProfile::new(id, self.dimension, mean).map_err(|error| argument(&error))
    }
}

/// Profiles belong to no nation; the log names the tool.
pub(crate) fn add(gallery: &Gallery, profile: ModelProfile) -> Result<(), Failure> {
    Ok(publish::add_model(gallery, &place::administrator(Nation::unspecified()), profile)?)
}

impl Model {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match &self.action {
            Action::Add { place, profile } => {
                let profile = profile.read()?;
                println!("model {} with {} features", profile.id(), profile.dimension());
                add(&place.open()?, profile)
            }
            Action::List { place } => {
                for profile in publish::models(&place.open()?) {
                    let mean = if profile.mean().is_some() { "with mean" } else { "without mean" };
                    println!("{}\t{} features\t{mean}", profile.id(), profile.dimension());
                }
                Ok(())
            }
        }
    }
}
