//! Laws of backups.

use super::*;
use crate::{
    backup::{self, BackupError},
    enrol_batch::{self, BulkRow},
    erase,
    event::What,
    inspect::{self, Which},
    open::Setup,
    restore::{self, Order as Plan, RestoreError},
};
use std::{fs, sync::atomic::AtomicBool};

fn features(n: u16) -> [f32; DIMENSION] {
    std::array::from_fn(|i| (f32::from(n) * 1.7 + i as f32 * 0.77).sin() + f32::from(n % 97) * 0.01)
}

fn fill(house: &House, numbers: std::ops::Range<u16>) {
    let row = |n| BulkRow {
        subject: format!("p{n}").parse().unwrap(),
        encounter: "e".parse().unwrap(),
        watchlist: house.list,
        listing: Listing::plain(Category::Wanted),
        features: features(n).to_vec(),
        quality: None,
    };
    enrol_batch::enrol_batch(&house.gallery, &utopia(), numbers.map(row).collect()).unwrap();
}

fn there(gallery: &Gallery, n: u16) -> Option<SubjectId> {
    let which = Which::Reference(format!("p{n}").parse().unwrap());
    inspect::inspect(gallery, &utopia(), &which).ok().map(|(subject, _)| subject.id)
}

/// The folders of a backup beside the data folder.
fn folders(house: &House) -> (std::path::PathBuf, std::path::PathBuf) {
    (house.folder.place().join("backup"), house.folder.place().join("keys"))
}

fn plan<'a>(from: &'a Path, keys: Option<&'a Path>, folder: &'a Path) -> Plan<'a> {
    Plan { from, keys, folder, replace: false, anchor: None, ledger: None }
}

#[test]
fn a_backup_taken_while_people_are_enrolled_is_one_state_of_record_and_log() {
    let house = House::build();
    fill(&house, 0..500);
    let (to, keys) = folders(&house);
    let done = AtomicBool::new(false);
    let made = std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 500.. {
                if done.load(Ordering::SeqCst) {
                    return;
                }
                house.enrol(&format!("p{n}"), features(n)).unwrap();
                house.look(features(n));
            }
        });
        std::thread::sleep(std::time::Duration::from_millis(50));
        let made = backup::backup(&house.gallery, &utopia(), &to, Some(&keys));
        done.store(true, Ordering::SeqCst);
        made.unwrap()
    });
    assert!(matches!(backup::backup(&house.gallery, &utopia(), &to, None), Err(BackupError::Exists(_))));
    assert!(!to.join("keys").exists() && !to.join("generations").exists(), "keys stand apart");
    let elsewhere = Home::new();
    let order = plan(&to, Some(&keys), elsewhere.path());
    assert!(matches!(
        restore::restore(&Plan { keys: None, ..order.clone() }, &root(), &Ambient::system()),
        Err(RestoreError::NoKeys)
    ));
    let restored = restore::restore(&order, &root(), &Ambient::system()).unwrap();
    assert_eq!((restored.backup.as_of, restored.replaced), (made.as_of, None));
    let copy = open(elsewhere.path(), &house.clock).unwrap();
    copy.check().unwrap();
    assert!((0..500).all(|n| there(&copy, n) == there(&house.gallery, n)));
    let status = copy.status().unwrap();
    assert!(status.subjects >= 500 && status.active[0].1 == status.subjects);
    drop(copy);

    // In place of the folder itself, only if told to; it says what is lost.
    let last = house.enrol("last", axis(0)).unwrap();
    let known = house.gallery.current.load().as_of;
    let House { gallery, clock, list, folder } = house;
    drop(gallery);
    let order = plan(&to, None, folder.path());
    let refused = restore::restore(&order, &root(), &Ambient::system()).unwrap_err();
    assert!(matches!(&refused, RestoreError::Exists { lost, .. } if lost.known == known), "{refused}");
    assert!(
        refused.to_string().contains(&format!("events {} to {}", made.as_of.0 + 1, known.0)),
        "{refused}"
    );
    let order = Plan { replace: true, ..order };
    let restored = restore::restore(&order, &root(), &Ambient::system()).unwrap();
    assert_eq!(restored.lost.known, known);
    let replaced = restored.replaced.unwrap();
    assert!(replaced.join("limen.db").is_file() && !replaced.join("keys").exists());
    let house = House { gallery: open(folder.path(), &clock).unwrap(), clock, list, folder };
    house.gallery.check().unwrap();
    assert!(inspect::inspect(&house.gallery, &utopia(), &Which::Id(last)).is_err());
    let told = |event: &Event| matches!(event.what, What::Restore { known: k, .. } if k == known);
    assert!(house.events().iter().any(told));
    // What was lost can be enrolled again, under keys of their own.
    house.enrol("last", axis(0)).unwrap();
    let house = house.reopen();
    house.gallery.check().unwrap();
}

#[test]
fn a_backup_older_than_a_thousand_erasures_brings_nobody_back() {
    let mut house = House::build();
    fill(&house, 0..1100);
    let subjects: Vec<SubjectId> = (0..1100).map(|n| there(&house.gallery, n).unwrap()).collect();
    let (to, keys) = folders(&house);
    backup::backup(&house.gallery, &utopia(), &to, Some(&keys)).unwrap();
    for subject in &subjects[..1000] {
        assert!(erase::erase(&house.gallery, &utopia(), *subject, None).unwrap().complete);
    }
    for lost_folder in [false, true] {
        let House { gallery, clock, list, folder } = house;
        drop(gallery);
        if lost_folder {
            fs::remove_dir_all(folder.path()).unwrap(); // and the old keys are all that is left
        }
        let order = Plan { replace: true, ..plan(&to, Some(&keys), folder.path()) };
        let ambient = Ambient { clock: Arc::clone(&clock) as _, ..Ambient::system() };
        restore::restore(&order, &root(), &ambient).unwrap();
        house = House { gallery: open(folder.path(), &clock).unwrap(), clock, list, folder };
        house.gallery.check().unwrap();
        let status = house.gallery.status().unwrap();
        assert_eq!((status.subjects, status.erased, status.encounters), (100, 1000, 100));
        assert!((0..1000).all(|n| there(&house.gallery, n).is_none()));
        assert!((1000..1100).all(|n| there(&house.gallery, n) == Some(subjects[usize::from(n)])));
        for n in (0..1100).step_by(7) {
            let found =
                house.look(features(n)).candidates.iter().any(|c| seen(c).0 == subjects[usize::from(n)]);
            assert_eq!(found, n >= 1000, "{n}");
        }
    }
    // In the backup and everywhere else: nothing of them that any key opens, and nothing in plain.
    for n in (0..1000).step_by(97) {
        assert_eq!(erasure::traces(house.folder.place(), &features(n)), 0);
    }
}

#[test]
fn a_damaged_backup_or_one_of_another_root_key_is_refused_and_leaves_the_folder_as_it_is() {
    let house = House::build();
    fill(&house, 0..20);
    let (to, keys) = folders(&house);
    backup::backup(&house.gallery, &utopia(), &to, Some(&keys)).unwrap();
    let elsewhere = Home::new();
    let order = plan(&to, Some(&keys), elsewhere.path());
    let refused = |what: &Path| {
        let error = restore::restore(&order, &root(), &Ambient::system()).unwrap_err();
        assert!(matches!(error, RestoreError::Backup(_)), "{what:?}: {error}");
        assert!(!elsewhere.path().exists());
    };
    let log = to.join("log").join(audit::segment::name(0));
    let files = ["limen.db", "erasures", "backup.json"].map(|name| to.join(name)).into_iter();
    for path in files.chain([log]).chain(["subjects", "nations", "backup.json"].map(|name| keys.join(name))) {
        let whole = fs::read(&path).unwrap();
        for at in [0, whole.len() / 2, whole.len() - 2] {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&path, flipped).unwrap();
            refused(&path);
        }
        fs::write(&path, &whole[..whole.len() - 2]).unwrap();
        refused(&path);
        fs::remove_file(&path).unwrap();
        refused(&path);
        fs::write(&path, whole).unwrap();
    }
    let other = crate::keys::root::RootKey::draw(&Ambient::system());
    let error = restore::restore(&order, &other, &Ambient::system()).unwrap_err();
    assert!(matches!(error, RestoreError::Backup(BackupError::OtherRoot)));
    restore::restore(&order, &root(), &Ambient::system()).unwrap();
    let setup = Setup { index: crate::Index::Unsearched, ..Setup::new(root(), 1) };
    Gallery::open(elsewhere.path(), setup, Ambient::system()).unwrap().check().unwrap();
}
