//! Authorisation of a lookup that was made without one: supplied in time, or its results are erased.

use crate::{
    authority::{self, Authorise, Caller, Refusal},
    event::What,
    gallery::{Asked, Gallery, Turn},
    id::LookupId,
    idempotency::{Idempotency, KeyError},
    law::AuthorisationReference,
    record::{WriteError, change::Done},
};
use audit::receipt::Receipt;

/// Why a lookup is not authorised.
#[derive(Debug, thiserror::Error)]
pub enum AuthoriseError {
    /// No authority; it is in the log.
    #[error(transparent)]
    Refused(Refusal),
    /// No lookup of this caller waits for it, or its time is over.
    #[error("no lookup of this id waits for this caller's authorisation")]
    Unknown,
    /// The idempotency key cannot be used.
    #[error(transparent)]
    Key(KeyError),
    /// The node is at fault.
    #[error(transparent)]
    Node(#[from] WriteError),
}

crate::fault::faults!(AuthoriseError);
crate::fault::turn_faults!(AuthoriseError);

/// Supplies the authorisation of a caller's own lookup: what was found goes into the log.
///
/// # Errors
/// When the caller may not, no such lookup waits for it, or the node cannot.
pub fn authorise(
    gallery: &Gallery,
    caller: &Caller,
    lookup: LookupId,
    authorisation: AuthorisationReference,
    idempotency: Option<Idempotency>,
) -> Result<Receipt, AuthoriseError> {
    let permit = authority::permit_own::<Authorise>(caller, &gallery.current.load().catalogue, &[]);
    let permit = gallery.logged(caller, Asked::default(), permit)?;
    let claim = match gallery.turn(caller, idempotency)? {
        Turn::Again((), receipt) => return Ok(receipt),
        Turn::First(claim) => claim,
    };
    let identity = caller.identity();
    let written = gallery.writer.write(permit.actor().clone(), claim.as_ref(), move |change| {
        let findings = change.take_pending(lookup, &identity)?.ok_or(AuthoriseError::Unknown)?;
        let what = What::Authorise { lookup, authorisation, findings };
        Ok(Done { outcome: (), what, deltas: Vec::new() })
    });
    written.map(|((), receipt)| receipt)
}
