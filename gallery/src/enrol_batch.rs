//! Bulk enrolment: many rows in one transaction with one event.

use crate::{
    authority::{Caller, Catalogue, Enrol, Permit, Refusal},
    decline,
    digest::record_digest,
    enrol::{self, EnrolError},
    event::What,
    gallery::Gallery,
    generation::{Delta, Snapshot},
    id::{EncounterId, SubjectId, WatchlistId},
    law::{Category, OwnReference},
    record::{
        StoreError,
        change::{Change, Done, SubjectRow},
        read,
    },
    room,
    subject::{EntryState, Listing, NewEncounter, RawFeatures},
    watchlist::Watchlist,
};
use audit::{receipt::Receipt, tree::Frontier};
use matcher::{
    quality::{Quality, Shortfall},
    template::{Template, TemplateError},
};
use std::sync::Arc;

/// One row of a bulk enrolment.
#[derive(Clone, Debug, PartialEq)]
pub struct BulkRow {
    /// The owner's reference of the subject, which is made if it is not on record.
    pub subject: OwnReference,
    /// The owner's reference of the encounter. A row that is on record already is passed over, so an
    /// interrupted bulk enrolment is resumed by repeating it.
    pub encounter: OwnReference,
    /// The watchlist on which the subject is to stand.
    pub watchlist: WatchlistId,
    /// Why it stands there, and what the owner says of it.
    pub listing: Listing,
    /// The encounter's features.
    pub features: Vec<f32>,
    /// How good the image is of which they were made; none of features that were brought along.
    pub quality: Option<Quality>,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum RowOutcome {
    /// It came onto the record.
    Enrolled,
    /// It was on record already.
    Already,
    /// It was refused.
    Refused(RowError),
}

/// Why a row was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RowError {
    /// The features are not a template of the watchlist's model.
    #[error(transparent)]
    Features(#[from] TemplateError),
    /// The image is not as good as the watchlist asks for.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Quality(Vec<Shortfall>),
    /// The watchlist does not allow the category.
    #[error("the watchlist does not allow the category {0}")]
    Category(Category),
    /// The subject stands on this watchlist otherwise, or does no more.
    #[error("the subject stands on this watchlist with another category or other remarks, or no longer")]
    Entry,
    /// A subject of this reference was retired. Enrol it by itself if it is meant to come back.
    #[error("a subject of this reference was retired; enrol it by itself if it is meant to come back")]
    Retired,
    /// The subject is contested: nothing comes to it, and it comes on no list, until that is lifted.
    #[error("the subject is contested")]
    Restricted,
    /// The subject has an encounter of this reference with other features.
    #[error("the subject has an encounter of this reference with other features")]
    Encounter,
}

/// Enrols many rows of the caller's own nation in one transaction with one event.
///
/// # Errors
/// When the caller may not, or the node cannot: then none of the rows is enrolled.
pub fn enrol_batch(
    gallery: &Gallery,
    caller: &Caller,
    rows: Vec<BulkRow>,
) -> Result<(Vec<RowOutcome>, Receipt), EnrolError> {
    let snapshot = gallery.current.load();
    let mut watchlists: Vec<WatchlistId> = rows.iter().map(|row| row.watchlist).collect();
    watchlists.sort_unstable();
    watchlists.dedup();
    let row_of = |list: WatchlistId| rows.iter().position(|row| row.watchlist == list).unwrap_or(0);
    let permit = enrol::permit(gallery, caller, &snapshot, &watchlists).map_err(|error| match error {
        EnrolError::Refused(Refusal::Watchlist { index }) => {
            EnrolError::Refused(Refusal::Watchlist { index: row_of(watchlists[index]) })
        }
        error => error,
    })?;
    room::must_be_there(gallery, 0)?;
    let ready = gallery.pool.install(|| ready(&snapshot, &permit, rows))?;
    let outcomes = Arc::new(std::sync::Mutex::new(Vec::with_capacity(ready.len())));
    let kept = Arc::clone(&outcomes);
    let ((), receipt) = gallery.writer.write(permit.actor().clone(), None, move |change| {
        let catalogue = &snapshot.catalogue;
        let mut batch =
            Batch { change, permit: &permit, catalogue, deltas: Vec::new(), root: Frontier::default() };
        let done: Vec<RowOutcome> =
            ready.into_iter().map(|(row, template)| batch.put(row, template)).collect::<Result<_, _>>()?;
        let count = |wanted: fn(&RowOutcome) -> bool| done.iter().filter(|row| wanted(row)).count() as u64;
        let what = What::EnrolBatch {
            enrolled: count(|row| matches!(row, RowOutcome::Enrolled)),
            already: count(|row| matches!(row, RowOutcome::Already)),
            refused: count(|row| matches!(row, RowOutcome::Refused(_))),
            watchlists,
            records_root: batch.root.root().to_string(),
        };
        let deltas = batch.deltas;
        *kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = done;
        Ok::<_, EnrolError>(Done { outcome: (), what, deltas })
    })?;
    let outcomes = std::mem::take(&mut *outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    Ok((outcomes, receipt))
}

type Ready = (BulkRow, Result<(Template, Arc<Watchlist>), RowError>);

/// Makes the templates, on the current pool.
fn ready(snapshot: &Snapshot, permit: &Permit<Enrol>, rows: Vec<BulkRow>) -> Result<Vec<Ready>, EnrolError> {
    use rayon::prelude::*;
    rows.into_par_iter()
        .enumerate()
        .map(|(index, row)| {
            let watchlist = permit.watchlists().iter().find(|watchlist| watchlist.id == row.watchlist);
            let watchlist = watchlist.ok_or(EnrolError::WatchlistCount)?;
            let model = &watchlist.policy.model;
            let unknown = || EnrolError::Model { index, model: model.clone() };
            let profile = snapshot.models.get(model).ok_or_else(unknown)?;
            let category = row.listing.category;
            let gate = &watchlist.policy.gates.enrolment;
            let shortfalls = row.quality.as_ref().map(|quality| gate.shortfalls(quality)).unwrap_or_default();
            let template = if !watchlist.policy.categories.contains(&category) {
                Err(RowError::Category(category))
            } else if shortfalls.is_empty() {
                profile.template(&row.features).map_err(RowError::from)
            } else {
                Err(RowError::Quality(shortfalls))
            };
            Ok((row, template.map(|template| (template, Arc::clone(watchlist)))))
        })
        .collect()
}

struct Batch<'a> {
    change: &'a Change<'a>,
    permit: &'a Permit<Enrol>,
    catalogue: &'a Catalogue,
    deltas: Vec<Delta>,
    root: Frontier,
}

impl Batch<'_> {
    fn put(
        &mut self,
        row: BulkRow,
        ready: Result<(Template, Arc<Watchlist>), RowError>,
    ) -> Result<RowOutcome, StoreError> {
        let (template, watchlist) = match ready {
            Ok(ready) => ready,
            Err(error) => return Ok(RowOutcome::Refused(error)),
        };
        let change = self.change;
        let owner = &self.permit.actor().nation;
        let subject = read::subject_by_reference(change.connection, owner, &row.subject)?;
        let Some(subject) = subject else {
            // Repeating an interrupted enrolment must not bring back who was retired in between.
            if read::is_retired(change.connection, owner, &row.subject)? {
                return Ok(RowOutcome::Refused(RowError::Retired));
            }
            return self.put_first(row, template, &watchlist);
        };
        let found = change.find_subject(owner, subject)?;
        let found = found.ok_or_else(|| StoreError::Damaged("a subject has vanished".to_owned()))?;
        if found.restricted_at.is_some() {
            return Ok(RowOutcome::Refused(RowError::Restricted));
        }
        let subject_row = found.row;
        let entry = read::entry(change.connection, subject, row.watchlist)?;
        let encounter = change.find_encounter(subject_row, &row.encounter)?;
        if encounter.is_none() && change.was_moved(subject_row, &row.encounter)? {
            return Ok(RowOutcome::Already); // and found to be another's
        }
        let stands = |(listing, state): &(Listing, EntryState)| {
            *listing == row.listing && *state == EntryState::Active
        };
        if entry.as_ref().is_some_and(|entry| !stands(entry)) {
            return Ok(RowOutcome::Refused(RowError::Entry));
        }
        let same = |held: &RawFeatures| {
            held.model == *template.model() && bits(&held.features).eq(bits(&row.features))
        };
        if encounter.as_ref().is_some_and(|(_, held)| !same(held)) {
            return Ok(RowOutcome::Refused(RowError::Encounter));
        }
        if encounter.is_none()
            && let Some(shortfalls) = self.falls_short(subject_row, &row, &template)?
        {
            return Ok(RowOutcome::Refused(RowError::Quality(shortfalls)));
        }
        if entry.is_none() {
            change.insert_entry(subject_row, &watchlist, &row.listing)?;
            self.deltas.extend(change.lists_of(subject)?);
        }
        match encounter {
            None => self.put_encounter((subject, subject_row), row, template),
            Some((id, held)) if entry.is_none() => {
                self.witness(subject, id, (row.watchlist, &row.listing), &held.features);
                Ok(RowOutcome::Enrolled)
            }
            Some(_) => Ok(RowOutcome::Already),
        }
    }

    /// What is missing to the gates of the other lists on which the subject stands: a new reference is searched on all of them.
    fn falls_short(
        &self,
        subject: SubjectRow,
        row: &BulkRow,
        template: &Template,
    ) -> Result<Option<Vec<Shortfall>>, StoreError> {
        let Some(quality) = &row.quality else { return Ok(None) };
        let lists = self.change.active_lists(subject, template.model())?;
        let lists = lists.iter().filter_map(|list| self.catalogue.get(list));
        let shortfalls = decline::shortfalls(quality, lists.map(|list| &list.policy.gates.enrolment));
        Ok((!shortfalls.is_empty()).then_some(shortfalls))
    }

    /// Takes a row that came onto the record into the event's root.
    fn witness(
        &mut self,
        subject: SubjectId,
        encounter: EncounterId,
        entry: (WatchlistId, &Listing),
        features: &[f32],
    ) {
        self.root.push(record_digest(&self.change.salt, subject, encounter, Some(entry), features));
    }

    fn put_first(
        &mut self,
        row: BulkRow,
        template: Template,
        watchlist: &Watchlist,
    ) -> Result<RowOutcome, StoreError> {
        let BulkRow { subject, encounter, watchlist: list, listing, features, quality } = row;
        let sample = RawFeatures { model: template.model().clone(), features };
        let new = NewEncounter { reference: Some(encounter), captured_at: None, sample, quality };
        let owner = &self.permit.actor().nation;
        let (subject, id, key) = self.change.insert_first(owner, &subject, (watchlist, &listing), &new)?;
        self.witness(subject, id, (list, &listing), &new.sample.features);
        self.deltas.push(Delta::Reference { key, subject, template, lists: vec![list] });
        Ok(RowOutcome::Enrolled)
    }

    fn put_encounter(
        &mut self,
        (subject, subject_row): (SubjectId, SubjectRow),
        row: BulkRow,
        template: Template,
    ) -> Result<RowOutcome, StoreError> {
        let sample = RawFeatures { model: template.model().clone(), features: row.features };
        let lists = self.change.active_lists(subject_row, &sample.model)?;
        let (reference, quality) = (Some(row.encounter), row.quality);
        let new = NewEncounter { reference, captured_at: None, sample, quality };
        let (id, encounter) =
            self.change.insert_encounter(subject_row, &self.change.template_key(subject_row)?, &new)?;
        self.witness(subject, id, (row.watchlist, &row.listing), &new.sample.features);
        self.deltas.push(Delta::Reference { key: encounter, subject, template, lists });
        Ok(RowOutcome::Enrolled)
    }
}

fn bits(features: &[f32]) -> impl Iterator<Item = u32> + '_ {
    features.iter().map(|x| x.to_bits())
}
