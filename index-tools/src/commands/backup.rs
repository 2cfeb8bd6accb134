//! `limen-index backup` and `limen-index restore`

use crate::{
    error::Failure,
    place::{For, Place},
};
use clap::Args;
use gallery::{
    ambient::Ambient,
    backup,
    restore::{self, Order},
};
use std::path::PathBuf;

/// Copy record and log into a new folder, and the keys into another.
///
/// The copy of the keys opens the copies of the record: keep it apart from them, and only the last one, as whom it still has a key of
/// is erased only when it is gone. Generations are left out: they are built anew.
#[derive(Args)]
pub(crate) struct Backup {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    nation: For,
    /// Folder to make.
    #[arg(long)]
    to: PathBuf,
    /// Folder to make for the keys.
    #[arg(long)]
    keys: Option<PathBuf>,
}

impl Backup {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let gallery = self.place.open()?;
        let made = backup::backup(&gallery, &self.nation.caller(), &self.to, self.keys.as_deref())?;
        println!("up to event {} of the record, {} leaves of the log", made.as_of.0, made.log_size);
        Ok(())
    }
}

/// Make a data folder of a backup, and name what is lost.
///
/// Keys of a folder that is there are kept, as they lack whom was erased since; whom the ledger of erasures names is erased. The folder
/// that is there is kept under another name, without its keys.
#[derive(Args)]
pub(crate) struct Restore {
    #[command(flatten)]
    place: Place,
    /// Backup to restore.
    #[arg(long)]
    from: PathBuf,
    /// Backup of the keys, if the folder that is there has none.
    #[arg(long)]
    keys: Option<PathBuf>,
    /// Replace the folder that is there: what it knows beyond the backup is lost.
    #[arg(long)]
    replace: bool,
}

impl Restore {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let order = Order {
            from: &self.from,
            keys: self.keys.as_deref(),
            folder: self.place.folder(),
            replace: self.replace,
            anchor: self.place.anchor.as_deref(),
            ledger: self.place.ledger(),
        };
        let restored = restore::restore(&order, &self.place.root_key()?, &Ambient::system())?;
        println!("restored up to event {} of the record", restored.backup.as_of.0);
        println!("lost: {}", restored.lost);
        if let Some(replaced) = restored.replaced {
            println!("what was there is in {}", replaced.display());
        }
        Ok(())
    }
}
