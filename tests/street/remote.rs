//! The tools on a node that serves: it does the work, and says why not.

use std::fs;
use tests::*;

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
    let files = [("clerk", &site.clerk), ("guard", &site.guard)].map(|(name, token)| {
        let file = away.path().join(name);
        fs::write(&file, format!("{token}\n")).unwrap();
        file.to_str().unwrap().to_owned()
    });
    let by = |file: &str, arguments: &[&str]| {
        index_output(path, &[arguments, &["--server", &server.url, "--token-file", file]].concat())
    };
    let told = |arguments: &[&str]| {
        let output = by(&files[0], arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert!(told(&["rebuild"]).ends_with(", 5 references"));
    let json = told(&["rebuild", "--json"]);
    let last: serde_json::Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    assert!(last["outcome"].as_str().unwrap().ends_with("5 references"));
    let back = told(&["rollback"]);
    assert_eq!(told(&["activate", back.split([' ', ',']).nth(1).unwrap()]), back);

    let made = told(&["backup"]);
    let name = fs::read_dir(&backups).unwrap().next().unwrap().unwrap().file_name();
    assert!(made.contains(name.to_str().unwrap()) && made.contains("up to event"), "{made}");
    let erased = told(&["erase", "--subject", &ids[0], "--reference", "p 1/&"]);
    assert!(
        erased.contains(&ids[0]) && erased.contains(&ids[1]) && erased.contains("\terased\t"),
        "{erased}"
    );
    assert_eq!(guard.look_up(&site.list, 1).expect(200)["decision"], "no_hit");

    let refused = by(&files[1], &["rebuild"]);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && why.contains("403"), "{why}");
    assert_eq!(
        index_output(path, &["rebuild", "--nation", "UTO"]).status.code(),
        Some(3),
        "it has the folder open"
    );
    assert!(server.terminate());
    let gone = ["rebuild", "--server", "http://127.0.0.1:1", "--token-file", &files[0]];
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
