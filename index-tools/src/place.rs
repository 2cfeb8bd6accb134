//! The folder that a command works on, and for whom.

use crate::error::Failure;
use clap::Args;
use gallery::{
    Gallery, Index, Searching, Setup,
    ambient::Ambient,
    authority::Caller,
    inspect,
    keys::root::RootKey,
    law::{Nation, OwnReference},
    watchlist::Watchlist,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// A data folder.
#[derive(Args)]
pub(crate) struct Folder {
    /// Data folder.
    #[arg(long, env = "LIMEN_FOLDER", default_value = "limen-data")]
    pub(crate) folder: PathBuf,
}

/// The folder of a stopped node.
#[derive(Args)]
pub(crate) struct Place {
    #[command(flatten)]
    at: Folder,
    /// Ledger of erasures, if it is not FOLDER.erasures.
    #[arg(long, env = "LIMEN_ERASURE_LEDGER")]
    erasure_ledger: Option<PathBuf>,
    /// File of the root key, if it is not FOLDER.key. The environment may hold the key itself, as `LIMEN_ROOT_KEY`.
    #[arg(long, env = "LIMEN_ROOT_KEY_FILE")]
    root_key: Option<PathBuf>,
    /// Anchor of the data folder, if it has one.
    #[arg(long, env = "LIMEN_ANCHOR")]
    pub(crate) anchor: Option<PathBuf>,
}

impl Place {
    pub(crate) fn folder(&self) -> &Path {
        &self.at.folder
    }

    /// The root key.
    pub(crate) fn root_key(&self) -> Result<RootKey, Failure> {
        Ok(RootKey::find(self.folder(), root_key_text().as_deref(), self.root_key.as_deref())?)
    }

    /// The ledger of erasures, if it is not beside the folder.
    pub(crate) fn ledger(&self) -> Option<&Path> {
        self.erasure_ledger.as_deref()
    }

    /// The root key of a folder that is to be made, and where it was put if it was made now.
    pub(crate) fn make_root_key(&self) -> Result<(RootKey, Option<PathBuf>), Failure> {
        let (text, ambient) = (root_key_text(), Ambient::system());
        Ok(RootKey::find_or_make(self.folder(), text.as_deref(), self.root_key.as_deref(), &ambient)?)
    }

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
        let root = self.root_key()?;
        let ledger = self.erasure_ledger.clone();
        let searching = Searching::Never;
        let setup = Setup { threads, index, anchor, ledger, searching, ..Setup::new(root, threads) };
        Ok(Gallery::open(self.folder(), setup, Ambient::system())?)
    }
}

fn root_key_text() -> Option<String> {
    std::env::var("LIMEN_ROOT_KEY").ok()
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
