//! Enrolment: subjects and encounters come onto the record, and the next lookup finds them.

use crate::{
    authority::{self, Caller, Enrol, Permit, Refusal},
    decline,
    digest::record_digest,
    event::{Enrolled, What},
    gallery::{Asked, Gallery, Turn},
    generation::{Delta, Snapshot},
    id::{SubjectId, WatchlistId},
    idempotency::{Idempotency, KeyError},
    keys::TemplateKey,
    law::Category,
    record::{
        StoreError, WriteError,
        change::{Change, Done, Found, SubjectRow},
        person, read,
    },
    room,
    subject::{Listing, NewEncounter, NewSubject, RawFeatures, Subject},
    watchlist::Watchlist,
};
use audit::{receipt::Receipt, tree::Frontier};
use matcher::{
    quality::Shortfall,
    template::{ModelId, Template, TemplateError},
};
use std::sync::Arc;

/// Encounters that one subject may be enrolled with at once.
pub const ENCOUNTER_LIMIT: usize = 64;

/// Why nothing is enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// No authority; it is in the log.
    #[error(transparent)]
    Refused(Refusal),
    /// No watchlist, or too many.
    #[error("a subject is enrolled on 1 to {} watchlists", crate::lookup::WATCHLIST_LIMIT)]
    WatchlistCount,
    /// A watchlist is named twice.
    #[error("this watchlist is named twice")]
    WatchlistRepeated {
        /// Position in the request, from 0.
        index: usize,
    },
    /// The watchlist does not allow the category.
    #[error("this watchlist does not allow the category {category}")]
    Category {
        /// Position in the request, from 0.
        index: usize,
        /// What was asked for.
        category: Category,
    },
    /// Too many encounters, or none.
    #[error("a subject is enrolled with 1 to {ENCOUNTER_LIMIT} encounters")]
    EncounterCount,
    /// No profile of this model.
    #[error("no model {model} is known here")]
    Model {
        /// Position of the encounter in the request, from 0.
        index: usize,
        /// What was asked for.
        model: ModelId,
    },
    /// An encounter's model is that of none of the subject's watchlists.
    #[error("none of the subject's watchlists holds templates of model {model}")]
    OffList {
        /// Position of the encounter in the request, from 0.
        index: usize,
        /// The encounter's model.
        model: ModelId,
    },
    /// No encounter is of a watchlist's model.
    #[error("this watchlist holds templates of model {model}, and no encounter is of it")]
    NoReference {
        /// Position of the entry in the request, from 0.
        index: usize,
        /// The watchlist's model.
        model: ModelId,
    },
    /// An encounter's features are not a template of its model.
    #[error("{error}")]
    Features {
        /// Position of the encounter in the request, from 0.
        index: usize,
        /// What is wrong.
        error: TemplateError,
    },
    /// An encounter's image is not as good as a watchlist asks for.
    #[error("{}", .shortfalls.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Quality {
        /// Position of the encounter in the request, from 0.
        index: usize,
        /// What is missing.
        shortfalls: Vec<Shortfall>,
    },
    /// The owner has a subject of this reference, or the subject an encounter of it.
    #[error("there is one of this reference already")]
    Exists {
        /// Position of the encounter in the request; `None` if it is the subject's reference.
        encounter: Option<usize>,
    },
    /// No such subject of the caller's nation.
    #[error("no such subject")]
    Unknown,
    /// The subject is retired.
    #[error("the subject is retired")]
    Retired,
    /// The idempotency key cannot be used.
    #[error(transparent)]
    Key(KeyError),
    /// The node is at fault.
    #[error(transparent)]
    Node(#[from] WriteError),
}

crate::fault::faults!(EnrolError);
crate::fault::turn_faults!(EnrolError);

/// Asked before an image is looked at: may this caller enrol on these watchlists, or add to this subject, and was this answered before? The
/// enrolment itself asks again.
///
/// # Errors
/// When it may not, or there is no such subject.
pub fn ahead(
    gallery: &Gallery,
    caller: &Caller,
    (watchlists, subject): (&[WatchlistId], Option<SubjectId>),
    idempotency: Option<Idempotency>,
) -> Result<Option<(Enrolled, Receipt)>, EnrolError> {
    let permit = permit(gallery, caller, &gallery.current.load(), watchlists)?;
    if let Some(answered) = gallery.answered(caller, idempotency)? {
        return Ok(Some(answered));
    }
    if let Some(subject) = subject {
        let owner = &permit.actor().nation;
        let found = gallery.store.read(|store| person::subject(store, owner, subject));
        let found: Result<Option<Subject>, StoreError> = found;
        let reached = |found: &Subject| found.entries.iter().any(|entry| permit.reaches_own(entry.watchlist));
        if !found?.as_ref().is_some_and(reached) {
            gallery.missed::<Enrol>(caller, Asked { subject: Some(subject), ..Asked::default() })?;
            return Err(EnrolError::Unknown);
        }
    }
    Ok(None)
}

/// Enrols a new subject with its encounters.
///
/// # Errors
/// When the caller may not, something is malformed or there already, or the node cannot.
pub fn enrol_subject(
    gallery: &Gallery,
    caller: &Caller,
    new: NewSubject,
    idempotency: Option<Idempotency>,
) -> Result<(Enrolled, Receipt), EnrolError> {
    let snapshot = gallery.current.load();
    let watchlists: Vec<WatchlistId> = new.entries.iter().map(|(id, _)| *id).collect();
    let permit = permit(gallery, caller, &snapshot, &watchlists)?;
    let claim = match gallery.turn(caller, idempotency)? {
        Turn::Again(enrolled, receipt) => return Ok((enrolled, receipt)),
        Turn::First(claim) => claim,
    };
    room::must_be_there(gallery, 0)?;
    check_entries(&permit, &new.entries)?;
    let templates = templates(&snapshot, &new.encounters)?;
    check_models(&permit, &new)?;
    check_quality(permit.watchlists(), &new.encounters)?;
    if let Some(repeat) = repeated(&new.encounters) {
        return Err(EnrolError::Exists { encounter: Some(repeat) });
    }
    let owner = permit.actor().nation.clone();
    gallery.writer.write(permit.actor().clone(), claim.as_ref(), move |change| {
        if read::subject_by_reference(change.connection, &owner, &new.reference)?.is_some() {
            return Err(EnrolError::Exists { encounter: None });
        }
        let (row, key) = change.insert_subject(&owner, &new.reference)?;
        for (watchlist, (_, listing)) in permit.watchlists().iter().zip(&new.entries) {
            change.insert_entry(row, watchlist, listing)?;
        }
        let (subject, reference) = (key.subject(), new.reference);
        let enrolled = Enrolled { subject, reference, encounters: Vec::new(), entries: new.entries };
        put_encounters(change, (row, &key), &new.encounters, templates, enrolled)
    })
}

/// Adds encounters to a subject that is on record. They are searched on the watchlists on which it stands.
///
/// # Errors
/// As with [`enrol_subject`], and when there is no such subject.
pub fn enrol_encounter(
    gallery: &Gallery,
    caller: &Caller,
    subject: SubjectId,
    new: NewEncounter,
    idempotency: Option<Idempotency>,
) -> Result<(Enrolled, Receipt), EnrolError> {
    let snapshot = gallery.current.load();
    let permit = permit(gallery, caller, &snapshot, &[])?;
    let claim = match gallery.turn(caller, idempotency)? {
        Turn::Again(enrolled, receipt) => return Ok((enrolled, receipt)),
        Turn::First(claim) => claim,
    };
    room::must_be_there(gallery, 0)?;
    let new = vec![new];
    let templates = templates(&snapshot, &new)?;
    let enrolled = gallery.writer.write(permit.actor().clone(), claim.as_ref(), move |change| {
        let found = change.find_permitted(&permit, subject)?;
        let Found { row, reference, retired_at, .. } = found.ok_or(EnrolError::Unknown)?;
        if retired_at.is_some() {
            return Err(EnrolError::Retired);
        }
        let model = &new[0].sample.model;
        let lists = change.active_lists(row, model)?;
        if lists.is_empty() {
            return Err(EnrolError::OffList { index: 0, model: model.clone() });
        }
        check_quality(lists.iter().filter_map(|list| snapshot.catalogue.get(list)), &new)?;
        if let Some(reference) = &new[0].reference
            && (change.find_encounter(row, reference)?.is_some() || change.was_moved(row, reference)?)
        {
            return Err(EnrolError::Exists { encounter: Some(0) });
        }
        let enrolled = Enrolled { subject, reference, encounters: Vec::new(), entries: Vec::new() };
        put_encounters(change, (row, &change.template_key(row)?), &new, templates, enrolled)
    });
    if let Err(EnrolError::Unknown) = enrolled {
        gallery.missed::<Enrol>(caller, Asked { subject: Some(subject), ..Asked::default() })?;
    }
    enrolled
}

fn put_encounters(
    change: &Change<'_>,
    (row, key): (SubjectRow, &TemplateKey),
    new: &[NewEncounter],
    templates: Vec<Template>,
    mut enrolled: Enrolled,
) -> Result<Done<Enrolled>, EnrolError> {
    let subject = key.subject();
    let mut deltas = Vec::with_capacity(new.len());
    let mut root = Frontier::default();
    for (new, template) in new.iter().zip(templates) {
        let (id, encounter) = change.insert_encounter(row, key, new)?;
        let lists = change.active_lists(row, &new.sample.model)?;
        root.push(record_digest(&change.salt, subject, id, None, &new.sample.features));
        enrolled.encounters.push(id);
        deltas.push(Delta::Reference { key: encounter, subject, template, lists });
    }
    let what = What::Enrol { enrolled: enrolled.clone(), records_root: root.root().to_string() };
    Ok(Done { outcome: enrolled, what, deltas })
}

/// Whoever enrols on these watchlists needs one permit for all of them.
pub(crate) fn permit(
    gallery: &Gallery,
    caller: &Caller,
    snapshot: &Snapshot,
    watchlists: &[WatchlistId],
) -> Result<Permit<Enrol>, EnrolError> {
    let permit = authority::permit_own(caller, &snapshot.catalogue, watchlists);
    Ok(gallery.logged(caller, Asked { watchlists, ..Asked::default() }, permit)?)
}

fn check_entries(permit: &Permit<Enrol>, entries: &[(WatchlistId, Listing)]) -> Result<(), EnrolError> {
    if !(1..=crate::lookup::WATCHLIST_LIMIT).contains(&entries.len()) {
        return Err(EnrolError::WatchlistCount);
    }
    let ids: Vec<WatchlistId> = entries.iter().map(|(id, _)| *id).collect();
    if let Some(index) = authority::repeated(&ids) {
        return Err(EnrolError::WatchlistRepeated { index });
    }
    for (index, (watchlist, (_, listing))) in permit.watchlists().iter().zip(entries).enumerate() {
        if !watchlist.policy.categories.contains(&listing.category) {
            return Err(EnrolError::Category { index, category: listing.category });
        }
    }
    Ok(())
}

/// Nobody is put on a list without a reference to be found by, and no encounter without a list.
fn check_models(permit: &Permit<Enrol>, new: &NewSubject) -> Result<(), EnrolError> {
    fn of_list(list: &Arc<Watchlist>) -> &ModelId {
        &list.policy.model
    }
    for (index, encounter) in new.encounters.iter().enumerate() {
        let model = &encounter.sample.model;
        if !permit.watchlists().iter().any(|list| of_list(list) == model) {
            return Err(EnrolError::OffList { index, model: model.clone() });
        }
    }
    for (index, list) in permit.watchlists().iter().enumerate() {
        if !new.encounters.iter().any(|encounter| encounter.sample.model == *of_list(list)) {
            return Err(EnrolError::NoReference { index, model: of_list(list).clone() });
        }
    }
    Ok(())
}

/// Nobody goes on record with a picture that is not good enough for each of these lists.
fn check_quality<'a>(
    lists: impl IntoIterator<Item = &'a Arc<Watchlist>>,
    new: &[NewEncounter],
) -> Result<(), EnrolError> {
    let lists: Vec<_> = lists.into_iter().collect();
    for (index, new) in new.iter().enumerate() {
        let Some(quality) = &new.quality else { continue };
        let of_model = lists.iter().filter(|list| list.policy.model == new.sample.model);
        let shortfalls = decline::shortfalls(quality, of_model.map(|list| &list.policy.gates.enrolment));
        if !shortfalls.is_empty() {
            return Err(EnrolError::Quality { index, shortfalls });
        }
    }
    Ok(())
}

fn templates(snapshot: &Snapshot, new: &[NewEncounter]) -> Result<Vec<Template>, EnrolError> {
    if !(1..=ENCOUNTER_LIMIT).contains(&new.len()) {
        return Err(EnrolError::EncounterCount);
    }
    let template = |(index, new): (usize, &NewEncounter)| {
        let RawFeatures { model, features } = &new.sample;
        let unknown = || EnrolError::Model { index, model: model.clone() };
        let profile = snapshot.models.get(model).ok_or_else(unknown)?;
        profile.template(features).map_err(|error| EnrolError::Features { index, error })
    };
    new.iter().enumerate().map(template).collect()
}

/// The first encounter whose reference an earlier one has.
fn repeated(new: &[NewEncounter]) -> Option<usize> {
    let mut seen = std::collections::HashSet::new();
    new.iter().position(|new| new.reference.as_ref().is_some_and(|reference| !seen.insert(reference)))
}
