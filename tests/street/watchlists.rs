//! A clerk makes watchlists.

use serde_json::json;
use tests::*;

#[test]
fn a_clerk_makes_a_watchlist_and_uses_it_at_once() {
    let site = Site::found();
    let server = site.serve();
    let clerk = server.actor(&site.clerk);
    let policy = json!({
        "name": "second", "purposes": ["border_control"], "legal_bases": ["eu_2018_1861"], "handling": "H2",
        "categories": ["missing"], "model": "test", "threshold": 0.75, "retention_days": 7,
    });
    let made = clerk.post("/v1/watchlists", &policy).expect(201);
    let id = made["id"].as_str().unwrap();
    assert_eq!((&made["owner"], &made["threshold"]), (&json!("UTO"), &json!(0.75)));
    let listed = clerk.get("/v1/watchlists").expect(200);
    assert_eq!(listed["watchlists"].as_array().unwrap().len(), 2);
    assert_eq!(clerk.get(&format!("/v1/watchlists/{id}")).expect(200)["name"], "second");
    let wanted = clerk.post("/v1/subjects", &subject(id, "p1", 1));
    assert_eq!((wanted.status, &wanted.body["field"]), (422, &json!("entries[0].category")));
    assert_eq!(clerk.post("/v1/watchlists", &policy).status, 409);
    assert_eq!(server.actor(&site.guard).post("/v1/watchlists", &policy).status, 403);
    for (field, bad) in [("purposes", json!([])), ("retention_days", json!(0)), ("model", json!("other"))] {
        let mut policy = policy.clone();
        policy["name"] = json!("third");
        policy[field] = bad;
        let refused = clerk.post("/v1/watchlists", &policy);
        assert_eq!((refused.status, &refused.body["field"]), (422, &json!(field)));
    }
}
