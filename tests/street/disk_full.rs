//! The disk fills up, a real one: a small file system in a file.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use tests::*;

/// A small file system, until it is dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where none may be mounted.
    fn mount(mebibytes: u64) -> Option<Self> {
        let around = tempfile::tempdir().unwrap();
        let (image, at) = (around.path().join("image"), around.path().join("disk"));
        File::create(&image).unwrap().set_len(mebibytes << 20).unwrap();
        fs::create_dir(&at).unwrap();
        let done = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
        let made = done(Command::new("mkfs.ext4").arg("-q").arg(&image));
        let mounted = made && done(Command::new("mount").args(["-o", "loop"]).args([&image, &at]));
        mounted.then_some(Self(around))
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("disk")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

/// Fills the disk up to so many bytes.
fn fill(disk: &Path, name: &str, left: u64) -> std::path::PathBuf {
    let filler = disk.join(name);
    let mut file = File::create(&filler).unwrap();
    let block = vec![1; 64 << 10];
    while file.write_all(&block).and_then(|()| file.sync_data()).is_ok() {}
    let length = file.metadata().unwrap().len();
    file.set_len(length.saturating_sub(left)).unwrap();
    file.sync_all().unwrap();
    filler
}

#[test]
fn a_full_disk_refuses_enrolments_and_nobody_waits_for_it() {
    let Some(disk) = SmallDisk::mount(64) else {
        return skipped(
            "a full disk",
            "no small file system can be mounted here (it takes root, and a loop device)",
        );
    };
    let site = Site::found_in(Home::in_place(&disk.path()));
    let server = site.serve();
    let (clerk, guard) = (server.actor(&site.clerk), server.actor(&site.guard));
    let ids: Vec<String> = (0..20).map(|n| clerk.enrol(&site.list, &format!("p{n}"), n)).collect();
    let enrols = |n: u64| clerk.post("/v1/subjects", &subject(&site.list, &format!("p{n}"), n)).status;
    let looks_up = |n: u64| {
        guard
            .try_send("POST", "/v1/lookups", Some(lookup(&site.list, n).to_string().as_bytes()), &[])
            .unwrap()
    };
    let found = |n: usize| {
        let answer = looks_up(n as u64).expect(200);
        candidates(&answer).contains(&ids[n].as_str())
    };

    // Less than the reserve is left: the record grows no more, everything else goes on.
    let filler = fill(&disk.path(), "first", 4 << 20);
    assert_eq!(enrols(20), 507);
    let keeper = server.actor(&site.keeper);
    assert_eq!(keeper.try_send("POST", "/v1/generations", None, &[]).unwrap().status, 202);
    let jobs = || keeper.get("/v1/jobs").expect(200)["jobs"][0].clone();
    wait(|| jobs()["state"] == "failed");
    assert!(jobs()["outcome"].as_str().unwrap().contains("the disk is full"), "{}", jobs());
    assert!((0..20).all(&found));
    assert_eq!(clerk.delete(&format!("/v1/subjects/{}", ids[19])).status, 200);
    let erasure = format!("/v1/subjects/{}/erasure", ids[18]);
    assert_eq!(clerk.try_send("POST", &erasure, None, &[]).unwrap().status, 200);
    assert!(!found(19) && !found(18) && found(17));

    // Somebody else takes the rest: in the end the log cannot be written, and nothing is answered.
    let rest = fill(&disk.path(), "rest", 0);
    let began = Instant::now();
    let full = loop {
        let answer = looks_up(1);
        if answer.status != 200 || began.elapsed() > Duration::from_mins(1) {
            break answer;
        }
    };
    assert!(matches!(full.status, 503 | 507), "{full:?}");
    assert_eq!(enrols(20), 507);

    // Room again: it finds out by itself.
    fs::remove_file(rest).unwrap();
    wait(|| looks_up(1).status == 200);
    assert_eq!(enrols(20), 507, "the reserve is not there yet");
    fs::remove_file(filler).unwrap();
    wait(|| enrols(20) == 201);
    assert!((0..18).all(&found) && !found(18) && !found(19));
    assert!(server.terminate());
    index(site.folder.path(), &["verify-store"]);
}

fn wait(mut until: impl FnMut() -> bool) {
    let began = Instant::now();
    while !until() {
        assert!(began.elapsed() < Duration::from_secs(20), "it does not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}
