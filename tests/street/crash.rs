//! `kill -9` at random moments, while people are enrolled, retired and erased, generations built and backups made: nothing acknowledged is lost, nothing retired comes back, and the log and
//! the record agree.

use gallery::{Gallery, Setup, ambient::Ambient, event::What, evidence, keys::root::RootKey};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tests::{
    clients::{Clients, End, Person, check, end_of, rebuild_until},
    *,
};

#[test]
fn fifty_kills_lose_nothing_acknowledged_and_revive_nobody_retired_or_erased() {
    let kills: u64 = std::env::var("LIMEN_KILLS").map_or(50, |kills| kills.parse().unwrap());
    let (site, away) = (Site::found(), tempfile::tempdir().unwrap());
    let anchor = away.path().join("anchor");
    let anchor = anchor.to_str().unwrap();
    index(site.folder.path(), &["anchor", "--anchor", anchor]);
    let (backups, keys) = (away.path().join("backups"), away.path().join("keys"));
    [&backups, &keys].into_iter().for_each(|folder| std::fs::create_dir(folder).unwrap());
    let mut chance = ChaCha8Rng::seed_from_u64(9);
    let clients = Clients::default();
    let mut begun = 1;
    for kill in 0..=kills {
        let environment = [
            ("LIMEN_SERVE_ANCHOR", anchor),
            ("LIMEN_SERVE_INSECURE_UNLIMITED_SEARCHES", "true"),
            ("LIMEN_SERVE_BACKUP_FOLDER", backups.to_str().unwrap()),
            ("LIMEN_SERVE_BACKUP_KEYS_FOLDER", keys.to_str().unwrap()),
        ];
        let mut server = Server::start(site.folder.path(), &environment);
        let now = clients.count() + 1;
        check(&server, &site, &clients.known(), begun..now);
        check(&server, &site, &clients.known(), (0..20).map(|_| 1 + chance.next_u64() % now));
        clients.repeat_unanswered(&server.actor(&site.clerk), &site.list, begun);
        check(&server, &site, &clients.known(), begun..now);
        begun = now;
        if kill == kills {
            check(&server, &site, &clients.known(), 1..now);
            assert!(server.terminate());
            break;
        }
        let stop = AtomicBool::new(false);
        let pause = Duration::from_millis(5 + chance.next_u64() % 120);
        // Shared by the writers while it runs, and killed under them.
        let id = server.process();
        std::thread::scope(|scope| {
            clients.write_until(scope, 4, &server, &site, &stop);
            scope.spawn(|| rebuild_until(&server, &site, &stop));
            std::thread::sleep(pause);
            kill_nine(id);
            stop.store(true, Ordering::Relaxed);
        });
        server.kill();
    }
    let known = Ends::of(&clients.known());
    let done = [known.enrolled.len(), 5 * known.retired.len(), 10 * known.erased.len()];
    assert!(
        done.iter().all(|done| *done > 4 * kills as usize),
        "too little was done between the kills: {done:?}"
    );
    record_and_log_agree(&site, Path::new(anchor), &known);
    backups_can_be_restored(&away.path().join("restored"), &backups, &keys);
}

/// Those of jobs that are done; a job that was interrupted is done by the next server.
fn backups_can_be_restored(folder: &Path, backups: &Path, keys: &Path) {
    let names = std::fs::read_dir(backups).unwrap().map(|entry| entry.unwrap().file_name());
    let whole = names.filter(|name| backups.join(name).join("backup.json").is_file()).max();
    let name = whole.expect("no backup was made between the kills");
    let (from, keys) = (backups.join(&name), keys.join(&name));
    index(folder, &["restore", "--from", from.to_str().unwrap(), "--keys", keys.to_str().unwrap()]);
    assert!(index(folder, &["verify-store"]).contains("check  "));
}

/// Whom the clients know to be enrolled, and retired or erased since.
struct Ends {
    enrolled: BTreeSet<String>,
    retired: BTreeSet<String>,
    erased: BTreeSet<String>,
}

impl Ends {
    fn of(known: &BTreeMap<u64, Person>) -> Self {
        let ids = |end: Option<End>| {
            let is = |number: u64, person: &Person, end| person.ended.is_some() && end_of(number) == end;
            let theirs = known.iter().filter(|(n, person)| end.is_none_or(|end| is(**n, person, end)));
            theirs.map(|(_, person)| person.id.clone().unwrap()).collect()
        };
        Self { enrolled: ids(None), retired: ids(Some(End::Retired)), erased: ids(Some(End::Erased)) }
    }
}

fn record_and_log_agree(site: &Site, anchor: &Path, known: &Ends) {
    let root = RootKey::find(site.folder.path(), Some(ROOT_KEY), None).unwrap();
    let setup = Setup { anchor: Some(anchor.to_owned()), ..Setup::new(root, 1) };
    let gallery = Gallery::open(site.folder.path(), setup, Ambient::system()).unwrap();
    gallery.check().unwrap();
    let status = gallery.status().unwrap();
    assert_eq!(
        status.subjects + status.retired + status.erased,
        known.enrolled.len() as u64,
        "each reference made one subject"
    );
    assert_eq!((status.retired, status.erased), (known.retired.len() as u64, known.erased.len() as u64));
    let [mut enrolled, mut retired, mut erased, mut ordered] = [(); 4].map(|()| BTreeSet::new());
    let (mut leaves, mut read) = (0, 0);
    evidence::each_event(&gallery, |index, event| {
        (leaves, read) = (index + 1, read + 1);
        match event.what {
            What::Enrol { enrolled: one, .. } => assert!(enrolled.insert(one.subject.to_string())),
            What::Retire { subject } => assert!(retired.insert(subject.to_string())),
            What::OrderErasure { subject } => assert!(ordered.insert(subject.to_string())),
            What::Erase { subject } => assert!(erased.insert(subject.to_string())),
            _ => (),
        }
    })
    .unwrap();
    assert_eq!(leaves, read, "an event cannot be read");
    assert_eq!(enrolled, known.enrolled);
    assert_eq!(retired, known.retired);
    assert_eq!((&ordered, &erased), (&known.erased, &known.erased));
}
