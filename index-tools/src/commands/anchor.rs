//! `limen-index anchor`

use crate::{
    error::Failure,
    place::{self, Place},
};
use clap::Args;
use gallery::{
    anchor::{self, AnchorPlace},
    known_log::{FormerAnchor, KnownLog},
    law::Nation,
};

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
        // Before the folder is opened: opening settles what a stop has left.
        let at = AnchorPlace::look(self.place.folder(), path, self.replace)?;
        let tell = |known: &KnownLog| {
            format!("{} leaves, up to event {} of the record", known.leaves, known.last_event)
        };
        let former = match at.former() {
            FormerAnchor::None => None,
            FormerAnchor::Unreadable => Some("could not be read".to_owned()),
            FormerAnchor::Known(known) => Some(format!("knew {}", tell(known))),
        };
        let gallery = self.place.open_without_anchor()?;
        let there = anchor::anchor(&gallery, &place::administrator(Nation::unspecified()), at)?;
        if let Some(former) = former {
            println!("the anchor that is replaced {former}");
            println!("the audit log had {}", tell(&there));
        }
        println!("anchored at {}", path.display());
        Ok(())
    }
}
