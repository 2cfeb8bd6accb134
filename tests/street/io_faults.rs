//! One fault of the disk at every point: a system call of a real server on one of its files fails, once. Whatever it then
//! answers is true, and a restart has all that it acknowledged.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
    process::Stdio,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tests::{
    clients::{Clients, Fate, check},
    disk::Disk,
    in_process::Opened,
    trace::{Moment, Trace, recorder},
    *,
};

const FAILING: [&str; 7] = ["write", "pwrite64", "fsync", "fdatasync", "rename", "ftruncate", "openat"];

/// Where one call fails: the call, the file, the error, and which of its calls on the file.
#[derive(Clone)]
struct Point {
    call: String,
    file: String,
    error: &'static str,
    when: usize,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} {} {}", self.call, self.file, self.error, self.when)
    }
}

impl Point {
    /// A failed sync of these stops the node: nobody knows what they hold.
    fn must_stop(&self) -> bool {
        let truth = ["limen.db", "log/", "anchor", "keys/subjects", "erasures"]
            .iter()
            .any(|name| self.file.contains(name));
        truth && matches!(self.call.as_str(), "fsync" | "fdatasync")
    }
}

/// A site with some history, as a server left it.
struct Scene {
    site: Site,
    clients: Clients,
}

#[test]
fn no_fault_of_the_disk_makes_an_answer_wrong() {
    if !has_command("strace") {
        return skipped("faults of system calls", "no strace");
    }
    let scene = Scene { site: Site::found(), clients: Clients::default() };
    let place = scene.site.folder.path().parent().unwrap();
    let anchor = place.join("anchor");
    index(scene.site.folder.path(), &["anchor", "--anchor", anchor.to_str().unwrap()]);
    let server = Server::start(scene.site.folder.path(), &[("LIMEN_SERVE_ANCHOR", anchor.to_str().unwrap())]);
    act(&server, &scene.site, &scene.clients, &mut || ());
    assert!(server.terminate());

    let mut points = points(&scene);
    let all = points.len();
    if let Ok(which) = std::env::var("LIMEN_FAULTS") {
        points.retain(|point| format!("{point} ").contains(&which));
    } else {
        let mut chance = ChaCha8Rng::seed_from_u64(3);
        points = (0..60).map(|_| points[chance.next_u64() as usize % all].clone()).collect();
    }
    let (next, tally) = (AtomicUsize::new(0), Mutex::new(BTreeMap::<&str, usize>::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // All of them, though one is wrong.
                    let outcome = std::panic::catch_unwind(|| fail(&scene, point)).unwrap_or("wrong");
                    let tally = &mut *tally.lock().unwrap();
                    *tally.entry(outcome).or_default() += 1;
                    if tally.values().sum::<usize>().is_multiple_of(100) {
                        told(&format!("so far {tally:?}"));
                    }
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap();
    told(&format!("{} of {all} faults: {tally:?}", points.len()));
    assert!(!tally.contains_key("wrong"), "what was wrong is told above");
    let missed = tally.get("not reached").copied().unwrap_or(0);
    assert!(2 * missed <= points.len(), "most faults were not reached");
}

/// What the clients do: enrol, retire, erase, look up, build a generation and go back from it.
fn act(server: &Server, site: &Site, clients: &Clients, after_each: &mut dyn FnMut()) {
    let (clerk, guard) = (server.actor(&site.clerk), server.actor(&site.guard));
    let keeper = server.actor(&site.keeper);
    let refused = |answer: &Answer| assert!(matches!(answer.status, 500 | 503 | 507), "{answer:?}");
    for round in 0..2 {
        for _ in 0..5 {
            clients.write_one(&clerk, &site.list, refused);
            look_up_last(&guard, site, clients, refused);
            after_each();
        }
        let path = ["/v1/generations", "/v1/generations/former/activation"][round];
        let Ok(answer) = keeper.try_send("POST", path, None, &[]) else { continue };
        let Some(job) = answer.body["job"].as_str() else {
            assert!(matches!(answer.status, 200 | 404 | 409 | 500 | 503 | 507), "{answer:?}");
            continue;
        };
        let get = |path: &str| keeper.try_send("GET", path, None, &[]);
        let runs = |answer: Answer| answer.status == 200 && answer.body["state"] == "running";
        let began = Instant::now();
        while get(&format!("/v1/jobs/{job}")).is_ok_and(runs)
            && get("/readyz").is_ok_and(|ready| ready.status == 200)
        {
            assert!(began.elapsed() < Duration::from_secs(20), "the job neither ends nor does the node stop");
            std::thread::sleep(Duration::from_millis(5));
        }
        after_each();
    }
}

/// Looks the last few faces up: no answer, or the true one.
fn look_up_last(guard: &Actor<'_>, site: &Site, clients: &Clients, refused: impl Fn(&Answer)) {
    for (number, person) in clients.known().into_iter().rev().take(3) {
        let body = lookup(&site.list, number).to_string();
        let Ok(answer) = guard.try_send("POST", "/v1/lookups", Some(body.as_bytes()), &[]) else { continue };
        if answer.status != 200 {
            refused(&answer);
            continue;
        }
        let Some(id) = &person.id else { continue };
        let there = candidates(&answer.body).contains(&id.as_str());
        match person.fate(f64::INFINITY) {
            Fate::There if !there => assert_eq!(answer.body["decision"], "inconclusive", "{number} is lost"),
            Fate::Gone => assert!(!there, "{number} is back"),
            _ => (),
        }
    }
}

/// Every call on a file of the place that such a server makes, as often as it makes it.
fn points(scene: &Scene) -> Vec<Point> {
    let away = tempfile::tempdir().unwrap();
    let (trial, recorded) = (Trial::of(scene), away.path().join("trace"));
    let Trial { place, site, clients, .. } = &trial;
    let server = trial.serve(&recorder(&recorded), Stdio::inherit()).unwrap();
    act(&server, site, clients, &mut || ());
    kill_nine(server.process());
    server.wait();
    let trace = Trace::read(&recorded);
    let mut open = HashMap::<i64, String>::new();
    let mut counts = BTreeMap::<(String, String), BTreeMap<u32, usize>>::new();
    for (_, moment) in &trace.moments {
        let Moment::Ends(number) = *moment else { continue };
        let call = &trace.calls[number];
        let named = |index: usize| {
            let path = String::from_utf8(call.bytes(index)).unwrap();
            Path::new(&path).strip_prefix(place.path()).ok().map(|path| path.to_str().unwrap().to_owned())
        };
        let file = match call.name.as_str() {
            "openat" if call.arguments[1].starts_with('"') => {
                let file = named(1);
                if let Some(descriptor) = call.result {
                    open.remove(&descriptor);
                    open.extend(file.clone().map(|file| (descriptor, file)));
                }
                file
            }
            "rename" => named(0),
            _ => call.arguments[0].parse().ok().and_then(|descriptor| open.get(&descriptor).cloned()),
        };
        let Some(file) = file.filter(|_| FAILING.contains(&call.name.as_str())) else { continue };
        *counts.entry((call.name.clone(), file)).or_default().entry(call.thread).or_default() += 1;
    }
    // `strace` counts for each thread.
    let each = |((call, file), counts): ((String, String), BTreeMap<u32, usize>)| {
        let count = counts.into_values().max().unwrap_or(0);
        let errors = [("EIO", count), ("ENOSPC", count)];
        errors.into_iter().flat_map(move |(error, count)| {
            let (call, file) = (call.clone(), file.clone());
            (1..=count).map(move |when| Point { call: call.clone(), file: file.clone(), error, when })
        })
    };
    counts.into_iter().flat_map(each).collect()
}

/// Makes one call fail; returns what came of it.
fn fail(scene: &Scene, point: &Point) -> &'static str {
    let (trial, away) = (Trial::of(scene), tempfile::tempdir().unwrap());
    let Trial { place, site, clients, .. } = &trial;
    let Point { call, file, error, when } = point;
    let (output, errors) = (away.path().join("injected"), away.path().join("errors"));
    let path = place.path().join(file);
    let words = format!(
        "strace -f --seccomp-bpf -qq -e signal=none -e trace={call} -e inject={call}:error={error}:when={when}"
    );
    let mut under: Vec<String> = words.split(' ').map(str::to_owned).collect();
    under.extend(["-P", path.to_str().unwrap(), "-o", output.to_str().unwrap()].map(str::to_owned));
    let injected = || fs::read_to_string(&output).is_ok_and(|text| text.contains("(INJECTED)"));
    let stderr = Stdio::from(fs::File::create(&errors).unwrap());
    let outcome = match trial.serve(&under, stderr) {
        Err(_) => {
            assert!(injected(), "{point}: it did not start, without a fault");
            "not started"
        }
        Ok(server) => {
            let began = injected();
            let mut stopped = None;
            act(&server, site, clients, &mut || {
                if stopped.is_none() && !began && injected() {
                    stopped = Some(stops(&server, site));
                }
            });
            kill_nine(server.process());
            server.wait();
            match stopped {
                _ if began => {
                    assert!(!point.must_stop(), "{point}: it has started all the same");
                    "failed at its start and served"
                }
                None => "not reached",
                Some(stopped) => {
                    assert!(stopped || !point.must_stop(), "{point}: it serves on");
                    if stopped { "stopped" } else { "refused or went on" }
                }
            }
        }
    };
    let said = fs::read_to_string(&errors).unwrap();
    assert!(!said.contains("panicked"), "{point}: {said}");
    recovered(&trial, point);
    outcome
}

/// Does it answer no more, from within a second on?
fn stops(server: &Server, site: &Site) -> bool {
    const FOR_GOOD: Duration = Duration::from_millis(300);
    let (began, guard) = (Instant::now(), server.actor(&site.guard));
    let body = lookup(&site.list, 1).to_string();
    let mut silent = None;
    loop {
        match guard.try_send("POST", "/v1/lookups", Some(body.as_bytes()), &[]) {
            Ok(answer) if answer.status == 200 && silent.is_some() => return false,
            Ok(answer) if answer.status == 200 && began.elapsed() > Duration::from_secs(1) => return false,
            Ok(answer) if answer.status == 200 => (),
            _ => {
                if silent.get_or_insert_with(Instant::now).elapsed() > FOR_GOOD {
                    return true;
                }
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A start without faults has all that was acknowledged, and takes in what was not.
fn recovered(trial: &Trial, point: &Point) {
    let Trial { place, site, clients, .. } = trial;
    let server = trial.serve(&[], Stdio::inherit());
    let server = server.unwrap_or_else(|line| panic!("{point}: no start after it: {line:?}"));
    let known = clients.known();
    check(&server, site, &known, known.keys().copied());
    clients.repeat_unanswered(&server.actor(&site.clerk), &site.list, 0);
    let known = clients.known();
    check(&server, site, &known, known.keys().copied());
    assert!(server.terminate());
    let opened = Opened::at(place.path(), site).unwrap_or_else(|error| panic!("{point}: {error:?}"));
    opened.gallery.check().unwrap_or_else(|error| panic!("{point}: {error}"));
}

/// A copy of the scene, for one fault.
struct Trial {
    place: tempfile::TempDir,
    site: Site,
    clients: Clients,
    anchor: String,
}

impl Trial {
    fn of(scene: &Scene) -> Self {
        let place = in_memory();
        Disk::of(scene.site.folder.path().parent().unwrap()).live().write(place.path());
        let site = scene.site.copied_to(Home::in_place(place.path()));
        let anchor = place.path().join("anchor").to_str().unwrap().to_owned();
        Self { place, site, clients: scene.clients.continued(), anchor }
    }

    fn serve(&self, under: &[String], errors: Stdio) -> Result<Server, String> {
        Server::start_under(under, self.site.folder.path(), &[("LIMEN_SERVE_ANCHOR", &self.anchor)], errors)
    }
}
