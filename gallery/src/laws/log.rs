//! Events are sealed, read by their own nation's auditors, and forgotten after their legal time.

use super::*;
use crate::{
    authority::{Reach, Rights, VerbName},
    evidence::{self, EvidenceError},
    handling::Remarks,
};

fn auditor(nation: &str) -> Caller {
    let rights = Rights {
        verbs: [VerbName::Audit].into(),
        watchlists: Reach::Own,
        purposes: [].into(),
        allowances: [].into(),
        searches_per_hour: 0,
    };
    Caller { rights, ..Caller::administrator("eve".parse().unwrap(), nation.parse().unwrap()) }
}

#[test]
fn events_of_past_months_are_forgotten_and_every_proof_holds() {
    let house = House::build();
    house.enrol("a", axis(0)).unwrap();
    let (_, old) = house.ask(&utopia(), house.request(axis(0)), None).unwrap();
    house.clock.0.fetch_add(40 * 86_400_000, Ordering::SeqCst);
    let (_, new) = house.ask(&utopia(), house.request(axis(0)), None).unwrap();
    let read = |house: &House, receipt: &Receipt| {
        evidence::read_event(&house.gallery, &auditor("UTO"), receipt.leaf_index())
            .map(|(evidence, _)| evidence)
    };
    let key = evidence::log_key(&house.gallery).clone();
    let kept = read(&house, &old).unwrap();
    let month = house.clock.now().to_string()[..7].to_owned();
    let forget = |before: &str| evidence::forget_before(&house.gallery, &utopia(), before.parse().unwrap());
    assert!(matches!(forget("9999-01"), Err(EvidenceError::Future)));
    assert_eq!(forget(&month).unwrap().len(), 1);
    assert_eq!(forget(&month).unwrap().len(), 0);
    let house = house.reopen();
    assert!(matches!(read(&house, &old), Err(EvidenceError::Erased)));
    assert!(read(&house, &new).is_ok());
    kept.check(&key, &[], 0).unwrap();
    evidence::prove(&house.gallery, old.leaf_index()).unwrap().check(old.leaf_hash(), &key, &[], 0).unwrap();
    house.gallery.check().unwrap();
}

#[test]
fn an_auditor_reads_what_its_own_nation_did_and_nobody_whom_it_was_not_shown() {
    let house = House::build();
    let until = Timestamp::from_unix_ms(i64::from(u32::MAX) * 1000).unwrap();
    house.break_snapshot(|snapshot| {
        let list = Arc::make_mut(&mut snapshot.catalogue).get_mut(&house.list).unwrap();
        Arc::make_mut(list).shared_with.insert("XAA".parse().unwrap(), until);
    });
    for (n, code) in [(0, "H1"), (1, "H3: x")] {
        let remarks = Remarks { handling: Some(code.parse().unwrap()), ..Remarks::default() };
        let listing = Listing { category: Category::Wanted, remarks };
        let encounters =
            vec![NewEncounter { reference: None, captured_at: None, sample: sample(axis(n)), quality: None }];
        let new =
            NewSubject { reference: code.parse().unwrap(), entries: vec![(house.list, listing)], encounters };
        enrol::enrol_subject(&house.gallery, &utopia(), new, None).unwrap();
    }
    let mut foreign = Caller::administrator("gate".parse().unwrap(), "XAA".parse().unwrap());
    foreign.rights.watchlists = Reach::Listed([house.list].into());
    let ask = |caller: &Caller, n| house.ask(caller, house.request(axis(n)), None).unwrap().1.leaf_index();
    let (own, shown, hidden) = (ask(&utopia(), 0), ask(&foreign, 0), ask(&foreign, 1));
    let may = |nation: &str, leaf| match evidence::read_event(&house.gallery, &auditor(nation), leaf) {
        Ok(_) => true,
        Err(EvidenceError::Foreign) => false,
        Err(error) => panic!("{error}"),
    };
    assert_eq!([own, shown, hidden].map(|leaf| may("UTO", leaf)), [true, false, false]);
    assert_eq!([own, shown, hidden].map(|leaf| may("XAA", leaf)), [false, true, false]);
}
