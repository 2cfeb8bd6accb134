//! Bits rot and files are cut: in any file of a data folder and beside it. Each is found when the folder is opened, read or
//! checked, or changes no record and no answer; no answer is ever wrong.

use gallery::decision::{Decision, LookupAnswer};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tests::{
    clients::{Clients, Person},
    disk::{Disk, Image},
    in_process::Opened,
    *,
};

/// What is wrong with one file.
#[derive(Clone, Debug)]
enum Damage {
    Flip { file: String, bit: usize },
    Cut { file: String, length: usize },
}

/// A folder that a killed server left, and what it says.
struct Scene {
    site: Site,
    known: BTreeMap<u64, Person>,
    image: Image,
    answers: BTreeMap<u64, String>,
    record: Vec<String>,
}

#[test]
fn no_rotten_bit_and_no_cut_file_makes_an_answer_wrong() {
    let count = |name: &str| std::env::var(name).map_or(50, |count| count.parse().unwrap());
    let scene = scene();
    let mut chance = ChaCha8Rng::seed_from_u64(8);
    let flips = (0..count("LIMEN_FLIPS")).map(|_| draw(&scene.image, &mut chance, true)).collect::<Vec<_>>();
    let cuts = (0..count("LIMEN_CUTS")).map(|_| draw(&scene.image, &mut chance, false));
    let damages: Vec<Damage> = flips.into_iter().chain(cuts).collect();
    let (next, tally) = (AtomicUsize::new(0), Mutex::new(BTreeMap::<&str, usize>::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(damage) = damages.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = std::panic::catch_unwind(|| found(&scene, damage));
                    if found.is_err() {
                        told(&format!("by {damage:?}"));
                    }
                    *tally.lock().unwrap().entry(found.unwrap_or("wrong")).or_default() += 1;
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap();
    told(&format!("{} damages: {tally:?}", damages.len()));
    assert!(!tally.contains_key("wrong"), "what was wrong is told above");
}

/// People enrolled, retired and erased, two generations, and a server that was killed: its log of changes is not merged.
fn scene() -> Scene {
    let (site, clients) = (Site::found(), Clients::default());
    let place = site.folder.path().parent().unwrap().to_owned();
    let anchor = place.join("anchor").to_str().unwrap().to_owned();
    index(site.folder.path(), &["anchor", "--anchor", &anchor]);
    let server = Server::start(site.folder.path(), &[("LIMEN_SERVE_ANCHOR", &anchor)]);
    let clerk = server.actor(&site.clerk);
    let refused = |answer: &Answer| panic!("{answer:?}");
    for _ in 0..3 {
        (0..15).for_each(|_| assert!(clients.write_one(&clerk, &site.list, refused)));
        let keeper = server.actor(&site.keeper);
        let begun = keeper.try_send("POST", "/v1/generations", None, &[]).unwrap().expect(202);
        keeper.events(&format!("/v1/jobs/{}", begun["job"].as_str().unwrap()));
    }
    (0..5).for_each(|_| assert!(clients.write_one(&clerk, &site.list, refused)));
    kill_nine(server.process());
    server.wait();
    let (image, known) = (Disk::of(&place).live(), clients.known());
    let undamaged = in_memory();
    image.write(undamaged.path());
    let opened = Opened::at(undamaged.path(), &site).unwrap_or_else(|error| panic!("{error:?}"));
    let answers = opened.look_up(&site.list, known.keys());
    let answers = answers.into_iter().map(|(number, answer)| (number, brief(&answer.unwrap()))).collect();
    let record = opened.record(&known);
    opened.gallery.check().unwrap();
    Scene { site, known, image, answers, record }
}

/// Half of the time each file is as likely as another, half of the time each byte.
fn draw(image: &Image, chance: &mut ChaCha8Rng, flip: bool) -> Damage {
    let files: Vec<(&String, usize)> = image
        .files()
        .iter()
        .map(|(name, bytes)| (name, bytes.len()))
        .filter(|(_, length)| *length > 0)
        .collect();
    let mut draw = |below: usize| chance.next_u64() as usize % below;
    let (file, length) = if draw(2) == 0 {
        files[draw(files.len())]
    } else {
        let mut at = draw(files.iter().map(|(_, length)| length).sum());
        *files.iter().find(|(_, length)| at.checked_sub(*length).map(|left| at = left).is_none()).unwrap()
    };
    let file = file.clone();
    if flip {
        Damage::Flip { file, bit: draw(8 * length) }
    } else {
        Damage::Cut { file, length: draw(length) }
    }
}

/// Where it is found.
fn found(scene: &Scene, damage: &Damage) -> &'static str {
    let place = in_memory();
    scene.image.write(place.path());
    let path = |file: &str| place.path().join(file);
    match damage {
        Damage::Flip { file, bit } => {
            let mut bytes = scene.image.files()[file].clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(path(file), bytes).unwrap();
        }
        Damage::Cut { file, length } => {
            let file = std::fs::OpenOptions::new().write(true).open(path(file)).unwrap();
            file.set_len(*length as u64).unwrap();
        }
    }
    let Ok(opened) = Opened::at(place.path(), &scene.site) else { return "found when opened" };
    let unused = opened.gallery.unused_generation().is_some();
    let mut unanswered = false;
    for (number, answer) in opened.look_up(&scene.site.list, scene.known.keys()) {
        match answer {
            Ok(answer) if answer.decision == Decision::Inconclusive => unanswered = true,
            Ok(answer) => assert_eq!(brief(&answer), scene.answers[&number], "a wrong answer"),
            Err(_) => unanswered = true,
        }
    }
    let record = opened.record(&scene.known);
    match opened.gallery.check() {
        _ if unused => "found when opened, and replaced",
        _ if unanswered => "found when read",
        Err(_) => "found when checked",
        Ok(()) => {
            assert!(record == scene.record, "another record, and nothing found it");
            "nothing changed"
        }
    }
}

/// What an answer says of people.
fn brief(answer: &LookupAnswer) -> String {
    format!("{:?} {:?}", answer.decision, answer.candidates)
}
