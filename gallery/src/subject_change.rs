//! What the verbs that change one subject as a whole share: permit, repetition, refusals, the log.

use crate::{
    authority::{self, Caller, Permit, Refusal, Verb},
    event::What,
    gallery::{Asked, Gallery, Turn},
    generation::Delta,
    id::SubjectId,
    idempotency::{Idempotency, KeyError},
    record::{
        WriteError,
        change::{Change, Done, Found},
    },
    timestamp::Timestamp,
};
use audit::receipt::Receipt;

/// Why a subject is not changed.
#[derive(Debug, thiserror::Error)]
pub enum SubjectChangeError {
    /// No authority; it is in the log.
    #[error(transparent)]
    Refused(Refusal),
    /// No such subject of the caller's nation, or one on a watchlist that the caller's grant does not reach.
    #[error("no such subject")]
    Unknown,
    /// It is in that state already, or in one from which there is no way to it.
    #[error("the subject {0}")]
    State(&'static str),
    /// The idempotency key cannot be used.
    #[error(transparent)]
    Key(KeyError),
    /// The node is at fault.
    #[error(transparent)]
    Node(#[from] WriteError),
}

crate::fault::faults!(SubjectChangeError);
crate::fault::turn_faults!(SubjectChangeError);

/// Changes a subject with a verb after which only the subject's own lists are others.
pub(crate) fn change<V: Verb<Ground = ()>>(
    gallery: &Gallery,
    caller: &Caller,
    subject: SubjectId,
    idempotency: Option<Idempotency>,
    work: impl FnOnce(&Change<'_>, Found) -> Result<What, SubjectChangeError> + Send + 'static,
) -> Result<(Timestamp, Receipt), SubjectChangeError> {
    change_with::<V>(gallery, caller, subject, idempotency, move |change, _, found| {
        let what = work(change, found)?;
        Ok((what, change.lists_of(subject)?))
    })
}

/// Changes a subject of the caller's nation whose watchlists the caller's grant all reaches; returns when. Under a
/// key, a repetition gets the first answer.
pub(crate) fn change_with<V: Verb<Ground = ()>>(
    gallery: &Gallery,
    caller: &Caller,
    subject: SubjectId,
    idempotency: Option<Idempotency>,
    work: impl FnOnce(&Change<'_>, &Permit<V>, Found) -> Result<(What, Vec<Delta>), SubjectChangeError>
    + Send
    + 'static,
) -> Result<(Timestamp, Receipt), SubjectChangeError> {
    let permit = authority::permit_own::<V>(caller, &gallery.current.load().catalogue, &[]);
    let asked = Asked { subject: Some(subject), ..Asked::default() };
    let permit = gallery.logged(caller, asked, permit)?;
    let claim = match gallery.turn(caller, idempotency)? {
        Turn::Again(at, receipt) => return Ok((at, receipt)),
        Turn::First(claim) => claim,
    };
    let actor = permit.actor().clone();
    let actor_of_change = actor.clone();
    let changed = gallery.writer.write(actor_of_change, claim.as_ref(), move |change| {
        let found = change.find_permitted(&permit, subject)?.ok_or(SubjectChangeError::Unknown)?;
        let (what, deltas) = work(change, &permit, found)?;
        Ok(Done { outcome: change.now, what, deltas })
    });
    if let Err(SubjectChangeError::Unknown) = changed {
        gallery.missed::<V>(caller, asked)?;
    }
    changed
}
