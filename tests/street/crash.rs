//! `kill -9` at random moments: nothing acknowledged is lost, nothing retired comes back, and the log and
//! the record agree.

use gallery::{
    Gallery, Setup,
    ambient::Ambient,
    event::{Event, What},
    keys::root::RootKey,
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tests::*;

/// What the clients know.
#[derive(Default)]
struct Known {
    /// Acknowledged enrolments: face and subject.
    enrolled: BTreeMap<u64, String>,
    /// Acknowledged retirements, by face.
    retired: BTreeSet<u64>,
    /// Acknowledged erasures, by face.
    erased: BTreeSet<u64>,
    /// Retirements and erasures asked for whose answer never came.
    unsure: BTreeSet<u64>,
}

/// What is done with a subject once it is enrolled.
enum Then {
    Retire,
    Erase,
    Keep,
}

fn then(number: u64) -> Then {
    match number {
        n if n.is_multiple_of(3) => Then::Retire,
        n if n.is_multiple_of(5) => Then::Erase,
        _ => Then::Keep,
    }
}

/// Retires or erases, as is to be done with this one; under a key, so that it may be asked for again.
fn end(clerk: &Actor<'_>, number: u64, id: &str) -> Option<Result<Answer, ureq::Error>> {
    let key = format!("end {number}");
    let headers = [("idempotency-key", key.as_str())];
    match then(number) {
        Then::Retire => Some(clerk.try_send("DELETE", &format!("/v1/subjects/{id}"), None, &headers)),
        Then::Erase => Some(clerk.try_send("POST", &format!("/v1/subjects/{id}/erasure"), None, &headers)),
        Then::Keep => None,
    }
}

impl Known {
    fn ended(&mut self, number: u64) {
        self.unsure.remove(&number);
        match then(number) {
            Then::Retire => self.retired.insert(number),
            Then::Erase => self.erased.insert(number),
            Then::Keep => false,
        };
    }
}

/// Builds generations, and goes back from them, until the server is gone.
fn rebuild_until_killed(server: &Server, site: &Site, stop: &AtomicBool) {
    let clerk = server.actor(&site.clerk);
    for path in ["/v1/generations", "/v1/generations/former/activation"].into_iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let Ok(answer) = clerk.try_send("POST", path, None, &[]) else { return };
        // None to go back to yet, or a build that a stop interrupted runs again.
        assert!(matches!(answer.status, 200 | 202 | 404 | 409), "{}", answer.body);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Enrols, retires every third and erases some of the others, until the server is gone.
fn write_until_killed(
    server: &Server,
    site: &Site,
    next: &AtomicU64,
    known: &Mutex<Known>,
    stop: &AtomicBool,
) {
    let clerk = server.actor(&site.clerk);
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let body = subject(&site.list, &format!("p{number}"), number).to_string();
        let key = format!("enrol {number}");
        let headers = [("idempotency-key", key.as_str())];
        // An answer that broke off is asked for again after the restart, under the same key.
        let Ok(answer) = clerk.try_send("POST", "/v1/subjects", Some(body.as_bytes()), &headers) else {
            return;
        };
        let id = answer.expect(201)["subject"].as_str().unwrap().to_owned();
        known.lock().unwrap().enrolled.insert(number, id.clone());
        if !matches!(then(number), Then::Keep) {
            known.lock().unwrap().unsure.insert(number);
        }
        match end(&clerk, number, &id) {
            Some(Ok(answer)) => {
                answer.expect(200);
                known.lock().unwrap().ended(number);
            }
            Some(Err(_)) => return,
            None => (),
        }
    }
}

fn check(server: &Server, site: &Site, known: &Known, numbers: impl Iterator<Item = u64>) {
    let guard = server.actor(&site.guard);
    for number in numbers {
        let Some(id) = known.enrolled.get(&number) else { continue };
        let answer = guard.look_up(&site.list, number).expect(200);
        let there = candidates(&answer).contains(&id.as_str());
        assert_eq!(answer["certificate"]["compared"], answer["certificate"]["expected"]);
        if known.retired.contains(&number) || known.erased.contains(&number) {
            assert!(!there, "retired or erased subject {number} was returned");
        } else if !known.unsure.contains(&number) {
            assert!(there, "enrolled subject {number} was lost");
        }
    }
}

/// Asks again for what was on its way when the server was killed.
fn repeat_unanswered(server: &Server, site: &Site, known: &mut Known, numbers: std::ops::Range<u64>) {
    let clerk = server.actor(&site.clerk);
    for number in numbers.filter(|number| !known.enrolled.contains_key(number)).collect::<Vec<_>>() {
        let body = subject(&site.list, &format!("p{number}"), number);
        let answer = clerk.post_keyed("/v1/subjects", &body, &format!("enrol {number}")).expect(201);
        known.enrolled.insert(number, answer["subject"].as_str().unwrap().to_owned());
    }
    for number in std::mem::take(&mut known.unsure) {
        end(&clerk, number, &known.enrolled[&number]).unwrap().unwrap().expect(200);
        known.ended(number);
    }
}

#[test]
fn fifty_kills_lose_nothing_acknowledged_and_revive_nobody_retired_or_erased() {
    let kills: u64 = std::env::var("LIMEN_KILLS").map_or(50, |kills| kills.parse().unwrap());
    let (site, away) = (Site::found(), tempfile::tempdir().unwrap());
    let anchor = away.path().join("anchor");
    let anchor = anchor.to_str().unwrap();
    index(site.folder.path(), &["anchor", "--anchor", anchor]);
    let mut chance = ChaCha8Rng::seed_from_u64(9);
    let next = AtomicU64::new(1);
    let known = Mutex::new(Known::default());
    let mut begun = 1;
    for kill in 0..=kills {
        let mut server = Server::start(site.folder.path(), &[("LIMEN_SERVE_ANCHOR", anchor)]);
        {
            let mut known = known.lock().unwrap();
            let now = next.load(Ordering::Relaxed);
            check(&server, &site, &known, begun..now);
            check(&server, &site, &known, (0..20).map(|_| 1 + chance.next_u64() % now));
            repeat_unanswered(&server, &site, &mut known, begun..now);
            check(&server, &site, &known, begun..now);
            begun = now;
            if kill == kills {
                check(&server, &site, &known, 1..now);
                assert!(server.terminate());
                break;
            }
        }
        let stop = AtomicBool::new(false);
        let pause = Duration::from_millis(5 + chance.next_u64() % 120);
        // Shared by the writers while it runs, and killed under them.
        let id = server.process();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| write_until_killed(&server, &site, &next, &known, &stop));
            }
            scope.spawn(|| rebuild_until_killed(&server, &site, &stop));
            std::thread::sleep(pause);
            kill_nine(id);
            stop.store(true, Ordering::Relaxed);
        });
        server.kill();
    }
    let known = known.into_inner().unwrap();
    let done = [known.enrolled.len(), 5 * known.retired.len(), 10 * known.erased.len()];
    assert!(
        done.iter().all(|done| *done > 4 * kills as usize),
        "too little was done between the kills: {done:?}"
    );
    record_and_log_agree(&site, Path::new(anchor), &known);
}

fn kill_nine(id: u32) {
    assert!(std::process::Command::new("kill").args(["-9", &id.to_string()]).status().unwrap().success());
}

fn record_and_log_agree(site: &Site, anchor: &Path, known: &Known) {
    let root = RootKey::find(site.folder.path(), Some(ROOT_KEY), None).unwrap();
    let setup = Setup { anchor: Some(anchor.to_owned()), ..Setup::new(root, 1) };
    let gallery = Gallery::open(site.folder.path(), setup, Ambient::system()).unwrap();
    gallery.check().unwrap();
    let status = gallery.status().unwrap();
    assert_eq!(
        status.subjects + status.retired + status.erased,
        known.enrolled.len() as u64,
        "each reference made one subject"
    );
    assert_eq!((status.retired, status.erased), (known.retired.len() as u64, known.erased.len() as u64));
    let [mut enrolled, mut retired, mut erased, mut ordered] = [(); 4].map(|()| BTreeSet::new());
    let disk = audit::storage::Disk::open(&site.folder.path().join("log")).unwrap();
    audit::verify::verify(&disk, |_, leaf| {
        match serde_json::from_slice::<Event>(&leaf.payload).unwrap().what {
            What::Enrol { enrolled: one, .. } => assert!(enrolled.insert(one.subject.to_string())),
            What::Retire { subject } => assert!(retired.insert(subject.to_string())),
            What::OrderErasure { subject } => assert!(ordered.insert(subject.to_string())),
            What::Erase { subject } => assert!(erased.insert(subject.to_string())),
            _ => (),
        }
    })
    .unwrap();
    assert_eq!(enrolled, known.enrolled.values().cloned().collect());
    let ids = |numbers: &BTreeSet<u64>| numbers.iter().map(|number| known.enrolled[number].clone()).collect();
    assert_eq!(retired, ids(&known.retired));
    assert_eq!((&ordered, &erased), (&ids(&known.erased), &ids(&known.erased)));
}
