//! On disk, and with real templates.

use super::*;
use crate::{ambient::Clock, caller::Caller};
use matcher::template::ModelProfile;
use std::sync::atomic::{AtomicI64, Ordering};

struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        at(self.0.load(Ordering::SeqCst))
    }
}

struct Place(tempfile::TempDir, Arc<Hand>);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap(), Arc::new(Hand(AtomicI64::new(0))))
    }

    fn file(&self) -> std::path::PathBuf {
        self.0.path().join(FILE)
    }

    fn open_under(&self, digits: &str) -> io::Result<Guard> {
        let ambient = Ambient { clock: Arc::clone(&self.1) as _, ..Ambient::system() };
        let root = RootKey::find(Path::new(""), Some(&digits.repeat(32)), None).unwrap();
        let now = ambient.clock.now();
        Guard::open(self.0.path(), &root, Kernel::detect(), &ambient, now)
    }

    fn open(&self) -> Guard {
        self.open_under("17").unwrap()
    }
}

fn watch(guard: &Guard) -> &Watch {
    guard.0.as_ref().expect("it watches")
}

fn actor() -> Actor {
    (&Caller::administrator("admin".parse().unwrap(), "UTO".parse().unwrap())).into()
}

/// Somebody's template with 64 features, a little turned.
fn probe(person: usize, turn: f32) -> Probe {
    let profile = ModelProfile::new(ModelId::new("test").unwrap(), 64, None).unwrap();
    let mut features = [0.0; 64];
    features[person] = 1.0;
    features[63] = turn;
    Probe::new(&profile.template(&features).unwrap())
}

/// Asks and is answered, or is stopped for probes that are alike.
fn admit(guard: &Guard, probe: &Probe) -> Result<(), ()> {
    match guard.admit(&actor(), 1000, (probe, None), None) {
        Ok(admission) => {
            admission.answered();
            Ok(())
        }
        Err(Halt::Stopped(Stop { misuse: Misuse::RelatedProbes, .. })) => Err(()),
        Err(halt) => panic!("{halt:?}"),
    }
}

/// How many probes of a person it admits before it stops.
fn admitted(guard: &Guard, person: usize, from: usize) -> usize {
    (from..10_000).take_while(|count| admit(guard, &probe(person, *count as f32 / 1000.0)).is_ok()).count()
}

#[test]
fn a_restart_does_not_forget() {
    let place = Place::new();
    let guard = place.open();
    assert_eq!(admitted(&guard, 0, 0), RELATED_PROBES);
    for turn in 0..20 {
        admit(&guard, &probe(1, turn as f32 / 1000.0)).unwrap();
    }
    drop(guard);
    assert_eq!(admitted(&place.open(), 0, 100), 0);
    assert_eq!(admitted(&place.open(), 1, 100), RELATED_PROBES - 20);
    // A power failure: the last is half written.
    let guard = place.open();
    admit(&guard, &probe(2, 0.0)).unwrap();
    admit(&guard, &probe(2, 0.1)).unwrap();
    drop(guard);
    let whole = std::fs::read(place.file()).unwrap();
    std::fs::write(place.file(), &whole[..whole.len() - 7]).unwrap();
    assert_eq!(admitted(&place.open(), 2, 200), RELATED_PROBES - 1);
    assert_eq!(admitted(&place.open(), 0, 300), 0);
}

#[test]
fn a_file_of_another_or_a_damaged_one_is_not_taken_for_nothing() {
    let place = Place::new();
    drop(place.open());
    assert_eq!(place.open_under("18").unwrap_err().kind(), io::ErrorKind::InvalidData);
    let mut bytes = std::fs::read(place.file()).unwrap();
    bytes[20] ^= 1;
    std::fs::write(place.file(), bytes).unwrap();
    assert_eq!(place.open_under("17").unwrap_err().kind(), io::ErrorKind::InvalidData);
    std::fs::write(place.file(), []).unwrap();
    assert_eq!(place.open_under("17").unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn what_is_past_is_gone_from_the_disk() {
    let place = Place::new();
    let guard = place.open();
    let empty = std::fs::metadata(place.file()).unwrap().len();
    for person in 0..50 {
        admit(&guard, &probe(person, 0.0)).unwrap();
    }
    let before = std::fs::read(place.file()).unwrap();
    assert!(before.len() as u64 > empty);
    guard.settle().unwrap();
    assert_eq!(std::fs::read(place.file()).unwrap(), before, "nothing is past");
    place.1.0.fetch_add(HOUR, Ordering::SeqCst);
    guard.settle().unwrap();
    assert_eq!(std::fs::metadata(place.file()).unwrap().len(), empty);
}

#[test]
fn nothing_is_told_by_the_file() {
    let place = Place::new();
    let guard = place.open();
    guard.admit(&actor(), 1000, (&probe(0, 0.0), None), Some(subject(0x5a))).unwrap().answered();
    drop(guard);
    let bytes = std::fs::read(place.file()).unwrap();
    let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(holds(b"limen/searches/1") && !holds(&[0x5a; 8]) && !holds(&1.0_f32.to_le_bytes()));
}

#[test]
fn sketches_tell_who_is_alike() {
    let place = Place::new();
    let guard = place.open();
    let watch = watch(&guard);
    let differ = |a: &Probe, b: &Probe| {
        let (a, b) = (watch.sketch(a).0, watch.sketch(b).0);
        a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>()
    };
    let one = probe(0, 0.0);
    // Of 256 bits, as many as the angle is of 180°: with a standard deviation of 8 bits or less.
    for (turn, degrees) in [(0.0_f32, 0.0_f32), (0.3, 16.7), (0.7, 35.0), (1.0, 45.0), (1.7, 59.5)] {
        let wanted = degrees / 180.0 * 256.0;
        assert!((differ(&one, &probe(0, turn)) as f32 - wanted).abs() < 44.0, "{degrees}");
    }
    assert!((128 - 44..128 + 44).contains(&differ(&one, &probe(1, 0.0))));
}

#[test]
fn another_threshold_is_another_question() {
    let place = Place::new();
    let guard = place.open();
    let thresholds = (0..100).map(|step| matcher::score::Threshold::new(step as f32 / 100.0).unwrap());
    let ask = |threshold| guard.admit(&actor(), 1000, (&probe(0, 0.0), Some(threshold)), None);
    let answered =
        thresholds.map_while(|threshold| ask(threshold).ok()).map(|admission| admission.answered()).count();
    assert_eq!(answered, RELATED_PROBES);
}

#[test]
fn who_is_not_answered_may_ask_again_also_after_a_restart() {
    let place = Place::new();
    let guard = place.open();
    for turn in 0..100 {
        drop(guard.admit(&actor(), 1000, (&probe(0, turn as f32 / 1000.0), None), None).unwrap());
    }
    assert_eq!(admitted(&guard, 0, 200), RELATED_PROBES);
    drop(guard);
    assert_eq!(admitted(&place.open(), 0, 300), 0);
}

#[test]
fn a_stop_holds_for_probes_that_are_like_none_before_also_after_a_restart() {
    let place = Place::new();
    let guard = place.open();
    let ask = |guard: &Guard, person: usize, turn: f32, found: &[SubjectId]| {
        let admission = guard.admit(&actor(), 1000, (&probe(person, turn), None), None)?;
        admission.meet(found)?;
        admission.answered();
        Ok::<_, Halt>(())
    };
    // Twenty captures of one person after another; each finds the subject.
    let nth = |nth: usize| (nth / 20, (nth % 20) as f32 / 1000.0);
    for (person, turn) in (0..MEETINGS - 1).map(nth) {
        ask(&guard, person, turn, &[subject(1)]).unwrap();
    }
    let stopped = |answer| matches!(answer, Err(Halt::Stopped(Stop { misuse: Misuse::Meetings, .. })));
    // Being like the others, this one has met the subject before it is compared with anybody.
    let (person, turn) = nth(MEETINGS - 1);
    assert!(stopped(ask(&guard, person, turn, &[])));
    assert!(stopped(ask(&guard, 50, 0.0, &[])));
    drop(guard);
    assert!(stopped(ask(&place.open(), 51, 0.0, &[])));
}

#[test]
fn what_comes_while_the_file_is_written_anew_is_in_it() {
    let place = Place::new();
    let guard = place.open();
    place.1.0.fetch_add(HOUR, Ordering::SeqCst);
    std::thread::scope(|scope| {
        scope.spawn(|| (0..200).for_each(|_| watch(&guard).rewrite(at(HOUR)).unwrap()));
        assert_eq!(admitted(&guard, 0, 0), RELATED_PROBES);
        assert_eq!(admitted(&guard, 1, 0), RELATED_PROBES);
    });
    drop(guard);
    let guard = place.open();
    assert_eq!((admitted(&guard, 0, 100), admitted(&guard, 1, 100)), (0, 0));
}

#[test]
fn where_the_file_cannot_be_written_anew_the_one_that_is_there_goes_on() {
    let place = Place::new();
    drop(place.open());
    // In the way of the new one.
    let beside = audit::storage::temporary(&place.file());
    std::fs::create_dir(&beside).unwrap();
    let guard = place.open();
    assert_eq!(admitted(&guard, 0, 0), RELATED_PROBES);
    place.1.0.fetch_add(HOUR, Ordering::SeqCst);
    guard.settle().unwrap_err();
    assert_eq!(admitted(&guard, 1, 0), RELATED_PROBES);
    drop(guard);
    let guard = place.open();
    assert_eq!((admitted(&guard, 0, 100), admitted(&guard, 1, 100)), (0, 0));
    std::fs::remove_dir(&beside).unwrap();
    place.1.0.fetch_add(MEMORY_HOURS * HOUR, Ordering::SeqCst);
    guard.settle().unwrap();
    assert_eq!(admitted(&guard, 0, 0), RELATED_PROBES);
}

#[test]
fn a_search_that_breaks_off_takes_back_no_other_with_the_same_probe() {
    let place = Place::new();
    let guard = place.open();
    let named = |turn: f32| {
        let probe = probe(0, turn);
        let waiting = guard.admit(&actor(), 1000, (&probe, None), None)?;
        let answered = guard.admit(&actor(), 1000, (&probe, None), Some(subject(1)))?;
        answered.answered();
        drop((answered, waiting));
        Ok::<_, Halt>(())
    };
    let answered = (0..100).take_while(|turn| named(*turn as f32 / 1000.0).is_ok()).count();
    assert_eq!(answered, RELATED_PROBES);

    // Nor one of hours ago, of which only the meeting is remembered.
    for person in 1..=60 {
        let ask = || guard.admit(&actor(), 1000, (&probe(person, 0.0), None), Some(subject(2)));
        ask().unwrap().answered();
    }
    place.1.0.fetch_add(2 * HOUR, Ordering::SeqCst);
    guard.settle().unwrap();
    for person in 1..=60 {
        // It is stopped, or breaks off.
        drop(guard.admit(&actor(), 1000, (&probe(person, 0.0), None), None));
    }
    let once_more = guard.admit(&actor(), 1000, (&probe(61, 0.0), None), None);
    assert!(matches!(once_more, Err(Halt::Stopped(Stop { misuse: Misuse::Meetings, .. }))));
}
