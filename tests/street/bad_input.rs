//! Bad input gets a problem that names the field, and the server is as it was.

use serde_json::{Value, json};
use tests::*;

#[test]
fn bad_lookups_get_a_problem_that_names_the_field() {
    let site = Site::found();
    let server = site.serve();
    server.actor(&site.clerk).enrol(&site.list, "p1", 1);
    let guard = server.actor(&site.guard);
    let before = guard.get("/readyz").expect(200);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut body = lookup(&site.list, 1);
        change(&mut body);
        body.to_string()
    };
    let features = |features: Value| with(&|body| body["probe"]["features"] = features.clone());
    let infinite = features(json!("X")).replace("\"X\"", &format!("[1e39{}]", ",0".repeat(DIMENSION - 1)));
    let huge = features(json!("X")).replace("\"X\"", &format!("[{}1e400]", "0,".repeat(DIMENSION - 1)));
    let twice = with(&|_| ()).replacen('{', "{\"purpose\":\"border_control\",", 1);
    let twice_inside = with(&|_| ()).replacen("\"model\"", "\"model\":\"test\",\"model\"", 1);
    let deep = format!("{{\"watchlists\":{}", "[".repeat(100_000));
    let unknown_list = "wl_01a20280-0000-7000-8000-000000000000";
    let mut short = face(1);
    short.pop();
    let mut nan = face(1);
    nan[3] = f32::NAN;
    let mut infinity = face(1);
    infinity[5] = f32::INFINITY;
    let cases: Vec<(&str, String, u16, &str)> = vec![
        ("NaN", features(json!(encode(&nan))), 400, "probe.features"),
        ("infinity", features(json!(encode(&infinity))), 400, "probe.features"),
        ("1e39", infinite, 400, "probe.features[0]"),
        ("1e400", huge, 400, "probe.features[15]"),
        ("null feature", features(json!([null])), 400, "probe.features[0]"),
        ("text feature", features(json!(["x"])), 400, "probe.features[0]"),
        ("zero", features(json!(vec![0.0; DIMENSION])), 422, "probe.features"),
        ("one too few", features(json!(short)), 422, "probe.features"),
        ("no feature", features(json!([])), 422, "probe.features"),
        ("too many", features(json!(vec![1; 5000])), 400, "probe.features"),
        ("not base64", features(json!("???")), 400, "probe.features"),
        ("5 bytes", features(json!("AAAAAAA=")), 400, "probe.features"),
        ("wrong model", with(&|b| b["probe"]["model"] = json!("other")), 422, "probe.model"),
        ("bad model id", with(&|b| b["probe"]["model"] = json!("A b")), 400, "probe.model"),
        ("unknown field", with(&|b| b["colour"] = json!(1)), 400, "colour"),
        ("unknown field inside", with(&|b| b["probe"]["colour"] = json!(1)), 400, "probe.colour"),
        ("missing field", with(&|b| drop(b.as_object_mut().unwrap().remove("purpose"))), 400, "purpose"),
        ("repeated key", twice, 400, "purpose"),
        ("repeated key inside", twice_inside, 400, "probe.model"),
        ("unknown purpose", with(&|b| b["purpose"] = json!("curiosity")), 400, "purpose"),
        ("purpose not served", with(&|b| b["purpose"] = json!("asylum")), 403, "purpose"),
        ("basis not served", with(&|b| b["legal_basis"] = json!("interpol_rpd")), 403, "legal_basis"),
        ("empty case", with(&|b| b["case_reference"] = json!("")), 400, "case_reference"),
        ("unknown watchlist", with(&|b| b["watchlists"] = json!([unknown_list])), 403, "watchlists[0]"),
        ("not a watchlist id", with(&|b| b["watchlists"] = json!(["x"])), 400, "watchlists[0]"),
        ("no watchlist", with(&|b| b["watchlists"] = json!([])), 422, "watchlists"),
        ("watchlist twice", with(&|b| b["watchlists"] = json!([site.list, site.list])), 422, "watchlists[1]"),
        ("a threshold of its own", with(&|b| b["threshold"] = json!(0.9)), 403, "threshold"),
        ("impossible threshold", with(&|b| b["threshold"] = json!(1.5)), 400, "threshold"),
        ("no candidates", with(&|b| b["limit"] = json!(0)), 422, "limit"),
        ("too many candidates", with(&|b| b["limit"] = json!(101)), 422, "limit"),
        ("negative limit", with(&|b| b["limit"] = json!(-1)), 400, "limit"),
        ("3 MiB", with(&|b| b["case_reference"] = json!("x".repeat(3 << 20))), 413, "body"),
        ("not JSON", "hello".to_owned(), 400, "body"),
        ("cut off", with(&|_| ())[..200].to_owned(), 400, "probe.features[2]"),
        ("trailing", with(&|_| ()) + "x", 400, "body"),
        ("empty", String::new(), 400, "body"),
        ("deep", deep, 400, "watchlists[0]"),
    ];
    for (name, body, status, field) in cases {
        let answer = guard.try_send("POST", "/v1/lookups", Some(body.as_bytes()), &[]).unwrap();
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        let told = answer.body["field"].as_str().unwrap_or_default();
        let same = if name == "cut off" {
            told.starts_with("probe") || told == "case_reference" || told == "body"
        } else {
            told == field
        };
        assert!(same, "{name}: {}", answer.body);
        assert!(answer.body["type"].as_str().unwrap().starts_with("urn:limen:problem:"), "{name}");
        assert_eq!(answer.body["status"], status, "{name}");
    }
    assert_eq!(guard.get("/readyz").expect(200), before, "nothing was changed");
    assert_eq!(guard.look_up(&site.list, 1).expect(200)["decision"], "hit");
}

#[test]
fn bad_enrolments_change_nothing() {
    let site = Site::found();
    let server = site.serve();
    let clerk = server.actor(&site.clerk);
    let before = clerk.get("/readyz").expect(200);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut body = subject(&site.list, "p1", 1);
        change(&mut body);
        body
    };
    let template = |b: &mut Value, features: Value| b["encounters"][0]["template"]["features"] = features;
    let mut nan = face(1);
    nan[0] = f32::NAN;
    let cases: Vec<(Value, u16, &str)> = vec![
        (with(&|b| template(b, json!(encode(&nan)))), 400, "encounters[0].template.features"),
        (with(&|b| template(b, json!(vec![0; DIMENSION]))), 422, "encounters[0].template.features"),
        (with(&|b| template(b, json!([1, 2]))), 422, "encounters[0].template.features"),
        (
            with(&|b| b["encounters"][0]["template"]["model"] = json!("other")),
            422,
            "encounters[0].template.model",
        ),
        (with(&|b| b["encounters"] = json!([])), 422, "encounters"),
        (with(&|b| b["encounters"][0]["captured_at"] = json!("yesterday")), 400, "encounters[0].captured_at"),
        (with(&|b| b["entries"] = json!([])), 422, "entries"),
        (with(&|b| b["entries"][0]["category"] = json!("hero")), 400, "entries[0].category"),
        (with(&|b| b["entries"][0]["category"] = json!("victim")), 422, "entries[0].category"),
        (with(&|b| b["reference"] = json!(" ")), 400, "reference"),
        (with(&|b| b["reference"] = json!("x".repeat(129))), 400, "reference"),
        (with(&|b| b["id"] = json!("sub_1")), 400, "id"),
    ];
    for (body, status, field) in cases {
        let answer = clerk.post("/v1/subjects", &body);
        assert_eq!((answer.status, answer.body["field"].as_str()), (status, Some(field)), "{}", answer.body);
    }
    assert_eq!(clerk.get("/readyz").expect(200), before);
    assert_eq!(clerk.get("/v1/subjects?reference=p1").status, 404);
}

#[test]
fn callers_and_requests_without_form_are_refused() {
    let site = Site::found();
    let server = site.serve();
    let body = lookup(&site.list, 1).to_string();
    let send = |token: &str, method: &str, path: &str, headers: &[(&str, &str)]| {
        let body = (method == "POST").then_some(body.as_bytes());
        server.actor(token).try_send(method, path, body, headers).unwrap()
    };
    assert_eq!(send("", "POST", "/v1/lookups", &[]).status, 401);
    assert_eq!(send("limen_wrong", "POST", "/v1/lookups", &[]).status, 401);
    assert_eq!(send(&site.clerk, "POST", "/v1/lookups", &[]).status, 403, "a clerk does not search");
    assert_eq!(send(&site.guard, "POST", "/v1/lookups", &[("content-type", "text/plain")]).status, 415);
    assert_eq!(send(&site.guard, "POST", "/v1/lookups", &[("idempotency-key", "")]).status, 400);
    assert_eq!(
        send(&site.guard, "POST", "/v1/lookups", &[("idempotency-key", &"k".repeat(129))]).status,
        400
    );
    assert_eq!(send(&site.guard, "PUT", "/v1/lookups", &[]).status, 405);
    assert_eq!(send(&site.guard, "GET", "/v2", &[]).status, 404);
    assert_eq!(send(&site.clerk, "GET", "/v1/subjects/enc_1", &[]).status, 400);
    assert_eq!(send(&site.clerk, "GET", "/v1/subjects?name=x", &[]).status, 400);
    for open in ["/livez", "/readyz", "/version", "/openapi.json"] {
        assert_eq!(send("", "GET", open, &[]).status, 200, "{open}");
    }
}
