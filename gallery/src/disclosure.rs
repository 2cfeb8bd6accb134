//! What a searcher is shown of those who reach the threshold, and what their owners are told.

use crate::{
    authority::{Ground, Permit, Verb},
    caller::Actor,
    decision::{Candidate, Likeness, Listed, Seen, Told},
    handling::Visibility,
    id::{EncounterKey, SubjectId},
    law::{Allowance, Band},
    notice::{Notice, Search},
    record::{Reading, StoreError, read, standing},
    subject::Listing,
    timestamp::Timestamp,
    watchlist::Watchlist,
};
use matcher::score::Score;

/// Somebody who reaches the threshold of at least one watchlist.
#[derive(Clone, Debug)]
pub(crate) struct Reaching {
    pub(crate) subject: SubjectId,
    /// The best score of the subject's references.
    pub(crate) score: Score,
    /// The encounter of that reference.
    pub(crate) encounter: EncounterKey,
    /// Which of the permit's watchlists, by their position.
    pub(crate) lists: Vec<usize>,
}

/// What is shown and told.
#[derive(Debug, Default)]
pub(crate) struct Disclosure {
    /// Best first, at most as many as were asked for.
    pub(crate) candidates: Vec<Candidate>,
    /// How many could have been shown.
    pub(crate) total: u64,
    /// For the owners of those who are not shown in full.
    pub(crate) notices: Vec<Notice>,
}

/// Who searches, and in which search.
pub(crate) struct Searcher<'a, V: Verb<Ground = Ground>> {
    pub(crate) permit: &'a Permit<V>,
    pub(crate) search: Search,
    pub(crate) at: Timestamp,
}

impl<V: Verb<Ground = Ground>> Searcher<'_, V> {
    /// What is shown of all of them, best first.
    pub(crate) fn disclose(
        &self,
        store: &Reading<'_>,
        all: &[Reaching],
        limit: u32,
    ) -> Result<Disclosure, StoreError> {
        let mut disclosure = Disclosure::default();
        for one in all {
            let mut shown = Visibility::Silent;
            for list in self.lists(one) {
                let visibility = self.visibility(store, one.subject, list)?;
                shown = shown.max(visibility);
                if visibility < Visibility::Full {
                    disclosure.notices.push(self.notice(one.subject, list, visibility));
                }
            }
            if shown == Visibility::Silent {
                continue;
            }
            disclosure.total += 1;
            if disclosure.candidates.len() < limit as usize {
                let rank = disclosure.candidates.len() as u32 + 1;
                disclosure.candidates.push(self.candidate(store, one, rank)?);
            }
        }
        Ok(disclosure)
    }

    fn lists<'a>(&'a self, one: &'a Reaching) -> impl Iterator<Item = &'a Watchlist> {
        one.lists.iter().map(|at| self.permit.watchlists()[*at].as_ref())
    }

    /// How much is shown of a subject's place on a watchlist. Nothing is read for the nation's own.
    pub(crate) fn visibility(
        &self,
        store: &Reading<'_>,
        subject: SubjectId,
        list: &Watchlist,
    ) -> Result<Visibility, StoreError> {
        if list.owner == self.permit.actor().nation {
            return Ok(Visibility::Full);
        }
        let Listing { category, remarks } = listing(store, subject, list)?;
        Ok(list.policy.terms(category, &remarks).handling.shows(false, self.permit.ground().purpose))
    }

    /// What the owner is told.
    pub(crate) fn notice(&self, subject: SubjectId, list: &Watchlist, visibility: Visibility) -> Notice {
        let Actor { agency, nation, station, .. } = self.permit.actor().clone();
        Notice {
            owner: list.owner.clone(),
            at: self.at,
            search: self.search,
            subject,
            watchlist: list.id,
            visibility,
            nation,
            agency,
            station,
            ground: self.permit.ground().clone(),
        }
    }

    fn candidate(&self, store: &Reading<'_>, one: &Reaching, rank: u32) -> Result<Candidate, StoreError> {
        let (mut watchlists, mut threshold) = (Vec::new(), None::<f32>);
        for list in self.lists(one) {
            let visibility = self.visibility(store, one.subject, list)?;
            if visibility == Visibility::Silent {
                continue;
            }
            let told = match visibility {
                Visibility::Full => {
                    let own = list.policy.threshold.value();
                    threshold = Some(threshold.map_or(own, |least| least.min(own)));
                    Some(told(store, one.subject, list)?)
                }
                _ => None,
            };
            watchlists.push(Listed { watchlist: list.id, owner: list.owner.clone(), told });
        }
        let seen = threshold.map(|threshold| {
            // It was found a moment ago.
            let encounter = read::encounter_id(store, one.encounter)?;
            let encounter = encounter.ok_or(StoreError::Moved(one.subject))?;
            Ok::<_, StoreError>(Seen {
                subject: one.subject,
                encounter,
                likeness: self.likeness(one.score, threshold),
            })
        });
        let reference = read::reference_of(store, one.subject)?.ok_or(StoreError::Erased(one.subject))?;
        Ok(Candidate { rank, reference, seen: seen.transpose()?, watchlists })
    }

    /// The score for who may see scores, a band for all others.
    pub(crate) fn likeness(&self, score: Score, threshold: f32) -> Likeness {
        if self.permit.allows(Allowance::Scores) {
            return Likeness::Score(score.value());
        }
        let third = (1.0 - threshold) / 3.0;
        Likeness::Band(match score.value() {
            score if score >= threshold + 2.0 * third => Band::High,
            score if score >= threshold + third => Band::Middle,
            _ => Band::Low,
        })
    }
}

/// What is told of a place that is shown in full.
pub(crate) fn told(store: &Reading<'_>, subject: SubjectId, list: &Watchlist) -> Result<Told, StoreError> {
    let Listing { category, remarks } = listing(store, subject, list)?;
    Ok(Told { category, terms: list.policy.terms(category, &remarks) })
}

fn listing(store: &Reading<'_>, subject: SubjectId, list: &Watchlist) -> Result<Listing, StoreError> {
    if !standing::is_there(store, subject)? {
        return Err(StoreError::Erased(subject)); // since it was found
    }
    let entry = read::entry(store, subject, list.id)?;
    let missing = || StoreError::Damaged(format!("subject {subject} has no entry on {}", list.id));
    entry.map(|(listing, _)| listing).ok_or_else(missing)
}
