//! Whoever works at a gate is not stopped. `LIMEN_SESSIONS=50000 cargo test --release -p gallery honest` tries so many; `LIMEN_SEED=2` another day.

use super::*;
use crate::{
    ambient::Chance,
    authority::{Reach, Refusal, Rights, VerbName},
    budget::SEARCHES_PER_HOUR,
    decision::Decision,
    law::{Allowance, Nation},
    verify::{self, VerificationRequest, VerifyError},
};
use matcher::population::{Imitation, Population};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::{collections::BTreeMap, sync::Mutex};

/// Of one gate in a day: a traveller every 35 seconds.
const SESSIONS: u64 = 2500;
const LISTED: u64 = 200;

/// Faces of 128 features as spread as those of real models, and hard captures among them.
struct Faces(Population);

impl Faces {
    fn new() -> Self {
        let like = Imitation { dimension: 128, nonmated_sd: 0.12, mated_mean: 0.66, mated_sd: 0.11 };
        Self(Population::imitating(&like, &mut ChaCha8Rng::seed_from_u64(1)).unwrap())
    }

    fn capture(&self, person: u64, capture: u64) -> RawFeatures {
        let draw = |person: u64, draw: u64| {
            let mut chance = ChaCha8Rng::seed_from_u64(person);
            chance.set_stream(draw);
            chance
        };
        let features = self.0.captures(&[(person, capture)], draw).row(0).to_vec();
        RawFeatures { model: faces(), features }
    }
}

fn faces() -> ModelId {
    ModelId::new("faces").unwrap()
}

fn gate(number: u64, list: WatchlistId) -> Caller {
    let rights = Rights {
        verbs: [VerbName::Lookup, VerbName::Verify].into(),
        watchlists: Reach::Listed([list].into()),
        purposes: [Purpose::BorderControl].into(),
        allowances: [Allowance::RawProbes].into(),
        searches_per_hour: SEARCHES_PER_HOUR,
    };
    Caller { rights, ..Caller::administrator(format!("gate {number}").parse().unwrap(), nation()) }
}

fn nation() -> Nation {
    "UTO".parse().unwrap()
}

/// Somebody comes to a gate at this time, is captured some times, and some captures are sent twice.
struct Session {
    at_ms: i64,
    gate: u64,
    person: u64,
    captures: u64,
}

/// A day at the gates. Most come once; one in twenty commutes, one in a hundred drives to and fro all day, and one of these drivers looks like
/// somebody who is listed.
fn sessions(count: u64, chance: &mut ChaCha8Rng) -> Vec<Session> {
    let gates = (count / SESSIONS).max(1);
    let mut below = |bound: u64| u64::from(chance.next_u32()) % bound;
    let mut sessions: Vec<Session> = (0..count)
        .map(|number| {
            let gate = number % gates;
            let regulars = 1_000_000 * (gate + 1);
            let person = match below(1000) {
                0..10 => regulars + below(3),
                10..60 => regulars + 100 + below(40),
                60..62 => below(LISTED),
                _ => 100_000_000 + number,
            };
            let captures = match below(100) {
                0..70 => 1,
                70..90 => 2,
                90..97 => 3,
                _ => 4,
            };
            let at_ms = ((number / gates) * 35_000 + below(35_000)) as i64;
            Session { at_ms, gate, person, captures }
        })
        .collect();
    sessions.sort_by_key(|session| session.at_ms);
    sessions
}

/// What came of a session.
#[derive(Default)]
struct Met {
    hit: Option<SubjectId>,
    stopped: bool,
}

impl Met {
    fn note<T>(&mut self, result: Result<T, LookupError>) -> Option<T> {
        match result {
            Ok(answer) => Some(answer),
            Err(LookupError::Refused(Refusal::Misuse { .. })) => {
                self.stopped = true;
                None
            }
            Err(error) => panic!("{error}"),
        }
    }
}

struct Seeded(Mutex<ChaCha8Rng>);

impl Chance for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap().fill_bytes(bytes);
    }
}

fn guarded(house: House, seed: u64) -> House {
    let chance = Arc::new(Seeded(Mutex::new(ChaCha8Rng::seed_from_u64(seed))));
    house.opened_by(|folder, ambient| {
        Gallery::open(folder, Setup::new(root(), 1), Ambient { chance, ..ambient })
    })
}

#[test]
fn of_a_thousand_honest_sessions_at_most_one_is_stopped() {
    let count: u64 = std::env::var("LIMEN_SESSIONS").map_or(2000, |count| count.parse().unwrap());
    let seed = std::env::var("LIMEN_SEED").map_or(1, |seed| seed.parse().unwrap());
    let (house, population) = (guarded(House::build(), seed), Faces::new());
    publish::add_model(&house.gallery, &utopia(), ModelProfile::new(faces(), 128, None).unwrap()).unwrap();
    let policy = Policy { model: faces(), threshold: Threshold::new(0.55).unwrap(), ..policy("faces") };
    let list = publish::create_watchlist(&house.gallery, &utopia(), policy, None).unwrap().0.id;
    // The listed, and one driver of each gate.
    let drivers = (1..=(count / SESSIONS).max(1)).map(|gate| 1_000_000 * gate);
    for person in (0..LISTED).chain(drivers) {
        let sample = population.capture(person, 0);
        let encounters = vec![NewEncounter { reference: None, captured_at: None, sample, quality: None }];
        let entries = vec![(list, Listing::plain(Category::Missing))];
        let new = NewSubject { reference: format!("{person}").parse().unwrap(), entries, encounters };
        enrol::enrol_subject(&house.gallery, &utopia(), new, None).unwrap();
    }
    let mut chance = ChaCha8Rng::seed_from_u64(seed + 1);
    let (mut stopped, mut hits, mut searches) = (0, 0, 0_u64);
    let mut captured: BTreeMap<u64, u64> = BTreeMap::new();
    let began = house.clock.0.load(Ordering::SeqCst);
    for Session { at_ms, gate: number, person, captures } in sessions(count, &mut chance) {
        house.clock.0.store(began + at_ms, Ordering::SeqCst);
        let (caller, mut met) = (gate(number, list), Met::default());
        let mut next = || {
            let next = captured.entry(person).or_insert(0);
            *next += 1;
            population.capture(person, *next)
        };
        for _ in 0..captures {
            let probe = next();
            // One capture in five is sent once more, as after a broken connection.
            for _ in 0..=u8::from(chance.next_u32().is_multiple_of(5)) {
                let request = LookupRequest {
                    watchlists: vec![list],
                    probe: probe.clone().into(),
                    ..house.request(axis(0))
                };
                searches += 1;
                if let Some((answer, _)) = met.note(house.ask(&caller, request, None))
                    && answer.decision == Decision::Hit
                {
                    let shown = answer.candidates[0].seen.as_ref().unwrap();
                    met.hit = Some(shown.subject);
                }
            }
        }
        if let Some(subject) = met.hit {
            hits += 1;
            let ground = house.request(axis(0)).ground;
            let asked = VerificationRequest {
                watchlist: list,
                subject,
                ground,
                probe: next().into(),
                threshold: None,
            };
            match verify::verify(&house.gallery, &caller, asked, None) {
                Err(VerifyError::Lookup(error)) => drop(met.note::<()>(Err(error))),
                answer => drop(answer.unwrap()),
            }
        }
        stopped += u64::from(met.stopped);
    }
    told(&format!(
        "misuse: {count} honest sessions with {searches} lookups, {hits} with hits; {stopped} stopped"
    ));
    assert!(hits * 1000 > count, "nobody was found");
    assert!(stopped * 1000 <= count);
}
