//! Two officers grant what callers may do; one takes it back. It counts at once.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::{Value, json};
use std::fs;
use tests::*;

#[test]
fn officers_of_a_running_node_grant_share_and_take_back() {
    let site = Site::found();
    let (path, server) = (site.folder.path(), site.serve());
    let files = [officers(path, "UTO"), officers(path, "XAA")];
    let tokens = files.clone().map(|both| both.map(|file| fs::read_to_string(file).unwrap()));
    let [one, other] = tokens[0].each_ref().map(|token| server.actor(token));
    let foreign = tokens[1].each_ref().map(|token| server.actor(token));
    let content = |name: &str| {
        json!({
            "to": "caller", "name": name, "role": "checkpoint", "agency": "agy_01a20280-0000-7000-8000-000000000000",
            "station": "gate 7", "allowances": ["raw_probes"], "watchlists": { "listed": [site.list] }, "purposes": ["border_control"],
        })
    };
    let propose = |actor: &Actor<'_>, content: Value| {
        actor.post("/v1/grants", &json!({ "content": content, "days": 5 }))
    };
    let made = propose(&one, content("gate 7")).expect(201);
    let (id, token) = (made["grant"].as_str().unwrap(), made["token"].as_str().unwrap());
    let approval = format!("/v1/grants/{id}/approval");
    let approve = |actor: &Actor<'_>| actor.try_send("POST", &approval, None, &[]).unwrap();
    assert_eq!(server.actor(token).look_up(&site.list, 1).status, 401, "nobody has approved it");
    assert_eq!((approve(&one).status, approve(&foreign[0]).status), (403, 404));
    approve(&other).expect(200);
    assert_eq!(server.actor(token).look_up(&site.list, 1).status, 200);
    // Nobody else grants; an officer does nothing else.
    for who in [&site.clerk, &site.guard, &site.keeper] {
        let actor = server.actor(who);
        assert_eq!((propose(&actor, content("x")).status, actor.get("/v1/grants").status), (403, 403));
    }
    assert_eq!((one.look_up(&site.list, 1).status, one.get("/v1/jobs").status), (403, 403));
    // A foreign list is granted when its owner shares it.
    let refused = propose(&foreign[0], content("gate"));
    assert_eq!((refused.status, &refused.body["field"]), (403, &json!("content.watchlists[0]")));
    let share = propose(&one, json!({ "to": "nation", "nation": "XAA", "watchlist": site.list })).expect(201);
    let share = share["grant"].as_str().unwrap();
    other.try_send("POST", &format!("/v1/grants/{share}/approval"), None, &[]).unwrap().expect(200);
    let (first, second) = (files[1][0].to_str().unwrap(), files[1][1].to_str().unwrap());
    let add =
        ["grant", "add", "--name", "gate", "--role", "checkpoint", "--raw-probes", "--watchlist", &site.list];
    let by =
        ["--purpose", "border_control", "--token-file", first, "--approver", second, "--server", &server.url];
    let told = index(path, &[add.as_slice(), &by].concat());
    let guard = server.actor(told.split_once('\t').unwrap().1);
    assert_eq!(guard.look_up(&site.list, 1).status, 200);
    let own = files[0][1].to_str().unwrap();
    index(path, &["grant", "revoke", share, "--token-file", own, "--server", &server.url]);
    assert_eq!(guard.look_up(&site.list, 1).status, 403, "it is shared no more");
    assert_eq!(one.delete(&format!("/v1/grants/{id}")).status, 200);
    assert_eq!(server.actor(token).look_up(&site.list, 1).status, 401, "taken back");
    for (field, bad) in [("verbs", json!(["enrol"])), ("purposes", json!([])), ("role", json!("auditor"))] {
        let mut content = content("y");
        content[field] = bad;
        assert_eq!(propose(&one, content).status, 422, "{field}");
    }
    assert_eq!(propose(&one, json!({ "to": "nation", "nation": "UTO", "watchlist": site.list })).status, 422);
    drop(server);
    let list = ["grant", "list", "--token-file", own];
    let listed: Vec<Value> =
        serde_json::from_str(&index(path, &[list.as_slice(), &["--json"]].concat())).unwrap();
    assert_eq!(listed.len(), 5, "two officers, three callers: {listed:?}");
    assert!(index(path, &list).contains("clerk, enroller"));
    let third = ["grant", "officers", "--nation", "UTO", "--name", "a", "--name", "b"];
    assert_eq!(index_output(path, &third).status.code(), Some(2), "there are two");
    index(path, &["verify-store"]);
}

#[test]
fn a_grant_taken_back_after_a_backup_stays_so_when_it_is_restored() {
    let site = Site::found();
    let path = site.folder.path();
    let away = tempfile::tempdir().unwrap();
    let (to, keys) = (away.path().join("backup"), away.path().join("keys"));
    let (to, keys) = (to.to_str().unwrap(), keys.to_str().unwrap());
    index(path, &["backup", "--nation", "UTO", "--to", to, "--keys", keys]);
    let officer = officers(path, "UTO")[0].to_str().unwrap().to_owned();
    let all: Vec<Value> =
        serde_json::from_str(&index(path, &["grant", "list", "--json", "--token-file", &officer])).unwrap();
    let guard = all.iter().find(|grant| grant["content"]["name"] == "guard").unwrap()["id"].as_str().unwrap();
    index(path, &["grant", "revoke", guard, "--token-file", &officer]);
    index(path, &["restore", "--from", to, "--keys", keys, "--replace"]);
    let server = site.serve();
    assert_eq!(server.actor(&site.guard).look_up(&site.list, 1).status, 401);
    assert_eq!(server.actor(&site.clerk).get("/v1/watchlists").status, 200);
}

#[test]
fn a_person_is_known_by_an_issuers_token_and_may_do_what_is_granted() {
    let site = Site::found();
    let path = site.folder.path();
    let pair = rcgen::KeyPair::generate().unwrap();
    let key = EncodingKey::from_ec_der(&pair.serialize_der());
    let mut public = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
    public.common.key_id = Some("k".to_owned());
    let keys = path.with_file_name("keys.json");
    fs::write(&keys, json!({ "keys": [public] }).to_string()).unwrap();
    let token = |subject: &str, lasts: i64| {
        let exp = jsonwebtoken::get_current_timestamp().cast_signed() + lasts;
        let claims = json!({ "iss": "https://id.example", "aud": "limen", "sub": subject, "exp": exp });
        encode(&Header { kid: Some("k".to_owned()), ..Header::new(Algorithm::ES256) }, &claims, &key).unwrap()
    };
    let [first, second] = officers(path, "UTO");
    let (first, second) = (first.to_str().unwrap(), second.to_str().unwrap());
    let add =
        ["grant", "add", "--token-file", first, "--approver", second, "--name", "anna", "--operator", "anna"];
    let what = ["--role", "checkpoint", "--raw-probes", "--own", "--purpose", "border_control"];
    let known = ["--issuer", "https://id.example", "--subject", "anna@uto"];
    let made = index(path, &[add.as_slice(), &what, &known].concat());
    let environment = [
        ("LIMEN_SERVE_JWT_ISSUER", "https://id.example"),
        ("LIMEN_SERVE_JWT_AUDIENCE", "limen"),
        ("LIMEN_SERVE_JWT_KEYS", keys.to_str().unwrap()),
    ];
    let server = Server::start(path, &environment);
    let status = |token: &str| server.actor(token).look_up(&site.list, 1).status;
    assert_eq!(status(&token("anna@uto", 60)), 200);
    assert_eq!(status(&token("anna@uto", -60)), 401, "it has ended");
    assert_eq!(status(&token("ben@uto", 60)), 401, "nobody granted him anything");
    assert_eq!(status(&site.guard), 200, "tokens of the node go on");
    assert_eq!(server.actor(&token("anna@uto", 60)).get("/v1/jobs").status, 403, "a token grants nothing");
    index(path, &["grant", "revoke", &made, "--server", &server.url, "--token-file", first]);
    assert_eq!(status(&token("anna@uto", 60)), 401, "taken back");
}
