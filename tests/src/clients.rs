//! Clients who enrol, retire and erase, and administrators who rebuild, until the server is gone; and what they know then.

use crate::{Actor, Answer, Server, Site, candidates, lookup, subject};
use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Now, in seconds since the epoch.
#[expect(clippy::disallowed_methods, reason = "compared with the times that strace writes")]
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// When something was asked for, and when its answer came, if it did.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// Before it was sent.
    pub asked: f64,
    /// After it had come.
    pub answered: Option<f64>,
}

impl Told {
    fn asking() -> Self {
        Self { asked: now(), answered: None }
    }
}

/// What the clients know of one face.
#[derive(Clone, Debug)]
pub struct Person {
    /// The subject, once it is known.
    pub id: Option<String>,
    /// Its enrolment.
    pub enrolled: Told,
    /// Its end, if that was asked for.
    pub ended: Option<Told>,
}

/// How a face's story ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Retired.
    Retired,
    /// Erased.
    Erased,
    /// It stays.
    Stays,
}

/// Every third is retired, every fifth of the others erased.
pub fn end_of(number: u64) -> End {
    match number {
        n if n.is_multiple_of(3) => End::Retired,
        n if n.is_multiple_of(5) => End::Erased,
        _ => End::Stays,
    }
}

/// What must be true of a face.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was enrolled, and nobody asked for its end.
    There,
    /// It was not asked for yet, or its end was acknowledged.
    Gone,
    /// Something was asked for that was not answered.
    Either,
}

impl Person {
    /// What must be true if the node stopped at this time, and nothing was asked for again.
    pub fn fate(&self, stopped: f64) -> Fate {
        let answered = |told: &Told| told.answered.is_some_and(|at| at < stopped);
        match &self.ended {
            Some(ended) if answered(ended) => Fate::Gone,
            Some(ended) if ended.asked < stopped => Fate::Either,
            _ if answered(&self.enrolled) => Fate::There,
            _ if self.enrolled.asked < stopped => Fate::Either,
            _ => Fate::Gone,
        }
    }
}

/// What all clients know together, by face.
#[derive(Debug, Default)]
pub struct Clients {
    known: Mutex<BTreeMap<u64, Person>>,
    next: AtomicU64,
}

impl Clients {
    /// What they know.
    pub fn known(&self) -> BTreeMap<u64, Person> {
        self.known.lock().unwrap().clone()
    }

    /// The same knowledge, to go on from.
    #[must_use]
    pub fn continued(&self) -> Self {
        Self { known: Mutex::new(self.known()), next: AtomicU64::new(self.count()) }
    }

    /// How many faces there are: the next one's number less one.
    pub fn count(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Enrols the next face, and ends its story as is to be; false when the server is gone. An answer that refuses is given
    /// to `refused`, and nothing is known then.
    pub fn write_one(&self, clerk: &Actor<'_>, list: &str, refused: impl Fn(&Answer)) -> bool {
        let number = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let person = Person { id: None, enrolled: Told::asking(), ended: None };
        self.known.lock().unwrap().insert(number, person);
        let Ok(answer) = try_enrol(clerk, list, number) else { return false };
        let Some(id) = accepted(&answer, 201, &refused) else { return true };
        let id = id["subject"].as_str().unwrap().to_owned();
        self.enrolled(number, &id);
        if end_of(number) == End::Stays {
            return true;
        }
        self.known.lock().unwrap().get_mut(&number).unwrap().ended = Some(Told::asking());
        let Ok(answer) = try_end(clerk, number, &id) else { return false };
        if accepted(&answer, 200, &refused).is_some() {
            self.ended(number);
        }
        true
    }

    fn enrolled(&self, number: u64, id: &str) {
        let mut known = self.known.lock().unwrap();
        let person = known.get_mut(&number).unwrap();
        person.id = Some(id.to_owned());
        person.enrolled.answered = Some(now());
    }

    fn ended(&self, number: u64) {
        let mut known = self.known.lock().unwrap();
        known.get_mut(&number).unwrap().ended.as_mut().unwrap().answered = Some(now());
    }

    /// So many threads enrol, retire and erase, until the server is gone or they are to stop.
    pub fn write_until<'scope>(
        &'scope self,
        scope: &'scope std::thread::Scope<'scope, '_>,
        threads: usize,
        server: &'scope Server,
        site: &'scope Site,
        stop: &'scope AtomicBool,
    ) {
        for _ in 0..threads {
            scope.spawn(move || {
                let clerk = server.actor(&site.clerk);
                let refused = |answer: &Answer| panic!("{answer:?}");
                while !stop.load(Ordering::Relaxed) && self.write_one(&clerk, &site.list, refused) {}
            });
        }
    }

    /// Asks again, under its key, for each thing whose answer never came.
    pub fn repeat_unanswered(&self, clerk: &Actor<'_>, list: &str, after: u64) {
        for (number, person) in self.known().split_off(&after) {
            if person.id.is_none() {
                let answer = try_enrol(clerk, list, number).unwrap().expect(201);
                self.enrolled(number, answer["subject"].as_str().unwrap());
            }
            if person.ended.is_some_and(|ended| ended.answered.is_none()) {
                try_end(clerk, number, person.id.as_ref().unwrap()).unwrap().expect(200);
                self.ended(number);
            }
        }
    }
}

fn accepted(answer: &Answer, status: u16, refused: &impl Fn(&Answer)) -> Option<serde_json::Value> {
    if answer.status == status {
        Some(answer.body.clone())
    } else {
        refused(answer);
        None
    }
}

fn try_enrol(clerk: &Actor<'_>, list: &str, number: u64) -> Result<Answer, ureq::Error> {
    let body = subject(list, &format!("p{number}"), number).to_string();
    let key = format!("enrol {number}");
    clerk.try_send("POST", "/v1/subjects", Some(body.as_bytes()), &[("idempotency-key", key.as_str())])
}

fn try_end(clerk: &Actor<'_>, number: u64, id: &str) -> Result<Answer, ureq::Error> {
    let key = format!("end {number}");
    let headers = [("idempotency-key", key.as_str())];
    match end_of(number) {
        End::Erased => clerk.try_send("POST", &format!("/v1/subjects/{id}/erasure"), None, &headers),
        _ => clerk.try_send("DELETE", &format!("/v1/subjects/{id}"), None, &headers),
    }
}

/// Builds generations, goes back from them, and makes backups, where the server has a place for them, until the server is gone or it is to stop.
pub fn rebuild_until(server: &Server, site: &Site, stop: &AtomicBool) {
    let keeper = server.actor(&site.keeper);
    for path in ["/v1/generations", "/v1/backups", "/v1/generations/former/activation"].into_iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let Ok(answer) = keeper.try_send("POST", path, None, &[]) else { return };
        // None to go back to yet, or a build that a stop interrupted runs again.
        assert!(matches!(answer.status, 200 | 202 | 404 | 409), "{}", answer.body);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Looks these faces up: is each there, or not, as it must be?
pub fn check(
    server: &Server,
    site: &Site,
    known: &BTreeMap<u64, Person>,
    numbers: impl Iterator<Item = u64>,
) {
    let guard = server.actor(&site.guard);
    for number in numbers {
        let Some(person) = known.get(&number) else { continue };
        let body = lookup(&site.list, number).to_string();
        let answer = guard.try_send("POST", "/v1/lookups", Some(body.as_bytes()), &[]).unwrap().expect(200);
        assert_eq!(answer["certificate"]["compared"], answer["certificate"]["expected"]);
        let found = candidates(&answer);
        let there = person.id.as_ref().map_or(!found.is_empty(), |id| found.contains(&id.as_str()));
        match person.fate(f64::INFINITY) {
            Fate::There => assert!(there, "enrolled subject {number} was lost"),
            Fate::Gone => assert!(!there, "retired or erased subject {number} was returned"),
            Fate::Either => (),
        }
    }
}
