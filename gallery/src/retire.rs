//! Retirement: a subject stays on record, and no lookup returns it any more.

use crate::{
    authority::{Caller, Retire},
    event::What,
    gallery::Gallery,
    id::SubjectId,
    idempotency::Idempotency,
    subject_change::{self, SubjectChangeError},
    timestamp::Timestamp,
};
use audit::receipt::Receipt;

/// Takes a subject of the caller's nation out of the search, on every watchlist; returns when.
///
/// # Errors
/// When the caller may not, there is no such subject, it is retired already, or the node cannot.
pub fn retire(
    gallery: &Gallery,
    caller: &Caller,
    subject: SubjectId,
    idempotency: Option<Idempotency>,
) -> Result<(Timestamp, Receipt), SubjectChangeError> {
    subject_change::change::<Retire>(gallery, caller, subject, idempotency, move |change, found| {
        if found.retired_at.is_some() {
            return Err(SubjectChangeError::State("is retired already"));
        }
        change.retire_subject(found.row)?;
        Ok(What::Retire { subject })
    })
}
