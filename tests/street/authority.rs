//! Who may do what: every role, on every route, on own and foreign watchlists, for every handling code and every policy of authorisation. The
//! table is docs/authority.csv; `LIMEN_UPDATE=1 cargo test --release -p tests authority` writes it anew, to be read before it is committed.

use gallery::{Gallery, Setup, ambient::Ambient, evidence, keys::root::RootKey, operation::Operation};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
};
use tests::*;

/// Who asks: a role, or nobody; an integrator is one that searches or one that keeps records.
const ROLES: [(&str, &[&str]); 8] = [
    ("checkpoint", &["--role", "checkpoint", "--raw-probes", "--purpose", "border_control"]),
    ("adjudicator", &["--role", "adjudicator"]),
    ("enroller", &["--role", "enroller"]),
    ("index_admin", &["--role", "index_admin"]),
    ("auditor", &["--role", "auditor"]),
    (
        "integrator (searching)",
        &[
            "--role",
            "integrator",
            "--verb",
            "lookup",
            "--verb",
            "verify",
            "--verb",
            "authorise",
            "--verb",
            "extract",
            "--raw-probes",
            "--scores",
            "--purpose",
            "border_control",
        ],
    ),
    (
        "integrator (keeping)",
        &[
            "--role",
            "integrator",
            "--verb",
            "enrol",
            "--verb",
            "retire",
            "--verb",
            "restrict",
            "--verb",
            "erase",
            "--verb",
            "inspect",
        ],
    ),
    ("security_officer", &[]),
];
/// Whose a watchlist is to the caller's nation, and does the caller's grant name it?
const RELATIONS: [&str; 5] = ["own", "own, not granted", "shared", "no longer shared", "foreign"];
const CODES: [&str; 4] = ["H0", "H1", "H2", "H3: ask us"];
/// A watchlist's policy, and what the search brings along.
const STATES: [&str; 4] = ["open", "before", "before, given", "within 48 h"];

/// A watchlist with somebody under each handling code, and somebody whom a change may hit.
struct List {
    id: String,
    people: Vec<String>,
    /// Where the log tells of their enrolment.
    leaves: Vec<u64>,
    spare: Vec<Option<String>>,
}

struct Scene<'a> {
    server: &'a Server,
    /// By relation and by policy (the middle two states have one).
    lists: Vec<Vec<List>>,
    clerks: [String; 2],
    enrolled: u64,
}

fn face_of(relation: usize, policy: usize, code: usize) -> u64 {
    1 + (relation * 100 + policy * 10 + code) as u64
}

/// The cells' policies: two states have the same list.
fn policy(state: usize) -> usize {
    [0, 1, 1, 2][state]
}

impl Scene<'_> {
    fn clerk(&self, relation: usize) -> Actor<'_> {
        self.server.actor(&self.clerks[usize::from(relation > 1)])
    }

    fn fill(&mut self) {
        for relation in 0..RELATIONS.len() {
            for policy in 0..3 {
                let list = &self.lists[relation][policy].id;
                let enrol = |code: usize| {
                    let name = format!("r{relation} p{policy} c{code}");
                    let mut body = subject(list, &name, face_of(relation, policy, code));
                    body["entries"][0]["handling"] = json!(CODES[code]);
                    let made = self.clerk(relation).post("/v1/subjects", &body).expect(201);
                    let leaf = made["receipt"]["leaf_index"].as_u64().unwrap();
                    (made["subject"].as_str().unwrap().to_owned(), leaf)
                };
                let (people, leaves) = (0..CODES.len()).map(enrol).unzip();
                let list = &mut self.lists[relation][policy];
                (list.people, list.leaves) = (people, leaves);
            }
        }
    }

    /// Somebody whom a change may hit: the same until one did.
    fn spare(&mut self, relation: usize, policy: usize, code: usize) -> String {
        if let Some(spare) = &self.lists[relation][policy].spare[code] {
            return spare.clone();
        }
        self.enrolled += 1;
        let name = format!("spare {}", self.enrolled);
        let mut body = subject(&self.lists[relation][policy].id, &name, 1_000_000 + self.enrolled);
        body["entries"][0]["handling"] = json!(CODES[code]);
        let made = self.clerk(relation).post("/v1/subjects", &body).expect(201);
        let spare = made["subject"].as_str().unwrap().to_owned();
        self.lists[relation][policy].spare[code] = Some(spare.clone());
        spare
    }
}

const NOBODY: &str = "01a20280-0000-7000-8000-000000000000";

/// A cell's request.
struct Request {
    path: String,
    body: Option<Value>,
    /// Does it change the spare subject?
    hits: bool,
}

#[derive(Clone, Copy)]
struct Cell {
    relation: usize,
    code: usize,
    state: usize,
}

/// What is asked of a route in a cell; a route that is not here fails the test.
fn request(scene: &mut Scene<'_>, route: &str, cell: Cell, actor: &Actor<'_>) -> Request {
    let Cell { relation, code, state } = cell;
    let policy = policy(state);
    let list = scene.lists[relation][policy].id.clone();
    let person = scene.lists[relation][policy].people[code].clone();
    let face = face_of(relation, policy, code);
    let name = format!("r{relation} p{policy} c{code}");
    let mut search = lookup(&list, face);
    if state == 2 {
        search["authorisation"] = json!("court 7/26");
    }
    let plain = |path: String| Request { path, body: None, hits: false };
    let with = |path: &str, body: Value| Request { path: path.to_owned(), body: Some(body), hits: false };
    let hit = |path: String, body: Option<Value>| Request { path, body, hits: true };
    match route {
        "POST /v1/lookups" => with("/v1/lookups", search),
        "POST /v1/lookups/{id}/authorisation" => {
            let asked = actor.post("/v1/lookups", &search).body;
            let id = asked["id"].as_str().map_or_else(|| format!("lkp_{NOBODY}"), str::to_owned);
            with(&format!("/v1/lookups/{id}/authorisation"), json!({ "authorisation": "court 7/26" }))
        }
        "POST /v1/verifications" => {
            let fields = search.as_object_mut().unwrap();
            fields.remove("watchlists");
            fields.insert("watchlist".to_owned(), json!(list));
            fields.insert("subject".to_owned(), json!(person));
            with("/v1/verifications", search)
        }
        "GET /v1/log/events/{index}" => {
            plain(format!("/v1/log/events/{}", scene.lists[relation][policy].leaves[code]))
        }
        "GET /v1/notices" => plain("/v1/notices?after=1000000".to_owned()),
        "GET /v1/subjects" => plain(format!("/v1/subjects?reference={}", name.replace(' ', "%20"))),
        "POST /v1/subjects" => {
            scene.enrolled += 1;
            let name = format!("new {}", scene.enrolled);
            let mut body = subject(&list, &name, 1_000_000 + scene.enrolled);
            body["entries"][0]["handling"] = json!(CODES[code]);
            with("/v1/subjects", body)
        }
        "POST /v1/enrolments" => {
            scene.enrolled += 1;
            let features = encode(&tests::face(1_000_000 + scene.enrolled));
            let row = json!({ "subject": format!("new {}", scene.enrolled), "encounter": "e", "watchlist": list,
                "category": "wanted", "handling": CODES[code], "features": features });
            with("/v1/enrolments", json!({ "rows": [row] }))
        }
        "POST /v1/subjects/{id}/encounters" => {
            scene.enrolled += 1;
            let template = json!({ "model": "test", "features": tests::face(1_000_000 + scene.enrolled) });
            let spare = scene.spare(relation, policy, code);
            with(&format!("/v1/subjects/{spare}/encounters"), json!({ "template": template }))
        }
        "GET /v1/subjects/{id}" => plain(format!("/v1/subjects/{person}")),
        "DELETE /v1/subjects/{id}" => {
            hit(format!("/v1/subjects/{}", scene.spare(relation, policy, code)), None)
        }
        "PUT /v1/subjects/{id}/restriction" | "DELETE /v1/subjects/{id}/restriction" => {
            let spare = scene.spare(relation, policy, code);
            if route.starts_with("DELETE") {
                let path = format!("/v1/subjects/{spare}/restriction");
                scene.clerk(relation).try_send("PUT", &path, None, &[]).unwrap();
            }
            hit(format!("/v1/subjects/{spare}/restriction"), None)
        }
        "PUT /v1/subjects/{id}/entries/{watchlist}" => {
            let body = json!({ "category": "wanted", "handling": CODES[code] });
            with(&format!("/v1/subjects/{person}/entries/{list}"), body)
        }
        "GET /v1/subjects/{id}/access" => {
            plain(format!("/v1/subjects/{}/access", scene.spare(relation, policy, code)))
        }
        "POST /v1/subjects/{id}/access-refusals" => {
            with(&format!("/v1/subjects/{person}/access-refusals"), json!({ "reason": "inquiries" }))
        }
        "POST /v1/subjects/{id}/erasure" => {
            hit(format!("/v1/subjects/{}/erasure", scene.spare(relation, policy, code)), None)
        }
        "POST /v1/subjects/{id}/merger" => {
            let spare = scene.spare(relation, policy, code);
            hit(format!("/v1/subjects/{spare}/merger"), Some(json!({ "into": person })))
        }
        "POST /v1/subjects/{id}/moves" => {
            let spare = scene.spare(relation, policy, code);
            scene.enrolled += 1;
            let template = json!({ "model": "test", "features": tests::face(1_000_000 + scene.enrolled) });
            let path = format!("/v1/subjects/{spare}/encounters");
            let added = scene.clerk(relation).post(&path, &json!({ "template": template })).expect(201);
            let body = json!({ "to": person, "encounters": added["encounters"] });
            with(&format!("/v1/subjects/{spare}/moves"), body)
        }
        _ => of_node(route, &list, CODES[code], scene),
    }
}

/// The same of what names no subject.
fn of_node(route: &str, list: &str, handling: &str, scene: &mut Scene<'_>) -> Request {
    let plain = |path: String| Request { path, body: None, hits: false };
    let with = |path: &str, body: Value| Request { path: path.to_owned(), body: Some(body), hits: false };
    match route {
        "POST /v1/extractions" => {
            let file = tiny_model::photograph(&[1], image::ImageFormat::Png);
            let file = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, file);
            with("/v1/extractions", json!({ "image": { "base64": file } }))
        }
        "POST /v1/watchlists" => {
            scene.enrolled += 1;
            let body = json!({ "name": format!("new {}", scene.enrolled), "purposes": ["border_control"],
                "legal_bases": ["eu_2018_1861"], "handling": handling, "categories": ["wanted"], "model": "test",
                "threshold": 0.5, "retention_days": 1 });
            with("/v1/watchlists", body)
        }
        "GET /v1/watchlists/{id}" => plain(format!("/v1/watchlists/{list}")),
        "GET /v1/watchlists/{id}/references" => plain(format!("/v1/watchlists/{list}/references")),
        "POST /v1/deduplications" => with("/v1/deduplications", json!({ "watchlists": [list] })),
        "POST /v1/retention/runs" => with("/v1/retention/runs", json!({})),
        "POST /v1/generations/{id}/activation" => plain("/v1/generations/999999/activation".to_owned()),
        "GET /v1/jobs/{id}" | "DELETE /v1/jobs/{id}" => plain(format!("/v1/jobs/job_{NOBODY}")),
        "POST /v1/grants" => with(
            "/v1/grants",
            json!({ "content": { "to": "nation", "nation": "XBB", "watchlist": list }, "days": 1 }),
        ),
        "GET /v1/log/tile/{level}/{*index}" => plain("/v1/log/tile/0/000.p/1".to_owned()),
        "GET /v1/log/proofs/{index}" => plain("/v1/log/proofs/0".to_owned()),
        "GET /v1/log/checkpoint" => plain("/v1/log/checkpoint".to_owned()),
        "DELETE /v1/grants/{id}" => plain(format!("/v1/grants/grt_{NOBODY}")),
        "POST /v1/grants/{id}/approval" => plain(format!("/v1/grants/grt_{NOBODY}/approval")),
        "GET /v1/watchlists"
        | "GET /v1/retention"
        | "GET /v1/generations"
        | "POST /v1/generations"
        | "GET /v1/calibrations"
        | "POST /v1/calibrations"
        | "POST /v1/backups"
        | "GET /v1/jobs"
        | "GET /v1/grants"
        | "GET /livez"
        | "GET /readyz"
        | "GET /version" => plain(route.split_once(' ').unwrap().1.to_owned()),
        _ => panic!("{route} is not in the table of who may do what"),
    }
}

/// What came of it, in a word: of a search, how much was shown; of the rest `done` (or it could be, if something else stood otherwise), or the status.
fn outcome(route: &str, status: u16, body: &str) -> String {
    let value: Value = serde_json::from_str(body).unwrap_or_default();
    match (route, status) {
        ("POST /v1/lookups", 200) => {
            let seen = value["candidates"].as_array().unwrap();
            let seen = seen.first().map_or("nothing", |first| first["visibility"].as_str().unwrap());
            format!("{seen}{}", if value.get("authorise_by").is_some() { " (48 h)" } else { "" })
        }
        ("POST /v1/verifications", 200) => value["decision"].as_str().unwrap().to_owned(),
        (_, 200..=299 | 409) => "done".to_owned(),
        (_, status) => status.to_string(),
    }
}

fn description() -> Value {
    serde_json::from_str(&std::fs::read_to_string(root().join("docs/openapi.json")).unwrap()).unwrap()
}

fn routes() -> Vec<String> {
    let description = description();
    let methods = description["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    methods.collect()
}

fn make_list(path: &std::path::Path, nation: &str, name: &str, policy: usize) -> List {
    let policy = ["not_needed", "before", "within_48_hours"][policy];
    let mut arguments = list_arguments(nation, name);
    arguments.extend(["--prior-authorisation", policy]);
    List {
        id: index(path, &arguments),
        people: Vec::new(),
        leaves: Vec::new(),
        spare: vec![None; CODES.len()],
    }
}

/// What there is before anybody asks: the lists, a token for each role, and of each nation a clerk's.
type Scenery = (Vec<Vec<List>>, Vec<(&'static str, String)>, [String; 2]);

/// Five kinds of lists, and grants that name what they may; then what was shared once is not any more.
fn furnish(path: &std::path::Path) -> Scenery {
    index(path, &["init", "--model", "test", "--dimension", &DIMENSION.to_string()]);
    ["UTO", "XAA"].into_iter().for_each(|nation| appoint(path, nation));
    let list = |relation: usize, policy| {
        let nation = if relation < 2 { "UTO" } else { "XAA" };
        make_list(path, nation, &format!("r{relation} p{policy}"), policy)
    };
    let lists: Vec<Vec<List>> =
        (0..RELATIONS.len()).map(|relation| (0..3).map(|policy| list(relation, policy)).collect()).collect();
    let [first, second] = officers(path, "XAA");
    let (first, second) = (first.to_str().unwrap(), second.to_str().unwrap());
    let share = |list: &List| {
        let share = [
            "grant",
            "share",
            "--with",
            "UTO",
            "--watchlist",
            &list.id,
            "--token-file",
            first,
            "--approver",
            second,
        ];
        index(path, &share)
    };
    let shares: Vec<Vec<String>> = lists[2..4].iter().map(|both| both.iter().map(share).collect()).collect();
    let named: Vec<&str> =
        [0, 2, 3].into_iter().flat_map(|at: usize| &lists[at]).map(|list| list.id.as_str()).collect();
    let reach: Vec<&str> = named.iter().flat_map(|id| ["--watchlist", id]).collect();
    let token = |(role, arguments): &(&'static str, &[&str])| {
        if *role == "security_officer" {
            return (*role, std::fs::read_to_string(&officers(path, "UTO")[0]).unwrap());
        }
        (*role, grant(path, "UTO", &[&["--name", role], *arguments, &reach].concat()))
    };
    let tokens = ROLES.iter().map(token).chain([("nobody", String::new())]).collect();
    let clerks =
        ["UTO", "XAA"].map(|nation| grant(path, nation, &["--name", "scene", "--role", "enroller", "--own"]));
    for id in &shares[1] {
        index(path, &["grant", "revoke", id, "--token-file", first]);
    }
    (lists, tokens, clerks)
}

type Table = BTreeMap<(String, &'static str, usize), Vec<String>>;
/// The leaves of the log that came while a route was tried.
type Leaves = BTreeMap<String, std::ops::Range<u64>>;

fn leaves(actor: &Actor<'_>) -> u64 {
    let checkpoint = String::from_utf8(actor.get_bytes("/v1/log/checkpoint")).unwrap();
    checkpoint.lines().nth(1).unwrap().parse().unwrap()
}

fn execute(place: &std::path::Path) -> (Table, Leaves) {
    let folder = Home::in_place(place);
    let (lists, tokens, clerks) = furnish(folder.path());
    // Whoever waits for their turn keeps their connection.
    let models = place.join("models");
    let model = tiny_model::install(&models);
    let environment = [
        ("LIMEN_SERVE_RECEIVE_TIMEOUT_S", "600"),
        ("LIMEN_SERVE_MODELS_FOLDER", models.to_str().unwrap()),
        ("LIMEN_SERVE_IMAGE_MODEL", &model),
    ];
    let server = Server::start(folder.path(), &environment);
    let mut scene = Scene { server: &server, lists, clerks, enrolled: 0 };
    scene.fill();
    let actors: HashMap<&str, Actor<'_>> =
        tokens.iter().map(|(role, token)| (*role, server.actor(token))).collect();
    let (mut table, mut tried) = (Table::new(), Leaves::new());
    for route in routes() {
        let method = route.split_once(' ').unwrap().0;
        let before = leaves(&actors["auditor"]);
        for (role, _) in &tokens {
            let actor = &actors[role];
            for relation in 0..RELATIONS.len() {
                let mut row = Vec::new();
                for (code, state) in
                    (0..CODES.len()).flat_map(|code| (0..STATES.len()).map(move |state| (code, state)))
                {
                    let cell = Cell { relation, code, state };
                    let Request { path, body, hits } = request(&mut scene, &route, cell, actor);
                    let body = body.map(|body| body.to_string());
                    let send = || actor.send_text(method, &path, body.as_deref());
                    let (mut status, mut text) = send();
                    // Of the long answers the last may not have ended, nor the build that was asked for before.
                    for _ in 0..3000 {
                        let building = status == 409 && route == "POST /v1/generations/{id}/activation";
                        if status != 503 && !building {
                            break;
                        }
                        std::thread::sleep(std::time::Duration::from_millis(10));
                        (status, text) = send();
                    }
                    if hits && (status < 300 || route == "DELETE /v1/subjects/{id}/restriction") {
                        scene.lists[relation][policy(state)].spare[code] = None;
                    }
                    row.push(outcome(&route, status, &text));
                }
                table.insert((route.clone(), role, relation), row);
            }
        }
        tried.insert(route, before..leaves(&actors["auditor"]));
    }
    (table, tried)
}

/// Of each route that processes somebody's data, the log has an event of that kind (Article 25 of Directive (EU) 2016/680).
fn check_operations(folder: &std::path::Path, tried: &Leaves) {
    let key = RootKey::find(std::path::Path::new(""), Some(ROOT_KEY), None).unwrap();
    let gallery = Gallery::open(folder, Setup::new(key, 1), Ambient::system()).unwrap();
    let mut operations = BTreeMap::new();
    evidence::each_event(&gallery, |leaf, event| {
        operations.insert(leaf, Operation::of(&event.what));
    })
    .unwrap();
    let description = description();
    for (route, leaves) in tried {
        let (method, path) = route.split_once(' ').unwrap();
        let said = &description["paths"][path][method.to_lowercase()]["x-operation"];
        let said: Operation = said.as_str().unwrap().parse().unwrap();
        let logged = operations.range(leaves.clone()).any(|(_, operation)| *operation == said);
        assert!(logged || said == Operation::Upkeep, "{route}: no event of {said} in {leaves:?}");
    }
}

fn written(table: &Table) -> String {
    let columns = CODES.iter().flat_map(|code| STATES.map(|state| format!("{}, {state}", &code[..2])));
    let quoted = |texts: &mut dyn Iterator<Item = String>| {
        texts
            .map(|text| if text.contains(',') { format!("\"{text}\"") } else { text })
            .collect::<Vec<_>>()
            .join(",")
    };
    let head = ["route", "role", "watchlist"].map(str::to_owned);
    let mut text = quoted(&mut head.into_iter().chain(columns)) + "\n";
    for ((route, role, relation), row) in table {
        let names = [route.clone(), (*role).to_owned(), RELATIONS[*relation].to_owned()];
        let _ = writeln!(text, "{}", quoted(&mut names.into_iter().chain(row.iter().cloned())));
    }
    text
}

/// What a lookup must bring, by the law and not by the code.
fn lookup_shows(role: &str, relation: usize, code: usize, state: usize) -> &'static str {
    match (role, RELATIONS[relation]) {
        ("nobody", _) => "401",
        ("checkpoint" | "integrator (searching)", "own" | "shared") => {
            match (STATES[state], RELATIONS[relation], code) {
                ("before", ..) => "403",
                ("within 48 h", "own", _) | ("within 48 h", _, 1) => "full (48 h)",
                ("within 48 h", _, 2) => "reference (48 h)",
                ("within 48 h", ..) => "nothing (48 h)",
                (_, "own", _) | (_, _, 1) => "full",
                (_, _, 2) => "reference",
                _ => "nothing",
            }
        }
        _ => "403",
    }
}

#[test]
fn everybody_may_do_what_the_table_says_and_nothing_else() {
    let place = in_memory();
    let began = std::time::Instant::now();
    let (table, tried) = execute(place.path());
    check_operations(&place.path().join("data"), &tried);
    let cells: usize = table.values().map(Vec::len).sum();
    told(&format!("authority: {cells} cells in {} s", began.elapsed().as_secs()));
    assert!(cells >= 5000);
    for ((route, role, relation), row) in &table {
        let at = format!("{route}, {role}, {}", RELATIONS[*relation]);
        let open = ["GET /livez", "GET /readyz", "GET /version"].contains(&route.as_str());
        if *role == "nobody" && !open {
            assert!(row.iter().all(|cell| cell == "401"), "{at}");
        }
        for (cell, outcome) in row.iter().enumerate() {
            let (code, state) = (cell / STATES.len(), cell % STATES.len());
            if route == "POST /v1/lookups" {
                assert_eq!(outcome, lookup_shows(role, *relation, code, state), "{at}, {code} {state}");
            }
            // What names a watchlist, or somebody on it, is done only where the nation and the grant reach it.
            let names =
                route.contains("/subjects") || route.contains("/enrolments") || route.ends_with("references");
            let changes = names || route.contains("deduplications");
            if changes && route != "POST /v1/watchlists" && *relation > 0 {
                assert!(["403", "404", "401"].contains(&outcome.as_str()), "{at}: {outcome}");
            }
            assert!(!outcome.starts_with('5') && outcome != "422" && outcome != "400", "{at}: {outcome}");
        }
    }
    let path = root().join("docs/authority.csv");
    let actual = written(&table);
    if std::env::var_os("LIMEN_UPDATE").is_some() {
        std::fs::write(&path, &actual).unwrap();
    }
    let checked_in = std::fs::read_to_string(path).unwrap_or_default();
    let differs = checked_in.lines().zip(actual.lines()).find(|(one, other)| one != other);
    assert!(checked_in == actual, "docs/authority.csv says otherwise: {differs:?}");
}
