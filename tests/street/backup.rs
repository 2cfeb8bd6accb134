//! Backups, restoring, retention and the clock, by the tools.

use std::fs;
use tests::*;

fn anchored<'a>(anchor: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &["--anchor", anchor]].concat()
}

#[test]
fn a_restored_folder_names_what_is_lost_and_keeps_the_erased_erased() {
    let (site, away) = (Site::found(), tempfile::tempdir().unwrap());
    let folder = site.folder.path();
    let anchor = away.path().join("anchor");
    let anchor = anchor.to_str().unwrap();
    index(folder, &anchored(anchor, &["anchor"]));
    let server = Server::start(folder, &[("LIMEN_SERVE_ANCHOR", anchor)]);
    let clerk = server.actor(&site.clerk);
    let kept = clerk.enrol(&site.list, "kept", 1);
    let erased = clerk.enrol(&site.list, "erased", 2);
    assert!(server.terminate());
    let (to, keys) = (away.path().join("backup"), away.path().join("keys"));
    let (to, keys) = (to.to_str().unwrap(), keys.to_str().unwrap());
    let backup = anchored(anchor, &["backup", "--nation", "UTO", "--to", to, "--keys", keys]);
    assert!(index(folder, &backup).contains(&format!("up to event {} of the record", FOUNDED + 2)));
    assert_eq!(index_output(folder, &backup).status.code(), Some(2), "nothing is written over");
    index(folder, &anchored(anchor, &["erase", "--nation", "UTO", "--subject", &erased]));

    let restore = anchored(anchor, &["restore", "--from", to]);
    let lost = format!("events {} to {} of the record", FOUNDED + 3, FOUNDED + 4);
    let refused = index_output(folder, &restore);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{told}");
    assert!(told.contains(&lost) && told.contains("--replace"), "{told}");
    let told = index(folder, &[restore.as_slice(), &["--replace"]].concat());
    assert!(told.contains(&format!("lost: {lost}")), "{told}");
    assert!(
        index(folder, &anchored(anchor, &["verify-store"]))
            .contains("subjects      1, 0 retired and 1 erased")
    );
    // The folder is lost whole; the copy of the keys still has the erased one's.
    fs::remove_dir_all(folder).unwrap();
    let none = index_output(folder, &restore);
    assert!(String::from_utf8_lossy(&none.stderr).contains("there are no keys"), "{none:?}");
    index(folder, &[restore.as_slice(), &["--keys", keys]].concat());
    let server = Server::start(folder, &[("LIMEN_SERVE_ANCHOR", anchor)]);
    let guard = server.actor(&site.guard);
    assert_eq!(candidates(&guard.look_up(&site.list, 1).expect(200)), [kept.as_str()]);
    assert_eq!(guard.look_up(&site.list, 2).expect(200)["decision"], "no_hit");
    drop(server);

    let report: serde_json::Value = serde_json::from_str(&index(
        folder,
        &anchored(anchor, &["retention", "report", "--nation", "UTO", "--json"]),
    ))
    .unwrap();
    assert_eq!((&report[0]["active"], &report[0]["erasure_due"]), (&1.into(), &0.into()));
    let run = anchored(anchor, &["retention", "run", "--nation", "UTO", "--confirm", "first=0"]);
    assert_eq!(index(folder, &run), "0 subjects erased");
    let wrong = anchored(anchor, &["retention", "run", "--nation", "UTO", "--confirm", "first=3"]);
    assert_eq!(index_output(folder, &wrong).status.code(), Some(5));
    assert!(
        index(folder, &anchored(anchor, &["clock", "--nation", "UTO", "--accept"])).starts_with("it is 20")
    );
}
