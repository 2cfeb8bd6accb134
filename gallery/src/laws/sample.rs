//! Images: what was made of them, and what could not be.

use super::*;
use crate::{
    Declined,
    authority::{Refusal, VerbName},
    caller::Rights,
    decision::Decision,
    enrol_batch::{self, BulkRow, RowError, RowOutcome},
    event::What,
    extract,
    sample::{Sample, Shortcoming},
    verify::{self, VerificationRequest, VerifyError},
};
use audit::hash::Hash;
use matcher::quality::{Component, Quality};

/// Of a photograph with eyes so far apart, and everything else in order.
fn quality(eyes_px: f64) -> Quality {
    let mut quality = Quality::default();
    for &component in Component::ALL {
        quality.note(component, component.native(90));
    }
    quality.note(Component::InterEyeDistance, eyes_px);
    quality
}

const IMAGE: Hash = Hash([7; 32]);

fn made(features: [f32; DIMENSION], eyes_px: f64) -> Sample {
    Sample::Made { features: sample(features), quality: quality(eyes_px), image: IMAGE }
}

/// A gate that may not search with features of its own.
fn gate() -> Caller {
    let Rights { verbs, watchlists, purposes, searches_per_hour, .. } = utopia().rights;
    Caller {
        rights: Rights { verbs, watchlists, purposes, searches_per_hour, allowances: [].into() },
        ..utopia()
    }
}

fn declined(house: &House, probe: Sample) -> Declined {
    let request = LookupRequest { probe, ..house.request(axis(0)) };
    match house.ask(&gate(), request, None) {
        Err(LookupError::Declined(declined)) => *declined,
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_may_not_search_with_its_own_features_searches_with_images() {
    let house = House::build();
    house.enrol("a", axis(0)).unwrap();
    let ask = |probe: Sample| house.ask(&gate(), LookupRequest { probe, ..house.request(axis(0)) }, None);
    assert!(matches!(ask(sample(axis(0)).into()), Err(LookupError::Refused(Refusal::RawProbe))));
    assert_eq!(ask(made(axis(0), 60.0)).unwrap().0.decision, Decision::Hit);
    let request = house.request(axis(0));
    let ahead = lookup::ahead(
        &house.gallery,
        &gate(),
        (&request.watchlists, &request.ground),
        Stricter::default(),
        None,
    );
    assert!(ahead.unwrap().is_none());
    let events = house.events();
    let Some(What::Lookup { probe, .. }) = events.last().map(|event| &event.what) else { panic!("a lookup") };
    assert!(probe.image.is_some() && !format!("{probe:?}").contains(&IMAGE.to_string()));
}

#[test]
fn a_bad_image_is_inconclusive_with_advice_and_a_receipt_and_never_no_hit() {
    let house = House::build();
    house.enrol("a", axis(0)).unwrap();
    let blurred = declined(&house, made(axis(0), 20.0));
    assert_eq!(blurred.reason, Shortcoming::Quality);
    assert_eq!(blurred.advice, ["move closer: eyes 20 px apart, 23 wanted"]);
    let nobody = Sample::Unusable {
        reason: Shortcoming::NoFace,
        advice: vec!["no face is seen".to_owned()],
        image: IMAGE,
    };
    let nobody = declined(&house, nobody);
    let leaves: Vec<_> = house.events().into_iter().map(|event| event.what).collect();
    for (declined, at) in [(blurred, leaves.len() - 2), (nobody, leaves.len() - 1)] {
        assert_eq!(declined.receipt.leaf_index(), at as u64);
        let What::Decline { reason, advice, image, .. } = &leaves[at] else { panic!("{:?}", leaves[at]) };
        assert_eq!((*reason, advice), (declined.reason, &declined.advice));
        assert!(image.is_some());
    }
}

#[test]
fn a_verification_is_declined_in_the_same_way() {
    let house = House::build();
    let subject = house.enrol("a", axis(0)).unwrap();
    let ask = |eyes_px| {
        let LookupRequest { ground, .. } = house.request(axis(0));
        let (watchlist, probe) = (house.list, made(axis(0), eyes_px));
        let request = VerificationRequest { watchlist, subject, ground, probe, threshold: None };
        verify::verify(&house.gallery, &gate(), request, None)
    };
    assert_eq!(ask(60.0).unwrap().0.decision, Decision::Hit);
    assert!(matches!(ask(5.0), Err(VerifyError::Lookup(LookupError::Declined(_)))));
}

#[test]
fn the_strictest_of_several_gates_counts() {
    let house = House::build();
    let mut strict = policy("strict");
    strict.gates.lookup.0.insert(Component::InterEyeDistance, 20);
    let (strict, _) = publish::create_watchlist(&house.gallery, &utopia(), strict, None).unwrap();
    let watchlists = vec![house.list, strict.id];
    let request = |eyes_px| LookupRequest {
        watchlists: watchlists.clone(),
        probe: made(axis(0), eyes_px),
        ..house.request(axis(0))
    };
    assert_eq!(house.ask(&gate(), request(60.0), None).unwrap().0.decision, Decision::NoHit);
    let Err(LookupError::Declined(declined)) = house.ask(&gate(), request(30.0), None) else {
        panic!("declined")
    };
    assert_eq!(declined.advice, ["move closer: eyes 30 px apart, 42 wanted"]);
}

#[test]
fn enrolment_wants_better_images_than_a_lookup() {
    let house = House::build();
    let encounter = |eyes_px: Option<f64>| NewEncounter {
        reference: None,
        captured_at: None,
        sample: sample(axis(1)),
        quality: eyes_px.map(quality),
    };
    let enrol = |eyes_px| {
        let new = NewSubject {
            reference: "b".parse().unwrap(),
            entries: vec![(house.list, Listing::plain(Category::Wanted))],
            encounters: vec![encounter(Some(eyes_px))],
        };
        enrol::enrol_subject(&house.gallery, &utopia(), new, None)
    };
    // Enough to be searched with.
    let Err(EnrolError::Quality { index: 0, shortfalls }) = enrol(30.0) else { panic!("refused") };
    assert_eq!(shortfalls[0].component, Component::InterEyeDistance);
    let (enrolled, _) = enrol(60.0).unwrap();
    let add = |new| enrol::enrol_encounter(&house.gallery, &utopia(), enrolled.subject, new, None).map(drop);
    assert!(matches!(add(encounter(Some(30.0))), Err(EnrolError::Quality { .. })));
    add(encounter(Some(60.0))).unwrap();
    add(encounter(None)).unwrap();
    let row = |name: &str, eyes_px| BulkRow {
        subject: name.parse().unwrap(),
        encounter: "e".parse().unwrap(),
        watchlist: house.list,
        listing: Listing::plain(Category::Wanted),
        features: axis(2).to_vec(),
        quality: Some(quality(eyes_px)),
    };
    let rows = vec![row("c", 30.0), row("d", 60.0)];
    let (outcomes, _) = enrol_batch::enrol_batch(&house.gallery, &utopia(), rows).unwrap();
    assert!(matches!(outcomes[0], RowOutcome::Refused(RowError::Quality(_))));
    assert_eq!(outcomes[1], RowOutcome::Enrolled);
}

#[test]
fn a_row_of_one_list_is_held_against_the_gates_of_all_on_which_the_subject_stands() {
    let house = House::build();
    let mut strict = policy("strict");
    strict.gates.enrolment.0.insert(Component::InterEyeDistance, 70);
    let (strict, _) = publish::create_watchlist(&house.gallery, &utopia(), strict, None).unwrap();
    let row = |encounter: &str, list, axis_of, eyes_px| BulkRow {
        subject: "s".parse().unwrap(),
        encounter: encounter.parse().unwrap(),
        watchlist: list,
        listing: Listing::plain(Category::Wanted),
        features: axis(axis_of).to_vec(),
        quality: Some(quality(eyes_px)),
    };
    let put = |row| enrol_batch::enrol_batch(&house.gallery, &utopia(), vec![row]).unwrap().0.remove(0);
    assert_eq!(put(row("1", strict.id, 1, 120.0)), RowOutcome::Enrolled);
    assert!(matches!(put(row("2", house.list, 2, 60.0)), RowOutcome::Refused(RowError::Quality(_))));
    // Nothing of the refused row is on record, not the place on the list either.
    let on_first = LookupRequest { probe: made(axis(1), 60.0), ..house.request(axis(1)) };
    assert_eq!(house.ask(&utopia(), on_first, None).unwrap().0.certificate.expected, 0);
    assert_eq!(put(row("2", house.list, 2, 120.0)), RowOutcome::Enrolled);
}

#[test]
fn an_extraction_is_a_right_of_its_own_and_in_the_log() {
    let house = House::build();
    let rights = Rights { verbs: [VerbName::Lookup, VerbName::Enrol].into(), ..gate().rights };
    assert!(extract::permit(&house.gallery, &Caller { rights, ..gate() }).is_err());
    let permit = extract::permit(&house.gallery, &gate()).unwrap();
    let receipt = extract::record(&house.gallery, &permit, &sample(axis(0)), IMAGE).unwrap();
    let events = house.events();
    assert_eq!(receipt.leaf_index(), events.len() as u64 - 1);
    assert!(matches!(events.last().unwrap().what, What::Extract { .. }));
}

#[test]
fn a_gate_that_lets_worse_images_on_record_than_into_a_search_is_refused() {
    let house = House::build();
    let mut wrong = policy("wrong");
    wrong.gates.enrolment.0.insert(Component::InterEyeDistance, 5);
    let made = publish::create_watchlist(&house.gallery, &utopia(), wrong, None);
    assert!(matches!(made, Err(publish::PublishError::Policy(crate::watchlist::PolicyError::Gates))));
}
