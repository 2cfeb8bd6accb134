//! What is remembered, and whom it stops.

use super::*;

const ALICE: CallerKey = [1; 16];
const BOB: CallerKey = [2; 16];

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

fn stop(result: Result<(), Stop>) -> Option<(Misuse, i64)> {
    result.err().map(|stop| (stop.misuse, stop.until.unix_ms() - at(0).unix_ms()))
}

/// Asks, as the guard would.
fn search(memory: &mut Memory, caller: CallerKey, ask: &Ask, now: Timestamp) -> Result<(), Stop> {
    let (deeds, _) = memory.admit(caller, ask, now)?;
    deeds.into_iter().for_each(|deed| memory.take(caller, deed));
    Ok(())
}

fn show(
    memory: &mut Memory,
    caller: CallerKey,
    ask: &Ask,
    subjects: &[SubjectId],
    now: Timestamp,
) -> Result<(), Stop> {
    let deeds = memory.meet(caller, ask.digest, subjects, now)?;
    deeds.into_iter().for_each(|deed| memory.take(caller, deed));
    Ok(())
}

#[test]
fn searches_have_a_budget_of_an_hour_for_each_caller() {
    let mut memory = Memory::default();
    for person in 0..100 {
        search(&mut memory, ALICE, &ask(person, 0), at(person as i64)).unwrap();
    }
    let one_more = search(&mut memory, ALICE, &ask(100, 0), at(200));
    assert_eq!(stop(one_more), Some((Misuse::Searches, HOUR)));
    search(&mut memory, ALICE, &ask(99, 0), at(200)).expect("the same again is no other search");
    search(&mut memory, BOB, &ask(100, 0), at(200)).unwrap();
    search(&mut memory, ALICE, &ask(100, 0), at(HOUR)).unwrap();
    let one_more = search(&mut memory, ALICE, &ask(101, 0), at(HOUR));
    assert_eq!(stop(one_more), Some((Misuse::Searches, HOUR + 1)));
}

#[test]
fn probes_that_are_like_many_are_refused_for_a_day_and_no_others() {
    let mut memory = Memory::default();
    let mut searched = 0;
    for capture in 0..60 {
        // Never more than an hour after another like it.
        match stop(search(&mut memory, ALICE, &ask(1, capture), at(capture as i64 * HOUR / 2))) {
            None => searched += 1,
            Some(stop) => assert_eq!(stop, (Misuse::RelatedProbes, MEMORY_HOURS * HOUR)),
        }
        search(&mut memory, ALICE, &ask(1000 + capture, 0), at(capture as i64 * HOUR / 2)).unwrap();
        if capture == 47 {
            assert_eq!(searched, RELATED_PROBES);
        }
    }
    // Of what was older than a day some was forgotten, and searched with anew; what was refused was never remembered.
    assert_eq!(searched, RELATED_PROBES + 12);
    search(&mut memory, BOB, &ask(1, 0), at(HOUR)).unwrap();
}

#[test]
fn the_same_probe_again_is_remembered_once() {
    let mut memory = Memory::default();
    for _ in 0..1000 {
        search(&mut memory, ALICE, &ask(1, 0), at(0)).unwrap();
        show(&mut memory, ALICE, &ask(1, 0), &[subject(1)], at(0)).unwrap();
        assert_eq!(memory.len(), 2);
    }
    search(&mut memory, ALICE, &ask(1, 1), at(0)).unwrap();
}

#[test]
fn whoever_meets_a_subject_too_often_searches_no_more_for_a_day() {
    let mut memory = Memory::default();
    for probe in 0..MEETINGS as u64 {
        let all = [subject(1), subject(probe as u8 + 2)];
        show(&mut memory, ALICE, &ask(probe, 0), &all, at(5)).unwrap();
    }
    let until = MEMORY_HOURS * HOUR + 5;
    let stopped = Some((Misuse::Meetings, until));
    assert_eq!(stop(search(&mut memory, ALICE, &ask(1000, 0), at(6))), stopped);
    let shown = show(&mut memory, ALICE, &ask(1001, 0), &[subject(200)], at(until - 1));
    assert_eq!(stop(shown), stopped);
    search(&mut memory, ALICE, &ask(1000, 0), at(until)).unwrap();
    search(&mut memory, BOB, &ask(1000, 0), at(6)).unwrap();

    // One who asks for the same subject by name.
    let named = |probe| Ask { subject: Some(subject(9)), ..ask(probe, 0) };
    for probe in 0..MEETINGS as u64 {
        search(&mut memory, BOB, &named(probe), at(7)).unwrap();
    }
    assert_eq!(stop(search(&mut memory, BOB, &named(2000), at(8))).unwrap().0, Misuse::Meetings);
}

#[test]
fn probes_around_one_that_met_a_subject_meet_it_too() {
    let mut memory = Memory::default();
    let mut answered = 0;
    // Around one place after another, one probe of each meets the subject.
    'all: for place in 0..10 {
        for capture in 0..16 {
            let probe = ask(place, capture);
            match search(&mut memory, ALICE, &probe, at(answered)) {
                Err(stop) => {
                    assert_eq!(stop.misuse, Misuse::Meetings);
                    break 'all;
                }
                Ok(()) => answered += 1,
            }
            if capture == 7 {
                show(&mut memory, ALICE, &probe, &[subject(1)], at(answered)).unwrap();
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
    search(&mut memory, BOB, &far(0), at(0)).unwrap();
    show(&mut memory, BOB, &far(0), &[subject(1)], at(0)).unwrap();
    let mut meetings = |bits| {
        let before = memory.len();
        search(&mut memory, BOB, &far(bits), at(0)).unwrap();
        memory.len() - before - 1
    };
    assert_eq!((meetings(30), meetings(60)), (1, 0));
}

#[test]
fn what_was_not_answered_is_taken_back() {
    let mut memory = Memory::default();
    for capture in 0..100 {
        search(&mut memory, ALICE, &Ask { subject: Some(subject(1)), ..ask(1, capture) }, at(0)).unwrap();
        memory.take(ALICE, Deed::TakenBack(ask(1, capture).digest));
    }
    assert_eq!(memory.len(), 0);
    // Nor does one meeting too many stop, if it is taken back.
    let named = |person| Ask { subject: Some(subject(1)), ..ask(person, 0) };
    for person in 0..MEETINGS as u64 {
        search(&mut memory, ALICE, &named(person), at(0)).unwrap();
    }
    search(&mut memory, ALICE, &named(1000), at(0)).unwrap_err();
    memory.take(ALICE, Deed::TakenBack(named(7).digest));
    search(&mut memory, ALICE, &named(1000), at(0)).unwrap();
}

#[test]
fn a_clock_that_was_ahead_stops_nobody_for_longer_than_a_day() {
    const YEAR: i64 = 365 * 24 * HOUR;
    let mut memory = Memory::default();
    for probe in 0..MEETINGS as u64 {
        search(&mut memory, ALICE, &ask(probe, 0), at(YEAR)).unwrap();
        show(&mut memory, ALICE, &ask(probe, 0), &[subject(1)], at(YEAR)).unwrap();
    }
    memory.settle(at(0));
    let (misuse, until) = stop(search(&mut memory, ALICE, &ask(1000, 0), at(1))).unwrap();
    assert_eq!((misuse, until), (Misuse::Meetings, MEMORY_HOURS * HOUR));
    memory.settle(at(MEMORY_HOURS * HOUR));
    assert_eq!(memory.len(), 0);
}

#[test]
fn the_memory_is_bounded_and_the_longest_past_pays() {
    let mut memory = Memory::default();
    let many = |person| Ask { searches_per_hour: u32::MAX, ..ask(person, 0) };
    search(&mut memory, BOB, &many(0), at(0)).unwrap();
    let sketch = ask(0, 0).sketch;
    for number in 0..MOST as u64 / 64 + 100 {
        // Meetings are quick to make.
        let met = |probe: u64| Meeting { at: at(1), digest: probe.to_le_bytes(), direct: true };
        let who = SubjectId::from_bytes(u128::from(number).to_le_bytes());
        (0..40).for_each(|probe| memory.take(ALICE, Deed::Met(who, met(probe))));
        let seen = Seen { at: at(1), digest: number.to_le_bytes(), sketch, related: false };
        if number < 1000 {
            memory.take(ALICE, Deed::Searched(seen));
        }
        assert!(memory.len() <= MOST);
    }
    assert_eq!(memory.deeds().filter(|(caller, _)| *caller == BOB).count(), 1);
    assert_eq!(memory.deeds().count(), memory.len());
    assert!(memory.len() > MOST_OF_ONE);
    assert_eq!(stop(search(&mut memory, ALICE, &many(7), at(2))).unwrap().0, Misuse::Searches);
    memory.settle(at(MEMORY_HOURS * HOUR + 1));
    assert_eq!((memory.len(), memory.deeds().count()), (0, 0));
}
