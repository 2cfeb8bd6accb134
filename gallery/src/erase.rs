//! Erasure: a subject's key is destroyed, and with it every copy of its templates, in backups too; its rows are
//! deleted but for a stub. First the intent is on record and nobody finds the subject any more; then a line of the
//! ledger, the files of generations, the key, the rows and the completion's event. What a stop interrupts, the next start carries on.

use crate::{
    authority::{Actor, Caller, Erase},
    event::What,
    gallery::Gallery,
    id::SubjectId,
    idempotency::Idempotency,
    keys::ledger::Erasure,
    record::{
        Reading, StoreError, WriteError, begin,
        change::{Change, Done},
        moves, standing,
        writer::NotDone,
    },
    subject_change::{self, SubjectChangeError},
    timestamp::Timestamp,
    upkeep,
};
use audit::receipt::Receipt;
use std::sync::Arc;

/// An erasure, ordered.
#[derive(Clone, Copy, Debug)]
pub struct Erased {
    /// Since when nobody finds the subject any more.
    pub ordered_at: Timestamp,
    /// Under which the log holds the order; a repetition gets the same.
    pub receipt: Receipt,
    /// Is it carried out? If not (the disk is full), the node does so with the next erasure, or at its next start.
    pub complete: bool,
}

/// Erases a subject of the caller's nation.
///
/// # Errors
/// When the caller may not, there is no such subject, or the node cannot.
pub fn erase(
    gallery: &Gallery,
    caller: &Caller,
    subject: SubjectId,
    idempotency: Option<Idempotency>,
) -> Result<Erased, SubjectChangeError> {
    let order =
        subject_change::change::<Erase>(gallery, caller, subject, idempotency, move |change, found| {
            change.order_erasure(found.row)?;
            Ok(What::OrderErasure { subject })
        });
    let (ordered_at, receipt) = order?;
    let complete = match carry_out_one(gallery, &caller.into(), subject) {
        Ok(()) => true,
        Err(WriteError::Store(StoreError::Full) | WriteError::Undone | WriteError::Busy) => false,
        Err(error) => return Err(error.into()),
    };
    // Who was merged into it, and what could not be carried out before, of whoever's.
    let complete = carry_out(gallery, &Actor::node()).is_ok() && complete;
    Ok(Erased { ordered_at, receipt, complete })
}

/// Carries out what was ordered.
pub(crate) fn carry_out(gallery: &Gallery, actor: &Actor) -> Result<(), WriteError> {
    let ordered = gallery.store.read(|store| standing::ordered_erasures(store))?;
    ordered.into_iter().try_for_each(|subject| carry_out_one(gallery, actor, subject))
}

fn carry_out_one(gallery: &Gallery, actor: &Actor, subject: SubjectId) -> Result<(), WriteError> {
    let both = |store: &Reading<'_>| {
        let before = moves::before(store, subject)?; // as files may still know what was moved to it
        Ok::<_, StoreError>([standing::references_of(store, subject)?, before].concat())
    };
    let references = gallery.store.read(both)?;
    upkeep::scrub(gallery, &references)?;
    let ledger = Arc::clone(&gallery.ledger);
    let carried_out = gallery.writer.write(actor.clone(), None, move |change: &Change<'_>| {
        if !change.is_ordered(subject)? {
            return Err(NotDone::Nothing); // somebody else did it
        }
        let deltas = change.carry_out_erasure(&ledger, subject)?;
        Ok(Done { outcome: (), what: What::Erase { subject }, deltas })
    });
    match carried_out {
        Ok(_) | Err(NotDone::Nothing) => Ok(()),
        Err(NotDone::Fault(error)) => Err(error),
    }
}

/// Destroys the keys of all whom the ledger names: the keys may be an older copy than it.
pub(crate) fn destroy_again(gallery: &Gallery) -> Result<(), WriteError> {
    const AT_ONCE: u64 = 1000;
    let lines = gallery.ledger.lines();
    for first in (0..lines).step_by(AT_ONCE as usize) {
        let ledger = Arc::clone(&gallery.ledger);
        let destroyed = gallery.writer.write(Actor::node(), None, move |change: &Change<'_>| {
            for number in first..lines.min(first + AT_ONCE) {
                let Erasure { subject, row, .. } = ledger.line(number).map_err(StoreError::from)?;
                // Rows that were lost are given again: then the key is another's.
                if standing::holder(change.connection, row)?.is_none_or(|holder| holder == subject) {
                    change.keys.destroy(row);
                }
            }
            change.keys.settle().map_err(StoreError::from)?;
            Err::<Done<()>, _>(NotDone::Nothing) // nothing of the record was changed
        });
        match destroyed {
            Ok(_) | Err(NotDone::Nothing) => (),
            Err(NotDone::Fault(error)) => return Err(error),
        }
    }
    Ok(())
}

/// Erases again whom the ledger names and the store, an older copy, does not know to be erased; and carries out what was ordered.
pub(crate) fn replay(gallery: &Gallery) -> Result<(), WriteError> {
    let actor = Actor::node();
    for subject in gallery.store.read(|store| begin::erased_since(store, &gallery.ledger))? {
        let ordered = gallery.writer.write(actor.clone(), None, move |change: &Change<'_>| {
            let row = change.find_unordered(subject)?.ok_or(NotDone::Nothing)?;
            change.order_erasure(row)?;
            Ok(Done { outcome: (), what: What::OrderErasure { subject }, deltas: change.lists_of(subject)? })
        });
        if let Err(NotDone::Fault(error)) = ordered {
            return Err(error);
        }
    }
    carry_out(gallery, &actor)?;
    upkeep::scrub_since(gallery)
}
