//! A watchlist that names an FPIR: from synthetic people to a hit whose score is explained.

use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tests::*;

const FEATURES: usize = 128;

/// Draws people, some of them there twice, and enrols them on a list.
fn people(folder: &Path, drawn: &Path, list: &str) {
    let drawn = drawn.to_str().unwrap();
    let draw = [
        "imitate",
        "--people",
        "3000",
        "--duplicates",
        "0.02",
        "--nonmated",
        "400",
        "--mated",
        "50",
        "--out",
        drawn,
    ];
    let shape = ["--dimension", "128", "--nonmated-sd", "0.1"];
    let made = Command::new(binary("limen-index")).args(draw).args(shape).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let labels = fs::read_to_string(format!("{drawn}/labels.csv")).unwrap();
    let row = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        format!("{},{},{list},wanted", fields[1], fields[2])
    };
    let rows: Vec<String> = ["subject,encounter,watchlist,category".to_owned()]
        .into_iter()
        .chain(labels.lines().skip(1).map(row))
        .collect();
    let list_of_rows = format!("{drawn}/rows.csv");
    fs::write(&list_of_rows, rows.join("\n")).unwrap();
    let features = format!("{drawn}/templates.npy");
    index(folder, &["enrol", "--nation", "UTO", "--features", &features, "--rows", &list_of_rows]);
}

/// The rows of a matrix.
fn matrix(path: &Path) -> Vec<Vec<f32>> {
    let bytes = fs::read(path).unwrap();
    let numbers: Vec<f32> = bytes[128..].as_chunks().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
    numbers.chunks(FEATURES).map(<[f32]>::to_vec).collect()
}

/// A list of Utopia that names an FPIR, and who uses it.
struct Scene {
    home: Home,
    list: String,
    guard: String,
    analyst: String,
    keeper: String,
}

impl Scene {
    fn build() -> Self {
        let home = Home::new();
        let path = home.path();
        index(path, &["init", "--model", "test", "--dimension", &FEATURES.to_string()]);
        let mut words = list_arguments("UTO", "by rate");
        let at = words.iter().position(|word| *word == "--threshold").unwrap();
        (words[at], words[at + 1]) = ("--fpir", "0.01");
        let list = index(path, &words);
        assert!(index(path, &["watchlist", "list", "--nation", "UTO"]).contains("FPIR 0.01"));
        appoint(path, "UTO");
        let searching = ["--raw-probes", "--watchlist", &list, "--purpose", "border_control"];
        let granted = |who: &str| {
            let words: Vec<&str> = who.split(' ').collect();
            grant(path, "UTO", &[words.as_slice(), &["--searches-per-hour", "100000"], &searching].concat())
        };
        let guard = granted("--name guard --role checkpoint");
        let analyst = granted("--name analyst --role integrator --verb lookup --scores");
        let keeper = grant(path, "UTO", &["--name", "keeper", "--role", "index_admin", "--own"]);
        Self { home, list, guard, analyst, keeper }
    }

    fn drawn(&self) -> PathBuf {
        self.home.path().with_file_name("drawn")
    }

    /// Three thousand people, and probes of fifty of them and of strangers.
    fn populate(&self) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
        people(self.home.path(), &self.drawn(), &self.list);
        let mut probes = matrix(&self.drawn().join("probes.npy"));
        let strangers = probes.split_off(50);
        (probes, strangers)
    }

    fn serve(&self) -> Server {
        Server::start(self.home.path(), &[])
    }

    /// The same, when it has measured by itself what scores mean.
    fn serve_calibrated(&self) -> Server {
        let server = self.serve();
        let began = std::time::Instant::now();
        let keeper = server.actor(&self.keeper);
        while keeper.get("/v1/jobs").expect(200)["jobs"][0]["state"] != "done" {
            assert!(began.elapsed().as_secs() < 60, "nothing is measured");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        server
    }

    fn ask(&self, server: &Server, token: &str, features: &[f32], more: &Value) -> Answer {
        let mut body = json!({
            "watchlists": [self.list], "purpose": "border_control", "legal_basis": "eu_2018_1861", "case_reference": "case 1",
            "probe": { "model": "test", "features": features },
        });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.actor(token).post("/v1/lookups", &body)
    }
}

#[test]
fn an_error_rate_becomes_a_threshold_and_each_answer_says_what_it_means() {
    let scene = Scene::build();
    // Without a calibration nothing is searched, rather than wrongly.
    let server = scene.serve();
    let unknown = scene.ask(&server, &scene.guard, &[1.0; FEATURES], &json!({}));
    let kind = unknown.body["type"].as_str();
    assert_eq!((unknown.status, kind), (503, Some("urn:limen:problem:uncalibrated")));
    assert_eq!(server.actor(&scene.guard).get("/v1/calibrations").status, 403);
    drop(server);
    let (mated, strangers) = scene.populate();
    let server = scene.serve_calibrated();
    let keeper = server.actor(&scene.keeper);
    let listed = || keeper.get("/v1/calibrations").expect(200)["calibrations"][0].clone();
    let first = listed();
    // The administrator asks for another.
    let begun = keeper.try_send("POST", "/v1/calibrations", None, &[]).unwrap().expect(202);
    let ended = keeper.events(&format!("/v1/jobs/{}", begun["job"].as_str().unwrap())).pop().unwrap();
    assert_eq!((&ended["state"], &ended["kind"]), (&json!("done"), &json!("calibrate")), "{ended}");
    let second = listed();
    assert!(first["id"] != second["id"] && second["references"] == 3000 && second["probes"] == 3000);
    let told = |token: &str, features: &[f32]| scene.ask(&server, token, features, &json!({})).expect(200);
    let hit = told(&scene.analyst, &mated[0]);
    assert_eq!((&hit["decision"], &hit["certificate"]["calibration"]), (&json!("hit"), &second["id"]));
    let rate = &hit["certificate"]["watchlists"][0]["fpir"];
    assert!(
        (rate["rate"].as_f64().unwrap() - 0.01).abs() < 1e-4 && rate["low"].as_f64() < rate["high"].as_f64()
    );
    let candidate = &hit["candidates"][0];
    assert!(
        candidate["score"].is_f64() && candidate["false_match_rate"].as_f64().unwrap() < 1e-5,
        "{candidate}"
    );
    // Nobody there has two captures: how much likelier it is cannot be told.
    assert!(candidate.get("likelihood_ratio").is_none());
    let seen = told(&scene.guard, &mated[0]);
    let (candidate, searched) = (&seen["candidates"][0], &seen["certificate"]["watchlists"]);
    assert!(candidate["band"].is_string() && candidate.get("false_match_rate").is_none());
    assert_eq!(searched, &hit["certificate"]["watchlists"]);
    // Of strangers about one in a hundred is stopped, and of those on the list nearly all.
    let hits = |token: &str, probes: &[Vec<f32>]| {
        probes.iter().filter(|probe| told(token, probe)["decision"] == "hit").count()
    };
    let (stopped, found) = (hits(&scene.analyst, &strangers), hits(&scene.guard, &mated));
    tests::told(&format!("at FPIR 0.01: {stopped} of 400 strangers stopped, {found} of 50 mates found"));
    assert!(stopped <= 14 && found >= 45);
}

#[test]
fn a_caller_may_ask_for_a_stricter_rate_and_never_for_a_looser_one() {
    let scene = Scene::build();
    let (mated, _) = scene.populate();
    let server = scene.serve_calibrated();
    let at = |more: Value| scene.ask(&server, &scene.analyst, &mated[0], &more);
    let threshold = |answer: Answer| answer.expect(200)["certificate"]["watchlists"][0]["threshold"].as_f64();
    assert!(threshold(at(json!({ "fpir": 0.001 }))) > threshold(at(json!({}))));
    for (fpir, field) in [(0.5, "threshold"), (1e-9, "fpir"), (0.0, "fpir"), (1.5, "fpir")] {
        let refused = at(json!({ "fpir": fpir }));
        assert!([400, 422].contains(&refused.status) && refused.body["field"] == field, "{}", refused.body);
    }
    // Nor who sees bands: a few rates would tell the score.
    let bands = scene.ask(&server, &scene.guard, &mated[0], &json!({ "fpir": 0.001 }));
    assert_eq!(bands.status, 403);
}

#[test]
fn the_tool_measures_and_tells_a_nation_who_of_its_own_may_be_there_twice() {
    let scene = Scene::build();
    let (mated, _) = scene.populate();
    let path = scene.home.path();
    let suspects = path.with_file_name("suspects.csv");
    let measure = |nation: &str| {
        let said =
            index(path, &["recalibrate", "--nation", nation, "--suspects", suspects.to_str().unwrap()]);
        said.split(' ').next().unwrap().to_owned()
    };
    let pairs = |file: &Path, columns: [usize; 2]| -> BTreeSet<BTreeSet<String>> {
        let text = fs::read_to_string(file).unwrap();
        let field = |line: &str, at: usize| line.split(',').nth(at).unwrap().replace('"', "");
        text.lines().skip(1).map(|line| columns.map(|at| field(line, at)).into_iter().collect()).collect()
    };
    let own = measure("UTO");
    let relations = fs::read_to_string(scene.drawn().join("relations.csv")).unwrap();
    let same: Vec<&str> = relations.lines().filter(|line| line.ends_with(",same")).collect();
    let file = scene.drawn().join("same.csv");
    fs::write(&file, format!("a,b\n{}\n", same.join("\n"))).unwrap();
    let (told, real) = (pairs(&suspects, [1, 3]), pairs(&file, [0, 1]));
    let found = real.intersection(&told).count();
    let besides = told.len() - found;
    tests::told(&format!(
        "of {} people under two names {found} are suspected, and {besides} pairs besides",
        real.len()
    ));
    assert!(real.len() > 15 && found * 100 >= real.len() * 90);
    let foreign = measure("XAA");
    assert!(pairs(&suspects, [1, 3]).is_empty() && foreign != own, "another nation is told of nobody");
    index(path, &["verify-store"]);
    // A start goes by the newest.
    let server = scene.serve();
    let after = scene.ask(&server, &scene.guard, &mated[0], &json!({})).expect(200);
    assert_eq!(after["certificate"]["calibration"], foreign);
}

#[test]
fn a_watchlist_names_a_threshold_an_fpir_or_both() {
    let site = Site::found();
    let server = site.serve();
    let clerk = server.actor(&site.clerk);
    let make = |name: &str, more: Value| {
        let mut body = json!({
            "name": name, "purposes": ["border_control"], "legal_bases": ["eu_2018_1861"], "handling": "H1", "categories": ["wanted"],
            "model": "test", "retention_days": 30,
        });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        clerk.post("/v1/watchlists", &body)
    };
    let neither = make("neither", json!({}));
    assert_eq!((neither.status, neither.body["field"].as_str()), (422, Some("threshold")));
    let both = make("both", json!({ "threshold": 0.5, "fpir": 0.001 })).expect(201);
    assert_eq!((both["threshold"].as_f64(), both["fpir"].as_f64()), (Some(0.5), Some(0.001)));
    let rate = make("rate", json!({ "fpir": 0.001 })).expect(201);
    assert!(rate.get("threshold").is_none() && rate["fpir"] == 0.001);
    for bad in [0.0, 1.0, -1.0] {
        assert_eq!(make("bad", json!({ "fpir": bad })).status, 400, "{bad}");
    }
    // Nobody is on it, and nothing tells from which score on somebody would be a candidate: who compares all with all names one.
    let dedup = json!({ "watchlists": [rate["id"]] });
    let refused = clerk.post("/v1/deduplications", &dedup);
    assert!(refused.status >= 400, "{}", refused.body);
}
