//! The gallery's laws, each as a test.

use crate::{
    Gallery,
    ambient::{Ambient, Clock},
    authority::{Caller, Grant, Ground, Reach, VerbName},
    decision::{Decision, LookupAnswer, Reason},
    enrol::{self, EnrolError},
    enrol_batch::{self, BulkRow, RowError, RowOutcome},
    event::{Event, What},
    generation::Snapshot,
    id::{SubjectId, WatchlistId},
    idempotency::{Idempotency, IdempotencyKey, KeyError},
    inspect::{self, Which},
    law::{Category, HandlingCode, LegalBasis, Purpose},
    lookup::{self, LookupError, LookupRequest, Preparation},
    open::OpenError,
    publish,
    record::{WriteError, recover::RecoverError},
    retire,
    subject::{EntryState, NewEncounter, NewSubject, RawFeatures},
    timestamp::Timestamp,
    verify::{self, VerificationRequest},
    watchlist::Policy,
};
use audit::{
    receipt::Receipt,
    storage::{Disk, Storage},
};
use matcher::{
    score::Threshold,
    template::{ModelId, ModelProfile},
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

/// A gallery on disk with a watchlist of Utopia and a clock that stands still.
struct House {
    gallery: Gallery,
    clock: Arc<Hand>,
    list: WatchlistId,
    folder: tempfile::TempDir,
}

const DIMENSION: usize = 8;

fn model() -> ModelId {
    ModelId::new("test").unwrap()
}

fn utopia() -> Caller {
    Caller::administrator("admin".parse().unwrap(), "UTO".parse().unwrap())
}

fn open(folder: &Path, clock: &Arc<Hand>) -> Result<Gallery, OpenError> {
    Gallery::open(folder, 1, Ambient { clock: Arc::clone(clock) as _, ..Ambient::system() })
}

fn policy(name: &str) -> Policy {
    Policy {
        name: name.parse().unwrap(),
        purposes: [Purpose::BorderControl].into(),
        legal_bases: [LegalBasis::SisBorder].into(),
        handling: HandlingCode::H0,
        categories: [Category::Wanted, Category::Missing].into(),
        model: model(),
        threshold: Threshold::new(0.9).unwrap(),
        retention_days: 10,
    }
}

impl House {
    fn build() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Gallery::create(folder.path()).unwrap();
        let clock = Arc::new(Hand(AtomicI64::new(1_800_000_000_000)));
        let gallery = open(folder.path(), &clock).unwrap();
        publish::add_model(&gallery, &utopia(), ModelProfile::new(model(), DIMENSION, None).unwrap())
            .unwrap();
        let (list, _) = publish::create_watchlist(&gallery, &utopia(), policy("first"), None).unwrap();
        Self { gallery, clock, list: list.id, folder }
    }

    fn reopen(self) -> Self {
        let Self { gallery, clock, list, folder } = self;
        drop(gallery);
        Self { gallery: open(folder.path(), &clock).unwrap(), clock, list, folder }
    }

    fn request(&self, features: [f32; DIMENSION]) -> LookupRequest {
        let case_reference = "case".parse().unwrap();
        LookupRequest {
            watchlists: vec![self.list],
            ground: Ground {
                purpose: Purpose::BorderControl,
                legal_basis: LegalBasis::SisBorder,
                case_reference,
            },
            probe: sample(features),
            limit: 10,
            threshold: None,
        }
    }

    fn look(&self, features: [f32; DIMENSION]) -> LookupAnswer {
        self.ask(&utopia(), self.request(features), None).unwrap().0
    }

    fn ask(
        &self,
        caller: &Caller,
        request: LookupRequest,
        idempotency: Option<Idempotency>,
    ) -> Result<(LookupAnswer, Receipt), LookupError> {
        match lookup::prepare(&self.gallery, caller, request, idempotency)? {
            Preparation::Answered(answer, receipt) => Ok((answer, receipt)),
            Preparation::Search(prepared) => {
                let searched = lookup::search_batch(&self.gallery, vec![prepared]).pop().unwrap();
                lookup::conclude(&self.gallery, searched)
            }
        }
    }

    fn enrol(&self, name: &str, features: [f32; DIMENSION]) -> Result<SubjectId, EnrolError> {
        self.enrol_under(name, features, None).map(|(id, _)| id)
    }

    fn enrol_under(
        &self,
        name: &str,
        features: [f32; DIMENSION],
        key: Option<Idempotency>,
    ) -> Result<(SubjectId, Receipt), EnrolError> {
        let encounter = NewEncounter { reference: None, captured_at: None, sample: sample(features) };
        let new = NewSubject {
            reference: name.parse().unwrap(),
            entries: vec![(self.list, Category::Wanted)],
            encounters: vec![encounter],
        };
        enrol::enrol_subject(&self.gallery, &utopia(), new, key)
            .map(|(done, receipt)| (done.subject, receipt))
    }

    fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let disk = Disk::open(&self.folder.path().join("log")).unwrap();
        audit::verify::verify(&disk, |_, leaf| events.push(serde_json::from_slice(&leaf.payload).unwrap()))
            .unwrap();
        events
    }

    fn break_snapshot(&self, breaking: impl FnOnce(&mut Snapshot)) {
        let mut snapshot = Snapshot::clone(&self.gallery.current.load());
        breaking(&mut snapshot);
        self.gallery.current.replace(snapshot);
    }
}

fn sample(features: [f32; DIMENSION]) -> RawFeatures {
    RawFeatures { model: model(), features: features.to_vec() }
}

/// Unit vectors along axes: far from each other.
fn axis(n: usize) -> [f32; DIMENSION] {
    std::array::from_fn(|i| f32::from(u8::from(i == n)))
}

#[expect(clippy::unnecessary_wraps, reason = "what verbs take")]
fn key(text: &str, request: u8) -> Option<Idempotency> {
    Some(Idempotency { key: IdempotencyKey::new(text).unwrap(), request: [request; 32] })
}

#[test]
fn an_enrolled_subject_is_found_by_the_next_lookup_and_a_stranger_is_not() {
    let house = House::build();
    let subject = house.enrol("a", axis(0)).unwrap();
    let hit = house.look(axis(0));
    assert_eq!(
        (hit.decision, hit.candidates[0].subject, hit.candidates[0].rank),
        (Decision::Hit, subject, 1)
    );
    assert_eq!(hit.candidates[0].watchlists[0].category, Category::Wanted);
    let miss = house.look(axis(1));
    assert_eq!((miss.decision, miss.candidates.len()), (Decision::NoHit, 0));
    assert_eq!((miss.certificate.compared, miss.certificate.expected), (1, 1));
}

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
    assert!(matches!(again, Err(retire::RetireError::Retired)));
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
    assert!(matches!(retired, Err(retire::RetireError::Unknown)));
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
    assert!(matches!(last.what, What::Lookup { answer, .. } if answer.decision == Decision::Inconclusive));
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
    let new =
        NewEncounter { reference: Some("second".parse().unwrap()), captured_at: None, sample: sample(near) };
    let add = || enrol::enrol_encounter(&house.gallery, &utopia(), subject, new.clone(), None);
    let (added, _) = add().unwrap();
    let answer = house.look(near);
    assert_eq!((answer.candidates.len(), answer.total), (1, 1));
    assert_eq!(answer.candidates[0].encounter, added.encounters[0]);
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
    let Some(What::Lookup { beyond, .. }) = house.events().pop().map(|event| event.what) else {
        panic!("the last event is not the lookup");
    };
    assert_eq!(beyond.iter().map(|one| one.subject).collect::<Vec<_>>(), subjects[1..]);
    assert_eq!(beyond[0].watchlists, [house.list]);
}

#[test]
fn candidates_name_only_the_watchlists_whose_threshold_they_reach() {
    let house = House::build();
    let strict = Policy { threshold: Threshold::new(0.99).unwrap(), ..policy("strict") };
    let (strict, _) = publish::create_watchlist(&house.gallery, &utopia(), strict, None).unwrap();
    let encounter = NewEncounter { reference: None, captured_at: None, sample: sample(axis(0)) };
    let new = NewSubject {
        reference: "a".parse().unwrap(),
        entries: vec![(house.list, Category::Wanted), (strict.id, Category::Missing)],
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
    let named: Vec<_> = both.candidates[0].watchlists.iter().map(|l| (l.watchlist, l.category)).collect();
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
        house.ask(&utopia(), LookupRequest { threshold, ..house.request(probe) }, None)
    };
    assert_eq!(ask(0.95).unwrap().0.decision, Decision::Hit);
    assert_eq!(ask(0.97).unwrap().0.decision, Decision::NoHit);
    assert!(matches!(ask(0.89), Err(LookupError::Looser { index: 0, .. })));
}

#[test]
fn a_refusal_is_in_the_log_and_says_nothing_of_what_exists() {
    let house = House::build();
    let grant =
        Grant { verbs: [VerbName::Lookup].into(), watchlists: Reach::Listed([].into()), purposes: [].into() };
    let caller = Caller { grant, ..utopia() };
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
fn a_repeated_request_gets_the_same_answer_and_leaves_one_event() {
    let mut house = House::build();
    let first = house.enrol_under("a", axis(0), key("k", 1)).unwrap();
    let (answer, receipt) = house.ask(&utopia(), house.request(axis(0)), key("l", 2)).unwrap();
    let events = house.events().len();
    for _ in 0..2 {
        assert_eq!(house.enrol_under("a", axis(0), key("k", 1)).unwrap(), first);
        let again = house.ask(&utopia(), house.request(axis(0)), key("l", 2)).unwrap();
        assert_eq!(again, (answer.clone(), receipt));
        assert_eq!(house.events().len(), events);
        house = house.reopen();
    }
    let reused = house.enrol_under("b", axis(1), key("k", 9));
    assert!(matches!(reused, Err(EnrolError::Key(KeyError::Reused))));
    // After a day the key is free again.
    house.clock.0.fetch_add(25 * 3_600_000, Ordering::SeqCst);
    house.enrol("c", axis(2)).unwrap();
    assert!(matches!(house.enrol_under("a", axis(0), key("k", 1)), Err(EnrolError::Exists { .. })));
}

#[test]
fn two_requests_under_one_key_are_not_answered_at_once() {
    let house = House::build();
    let held = lookup::prepare(&house.gallery, &utopia(), house.request(axis(0)), key("k", 1)).unwrap();
    let second = house.ask(&utopia(), house.request(axis(0)), key("k", 1));
    assert!(matches!(second, Err(LookupError::Key(KeyError::InProgress))));
    drop(held);
    house.ask(&utopia(), house.request(axis(0)), key("k", 1)).unwrap();
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
    house.clock.0.fetch_sub(5 * 86_400_000, Ordering::SeqCst);
    house = house.reopen();
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
fn verification_compares_with_one_subject_of_the_watchlist() {
    let house = House::build();
    let subject = house.enrol("a", axis(0)).unwrap();
    house.enrol("b", axis(1)).unwrap();
    let ask = |subject, features| {
        let LookupRequest { ground, .. } = house.request(features);
        let probe = sample(features);
        let request = VerificationRequest { watchlist: house.list, subject, ground, probe, threshold: None };
        verify::verify(&house.gallery, &utopia(), request, None).map(|(answer, _)| answer)
    };
    let same = ask(subject, axis(0)).unwrap();
    assert_eq!((same.decision, same.score, same.certificate.compared), (Decision::Hit, 1.0, 1));
    assert_eq!(ask(subject, axis(1)).unwrap().decision, Decision::NoHit);
    let unknown = SubjectId::mint(&Ambient::system());
    assert!(matches!(ask(unknown, axis(0)), Err(verify::VerifyError::Subject)));
    retire::retire(&house.gallery, &utopia(), subject, None).unwrap();
    assert!(matches!(ask(subject, axis(0)), Err(verify::VerifyError::Subject)));
}

fn row(subject: &str, encounter: &str, list: WatchlistId, features: [f32; DIMENSION]) -> BulkRow {
    BulkRow {
        subject: subject.parse().unwrap(),
        encounter: encounter.parse().unwrap(),
        watchlist: list,
        category: Category::Wanted,
        features: features.to_vec(),
    }
}

#[test]
fn a_bulk_enrolment_is_resumed_by_repeating_it() {
    let mut house = House::build();
    let (other, _) = publish::create_watchlist(&house.gallery, &utopia(), policy("other"), None).unwrap();
    let mut bad = row("c", "1", house.list, [f32::NAN; DIMENSION]);
    let mut forbidden = row("d", "1", house.list, axis(4));
    forbidden.category = Category::Victim;
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
fn an_export_holds_the_features_as_they_came() {
    let house = House::build();
    let features = axis(0).map(|x| x * 7.5 + 0.25);
    house.enrol("a", features).unwrap();
    let mut rows = Vec::new();
    let sink = |row| {
        rows.push(row);
        Ok(())
    };
    assert_eq!(crate::export::export(&house.gallery, &utopia(), house.list, sink).unwrap(), 1);
    assert_eq!((rows[0].subject.as_str(), rows[0].features.as_slice()), ("a", features.as_slice()));
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
fn nobody_is_enrolled_with_a_template_that_no_list_of_theirs_is_searched_with() {
    let house = House::build();
    let other = ModelId::new("other").unwrap();
    let profile = ModelProfile::new(other.clone(), DIMENSION, None).unwrap();
    publish::add_model(&house.gallery, &utopia(), profile).unwrap();
    let of = |model: &ModelId| NewEncounter {
        reference: None,
        captured_at: None,
        sample: RawFeatures { model: model.clone(), features: axis(0).to_vec() },
    };
    let put = |encounters| {
        let entries = vec![(house.list, Category::Wanted)];
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
    let entries = vec![(house.list, Category::Wanted), (second.id, Category::Wanted)];
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
        let grant = Grant { watchlists: Reach::Listed([list].into()), ..utopia().grant };
        Caller { grant, ..utopia() }
    };
    let caller = reaching(other.id);
    let retired = retire::retire(&house.gallery, &caller, subject, None);
    assert!(matches!(retired, Err(retire::RetireError::Unknown)));
    let seen = inspect::inspect(&house.gallery, &caller, &Which::Id(subject));
    assert!(matches!(seen, Err(inspect::InspectError::Unknown)));
    let new = NewEncounter { reference: None, captured_at: None, sample: sample(axis(1)) };
    let added = enrol::enrol_encounter(&house.gallery, &caller, subject, new, None);
    assert!(matches!(added, Err(EnrolError::Unknown)));
    // Nor people who stood there once.
    retire::retire(&house.gallery, &reaching(house.list), subject, None).unwrap();
    let retired = retire::retire(&house.gallery, &caller, subject, None);
    assert!(matches!(retired, Err(retire::RetireError::Unknown)));
    let misses = house.events().into_iter().filter(|event| matches!(event.what, What::Refused { .. }));
    assert_eq!(misses.count(), 4, "each attempt is in the log");
}

#[test]
fn a_stored_answer_is_not_given_to_another_holder_or_without_a_permit() {
    let house = House::build();
    house.enrol("a", axis(0)).unwrap();
    let ask = |caller: &Caller| house.ask(caller, house.request(axis(0)), key("k", 1));
    let first = ask(&utopia()).unwrap();
    assert_eq!(ask(&utopia()).unwrap(), first);
    let successor = Caller { agency: crate::id::AgencyId::mint(&Ambient::system()), ..utopia() };
    assert_ne!(ask(&successor).unwrap().0.lookup, first.0.lookup);
    let grant = Grant { purposes: [].into(), ..utopia().grant };
    assert!(matches!(ask(&Caller { grant, ..utopia() }), Err(LookupError::Refused(_))));
}

#[test]
fn what_was_inconclusive_is_asked_anew_under_the_same_key() {
    let house = House::build();
    house.enrol("a", axis(0)).unwrap();
    let whole = Snapshot::clone(&house.gallery.current.load());
    house.break_snapshot(|snapshot| snapshot.pieces.clear());
    let ask = || house.ask(&utopia(), house.request(axis(1)), key("k", 1)).unwrap().0.decision;
    assert_eq!(ask(), Decision::Inconclusive);
    house.gallery.current.replace(whole);
    assert_eq!(ask(), Decision::NoHit);
}

/// A disk under the log that is full while the flag is set.
struct Full(Disk, Arc<AtomicBool>);

impl Storage for Full {
    fn names(&self) -> io::Result<Vec<String>> {
        self.0.names()
    }
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.0.read(name)
    }
    fn create(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.0.create(name, content)
    }
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.1.load(Ordering::SeqCst) {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            self.0.append(bytes)
        }
    }
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }
}

#[test]
fn without_the_log_nothing_is_answered_and_what_waits_for_it_is_taken_by_itself() {
    let house = House::build();
    let House { gallery, clock, list, folder } = house;
    drop(gallery);
    let full = Arc::new(AtomicBool::new(false));
    let ambient = Ambient { clock: Arc::clone(&clock) as _, ..Ambient::system() };
    let gallery = Gallery::open_on(folder.path(), 1, ambient, |disk| Full(disk, Arc::clone(&full))).unwrap();
    let house = House { gallery, clock, list, folder };
    house.enrol("a", axis(0)).unwrap();
    full.store(true, Ordering::SeqCst);
    let unlogged = |error: LookupError| matches!(error, LookupError::Node(WriteError::Log(_)));
    assert!(unlogged(house.ask(&utopia(), house.request(axis(0)), None).unwrap_err()));
    let enrolled = house.enrol_under("b", axis(1), key("k", 1));
    assert!(matches!(enrolled, Err(EnrolError::Node(WriteError::Log(_)))));
    assert!(house.gallery.ready().is_err(), "a change waits for the log");
    assert!(matches!(house.enrol("c", axis(2)), Err(EnrolError::Node(_))), "and nothing else is changed");
    full.store(false, Ordering::SeqCst);
    while house.gallery.ready().is_err() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // Without any other change, the one that waited is there, and its caller gets the answer.
    assert_eq!(house.look(axis(1)).decision, Decision::Hit);
    let (subject, _) = house.enrol_under("b", axis(1), key("k", 1)).unwrap();
    assert_eq!(house.look(axis(1)).candidates[0].subject, subject);
    assert_eq!(house.look(axis(2)).decision, Decision::NoHit);
    house.gallery.check().unwrap();
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_a_data_folder() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::build();
    house.enrol("a", axis(0)).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(house.folder.path()), 0o700);
    for entry in std::fs::read_dir(house.folder.path()).unwrap().map(Result::unwrap) {
        assert!(entry.path().is_dir() || mode(&entry.path()) == 0o600, "{:?}", entry.path());
    }
}

#[test]
fn two_processes_do_not_open_one_folder() {
    let house = House::build();
    assert!(matches!(open(house.folder.path(), &house.clock), Err(OpenError::Locked)));
    assert!(matches!(Gallery::create(house.folder.path()), Err(OpenError::Locked)));
    let elsewhere = tempfile::tempdir().unwrap();
    assert!(matches!(open(elsewhere.path(), &house.clock), Err(OpenError::Missing(_))));
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn an_older_store_or_a_shortened_log_is_refused() {
    let house = House::build();
    house.enrol("a", axis(0)).unwrap();
    let House { gallery, clock, list, folder } = house;
    drop(gallery);
    let old = tempfile::tempdir().unwrap();
    copy(folder.path(), old.path());
    let house = House { gallery: open(folder.path(), &clock).unwrap(), clock, list, folder };
    house.enrol("b", axis(1)).unwrap();
    let House { gallery, clock, folder, .. } = house;
    drop(gallery);
    let mixed = |store: &Path, log: &Path| {
        let mixed = tempfile::tempdir().unwrap();
        copy(store, mixed.path());
        std::fs::remove_dir_all(mixed.path().join("log")).unwrap();
        copy(&log.join("log"), &mixed.path().join("log"));
        open(mixed.path(), &clock).map(drop)
    };
    assert!(matches!(
        mixed(old.path(), folder.path()),
        Err(OpenError::Recover(RecoverError::StoreBehind { .. }))
    ));
    assert!(matches!(
        mixed(folder.path(), old.path()),
        Err(OpenError::Recover(RecoverError::LogBehind { .. }))
    ));
    assert!(mixed(folder.path(), folder.path()).is_ok());
}

#[test]
fn events_that_the_log_lacks_are_appended_at_start() {
    let house = House::build();
    let subject = house.enrol_under("a", axis(0), key("k", 1)).unwrap();
    let House { gallery, clock, list, folder } = house;
    drop(gallery);
    // As if the process had been killed between the store's commit and the log's: the last leaf is gone,
    // and its event is in the outbox still.
    let log = folder.path().join("log").join(audit::segment::name(0));
    let mut bytes = std::fs::read(&log).unwrap();
    let leaves = audit::segment::parse(&bytes).unwrap().leaves;
    let last = leaves.last().unwrap();
    let cut = audit::segment::batch(0, std::slice::from_ref(last)).len();
    bytes.truncate(bytes.len() - cut);
    std::fs::write(&log, bytes).unwrap();
    let store = rusqlite::Connection::open(folder.path().join("limen.db")).unwrap();
    let values = rusqlite::params![last.tag as i64, last.salt, last.payload];
    store.execute("INSERT INTO outbox VALUES (?1, ?2, ?3)", values).unwrap();
    store.execute("UPDATE answer SET leaf_index = NULL, leaf_hash = NULL", []).unwrap();
    drop(store);
    let house = House { gallery: open(folder.path(), &clock).unwrap(), clock, list, folder };
    assert_eq!(house.enrol_under("a", axis(0), key("k", 1)).unwrap(), subject);
    house.gallery.check().unwrap();
    assert_eq!(house.look(axis(0)).decision, Decision::Hit);
}

#[test]
fn a_damaged_record_is_refused_at_start() {
    let house = House::build();
    house.enrol("a", axis(0)).unwrap();
    let House { gallery, clock, folder, .. } = house;
    drop(gallery);
    let damage = |sql: &str| {
        let store = rusqlite::Connection::open(folder.path().join("limen.db")).unwrap();
        store.execute(sql, []).unwrap();
        drop(store);
        open(folder.path(), &clock).map(drop)
    };
    assert!(matches!(
        damage("UPDATE watchlist SET active = 7"),
        Err(OpenError::Recover(RecoverError::Counts))
    ));
    assert!(damage("UPDATE watchlist SET active = 1").is_ok());
    let flip = "UPDATE encounter SET features = zeroblob(length(features))";
    assert!(matches!(damage(flip), Err(OpenError::Recover(RecoverError::Store(_)))));
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
                let new = NewEncounter { reference: None, captured_at: None, sample: sample(features) };
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
