//! A person asks what is held of them: it is told, put right, contested, or refused with a reason; and everything is logged.

use serde_json::{Value, json};
use tests::*;

#[test]
fn a_person_is_told_what_is_held_and_done_and_it_is_put_right() {
    let site = Site::found();
    let path = site.folder.path();
    let token = path.with_file_name("clerk-token");
    private_file(&token, &site.clerk);
    let server = site.serve();
    let (clerk, guard) = (server.actor(&site.clerk), server.actor(&site.guard));
    let subject = clerk.enrol(&site.list, "p1", 1);
    let other = clerk.enrol(&site.list, "p2", 2);
    guard.look_up(&site.list, 1).expect(200);
    guard.look_up(&site.list, 2).expect(200);
    // Through the node.
    let by = ["--server", &server.url, "--token-file", token.to_str().unwrap(), "--subject", &subject];
    let ask = |action: &str, more: &[&str]| {
        index(path, &[&["subject-access", action], by.as_slice(), more].concat())
    };
    let rectify = [
        "--watchlist",
        &site.list,
        "--category",
        "missing",
        "--instruction",
        "take into care",
        "--grading",
        "A1",
    ];
    assert!(ask("rectify", &rectify).contains("rectified"));
    let told = guard.look_up(&site.list, 1).expect(200)["candidates"][0]["watchlists"][0].clone();
    assert_eq!((&told["category"], &told["instruction"]), (&json!("missing"), &json!("take into care")));
    let held: Value = serde_json::from_str(&ask("export", &[])).unwrap();
    assert_eq!(
        (&held["subject"]["reference"], &held["subject"]["entries"][0]["grading"]),
        (&json!("p1"), &json!("A1"))
    );
    let done = |held: &Value| -> Vec<String> {
        held["processing"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["what"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(done(&held), ["enrol", "lookup", "rectify", "lookup", "inspect"], "not the other's");
    let search = &held["processing"][1];
    assert_eq!((&search["nation"], &search["purpose"]), (&json!("UTO"), &json!("border_control")));
    assert!(
        ask("refuse", &["--reason", "inquiries", "--words", "ask the supervisory authority"])
            .contains("refused")
    );
    // What is not possible, and whom it does not concern.
    let put = |actor: &Actor<'_>, subject: &str, list: &str, category: &str| {
        let body = json!({ "category": category }).to_string();
        let entry = format!("/v1/subjects/{subject}/entries/{list}");
        actor.try_send("PUT", &entry, Some(body.as_bytes()), &[]).unwrap().status
    };
    let nowhere = "wl_01a20280-0000-7000-8000-000000000000";
    assert_eq!(
        (put(&clerk, &subject, &site.list, "victim"), put(&clerk, &subject, nowhere, "wanted")),
        (409, 409)
    );
    let foreign = server.actor(&site.foreigner);
    assert_eq!(
        (put(&foreign, &subject, &site.list, "wanted"), put(&guard, &subject, &site.list, "wanted")),
        (404, 403)
    );
    assert_eq!(foreign.get(&format!("/v1/subjects/{subject}/access")).status, 404);
    assert_eq!(guard.get(&format!("/v1/subjects/{subject}/access")).status, 403);
    assert!(server.terminate());
    // On the stopped node's folder.
    let at = ["--nation", "UTO", "--subject", &subject];
    let ask = |action: &str, more: &[&str]| {
        index(path, &[&["subject-access", action], at.as_slice(), more].concat())
    };
    assert!(ask("restrict", &[]).contains("restricted"));
    let held: Value = serde_json::from_str(&ask("export", &[])).unwrap();
    assert_eq!(held["subject"]["entries"][0]["state"], "restricted");
    let tail = ["refuse_access", "restrict", "inspect"];
    let done = done(&held);
    assert!(tail.iter().all(|word| done.iter().any(|one| one == word)), "{done:?}");
    assert!(ask("lift", &[]).contains("lifted"));
    let twice = ["subject-access", "lift", "--nation", "UTO", "--subject", &subject];
    assert_eq!(index_output(path, &twice).status.code(), Some(2));
    let unknown = ["subject-access", "export", "--nation", "XAA", "--subject", &other];
    assert_eq!(index_output(path, &unknown).status.code(), Some(2), "another nation's");
    index(path, &["verify-store"]);
}
