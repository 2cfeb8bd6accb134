//! Laws of what is on record, and who may change it.

use super::*;
use crate::{
    SubjectChangeError,
    authority::{Caller, Reach, Rights},
    decision::Decision,
    enrol::{self, EnrolError},
    enrol_batch::{self, BulkRow, RowError, RowOutcome},
    event::What,
    id::WatchlistId,
    inspect::{self, Which},
    law::Category,
    lookup::{LookupError, LookupRequest},
    publish,
    record::WriteError,
    retire,
    subject::{EntryState, NewEncounter, NewSubject, RawFeatures},
    watchlist::Policy,
};
use matcher::template::{ModelId, ModelProfile};
use std::sync::atomic::Ordering;

#[test]
fn a_retired_subject_is_never_a_candidate_also_after_a_restart() {
    let mut house = House::build();
    let subject = house.enrol("a", axis(0)).unwrap();
    retire::retire(&house.gallery, &utopia(), subject, None).unwrap();
    for _ in 0..2 {
        let answer = house.look(axis(0));
        assert_eq!((answer.decision, answer.certificate.expected), (Decision::NoHit, 0));
        house = house.reopen();
    }
    let again = retire::retire(&house.gallery, &utopia(), subject, None);
    assert!(matches!(again, Err(SubjectChangeError::State(_))));
    // The reference is free again; the retired record stays.
    assert_ne!(house.enrol("a", axis(0)).unwrap(), subject);
    let (record, _) = inspect::inspect(&house.gallery, &utopia(), &Which::Id(subject)).unwrap();
    assert_eq!((record.retired_at.is_some(), record.entries[0].state), (true, EntryState::Retired));
}

#[test]
fn a_reference_is_unique_within_its_nation() {
    let house = House::build();
    let subject = house.enrol("a", axis(0)).unwrap();
    assert!(matches!(house.enrol("a", axis(1)), Err(EnrolError::Exists { encounter: None })));
    let (found, _) =
        inspect::inspect(&house.gallery, &utopia(), &Which::Reference("a".parse().unwrap())).unwrap();
    assert_eq!(found.id, subject);
    let foreigner = Caller::administrator("admin".parse().unwrap(), "XAA".parse().unwrap());
    let seen = inspect::inspect(&house.gallery, &foreigner, &Which::Id(subject));
    assert!(matches!(seen, Err(inspect::InspectError::Unknown)));
    let retired = retire::retire(&house.gallery, &foreigner, subject, None);
    assert!(matches!(retired, Err(SubjectChangeError::Unknown)));
}

#[test]
fn an_entry_is_not_searched_beyond_its_retention_and_a_clock_put_back_revives_nothing() {
    let mut house = House::build();
    let subject = house.enrol("a", axis(0)).unwrap();
    house.clock.0.fetch_add(10 * 86_400_000 - 1, Ordering::SeqCst);
    assert_eq!(house.look(axis(0)).decision, Decision::Hit);
    house.clock.0.fetch_add(1, Ordering::SeqCst);
    let answer = house.look(axis(0));
    assert_eq!((answer.decision, answer.certificate.expected), (Decision::NoHit, 0));
    let late = house.clock.0.fetch_sub(5 * 86_400_000, Ordering::SeqCst);
    for _ in 0..2 {
        let back = house.ask(&utopia(), house.request(axis(0)), None);
        assert!(matches!(back, Err(LookupError::Node(WriteError::Clock(_)))), "{back:?}");
        assert!(house.enrol("b", axis(1)).is_err() && house.gallery.ready().is_err());
        house = house.reopen();
    }
    // Right again, or accepted as it is: what expired stays so.
    house.clock.0.store(late, Ordering::SeqCst);
    assert_eq!(house.look(axis(0)).decision, Decision::NoHit);
    house.clock.0.fetch_sub(5 * 86_400_000, Ordering::SeqCst);
    crate::expire::accept_clock(&house.gallery, &utopia()).unwrap();
    house.gallery.ready().unwrap();
    assert_eq!(house.look(axis(0)).decision, Decision::NoHit);
    let (record, _) = inspect::inspect(&house.gallery, &utopia(), &Which::Id(subject)).unwrap();
    assert_eq!(record.entries[0].state, EntryState::Expired);
    assert!(
        house
            .events()
            .iter()
            .any(|event| matches!(event.what, What::Expire { ref entries } if entries.len() == 1))
    );
}

#[test]
fn a_clock_that_jumps_ahead_hides_and_erases_a_hundredth_at_most_without_confirmation() {
    use crate::retention::{self, RetentionError};
    use std::collections::BTreeMap;
    let house = House::build();
    let day = 86_400_000;
    for n in 0..3 {
        house.enrol(&format!("early{n}"), axis(0)).unwrap();
    }
    house.clock.0.fetch_add(day, Ordering::SeqCst);
    let rows = (0..400).map(|n| row(&format!("p{n}"), "e", house.list, axis(1))).collect();
    enrol_batch::enrol_batch(&house.gallery, &utopia(), rows).unwrap();
    let contested = house.enrol("contested", axis(2)).unwrap();
    crate::restrict::restrict(&house.gallery, &utopia(), contested, None).unwrap();
    let run = |confirmed: &[u64]| {
        let confirmed: BTreeMap<_, _> = confirmed.iter().map(|count| (house.list, *count)).collect();
        retention::run(&house.gallery, &utopia(), &confirmed)
    };
    let report = || retention::report(&house.gallery, &utopia()).unwrap().remove(0);
    assert_eq!(run(&[]).unwrap().erased, 0);
    assert_eq!((report().entries, report().active, report().review), (404, 403, 0));
    // Three of 404 are over: erased as a matter of course.
    house.clock.0.fetch_add(9 * day, Ordering::SeqCst);
    assert_eq!((report().erasure, report().needs_confirmation()), (3, false));
    let done = run(&[]).unwrap();
    assert_eq!((done.erased, done.held_back.len()), (3, 0));
    // A jump: everybody is hidden, and nobody erased but by who says how many.
    house.clock.0.fetch_add(400 * day, Ordering::SeqCst);
    assert_eq!(house.look(axis(1)).decision, Decision::NoHit);
    let held = run(&[]).unwrap();
    assert_eq!((held.erased, held.held_back[0].erasure), (0, 400));
    assert!(matches!(run(&[399]), Err(RetentionError::Confirmed { due: 400, .. })));
    assert_eq!(house.gallery.status().unwrap().encounters, 401);
    let done = run(&[400]).unwrap();
    assert_eq!((done.erased, done.held_back.len()), (400, 0));
    let status = house.gallery.status().unwrap();
    assert_eq!((status.erased, status.encounters), (403, 1), "whoever contests is kept");
    house.gallery.check().unwrap();
}

fn row(subject: &str, encounter: &str, list: WatchlistId, features: [f32; DIMENSION]) -> BulkRow {
    BulkRow {
        subject: subject.parse().unwrap(),
        encounter: encounter.parse().unwrap(),
        watchlist: list,
        listing: Listing::plain(Category::Wanted),
        features: features.to_vec(),
        quality: None,
    }
}

#[test]
fn a_bulk_enrolment_is_resumed_by_repeating_it() {
    let mut house = House::build();
    let (other, _) = publish::create_watchlist(&house.gallery, &utopia(), policy("other"), None).unwrap();
    let mut bad = row("c", "1", house.list, [f32::NAN; DIMENSION]);
    let mut forbidden = row("d", "1", house.list, axis(4));
    forbidden.listing.category = Category::Victim;
    let rows = vec![
        row("a", "1", house.list, axis(0)),
        row("a", "2", house.list, axis(1)),
        row("b", "1", other.id, axis(2)),
        bad.clone(),
        forbidden,
        row("a", "1", other.id, axis(0)),
        row("a", "1", house.list, axis(3)),
    ];
    let put = |house: &House, rows| enrol_batch::enrol_batch(&house.gallery, &utopia(), rows).unwrap().0;
    let refused = |index: usize, outcomes: &[RowOutcome]| match &outcomes[index] {
        RowOutcome::Refused(error) => error.clone(),
        other => panic!("row {index}: {other:?}"),
    };
    let outcomes = put(&house, rows.clone());
    for at in [0, 1, 2, 5] {
        assert_eq!(outcomes[at], RowOutcome::Enrolled, "row {at}");
    }
    assert!(matches!(refused(3, &outcomes), RowError::Features(_)));
    assert_eq!(refused(4, &outcomes), RowError::Category(Category::Victim));
    assert_eq!(refused(6, &outcomes), RowError::Encounter);
    house = house.reopen();
    let outcomes = put(&house, rows);
    for at in [0, 1, 2, 5] {
        assert_eq!(outcomes[at], RowOutcome::Already, "row {at}");
    }
    bad.features = axis(6).to_vec();
    assert_eq!(put(&house, vec![bad]), [RowOutcome::Enrolled]);
    // Subject a came onto the other list with all of its encounters.
    for probe in [axis(0), axis(1)] {
        let request = LookupRequest { watchlists: vec![other.id], ..house.request(probe) };
        let (answer, _) = house.ask(&utopia(), request, None).unwrap();
        assert_eq!((answer.decision, answer.certificate.compared), (Decision::Hit, 3));
    }
}

#[test]
fn repeating_a_bulk_enrolment_does_not_bring_back_who_was_retired() {
    let house = House::build();
    let rows = vec![row("a", "1", house.list, axis(0))];
    let put = || enrol_batch::enrol_batch(&house.gallery, &utopia(), rows.clone()).unwrap().0;
    assert_eq!(put(), [RowOutcome::Enrolled]);
    let (record, _) =
        inspect::inspect(&house.gallery, &utopia(), &Which::Reference("a".parse().unwrap())).unwrap();
    retire::retire(&house.gallery, &utopia(), record.id, None).unwrap();
    assert_eq!(put(), [RowOutcome::Refused(RowError::Retired)]);
    assert_eq!(house.look(axis(0)).decision, Decision::NoHit);
}

#[test]
fn an_export_holds_the_features_as_they_came() {
    let house = House::build();
    let features = axis(0).map(|x| x * 7.5 + 0.25);
    house.enrol("a", features).unwrap();
    let mut rows = Vec::new();
    let sink = |given| {
        if let crate::export::Given::Row(row) = given {
            rows.push(row);
        }
        Ok(())
    };
    assert_eq!(crate::export::export(&house.gallery, &utopia(), house.list, sink).unwrap(), 1);
    assert_eq!((rows[0].subject.as_str(), rows[0].features.as_slice()), ("a", features.as_slice()));
}

#[test]
fn nobody_is_enrolled_with_a_template_that_no_list_of_theirs_is_searched_with() {
    let house = House::build();
    let other = ModelId::new("other").unwrap();
    let profile = ModelProfile::new(other.clone(), DIMENSION, None).unwrap();
    publish::add_model(&house.gallery, &utopia(), profile).unwrap();
    let of = |model: &ModelId| NewEncounter {
        reference: None,
        captured_at: None,
        sample: RawFeatures { model: model.clone(), features: axis(0).to_vec() },
        quality: None,
    };
    let put = |encounters| {
        let entries = vec![(house.list, Listing::plain(Category::Wanted))];
        let new = NewSubject { reference: "a".parse().unwrap(), entries, encounters };
        enrol::enrol_subject(&house.gallery, &utopia(), new, None)
    };
    assert!(matches!(put(vec![of(&other)]), Err(EnrolError::OffList { index: 0, .. })));
    assert!(matches!(put(vec![of(&model()), of(&other)]), Err(EnrolError::OffList { index: 1, .. })));
    let (enrolled, _) = put(vec![of(&model())]).unwrap();
    let added = enrol::enrol_encounter(&house.gallery, &utopia(), enrolled.subject, of(&other), None);
    assert!(matches!(added, Err(EnrolError::OffList { index: 0, .. })));
    let lists = Policy { model: other, ..policy("of the other") };
    let (second, _) = publish::create_watchlist(&house.gallery, &utopia(), lists, None).unwrap();
    let entries =
        vec![(house.list, Listing::plain(Category::Wanted)), (second.id, Listing::plain(Category::Wanted))];
    let new = NewSubject { reference: "b".parse().unwrap(), entries, encounters: vec![of(&model())] };
    let refused = enrol::enrol_subject(&house.gallery, &utopia(), new, None);
    assert!(matches!(refused, Err(EnrolError::NoReference { index: 1, .. })));
}

#[test]
fn a_token_for_one_list_neither_sees_nor_changes_people_on_others() {
    let house = House::build();
    let subject = house.enrol("a", axis(0)).unwrap();
    let (other, _) = publish::create_watchlist(&house.gallery, &utopia(), policy("other"), None).unwrap();
    let reaching = |list: WatchlistId| {
        let rights = Rights { watchlists: Reach::Listed([list].into()), ..utopia().rights };
        Caller { rights, ..utopia() }
    };
    let caller = reaching(other.id);
    let retired = retire::retire(&house.gallery, &caller, subject, None);
    assert!(matches!(retired, Err(SubjectChangeError::Unknown)));
    let seen = inspect::inspect(&house.gallery, &caller, &Which::Id(subject));
    assert!(matches!(seen, Err(inspect::InspectError::Unknown)));
    let new = NewEncounter { reference: None, captured_at: None, sample: sample(axis(1)), quality: None };
    let added = enrol::enrol_encounter(&house.gallery, &caller, subject, new, None);
    assert!(matches!(added, Err(EnrolError::Unknown)));
    // Nor people who stood there once.
    retire::retire(&house.gallery, &reaching(house.list), subject, None).unwrap();
    let retired = retire::retire(&house.gallery, &caller, subject, None);
    assert!(matches!(retired, Err(SubjectChangeError::Unknown)));
    let misses = house.events().into_iter().filter(|event| matches!(event.what, What::Refused { .. }));
    assert_eq!(misses.count(), 4, "each attempt is in the log");
}
