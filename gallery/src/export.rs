//! Export: a watchlist's active references as they came.

use crate::{
    authority::{self, Caller, Inspect, Refusal},
    event::What,
    expire::{self, ExpireError},
    gallery::{Asked, Gallery},
    id::WatchlistId,
    law::OwnReference,
    record::{WriteError, read},
    subject::Listing,
    watchlist::Watchlist,
};
use matcher::template::ModelProfile;
use std::sync::Arc;

/// Why nothing is exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// No authority; it is in the log.
    #[error(transparent)]
    Refused(Refusal),
    /// What came out could not be taken.
    #[error("the export could not be written: {0}")]
    Sink(std::io::Error),
    /// The node is at fault.
    #[error(transparent)]
    Node(#[from] WriteError),
}

crate::fault::faults!(ExportError);

/// One reference.
#[derive(Clone, Debug)]
pub struct ExportedRow {
    /// The owner's reference of the subject.
    pub subject: OwnReference,
    /// The owner's reference of the encounter.
    pub encounter: Option<OwnReference>,
    /// Why the subject stands on the watchlist, and what the owner says of it.
    pub listing: Listing,
    /// Raw features, as they were enrolled.
    pub features: Vec<f32>,
}

/// What an export gives.
#[derive(Debug)]
pub enum Given {
    /// First: of what, and how much will come.
    Begun {
        /// The watchlist.
        watchlist: Arc<Watchlist>,
        /// References that will come.
        references: u64,
        /// Features that each has.
        dimension: usize,
    },
    /// Then each of them.
    Row(ExportedRow),
}

/// Gives every active reference of a watchlist of the caller's nation to `sink`, in the order of enrolment,
/// and returns how many there were. What is to be exported is in the log before the first of them is given.
///
/// # Errors
/// When the caller may not, `sink` fails, or the node cannot.
pub fn export(
    gallery: &Gallery,
    caller: &Caller,
    watchlist: WatchlistId,
    mut sink: impl FnMut(Given) -> std::io::Result<()>,
) -> Result<u64, ExportError> {
    expire::due(gallery).map_err(|ExpireError(error)| error)?;
    let asked = Asked { watchlists: &[watchlist], ..Asked::default() };
    let snapshot = gallery.current.load();
    let permit = authority::permit_own::<Inspect>(caller, &snapshot.catalogue, asked.watchlists);
    let permit = gallery.logged(caller, asked, permit)?;
    gallery.store.read(|store| {
        let counted = read::counted(store)?.get(&watchlist).copied().unwrap_or(0);
        gallery.log_event(permit.actor(), |_| What::Export { watchlist, encounters: counted })?;
        for list in permit.watchlists() {
            let dimension = snapshot.models.get(&list.policy.model).map_or(0, ModelProfile::dimension);
            let begun = Given::Begun { watchlist: Arc::clone(list), references: counted, dimension };
            sink(begun).map_err(ExportError::Sink)?;
        }
        let mut given = 0;
        read::each_of_watchlist(store, watchlist, |row| {
            given += 1;
            let read::Exported { subject, encounter, listing, features } = row;
            let row = ExportedRow { subject, encounter, listing, features };
            sink(Given::Row(row)).map_err(ExportError::Sink)
        })?;
        Ok(given)
    })
}
