//! Laws of searching.

use super::*;
use crate::{
    ambient::Ambient,
    authority::{Caller, Reach, Rights, VerbName},
    decision::{Decision, Reason},
    enrol::{self, EnrolError},
    event::What,
    findings::{Findings, Results},
    id::{SubjectId, WatchlistId},
    law::Category,
    lookup::{LookupError, LookupRequest},
    publish, retire,
    subject::{NewEncounter, NewSubject},
    verify::{self, VerificationRequest},
    watchlist::Policy,
};
use matcher::score::Threshold;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::collections::BTreeMap;

#[test]
fn an_enrolled_subject_is_found_by_the_next_lookup_and_a_stranger_is_not() {
    let house = House::build();
    let subject = house.enrol("a", axis(0)).unwrap();
    let hit = house.look(axis(0));
    assert_eq!(
        (hit.decision, seen(&hit.candidates[0]).0, hit.candidates[0].rank),
        (Decision::Hit, subject, 1)
    );
    assert_eq!(hit.candidates[0].watchlists[0].told.as_ref().unwrap().category, Category::Wanted);
    let miss = house.look(axis(1));
    assert_eq!((miss.decision, miss.candidates.len()), (Decision::NoHit, 0));
    assert_eq!((miss.certificate.compared, miss.certificate.expected), (1, 1));
}

#[test]
fn a_no_hit_is_given_only_when_everything_on_record_was_compared() {
    let house = House::build();
    house.enrol("a", axis(0)).unwrap();
    house.break_snapshot(|snapshot| snapshot.pieces.clear());
    let answer = house.look(axis(1));
    assert_eq!((answer.decision, answer.reason), (Decision::Inconclusive, Some(Reason::Incomplete)));
    assert_eq!((answer.certificate.compared, answer.certificate.expected), (0, 1));
    let last = house.events().pop().unwrap();
    assert!(
        matches!(last.what, What::Lookup { results: Results::Told(findings), .. } if findings.answer.decision == Decision::Inconclusive)
    );
}

#[test]
fn a_watchlist_that_lacks_a_reference_is_not_made_up_for_by_one_that_has_too_many() {
    let house = House::build();
    house.enrol("a", axis(0)).unwrap();
    let (other, _) = publish::create_watchlist(&house.gallery, &utopia(), policy("other"), None).unwrap();
    house.break_snapshot(|snapshot| {
        snapshot.expected.insert(house.list, 0);
        snapshot.expected.insert(other.id, 1);
    });
    let request = LookupRequest { watchlists: vec![house.list, other.id], ..house.request(axis(1)) };
    let (answer, _) = house.ask(&utopia(), request, None).unwrap();
    assert_eq!(answer.certificate.compared, answer.certificate.expected);
    assert_eq!(answer.decision, Decision::Inconclusive);
}

#[test]
fn several_references_of_a_subject_make_one_candidate_with_the_best_score() {
    let house = House::build();
    let subject = house.enrol("a", axis(0)).unwrap();
    let mut near = axis(0);
    near[1] = 0.3;
    let new = NewEncounter {
        reference: Some("second".parse().unwrap()),
        captured_at: None,
        sample: sample(near),
        quality: None,
    };
    let add = || enrol::enrol_encounter(&house.gallery, &utopia(), subject, new.clone(), None);
    let (added, _) = add().unwrap();
    let answer = house.look(near);
    assert_eq!((answer.candidates.len(), answer.total), (1, 1));
    assert_eq!(seen(&answer.candidates[0]).1, added.encounters[0]);
    assert_eq!(answer.certificate.compared, 2);
    assert!(matches!(add(), Err(EnrolError::Exists { encounter: Some(0) })));
}

#[test]
fn who_is_beyond_the_list_is_in_the_log() {
    let house = House::build();
    let mut subjects: Vec<SubjectId> =
        (0..4).map(|i| house.enrol(&format!("s{i}"), axis(0)).unwrap()).collect();
    subjects.sort_unstable();
    let request = LookupRequest { limit: 1, ..house.request(axis(0)) };
    let (answer, _) = house.ask(&utopia(), request, None).unwrap();
    assert_eq!((answer.candidates.len(), answer.total, answer.truncated), (1, 4, true));
    let Some(What::Lookup { results: Results::Told(Findings { found, .. }), .. }) =
        house.events().pop().map(|event| event.what)
    else {
        panic!("the last event is not the lookup");
    };
    assert_eq!(found.iter().map(|one| one.subject).collect::<Vec<_>>(), subjects);
    assert_eq!(found[3].watchlists, [house.list]);
}

#[test]
fn candidates_name_only_the_watchlists_whose_threshold_they_reach() {
    let house = House::build();
    let strict = Policy { threshold: Threshold::new(0.99).unwrap(), ..policy("strict") };
    let (strict, _) = publish::create_watchlist(&house.gallery, &utopia(), strict, None).unwrap();
    let encounter =
        NewEncounter { reference: None, captured_at: None, sample: sample(axis(0)), quality: None };
    let new = NewSubject {
        reference: "a".parse().unwrap(),
        entries: vec![
            (house.list, Listing::plain(Category::Wanted)),
            (strict.id, Listing::plain(Category::Missing)),
        ],
        encounters: vec![encounter],
    };
    enrol::enrol_subject(&house.gallery, &utopia(), new, None).unwrap();
    let mut probe = axis(0);
    probe[1] = 0.3; // cosine 0.958
    let ask = |lists: Vec<WatchlistId>| {
        let request = LookupRequest { watchlists: lists, ..house.request(probe) };
        house.ask(&utopia(), request, None).unwrap().0
    };
    let both = ask(vec![strict.id, house.list]);
    let named: Vec<_> = both.candidates[0]
        .watchlists
        .iter()
        .map(|l| (l.watchlist, l.told.as_ref().unwrap().category))
        .collect();
    assert_eq!(named, [(house.list, Category::Wanted)]);
    assert_eq!((both.certificate.compared, both.certificate.expected), (2, 2));
    assert_eq!(ask(vec![strict.id]).decision, Decision::NoHit);
}

#[test]
fn a_callers_threshold_is_stricter_or_refused() {
    let house = House::build();
    house.enrol("a", axis(0)).unwrap();
    let mut probe = axis(0);
    probe[1] = 0.3;
    let ask = |threshold| {
        let threshold = Some(Threshold::new(threshold).unwrap());
        house.ask(
            &utopia(),
            LookupRequest { stricter: Stricter { threshold, fpir: None }, ..house.request(probe) },
            None,
        )
    };
    assert_eq!(ask(0.95).unwrap().0.decision, Decision::Hit);
    assert_eq!(ask(0.97).unwrap().0.decision, Decision::NoHit);
    assert!(matches!(ask(0.89), Err(LookupError::Looser { index: 0, .. })));
}

#[test]
fn a_refusal_is_in_the_log_and_says_nothing_of_what_exists() {
    let house = House::build();
    let rights = Rights {
        verbs: [VerbName::Lookup].into(),
        watchlists: Reach::Listed([].into()),
        purposes: [].into(),
        allowances: [].into(),
        searches_per_hour: 1,
    };
    let caller = Caller { rights, ..utopia() };
    let unknown = WatchlistId::mint(&Ambient::system());
    let ask = |list| {
        let request = LookupRequest { watchlists: vec![list], ..house.request(axis(0)) };
        house.ask(&caller, request, None).unwrap_err().to_string()
    };
    assert_eq!(ask(house.list), ask(unknown));
    let refusals = house.events().into_iter().filter(|event| matches!(event.what, What::Refused { .. }));
    assert_eq!(refusals.count(), 2);
}

#[test]
fn verification_compares_with_one_subject_of_the_watchlist() {
    let house = House::build();
    let subject = house.enrol("a", axis(0)).unwrap();
    house.enrol("b", axis(1)).unwrap();
    let ask = |subject, features| {
        let LookupRequest { ground, .. } = house.request(features);
        let probe = sample(features);
        let request = VerificationRequest {
            watchlist: house.list,
            subject,
            ground,
            probe: probe.into(),
            threshold: None,
        };
        verify::verify(&house.gallery, &utopia(), request, None).map(|(answer, _)| answer)
    };
    let same = ask(subject, axis(0)).unwrap();
    assert_eq!(
        (same.decision, same.likeness, same.certificate.compared),
        (Decision::Hit, Some(Likeness::Score(1.0)), 1)
    );
    assert_eq!(ask(subject, axis(1)).unwrap().decision, Decision::NoHit);
    let unknown = SubjectId::mint(&Ambient::system());
    assert!(matches!(ask(unknown, axis(0)), Err(verify::VerifyError::Subject)));
    retire::retire(&house.gallery, &utopia(), subject, None).unwrap();
    assert!(matches!(ask(subject, axis(0)), Err(verify::VerifyError::Subject)));
}

#[test]
fn no_event_holds_a_feature() {
    let house = House::build();
    let marked = [0.123_456_78; DIMENSION];
    house.enrol("a", marked).unwrap();
    house.look(marked);
    for event in house.events() {
        let text = serde_json::to_string(&event).unwrap();
        assert!(!text.contains("0.1234") && !text.contains("features"), "{text}");
    }
}

/// Any history of enrolments, encounters, retirements and restarts: a lookup answers as a plain list does.
#[test]
fn what_is_searched_equals_the_record_after_any_history() {
    let mut house = House::build();
    let mut chance = ChaCha8Rng::seed_from_u64(4);
    let mut below = |n: u32| chance.next_u32() % n;
    let mut record: BTreeMap<SubjectId, Vec<[f32; DIMENSION]>> = BTreeMap::new();
    for step in 0..400 {
        let features: [f32; DIMENSION] = std::array::from_fn(|_| below(7) as f32 - 3.0);
        if features.iter().all(|x| *x == 0.0) {
            continue;
        }
        let anyone = record.keys().nth(below(record.len().max(1) as u32) as usize).copied();
        match (below(10), anyone) {
            (0..=5, _) | (_, None) => {
                let subject = house.enrol(&format!("s{step}"), features).unwrap();
                record.insert(subject, vec![features]);
            }
            (6, Some(subject)) => {
                let new = NewEncounter {
                    reference: None,
                    captured_at: None,
                    sample: sample(features),
                    quality: None,
                };
                enrol::enrol_encounter(&house.gallery, &utopia(), subject, new, None).unwrap();
                record.get_mut(&subject).unwrap().push(features);
            }
            (7 | 8, Some(subject)) => {
                retire::retire(&house.gallery, &utopia(), subject, None).unwrap();
                record.remove(&subject);
            }
            (_, _) if below(5) == 0 => house = house.reopen(),
            _ => (),
        }
        let answer = house.look(features);
        let cosine = |a: &[f32; DIMENSION]| {
            let dot: f32 = a.iter().zip(&features).map(|(x, y)| x * y).sum();
            let length = |v: &[f32; DIMENSION]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
            dot / (length(a) * length(&features))
        };
        let near = record.iter().filter(|(_, all)| all.iter().any(|a| cosine(a) >= 0.9));
        assert_eq!(answer.total, near.count() as u64, "step {step}");
        let count = record.values().map(Vec::len).sum::<usize>() as u64;
        assert_eq!((answer.certificate.compared, answer.certificate.expected), (count, count), "step {step}");
    }
    house.gallery.check().unwrap();
}

/// Eight features that nobody else has.
fn somebody(n: u32) -> [f32; DIMENSION] {
    std::array::from_fn(|i| ((n * 31 + 7) as f32 * (i as f32 + 1.3)).sin())
}

#[test]
fn references_that_are_coded_anew_are_found_as_before_and_the_retired_stay_away() {
    let house = House::build();
    let enrol = |n: u32| house.enrol(&format!("p{n}"), somebody(n)).unwrap();
    let people: Vec<_> = (0..1100).map(enrol).collect();
    house.wait_for_codes();
    let retire = |n: usize| retire::retire(&house.gallery, &utopia(), people[n], None).unwrap();
    retire(7);
    let late = (1100..1110).map(enrol).collect::<Vec<_>>();
    for (n, person) in people.iter().chain(&late).enumerate().step_by(3).chain([(7, &people[7])]) {
        let answer = house.look(somebody(n as u32));
        let found = answer.candidates.iter().any(|candidate| seen(candidate).0 == *person);
        assert_eq!(found, n != 7, "{n}");
        assert_eq!(answer.certificate.compared, 1109);
        assert!(answer.certificate.complete());
    }
}

#[test]
fn a_reference_that_cannot_be_read_back_makes_the_answer_inconclusive() {
    let house = House::build();
    house.enrol("a", axis(0)).unwrap();
    house.enrol("b", axis(1)).unwrap();
    house.gallery.current.load().codings[&model()].shelf.damage(matcher::rows::Slot(0));
    let answer = house.look(axis(0));
    assert_eq!((answer.decision, answer.reason), (Decision::Inconclusive, Some(Reason::Incomplete)));
    assert_eq!((answer.certificate.compared, answer.certificate.expected), (0, 2));
    // Of lookups that share the pass, one whose bound rules it out need not read it.
    let prepared = [axis(1), axis(0)].map(|features| {
        match lookup::prepare(&house.gallery, &utopia(), house.request(features), None).unwrap() {
            lookup::Preparation::Search(prepared) => prepared,
            lookup::Preparation::Answered(..) => panic!("nothing was answered yet"),
        }
    });
    let concluded = lookup::search_batch(&house.gallery, prepared.into()).into_iter();
    let decisions: Vec<_> =
        concluded.map(|searched| lookup::conclude(&house.gallery, searched).unwrap().0.decision).collect();
    assert_eq!(decisions, [Decision::Hit, Decision::Inconclusive]);
}

#[test]
fn a_gallery_that_is_not_searched_takes_changes_and_never_says_that_there_is_nobody() {
    let house = House::build();
    house.enrol("before", somebody(1)).unwrap();
    let house = house.searched_by(crate::Index::Unsearched);
    let subject = house.enrol("after", somebody(2)).unwrap();
    for n in 1..4 {
        let answer = house.look(somebody(n));
        assert_eq!((answer.decision, answer.certificate.expected), (Decision::Inconclusive, 2));
    }
    retire::retire(&house.gallery, &utopia(), subject, None).unwrap();
    let house = house.reopen();
    assert_eq!(house.look(somebody(1)).decision, Decision::Hit);
    assert_eq!(house.look(somebody(2)).certificate.expected, 1);
}

#[test]
fn an_approximate_index_finds_candidates_and_never_says_that_there_are_none() {
    let house = House::build();
    let twice = |n: u32| {
        let near = somebody(n).map(|feature| feature + 0.01);
        let encounter = |features| NewEncounter {
            reference: None,
            captured_at: None,
            sample: sample(features),
            quality: None,
        };
        let new = NewSubject {
            reference: format!("p{n}").parse().unwrap(),
            entries: vec![(house.list, Listing::plain(Category::Wanted))],
            encounters: vec![encounter(somebody(n)), encounter(near)],
        };
        enrol::enrol_subject(&house.gallery, &utopia(), new, None).unwrap().0.subject
    };
    let people: Vec<_> = (0..520).map(twice).collect();
    let house = house.searched_by(crate::Index::Hnsw);
    house.wait_for_codes();
    let late = house.enrol("late", somebody(9000)).unwrap();
    retire::retire(&house.gallery, &utopia(), people[3], None).unwrap();
    let mut found = 0;
    for (n, person) in (0..).zip(&people) {
        let answer = house.look(somebody(n));
        found += usize::from(answer.candidates.iter().any(|candidate| seen(candidate).0 == *person));
        assert!(
            !answer.certificate.exhaustive && answer.certificate.miss_rate.is_some_and(|rate| rate < 0.1)
        );
        assert!(answer.candidates.iter().all(|candidate| seen(candidate).0 != people[3]));
    }
    assert!(found > 500, "{found} of 519");
    // Who came since is compared as ever.
    let answer = house.look(somebody(9000));
    assert!(answer.candidates.iter().any(|candidate| seen(candidate).0 == late));
    assert_eq!((answer.certificate.compared, answer.certificate.expected), (1, 1039));
    let request = LookupRequest {
        stricter: Stricter { threshold: Some(Threshold::new(1.0).unwrap()), fpir: None },
        ..house.request([1.0; DIMENSION])
    };
    let (nobody, _) = house.ask(&utopia(), request, None).unwrap();
    assert_eq!((nobody.decision, nobody.reason), (Decision::Inconclusive, Some(Reason::Approximate)));
}
