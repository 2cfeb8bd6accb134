//! Retirement: a subject stays on record, and no lookup returns it any more.

use crate::{
    authority::{self, Caller, Refusal, Retire},
    event::What,
    gallery::{Asked, Gallery, Turn},
    id::SubjectId,
    idempotency::{Idempotency, KeyError},
    record::{WriteError, change::Done},
    timestamp::Timestamp,
};
use audit::receipt::Receipt;

/// Why a subject is not retired.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    /// No authority; it is in the log.
    #[error(transparent)]
    Refused(Refusal),
    /// No such subject of the caller's nation, or one on a watchlist that the caller's grant does not reach.
    #[error("no such subject")]
    Unknown,
    /// It is retired already.
    #[error("the subject is retired already")]
    Retired,
    /// The idempotency key cannot be used.
    #[error(transparent)]
    Key(KeyError),
    /// The node is at fault.
    #[error(transparent)]
    Node(#[from] WriteError),
}

crate::fault::faults!(RetireError);
crate::fault::turn_faults!(RetireError);

/// Takes a subject of the caller's nation out of the search, on every watchlist; returns when.
///
/// # Errors
/// When the caller may not, there is no such subject, or the node cannot.
pub fn retire(
    gallery: &Gallery,
    caller: &Caller,
    subject: SubjectId,
    idempotency: Option<Idempotency>,
) -> Result<(Timestamp, Receipt), RetireError> {
    let snapshot = gallery.current.load();
    let permit = authority::permit_own::<Retire>(caller, &snapshot.catalogue, &[]);
    let asked = Asked { subject: Some(subject), ..Asked::default() };
    let permit = gallery.logged(caller, asked, permit)?;
    let claim = match gallery.turn(caller, idempotency)? {
        Turn::Again(retired_at, receipt) => return Ok((retired_at, receipt)),
        Turn::First(claim) => claim,
    };
    let retired = gallery.writer.write(permit.actor().clone(), claim.as_ref(), move |change| {
        let found = change.find_permitted(&permit, subject)?;
        let (key, _, retired) = found.ok_or(RetireError::Unknown)?;
        if retired.is_some() {
            return Err(RetireError::Retired);
        }
        change.retire_subject(key)?;
        let deltas = change.lists_of(subject)?;
        Ok(Done { outcome: change.now, what: What::Retire { subject }, deltas })
    });
    if let Err(RetireError::Unknown) = retired {
        gallery.missed::<Retire>(caller, asked)?;
    }
    retired
}
