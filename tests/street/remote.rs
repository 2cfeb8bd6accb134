//! The tools on a node that serves: it does the work, and says why not.

use crate::{care::people, tools::npy};
use serde_json::{Value, json};
use std::{fs, path::Path};
use tests::*;

/// Asks a node for something, as the holder of a token.
fn by(server: &Server, folder: &Path, token: &Path, arguments: &[&str]) -> std::process::Output {
    let node = ["--server", &server.url, "--token-file", token.to_str().unwrap()];
    index_output(folder, &[arguments, &node].concat())
}

/// Puts a token into a file.
fn token_file(folder: &Path, name: &str, token: &str) -> std::path::PathBuf {
    let file = folder.join(name);
    private_file(&file, &format!("{token}\n"));
    file
}

#[test]
fn a_node_that_serves_does_what_its_administrator_asks_for() {
    let (site, away) = (Site::found(), tempfile::tempdir().unwrap());
    let path = site.folder.path();
    let (backups, keys) = (away.path().join("backups"), away.path().join("keys"));
    [&backups, &keys].into_iter().for_each(|folder| fs::create_dir(folder).unwrap());
    let environment = [
        ("LIMEN_SERVE_BACKUP_FOLDER", backups.to_str().unwrap()),
        ("LIMEN_SERVE_BACKUP_KEYS_FOLDER", keys.to_str().unwrap()),
    ];
    let server = Server::start(path, &environment);
    let (clerk, guard) = (server.actor(&site.clerk), server.actor(&site.guard));
    let ids: Vec<String> = (0..5).map(|n| clerk.enrol(&site.list, &format!("p {n}/&"), n)).collect();
    let files = [("keeper", &site.keeper), ("guard", &site.guard), ("clerk", &site.clerk)]
        .map(|(name, token)| token_file(away.path(), name, token));
    let told_by = |who: usize, arguments: &[&str]| {
        let output = by(&server, path, &files[who], arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let told = |arguments: &[&str]| told_by(0, arguments);
    assert!(told(&["rebuild"]).ends_with(", 5 references"));
    let json = told(&["rebuild", "--json"]);
    let last: serde_json::Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    assert!(last["outcome"].as_str().unwrap().ends_with("5 references"));
    let back = told(&["rollback"]);
    assert_eq!(told(&["activate", back.split([' ', ',']).nth(1).unwrap()]), back);

    let made = told(&["backup"]);
    let name = fs::read_dir(&backups).unwrap().next().unwrap().unwrap().file_name();
    assert!(made.contains(name.to_str().unwrap()) && made.contains("up to event"), "{made}");
    let erased = told_by(2, &["erase", "--subject", &ids[0], "--reference", "p 1/&"]);
    assert!(
        erased.contains(&ids[0]) && erased.contains(&ids[1]) && erased.contains("\terased\t"),
        "{erased}"
    );
    assert_eq!(guard.look_up(&site.list, 1).expect(200)["decision"], "no_hit");

    let refused = by(&server, path, &files[1], &["rebuild"]);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && why.contains("403"), "{why}");
    assert_eq!(
        index_output(path, &["rebuild", "--nation", "UTO"]).status.code(),
        Some(3),
        "it has the folder open"
    );
    assert!(server.terminate());
    let gone = ["rebuild", "--server", "http://127.0.0.1:1", "--token-file", files[0].to_str().unwrap()];
    assert_eq!(index_output(path, &gone).status.code(), Some(5));
    // What it backed up is what the tools restore; who was erased since stays erased.
    let (from, keys) = (backups.join(&name), keys.join(&name));
    let (from, keys) = (from.to_str().unwrap(), keys.to_str().unwrap());
    index(path, &["restore", "--from", from, "--keys", keys, "--replace"]);
    let server = site.serve();
    let guard = server.actor(&site.guard);
    assert_eq!(guard.look_up(&site.list, 1).expect(200)["decision"], "no_hit");
    assert_eq!(candidates(&guard.look_up(&site.list, 4).expect(200)), [ids[4].as_str()]);
}

#[test]
fn a_node_that_serves_is_filled_deduplicated_and_exported() {
    let (site, away) = (Site::found(), tempfile::tempdir().unwrap());
    let (path, place) = (site.folder.path(), away.path());
    let [clerk, foreigner, guard, keeper] =
        [("c", &site.clerk), ("f", &site.foreigner), ("g", &site.guard), ("k", &site.keeper)]
            .map(|(name, token)| token_file(place, name, token));
    let name = |file: &str| place.join(file).to_str().unwrap().to_owned();
    let (matrix, rows, parquet) = (name("m.npy"), name("rows.csv"), name("all.parquet"));
    let mut faces: Vec<Vec<f32>> = (0..1200).map(face).collect();
    faces[900] = faces[7].clone();
    npy(Path::new(&matrix), &faces);
    people(Path::new(&rows), 1200);
    let server = site.serve();
    let ask = |arguments: &[&str]| by(&server, path, &clerk, arguments);
    let told = |arguments: &[&str]| {
        let output = ask(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let enrol = ["enrol", "--features", &matrix, "--rows", &rows];
    assert_eq!(told(&enrol), "1200 enrolled, 0 on record already, 0 refused");
    assert_eq!(told(&["export", "--watchlist", "first", "--parquet", &parquet]), "1200 references");
    assert_eq!(told(&["import", &parquet]), "0 enrolled, 1200 on record already, 0 refused");
    let (out, out_rows) = (name("out.npy"), name("out.csv"));
    let export = ["export", "--watchlist", "first", "--features", &out, "--rows", &out_rows];
    assert_eq!(told(&export), "1200 references");
    let exported: Vec<Vec<f32>> =
        gallery::npy::Matrix::open(Path::new(&out)).unwrap().map(Result::unwrap).collect();
    assert_eq!(exported, faces, "as they came");
    assert_eq!(fs::read_to_string(&out_rows).unwrap(), fs::read_to_string(&rows).unwrap());

    let report = name("twice.jsonl");
    let dedup = ["dedup", "--threshold", "0.999", "--report", &report];
    assert_eq!(told(&dedup), format!("1200 references compared, 1 pairs in {report}"));
    assert_eq!(told(&dedup), format!("0 references compared, 1 pairs in {report}"));
    assert_eq!(
        ask(&["dedup", "--threshold", "0.9", "--report", &report]).status.code(),
        Some(2),
        "another question, another report"
    );
    let lines = fs::read_to_string(&report).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let pair = lines.into_iter().find(|line| line.get("score").is_some()).unwrap();
    assert_eq!((&pair["reference"], &pair["other_reference"]), (&json!("s900"), &json!("s7")));
    let [later, earlier, encounter] =
        ["subject", "other", "encounter"].map(|key| pair[key].as_str().unwrap());
    assert!(told(&["merge", "--from", later, "--into", earlier]).starts_with(later));
    let other = server.actor(&site.clerk).get("/v1/subjects?reference=s5").expect(200);
    let other = other["id"].as_str().unwrap();
    let moving = ["move", "--from", earlier, "--encounter", encounter, "--to", other];
    assert!(told(&moving).starts_with("1 encounters moved"));
    let found = server.actor(&site.guard).look_up(&site.list, 7).expect(200);
    let found: std::collections::BTreeSet<&str> = candidates(&found).into_iter().collect();
    assert_eq!(found, [earlier, other].into());

    let due = told(&["retention", "report"]);
    assert_eq!(due, "first: 1200 entries, 1199 active, 0 of them to be reviewed, 0 to be erased");
    assert_eq!(told(&["retention", "run"]), "0 subjects erased");
    assert_eq!(ask(&["retention", "run", "--confirm", "first=3"]).status.code(), Some(2), "not what is due");
    assert!(by(&server, path, &keeper, &["generations"]).status.success());
    // Who may not, is told so, and nothing is left.
    for (token, code) in [(&guard, 2), (&foreigner, 2)] {
        let stolen = name("stolen.parquet");
        let arguments = ["export", "--watchlist", &site.list, "--parquet", &stolen];
        assert_eq!(by(&server, path, token, &arguments).status.code(), Some(code));
        assert!(!Path::new(&stolen).exists());
    }
    let features = encode(&face(9));
    let row = json!({ "subject": "n", "encounter": "e", "watchlist": site.list, "category": "wanted", "features": features });
    let clerk = server.actor(&site.clerk);
    let mut wrong = row.clone();
    wrong["features"] = json!(encode(&[0.0; DIMENSION]));
    let answer = clerk.post("/v1/enrolments", &json!({ "rows": [wrong, row] })).expect(200);
    let outcomes = answer["outcomes"].as_array().unwrap();
    assert_eq!((&outcomes[0]["outcome"], &outcomes[1]["outcome"]), (&json!("refused"), &json!("enrolled")));
    let mut foreign = row.clone();
    foreign["watchlist"] = json!(clerk_list_of_nobody(&site.list));
    let refused = clerk.post("/v1/enrolments", &json!({ "rows": [row, foreign] })).expect(403);
    assert_eq!(refused["field"], "rows[1].watchlist");
    assert_eq!(clerk.post("/v1/enrolments", &json!({ "rows": [] })).expect(422)["field"], "rows");
}

/// An id that no watchlist has.
fn clerk_list_of_nobody(list: &str) -> String {
    let (head, last) = list.split_at(list.len() - 1);
    format!("{head}{}", if last == "0" { "1" } else { "0" })
}
