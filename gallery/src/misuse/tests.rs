use super::{memory::*, *};
use crate::{
    ambient::Clock,
    budget::{MEETINGS, MEMORY_HOURS, Misuse, RELATED_PROBES},
    caller::Caller,
    timestamp::Timestamp,
};
use matcher::template::ModelProfile;
use std::sync::atomic::{AtomicI64, Ordering};

const ALICE: CallerKey = [1; 16];
const BOB: CallerKey = [2; 16];
const HOUR: i64 = 3_600_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000 + ms).unwrap()
}

/// A probe of a person; the persons' sketches differ in 128 bits, the captures of one in 2.
fn ask(person: u64, capture: u64) -> Ask {
    let mut words = [0; BITS / 64];
    let mut state = person;
    words.iter_mut().for_each(|word| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        *word = state ^ (state >> 29);
    });
    words[0] ^= 1 << (capture % 64);
    let digest = (person * 1000 + capture).to_le_bytes();
    Ask { searches_per_hour: 100, digest, sketch: Sketch(words), subject: None }
}

fn subject(number: u8) -> SubjectId {
    SubjectId::from_bytes([number; 16])
}

fn misuse(result: Result<Vec<Deed>, Stop>) -> Option<(Misuse, i64)> {
    result.err().map(|stop| (stop.misuse, stop.until.unix_ms() - at(0).unix_ms()))
}

#[test]
fn searches_have_a_budget_of_an_hour_for_each_caller() {
    let mut memory = Memory::default();
    for person in 0..100 {
        memory.admit(ALICE, &ask(person, 0), at(person as i64)).unwrap();
    }
    assert_eq!(misuse(memory.admit(ALICE, &ask(100, 0), at(200))), Some((Misuse::Searches, HOUR)));
    memory.admit(BOB, &ask(100, 0), at(200)).unwrap();
    memory.admit(ALICE, &ask(100, 0), at(HOUR)).unwrap();
    assert_eq!(misuse(memory.admit(ALICE, &ask(101, 0), at(HOUR))), Some((Misuse::Searches, HOUR + 1)));
}

#[test]
fn probes_that_are_like_many_are_refused_for_a_day_and_no_others() {
    let mut memory = Memory::default();
    let mut searched = 0;
    for capture in 0..60 {
        // Never more than an hour after another like it.
        match misuse(memory.admit(ALICE, &ask(1, capture), at(capture as i64 * HOUR / 2))) {
            None => searched += 1,
            Some(stop) => assert_eq!(stop, (Misuse::RelatedProbes, MEMORY_HOURS * HOUR)),
        }
        memory.admit(ALICE, &ask(1000 + capture, 0), at(capture as i64 * HOUR / 2)).unwrap();
        if capture == 47 {
            assert_eq!(searched, RELATED_PROBES);
        }
    }
    // Of what was older than a day some was forgotten, and searched with anew; what was refused was never remembered.
    assert_eq!(searched, RELATED_PROBES + 12);
    memory.admit(BOB, &ask(1, 0), at(HOUR)).unwrap();
}

#[test]
fn the_same_template_again_is_not_related_to_itself() {
    let mut memory = Memory::default();
    for _ in 0..99 {
        memory.admit(ALICE, &ask(1, 0), at(0)).unwrap();
        memory.meet(ALICE, ask(1, 0).digest, &[subject(1)], at(0)).unwrap();
    }
    memory.admit(ALICE, &ask(1, 1), at(0)).unwrap();
}

#[test]
fn whoever_meets_a_subject_too_often_searches_no_more_for_a_day() {
    let mut memory = Memory::default();
    for probe in 0..MEETINGS as u64 {
        memory.meet(ALICE, ask(probe, 0).digest, &[subject(1), subject(probe as u8 + 2)], at(5)).unwrap();
    }
    let until = MEMORY_HOURS * HOUR + 5;
    let stopped = Some((Misuse::Meetings, until));
    assert_eq!(misuse(memory.admit(ALICE, &ask(1000, 0), at(6))), stopped);
    assert_eq!(misuse(memory.meet(ALICE, ask(1001, 0).digest, &[subject(200)], at(until - 1))), stopped);
    memory.admit(ALICE, &ask(1000, 0), at(until)).unwrap();
    memory.admit(BOB, &ask(1000, 0), at(6)).unwrap();

    // One who asks for the same subject by name.
    let named = |probe| Ask { subject: Some(subject(9)), ..ask(probe, 0) };
    for probe in 0..MEETINGS as u64 {
        memory.admit(BOB, &named(probe), at(7)).unwrap();
    }
    assert_eq!(misuse(memory.admit(BOB, &named(2000), at(8))).unwrap().0, Misuse::Meetings);
}

#[test]
fn the_memory_is_bounded_and_the_longest_past_pays() {
    let mut memory = Memory::default();
    let many = |person| Ask { searches_per_hour: u32::MAX, ..ask(person, 0) };
    memory.admit(BOB, &many(0), at(0)).unwrap();
    let mut sketch = ask(0, 0).sketch;
    for number in 0..(MOST + 100) as u64 {
        sketch.0[0] = number;
        let deed = Deed::Searched(Seen { at: at(1), digest: [0; 8], sketch, related: false });
        memory.take(ALICE, deed);
        assert!(memory.len() <= MOST);
    }
    assert_eq!(memory.deeds().filter(|(caller, _)| *caller == BOB).count(), 1);
    assert_eq!(memory.deeds().count(), MOST);
    memory.forget(at(HOUR + 1));
    assert_eq!((memory.len(), memory.deeds().count()), (0, 0));
}

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
        Guard::open(self.0.path(), &root, Kernel::detect(), &ambient)
    }

    fn open(&self) -> Guard {
        self.open_under("17").unwrap()
    }
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

/// How many probes of a person it admits before it stops.
fn admitted(guard: &Guard, person: usize, from: usize) -> usize {
    let ask = |count: &usize| guard.admit(&actor(), 1000, &probe(person, *count as f32 / 1000.0), None);
    let stop = |halt| matches!(halt, Halt::Stopped(Stop { misuse: Misuse::RelatedProbes, .. }));
    (from..10_000).take_while(|count| ask(count).map_or_else(|halt| !stop(halt), |()| true)).count()
}

#[test]
fn a_restart_does_not_forget() {
    let place = Place::new();
    let guard = place.open();
    assert_eq!(admitted(&guard, 0, 0), RELATED_PROBES);
    for turn in 0..20 {
        guard.admit(&actor(), 1000, &probe(1, turn as f32 / 1000.0), None).unwrap();
    }
    drop(guard);
    assert_eq!(admitted(&place.open(), 0, 100), 0);
    assert_eq!(admitted(&place.open(), 1, 100), RELATED_PROBES - 20);
    // A power failure: the last is half written.
    let guard = place.open();
    guard.admit(&actor(), 1000, &probe(2, 0.0), None).unwrap();
    guard.admit(&actor(), 1000, &probe(2, 0.1), None).unwrap();
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
        guard.admit(&actor(), 1000, &probe(person, 0.0), None).unwrap();
    }
    let before = std::fs::read(place.file()).unwrap();
    assert!(before.len() as u64 > empty);
    guard.forget().unwrap();
    assert_eq!(std::fs::read(place.file()).unwrap(), before, "nothing is past");
    place.1.0.fetch_add(HOUR, Ordering::SeqCst);
    guard.forget().unwrap();
    assert_eq!(std::fs::metadata(place.file()).unwrap().len(), empty);
}

#[test]
fn nothing_is_told_by_the_file() {
    let place = Place::new();
    let guard = place.open();
    guard.admit(&actor(), 1000, &probe(0, 0.0), Some(subject(0x5a))).unwrap();
    drop(guard);
    let bytes = std::fs::read(place.file()).unwrap();
    let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(holds(b"limen/searches/1") && !holds(&[0x5a; 8]) && !holds(&1.0_f32.to_le_bytes()));
}

#[test]
fn sketches_tell_who_is_alike() {
    let place = Place::new();
    let Guard(Some(watch)) = place.open() else { unreachable!("it watches") };
    let differ = |a: &Probe, b: &Probe| {
        let (a, b) = (watch.sketch(a).0, watch.sketch(b).0);
        a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>()
    };
    let one = probe(0, 0.0);
    // Of 256 bits, as many as the angle is of 180°: with a standard deviation of 8 bits or less.
    for (turn, degrees) in [(0.0_f32, 0.0_f32), (0.3, 16.7), (0.7, 35.0), (1.0, 45.0), (1.7, 59.5)] {
        let wanted = degrees / 180.0 * 256.0;
        assert!((differ(&one, &probe(0, turn)) as f32 - wanted).abs() < 32.0, "{degrees}");
    }
    assert!((128 - 40..128 + 40).contains(&differ(&one, &probe(1, 0.0))));
}

#[test]
fn probes_around_one_that_met_a_subject_meet_it_too() {
    let mut memory = Memory::default();
    let mut answered = 0;
    // Around one place after another, one probe of each meets the subject.
    'all: for place in 0..10 {
        for capture in 0..16 {
            let probe = ask(place, capture);
            match memory.admit(ALICE, &probe, at(answered)) {
                Err(stop) => {
                    assert_eq!(stop.misuse, Misuse::Meetings);
                    break 'all;
                }
                Ok(_) => answered += 1,
            }
            if capture == 7 {
                memory.meet(ALICE, probe.digest, &[subject(1)], at(answered)).unwrap();
            }
        }
    }
    assert_eq!(answered, MEETINGS as i64);
    // It does not spread further: who is like those, but like none that met the subject.
    let mut memory = Memory::default();
    let far = |bits: u32| {
        let mut ask = ask(1, 0);
        ask.sketch.0[3] ^= (1_u64 << bits) - 1;
        ask.sketch.0[2] ^= (1_u64 << bits) - 1;
        Ask { digest: u64::from(bits).to_le_bytes(), ..ask }
    };
    memory.admit(BOB, &far(0), at(0)).unwrap();
    memory.meet(BOB, far(0).digest, &[subject(1)], at(0)).unwrap();
    let met = |deeds: Vec<Deed>| deeds.iter().filter(|deed| matches!(deed, Deed::Met(_))).count();
    assert_eq!(met(memory.admit(BOB, &far(30), at(0)).unwrap()), 1);
    assert_eq!(met(memory.admit(BOB, &far(60), at(0)).unwrap()), 0);
}
