//! Laws of repetition, failure and restart.

use super::{
    device::{self, State},
    *,
};
use crate::{
    Gallery,
    ambient::Ambient,
    authority::{Caller, Rights},
    decision::Decision,
    enrol::EnrolError,
    export::{self, ExportError, Given},
    generation::Snapshot,
    idempotency::KeyError,
    lookup::{self, LookupError},
    open::OpenError,
    record::{StoreError, WriteError, recover::RecoverError},
};
use std::{path::Path, sync::atomic::Ordering};

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
fn a_stored_answer_is_not_given_to_another_holder_or_without_a_permit() {
    let house = House::build();
    house.enrol("a", axis(0)).unwrap();
    let ask = |caller: &Caller| house.ask(caller, house.request(axis(0)), key("k", 1));
    let first = ask(&utopia()).unwrap();
    assert_eq!(ask(&utopia()).unwrap(), first);
    let successor = Caller { agency: crate::id::AgencyId::mint(&Ambient::system()), ..utopia() };
    assert_ne!(ask(&successor).unwrap().0.lookup, first.0.lookup);
    let rights = Rights { purposes: [].into(), ..utopia().rights };
    assert!(matches!(ask(&Caller { rights, ..utopia() }), Err(LookupError::Refused(_))));
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

#[test]
fn without_the_log_nothing_is_answered_and_what_waits_for_it_is_taken_by_itself() {
    let house = House::build();
    let switch = device::switch();
    let house = device::open_on(house, Setup::new(root(), 1), &switch);
    house.enrol("a", axis(0)).unwrap();
    switch.turn(State::Full);
    let unlogged = |error: LookupError| matches!(error, LookupError::Node(WriteError::Log(_)));
    assert!(unlogged(house.ask(&utopia(), house.request(axis(0)), None).unwrap_err()));
    let enrolled = house.enrol_under("b", axis(1), key("k", 1));
    assert!(matches!(enrolled, Err(EnrolError::Node(WriteError::Log(_)))));
    assert!(house.gallery.ready().is_err(), "a change waits for the log");
    assert!(matches!(house.enrol("c", axis(2)), Err(EnrolError::Node(_))), "and nothing else is changed");
    switch.turn(State::Well);
    while house.gallery.ready().is_err() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // Without any other change, the one that waited is there, and its caller gets the answer.
    assert_eq!(house.look(axis(1)).decision, Decision::Hit);
    let (subject, _) = house.enrol_under("b", axis(1), key("k", 1)).unwrap();
    assert_eq!(seen(&house.look(axis(1)).candidates[0]).0, subject);
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
    let made = Gallery::create(house.folder.path(), &root(), &Ambient::system());
    assert!(matches!(made, Err(OpenError::Exists(_))));
    let elsewhere = tempfile::tempdir().unwrap();
    assert!(matches!(open(elsewhere.path(), &house.clock), Err(OpenError::Missing(_))));
}

pub(super) fn copy(from: &Path, to: &Path) {
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
    let old = Home::new();
    copy(folder.path(), old.path());
    let house = House { gallery: open(folder.path(), &clock).unwrap(), clock, list, folder };
    house.enrol("b", axis(1)).unwrap();
    let House { gallery, clock, folder, .. } = house;
    drop(gallery);
    let mixed = |store: &Path, log: &Path| {
        let mixed = Home::new();
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
    let values = rusqlite::params![last.tag as i64, last.commitment.0, last.payload];
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
    let House { gallery, clock, folder, list } = house;
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
    let flip = "UPDATE encounter SET template = zeroblob(length(template))";
    assert!(matches!(damage(flip), Err(OpenError::Recover(RecoverError::Store(_)))));
    // A tool that opens it without what is searched gives none of it out.
    let setup = Setup { index: crate::Index::Unsearched, ..Setup::new(root(), 1) };
    let ambient = Ambient { clock, ..Ambient::system() };
    let gallery = Gallery::open(folder.path(), setup, ambient).unwrap();
    let mut given = 0;
    let exported = export::export(&gallery, &utopia(), list, |given_now| {
        given += u32::from(matches!(given_now, Given::Row(_)));
        Ok(())
    });
    assert!(
        matches!(exported, Err(ExportError::Node(WriteError::Store(StoreError::Damaged(_)))) if given == 0)
    );
}
