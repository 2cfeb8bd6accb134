//! Erasure and restriction over HTTP and by the tools; the root key.

use std::{fs, process::Command};
use tests::*;

#[test]
fn a_contested_subject_is_not_searched_and_an_erased_one_is_gone() {
    let site = Site::found();
    let mut server = site.serve();
    let (clerk, guard) = (server.actor(&site.clerk), server.actor(&site.guard));
    let (one, two) = (clerk.enrol(&site.list, "one", 1), clerk.enrol(&site.list, "two", 2));
    let found = |number| guard.look_up(&site.list, number).expect(200)["decision"] == "hit";
    let path = format!("/v1/subjects/{one}");
    let restriction = format!("{path}/restriction");
    let send = |method: &str, path: &str| clerk.try_send(method, path, None, &[]).unwrap();
    assert!(found(1) && found(2));
    send("PUT", &restriction).expect(200);
    assert_eq!(send("PUT", &restriction).status, 409);
    assert!(!found(1) && found(2));
    let read = clerk.get(&path).expect(200);
    assert_eq!(read["entries"][0]["state"], "restricted");
    assert!(read["restricted_at"].is_string() && read["entries"][0]["review_by"].is_string());
    send("DELETE", &restriction).expect(200);
    assert_eq!(send("DELETE", &restriction).status, 409);
    assert!(found(1));

    let erase = |path: &str| clerk.try_send("POST", path, None, &[("idempotency-key", "e")]).unwrap();
    let erasure = format!("{path}/erasure");
    let erased = erase(&erasure).expect(200);
    assert_eq!(erased["complete"], true);
    assert_eq!(erase(&erasure).expect(200)["receipt"], erased["receipt"]);
    assert_eq!((send("POST", &erasure).status, clerk.get(&path).status), (404, 404));
    assert_eq!(guard.try_send("POST", &erasure, None, &[]).unwrap().status, 403);
    assert!(!found(1) && found(2));
    server.kill();
    let folder = site.folder.path();
    let told = index(folder, &["erase", "--nation", "UTO", "--reference", "two"]);
    assert!(told.starts_with(&two) && told.contains("\terased\t"), "{told}");
    assert_eq!(index_output(folder, &["erase", "--nation", "UTO", "--subject", &one]).status.code(), Some(2));
    let told = index(folder, &["verify-store"]);
    assert!(told.contains("subjects      0, 0 retired and 2 erased"), "{told}");
    let server = site.serve();
    assert_eq!(server.actor(&site.guard).look_up(&site.list, 2).expect(200)["decision"], "no_hit");
}

#[test]
fn a_folder_has_its_root_key_beside_it_and_opens_with_no_other() {
    let home = Home::new();
    let folder = home.path().to_str().unwrap();
    let tool = |arguments: &[&str], key: Option<&str>| {
        let mut command = Command::new(binary("limen-index"));
        command.args(arguments).args(["--folder", folder]).env_remove("LIMEN_ROOT_KEY");
        command.envs(key.map(|key| ("LIMEN_ROOT_KEY", key))).output().unwrap()
    };
    let made = tool(&["init", "--model", "test", "--dimension", "16"], None);
    assert!(made.status.success());
    let key = format!("{folder}.key");
    assert!(String::from_utf8_lossy(&made.stdout).contains(&format!("made {key}")), "{made:?}");
    assert!(tool(&["inspect"], None).status.success());
    let other = tool(&["inspect"], Some(ROOT_KEY));
    assert!(String::from_utf8_lossy(&other.stderr).contains("not the one of this data folder"), "{other:?}");
    assert_eq!(other.status.code(), Some(5));
    let text = fs::read_to_string(&key).unwrap();
    fs::remove_file(&key).unwrap();
    assert_eq!(tool(&["inspect"], None).status.code(), Some(2));
    assert!(tool(&["inspect"], Some(&text)).status.success());
    fs::write(&key, text).unwrap(); // and so readable by others
    let open = tool(&["inspect"], None);
    assert!(String::from_utf8_lossy(&open.stderr).contains("can be read by others"), "{open:?}");
}
