//! Expiry: what has reached the end of its retention is taken out of the search before the next lookup.

use crate::{
    authority::{Actor, Caller},
    event::What,
    gallery::Gallery,
    record::{Reading, WriteError, answer, change::Done, kept, writer::NotDone},
    timestamp::Timestamp,
};
use std::{collections::BTreeSet, io};

/// Entries, or results of lookups, that one transaction ends.
const AT_ONCE: u32 = 1000;

/// Why expiry could not be carried out; then nothing is searched.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ExpireError(pub WriteError);

/// Takes every entry out of the search whose retention is over by now, and erases results that were not authorised in time. Costs nothing
/// when none is due. Asked before each search, and by the node's clock.
///
/// # Errors
/// When the record or the log cannot be written.
pub fn due(gallery: &Gallery) -> Result<(), ExpireError> {
    gallery.watch.now(&gallery.ambient).map_err(|back| ExpireError(back.into()))?;
    entries(gallery)?;
    results(gallery)
}

/// Forgets what is to be remembered of searches no longer (docs/decisions/0016-misuse.md). To be asked now and then.
///
/// # Errors
/// When the file cannot be written anew; then the one that is there holds on.
pub fn searches(gallery: &Gallery) -> io::Result<()> {
    // A clock that is behind would forget all.
    if gallery.watch.now(&gallery.ambient).is_err() {
        return Ok(());
    }
    gallery.guard.settle()
}

/// Results of lookups that were not authorised.
fn results(gallery: &Gallery) -> Result<(), ExpireError> {
    while gallery.awaiting.is_due(gallery.ambient.clock.now()) {
        let ended = gallery.writer.write(Actor::node(), None, |change| {
            let lookups = change.erase_pending(AT_ONCE)?;
            if lookups.is_empty() {
                return Err(NotDone::Nothing); // and nothing to log
            }
            Ok(Done { outcome: (), what: What::EraseResults { lookups }, deltas: Vec::new() })
        });
        match ended {
            Ok(_) => (),
            Err(NotDone::Nothing) => {
                let next = |store: &Reading<'_>| kept::next_pending(store);
                gallery
                    .awaiting
                    .look(|| gallery.store.read(next))
                    .map_err(|error| ExpireError(error.into()))?;
            }
            Err(NotDone::Fault(error)) => return Err(ExpireError(error)),
        }
    }
    Ok(())
}

fn entries(gallery: &Gallery) -> Result<(), ExpireError> {
    loop {
        let next = gallery.current.load().next_expiry;
        if next.is_none_or(|next| next > gallery.ambient.clock.now()) {
            return Ok(());
        }
        let ended = gallery.writer.write(Actor::node(), None, |change| {
            let entries = change.expire_entries(AT_ONCE)?;
            if entries.is_empty() {
                return Err(NotDone::Nothing); // and nothing to log
            }
            let mut deltas = Vec::new();
            for subject in entries.iter().map(|(subject, _)| *subject).collect::<BTreeSet<_>>() {
                deltas.extend(change.lists_of(subject)?);
            }
            Ok(Done { outcome: (), what: What::Expire { entries }, deltas })
        });
        match ended {
            Ok(_) => (),
            // Another lookup did it, or the clock has been put back.
            Err(NotDone::Nothing) => return Ok(()),
            Err(NotDone::Fault(error)) => return Err(ExpireError(error)),
        }
    }
}

/// Takes the clock as it is, after it was ahead. What expired meanwhile stays expired.
///
/// # Errors
/// When the record or the log cannot be written.
pub fn accept_clock(gallery: &Gallery, caller: &Caller) -> Result<Timestamp, ExpireError> {
    let known =
        gallery.store.read(|store| answer::clock(store)).map_err(|error| ExpireError(error.into()))?;
    let accepted = gallery.writer.write_at_any_time(caller.into(), None, move |change| {
        change.accept_clock()?;
        let (now, what) = (change.now, What::AcceptClock { known });
        Ok::<_, WriteError>(Done { outcome: now, what, deltas: Vec::new() })
    });
    let (now, _) = accepted.map_err(ExpireError)?;
    gallery.watch.accept(now);
    Ok(now)
}
