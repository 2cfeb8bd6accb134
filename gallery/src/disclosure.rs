//! What a searcher is shown of those who reach the threshold, and what their owners are told.

use crate::{
    authority::{Ground, Permit, Verb},
    calibrated::Meaning,
    caller::Actor,
    decision::{Candidate, Likeness, Listed, Seen, Told},
    handling::Visibility,
    id::{EncounterKey, SubjectId},
    law::{Allowance, Band},
    notice::{Notice, Search},
    record::{Reading, StoreError, read, standing},
    strictness::InForce,
    subject::Listing,
    timestamp::Timestamp,
    watchlist::Watchlist,
};
use matcher::{
    calibration::Calibration,
    score::{Score, Threshold},
};

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
    /// Whom the caller learns of, if only by their number: all that could have been shown.
    pub(crate) shown: Vec<SubjectId>,
    /// For the owners of those who are not shown in full.
    pub(crate) notices: Vec<Notice>,
}

/// A subject's place on a watchlist, as its searcher sees it.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) list: &'a Watchlist,
    /// The list's own.
    pub(crate) threshold: Threshold,
    pub(crate) told: Told,
    pub(crate) visibility: Visibility,
}

/// Who searches, and in which search.
pub(crate) struct Searcher<'a, V: Verb<Ground = Ground>> {
    pub(crate) permit: &'a Permit<V>,
    pub(crate) search: Search,
    pub(crate) at: Timestamp,
    /// Of each of the permit's watchlists.
    pub(crate) thresholds: &'a [InForce],
    /// What scores mean, if it is known.
    pub(crate) calibration: Option<&'a Calibration>,
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
            let full = disclosure.candidates.len() >= limit as usize;
            let (mut places, mut shown) = (Vec::new(), Visibility::Silent);
            for at in one.lists.iter().copied() {
                let list = self.permit.watchlists()[at].as_ref();
                if full && self.is_own(list) {
                    shown = Visibility::Full; // and nothing is to be read
                    continue;
                }
                let Some(place) = self.place(store, one.subject, at)? else { continue };
                shown = shown.max(place.visibility);
                if place.visibility < Visibility::Full {
                    disclosure.notices.push(self.notice(one.subject, &place));
                }
                places.push(place);
            }
            if shown == Visibility::Silent {
                continue;
            }
            disclosure.shown.push(one.subject);
            if !full {
                let rank = disclosure.candidates.len() as u32 + 1;
                disclosure.candidates.push(self.candidate(store, one, rank, places)?);
            }
        }
        Ok(disclosure)
    }

    fn is_own(&self, list: &Watchlist) -> bool {
        list.owner == self.permit.actor().nation
    }

    /// A subject's place on a watchlist, and how much of it is shown; `None` if somebody of another nation has left it since: as if nobody had been there.
    pub(crate) fn place(
        &self,
        store: &Reading<'_>,
        subject: SubjectId,
        at: usize,
    ) -> Result<Option<Place<'_>>, StoreError> {
        let (list, threshold) = (self.permit.watchlists()[at].as_ref(), self.thresholds[at].policy);
        let own = self.is_own(list);
        let Listing { category, remarks } = match listing(store, subject, list) {
            Err(StoreError::Erased(_) | StoreError::Moved(_)) if !own => return Ok(None),
            listing => listing?,
        };
        let terms = list.policy.terms(category, &remarks);
        let visibility = terms.handling.shows(own, self.permit.ground().purpose);
        Ok(Some(Place { list, threshold, told: Told { category, terms }, visibility }))
    }

    /// What the owner is told.
    pub(crate) fn notice(&self, subject: SubjectId, &Place { list, visibility, .. }: &Place<'_>) -> Notice {
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

    fn candidate(
        &self,
        store: &Reading<'_>,
        one: &Reaching,
        rank: u32,
        places: Vec<Place<'_>>,
    ) -> Result<Candidate, StoreError> {
        let in_full = places.iter().filter(|place| place.visibility == Visibility::Full);
        let threshold = in_full.map(|place| place.threshold).reduce(Threshold::looser);
        let shown = places.into_iter().filter(|place| place.visibility > Visibility::Silent);
        let watchlists = shown.map(|Place { list, told, visibility, .. }| Listed {
            watchlist: list.id,
            owner: list.owner.clone(),
            told: (visibility == Visibility::Full).then_some(told),
        });
        let seen = threshold.map(|threshold| {
            // It was found a moment ago.
            let encounter = read::encounter_id(store, one.encounter)?;
            let encounter = encounter.ok_or(StoreError::Moved(one.subject))?;
            let likeness = self.likeness(one.score, threshold);
            let meaning = self.meaning(one.score);
            Ok::<_, StoreError>(Seen { subject: one.subject, encounter, likeness, meaning })
        });
        let reference = read::reference_of(store, one.subject)?.ok_or(StoreError::Erased(one.subject))?;
        Ok(Candidate { rank, reference, seen: seen.transpose()?, watchlists: watchlists.collect() })
    }

    /// The score for who may see scores, a band for all others.
    pub(crate) fn likeness(&self, score: Score, threshold: Threshold) -> Likeness {
        if self.permit.allows(Allowance::Scores) {
            return Likeness::Score(score.value());
        }
        let threshold = threshold.value();
        let third = (1.0 - threshold) / 3.0;
        Likeness::Band(match score.value() {
            score if score >= threshold + 2.0 * third => Band::High,
            score if score >= threshold + third => Band::Middle,
            _ => Band::Low,
        })
    }
}

impl<V: Verb<Ground = Ground>> Searcher<'_, V> {
    /// What a score means, for who may see scores.
    pub(crate) fn meaning(&self, score: Score) -> Option<Meaning> {
        let calibration = self.calibration.filter(|_| self.permit.allows(Allowance::Scores));
        calibration.map(|calibration| Meaning::of(score.value(), calibration))
    }
}

fn listing(store: &Reading<'_>, subject: SubjectId, list: &Watchlist) -> Result<Listing, StoreError> {
    if !standing::is_there(store, subject)? {
        return Err(StoreError::Erased(subject)); // since it was found
    }
    let entry = read::entry(store, subject, list.id)?;
    entry.map(|(listing, _)| listing).ok_or(StoreError::Moved(subject)) // to whom it is now merged into
}
