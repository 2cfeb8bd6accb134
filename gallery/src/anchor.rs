//! Anchoring: what is kept outside of the data folder, so that an older copy of it is found out.

use crate::{
    authority::Caller,
    event::{KnownLog, What},
    gallery::Gallery,
};
use audit::{anchor::Anchor, log::AppendError};
use std::path::Path;

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

/// What an anchor that was replaced had known, and what there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// What it knew; `None` if it could not be read.
    pub known: Option<KnownLog>,
    /// The log as it is.
    pub there: KnownLog,
}

/// Makes an anchor at this path that knows the log up to now. With `replace`, over one that is there: whoever asks
/// for it accepts that the log, and the record with it, lacks what that anchor knew. Either is an event of the log.
///
/// The gallery must not be open with this anchor.
///
/// # Errors
/// When there is one and it is not to be replaced, or log or file cannot be written.
pub fn anchor(
    gallery: &Gallery,
    caller: &Caller,
    path: &Path,
    replace: bool,
) -> Result<Option<Replaced>, AnchoringError> {
    let there = KnownLog::from(&gallery.log.head());
    let replaced = match Anchor::open(path) {
        Err(AnchorError::Missing(_)) => None,
        _ if !replace => return Err(AnchorError::Exists(path.to_owned()).into()),
        Ok(anchor) => Some(Replaced { known: Some(anchor.mark().into()), there }),
        Err(AnchorError::Damaged(_)) => Some(Replaced { known: None, there }),
        Err(error) => return Err(error.into()),
    };
    let what = What::Anchor { replaced: replaced.as_ref().map(|replaced| replaced.known.clone()) };
    gallery.log_event(&caller.into(), |_| what)?;
    let head = gallery.log.head();
    match &replaced {
        Some(_) => Anchor::replace(path, &head)?,
        None => Anchor::create(path, &head)?,
    }
    Ok(replaced)
}
