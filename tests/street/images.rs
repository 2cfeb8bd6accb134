//! Images instead of features, with a model that is made on the spot: searched with, compared, enrolled, extracted; and what is said of bad ones.

use extractor::{
    confine::Attempt,
    pool::{Attempted, Pool, Settings},
};
use image::ImageFormat;
use matcher::template::ModelId;
use serde_json::{Value, json};
use std::{
    fmt::Write,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};
use tests::{
    tiny_model::{install, photograph},
    *,
};

/// A folder with a watchlist that images may search, and who may do what.
pub(crate) struct Studio {
    pub(crate) site: Home,
    pub(crate) models: PathBuf,
    pub(crate) model: String,
    pub(crate) list: String,
    pub(crate) clerk: String,
    /// May not search with features of its own.
    pub(crate) guard: String,
    pub(crate) maker: String,
    pub(crate) auditor: String,
}

impl Studio {
    pub(crate) fn found(home: Home) -> Self {
        let models = home.path().with_file_name("models");
        let model = install(&models);
        Self::with_model(home, models, model, "0.8", &["--only-this-quality"])
    }

    pub(crate) fn with_model(
        site: Home,
        models: PathBuf,
        model: String,
        threshold: &str,
        quality: &[&str],
    ) -> Self {
        let path = site.path();
        index(path, &["init", "--models", models.to_str().unwrap(), "--model", &model]);
        let list = "watchlist add --nation UTO --name first --purpose border_control --legal-basis eu_2018_1861 \
            --handling H1 --category wanted --retention-days 30";
        let list: Vec<&str> = list.split_whitespace().collect();
        let list =
            index(path, &[&list, &["--model", &model, "--threshold", threshold][..], quality].concat());
        appoint(path, "UTO");
        let clerk = grant(path, "UTO", &["--name", "clerk", "--role", "enroller", "--own"]);
        let guard = ["--name", "guard", "--role", "checkpoint", "--watchlist", &list];
        let often = ["--purpose", "border_control", "--searches-per-hour", "100000"];
        let guard = grant(path, "UTO", &[&guard[..], &often].concat());
        let maker = ["--name", "maker", "--role", "integrator", "--verb", "extract", "--own"];
        let maker = grant(path, "UTO", &maker);
        let auditor = grant(path, "UTO", &["--name", "auditor", "--role", "auditor", "--own"]);
        Self { site, models, model, list, clerk, guard, maker, auditor }
    }

    pub(crate) fn serve(&self, environment: &[(&str, &str)]) -> Server {
        let own = [
            ("LIMEN_SERVE_MODELS_FOLDER", self.models.to_str().unwrap()),
            ("LIMEN_SERVE_IMAGE_MODEL", &self.model),
        ];
        Server::start(self.site.path(), &[&own, environment].concat())
    }

    pub(crate) fn search(&self, probe: &Value) -> Value {
        json!({
            "watchlists": [self.list], "purpose": "border_control", "legal_basis": "eu_2018_1861",
            "case_reference": "case 1", "probe": probe,
        })
    }

    pub(crate) fn look_up(&self, actor: &Actor<'_>, file: &[u8]) -> Answer {
        let request = self.search(&json!({ "image": { "part": "photo" } }));
        actor.post_files("/v1/lookups", &request, &[("photo", file)])
    }

    pub(crate) fn subject(&self, reference: &str, template: &Value) -> Value {
        json!({ "reference": reference, "entries": [{ "watchlist": self.list, "category": "wanted" }],
            "encounters": [{ "template": template }] })
    }

    pub(crate) fn enrol(&self, clerk: &Actor<'_>, reference: &str, file: &[u8]) -> Answer {
        let request = self.subject(reference, &json!({ "image": { "part": "photo" } }));
        clerk.post_files("/v1/subjects", &request, &[("photo", file)])
    }
}

fn base64(file: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(file)
}

fn png(people: &[u64]) -> Vec<u8> {
    photograph(people, ImageFormat::Png)
}

#[test]
fn who_was_enrolled_by_a_photograph_is_found_by_another() {
    let studio = Studio::found(Home::new());
    let server = studio.serve(&[]);
    let (clerk, guard) = (server.actor(&studio.clerk), server.actor(&studio.guard));
    let enrolled = studio.enrol(&clerk, "one", &png(&[1])).expect(201);
    let subject = &enrolled["subject"];
    // Another one in base64, onto the same subject; and one of another person.
    let more = json!({ "template": { "image": { "base64": base64(&photograph(&[1], ImageFormat::Bmp)) } } });
    clerk.post(&format!("/v1/subjects/{}/encounters", subject.as_str().unwrap()), &more).expect(201);
    studio.enrol(&clerk, "two", &photograph(&[2], ImageFormat::Tiff)).expect(201);
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Bmp, ImageFormat::Tiff] {
        let found = studio.look_up(&guard, &photograph(&[1], format)).expect(200);
        assert_eq!(found["decision"], "hit", "{format:?}");
        assert_eq!(candidates(&found), [subject.as_str().unwrap()]);
        assert!(found["receipt"]["proof"].is_string());
    }
    let stranger = studio.look_up(&guard, &png(&[3])).expect(200);
    assert_eq!((&stranger["decision"], &stranger["certificate"]["compared"]), (&json!("no_hit"), &json!(3)));
    let mut compared = studio.search(&json!({ "image": { "base64": base64(&png(&[1])) } }));
    let fields = compared.as_object_mut().unwrap();
    fields.remove("watchlists");
    fields.insert("watchlist".to_owned(), json!(studio.list));
    fields.insert("subject".to_owned(), subject.clone());
    assert_eq!(guard.post("/v1/verifications", &compared).expect(200)["decision"], "hit");
    // Features of its own are a right that this caller has not.
    let raw = studio.search(&json!({ "model": studio.model, "features": face(1) }));
    assert_eq!(guard.post("/v1/lookups", &raw).expect(403)["field"], "probe");
}

#[test]
fn a_bad_image_is_inconclusive_with_a_receipt_and_says_what_to_do() {
    let home = Home::new();
    let models = home.path().with_file_name("models");
    let model = install(&models);
    let strict = ["--only-this-quality", "--lookup-quality", "inter_eye_distance=40", "--enrolment-quality"];
    let strict = [&strict[..], &["inter_eye_distance=50"]].concat();
    let studio = Studio::with_model(home, models, model, "0.8", &strict);
    let server = studio.serve(&[]);
    let (clerk, guard, auditor) =
        (server.actor(&studio.clerk), server.actor(&studio.guard), server.actor(&studio.auditor));
    let nobody = {
        let mut file = std::io::Cursor::new(Vec::new());
        image::RgbImage::new(100, 100).write_to(&mut file, ImageFormat::Png).unwrap();
        file.into_inner()
    };
    let cut = png(&[1])[..200].to_vec();
    for (file, reason, advice) in [
        (png(&[1]), "quality", "move closer: eyes 35 px apart, 62 wanted"),
        (nobody, "no_face", "no face is seen in the image"),
        (
            png(&[1, 2]),
            "several_faces",
            "2 faces are seen, of like size: name the box of the one that is meant",
        ),
        (b"GIF89a".to_vec(), "unreadable", "this is no JPEG, PNG, BMP, TIFF or JPEG 2000"),
        (cut, "unreadable", "the Png image is damaged, or of a kind that is not read"),
        (Vec::new(), "unreadable", "the file is empty"),
    ] {
        let answer = studio.look_up(&guard, &file).expect(422);
        assert_eq!((&answer["decision"], &answer["reason"]), (&json!("inconclusive"), &json!(reason)));
        assert_eq!(answer["advice"], json!([advice]));
        let leaf = answer["receipt"]["leaf_index"].as_u64().unwrap();
        let event = auditor.get(&format!("/v1/log/events/{leaf}")).expect(200);
        let event: Value = serde_json::from_str(event["evidence"]["event"].as_str().unwrap()).unwrap();
        assert_eq!((&event["verb"], &event["reason"]), (&json!("decline"), &json!(reason)));
        if reason == "several_faces" {
            assert_eq!(answer["faces"].as_array().unwrap().len(), 2);
        }
    }
    // Nobody comes on record with it either, and nobody else's request is looked at.
    let refused = studio.enrol(&clerk, "one", &png(&[1])).expect(422);
    assert_eq!(refused["field"], "encounters[0].template.image");
    assert!(refused["detail"].as_str().unwrap().starts_with("move closer"), "{refused}");
    // Who may not is refused before the image is looked at: this one would be refused for itself.
    for (actor, path) in [(&guard, "/v1/subjects"), (&clerk, "/v1/lookups")] {
        let image = json!({ "image": { "part": "photo" } });
        let request =
            if path == "/v1/subjects" { studio.subject("one", &image) } else { studio.search(&image) };
        assert_eq!(actor.post_files(path, &request, &[("photo", b"GIF89a")]).status, 403, "{path}");
    }
    let nobody = "/v1/subjects/sub_01a20280-0000-7000-8000-000000000000/encounters";
    let more = json!({ "template": { "image": { "base64": base64(b"GIF89a") } } });
    assert_eq!(clerk.post(nobody, &more).status, 404);
}

#[test]
fn a_named_box_chooses_a_face_and_an_extraction_is_a_right_of_its_own() {
    let studio = Studio::found(Home::new());
    let server = studio.serve(&[]);
    let maker = server.actor(&studio.maker);
    let ask = |file: &[u8], named: Value| {
        let mut request = json!({ "image": { "part": "photo" } });
        if !named.is_null() {
            request["image"]["box"] = named;
        }
        maker.post_files("/v1/extractions", &request, &[("photo", file)])
    };
    let alone: Vec<Value> = [1, 2].map(|person| ask(&png(&[person]), Value::Null).expect(200)).into();
    let both = ask(&png(&[1, 2]), Value::Null).expect(422);
    assert!(both.get("decision").is_none() && both["faces"].as_array().unwrap().len() == 2, "{both}");
    for face in both["faces"].as_array().unwrap() {
        let made = ask(&png(&[1, 2]), face["box"].clone()).expect(200);
        let person = usize::from(face["box"][0].as_f64().unwrap() > 160.0);
        assert_eq!(made["features"], alone[person]["features"], "the same pixels give the same template");
        assert_eq!((&made["faces"], &made["size"]), (&json!(2), &json!([320, 160])));
    }
    assert_eq!(ask(&png(&[1, 2]), json!([0, 0, 5, 5])).status, 422);
    for bad in [json!([0, 0, -5, 5]), json!([0, 0, 1e39, 5]), json!([0, 0, 5])] {
        assert_eq!(ask(&png(&[1]), bad).status, 400);
    }
    assert_eq!(alone[0]["model"], studio.model.as_str());
    for (field, value) in [("image", json!({})), ("image", json!({ "part": "x" })), ("file", json!({}))] {
        assert_eq!(maker.post("/v1/extractions", &json!({ field: value })).status, 400);
    }
    for (token, status) in [(&studio.guard, 403), (&studio.clerk, 403)] {
        let other = server.actor(token);
        let request = json!({ "image": { "base64": base64(&png(&[1])) } });
        assert_eq!(other.post("/v1/extractions", &request).status, status);
    }
}

#[test]
fn a_request_in_parts_is_repeated_under_its_key_whatever_its_boundary_and_is_not_looked_at_again() {
    let studio = Studio::found(Home::new());
    let server = studio.serve(&[("LIMEN_SERVE_IMAGE_WORKERS", "1"), ("LIMEN_SERVE_IMAGE_TIMEOUT_S", "1")]);
    let clerk = server.actor(&studio.clerk);
    let request = studio.subject("one", &json!({ "image": { "part": "photo" } })).to_string();
    let ask = |boundary: &str, photo: &[u8]| {
        let mut body = Vec::new();
        for (name, content) in [("request", request.as_bytes()), ("photo", photo)] {
            let head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
            body.extend([head.as_bytes(), content, b"\r\n"].concat());
        }
        body.extend(format!("--{boundary}--\r\n").into_bytes());
        let kind = format!("multipart/form-data; boundary={boundary}");
        let headers = [("content-type", kind.as_str()), ("idempotency-key", "enrol one")];
        clerk.try_send("POST", "/v1/subjects", Some(&body), &headers).unwrap()
    };
    let first = ask("one", &png(&[1])).expect(201);
    assert_eq!(ask("other", &png(&[2])).expect(422)["type"], "urn:limen:problem:key-reused");
    // Also while no image can be looked at.
    for worker in workers_of(&server) {
        assert!(
            std::process::Command::new("kill")
                .args(["-STOP", &worker.to_string()])
                .status()
                .unwrap()
                .success()
        );
    }
    assert_eq!(ask("another", &png(&[1])).expect(201)["subject"], first["subject"]);
}

#[test]
fn without_a_model_images_are_not_taken_and_everything_else_is() {
    let site = Site::found();
    let server = site.serve();
    let guard = server.actor(&site.guard);
    let mut body = lookup(&site.list, 1);
    body["probe"] = json!({ "image": { "base64": base64(&png(&[1])) } });
    assert_eq!(guard.post("/v1/lookups", &body).expect(501)["type"], "urn:limen:problem:no-model");
    assert_eq!(guard.look_up(&site.list, 1).status, 200);
    assert!(guard.get("/readyz").expect(200).get("images").is_none());
    body["probe"] = json!({ "model": "test", "features": face(1), "image": { "base64": "" } });
    assert_eq!(guard.post("/v1/lookups", &body).expect(400)["field"], "probe");
}

fn pool(studio: &Path) -> Pool {
    let models = studio.join("models");
    let model = ModelId::new(&install(&models)).unwrap();
    let program = binary("limen");
    Pool::start(Settings { program, workers: 1, ..Settings::new(models, model) }).unwrap()
}

#[test]
fn a_worker_can_open_nothing_reach_nobody_run_nothing_and_not_take_all_memory() {
    let place = tempfile::tempdir().unwrap();
    let pool = pool(place.path());
    let times = std::env::var("LIMEN_ATTEMPTS").map_or(13, |times| times.parse().unwrap());
    for attempt in Attempt::ALL {
        for _ in 0..times {
            assert_ne!(pool.attempt(attempt).unwrap(), Attempted::Succeeded, "{attempt:?}");
        }
    }
    told(&format!("{} attempts of workers, none succeeded", 4 * times));
    // A fresh one works.
    let made = pool.extract(png(&[1]), extractor::extract::Wanted::default()).unwrap();
    assert_eq!(made.features.len(), 16);
    let confined = pool.health().confinement.unwrap();
    assert!(confined.tried, "{confined:?}");
    assert_eq!(confined.landlock, extractor::confine::landlock_is_here());
    if !confined.landlock || !confined.seccomp {
        skipped("a part of the workers' confinement", &format!("this kernel lacks it: {confined:?}"));
    }
}

#[test]
fn an_image_that_takes_too_long_is_inconclusive_and_the_next_one_is_answered() {
    let studio = Studio::found(Home::new());
    let environment = [("LIMEN_SERVE_IMAGE_WORKERS", "1"), ("LIMEN_SERVE_IMAGE_TIMEOUT_S", "1")];
    let server = studio.serve(&environment);
    let guard = server.actor(&studio.guard);
    studio.look_up(&guard, &png(&[1])).expect(200);
    let [worker] = workers_of(&server)[..] else { panic!("one worker") };
    assert!(
        std::process::Command::new("kill").args(["-STOP", &worker.to_string()]).status().unwrap().success()
    );
    let late = studio.look_up(&guard, &png(&[1])).expect(422);
    assert_eq!((&late["decision"], &late["reason"]), (&json!("inconclusive"), &json!("limits")));
    studio.look_up(&guard, &png(&[1])).expect(200);
    assert!(!workers_of(&server).contains(&worker), "it was ended");
}

fn workers_of(server: &Server) -> Vec<u32> {
    let id = server.process();
    let mut workers = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{id}/task")).unwrap() {
        let children = std::fs::read_to_string(thread.unwrap().path().join("children")).unwrap_or_default();
        workers.extend(children.split_whitespace().map(|id| id.parse::<u32>().unwrap()));
    }
    workers
}

#[test]
fn a_worker_that_dies_costs_one_answer_and_the_server_goes_on() {
    let studio = Studio::found(Home::new());
    let server = studio.serve(&[("LIMEN_SERVE_IMAGE_WORKERS", "2")]);
    studio.enrol(&server.actor(&studio.clerk), "one", &png(&[1])).expect(201);
    let (right, declined, killed) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let guard = server.actor(&studio.guard);
                    for _ in 0..60 {
                        let answer = studio.look_up(&guard, &png(&[1]));
                        match answer.status {
                            200 => {
                                assert_eq!(answer.body["decision"], "hit");
                                right.fetch_add(1, Ordering::Relaxed);
                            }
                            422 => {
                                assert_eq!(answer.body["reason"], "limits");
                                declined.fetch_add(1, Ordering::Relaxed);
                            }
                            other => panic!("{other}: {}", answer.body),
                        }
                    }
                })
            })
            .collect();
        // One that is killed before it has begun is a node that cannot begin any: it is killed at work, when some were answered since it was there.
        let mut before = Vec::new();
        while !asking.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            let (answered, there) = (right.load(Ordering::Relaxed), workers_of(&server));
            let at_work: Vec<u32> = there.iter().copied().filter(|worker| before.contains(worker)).collect();
            before = there;
            for worker in at_work {
                let kill = std::process::Command::new("kill").args(["-9", &worker.to_string()]).output();
                killed.fetch_add(u32::from(kill.unwrap().status.success()), Ordering::Relaxed);
            }
            let finished = || asking.iter().all(std::thread::ScopedJoinHandle::is_finished);
            while right.load(Ordering::Relaxed) < answered + 4 && !finished() {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
    });
    let counts = [&right, &declined, &killed].map(|count| count.load(Ordering::Relaxed));
    let [right, declined, killed] = counts;
    assert_eq!(right + declined, 180);
    assert!(killed > 2 && right > 0 && declined <= killed, "{counts:?}");
    assert_eq!(studio.look_up(&server.actor(&studio.guard), &png(&[1])).status, 200);
}

#[test]
fn a_full_queue_of_images_says_so_and_keeps_no_vector_waiting() {
    let studio = Studio::found(Home::new());
    let raw = ["--name", "raw", "--role", "checkpoint", "--raw-probes", "--watchlist", &studio.list];
    let raw = [&raw[..], &["--purpose", "border_control", "--searches-per-hour", "100000"]].concat();
    let raw = grant(studio.site.path(), "UTO", &raw);
    let server = studio.serve(&[("LIMEN_SERVE_IMAGE_WORKERS", "1"), ("LIMEN_SERVE_IMAGE_QUEUE", "1")]);
    // Large enough to take a while.
    let mut large = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(3000, 3000).write_to(&mut large, ImageFormat::Png).unwrap();
    let large = large.into_inner();
    let full = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let guard = server.actor(&studio.guard);
                for _ in 0..3 {
                    let answer = studio.look_up(&guard, &large);
                    assert!([422, 503].contains(&answer.status), "{}", answer.body);
                    full.fetch_add(u32::from(answer.status == 503), Ordering::Relaxed);
                }
            });
        }
        // While nothing comes of any image at all.
        let stop = |signal: &str| {
            for worker in workers_of(&server) {
                let sent = std::process::Command::new("kill").args([signal, &worker.to_string()]).status();
                assert!(sent.unwrap().success());
            }
        };
        let vectors = server.actor(&raw);
        stop("-STOP");
        for number in 0..50 {
            let search = studio.search(&json!({ "model": studio.model, "features": face(number) }));
            vectors.post("/v1/lookups", &search).expect(200);
        }
        stop("-CONT");
    });
    assert!(full.load(Ordering::Relaxed) > 0, "nobody was told that the queue is full");
}

#[test]
fn a_folder_of_photographs_is_enrolled_again_and_again_until_all_is_on_record() {
    let studio = Studio::found(Home::new());
    let place = tempfile::tempdir().unwrap();
    let (folder, labels) = (place.path().join("photos"), place.path().join("labels.csv"));
    std::fs::create_dir(&folder).unwrap();
    let mut list = "file,subject,encounter,watchlist,category\n".to_owned();
    // Two photographs of each of 100 people; one is no photograph, one is not there, one is outside.
    for number in 0..200u64 {
        std::fs::write(folder.join(format!("{number}.png")), png(&[number / 2])).unwrap();
        let _ = writeln!(list, "{number}.png,p{},e{},first,wanted", number / 2, number % 2);
    }
    std::fs::write(folder.join("7.png"), b"no photograph").unwrap();
    list += "missing.png,x,e,first,wanted\n../labels.csv,y,e,first,wanted\n";
    std::fs::write(&labels, list).unwrap();
    let words = |on_error: &'static str| {
        let mut command = std::process::Command::new(binary("limen-index"));
        command.args(["enrol", "--nation", "UTO", "--on-error", on_error, "--json", "--images"]);
        command.arg(&folder).arg("--labels").arg(&labels).args(["--model", &studio.model, "--models"]);
        command.arg(&studio.models).env("LIMEN_FOLDER", studio.site.path()).env("LIMEN_ROOT_KEY", ROOT_KEY);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command
    };
    let report = place.path().join("labels.csv.report.csv");
    let reported = |outcome: &str| {
        let text = std::fs::read_to_string(&report).unwrap_or_default();
        text.lines().filter(|line| line.contains(outcome)).count()
    };
    // Killed in the middle, after the first batch is durable.
    let mut child = words("skip").spawn().unwrap();
    while reported(",enrolled,") == 0 {
        assert!(child.try_wait().unwrap().is_none(), "it has ended");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let _ = child.kill();
    child.wait().unwrap();
    let first = reported(",enrolled,");
    // A line that the kill cut.
    let text = std::fs::read_to_string(&report).unwrap();
    std::fs::write(&report, &text[..text.len() - 3]).unwrap();
    let output = words("skip").output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let last: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!(output.status.code(), Some(4), "{last}");
    let done = last["enrolled"].as_u64().unwrap() + last["already"].as_u64().unwrap();
    assert_eq!(last["refused"], 3, "{last}");
    assert!(done < 199 && done as usize + first >= 199, "{last} after {first}");
    let reasons = ["this is no JPEG", "missing.png: No such file", "not within the folder"];
    // With another name for the same file it is another line.
    let text = std::fs::read_to_string(&labels).unwrap();
    std::fs::write(&labels, text.replace("8.png,p4,e0", "8.png,p4b,e0")).unwrap();
    let output = words("skip").output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let last: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!(last["enrolled"], 1, "{last}");
    assert!(reasons.into_iter().all(|reason| reported(reason) >= 1), "the report says why");
    let again = words("stop").output().unwrap();
    assert_eq!(again.status.code(), Some(4), "what was refused is tried again");
    let server = studio.serve(&[]);
    let guard = server.actor(&studio.guard);
    for person in [0, 50, 99] {
        let found = studio.look_up(&guard, &png(&[person])).expect(200);
        assert_eq!((&found["decision"], &found["certificate"]["compared"]), (&json!("hit"), &json!(200)));
    }
    // Through a running node, too.
    std::fs::write(folder.join("7.png"), png(&[3])).unwrap();
    let mut remote = words("skip");
    let token = place.path().join("clerk");
    private_file(&token, &studio.clerk);
    remote.arg("--server").arg(&server.url).arg("--token-file").arg(&token);
    remote.arg("--ca").arg(certificates().join("ca.pem"));
    let output = remote.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let last: Value = serde_json::from_str(told.lines().last().unwrap_or("{}")).unwrap();
    assert_eq!((&last["enrolled"], &last["refused"]), (&json!(1), &json!(2)), "{told} {error}");
}

#[test]
fn a_model_that_is_not_what_was_imported_is_not_loaded() {
    let place = tempfile::tempdir().unwrap();
    let models = place.path().join("models");
    let id = install(&models);
    let models_text = models.to_str().unwrap();
    let verify = || index_output(place.path(), &["model", "verify", "--models", models_text]);
    assert!(verify().status.success());
    let told = index(place.path(), &["model", "profile", "--models", models_text, &id]);
    assert!(told.contains("dimension = 16") && told.contains("hayro-jpeg2000"), "{told}");
    let embedder = models.join(&id).join("embedder.onnx");
    let whole = std::fs::read(&embedder).unwrap();
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(&embedder, &changed).unwrap();
    assert!(String::from_utf8_lossy(&verify().stderr).contains("not the file that the profile pins"));
    std::fs::write(&embedder, &whole).unwrap();
    let profile = models.join(&id).join("profile.toml");
    let text = std::fs::read_to_string(&profile).unwrap();
    for (from, to, why) in [
        ("dimension = 16", "dimension = 17", "the id is not that of the content"),
        ("pipeline = 1", "pipeline = 0", "the id is not that of the content"),
        ("dimension = 16", "dimensions = 16", "unknown field"),
    ] {
        std::fs::write(&profile, text.replace(from, to)).unwrap();
        let error = String::from_utf8_lossy(&verify().stderr).into_owned();
        assert!(error.contains(why), "{error}");
    }
    std::fs::write(&profile, &text).unwrap();
    assert!(verify().status.success());
    let other = ["init", "--models", models_text, "--model", "tiny-0000000000000000"];
    assert!(
        String::from_utf8_lossy(&index_output(place.path(), &other).stderr).contains("there is no model")
    );
}
