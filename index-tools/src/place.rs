//! The folder that a command works on, and for whom.

use crate::error::Failure;
use clap::Args;
use gallery::{
    Gallery, Index, Setup,
    ambient::Ambient,
    authority::Caller,
    inspect,
    law::{Nation, OwnReference},
    watchlist::Watchlist,
};
use std::{path::PathBuf, sync::Arc};

/// The folder of a stopped node.
#[derive(Args)]
pub(crate) struct Place {
    /// Data folder.
    #[arg(long, env = "LIMEN_FOLDER", default_value = "limen-data")]
    pub(crate) folder: PathBuf,
    /// Anchor of the data folder, if it has one.
    #[arg(long, env = "LIMEN_ANCHOR")]
    pub(crate) anchor: Option<PathBuf>,
}

impl Place {
    /// Opens it to read and change the record; refused while a server has it open.
    pub(crate) fn open(&self) -> Result<Gallery, Failure> {
        self.open_with(Index::Unsearched, self.anchor.clone())
    }

    /// The same, with all that a server keeps to be searched.
    pub(crate) fn open_to_search(&self) -> Result<Gallery, Failure> {
        self.open_with(Index::Exhaustive, self.anchor.clone())
    }

    /// The same as [`Self::open`], whatever the anchor says.
    pub(crate) fn open_without_anchor(&self) -> Result<Gallery, Failure> {
        self.open_with(Index::Unsearched, None)
    }

    fn open_with(&self, index: Index, anchor: Option<PathBuf>) -> Result<Gallery, Failure> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Gallery::open(&self.folder, Setup { threads, index, anchor }, Ambient::system())?)
    }
}

/// The nation for which a command acts; with the folder in hand no token is asked for, and the log names the
/// tool.
#[derive(Args)]
pub(crate) struct For {
    /// Nation for which to act, as three capital letters.
    #[arg(long)]
    nation: Nation,
}

impl For {
    pub(crate) fn caller(&self) -> Caller {
        administrator(self.nation.clone())
    }
}

/// Whoever holds the folder, acting for a nation.
pub(crate) fn administrator(nation: Nation) -> Caller {
    let name: OwnReference = "limen-index".parse().expect("a plain name");
    Caller::administrator(name, nation)
}

/// A watchlist of the caller's nation, by id or by name.
pub(crate) fn watchlist(gallery: &Gallery, caller: &Caller, text: &str) -> Result<Arc<Watchlist>, Failure> {
    let named = |list: &Arc<Watchlist>| list.id.to_string() == text || list.policy.name.as_str() == text;
    let found = inspect::watchlists(gallery, caller).into_iter().find(named);
    let unknown = || Failure::Argument(format!("{} has no watchlist {text}", caller.nation()));
    found.ok_or_else(unknown)
}
