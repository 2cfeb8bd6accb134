//! `limen-index init`

use crate::{commands::model::Profile, error::Failure, place::Place};
use clap::Args;
use gallery::{Gallery, ambient::Ambient};

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
        Gallery::must_not_be_there(self.place.folder())?; // before a key is made
        let (root, made) = self.place.make_root_key()?;
        Gallery::create(self.place.folder(), &root, &Ambient::system())?;
        // A folder that is just made cannot reach an anchor.
        super::model::add(&self.place.open_without_anchor()?, profile)?;
        println!("made {}", self.place.folder().display());
        if let Some(path) = made {
            println!(
                "made {}: without this root key nobody can read the folder; keep a copy elsewhere",
                path.display()
            );
        }
        println!("next: limen-index watchlist add, limen-index grant officers, limen serve");
        Ok(())
    }
}
