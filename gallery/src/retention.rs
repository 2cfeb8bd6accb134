//! Retention: what is kept, what is due, and erasing whose retention is over. A clock that is wrong may hide people; it erases few
//! of them unless somebody confirms.

use crate::{
    authority::{self, Caller, Erase, Refusal},
    erase,
    event::What,
    expire::{self, ExpireError},
    gallery::{Asked, Gallery},
    id::WatchlistId,
    record::{WriteError, retention as table},
    subject_change::SubjectChangeError,
    watchlist::Watchlist,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Why nothing was told or erased.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// No authority; it is in the log.
    #[error(transparent)]
    Refused(Refusal),
    /// A confirmation is not for what is due now.
    #[error("{confirmed} erasures are confirmed on {list}, {due} are due: read the report again")]
    Confirmed {
        /// On which watchlist.
        list: WatchlistId,
        /// How many were confirmed.
        confirmed: u64,
        /// How many are due.
        due: u64,
    },
    /// The node is at fault.
    #[error(transparent)]
    Node(#[from] WriteError),
}

crate::fault::faults!(RetentionError);

/// A watchlist's entries, by what is due.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// Which.
    pub watchlist: Arc<Watchlist>,
    /// Entries of any state.
    pub entries: u64,
    /// Entries that are searched.
    pub active: u64,
    /// Of these, how many a person should have looked at by now.
    pub review: u64,
    /// Entries of subjects whose retention is over on every watchlist, and who are not contested.
    pub erasure: u64,
}

/// Of a hundred entries so many may be erased without confirmation.
const PERCENT: u64 = 1;

impl Due {
    /// Is it more than may be erased without confirmation?
    pub fn needs_confirmation(&self) -> bool {
        self.erasure * 100 > self.entries * PERCENT
    }
}

/// What is due on each watchlist of the caller's nation that the caller's grant reaches.
///
/// # Errors
/// When the caller may not, or the node cannot.
pub fn report(gallery: &Gallery, caller: &Caller) -> Result<Vec<Due>, RetentionError> {
    expire::due(gallery).map_err(|ExpireError(error)| error)?;
    let permit = authority::permit_own::<Erase>(caller, &gallery.current.load().catalogue, &[]);
    let permit = gallery.logged(caller, Asked::default(), permit)?;
    let now = gallery.watch.now(&gallery.ambient).map_err(WriteError::from)?;
    let snapshot = gallery.current.load();
    let own = |list: &&Arc<Watchlist>| list.owner == *caller.nation() && permit.reaches_own(list.id);
    let mut lists: Vec<Arc<Watchlist>> = snapshot.catalogue.values().filter(own).cloned().collect();
    lists.sort_by_key(|list| list.id);
    gallery.store.read(|store| {
        let counts = table::counts(store, now)?;
        let due = |watchlist: Arc<Watchlist>| {
            let [entries, active, review, erasure] = counts.get(&watchlist.id).copied().unwrap_or_default();
            Due { watchlist, entries, active, review, erasure }
        };
        Ok(lists.into_iter().map(due).collect())
    })
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// How many subjects were erased.
    pub erased: u64,
    /// On which watchlists it was more than may be erased without confirmation: none of theirs were.
    pub held_back: Vec<Due>,
}

/// Erases the subjects of the caller's nation whose retention is over on every watchlist. Where that is more than a hundredth of a
/// watchlist's entries, nobody on it is erased unless the exact number is confirmed.
///
/// # Errors
/// When the caller may not, a confirmation is for another number, or the node cannot.
pub fn run(
    gallery: &Gallery,
    caller: &Caller,
    confirmed: &BTreeMap<WatchlistId, u64>,
) -> Result<Run, RetentionError> {
    let all = report(gallery, caller)?;
    for due in &all {
        match confirmed.get(&due.watchlist.id) {
            Some(&confirmed) if confirmed != due.erasure => {
                let (list, due) = (due.watchlist.id, due.erasure);
                return Err(RetentionError::Confirmed { list, confirmed, due });
            }
            _ => (),
        }
    }
    let held = |due: &Due| due.needs_confirmation() && !confirmed.contains_key(&due.watchlist.id);
    let (held_back, _): (Vec<Due>, Vec<Due>) = all.into_iter().partition(held);
    let held: BTreeSet<WatchlistId> = held_back.iter().map(|due| due.watchlist.id).collect();
    let now = gallery.watch.now(&gallery.ambient).map_err(WriteError::from)?;
    let subjects = gallery.store.read(|store| table::over(store, caller.nation(), now, &held))?;
    let mut erased = 0;
    for subject in subjects {
        match erase::erase(gallery, caller, subject, None) {
            Ok(_) => erased += 1,
            Err(SubjectChangeError::Node(error)) => return Err(error.into()),
            Err(SubjectChangeError::Refused(refusal)) => return Err(RetentionError::Refused(refusal)),
            // On a list that the grant does not reach, or erased by somebody else meanwhile.
            Err(SubjectChangeError::Unknown | SubjectChangeError::State(_) | SubjectChangeError::Key(_)) => {}
        }
    }
    let lists: Vec<WatchlistId> = held.into_iter().collect();
    gallery.log_event(&caller.into(), |_| What::Retention { erased, held_back: lists })?;
    Ok(Run { erased, held_back })
}
