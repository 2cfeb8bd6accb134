//! A clerk enrols, adds encounters, reads and retires.

use serde_json::json;
use tests::*;

#[test]
fn a_clerk_enrols_finds_and_retires_a_subject() {
    let site = Site::found();
    let server = site.serve();
    let (clerk, guard) = (server.actor(&site.clerk), server.actor(&site.guard));
    let id = clerk.enrol(&site.list, "p 1", 1);
    assert_eq!(guard.look_up(&site.list, 1).expect(200)["decision"], "hit");
    let found = clerk.get("/v1/subjects?reference=p%201").expect(200);
    assert_eq!((&found["id"], &found["entries"][0]["state"]), (&json!(id), &json!("active")));
    let path = format!("/v1/subjects/{id}");
    assert_eq!(clerk.get(&path).expect(200)["reference"], "p 1");
    let again = clerk.post("/v1/subjects", &subject(&site.list, "p 1", 2));
    assert_eq!((again.status, &again.body["field"]), (409, &json!("reference")));
    clerk.delete(&path).expect(200);
    assert_eq!(guard.look_up(&site.list, 1).expect(200)["decision"], "no_hit");
    assert_eq!(clerk.delete(&path).status, 409);
    assert_eq!(clerk.get("/v1/subjects?reference=p%201").status, 404);
    assert!(clerk.get(&path).expect(200)["retired_at"].is_string());
}

#[test]
fn an_added_encounter_is_found_by_the_next_lookup() {
    let site = Site::found();
    let server = site.serve();
    let clerk = server.actor(&site.clerk);
    let id = clerk.enrol(&site.list, "p1", 1);
    let path = format!("/v1/subjects/{id}/encounters");
    let new = json!({ "reference": "second", "captured_at": "2026-01-02T03:04:05Z",
        "template": { "model": "test", "features": face(2) } });
    let added = clerk.post(&path, &new).expect(201);
    let hit = server.actor(&site.guard).look_up(&site.list, 2).expect(200);
    assert_eq!(hit["candidates"][0]["encounter"], added["encounters"][0]);
    assert_eq!(hit["certificate"]["compared"], 2);
    let again = clerk.post(&path, &new);
    assert_eq!((again.status, &again.body["field"]), (409, &json!("reference")));
    let record = clerk.get(&format!("/v1/subjects/{id}")).expect(200);
    assert_eq!(record["encounters"][1]["captured_at"], "2026-01-02T03:04:05Z");
}

#[test]
fn an_enrolment_repeated_under_its_key_makes_one_subject() {
    let site = Site::found();
    let server = site.serve();
    let clerk = server.actor(&site.clerk);
    let body = subject(&site.list, "p1", 1);
    let first = clerk.post_keyed("/v1/subjects", &body, "k");
    assert_eq!(first.status, 201);
    assert_eq!(clerk.post_keyed("/v1/subjects", &body, "k"), first);
    let path = format!("/v1/subjects/{}", first.body["subject"].as_str().unwrap());
    let headers = [("idempotency-key", "d")];
    let retire = || clerk.try_send("DELETE", &path, None, &headers).unwrap();
    assert_eq!((retire().status, retire()), (200, retire()));
}

#[test]
fn another_nations_clerk_neither_reads_nor_changes_a_subject() {
    let site = Site::found();
    let server = site.serve();
    let id = server.actor(&site.clerk).enrol(&site.list, "p1", 1);
    let foreigner = server.actor(&site.foreigner);
    let path = format!("/v1/subjects/{id}");
    assert_eq!(foreigner.get(&path).status, 404);
    assert_eq!(foreigner.delete(&path).status, 404);
    let new = json!({ "template": { "model": "test", "features": face(2) } });
    assert_eq!(foreigner.post(&format!("{path}/encounters"), &new).status, 404);
    assert_eq!(foreigner.post("/v1/subjects", &subject(&site.list, "x", 1)).status, 403);
    assert_eq!(server.actor(&site.guard).get(&path).status, 403, "a checkpoint does not read records");
}
