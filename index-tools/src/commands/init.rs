//! `limen-index init`

use crate::{commands::model::Profile, error::Failure, place::Place};
use clap::Args;
use gallery::Gallery;

/// Make an empty data folder, with its first model profile.
#[derive(Args)]
pub(crate) struct Init {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    profile: Profile,
}

impl Init {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let profile = self.profile.read()?; // before anything is made
        Gallery::create(&self.place.folder)?;
        // A folder that is just made cannot reach an anchor.
        super::model::add(&self.place.open_without_anchor()?, profile)?;
        println!("made {}", self.place.folder.display());
        println!("next: limen-index watchlist add, limen-index token add, limen serve");
        Ok(())
    }
}
