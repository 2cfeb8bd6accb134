//! A checkpoint looks up; a guard verifies.

use serde_json::json;
use tests::*;

#[test]
fn a_guard_gets_a_hit_with_certificate_and_receipt() {
    let site = Site::found();
    let server = site.serve();
    let (clerk, guard) = (server.actor(&site.clerk), server.actor(&site.guard));
    let subject = clerk.enrol(&site.list, "p1", 1);
    clerk.enrol(&site.list, "p2", 2);
    let hit = guard.look_up(&site.list, 1).expect(200);
    assert_eq!(hit["decision"], "hit");
    assert_eq!(candidates(&hit), [subject.as_str()]);
    let candidate = &hit["candidates"][0];
    let listed =
        json!({ "id": site.list, "owner": "UTO", "category": "wanted", "handling": "H1", "grading": "X4" });
    assert_eq!(candidate["watchlists"], json!([listed]));
    assert_eq!((&candidate["visibility"], &candidate["reference"]), (&json!("full"), &json!("p1")));
    assert_eq!(
        (&candidate["band"], candidate.get("score")),
        (&json!("high"), None),
        "a checkpoint sees no score"
    );
    let certificate = &hit["certificate"];
    assert_eq!((&certificate["compared"], &certificate["expected"]), (&json!(2), &json!(2)));
    assert_eq!((&certificate["exhaustive"], &certificate["as_of"]), (&json!(true), &json!(FOUNDED + 2)));
    assert_eq!(hit["receipt"]["leaf_index"], FOUNDED + 2, "after two enrolments");
    let miss = guard.look_up(&site.list, 3).expect(200);
    assert_eq!((&miss["decision"], &miss["total"]), (&json!("no_hit"), &json!(0)));
}

#[test]
fn a_lookup_repeated_under_its_key_gets_the_stored_answer_also_after_a_restart() {
    let site = Site::found();
    let server = site.serve();
    server.actor(&site.clerk).enrol(&site.list, "p1", 1);
    let body = lookup(&site.list, 1);
    // But for the proof, which is of the log as it is when it is given.
    let ask = |server: &Server| {
        let mut answer = server.actor(&site.guard).post_keyed("/v1/lookups", &body, "k1");
        answer.body["receipt"].as_object_mut().unwrap().remove("proof").unwrap();
        answer
    };
    let first = ask(&server);
    server.actor(&site.clerk).enrol(&site.list, "p2", 2);
    assert_eq!(ask(&server), first);
    let reused = server.actor(&site.guard).post_keyed("/v1/lookups", &lookup(&site.list, 2), "k1");
    assert_eq!((reused.status, &reused.body["field"]), (422, &json!("Idempotency-Key")));
    assert!(server.terminate());
    let server = site.serve();
    assert_eq!(ask(&server), first);
}

#[test]
fn a_list_holds_the_best_and_says_how_many_there_are() {
    let site = Site::found();
    let server = site.serve();
    let clerk = server.actor(&site.clerk);
    let mut subjects: Vec<String> = (0..5).map(|i| clerk.enrol(&site.list, &format!("p{i}"), 1)).collect();
    subjects.sort();
    let mut body = lookup(&site.list, 1);
    body["limit"] = json!(3);
    let answer = server.actor(&site.guard).post("/v1/lookups", &body).expect(200);
    assert_eq!((&answer["truncated"], &answer["total"]), (&json!(true), &json!(5)));
    assert_eq!(candidates(&answer), subjects[..3], "ties go by subject id");
    let ranks: Vec<_> = answer["candidates"].as_array().unwrap().iter().map(|c| c["rank"].clone()).collect();
    assert_eq!(ranks, [1, 2, 3]);
}

#[test]
fn a_guard_verifies_one_subject_and_learns_nothing_of_others() {
    let site = Site::found();
    let server = site.serve();
    let subject = server.actor(&site.clerk).enrol(&site.list, "p1", 1);
    let guard = server.actor(&site.guard);
    let ask = |subject: &str, number| {
        let mut body = lookup(&site.list, number);
        let fields = body.as_object_mut().unwrap();
        fields.remove("watchlists");
        fields.insert("watchlist".to_owned(), json!(site.list));
        fields.insert("subject".to_owned(), json!(subject));
        guard.post("/v1/verifications", &body)
    };
    let same = ask(&subject, 1).expect(200);
    assert_eq!((&same["decision"], &same["category"]), (&json!("hit"), &json!("wanted")));
    assert_eq!(ask(&subject, 2).expect(200)["decision"], "no_hit");
    let unknown = ask("sub_01a20280-0000-7000-8000-000000000000", 1);
    assert_eq!((unknown.status, &unknown.body["field"]), (404, &json!("subject")));
}

#[test]
fn a_watchlist_that_is_not_granted_looks_like_one_that_is_not_there() {
    let site = Site::found();
    let server = site.serve();
    let foreigner = server.actor(&site.foreign_guard);
    let forbidden = foreigner.look_up(&site.list, 1);
    let unknown = foreigner.look_up("wl_01a20280-0000-7000-8000-000000000000", 1);
    assert_eq!((forbidden.status, &forbidden), (403, &unknown));
    let path = |id: &str| format!("/v1/watchlists/{id}");
    let forbidden = foreigner.get(&path(&site.list));
    assert_eq!(
        (forbidden.status, &forbidden),
        (404, &foreigner.get(&path("wl_01a20280-0000-7000-8000-000000000000")))
    );
}
