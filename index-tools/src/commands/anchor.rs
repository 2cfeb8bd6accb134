//! `limen-index anchor`

use crate::{
    error::Failure,
    place::{self, Place},
};
use clap::Args;
use gallery::{anchor, law::Nation};

/// Make an anchor: a file outside of the data folder that knows the audit log's head.
///
/// Give it to the server (`anchor` in its configuration) and to these commands (`--anchor` or `LIMEN_ANCHOR`). From
/// then on a data folder that does not reach its anchor is refused: an older copy that was put back, or a log that
/// has lost its tail. Keep it on another disk or machine than the data folder.
#[derive(Args)]
pub(crate) struct Anchor {
    #[command(flatten)]
    place: Place,
    /// Replace an anchor that this data folder does not reach, and so accept what is lost. It is told, and logged.
    #[arg(long)]
    replace: bool,
}

impl Anchor {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let missing = || Failure::Argument("tell where: --anchor FILE".to_owned());
        let path = self.place.anchor.as_deref().ok_or_else(missing)?;
        let folder =
            self.place.folder.canonicalize().map_err(|error| Failure::file(&self.place.folder, error))?;
        let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(".".as_ref());
        let beside = beside.canonicalize().map_err(|error| Failure::file(beside, error))?;
        if beside.starts_with(folder) {
            return Err(Failure::Argument(
                "an anchor in the data folder would be put back with it".to_owned(),
            ));
        }
        let gallery = self.place.open_without_anchor()?;
        let caller = place::administrator(Nation::unspecified());
        if let Some(replaced) = anchor::anchor(&gallery, &caller, path, self.replace)? {
            let tell = |known: &gallery::event::KnownLog| {
                format!("{} leaves, up to event {} of the record", known.leaves, known.last_event)
            };
            let known = replaced
                .known
                .as_ref()
                .map_or("could not be read".to_owned(), |known| format!("knew {}", tell(known)));
            println!("the anchor that is replaced {known}");
            println!("the audit log had {}", tell(&replaced.there));
        }
        println!("anchored at {}", path.display());
        Ok(())
    }
}
