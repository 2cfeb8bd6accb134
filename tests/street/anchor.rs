//! An older copy of the data folder, put back whole: nothing inside it tells, but the anchor does.

use std::{
    fs, io,
    path::Path,
    process::{Command, Output},
};
use tests::*;

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// A start that must not succeed.
fn refused(folder: &Path, anchor: &str) -> String {
    let mut command = Command::new(binary("limen"));
    command
        .args(["serve", "--insecure-dev", "--listen", "127.0.0.1:0", "--folder"])
        .arg(folder)
        .env("LIMEN_SERVE_ANCHOR", anchor)
        .env("LIMEN_ROOT_KEY", ROOT_KEY);
    let Output { status, stderr, .. } = command.output().unwrap();
    assert!(!status.success());
    String::from_utf8(stderr).unwrap()
}

#[test]
fn twenty_older_copies_of_a_folder_are_refused_and_the_newest_is_served() {
    let (site, away) = (Site::found(), tempfile::tempdir().unwrap());
    let (folder, anchor) = (site.folder.path(), away.path().join("anchor"));
    let anchor = anchor.to_str().unwrap();
    index(folder, &["anchor", "--anchor", anchor]);
    for number in 0..20u64 {
        copy(folder, &away.path().join(number.to_string())).unwrap();
        let mut server = Server::start(folder, &[("LIMEN_SERVE_ANCHOR", anchor)]);
        if number.is_multiple_of(2) {
            server.actor(&site.clerk).enrol(&site.list, &format!("p{number}"), number);
        } else {
            server.actor(&site.guard).look_up(&site.list, number).expect(200); // an answer is an event, too
        }
        server.kill();
    }
    copy(folder, &away.path().join("newest")).unwrap();
    for number in 0..20 {
        let older = away.path().join(number.to_string());
        let told = refused(&older, anchor);
        assert!(told.contains("an older copy of the data folder was put back"), "copy {number}: {told}");
        let tool = index_output(&older, &["inspect", "--anchor", anchor]);
        assert_eq!(tool.status.code(), Some(5), "{tool:?}");
    }
    let newest = away.path().join("newest");
    let server = Server::start(&newest, &[("LIMEN_SERVE_ANCHOR", anchor)]);
    let answer = server.actor(&site.guard).look_up(&site.list, 18).expect(200);
    assert_eq!((candidates(&answer).len(), &answer["certificate"]["expected"]), (1, &10.into()));
    drop(server);

    // Who has nothing newer says so, and it stands in the log.
    let older = away.path().join("3");
    assert_eq!(index_output(&older, &["anchor", "--anchor", anchor]).status.code(), Some(2), "there is one");
    let told = index(&older, &["anchor", "--anchor", anchor, "--replace"]);
    assert!(
        told.contains("the anchor that is replaced knew") && told.contains("the audit log had"),
        "{told}"
    );
    let told = index(&older, &["verify-store", "--anchor", anchor]);
    assert!(told.contains("subjects      2, 0 retired"), "{told}");
    refused(&newest, anchor);
    drop(Server::start(&older, &[("LIMEN_SERVE_ANCHOR", anchor)]));

    // No anchor where one is configured, one that is none, and one in the folder itself.
    fs::write(anchor, "not an anchor").unwrap();
    assert!(refused(&older, anchor).contains("is not an anchor, or it is damaged"));
    fs::remove_file(anchor).unwrap();
    assert!(refused(&older, anchor).contains("there is no anchor at"));
    let inside = older.join("anchor");
    let inside = inside.to_str().unwrap();
    assert_eq!(index_output(&older, &["anchor", "--anchor", inside]).status.code(), Some(2));
    index(&older, &["anchor", "--anchor", anchor]);
    fs::copy(anchor, inside).unwrap();
    assert!(refused(&older, inside).contains("is in the data folder"));
}
