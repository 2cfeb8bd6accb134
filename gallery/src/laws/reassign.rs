//! An encounter that is moved, and a subject that is merged, are somebody else's from then on: in every search, after every start, until they
//! are erased.

use super::{House, axis, open, sample, seen, utopia};
use crate::{
    SubjectChangeError,
    authority::{Caller, Rights},
    enrol,
    enrol_batch::{self, BulkRow, RowOutcome},
    erase,
    id::{AgencyId, EncounterId, SubjectId},
    inspect::{self, Which},
    law::Category,
    reassign, rebuild, restrict, retire,
    subject::{Listing, NewEncounter, NewSubject},
};

impl House {
    /// Someone with an encounter along each of these axes.
    fn person(&self, name: &str, axes: &[usize]) -> (SubjectId, Vec<EncounterId>) {
        let encounter = |n: &usize| NewEncounter {
            reference: Some(format!("{name}-{n}").parse().unwrap()),
            captured_at: None,
            sample: sample(axis(*n)),
            quality: None,
        };
        let new = NewSubject {
            reference: name.parse().unwrap(),
            entries: vec![(self.list, Listing::plain(Category::Wanted))],
            encounters: axes.iter().map(encounter).collect(),
        };
        let (done, _) = enrol::enrol_subject(&self.gallery, &utopia(), new, None).unwrap();
        (done.subject, done.encounters)
    }

    /// Who is found along an axis, and by which encounter.
    fn found(&self, n: usize) -> Option<(SubjectId, EncounterId)> {
        let answer = self.look(axis(n));
        assert_eq!(answer.certificate.compared, answer.certificate.expected);
        answer.candidates.first().map(|candidate| (seen(candidate).0, seen(candidate).1))
    }
}

#[test]
fn what_is_moved_is_found_as_the_others_also_after_a_start_and_in_every_generation() {
    let house = House::build();
    let (one, encounters) = house.person("one", &[0, 1]);
    let (other, _) = house.person("other", &[2]);
    let built = rebuild::rebuild(&house.gallery, &utopia(), |_| true).unwrap();
    let moved = encounters[1];
    reassign::move_encounters(&house.gallery, &utopia(), one, vec![moved], other, None).unwrap();
    let check = |house: &House| {
        assert_eq!(house.found(1), Some((other, moved)));
        assert_eq!(house.found(0), Some((one, encounters[0])));
        assert_eq!(house.look(axis(1)).certificate.expected, 3);
        house.gallery.check().unwrap();
    };
    check(&house);
    let house = house.reopen();
    assert!(house.gallery.unused_generation().is_none());
    assert_eq!(house.look(axis(1)).certificate.generation, Some(built.id));
    check(&house);
    rebuild::rebuild(&house.gallery, &utopia(), |_| true).unwrap();
    check(&house);
    rebuild::rollback(&house.gallery, &utopia()).unwrap();
    check(&house);
    // Its template is erased with the other, not with the one.
    erase::erase(&house.gallery, &utopia(), one, None).unwrap();
    assert_eq!(house.found(1), Some((other, moved)));
    erase::erase(&house.gallery, &utopia(), other, None).unwrap();
    assert_eq!((house.found(0), house.found(1), house.found(2)), (None, None, None));
    let house = house.reopen();
    assert_eq!(house.found(1), None);
    house.gallery.check().unwrap();
}

#[test]
fn who_is_merged_is_found_as_the_other_and_erased_with_it() {
    let house = House::build();
    let (one, _) = house.person("one", &[0, 1]);
    let (two, _) = house.person("two", &[2]);
    let (all, _) = house.person("all", &[3]);
    reassign::merge(&house.gallery, &utopia(), one, two, None).unwrap();
    reassign::merge(&house.gallery, &utopia(), two, all, None).unwrap();
    let check = |house: &House| {
        (0..4).for_each(|n| assert_eq!(house.found(n).map(|(subject, _)| subject), Some(all), "{n}"));
        let (subject, _) = inspect::inspect(&house.gallery, &utopia(), &Which::Id(all)).unwrap();
        assert_eq!((subject.encounters.len(), subject.entries.len()), (4, 1));
        house.gallery.check().unwrap();
    };
    check(&house);
    let house = house.reopen();
    check(&house);
    let again = reassign::merge(&house.gallery, &utopia(), one, all, None);
    assert!(matches!(again, Err(SubjectChangeError::State(_))), "it is retired");
    // Older copies hold them under their own keys: all three are destroyed.
    assert!(erase::erase(&house.gallery, &utopia(), all, None).unwrap().complete);
    let status = house.gallery.status().unwrap();
    assert_eq!((status.subjects, status.retired, status.erased, status.encounters), (0, 0, 3, 0));
    assert_eq!(house.gallery.ledger.lines(), 3);
    house.gallery.check().unwrap();
    let clock = std::sync::Arc::clone(&house.clock);
    let folder = house.folder.path().to_owned();
    let House { gallery, folder: _held, .. } = house;
    drop(gallery);
    open(&folder, &clock).unwrap().check().unwrap();
}

#[test]
fn what_may_not_be_moved_stays_where_it_is() {
    let house = House::build();
    let (one, encounters) = house.person("one", &[0, 1]);
    let (other, _) = house.person("other", &[2]);
    let (contested, _) = house.person("contested", &[3]);
    let (gone, _) = house.person("gone", &[4]);
    restrict::restrict(&house.gallery, &utopia(), contested, None).unwrap();
    retire::retire(&house.gallery, &utopia(), gone, None).unwrap();
    let stranger = Caller::administrator("x".parse().unwrap(), "XAA".parse().unwrap());
    let weak = Caller {
        rights: Rights { verbs: [].into(), ..utopia().rights },
        agency: AgencyId::mint(&crate::ambient::Ambient::system()),
        ..utopia()
    };
    let events = house.events().len();
    let moves = |caller: &Caller, encounters: &[EncounterId], to| {
        reassign::move_encounters(&house.gallery, caller, one, encounters.to_vec(), to, None).map(drop)
    };
    let state = |result| assert!(matches!(result, Err(SubjectChangeError::State(_))), "{result:?}");
    state(moves(&utopia(), &encounters, other)); // none would be left
    state(moves(&utopia(), &encounters[..1], contested));
    state(moves(&utopia(), &encounters[..1], gone));
    state(moves(&utopia(), &encounters[..1], one));
    let foreign = house.person("more", &[5, 6]).1;
    state(moves(&utopia(), &foreign[..1], other));
    let unknown = |result| assert!(matches!(result, Err(SubjectChangeError::Unknown)), "{result:?}");
    unknown(moves(&stranger, &encounters[..1], other));
    unknown(moves(&utopia(), &encounters[..1], SubjectId::mint(&crate::ambient::Ambient::system())));
    assert!(matches!(moves(&weak, &encounters[..1], other), Err(SubjectChangeError::Refused(_))));
    state(reassign::merge(&house.gallery, &utopia(), contested, other, None).map(drop));
    assert_eq!(house.found(0), Some((one, encounters[0])));
    assert_eq!(house.found(2).map(|(subject, _)| subject), Some(other));
    assert!(house.events().len() > events, "refusals are in the log");
    house.gallery.check().unwrap();
}

#[test]
fn a_name_that_both_have_is_kept_in_the_move_and_what_was_moved_is_not_enrolled_again() {
    let house = House::build();
    let encounter = |name: &str, n| NewEncounter {
        reference: Some(name.parse().unwrap()),
        captured_at: None,
        sample: sample(axis(n)),
        quality: None,
    };
    let person = |name: &str, encounters| {
        let entries = vec![(house.list, Listing::plain(Category::Wanted))];
        let new = NewSubject { reference: name.parse().unwrap(), entries, encounters };
        enrol::enrol_subject(&house.gallery, &utopia(), new, None).unwrap().0
    };
    let one = person("one", vec![encounter("1", 0), encounter("2", 1)]);
    let other = person("other", vec![encounter("1", 2)]);
    let moved = one.encounters[0];
    reassign::move_encounters(&house.gallery, &utopia(), one.subject, vec![moved], other.subject, None)
        .unwrap();
    assert_eq!(house.found(0), Some((other.subject, moved)));
    let again = enrol::enrol_encounter(&house.gallery, &utopia(), one.subject, encounter("1", 0), None);
    assert!(matches!(again, Err(enrol::EnrolError::Exists { .. })), "{again:?}");
    let row = BulkRow {
        subject: "one".parse().unwrap(),
        encounter: "1".parse().unwrap(),
        watchlist: house.list,
        listing: Listing::plain(Category::Wanted),
        features: axis(0).to_vec(),
        quality: None,
    };
    let (outcomes, _) = enrol_batch::enrol_batch(&house.gallery, &utopia(), vec![row]).unwrap();
    assert!(matches!(outcomes[..], [RowOutcome::Already]), "{outcomes:?}");
    assert_eq!(house.look(axis(0)).total, 1);
    house.gallery.check().unwrap();
}

#[test]
fn who_is_enrolled_while_merged_is_the_others_or_nobodys() {
    let house = House::build();
    let (all, _) = house.person("all", &[7]);
    for round in 0..30 {
        let (one, _) = house.person(&format!("p{round}"), &[6]);
        let new = NewEncounter { reference: None, captured_at: None, sample: sample(axis(5)), quality: None };
        std::thread::scope(|scope| {
            scope.spawn(|| drop(enrol::enrol_encounter(&house.gallery, &utopia(), one, new, None)));
            scope.spawn(|| reassign::merge(&house.gallery, &utopia(), one, all, None).unwrap());
            scope.spawn(|| (0..3).for_each(|_| drop(house.ask(&utopia(), house.request(axis(6)), None))));
        });
        assert_eq!(house.found(6).map(|(subject, _)| subject), Some(all), "round {round}");
        assert!(house.found(5).is_none_or(|(subject, _)| subject == all), "round {round}");
    }
    house.gallery.check().unwrap();
    house.reopen().gallery.check().unwrap();
}

#[test]
fn what_could_not_be_taken_out_of_a_generation_is_taken_out_before_it_is_erased() {
    let house = House::build();
    let (one, encounters) = house.person("one", &[0, 1]);
    let (other, _) = house.person("other", &[2]);
    rebuild::rebuild(&house.gallery, &utopia(), |_| true).unwrap();
    let rows = |generation: u64| {
        let path = house.folder.path().join(format!("generations/{generation}/rows-0"));
        let bytes = std::fs::read(path).unwrap();
        bytes.chunks(bytes.len() / 3).filter(|row| row.iter().all(|byte| *byte == 0)).count()
    };
    let first = rebuild::chosen(&house.gallery).unwrap().unwrap().0;
    assert_eq!(rows(first), 0);
    reassign::move_encounters(&house.gallery, &utopia(), one, vec![encounters[1]], other, None).unwrap();
    assert_eq!(rows(first), 1, "its place in the older file is empty");
    erase::erase(&house.gallery, &utopia(), other, None).unwrap();
    assert_eq!(rows(first), 2);
    house.gallery.check().unwrap();
}
