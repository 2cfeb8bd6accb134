//! What searchers of another nation are shown, what owners are told, and which searches somebody must have authorised.

use super::*;
use crate::{
    authorise::{self, AuthoriseError},
    authority::{Reach, Refusal, Rights, VerbName},
    budget::SEARCHES_PER_HOUR,
    decision::Decision,
    event::What,
    findings::Results,
    handling::Visibility,
    law::{Allowance, Band},
    read_notices,
    verify::{self, VerificationRequest, VerifyError},
};
use std::collections::BTreeSet;

const HOUR_MS: i64 = 3_600_000;

/// A checkpoint of the nation with Utopia's list, which is shared with Xanadu; it sees no scores.
fn checkpoint(house: &House, nation: &str) -> Caller {
    let rights = Rights {
        verbs: [VerbName::Lookup, VerbName::Verify, VerbName::Authorise].into(),
        watchlists: Reach::Listed([house.list].into()),
        purposes: [Purpose::BorderControl, Purpose::SeriousCrime].into(),
        allowances: [Allowance::RawProbes].into(),
        searches_per_hour: SEARCHES_PER_HOUR,
    };
    Caller { rights, ..Caller::administrator("gate".parse().unwrap(), nation.parse().unwrap()) }
}

/// A house whose list has this policy, and is shared.
fn house(change: impl Fn(&mut Policy)) -> House {
    let mut house = House::build();
    let mut policy = policy("second");
    policy.purposes.insert(Purpose::SeriousCrime);
    change(&mut policy);
    let (list, _) = publish::create_watchlist(&house.gallery, &utopia(), policy, None).unwrap();
    house.list = list.id;
    share(&house);
    house
}

fn share(house: &House) {
    let until = Timestamp::from_unix_ms(i64::from(u32::MAX) * 1000).unwrap();
    house.break_snapshot(|snapshot| {
        let list = Arc::make_mut(&mut snapshot.catalogue).get_mut(&house.list).unwrap();
        Arc::make_mut(list).shared_with.insert("XAA".parse().unwrap(), until);
    });
}

fn enrol(house: &House, name: &str, axis: usize, handling: Option<&str>) -> SubjectId {
    let mut listing = Listing::plain(Category::Missing);
    listing.remarks.handling = handling.map(|text| text.parse().unwrap());
    let sample = sample(super::axis(axis));
    let encounters = vec![NewEncounter { reference: None, captured_at: None, sample, quality: None }];
    let new =
        NewSubject { reference: name.parse().unwrap(), entries: vec![(house.list, listing)], encounters };
    enrol::enrol_subject(&house.gallery, &utopia(), new, None).unwrap().0.subject
}

fn look(house: &House, caller: &Caller, axis: usize, purpose: Purpose) -> LookupAnswer {
    let mut request = house.request(super::axis(axis));
    request.ground.purpose = purpose;
    house.ask(caller, request, None).unwrap().0
}

fn notices(house: &House, after: u64) -> Vec<(u64, SubjectId, Visibility)> {
    let (told, _) = read_notices::read_notices(&house.gallery, &utopia(), after).unwrap();
    told.notices.into_iter().map(|(number, notice)| (number, notice.subject, notice.visibility)).collect()
}

#[test]
fn a_foreign_searcher_is_shown_what_the_code_lets_it_and_the_owner_is_told_the_rest() {
    let house = house(|policy| {
        policy.defaults.handling = Handling::H1;
        policy.defaults.instructions.insert(Category::Missing, "take into care".parse().unwrap());
    });
    let codes = [None, Some("H0"), Some("H2"), Some("H3: not to the press")];
    let people: Vec<SubjectId> =
        codes.iter().enumerate().map(|(at, code)| enrol(&house, &format!("p{at}"), at, *code)).collect();
    let (own, foreign) = (checkpoint(&house, "UTO"), checkpoint(&house, "XAA"));
    for (at, person) in people.iter().enumerate() {
        let answer = look(&house, &own, at, Purpose::BorderControl);
        let seen = answer.candidates[0].seen.as_ref().unwrap();
        assert_eq!((seen.subject, seen.likeness), (*person, Likeness::Band(Band::High)));
        let told = answer.candidates[0].watchlists[0].told.as_ref().unwrap();
        assert_eq!(told.terms.instruction.as_ref().unwrap().to_string(), "take into care");
    }
    assert_eq!(notices(&house, 0), [], "a nation's own searches are its own affair");
    // H1: all, and nobody is told.
    let full = look(&house, &foreign, 0, Purpose::BorderControl);
    assert_eq!(full.candidates[0].seen.as_ref().unwrap().subject, people[0]);
    // H0: silent at the border, shown against crime.
    let miss = look(&house, &foreign, 7, Purpose::BorderControl);
    let silent = look(&house, &foreign, 1, Purpose::BorderControl);
    // But for its number, and that of the last event, to the last field as if nobody were there.
    let mut alike = LookupAnswer { lookup: miss.lookup, ..silent.clone() };
    alike.certificate.as_of = miss.certificate.as_of;
    assert_eq!(alike, miss);
    assert_eq!((silent.decision, silent.total), (Decision::NoHit, 0));
    let crime = look(&house, &foreign, 1, Purpose::SeriousCrime);
    assert_eq!(crime.candidates[0].seen.as_ref().unwrap().subject, people[1]);
    // H2: the reference and nothing else. H3: nothing.
    let reference = look(&house, &foreign, 2, Purpose::SeriousCrime);
    let candidate = &reference.candidates[0];
    assert_eq!(
        (candidate.reference.as_str(), &candidate.seen, &candidate.watchlists[0].told),
        ("p2", &None, &None)
    );
    assert_eq!(look(&house, &foreign, 3, Purpose::SeriousCrime).decision, Decision::NoHit);
    let told = [
        (1, people[1], Visibility::Silent),
        (2, people[2], Visibility::Reference),
        (3, people[3], Visibility::Silent),
    ];
    assert_eq!(notices(&house, 0), told);
    assert_eq!(notices(&house, 2), told[2..]);
    // The log knows who was found, with the score, whatever was shown.
    let What::Lookup { results: Results::Told(findings), .. } =
        house.events().into_iter().rev().nth(2).unwrap().what
    else {
        panic!("the last lookup is not there");
    };
    assert_eq!(
        (findings.answer.total, findings.found[0].subject, findings.found[0].score),
        (0, people[3], 1.0)
    );
    crate::erase::erase(&house.gallery, &utopia(), people[1], None).unwrap();
    assert_eq!(notices(&house, 0), told[1..], "an erased subject is in no notice");
    let house = house.reopen();
    house.gallery.check().unwrap();
    assert_eq!(notices(&house, 0), told[1..]);
}

#[test]
fn whom_a_merger_makes_one_is_handled_as_both_were() {
    let house = house(|policy| policy.defaults.handling = Handling::H1);
    let (open, hidden) = (enrol(&house, "a", 0, None), enrol(&house, "b", 1, Some("H2")));
    crate::reassign::merge(&house.gallery, &utopia(), hidden, open, None).unwrap();
    let foreign = checkpoint(&house, "XAA");
    for axis in [0, 1] {
        assert_eq!(look(&house, &foreign, axis, Purpose::SeriousCrime).total, 0, "neither is shown");
        assert_eq!(look(&house, &checkpoint(&house, "UTO"), axis, Purpose::SeriousCrime).total, 1);
    }
    house.gallery.check().unwrap();
}

#[test]
fn an_owner_is_told_of_its_own_and_page_by_page() {
    let house = house(|policy| policy.defaults.handling = Handling::H2);
    let (person, foreign) = (enrol(&house, "a", 0, None), checkpoint(&house, "XAA"));
    (0..103).for_each(|_| drop(look(&house, &foreign, 0, Purpose::BorderControl)));
    let read = |caller: &Caller, after| read_notices::read_notices(&house.gallery, caller, after).unwrap().0;
    let first = read(&utopia(), 0);
    assert_eq!((first.notices.len(), first.next), (100, Some(100)));
    let rest = read(&utopia(), 100);
    assert_eq!((rest.notices.len(), rest.next), (3, None));
    assert!(
        rest.notices.iter().all(|(_, notice)| notice.subject == person && notice.nation.as_str() == "XAA")
    );
    let other = Caller::administrator("admin".parse().unwrap(), "XAA".parse().unwrap());
    assert!(read(&other, 0).notices.is_empty(), "another nation is told nothing");
    let mut narrow = utopia();
    narrow.rights.watchlists = Reach::Listed([].into());
    assert!(read(&narrow, 0).notices.is_empty(), "nor who is granted another list");
}

#[test]
fn a_threshold_of_ones_own_is_for_who_sees_scores() {
    let house = house(|_| ());
    let request = LookupRequest {
        stricter: Stricter { threshold: Some(Threshold::new(0.95).unwrap()), fpir: None },
        ..house.request(axis(0))
    };
    let refused = house.ask(&checkpoint(&house, "UTO"), request.clone(), None);
    assert!(matches!(refused, Err(LookupError::Refused(Refusal::Threshold))));
    assert!(house.ask(&utopia(), request.clone(), None).is_ok());
    let looser = LookupRequest {
        stricter: Stricter { threshold: Some(Threshold::new(0.5).unwrap()), fpir: None },
        ..request
    };
    assert!(matches!(house.ask(&utopia(), looser, None), Err(LookupError::Looser { index: 0, .. })));
}

#[test]
fn who_is_not_shown_takes_no_place_from_who_is() {
    let house = house(|policy| policy.defaults.handling = Handling::H1);
    for n in 0..6 {
        enrol(&house, &format!("p{n}"), 0, (n % 2 == 0).then_some("H3: x"));
    }
    let request = LookupRequest { limit: 2, ..house.request(axis(0)) };
    let (answer, _) = house.ask(&checkpoint(&house, "XAA"), request.clone(), None).unwrap();
    assert_eq!((answer.candidates.len(), answer.total, answer.truncated), (2, 3, true));
    assert_eq!(answer.candidates.iter().map(|c| c.rank).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(house.ask(&checkpoint(&house, "UTO"), request, None).unwrap().0.total, 6);
}

#[test]
fn a_verification_of_who_may_not_be_seen_looks_as_if_nobody_were_there() {
    let house = house(|policy| policy.defaults.handling = Handling::H2);
    let (hidden, open) = (enrol(&house, "a", 0, None), enrol(&house, "b", 1, Some("H1")));
    let ask = |subject, n, nation| {
        let LookupRequest { ground, probe, .. } = house.request(axis(n));
        let request = VerificationRequest { watchlist: house.list, subject, ground, probe, threshold: None };
        verify::verify(&house.gallery, &checkpoint(&house, nation), request, None)
    };
    assert!(matches!(ask(hidden, 0, "XAA"), Err(VerifyError::Subject)));
    assert!(matches!(ask(hidden, 1, "XAA"), Err(VerifyError::Subject)));
    assert_eq!(notices(&house, 0), [(1, hidden, Visibility::Reference)], "only what reaches the threshold");
    assert_eq!(ask(hidden, 0, "UTO").unwrap().0.decision, Decision::Hit);
    let (hit, _) = ask(open, 1, "XAA").unwrap();
    assert_eq!((hit.decision, hit.likeness), (Decision::Hit, Some(Likeness::Band(Band::High))));
    assert_eq!(ask(open, 0, "XAA").unwrap().0.likeness, None, "below the threshold there is no band");
}

#[test]
fn bands_are_thirds_of_the_way_from_the_threshold() {
    let house = house(|policy| policy.threshold = Threshold::new(0.4).unwrap());
    enrol(&house, "a", 0, None);
    let band = |cosine: f32| {
        let mut features = [0.0; DIMENSION];
        (features[0], features[1]) = (cosine, (1.0 - cosine * cosine).sqrt());
        let (answer, _) = house.ask(&checkpoint(&house, "UTO"), house.request(features), None).unwrap();
        answer.candidates.first().map(|candidate| candidate.seen.as_ref().unwrap().likeness)
    };
    let expected = [
        (0.39, None),
        (0.41, Some(Band::Low)),
        (0.59, Some(Band::Low)),
        (0.61, Some(Band::Middle)),
        (0.81, Some(Band::High)),
    ];
    for (cosine, expected) in expected {
        assert_eq!(band(cosine), expected.map(Likeness::Band), "{cosine}");
    }
}

#[test]
fn features_of_ones_own_are_a_right_of_their_own() {
    let house = house(|_| ());
    let mut caller = checkpoint(&house, "UTO");
    caller.rights.allowances = BTreeSet::new();
    let refused = house.ask(&caller, house.request(axis(0)), None);
    assert!(matches!(refused, Err(LookupError::Refused(Refusal::RawProbe))));
}

#[test]
fn a_list_that_wants_an_authorisation_first_is_not_searched_without() {
    let house = house(|policy| policy.prior_authorisation = PriorAuthorisation::Before);
    let (gate, mut request) = (checkpoint(&house, "UTO"), house.request(axis(0)));
    let refused = house.ask(&gate, request.clone(), None);
    assert!(matches!(refused, Err(LookupError::Refused(Refusal::Authorisation { index: 0 }))));
    request.ground.authorisation = Some("court 7/26".parse().unwrap());
    let (answer, _) = house.ask(&gate, request, None).unwrap();
    assert_eq!((answer.decision, answer.authorise_by), (Decision::NoHit, None));
}

#[test]
fn results_that_nobody_authorises_within_48_hours_are_erased() {
    let house = house(|policy| {
        policy.prior_authorisation = PriorAuthorisation::Within48Hours;
        policy.defaults.handling = Handling::H2;
    });
    let person = enrol(&house, "a", 0, None);
    let (gate, foreign) = (checkpoint(&house, "UTO"), checkpoint(&house, "XAA"));
    let ask =
        |caller: &Caller, name: &str| house.ask(caller, house.request(axis(0)), key(name, 1)).unwrap().0;
    let authorise = |house: &House, caller: &Caller, lookup| {
        authorise::authorise(&house.gallery, caller, lookup, "court 7/26".parse().unwrap(), None).map(drop)
    };
    let (one, two) = (ask(&gate, "one"), ask(&foreign, "two"));
    let due = house.clock.0.load(Ordering::SeqCst) + 48 * HOUR_MS;
    assert_eq!(one.authorise_by.unwrap().unix_ms(), due);
    assert_eq!(notices(&house, 0).len(), 1);
    let told = |house: &House| format!("{:?}", house.events());
    assert!(!told(&house).contains("found: [Reached"), "the log holds a digest only");
    assert!(
        matches!(authorise(&house, &foreign, one.lookup), Err(AuthoriseError::Unknown)),
        "another's lookup"
    );
    let house = house.reopen();
    share(&house);
    house.clock.0.fetch_add(20 * HOUR_MS, Ordering::SeqCst);
    assert_eq!(house.ask(&gate, house.request(axis(0)), key("one", 1)).unwrap().0, one, "the stored answer");
    authorise(&house, &gate, one.lookup).unwrap();
    let told = told(&house);
    assert!(told.contains(&format!("found: [Reached {{ subject: {person}")), "authorised, it is in the log");
    let findings = house.events().into_iter().rev().find_map(|event| match event.what {
        What::Authorise { findings, .. } => Some(findings),
        _ => None,
    });
    let digest = audit::hash::sha256(&[&serde_json::to_vec(&findings.unwrap()).unwrap()]);
    assert!(told.contains(&digest.to_string()), "and is what the log had the digest of");
    assert!(matches!(authorise(&house, &gate, one.lookup), Err(AuthoriseError::Unknown)), "once");
    house.clock.0.fetch_add(28 * HOUR_MS, Ordering::SeqCst);
    assert!(matches!(authorise(&house, &foreign, two.lookup), Err(AuthoriseError::Unknown)), "too late");
    let holds = || {
        let text = format!("\"lookup\":\"{}", two.lookup);
        let file = |name| std::fs::read(house.folder.path().join(name)).unwrap();
        let holds = |bytes: Vec<u8>| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        holds(file("limen.db")) || holds(file("limen.db-wal"))
    };
    assert!(holds());
    crate::expire::due(&house.gallery).unwrap();
    assert_eq!(notices(&house, 0), [], "nor is the owner told of what is erased");
    let last = house.events().into_iter().rev().nth(1).unwrap().what;
    assert_eq!(last, What::EraseResults { lookups: vec![two.lookup] });
    assert!(!holds(), "no answer, no results");
}
