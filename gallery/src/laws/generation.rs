//! Laws of generations on disk.

use super::*;
use crate::{
    decision::Decision,
    erase,
    id::GenerationId,
    job::{Job, Kind, Stage, State},
    jobs,
    rebuild::{self, RebuildError},
    retire,
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicUsize},
};

fn face(n: u64) -> [f32; DIMENSION] {
    let mut chance = ChaCha8Rng::seed_from_u64(n);
    std::array::from_fn(|_| chance.next_u32() as f32 / u32::MAX as f32 - 0.5)
}

fn enrol(house: &House, numbers: std::ops::Range<u64>) -> Vec<SubjectId> {
    numbers.map(|n| house.enrol(&format!("p{n}"), face(n)).unwrap()).collect()
}

/// Many in one batch.
fn fill(house: &House, numbers: std::ops::Range<u64>) {
    let row = |n| crate::enrol_batch::BulkRow {
        subject: format!("p{n}").parse().unwrap(),
        encounter: "e".parse().unwrap(),
        watchlist: house.list,
        listing: Listing::plain(Category::Wanted),
        features: face(n).to_vec(),
        quality: None,
    };
    crate::enrol_batch::enrol_batch(&house.gallery, &utopia(), numbers.map(row).collect()).unwrap();
}

fn answers(house: &House, numbers: impl Iterator<Item = u64>) -> Vec<Vec<(SubjectId, u32)>> {
    let answer =
        |n| house.look(face(n)).candidates.iter().map(|c| (seen(c).0, seen(c).2.to_bits())).collect();
    numbers.map(answer).collect()
}

/// Is this subject the best candidate for its own features?
fn finds(house: &House, n: u64, subject: SubjectId) -> bool {
    house.look(face(n)).candidates.first().is_some_and(|candidate| seen(candidate).0 == subject)
}

fn rebuilt(house: &House) -> GenerationId {
    rebuild::rebuild(&house.gallery, &utopia(), |_| true).unwrap().id
}

fn searched(house: &House) -> GenerationId {
    house.gallery.current.load().generation
}

fn generation_files(house: &House) -> Vec<PathBuf> {
    let folder = house.folder.path().join("generations");
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match fs::read_dir(entry.path()) {
            Ok(inner) => files.extend(inner.map(|entry| entry.unwrap().path())),
            Err(_) => files.push(entry.path()),
        }
    }
    files.sort();
    files
}

#[test]
fn a_generation_gives_the_answers_of_the_record_with_all_that_came_since_and_after_a_restart() {
    let mut house = House::build();
    fill(&house, 0..3000);
    let singles = enrol(&house, 3000..3010);
    let before = answers(&house, (0..60).chain(2990..3020));
    let id = rebuilt(&house);
    assert_eq!(searched(&house), id);
    assert_eq!(answers(&house, (0..60).chain(2990..3020)), before);
    // What comes after the build: enrolled, retired, erased, restricted.
    let later = enrol(&house, 3010..3020);
    retire::retire(&house.gallery, &utopia(), singles[0], None).unwrap();
    retire::retire(&house.gallery, &utopia(), later[0], None).unwrap();
    erase::erase(&house.gallery, &utopia(), singles[1], None).unwrap();
    erase::erase(&house.gallery, &utopia(), later[1], None).unwrap();
    crate::restrict::restrict(&house.gallery, &utopia(), singles[2], None).unwrap();
    let after = answers(&house, (0..60).chain(2990..3020));
    assert_ne!(after, before);
    for _ in 0..2 {
        house = house.reopen();
        assert!(house.gallery.unused_generation().is_none());
        assert_eq!(searched(&house), id, "the restart opened it");
        assert_eq!(answers(&house, (0..60).chain(2990..3020)), after);
        house.gallery.check().unwrap();
    }
    let gone =
        [(3000, singles[0]), (3001, singles[1]), (3002, singles[2]), (3010, later[0]), (3011, later[1])];
    for (n, subject) in gone {
        assert!(!finds(&house, n, subject), "{n}");
    }
    crate::restrict::lift(&house.gallery, &utopia(), singles[2], None).unwrap();
    let house = house.reopen();
    assert!(finds(&house, 3002, singles[2]));
}

#[test]
fn a_damaged_generation_is_not_searched_and_is_built_anew() {
    let mut house = House::build();
    fill(&house, 0..2000);
    rebuilt(&house);
    let before = answers(&house, 0..20);
    let mut chance = ChaCha8Rng::seed_from_u64(1);
    for path in generation_files(&house) {
        let whole = fs::read(&path).unwrap();
        for cut in [true, false] {
            let (clock, list, folder) = (Arc::clone(&house.clock), house.list, house.folder);
            drop(house.gallery);
            let mut bytes = whole.clone();
            let at = (chance.next_u32() as usize) % bytes.len();
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 1 << (chance.next_u32() % 8);
            }
            fs::write(&path, &bytes).unwrap();
            house = House { gallery: open(folder.path(), &clock).unwrap(), clock, list, folder };
            let told = house.gallery.unused_generation().is_some();
            let checked = house.gallery.check().is_err();
            // A lookup that needs a damaged row says so; it is never wrong.
            for (n, before) in (0..).zip(&before) {
                let answer = house.look(face(n));
                let same: Vec<_> =
                    answer.candidates.iter().map(|c| (seen(c).0, seen(c).2.to_bits())).collect();
                assert!(answer.decision == Decision::Inconclusive || same == *before, "{path:?}");
            }
            let harmless = path.ends_with("current");
            assert!(told || checked || harmless, "{path:?} cut {cut} at {at}");
            fs::write(&path, &whole).unwrap();
        }
    }
    fs::write(generation_files(&house).pop().unwrap(), "x").unwrap();
    let house = house.reopen();
    let House { gallery, clock, list, folder } = house;
    let gallery = Arc::new(gallery);
    jobs::resume(&gallery).unwrap();
    let ended = wait_for_jobs(&gallery);
    assert_eq!((ended[0].kind, ended[0].state), (Kind::Rebuild, State::Done));
    let house = House { gallery: Arc::into_inner(gallery).unwrap(), clock, list, folder };
    let id = searched(&house);
    let house = house.reopen();
    assert!(house.gallery.unused_generation().is_none());
    assert_eq!((searched(&house), answers(&house, 0..20)), (id, before));
    house.gallery.check().unwrap();
}

fn wait_for_jobs(gallery: &Gallery) -> Vec<Job> {
    let began = std::time::Instant::now();
    loop {
        let all = jobs::list(gallery, &utopia()).unwrap();
        if all.iter().all(|job| job.state != State::Running) {
            jobs::halt(gallery); // so that no thread holds the gallery
            return all;
        }
        assert!(began.elapsed().as_secs() < 60, "the job does not end");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_job_that_a_stop_interrupts_is_begun_again_and_a_cancelled_one_is_not() {
    let house = House::build();
    fill(&house, 0..9000);
    let House { gallery, clock, list, folder } = house;
    let mut gallery = Arc::new(gallery);
    let (id, receipt) = jobs::start(&gallery, &utopia(), Kind::Rebuild, key("j", 1)).unwrap();
    assert_eq!(jobs::start(&gallery, &utopia(), Kind::Rebuild, key("j", 1)).unwrap(), (id, receipt));
    jobs::halt(&gallery);
    let interrupted = jobs::read(&gallery, &utopia(), id).unwrap().state;
    if interrupted == State::Running {
        drop(Arc::into_inner(gallery).unwrap());
        gallery = Arc::new(open(folder.path(), &clock).unwrap());
        jobs::resume(&gallery).unwrap();
    }
    assert_eq!(wait_for_jobs(&gallery)[0].state, State::Done);
    drop(Arc::into_inner(gallery).unwrap());
    let gallery = Arc::new(open(folder.path(), &clock).unwrap());
    let (id, _) = jobs::start(&gallery, &utopia(), Kind::Rebuild, None).unwrap();
    match jobs::cancel(&gallery, &utopia(), id) {
        Ok(()) | Err(jobs::JobError::Ended) => (),
        Err(error) => panic!("{error}"),
    }
    wait_for_jobs(&gallery);
    let job = jobs::read(&gallery, &utopia(), id).unwrap();
    assert!(job.id == id && job.state != State::Failed && job.outcome.is_some(), "{job:?}");
    assert!(matches!(jobs::cancel(&gallery, &utopia(), id), Err(jobs::JobError::Ended)));
    drop(Arc::into_inner(gallery).unwrap());
    let _ = list;
}

#[test]
fn one_command_goes_back_to_the_generation_before() {
    let mut house = House::build();
    enrol(&house, 0..50);
    assert!(matches!(rebuild::rollback(&house.gallery, &utopia()), Err(RebuildError::NoFormer)));
    let first = rebuilt(&house);
    assert!(matches!(rebuild::rollback(&house.gallery, &utopia()), Err(RebuildError::NoFormer)));
    enrol(&house, 50..60);
    let second = rebuilt(&house);
    let before = answers(&house, 0..60);
    for expected in [first, second, first] {
        assert_eq!(rebuild::rollback(&house.gallery, &utopia()).unwrap().id, expected);
        assert_eq!((searched(&house), answers(&house, 0..60)), (expected, before.clone()));
        house = house.reopen();
        assert_eq!((searched(&house), answers(&house, 0..60)), (expected, before.clone()));
    }
    let third = rebuilt(&house);
    let there: Vec<_> = rebuild::generations(&house.gallery)
        .unwrap()
        .iter()
        .map(|g| (g.id, g.references, g.current))
        .collect();
    assert_eq!(there, [(first, 50, false), (third, 60, true)], "the one before stays, older ones go");
    let missing = rebuild::activate(&house.gallery, &utopia(), second);
    assert!(matches!(missing, Err(RebuildError::Generation(_))));
}

#[test]
fn a_build_that_is_ended_at_any_stage_leaves_what_was_searched() {
    let house = House::build();
    fill(&house, 0..9000);
    let first = rebuilt(&house);
    let before = answers(&house, 0..5);
    for ended in [Stage::Reading, Stage::Coding, Stage::Comparing] {
        let error = rebuild::rebuild(&house.gallery, &utopia(), |progress| {
            assert!(progress.done <= progress.total);
            progress.stage != ended
        });
        assert!(matches!(error, Err(RebuildError::Build(_))), "{ended:?}: {error:?}");
        assert_eq!((searched(&house), answers(&house, 0..5)), (first, before.clone()));
    }
    let second = rebuilt(&house);
    assert_eq!(rebuild::generations(&house.gallery).unwrap().len(), 2);
    let house = house.reopen();
    assert_eq!((searched(&house), answers(&house, 0..5)), (second, before));
}

#[test]
fn what_is_enrolled_and_erased_while_a_generation_is_put_in_place_is_neither_lost_nor_revived() {
    let house = House::build();
    fill(&house, 0..2000);
    let (done, worked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (enrolled, erased) = std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let (mut enrolled, mut erased) = (Vec::new(), Vec::new());
            for n in 10_000.. {
                worked.fetch_add(1, Ordering::SeqCst);
                if done.load(Ordering::SeqCst) {
                    break;
                }
                let subject = house.enrol(&format!("p{n}"), face(n)).unwrap();
                if n % 3 == 0 {
                    erase::erase(&house.gallery, &utopia(), subject, None).unwrap();
                    erased.push((n, subject));
                } else {
                    enrolled.push((n, subject));
                }
                assert_eq!(finds(&house, n, subject), n % 3 != 0);
            }
            (enrolled, erased)
        });
        // On a busy machine more than five, until enough was done meanwhile.
        let more = |built: &usize| *built < 5 || (worked.load(Ordering::SeqCst) < 30 && !work.is_finished());
        let build = |_| rebuild::rebuild(&house.gallery, &utopia(), |_| true);
        let built: Vec<_> = (0..1000).take_while(more).map(build).collect();
        done.store(true, Ordering::SeqCst); // before anything can fail
        for built in built {
            built.unwrap();
        }
        work.join().unwrap()
    });
    assert!(enrolled.len() > 10 && erased.len() > 5);
    let right = |house: &House| {
        for (n, subject) in &enrolled {
            assert!(finds(house, *n, *subject));
        }
        erased.iter().for_each(|(n, subject)| assert!(!finds(house, *n, *subject)));
        house.gallery.check().unwrap();
    };
    right(&house);
    right(&house.reopen());
}

#[test]
fn nothing_of_an_erased_subject_is_left_in_any_generation() {
    let house = House::build();
    let subjects = enrol(&house, 0..40);
    rebuilt(&house);
    rebuilt(&house);
    let names = |house: &House| -> Vec<_> {
        let files = generation_files(house).into_iter();
        files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("piece")).collect()
    };
    let before: Vec<_> = names(&house).iter().map(|path| fs::read(path).unwrap()).collect();
    assert_eq!(before.len(), 2);
    erase::erase(&house.gallery, &utopia(), subjects[7], None).unwrap();
    for path in names(&house) {
        assert!(path.extension().is_some_and(|version| version == "1"), "{path:?}");
        let rows = fs::read(path.with_file_name("rows-0")).unwrap();
        let stride = rows.len() / 40;
        let blank = |n: usize| rows[n * stride..(n + 1) * stride].iter().all(|byte| *byte == 0);
        assert!((0..40).all(|n| blank(n) == (n == 7)));
    }
    house.gallery.check().unwrap();
    let house = house.reopen();
    assert!(house.gallery.unused_generation().is_none());
    assert!(!finds(&house, 7, subjects[7]));
    let found = answers(&house, (0..40).filter(|n| *n != 7));
    assert!(found.iter().all(|candidates| !candidates.is_empty()));
    rebuild::rollback(&house.gallery, &utopia()).unwrap();
    assert!(!finds(&house, 7, subjects[7]));
    assert_eq!(answers(&house, (0..40).filter(|n| *n != 7)), found);
}
