//! Who is at the other end: certificates of nodes and clients, and what is served without them.

use crate::{
    care::people,
    tools::{enrol, npy},
};
use serde_json::json;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};
use tests::*;

/// What a server says that does not start with these settings, nothing else being set.
fn refused(folder: &Path, environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(binary("limen"));
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--folder"])
        .arg(folder)
        .env("LIMEN_ROOT_KEY", ROOT_KEY);
    let output = command.envs(environment.iter().copied()).stdout(Stdio::null()).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

const INSECURE: (&str, &str) = ("LIMEN_SERVE_INSECURE_DEV", "true");

#[test]
fn without_tls_few_references_are_served_on_loopback_and_every_answer_says_so() {
    let site = Site::found();
    let path = site.folder.path();
    assert!(refused(path, &[]).contains("there is no TLS"));
    let open = [INSECURE, ("LIMEN_SERVE_LISTEN", "0.0.0.0:0")];
    let output =
        Command::new(binary("limen")).args(["serve", "--folder"]).arg(path).envs(open).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("loopback only"), "{output:?}");
    let server = Server::start(path, &[INSECURE]);
    assert!(server.url.starts_with("http://"));
    let answer = ureq::get(format!("{}/readyz", server.url)).call().unwrap();
    assert_eq!(answer.headers()["limen-insecure"], "insecure_dev");
    let ready = server.actor("").get("/readyz").expect(200);
    assert_eq!(ready["insecure"], json!(["insecure_dev"]));
    let clerk = server.actor(&site.clerk);
    let row = |n: u64| {
        json!({
            "subject": format!("s{n}"), "encounter": "e", "watchlist": site.list, "category": "wanted",
            "features": encode(&face(n)),
        })
    };
    let rows = |count: u64| json!({ "rows": (0..count).map(row).collect::<Vec<_>>() });
    let much = clerk.post("/v1/enrolments", &rows(1001));
    assert_eq!((much.status, &much.body["type"]), (403, &json!("urn:limen:problem:insecure")));
    clerk.post("/v1/enrolments", &rows(1000)).expect(200);
    assert_eq!(clerk.post("/v1/subjects", &subject(&site.list, "one more", 5000)).status, 403);
    drop(server);
    let (features, list) = (path.join("m.npy"), path.join("rows.csv"));
    npy(&features, &(0..1001).map(|n| face(n + 9000)).collect::<Vec<_>>());
    people(&list, 1001);
    let more = enrol(features.to_str().unwrap(), list.to_str().unwrap(), &["--on-error", "skip"]);
    index_output(path, &more);
    assert!(refused(path, &[INSECURE]).contains("too many for insecure_dev"));
    let server = site.serve();
    let ready = server.actor("").get("/readyz").expect(200);
    assert_eq!((server.url.starts_with("https://"), &ready["insecure"]), (true, &json!([])));
}

#[test]
fn a_caller_is_known_by_its_certificate_and_a_token_alone_is_not_enough_where_one_is_asked_for() {
    let site = Site::found();
    let path = site.folder.path();
    let file = |name: &str| certificates().join(name).to_str().unwrap().to_owned();
    let [first, second] = officers(path, "UTO");
    let (first, second) = (first.to_str().unwrap(), second.to_str().unwrap());
    let certificate = file("gate.pem");
    let add = [
        "grant",
        "add",
        "--token-file",
        first,
        "--approver",
        second,
        "--name",
        "gate",
        "--station",
        "gate 3",
    ];
    let what = [
        "--role",
        "checkpoint",
        "--raw-probes",
        "--own",
        "--purpose",
        "border_control",
        "--certificate",
        &certificate,
    ];
    let made = index(path, &[add.as_slice(), &what].concat());
    assert!(made.starts_with("grt_") && !made.contains("limen_"), "no token is made: {made}");
    let server = Server::start(path, &[("LIMEN_SERVE_CLIENT_CA", &file("ca.pem"))]);
    let status =
        |token: &str, client: Option<&str>| server.actor_with(token, client).look_up(&site.list, 1).status;
    assert_eq!(status("", Some("gate")), 200, "known by its certificate");
    assert_eq!(status(&site.guard, Some("stranger")), 200, "a token, at a station that the authority knows");
    assert_eq!(status("", Some("stranger")), 401, "nobody granted it anything");
    assert_eq!(status(&site.guard, None), 401, "a token alone is not enough");
    assert_eq!(status("limen_00", Some("gate")), 401, "a wrong token is not made good by a certificate");
    assert_eq!(server.actor("").get("/readyz").status, 200, "health is told to all");
    // The tool shows one, too.
    let token = first.to_owned();
    let list = ["grant", "list", "--server", &server.url, "--token-file", &token];
    assert_eq!(index_output(path, &list).status.code(), Some(2));
    let shown = ["--client-certificate", &certificate, "--client-key", &file("gate.key")];
    assert!(index(path, &[list.as_slice(), &shown].concat()).contains("gate, checkpoint"));
    drop(server);
    // A certificate of another authority is none; without one asked for, tokens are enough, and certificates nothing.
    let away = tempfile::tempdir().unwrap();
    let other = away.path().join("other");
    index(path, &["certificate", "--to", other.to_str().unwrap()]);
    let strict = Server::start(path, &[("LIMEN_SERVE_CLIENT_CA", other.join("ca.pem").to_str().unwrap())]);
    let asked = strict.actor_with("", Some("gate")).try_send("GET", "/v1/watchlists", None, &[]);
    assert!(asked.is_err(), "the handshake fails: {asked:?}");
    drop(strict);
    let server = site.serve();
    assert_eq!(server.actor(&site.guard).look_up(&site.list, 1).status, 200);
    assert_eq!(server.actor_with("", Some("gate")).look_up(&site.list, 1).status, 401);
    let plain = server.url.replace("https://", "http://");
    assert!(ureq::get(format!("{plain}/readyz")).call().is_err(), "nothing is told in plain");
}

#[test]
fn a_key_that_others_can_read_or_another_ones_is_refused() {
    let site = Site::found();
    let path = site.folder.path();
    let away = tempfile::tempdir().unwrap();
    let made = away.path().join("made");
    index(path, &["certificate", "--to", made.to_str().unwrap(), "--client", "c"]);
    assert_eq!(index_output(path, &["certificate", "--to", made.to_str().unwrap()]).status.code(), Some(2));
    let bad = away.path().join("bad");
    assert_eq!(
        index_output(path, &["certificate", "--to", bad.to_str().unwrap(), "--client", "../x"]).status.code(),
        Some(2)
    );
    let file = |name: &str| made.join(name).to_str().unwrap().to_owned();
    let with = |certificate: &str, key: &str| {
        refused(path, &[("LIMEN_SERVE_TLS_CERTIFICATE", certificate), ("LIMEN_SERVE_TLS_KEY", key)])
    };
    assert!(with(&file("node.pem"), &file("c.key")).contains("the certificate and its key"));
    assert!(with(&file("none.pem"), &file("node.key")).contains("none.pem"));
    assert!(with(&file("node.key"), &file("node.key")).contains("holds no certificate"));
    fs::set_permissions(made.join("node.key"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(with(&file("node.pem"), &file("node.key")).contains("can be read by others"));
    // A token is told to nobody in plain.
    let token = officers(path, "UTO")[0].to_str().unwrap().to_owned();
    for server in
        ["http://203.0.113.1", "HTTP://203.0.113.1:8080", "http://localhost.example", "203.0.113.1:80"]
    {
        let told = index_output(path, &["grant", "list", "--server", server, "--token-file", &token]);
        assert!(String::from_utf8_lossy(&told.stderr).contains("without TLS"), "{told:?}");
    }
    // Nor is one taken from where others read it.
    fs::set_permissions(&token, fs::Permissions::from_mode(0o640)).unwrap();
    let told = index_output(path, &["grant", "list", "--token-file", &token]);
    assert!(String::from_utf8_lossy(&told.stderr).contains("can be read by others"), "{told:?}");
}
