//! A node is killed in the middle of lookups: every answer that a client holds stands in the log, with a proof that verifies. `LIMEN_LOOKUPS=10000` asks
//! so many.

use audit::{hash::Hash, log_proof::LogProof, note::VerifierKey};
use gallery::{
    Gallery, Setup, ambient::Ambient, event::What, evidence, findings::Results, keys::root::RootKey,
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tests::*;

#[test]
fn every_answer_that_a_client_holds_is_in_the_log_after_kills() {
    let wanted: u64 = std::env::var("LIMEN_LOOKUPS").map_or(500, |count| count.parse().unwrap());
    let place = in_memory();
    let site = Site::found_in(Home::in_place(place.path()));
    let path = site.folder.path();
    let log_key: VerifierKey = index(path, &["audit", "key"]).parse().unwrap();
    let held = Mutex::new(Vec::<Value>::new());
    let mut chance = ChaCha8Rng::seed_from_u64(4);
    let (next, mut kills) = (AtomicU64::new(0), 0);
    while (held.lock().unwrap().len() as u64) < wanted || kills < 12 {
        let server = site.serve();
        if kills == 0 {
            let clerk = server.actor(&site.clerk);
            for face in 0..20 {
                clerk.enrol(&site.list, &format!("p{face}"), face);
            }
        }
        let pause = Duration::from_millis(u64::from(chance.next_u32() % 120));
        let process = server.process();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let guard = server.actor(&site.guard);
                    loop {
                        let face = next.fetch_add(1, Ordering::SeqCst) % 40;
                        let body = lookup(&site.list, face).to_string();
                        match guard.try_send("POST", "/v1/lookups", Some(body.as_bytes()), &[]) {
                            Ok(answer) => held.lock().unwrap().push(answer.expect(200)),
                            Err(_) => return, // it was killed
                        }
                    }
                });
            }
            std::thread::sleep(pause);
            kill_nine(process);
        });
        kills += 1;
    }
    let root = RootKey::find(path, Some(ROOT_KEY), None).unwrap();
    let gallery = Gallery::open(path, Setup::new(root, 1), Ambient::system()).unwrap();
    gallery.check().unwrap();
    let mut logged = HashMap::new();
    evidence::each_event(&gallery, |index, event| {
        if let What::Lookup { results: Results::Told(findings), .. } = event.what {
            logged.insert(findings.answer.lookup.to_string(), (index, findings.answer.decision));
        }
    })
    .unwrap();
    let held = held.into_inner().unwrap();
    for answer in &held {
        let receipt = &answer["receipt"];
        let leaf = Hash::from_hex(receipt["leaf_hash"].as_str().unwrap()).unwrap();
        let index = receipt["leaf_index"].as_u64().unwrap();
        let (at, decision) = logged[answer["id"].as_str().unwrap()];
        assert_eq!((at, serde_json::to_value(decision).unwrap()), (index, answer["decision"].clone()));
        let then: LogProof = receipt["proof"].as_str().unwrap().parse().unwrap();
        let seen = then.check(leaf, &log_key, &[], 0).unwrap();
        let now = evidence::prove(&gallery, index).unwrap();
        let size = now.check(leaf, &log_key, &[], 0).unwrap().size;
        assert!(seen.size <= size, "what was signed is gone");
    }
    told(&format!("receipts: {} answers held after {kills} kills, all in the log and proven", held.len()));
}
