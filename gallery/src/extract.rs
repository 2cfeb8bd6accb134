//! Extraction: a template of an image goes out to whoever asks. Nothing comes on record; that it was done is in the log.

use crate::{
    authority::{self, Caller, Extract, Permit, Refusal},
    digest::ProbeDigest,
    event::What,
    gallery::{Asked, Gallery},
    record::WriteError,
    subject::RawFeatures,
};
use audit::{hash::Hash, receipt::Receipt};

/// Why nothing is given out.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// No authority; it is in the log.
    #[error(transparent)]
    Refused(Refusal),
    /// The node is at fault.
    #[error(transparent)]
    Node(#[from] WriteError),
}

crate::fault::faults!(ExtractError);

/// May this caller have templates made? Asked before an image is looked at.
///
/// # Errors
/// When it may not.
pub fn permit(gallery: &Gallery, caller: &Caller) -> Result<Permit<Extract>, ExtractError> {
    let permit = authority::permit_own(caller, &gallery.current.load().catalogue, &[]);
    Ok(gallery.logged(caller, Asked::default(), permit)?)
}

/// Writes down that a template was made, before it is given out.
///
/// # Errors
/// When the log cannot be written.
pub fn record(
    gallery: &Gallery,
    permit: &Permit<Extract>,
    features: &RawFeatures,
    image: Hash,
) -> Result<Receipt, ExtractError> {
    let event = |salt: &[u8; 32]| What::Extract {
        template: ProbeDigest::new(salt, features.model.clone(), &features.features, Some(image)),
    };
    Ok(gallery.log_event(permit.actor(), event)?)
}
