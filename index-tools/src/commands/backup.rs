//! `limen-index backup` and `limen-index restore`

use crate::{error::Failure, place::Place, progress::Show, remote::By};
use clap::Args;
use gallery::{
    ambient::Ambient,
    backup,
    restore::{self, Order},
};
use serde_json::json;
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
    by: By,
    /// Folder to make; a node that is asked makes it where it is told to by its configuration.
    #[arg(long, required_unless_present = "server", conflicts_with = "server")]
    to: Option<PathBuf>,
    /// Folder to make for the keys.
    #[arg(long, conflicts_with = "server")]
    keys: Option<PathBuf>,
    #[command(flatten)]
    show: Show,
}

impl Backup {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let shown = self.show.begin();
        if let Some(node) = self.by.node()? {
            return node.run_job("/v1/backups", shown);
        }
        let to = self.to.as_ref().ok_or_else(|| Failure::Argument("--to is missing".to_owned()))?;
        let gallery = self.place.open()?;
        let made = backup::backup(&gallery, &self.by.caller()?, to, self.keys.as_deref())?;
        let words =
            format!("up to event {} of the record, {} leaves of the log", made.as_of.0, made.log_size);
        shown.end(&json!({ "as_of": made.as_of, "log_size": made.log_size }), &words);
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
