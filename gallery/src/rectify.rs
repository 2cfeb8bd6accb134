//! Rectification: why a subject stands on a watchlist, and what its owner says of it, is put right (Directive (EU) 2016/680, Article 16).

use crate::{
    authority::{Caller, Rectify},
    event::What,
    gallery::Gallery,
    id::{SubjectId, WatchlistId},
    idempotency::Idempotency,
    subject::Listing,
    subject_change::{self, SubjectChangeError},
    timestamp::Timestamp,
};
use audit::receipt::Receipt;

/// Puts another category, and other remarks, in place of those of a subject's entry; returns when. What they were stays in the log.
///
/// # Errors
/// When the caller may not, there is no such subject, it does not stand on this watchlist or the watchlist does not allow the category, or the node cannot.
pub fn rectify(
    gallery: &Gallery,
    caller: &Caller,
    subject: SubjectId,
    watchlist: WatchlistId,
    listing: Listing,
    idempotency: Option<Idempotency>,
) -> Result<(Timestamp, Receipt), SubjectChangeError> {
    let list = gallery.current.load().catalogue.get(&watchlist).cloned();
    subject_change::change::<Rectify>(gallery, caller, subject, idempotency, move |change, found| {
        let elsewhere = || SubjectChangeError::State("does not stand on this watchlist");
        let list = list.filter(|list| list.owner == found.owner).ok_or_else(elsewhere)?;
        if !list.policy.categories.contains(&listing.category) {
            return Err(SubjectChangeError::State("is on a watchlist that does not allow the category"));
        }
        let former = change.rectify_entry(found.row, subject, watchlist, &listing)?.ok_or_else(elsewhere)?;
        Ok(What::Rectify { subject, watchlist, former, listing })
    })
}
