//! Restriction: a contested subject is kept and not searched, until the restriction is lifted.

use crate::{
    authority::{Caller, Restrict},
    event::What,
    gallery::Gallery,
    id::SubjectId,
    idempotency::Idempotency,
    subject_change::{self, SubjectChangeError},
    timestamp::Timestamp,
};
use audit::receipt::Receipt;

/// Takes a subject of the caller's nation out of the search, on every watchlist, for as long as its record is
/// contested; returns since when.
///
/// # Errors
/// When the caller may not, there is no such subject, it is retired or restricted already, or the node cannot.
pub fn restrict(
    gallery: &Gallery,
    caller: &Caller,
    subject: SubjectId,
    idempotency: Option<Idempotency>,
) -> Result<(Timestamp, Receipt), SubjectChangeError> {
    subject_change::change::<Restrict>(gallery, caller, subject, idempotency, move |change, found| {
        if found.retired_at.is_some() {
            return Err(SubjectChangeError::State("is retired"));
        }
        if found.restricted_at.is_some() {
            return Err(SubjectChangeError::State("is restricted already"));
        }
        change.restrict_subject(found.row)?;
        Ok(What::Restrict { subject })
    })
}

/// Puts a restricted subject back into the search, on the watchlists whose retention is not over; returns when.
///
/// # Errors
/// When the caller may not, there is no such subject, it is not restricted, or the node cannot.
pub fn lift(
    gallery: &Gallery,
    caller: &Caller,
    subject: SubjectId,
    idempotency: Option<Idempotency>,
) -> Result<(Timestamp, Receipt), SubjectChangeError> {
    subject_change::change::<Restrict>(gallery, caller, subject, idempotency, move |change, found| {
        if found.retired_at.is_some() || found.restricted_at.is_none() {
            return Err(SubjectChangeError::State("is not restricted"));
        }
        change.lift_restriction(found.row)?;
        Ok(What::Lift { subject })
    })
}
