//! Anchoring: what is kept outside of the data folder, so that an older copy of it is found out.

use crate::{
    authority::Caller,
    event::What,
    gallery::Gallery,
    known_log::{FormerAnchor, KnownLog},
};
use audit::{anchor::Anchor, log::AppendError};
use std::path::{Path, PathBuf};

pub use audit::anchor::AnchorError;

/// Why no anchor is made.
#[derive(Debug, thiserror::Error)]
pub enum AnchoringError {
    /// The file.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// It could not be logged.
    #[error(transparent)]
    Log(#[from] AppendError),
}

/// Where an anchor is to be made; one that stands there is held, so that no server uses it meanwhile.
#[derive(Debug)]
pub struct AnchorPlace {
    path: PathBuf,
    held: Option<Anchor>,
    former: FormerAnchor,
}

impl AnchorPlace {
    /// Looks at a path, before the data folder is opened. With `replace`, an anchor that stands there may be
    /// replaced: whoever asks for it accepts that the log, and the record with it, lacks what that anchor knew.
    ///
    /// # Errors
    /// When there is one and it is not to be replaced, it is in use, or it is in the data folder.
    pub fn look(folder: &Path, path: &Path, replace: bool) -> Result<Self, AnchorError> {
        Anchor::must_be_outside(path, folder)?;
        let (held, former) = match Anchor::open(path) {
            Err(AnchorError::Missing(_)) => (None, FormerAnchor::None),
            Ok(_) | Err(AnchorError::Damaged(_)) if !replace => {
                return Err(AnchorError::Exists(path.to_owned()));
            }
            Ok(anchor) => {
                let known = FormerAnchor::Known(anchor.mark().into());
                (Some(anchor), known)
            }
            Err(AnchorError::Damaged(_)) => (None, FormerAnchor::Unreadable),
            Err(error) => return Err(error),
        };
        Ok(Self { path: path.to_owned(), held, former })
    }

    /// What stands there.
    pub fn former(&self) -> &FormerAnchor {
        &self.former
    }
}

/// Makes an anchor that knows the log of a gallery up to now, which is an event of it. The gallery must not be open
/// with an anchor. Returns the log as it was before that event.
///
/// # Errors
/// When log or file cannot be written.
pub fn anchor(gallery: &Gallery, caller: &Caller, place: AnchorPlace) -> Result<KnownLog, AnchoringError> {
    let AnchorPlace { path, held, former } = place;
    let there = KnownLog::from(&gallery.log.head());
    let damaged = former == FormerAnchor::Unreadable;
    gallery.log_event(&caller.into(), |_| What::Anchor { former })?;
    let head = gallery.log.head();
    match held {
        // Both marks, so that neither knows what is given up.
        Some(mut anchor) => (0..2).try_for_each(|_| anchor.put(&head)).map_err(AnchorError::Io)?,
        None if damaged => Anchor::replace(&path, &head)?,
        None => Anchor::create(&path, &head)?,
    }
    Ok(there)
}
