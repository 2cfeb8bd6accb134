//! Two nations on one node that share nothing: whatever one asks, it learns no id, no count and no text of the other. `LIMEN_REQUESTS=100000 cargo test
//! --release -p tests two_nations` asks so many; a fixed seed.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tests::*;

const NATIONS: [&str; 2] = ["UTO", "XAA"];
/// Stands in every text of a nation.
const MARKS: [&str; 2] = ["Quetzal", "Wombat"];
/// What is minted for a nation. Jobs are the node's.
const MINTED: [&str; 7] = ["sub_", "enc_", "wl_", "agy_", "lkp_", "grt_", "ver_"];

/// A nation's subject: its lists and references, one of its faces, and is it searched?
struct Person {
    id: String,
    lists: BTreeSet<String>,
    references: u64,
    face: u64,
    active: bool,
    gone: bool,
}

impl Person {
    fn new(id: String, list: &str, face: u64) -> Self {
        Self { id, lists: [list.to_owned()].into(), references: 1, face, active: true, gone: false }
    }
}

struct Nation<'a> {
    actors: Vec<Actor<'a>>,
    lists: Vec<String>,
    people: Vec<Person>,
}

/// Whose each id is, as it was seen first.
#[derive(Default)]
struct Owners(HashMap<String, usize>);

/// The ids in a text.
fn ids(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
    words.filter(|word| MINTED.iter().any(|prefix| word.starts_with(prefix)) && word.len() > 36)
}

impl Owners {
    /// What is told to a nation is its own, or was in its question.
    fn check(&mut self, nation: usize, asked: &str, told: &str) {
        for id in ids(told) {
            let owner = *self.0.entry(id.to_owned()).or_insert(nation);
            assert!(
                owner == nation || asked.contains(id),
                "{} is told of {id}: {asked} -> {told}",
                NATIONS[nation]
            );
        }
        let mark = MARKS[1 - nation];
        assert!(!told.contains(mark), "{} is told {mark}: {asked} -> {told}", NATIONS[nation]);
    }
}

struct Chance(ChaCha8Rng);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0.next_u32() as usize % bound
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

fn tokens(path: &std::path::Path, nation: &str, lists: &[String]) -> Vec<String> {
    let reach: Vec<&str> = lists.iter().flat_map(|list| ["--watchlist", list]).collect();
    let search = ["--raw-probes", "--purpose", "border_control"];
    let verbs =
        |verbs: &[&'static str]| verbs.iter().flat_map(|verb| ["--verb", verb]).collect::<Vec<&str>>();
    let scores =
        [vec!["--scores", "--role", "integrator"], verbs(&["lookup", "verify", "authorise"])].concat();
    let keeping =
        [vec!["--role", "integrator"], verbs(&["enrol", "retire", "restrict", "erase", "inspect"])].concat();
    let roles: [(&str, Vec<&str>); 6] = [
        ("checkpoint", [["--role", "checkpoint"].as_slice(), &search].concat()),
        ("enroller", vec!["--role", "enroller"]),
        ("searching", [scores.as_slice(), &search].concat()),
        ("keeping", keeping),
        ("adjudicator", vec!["--role", "adjudicator"]),
        ("auditor", vec!["--role", "auditor"]),
    ];
    let mark = MARKS[NATIONS.iter().position(|one| *one == nation).unwrap()];
    let mut tokens: Vec<String> = roles
        .iter()
        .map(|(name, arguments)| {
            let name = format!("{mark} {name}");
            grant(path, nation, &[&["--name", &name], arguments.as_slice(), &reach].concat())
        })
        .collect();
    tokens.extend(officers(path, nation).iter().take(1).map(|file| std::fs::read_to_string(file).unwrap()));
    tokens
}

/// Somebody of one of the nations, or nobody.
fn somebody<'a>(nations: &'a [Nation<'_>; 2], chance: &mut Chance) -> &'a Person {
    let nation = chance.below(2);
    chance.of(&nations[nation].people)
}

/// A question: method, path and body; and whom it may change, how.
fn question(
    nations: &[Nation<'_>; 2],
    own: usize,
    chance: &mut Chance,
    number: u64,
) -> (&'static str, String, Option<Value>) {
    let mark = MARKS[own];
    let lists = |nation: usize| &nations[nation].lists;
    let list = lists(chance.below(2))[chance.below(2)].clone();
    let other = lists(chance.below(2))[chance.below(2)].clone();
    let (person, second) = (somebody(nations, chance), somebody(nations, chance));
    let (id, target) = (person.id.clone(), second.id.clone());
    let face = if chance.below(3) == 0 { 5_000_000 + number } else { person.face };
    let mut search = lookup(&list, face);
    search["case_reference"] = json!(format!("{mark} case {number}"));
    let new = |list: &str| {
        let mut body = subject(list, &format!("{mark} {number}"), 1_000_000 + number);
        body["entries"][0]["handling"] = json!(format!("H3: {mark} only"));
        body["entries"][0]["instruction"] = json!(format!("ask {mark}"));
        body
    };
    match chance.below(22) {
        0..=5 => {
            if chance.below(2) == 0 {
                search["watchlists"] = json!([list, other]);
            }
            ("POST", "/v1/lookups".to_owned(), Some(search))
        }
        6 | 7 => {
            let fields = search.as_object_mut().unwrap();
            fields.remove("watchlists");
            fields.insert("watchlist".to_owned(), json!(list));
            fields.insert("subject".to_owned(), json!(id));
            ("POST", "/v1/verifications".to_owned(), Some(search))
        }
        8 => ("GET", format!("/v1/subjects/{id}"), None),
        9 => (
            "GET",
            format!("/v1/subjects?reference={}%20{}", MARKS[chance.below(2)], chance.below(200)),
            None,
        ),
        10 => ("POST", "/v1/subjects".to_owned(), Some(new(&list))),
        11 => ("DELETE", format!("/v1/subjects/{id}"), None),
        12 => ("PUT", format!("/v1/subjects/{id}/restriction"), None),
        13 => ("DELETE", format!("/v1/subjects/{id}/restriction"), None),
        14 => match chance.below(4) {
            0 => ("POST", format!("/v1/subjects/{id}/erasure"), None),
            1 if person.active && second.active => {
                ("POST", format!("/v1/subjects/{id}/merger"), Some(json!({ "into": target })))
            }
            2 => {
                let encounters = json!(["enc_01a20280-0000-7000-8000-000000000000"]);
                (
                    "POST",
                    format!("/v1/subjects/{id}/moves"),
                    Some(json!({ "to": target, "encounters": encounters })),
                )
            }
            _ => ("GET", format!("/v1/watchlists/{list}/references"), None),
        },
        15 => ("GET", "/v1/retention".to_owned(), None),
        16 => ("GET", "/v1/notices".to_owned(), None),
        17 => ("GET", "/v1/watchlists".to_owned(), None),
        18 => ("GET", format!("/v1/watchlists/{list}"), None),
        19 => ("POST", "/v1/deduplications".to_owned(), Some(json!({ "watchlists": [list] }))),
        20 => ("GET", "/v1/grants".to_owned(), None),
        _ => {
            let content = json!({ "to": "caller", "name": format!("{mark} {number}"), "role": "checkpoint",
                "agency": format!("agy_01a20280-0000-7000-8000-00000000000{own}"), "watchlists": { "listed": [list] },
                "purposes": ["border_control"] });
            ("POST", "/v1/grants".to_owned(), Some(json!({ "content": content, "days": 1 })))
        }
    }
}

/// What an answer that was given changed of the asker's people.
fn carry_out(
    nation: &mut Nation<'_>,
    method: &str,
    path: &str,
    body: Option<&Value>,
    status: u16,
    told: &Value,
) {
    if status >= 300 {
        return;
    }
    let id = path.split('/').nth(3).unwrap_or_default().to_owned();
    let into = body.and_then(|body| body["into"].as_str()).unwrap_or_default().to_owned();
    match (method, path.rsplit('/').next().unwrap()) {
        ("POST", "subjects") => {
            let body = body.unwrap();
            let list = body["entries"][0]["watchlist"].as_str().unwrap().to_owned();
            let number: u64 =
                body["reference"].as_str().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
            let id = told["subject"].as_str().unwrap().to_owned();
            nation.people.push(Person::new(id, &list, 1_000_000 + number));
        }
        ("POST", "merger") => {
            let from = nation.people.iter_mut().find(|person| person.id == id).unwrap();
            (from.active, from.gone) = (false, true);
            let (lists, references) = (from.lists.clone(), from.references);
            let into = nation.people.iter_mut().find(|person| person.id == into).unwrap();
            into.lists.extend(lists);
            into.references += references;
        }
        (method, last) => {
            let Some(person) = nation.people.iter_mut().find(|person| person.id == id) else { return };
            match (method, last) {
                ("PUT", "restriction") => person.active = false,
                ("DELETE", "restriction") => person.active = !person.gone,
                ("POST", "erasure") | ("DELETE", _) => (person.active, person.gone) = (false, true),
                _ => (),
            }
        }
    }
}

#[test]
fn a_nation_learns_nothing_of_another_that_shares_nothing() {
    let requests: u64 = std::env::var("LIMEN_REQUESTS").map_or(5000, |count| count.parse().unwrap());
    let place = in_memory();
    let folder = Home::in_place(place.path());
    let path = folder.path();
    index(path, &["init", "--model", "test", "--dimension", &DIMENSION.to_string()]);
    NATIONS.iter().for_each(|nation| appoint(path, nation));
    let lists = NATIONS.map(|nation| {
        let mark = MARKS[NATIONS.iter().position(|one| *one == nation).unwrap()];
        [0, 1].map(|which| index(path, &list_arguments(nation, &format!("{mark} {which}")))).to_vec()
    });
    let tokens: Vec<Vec<String>> = (0..2).map(|at| tokens(path, NATIONS[at], &lists[at])).collect();
    let often = ("LIMEN_SERVE_INSECURE_UNLIMITED_SEARCHES", "true");
    let server = Server::start(path, &[("LIMEN_SERVE_RECEIVE_TIMEOUT_S", "600"), often]);
    let mut nations = [0, 1].map(|at: usize| Nation {
        actors: tokens[at].iter().map(|token| server.actor(token)).collect(),
        lists: lists[at].clone(),
        people: Vec::new(),
    });
    let mut owners = Owners::default();
    for (at, lists) in lists.iter().enumerate() {
        owners.0.extend(lists.iter().map(|id| (id.clone(), at)));
    }
    // The same faces on both sides: whoever looks finds their own.
    for (at, nation) in nations.iter_mut().enumerate() {
        for number in 0..200 {
            let list = nation.lists[number % 2].clone();
            let name = format!("{} {number}", MARKS[at]);
            let id = nation.actors[1].enrol(&list, &name, number as u64);
            owners.0.insert(id.clone(), at);
            nation.people.push(Person::new(id, &list, number as u64));
        }
    }
    let mut chance = Chance(ChaCha8Rng::seed_from_u64(20));
    let mut statuses = BTreeMap::<u16, u64>::new();
    for number in 1000..1000 + requests {
        let own = chance.below(2);
        let (method, path, body) = question(&nations, own, &mut chance, number);
        let text = body.as_ref().map(Value::to_string);
        // Mostly somebody who may, were it their own.
        let who = match (chance.below(4), &path) {
            (0, _) => chance.below(nations[own].actors.len()),
            (_, path) if path.contains("lookups") || path.contains("verifications") => 2 * chance.below(2),
            (_, path) if path.contains("grants") => 6,
            _ => 1 + 2 * chance.below(2),
        };
        let (status, told) = nations[own].actors[who].send_text(method, &path, text.as_deref());
        *statuses.entry(status).or_default() += 1;
        let asked = format!("{method} {path} {}", text.unwrap_or_default());
        owners.check(own, &asked, &told);
        let told: Value = serde_json::from_str(&told).unwrap_or_default();
        carry_out(&mut nations[own], method, &path, body.as_ref(), status, &told);
        for searched in told["certificate"]["watchlists"].as_array().into_iter().flatten() {
            let list = searched["id"].as_str().unwrap();
            let on_list = nations[own].people.iter().filter(|one| one.active && one.lists.contains(list));
            let counted: u64 = on_list.map(|one| one.references).sum();
            if path == "/v1/lookups" {
                let told = (&searched["expected"], &searched["compared"]);
                assert_eq!(told, (&json!(counted), &json!(counted)), "{asked}");
            }
        }
    }
    told(&format!("two nations: {requests} requests, by status: {statuses:?}"));
    assert!([200, 201, 403, 404, 409].iter().all(|status| statuses.contains_key(status)), "{statuses:?}");
    assert!(statuses.keys().all(|status| *status < 500), "{statuses:?}");
}
