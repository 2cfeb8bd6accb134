//! Laws of keys, restriction and erasure.

use super::*;
use crate::{
    SubjectChangeError,
    ambient::Ambient,
    decision::Decision,
    erase::{self, Erased},
    event::What,
    inspect::{self, InspectError, Which},
    keys::{FOLDER, KeysError, ledger::Ledger, root::RootKey},
    law::OwnReference,
    restrict, retire,
    subject::EntryState,
    subject_change,
};
use disaster::copy;
use std::{fs, path::Path};

fn erase(house: &House, subject: SubjectId) -> Result<Erased, SubjectChangeError> {
    erase::erase(&house.gallery, &utopia(), subject, None)
}

fn close(house: House) -> (Arc<Hand>, WatchlistId, Home) {
    let House { gallery, clock, list, folder } = house;
    drop(gallery);
    (clock, list, folder)
}

/// Features that no other bytes look like.
fn telling(n: u8) -> [f32; DIMENSION] {
    std::array::from_fn(|i| (f32::from(n) * 1.7 + i as f32 * 0.77).sin())
}

/// How often the features stand in the files of a folder: raw, as 8-bit codes, as hexadecimal digits, as base64.
pub(super) fn traces(folder: &Path, features: &[f32]) -> usize {
    let raw: Vec<u8> = features.iter().flat_map(|x| x.to_le_bytes()).collect();
    let hex = base16ct::lower::encode_string(&raw);
    let greatest = features.iter().fold(0f32, |a, b| a.max(b.abs()));
    let codes: Vec<u8> =
        features.iter().map(|x| ((x / greatest * 127.0).round() as i8).cast_unsigned()).collect();
    // Three alignments; what depends on the neighbours is left out.
    let base64 = |skip: usize| base64_of(&raw[skip..raw.len() - (raw.len() - skip) % 3]);
    let mut needles = vec![raw.clone(), hex.to_uppercase().into_bytes(), hex.into_bytes(), codes];
    needles.extend((0..3).map(|skip| base64(skip).into_bytes()));
    files(folder)
        .iter()
        .map(|file| needles.iter().filter(|n| file.windows(n.len()).any(|w| w == n.as_slice())).count())
        .sum()
}

fn base64_of(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letters = |three: &[u8]| {
        let bits = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
        [18, 12, 6, 0].map(|shift| char::from(LETTERS[(bits >> shift & 63) as usize]))
    };
    bytes.chunks_exact(3).flat_map(letters).collect()
}

fn files(folder: &Path) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            files.extend(self::files(&entry.path()));
        } else {
            files.push(fs::read(entry.path()).unwrap());
        }
    }
    files
}

#[test]
fn no_template_is_on_disk_in_plain() {
    let house = House::build();
    for n in 0..20 {
        house.enrol(&format!("p{n}"), telling(n)).unwrap();
        house.look(telling(n));
    }
    for n in 0..20 {
        assert_eq!(traces(house.folder.place(), &telling(n)), 0, "{n}");
    }
    // The search for traces finds some where there are some.
    let there = tempfile::tempdir().unwrap();
    let raw: Vec<u8> = telling(1).iter().flat_map(|x| x.to_le_bytes()).collect();
    for skip in 0..3 {
        let text = format!("{}{}", &"xy"[..skip.min(2)], base64_of(&raw[skip..]));
        fs::write(there.path().join("a"), text).unwrap();
        assert_eq!(traces(there.path(), &telling(1)), 1, "{skip}");
    }
    fs::write(there.path().join("a"), [b"...".as_slice(), &raw].concat()).unwrap();
    assert_eq!(traces(there.path(), &telling(1)), 1);
}

#[test]
fn an_erased_subject_is_gone_and_an_older_copy_of_the_folder_does_not_bring_it_back() {
    let house = House::build();
    let erased: Vec<SubjectId> =
        (0..3).map(|n| house.enrol(&format!("telltale {n}"), telling(n)).unwrap()).collect();
    let kept = house.enrol("kept", telling(9)).unwrap();
    let (clock, list, folder) = close(house);
    let old = tempfile::tempdir().unwrap();
    copy(folder.path(), old.path());
    let mut house = House { gallery: open(folder.path(), &clock).unwrap(), clock, list, folder };
    retire::retire(&house.gallery, &utopia(), erased[0], None).unwrap();
    for subject in &erased {
        let done = erase(&house, *subject).unwrap();
        assert!(done.complete);
        assert!(matches!(erase(&house, *subject), Err(SubjectChangeError::Unknown)));
    }
    let gone = |house: &House| {
        for (n, subject) in (0..).zip(&erased) {
            assert_eq!(house.look(telling(n)).decision, Decision::NoHit);
            let read = inspect::inspect(&house.gallery, &utopia(), &Which::Id(*subject));
            assert!(matches!(read, Err(InspectError::Unknown)));
            let of_subject = |what: &What| matches!(what, What::Erase { subject: s } if s == subject);
            assert!(house.events().iter().any(|event| of_subject(&event.what)));
        }
        assert_eq!(seen(&house.look(telling(9)).candidates[0]).0, kept);
        house.gallery.check().unwrap();
        let status = house.gallery.status().unwrap();
        assert_eq!((status.subjects, status.erased, status.encounters), (1, 3, 1));
    };
    gone(&house);
    house = house.reopen();
    gone(&house);
    for name in ["limen.db", "limen.db-wal"] {
        let file = fs::read(house.folder.path().join(name)).unwrap();
        assert!(!file.windows(8).any(|bytes| bytes == b"telltale"), "the subject's own name is in {name}");
    }
    // The same reference may be enrolled again; the older copy of the folder does not know that.
    house.enrol("telltale 1", telling(20)).unwrap();
    let (clock, list, folder) = close(house);
    fs::remove_dir_all(folder.path()).unwrap();
    copy(old.path(), folder.path());
    // Lines more or less than the store has counted say nothing about which: one that a stop wrote twice, and an erasure that the older
    // copy had ordered itself.
    let ledger = Ledger::open(&Ledger::beside(folder.path())).unwrap().unwrap();
    ledger.append(ledger.line(2).unwrap()).unwrap();
    drop(ledger);
    let store = rusqlite::Connection::open(folder.path().join("limen.db")).unwrap();
    store.execute("UPDATE meta SET value = 4 WHERE name = 'ledger'", []).unwrap();
    drop(store);
    let mut house = House { gallery: open(folder.path(), &clock).unwrap(), clock, list, folder };
    gone(&house);
    house = house.reopen();
    gone(&house);
    assert_eq!(house.events().iter().filter(|event| matches!(event.what, What::Erase { .. })).count(), 3);
}

#[test]
fn an_interrupted_erasure_is_carried_out_at_the_next_start() {
    let house = House::build();
    let subject = house.enrol("a", axis(0)).unwrap();
    subject_change::change::<crate::authority::Erase>(
        &house.gallery,
        &utopia(),
        subject,
        None,
        move |change, found| {
            change.order_erasure(found.row)?;
            Ok(What::OrderErasure { subject })
        },
    )
    .unwrap();
    assert_eq!(house.look(axis(0)).decision, Decision::NoHit);
    assert!(matches!(erase(&house, subject), Err(SubjectChangeError::Unknown)));
    let house = house.reopen();
    assert!(matches!(house.events().last().unwrap().what, What::Erase { subject: s } if s == subject));
    house.gallery.check().unwrap();
    assert_eq!(house.gallery.ledger.lines(), 1);
}

#[test]
fn a_lost_or_shortened_ledger_is_written_anew_and_a_damaged_one_is_told() {
    let mut house = House::build();
    for n in 0..3 {
        let subject = house.enrol(&format!("p{n}"), axis(n)).unwrap();
        erase(&house, subject).unwrap();
    }
    let path = Ledger::beside(house.folder.path());
    let whole = fs::read(&path).unwrap();
    for cut in [None, Some(64), Some(128), Some(150), Some(191)] {
        let (clock, list, folder) = close(house);
        match cut {
            None => fs::remove_file(&path).unwrap(),
            Some(cut) => fs::write(&path, &whole[..cut]).unwrap(),
        }
        house = House { gallery: open(folder.path(), &clock).unwrap(), clock, list, folder };
        assert_eq!(fs::read(&path).unwrap(), whole, "{cut:?}");
    }
    let (clock, _, folder) = close(house);
    fs::write(&path, b"x").unwrap();
    assert!(open(folder.path(), &clock).is_err());
}

#[test]
fn a_restricted_subject_is_kept_and_not_searched_until_the_restriction_is_lifted() {
    let mut house = House::build();
    let subject = house.enrol("a", axis(0)).unwrap();
    let state = |house: &House| {
        let (subject, _) = inspect::inspect(&house.gallery, &utopia(), &Which::Id(subject)).unwrap();
        (subject.entries[0].state, subject.restricted_at.is_some())
    };
    let restrict = |house: &House| restrict::restrict(&house.gallery, &utopia(), subject, None);
    let lift = |house: &House| restrict::lift(&house.gallery, &utopia(), subject, None);
    assert!(matches!(lift(&house), Err(SubjectChangeError::State(_))));
    restrict(&house).unwrap();
    assert!(matches!(restrict(&house), Err(SubjectChangeError::State(_))));
    for _ in 0..2 {
        assert_eq!(house.look(axis(0)).decision, Decision::NoHit);
        assert_eq!(state(&house), (EntryState::Restricted, true));
        house = house.reopen();
    }
    lift(&house).unwrap();
    assert_eq!(house.look(axis(0)).decision, Decision::Hit);
    assert_eq!(state(&house), (EntryState::Active, false));
    // Lifted after the end of retention, it is expired, not back.
    restrict(&house).unwrap();
    house.clock.0.fetch_add(11 * 86_400_000, Ordering::SeqCst);
    assert_eq!(house.look(axis(0)).decision, Decision::NoHit);
    lift(&house).unwrap();
    assert_eq!(house.look(axis(0)).decision, Decision::NoHit);
    assert_eq!(state(&house).0, EntryState::Expired);
}

#[test]
fn another_root_key_and_damaged_keys_are_refused() {
    let house = House::build();
    house.enrol("a", axis(0)).unwrap();
    let (clock, _, folder) = close(house);
    let other = RootKey::draw(&Ambient::system());
    let error = Gallery::open(folder.path(), Setup::new(other, 1), Ambient::system()).unwrap_err();
    assert!(matches!(error, OpenError::Keys(KeysError::OtherRoot)));
    for name in ["nations", "subjects"] {
        let path = folder.path().join(FOLDER).join(name);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&path, &flipped).unwrap();
            let opened = open(folder.path(), &clock);
            // JSON has places where a space more or less is nothing.
            let harmless = |gallery: Gallery| gallery.check().is_ok();
            assert!(opened.is_err() || (name == "nations" && opened.is_ok_and(harmless)), "{name} byte {at}");
        }
        for cut in [0, 1, 63, 64, 100, whole.len() - 2] {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(open(folder.path(), &clock).is_err(), "{name} cut to {cut}");
        }
        fs::write(&path, &whole).unwrap();
        open(folder.path(), &clock).unwrap().check().unwrap();
    }
}

#[test]
fn a_key_is_that_of_one_subject_and_a_template_that_of_one_encounter() {
    let house = House::build();
    house.enrol("a", axis(0)).unwrap();
    house.enrol("b", axis(1)).unwrap();
    let (clock, _, folder) = close(house);
    let keys = folder.path().join(FOLDER).join("subjects");
    let whole = fs::read(&keys).unwrap();
    // Cells that change places, each with a checksum that suits its place.
    let mut swapped = whole.clone();
    for (from, to) in [(1u64, 2u64), (2, 1)] {
        let (from, at) = (64 * from as usize, 64 * to as usize);
        swapped[at..at + 60].copy_from_slice(&whole[from..from + 60]);
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&to.to_le_bytes()), &whole[from..from + 60]);
        swapped[at + 60..at + 64].copy_from_slice(&checksum.to_le_bytes());
    }
    fs::write(&keys, swapped).unwrap();
    assert!(open(folder.path(), &clock).is_err());
    fs::write(&keys, whole).unwrap();
    let store = rusqlite::Connection::open(folder.path().join("limen.db")).unwrap();
    let sql = "UPDATE encounter SET template = (SELECT o.template FROM encounter o WHERE o.key = 3 - encounter.key)";
    assert_eq!(store.execute(sql, []).unwrap(), 2);
    drop(store);
    assert!(open(folder.path(), &clock).is_err());
}

#[test]
fn a_contested_subject_comes_on_no_list_by_a_bulk_enrolment() {
    let house = House::build();
    let subject = house.enrol("a", axis(0)).unwrap();
    restrict::restrict(&house.gallery, &utopia(), subject, None).unwrap();
    let (other, _) = publish::create_watchlist(&house.gallery, &utopia(), policy("other"), None).unwrap();
    for watchlist in [house.list, other.id] {
        let row = crate::enrol_batch::BulkRow {
            subject: "a".parse().unwrap(),
            encounter: "e".parse().unwrap(),
            watchlist,
            listing: Listing::plain(Category::Wanted),
            features: axis(0).to_vec(),
            quality: None,
        };
        let (outcome, _) = crate::enrol_batch::enrol_batch(&house.gallery, &utopia(), vec![row]).unwrap();
        assert_eq!(
            outcome,
            [crate::enrol_batch::RowOutcome::Refused(crate::enrol_batch::RowError::Restricted)]
        );
    }
    let request =
        crate::lookup::LookupRequest { watchlists: vec![house.list, other.id], ..house.request(axis(0)) };
    assert_eq!(house.ask(&utopia(), request, None).unwrap().0.decision, Decision::NoHit);
}

#[test]
fn nothing_is_made_where_a_part_of_a_data_folder_is_left() {
    for lost in ["log", "limen.db", FOLDER] {
        let house = House::build();
        house.enrol("a", axis(0)).unwrap();
        let (clock, _, folder) = close(house);
        let (part, away) = (folder.path().join(lost), folder.place().join("away"));
        #[expect(clippy::disallowed_methods, reason = "a disk that is not there")]
        fs::rename(&part, &away).unwrap();
        assert!(matches!(open(folder.path(), &clock), Err(OpenError::Incomplete(_))), "{lost}");
        let made = Gallery::create(folder.path(), &root(), &Ambient::system());
        assert!(matches!(made, Err(OpenError::Exists(_))), "{lost}");
        #[expect(clippy::disallowed_methods, reason = "and is there again")]
        fs::rename(&away, &part).unwrap();
        open(folder.path(), &clock).unwrap().check().unwrap();
    }
}

#[test]
fn an_erased_reference_is_free_for_bulk_enrolment() {
    let house = House::build();
    let subject = house.enrol("a", axis(0)).unwrap();
    erase(&house, subject).unwrap();
    for name in ["a", "erased"] {
        let reference: OwnReference = name.parse().unwrap();
        let row = crate::enrol_batch::BulkRow {
            subject: reference.clone(),
            encounter: reference,
            watchlist: house.list,
            listing: Listing::plain(Category::Wanted),
            features: axis(1).to_vec(),
            quality: None,
        };
        let (outcome, _) = crate::enrol_batch::enrol_batch(&house.gallery, &utopia(), vec![row]).unwrap();
        assert_eq!(outcome, [crate::enrol_batch::RowOutcome::Enrolled]);
    }
}
