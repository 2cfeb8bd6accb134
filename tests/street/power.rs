//! The power fails: what a real server wrote and synced is recorded, and images of the disk are made as it may be after any
//! of its system calls. Each must open, and hold everything that was acknowledged before.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::sync_channel,
    },
    time::Duration,
};
use tests::{
    clients::{Clients, Fate, Person, rebuild_until},
    disk::{Disk, Image},
    in_process::Opened,
    power::Place,
    trace::{Trace, recorder},
    *,
};

/// A server that was killed so often while it was recorded.
const RUNS: usize = 3;

#[test]
fn no_power_loss_loses_what_was_acknowledged() {
    if !has_command("strace") {
        return skipped("images of a power loss", "no strace");
    }
    let images: usize = std::env::var("LIMEN_IMAGES").map_or(1000, |images| images.parse().unwrap());
    let (site, away) = (Site::found(), tempfile::tempdir().unwrap());
    let anchor = site.folder.path().with_file_name("anchor");
    index(site.folder.path(), &["anchor", "--anchor", anchor.to_str().unwrap()]);
    let place = site.folder.path().parent().unwrap();
    let mut recorded = Place::settled(place);
    let clients = Clients::default();
    let traces: Vec<Trace> =
        (0..RUNS).map(|run| record(&site, &anchor, &clients, away.path(), run)).collect();
    let known = clients.known();
    let moments: usize = traces.iter().map(|trace| trace.moments.len()).sum();
    let answered = known.values().filter(|person| person.fate(f64::INFINITY) != Fate::Either).count();
    assert!(answered > 60, "too little was done: {answered}");

    let mut chance = ChaCha8Rng::seed_from_u64(4);
    let mut wanted = BTreeMap::<usize, usize>::new();
    (0..images).for_each(|_| *wanted.entry(chance.next_u64() as usize % moments).or_default() += 1);
    let (sender, receiver) = sync_channel::<(f64, Image, String)>(8);
    let receiver = Arc::new(Mutex::new(receiver));
    let tried = Mutex::new(Tried::default());
    std::thread::scope(|scope| {
        for receiver in [Arc::clone(&receiver), receiver] {
            let (known, site, tried) = (&known, &site, &tried);
            scope.spawn(move || {
                while let Ok((at, image, name)) = { receiver.lock().unwrap().recv() } {
                    try_image(&image, at, &name, known, site, tried);
                }
            });
        }
        let mut moment = 0;
        for trace in &traces {
            recorded.replay(trace, |disk, at| {
                for number in 0..wanted.get(&moment).copied().unwrap_or(0) {
                    let name = format!("moment {moment} of {moments}, image {number}");
                    sender.send((at, disk.image((moment * 1000 + number) as u64), name)).unwrap();
                }
                moment += 1;
            });
        }
        drop(sender);
    });
    let differences = recorded.disk.live().differences(&Disk::of(place).live());
    assert!(differences.is_empty(), "the trace misses something that was written: {differences:?}");
    let Tried { images, looked_up, gone } = tried.into_inner().unwrap();
    told(&format!(
        "{images} images after {moments} moments: {looked_up} times one was found, {gone} times gone"
    ));
    assert!(looked_up > 10 * images && gone > images, "too little was asked");
}

/// How much was looked at.
#[derive(Default)]
struct Tried {
    images: usize,
    looked_up: usize,
    gone: usize,
}

/// A server under `strace`, killed after clients wrote while generations were built.
fn record(site: &Site, anchor: &Path, clients: &Clients, away: &Path, run: usize) -> Trace {
    let file = away.join(format!("trace {run}"));
    let environment = [("LIMEN_SERVE_ANCHOR", anchor.to_str().unwrap())];
    let server = Server::start_under(&recorder(&file), site.folder.path(), &environment, Stdio::inherit());
    let server = server.unwrap();
    let before = clients.count() + 1;
    clients.repeat_unanswered(&server.actor(&site.clerk), &site.list, before);
    let (stop, id) = (AtomicBool::new(false), server.process());
    std::thread::scope(|scope| {
        clients.write_until(scope, 3, &server, site, &stop);
        scope.spawn(|| rebuild_until(&server, site, &stop));
        std::thread::sleep(Duration::from_millis(1500));
        stop.store(true, Ordering::Relaxed);
    });
    // A call that is under way when it is killed would be recorded by half.
    let keeper = server.actor(&site.keeper);
    let running = |jobs: &Value| jobs.as_array().unwrap().iter().any(|job| job["state"] == "running");
    while running(&keeper.get("/v1/jobs").expect(200)["jobs"]) {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(200));
    kill_nine(id);
    server.wait();
    Trace::read(&file)
}

fn try_image(
    image: &Image,
    at: f64,
    name: &str,
    known: &BTreeMap<u64, Person>,
    site: &Site,
    tried: &Mutex<Tried>,
) {
    let place = in_memory();
    image.write(place.path());
    let opened = Opened::at(place.path(), site);
    let opened = opened.unwrap_or_else(|error| panic!("{name} does not open: {error:?}"));
    let gallery = &opened.gallery;
    gallery.check().unwrap_or_else(|error| panic!("{name} is not whole: {error}"));
    let mut found = BTreeSet::new();
    for (number, answer) in opened.look_up(&site.list, known.keys()) {
        let answer = answer.unwrap();
        assert_eq!(answer.certificate.compared, answer.certificate.expected);
        let mut subjects =
            answer.candidates.iter().map(|candidate| candidate.seen.as_ref().unwrap().subject.to_string());
        found.extend(subjects.any(|id| known[&number].id == Some(id)).then_some(number));
    }
    let (mut there, mut gone) = (0, 0);
    for (number, person) in known {
        match (person.fate(at), found.contains(number)) {
            (Fate::There, true) => there += 1,
            (Fate::Gone, false) => gone += 1,
            (Fate::There, false) => panic!("{name} has lost {number}: {person:?}, stopped at {at}"),
            (Fate::Gone, true) => panic!("{name} returns {number}: {person:?}, stopped at {at}"),
            (Fate::Either, _) => (),
        }
    }
    let status = gallery.status().unwrap();
    let active: u64 = status.active.iter().map(|(_, count)| count).sum();
    let unknown = known.values().filter(|person| person.id.is_none()).count();
    assert!(
        (found.len()..=found.len() + unknown).contains(&(active as usize)),
        "{name}: {active} are active"
    );
    let kept = status.subjects + status.retired;
    assert!((kept..=kept + status.erased).contains(&status.encounters), "{name}: half a subject: {status:?}");
    let mut tried = tried.lock().unwrap();
    *tried = Tried { images: tried.images + 1, looked_up: tried.looked_up + there, gone: tried.gone + gone };
}
