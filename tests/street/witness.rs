//! A witness on another machine: it cosigns the log as long as it goes on, and tells when it does not.

use audit::{hash::Hash, log_proof::LogProof, note::VerifierKey};
use serde_json::json;
use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tests::*;

/// A running `limen-witness`. Dropping it kills it.
struct Witness {
    child: Child,
    url: String,
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(binary("limen-witness"));
    command.args(["--name", "witness.example/w", "--folder"]).arg(folder);
    command
}

fn key(folder: &Path) -> String {
    let output = command(folder).arg("--show-key").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn start(folder: &Path, log: &str, listen: &str, silence_s: &str) -> Witness {
    let mut command = command(folder);
    command.args(["--log", log, "--listen", listen, "--silence-s", silence_s, "--grace-s", "2"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("limen-witness listens on ").expect("no witness").to_owned();
    Witness { child, url }
}

/// Waits for something that comes of itself.
fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_mins(1), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn alarms(folder: &Path) -> String {
    fs::read_to_string(folder.join("alarms")).unwrap_or_default()
}

#[test]
fn a_witness_cosigns_a_log_that_goes_on_and_tells_of_a_fork_a_rollback_and_silence() {
    let site = Site::found();
    let path = site.folder.path();
    let place = tempfile::tempdir().unwrap();
    let seen = place.path().join("seen");
    let (log, witness_key) = (index(path, &["audit", "key"]), key(&seen));
    let witness = start(&seen, &log, "127.0.0.1:0", "600");
    let address = witness.url.strip_prefix("http://").unwrap().to_owned();
    let configured = format!("http://{address} {witness_key}");
    let serve = |folder: &Path| {
        Server::start(
            folder,
            &[("LIMEN_SERVE_WITNESSES", &configured), ("LIMEN_SERVE_WITNESS_INTERVAL_S", "1")],
        )
    };
    // Somebody keeps a copy of the folder from the beginning.
    let old = Home::in_place(&place.path().join("old"));
    fs::create_dir(old.path().parent().unwrap()).unwrap();
    let copy = |from: &Path, to: &Path| {
        assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
    };
    copy(path, old.path());
    let server = serve(path);
    server.actor(&site.clerk).enrol(&site.list, "p1", 1);
    let guard = server.actor(&site.guard);
    let answer = guard.look_up(&site.list, 1).expect(200);
    let (at, hash) =
        (answer["receipt"]["leaf_index"].as_u64().unwrap(), answer["receipt"]["leaf_hash"].as_str().unwrap());
    let (log_key, key): (VerifierKey, VerifierKey) = (log.parse().unwrap(), witness_key.parse().unwrap());
    let witnessed = || {
        let proof: LogProof =
            guard.send_text("GET", &format!("/v1/log/proofs/{at}"), None).1.parse().unwrap();
        proof.check(Hash::from_hex(hash).unwrap(), &log_key, std::slice::from_ref(&key), 1).is_ok()
    };
    wait("the witness does not cosign", witnessed);
    wait("nor does the node tell", || {
        guard.get("/readyz").body["witnesses"] == json!({ "configured": 1, "cosigned": 1 })
    });
    // The witness starts again, and knows what it has seen.
    drop(witness);
    wait("the node does not notice", || guard.get("/readyz").body["witnesses"]["cosigned"] == json!(0));
    guard.look_up(&site.list, 2).expect(200);
    let witness = start(&seen, &log, &address, "600");
    wait("it does not go on", || guard.get("/readyz").body["witnesses"]["cosigned"] == json!(1));
    assert_eq!(alarms(&seen), "");
    assert!(server.terminate());
    // Offline, with what the witness kept: the log is the one that it saw.
    let kept = fs::read_dir(&seen).unwrap().map(|file| file.unwrap().path());
    let is_kept = |path: &std::path::PathBuf| path.extension().is_some_and(|ending| ending == "checkpoint");
    let kept = kept.into_iter().find(is_kept).unwrap();
    let verify = |folder: &Path| {
        let log_folder = folder.join("log");
        let of = ["audit", "verify", log_folder.to_str().unwrap(), "--log-key", &log];
        index_output(folder, &[of.as_slice(), &["--checkpoint", kept.to_str().unwrap()]].concat())
            .status
            .code()
    };
    assert_eq!((verify(path), verify(old.path())), (Some(0), Some(5)));
    // The old copy is put back, with its keys, and serves: shorter than what was seen, and then another.
    let server = serve(old.path());
    wait("no alarm of a rollback", || alarms(&seen).contains("rollback: "));
    let guard = server.actor(&site.guard);
    (0..9).for_each(|face| drop(guard.look_up(&site.list, face).expect(200)));
    wait("no alarm of a fork", || alarms(&seen).contains("fork: "));
    assert_eq!(guard.get("/readyz").body["witnesses"]["cosigned"], json!(0));
    assert!(server.terminate());
    drop(witness);
    fs::remove_file(seen.join("alarms")).unwrap();
    let witness = start(&seen, &log, "127.0.0.1:0", "1");
    wait("no alarm of silence", || alarms(&seen).contains("silence: "));
    let health = ureq::get(format!("{}/healthz", witness.url)).config().http_status_as_error(false).build();
    assert_eq!(health.call().unwrap().status(), 503);
}
