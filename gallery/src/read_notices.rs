//! What owners are told, read by them.

use crate::{
    authority::{self, Caller, Inspect},
    event::What,
    gallery::{Asked, Gallery},
    inspect::InspectError,
    notice::Notice,
    record::kept,
};
use audit::receipt::Receipt;

/// Notices that one answer holds at most.
pub const NOTICE_LIMIT: u32 = 100;

/// What an owner is told.
#[derive(Debug)]
pub struct Notices {
    /// Each with its number, oldest first.
    pub notices: Vec<(u64, Notice)>,
    /// There may be more after this number.
    pub next: Option<u64>,
}

/// What the caller's nation is told after this number, oldest first: those on watchlists that the grant reaches. Reading is logged.
///
/// # Errors
/// When the caller may not, or the node cannot.
pub fn read_notices(
    gallery: &Gallery,
    caller: &Caller,
    after: u64,
) -> Result<(Notices, Receipt), InspectError> {
    let snapshot = gallery.current.load();
    let permit = authority::permit_own::<Inspect>(caller, &snapshot.catalogue, &[]);
    let permit = gallery.logged(caller, Asked::default(), permit)?;
    let nation = &permit.actor().nation;
    let mut notices = gallery.store.read(|store| kept::notices(store, nation, after, NOTICE_LIMIT))?;
    let next = (notices.len() == NOTICE_LIMIT as usize).then(|| notices.last().map(|(number, _)| *number));
    notices.retain(|(_, notice)| permit.reaches_own(notice.watchlist));
    let count = notices.len() as u64;
    let receipt = gallery.log_event(permit.actor(), |_| What::ReadNotices { after, count })?;
    Ok((Notices { notices, next: next.flatten() }, receipt))
}
