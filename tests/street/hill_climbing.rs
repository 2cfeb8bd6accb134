//! Attackers who would learn a template by varying probes, with all that answers tell: each is stopped within 64 related probes. Without the guard the
//! same attacker succeeds.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use serde_json::{Value, json};
use tests::*;

const FEATURES: usize = 128;
const PEOPLE: u64 = 50;
/// What each attacker may not reach.
const RELATED: usize = 64;

type Face = Vec<f64>;

fn unit(face: &[f64]) -> Face {
    let length = cosine_product(face, face).sqrt();
    face.iter().map(|x| x / length).collect()
}

fn cosine_product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A unit vector in a random direction.
fn direction(chance: &mut ChaCha8Rng) -> Face {
    let normal = |chance: &mut ChaCha8Rng| {
        (0..12).map(|_| f64::from(chance.next_u32()) / f64::from(u32::MAX)).sum::<f64>() - 6.0
    };
    unit(&(0..FEATURES).map(|_| normal(chance)).collect::<Face>())
}

/// So much of one, and the rest of another.
fn mixed(one: &[f64], share: f64, other: &[f64]) -> Face {
    let rest = (1.0 - share * share).sqrt();
    unit(&one.iter().zip(other).map(|(a, b)| share * a + rest * b).collect::<Face>())
}

fn person(number: u64) -> Face {
    direction(&mut ChaCha8Rng::seed_from_u64(number))
}

/// How an attacker varies.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Random steps of this length, kept when they are not worse.
    Steps(f64),
    /// From the best found along each axis in turn, to and fro: what the gradient is.
    Axes(f64),
    /// Along random directions from a hit to a miss, for points on the border between them.
    Border,
    /// Around somebody who is much like the target, far from each other.
    Apart,
    /// Behind other people on the list whose faces are known, one after another: of the target it asks to be told the number only.
    Behind,
}

/// What an answer tells.
enum Told {
    /// The target's score or, where none is shown, its band.
    Value(f64),
    Nothing,
    Stopped,
}

/// An attacker, who begins with a face that is somewhat like the target's.
struct Attacker {
    way: Way,
    /// Verifies instead of looking up.
    by_name: bool,
    /// Probes of strangers between two of its own.
    decoys: usize,
    chance: ChaCha8Rng,
    begin: Face,
    best: (f64, Face),
    along: (Face, f64, f64),
    /// Its probes that were answered, and was the target shown?
    answered: Vec<(Face, bool)>,
    refused: usize,
}

impl Attacker {
    fn new(way: Way, seed: u64) -> Self {
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        let likeness = if matches!(way, Way::Apart | Way::Behind) { 0.8 } else { 0.5 };
        let begin = mixed(&person(0), likeness, &direction(&mut chance));
        let along = (direction(&mut chance), 0.0, std::f64::consts::FRAC_PI_2);
        let best = (f64::MIN, begin.clone());
        let (by_name, decoys) = (false, 0);
        Self { way, by_name, decoys, chance, begin, best, along, answered: Vec::new(), refused: 0 }
    }

    fn probe(&mut self) -> Face {
        let tried = self.answered.len();
        if tried == 0 {
            return self.begin.clone();
        }
        let (best, step) = (&self.best.1, direction(&mut self.chance));
        match self.way {
            // Stopped, it tries further and further away.
            Way::Steps(_) if self.refused > 0 => mixed(best, [0.9, 0.7, 0.5][self.refused % 3], &step),
            Way::Steps(length) => {
                unit(&best.iter().zip(&step).map(|(x, s)| x + length * s).collect::<Face>())
            }
            Way::Axes(length) => {
                let mut probe = best.clone();
                probe[tried / 2 % FEATURES] += if tried.is_multiple_of(2) { length } else { -length };
                unit(&probe)
            }
            Way::Border => {
                if self.along.2 - self.along.1 < 0.02 {
                    self.along = (step, 0.0, std::f64::consts::FRAC_PI_2);
                }
                let angle = f64::midpoint(self.along.1, self.along.2);
                mixed(&self.begin, angle.cos(), &self.along.0)
            }
            Way::Apart => mixed(&self.begin, 0.6, &step),
            Way::Behind => {
                mixed(&person(1 + tried as u64 / 8 % (PEOPLE - 1)), 0.7, &mixed(&self.begin, 0.9, &step))
            }
        }
    }

    fn ask(&self, actor: &Actor<'_>, scene: &Scene, probe: &[f64]) -> Told {
        let mut body = scene.lookup(probe);
        if matches!(self.way, Way::Behind) {
            body["limit"] = json!(1);
        }
        let path = if self.by_name {
            let fields = body.as_object_mut().unwrap();
            let watchlists = fields.remove("watchlists").unwrap();
            fields.insert("watchlist".to_owned(), watchlists[0].clone());
            fields.insert("subject".to_owned(), json!(scene.target));
            "/v1/verifications"
        } else {
            "/v1/lookups"
        };
        let answer = actor.post(path, &body);
        if answer.status == 429 {
            let why = answer.body["detail"].as_str().unwrap();
            assert!(why.contains("probes like this one") || why.contains("the same subject"), "{why}");
            return Told::Stopped;
        }
        let body = answer.expect(200);
        let shown = |value: &Value| {
            let band = value["band"].as_str();
            let rank = || ["low", "medium", "high"].iter().position(|name| Some(*name) == band);
            value["score"].as_f64().or_else(|| Some(rank()? as f64))
        };
        let value = if self.by_name {
            shown(&body)
        } else if matches!(self.way, Way::Behind) {
            (body["total"].as_u64().unwrap() > 1).then_some(1.0)
        } else {
            let candidates = body["candidates"].as_array().unwrap();
            candidates.iter().find(|one| one["subject"] == *scene.target).and_then(shown)
        };
        value.map_or(Told::Nothing, Told::Value)
    }

    /// Varies until so many were answered, or it is stopped and has tried in vain as often.
    fn attack(&mut self, actor: &Actor<'_>, scene: &Scene, most: usize) {
        let before = self.answered.len();
        let mut vain = 0;
        while self.answered.len() < before + most && vain < 100 {
            for _ in 0..self.decoys {
                let _ = self.ask(actor, scene, &direction(&mut self.chance.clone()));
                self.chance.next_u64();
            }
            let probe = self.probe();
            let value = match self.ask(actor, scene, &probe) {
                Told::Value(value) => Some(value),
                Told::Nothing => None,
                Told::Stopped => {
                    (vain, self.refused) = (vain + 1, self.refused + 1);
                    // It may be that another beginning is not noticed.
                    self.begin = mixed(&self.best.1, 0.9, &direction(&mut self.chance));
                    continue;
                }
            };
            let angle = f64::midpoint(self.along.1, self.along.2);
            *if value.is_some() { &mut self.along.1 } else { &mut self.along.2 } = angle;
            let (shown, value) = (value.is_some(), value.unwrap_or(-1.0));
            if value >= self.best.0 {
                self.best = (value, probe.clone());
            }
            self.answered.push((probe, shown));
        }
    }

    /// Of its probes those that are like another, or that found the target.
    fn related(&self) -> usize {
        let like = |at: usize, probe: &Face| {
            let others = self.answered.iter().enumerate().filter(|(other, _)| *other != at);
            others.into_iter().any(|(_, (other, _))| cosine_product(probe, other) >= 0.7)
        };
        self.answered.iter().enumerate().filter(|(at, (probe, found))| *found || like(*at, probe)).count()
    }

    /// How near it has come.
    fn likeness(&self) -> f64 {
        cosine_product(&self.best.1, &person(0))
    }
}

struct Scene {
    _place: tempfile::TempDir,
    folder: Home,
    list: String,
    target: String,
}

impl Scene {
    fn build() -> Self {
        let place = in_memory();
        let folder = Home::in_place(place.path());
        let path = folder.path();
        index(path, &["init", "--model", "test", "--dimension", &FEATURES.to_string()]);
        let words = list_arguments("UTO", "first");
        let words: Vec<&str> =
            words.into_iter().map(|word| if word == "0.8" { "0.4" } else { word }).collect();
        let list = index(path, &words);
        appoint(path, "UTO");
        let clerk = grant(path, "UTO", &["--name", "clerk", "--role", "enroller", "--own"]);
        let server = Server::start(path, &[]);
        let clerk = server.actor(&clerk);
        let row = |number: u64| {
            json!({
                "subject": format!("s{number}"), "encounter": "e", "watchlist": list, "category": "wanted",
                "features": person(number),
            })
        };
        clerk
            .post("/v1/enrolments", &json!({ "rows": (0..PEOPLE).map(row).collect::<Vec<_>>() }))
            .expect(200);
        drop(server);
        let mut scene = Self { _place: place, folder, list, target: String::new() };
        let asker = scene.caller("asker", false);
        let server = Server::start(scene.folder.path(), &[]);
        let found = server.actor(&asker).post("/v1/lookups", &scene.lookup(&person(0))).expect(200);
        candidates(&found)[0].clone_into(&mut scene.target);
        scene
    }

    /// The token of somebody who searches, and sees scores or bands.
    fn caller(&self, name: &str, scores: bool) -> String {
        let role = if scores {
            "--role integrator --verb lookup --verb verify --scores"
        } else {
            "--role checkpoint"
        };
        let words: Vec<&str> = role.split(' ').collect();
        let scope =
            ["--name", name, "--raw-probes", "--watchlist", &self.list, "--purpose", "border_control"];
        grant(self.folder.path(), "UTO", &[scope.as_slice(), &words].concat())
    }

    fn lookup(&self, probe: &[f64]) -> Value {
        json!({
            "watchlists": [self.list], "purpose": "border_control", "legal_basis": "eu_2018_1861",
            "case_reference": "case 1", "probe": { "model": "test", "features": probe },
        })
    }
}

#[test]
fn who_climbs_towards_a_template_is_stopped_within_64_related_probes() {
    let scene = Scene::build();
    let plain = |way, seed| Attacker::new(way, seed);
    let attackers = [
        ("steps with scores", true, plain(Way::Steps(0.3), 1)),
        ("small steps with scores", true, plain(Way::Steps(0.03), 2)),
        ("great steps with scores", true, plain(Way::Steps(0.9), 3)),
        ("a gradient with scores", true, plain(Way::Axes(0.05), 4)),
        ("steps with bands", false, plain(Way::Steps(0.3), 5)),
        ("great steps with bands", false, plain(Way::Steps(0.9), 6)),
        ("the border of hits", false, plain(Way::Border, 7)),
        ("one who knows the target, apart", false, plain(Way::Apart, 8)),
        ("behind others", false, plain(Way::Behind, 13)),
        ("among strangers", true, Attacker { decoys: 9, ..plain(Way::Steps(0.3), 9) }),
        ("by name, with scores", true, Attacker { by_name: true, ..plain(Way::Steps(0.3), 10) }),
        ("by name, apart", false, Attacker { by_name: true, ..plain(Way::Apart, 11) }),
    ];
    let tokens: Vec<String> = attackers.iter().map(|(name, scores, _)| scene.caller(name, *scores)).collect();
    let after_kill = scene.caller("after a kill", true);
    let mut server = Server::start(scene.folder.path(), &[]);
    for ((name, _, mut attacker), token) in attackers.into_iter().zip(&tokens) {
        attacker.attack(&server.actor(token), &scene, 1000);
        let (related, likeness) = (attacker.related(), attacker.likeness());
        told(&format!(
            "hill climbing, {name}: {related} related of {} probes answered, then {} refused; likeness {likeness:.2}",
            attacker.answered.len(),
            attacker.refused
        ));
        assert!(related <= RELATED && attacker.refused > 0, "{name}");
        assert!(likeness < 0.85, "{name}");
    }
    // Killed on the way, it does not forget.
    let mut attacker = Attacker::new(Way::Steps(0.3), 12);
    for _ in 0..5 {
        attacker.attack(&server.actor(&after_kill), &scene, 9);
        server.kill();
        server = Server::start(scene.folder.path(), &[]);
    }
    attacker.attack(&server.actor(&after_kill), &scene, 1000);
    told(&format!("hill climbing, over five kills: {} related probes answered", attacker.related()));
    assert!(attacker.related() <= RELATED && attacker.refused > 0);
    drop(server);
    // What was refused is in the log, and who looks after it sees that.
    let report = index(
        scene.folder.path(),
        &["audit", "report", "--from", "2026-01-01T00:00:00Z", "--to", "2099-01-01T00:00:00Z"],
    );
    assert!(report.contains("stopped_by_misuse") && report.contains("related_probes"), "{report}");
}

#[test]
fn the_searches_of_an_hour_are_what_was_granted() {
    let site = Site::found();
    let words = ["--name", "slow", "--role", "checkpoint", "--raw-probes", "--searches-per-hour", "3"];
    let scope = ["--watchlist", &site.list, "--purpose", "border_control"];
    let token = grant(site.folder.path(), "UTO", &[words.as_slice(), &scope].concat());
    let server = site.serve();
    let actor = server.actor(&token);
    let keyed = |face, key: &str| actor.post_keyed("/v1/lookups", &lookup(&site.list, face), key);
    let first = keyed(1, "a").expect(200);
    assert_eq!(keyed(1, "a").expect(200)["lookup"], first["lookup"], "a repetition is no search");
    for face in 1..=3 {
        keyed(face, &format!("{face}")).expect(200);
    }
    let ask = || {
        let body = lookup(&site.list, 4).to_string();
        actor.post_for_header("/v1/lookups", &body, "retry-after")
    };
    let (status, wait) = ask();
    let wait: u64 = wait.unwrap().parse().unwrap();
    assert!(status == 429 && (3500..=3601).contains(&wait), "{status} {wait}");
    keyed(1, "a").expect(200);
    server.actor(&site.guard).look_up(&site.list, 1).expect(200);
}

#[test]
fn without_the_guard_the_same_attacker_has_the_template() {
    let scene = Scene::build();
    let token = scene.caller("steps with scores", true);
    let server = Server::start(scene.folder.path(), &[("LIMEN_SERVE_INSECURE_UNLIMITED_SEARCHES", "true")]);
    let actor = server.actor(&token);
    let ready = actor.get("/readyz").expect(200);
    assert_eq!(ready["insecure"], json!(["insecure_unlimited_searches"]));
    let mut attacker = Attacker::new(Way::Steps(0.3), 1);
    for length in [0.3, 0.2, 0.1] {
        attacker.way = Way::Steps(length);
        attacker.attack(&actor, &scene, 600);
    }
    told(&format!("hill climbing without the guard: likeness {:.2}", attacker.likeness()));
    assert_eq!(attacker.refused, 0);
    assert!(attacker.likeness() > 0.9);
}
