//! Inspection: reading a subject's record. It is logged, as every consultation is.

use crate::{
    authority::{self, Caller, Inspect, Refusal},
    event::What,
    gallery::{Asked, Gallery},
    id::SubjectId,
    law::OwnReference,
    record::{StoreError, WriteError, person, read},
    subject::Subject,
    watchlist::Watchlist,
};
use audit::receipt::Receipt;
use std::sync::Arc;

/// Why a record is not shown.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// No authority; it is in the log.
    #[error(transparent)]
    Refused(Refusal),
    /// No such subject of the caller's nation.
    #[error("no such subject")]
    Unknown,
    /// The node is at fault.
    #[error(transparent)]
    Node(#[from] WriteError),
}

crate::fault::faults!(InspectError);

/// Which subject.
#[derive(Clone, Debug)]
pub enum Which {
    /// By Limen's id, retired or not.
    Id(SubjectId),
    /// By the owner's reference, if not retired.
    Reference(OwnReference),
}

/// Reads a subject of the caller's nation.
///
/// # Errors
/// When the caller may not, there is no such subject, or the node cannot.
pub fn inspect(
    gallery: &Gallery,
    caller: &Caller,
    which: &Which,
) -> Result<(Subject, Receipt), InspectError> {
    let snapshot = gallery.current.load();
    let asked = match which {
        Which::Id(id) => Some(*id),
        Which::Reference(_) => None,
    };
    let permit = authority::permit_own::<Inspect>(caller, &snapshot.catalogue, &[]);
    let asked = Asked { subject: asked, ..Asked::default() };
    let permit = gallery.logged(caller, asked, permit)?;
    let owner = &permit.actor().nation;
    let subject = gallery.store.read(|store| {
        let id = match which {
            Which::Id(id) => Some(*id),
            Which::Reference(reference) => read::subject_by_reference(store, owner, reference)?,
        };
        id.map_or(Ok(None), |id| person::subject(store, owner, id))
    });
    let subject: Result<_, StoreError> = subject;
    // Someone who is on no watchlist that the grant reaches looks like someone who is not there.
    let reached = |subject: &Subject| subject.entries.iter().any(|entry| permit.reaches_own(entry.watchlist));
    let Some(subject) = subject?.filter(reached) else {
        gallery.missed::<Inspect>(caller, asked)?;
        return Err(InspectError::Unknown);
    };
    let receipt = gallery.log_event(permit.actor(), |_| What::Inspect { subject: subject.id })?;
    Ok((subject, receipt))
}

/// The watchlists that the caller's grant reaches, by id.
pub fn watchlists(gallery: &Gallery, caller: &Caller) -> Vec<Arc<Watchlist>> {
    let snapshot = gallery.current.load();
    let now = gallery.ambient.clock.now();
    let reached =
        |list: &&Arc<Watchlist>| authority::reaches(caller, list) && list.is_for(caller.nation(), now);
    let reached = snapshot.catalogue.values().filter(reached);
    let mut watchlists: Vec<_> = reached.cloned().collect();
    watchlists.sort_by_key(|watchlist| watchlist.id);
    watchlists
}
