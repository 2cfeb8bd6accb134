//! Laws of thresholds that are asked for as an error rate.

use super::*;
use crate::{
    authority::{Reach, Rights, VerbName},
    calibrate::{self, CalibrateError},
    decision::Decision,
    event::What,
    jobs,
    law::{Allowance, Nation},
    retire,
};
use matcher::{calibration::CalibrationError, rates::Fpir};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// A face in a random direction.
fn face(number: u64) -> [f32; DIMENSION] {
    let mut chance = ChaCha8Rng::seed_from_u64(number);
    let mut even = || f64::from(chance.next_u32()) / f64::from(u32::MAX);
    std::array::from_fn(|_| ((0..12).map(|_| even()).sum::<f64>() - 6.0) as f32)
}

/// With a list that names an FPIR and no threshold, and people on it.
fn house(people: u64) -> House {
    let mut house = House::build();
    let policy = Policy { threshold: Threshold::LOWEST, fpir: Some(fpir(0.05)), ..policy("by rate") };
    let (list, _) = publish::create_watchlist(&house.gallery, &utopia(), policy, None).unwrap();
    house.list = list.id;
    for number in 0..people {
        house.enrol(&format!("p{number}"), face(number)).unwrap();
    }
    house
}

fn fpir(value: f64) -> Fpir {
    Fpir::new(value).unwrap()
}

fn asking(house: &House, stricter: Stricter, number: u64) -> Result<LookupAnswer, LookupError> {
    let request = LookupRequest { stricter, ..house.request(face(number)) };
    house.ask(&utopia(), request, None).map(|(answer, _)| answer)
}

#[test]
fn an_fpir_is_a_threshold_by_the_calibration_that_the_certificate_names() {
    let house = house(500);
    let plain = Stricter::default();
    assert!(
        matches!(asking(&house, plain, 1), Err(LookupError::Uncalibrated(_))),
        "nothing is searched without"
    );
    let made = calibrate::calibrate(&house.gallery, &utopia(), None, |_| true).unwrap().remove(0);
    let told = made.calibrated.calibration.threshold(fpir(0.05), 500).unwrap();
    let answer = asking(&house, plain, 1).unwrap();
    let searched = &answer.certificate.watchlists[0];
    assert_eq!((answer.decision, answer.certificate.calibration), (Decision::Hit, Some(made.calibrated.id)));
    assert_eq!((searched.threshold, searched.fpir), (told.threshold, Some(told)));
    // As many strangers are stopped, about.
    let stopped =
        (0..1000).filter(|stranger| asking(&house, plain, 10_000 + stranger).unwrap().total > 0).count();
    assert!((20..110).contains(&stopped), "{stopped} of a thousand at 5 %");
    // A caller may be stricter, never looser, and not beyond what is known.
    let rate = |value| Stricter { fpir: Some(fpir(value)), threshold: None };
    let stricter = asking(&house, rate(0.01), 1).unwrap().certificate.watchlists[0].clone();
    assert!(stricter.threshold > told.threshold && stricter.fpir.unwrap().fpir < 0.0101, "{stricter:?}");
    assert!(matches!(asking(&house, rate(0.2), 1), Err(LookupError::Looser { index: 0, .. })));
    assert!(matches!(asking(&house, rate(1e-6), 1), Err(LookupError::Beyond(_))));
    let both = Stricter { fpir: Some(fpir(0.04)), threshold: Threshold::new(0.995).ok() };
    let both = asking(&house, both, 1).unwrap().certificate.watchlists[0].threshold;
    assert!((both - 0.995).abs() < 1e-6, "the stricter of the two");
    let id = made.calibrated.id;
    assert!(house.events().iter().any(
        |event| matches!(&event.what, What::Calibrate { calibration, references: 500, .. } if *calibration == id)
    ));
    // Another one takes its place, and a restart finds the newest.
    let newer = calibrate::calibrate(&house.gallery, &utopia(), Some(&model()), |_| true).unwrap().remove(0);
    let house = house.reopen();
    assert_eq!(asking(&house, plain, 1).unwrap().certificate.calibration, Some(newer.calibrated.id));
}

#[test]
fn what_a_score_means_is_told_to_who_sees_scores() {
    let house = house(300);
    calibrate::calibrate(&house.gallery, &utopia(), None, |_| true).unwrap();
    let seen = |allowances: &[Allowance]| {
        let nation: Nation = "UTO".parse().unwrap();
        let rights = Rights {
            verbs: [VerbName::Lookup].into(),
            watchlists: Reach::Own,
            purposes: [Purpose::BorderControl].into(),
            allowances: allowances.iter().copied().collect(),
            searches_per_hour: 1000,
        };
        let caller = Caller { rights, ..Caller::administrator("gate".parse().unwrap(), nation) };
        house.ask(&caller, house.request(face(7)), None).unwrap().0.candidates[0].seen.clone().unwrap()
    };
    let with = seen(&[Allowance::RawProbes, Allowance::Scores]);
    assert!(
        with.meaning.unwrap().false_match_rate < 1e-2 && with.meaning.unwrap().likelihood_ratio.is_none()
    );
    let without = seen(&[Allowance::RawProbes]);
    assert!(without.meaning.is_none() && matches!(without.likeness, Likeness::Band(_)), "{without:?}");
}

#[test]
fn too_few_people_tell_nothing_and_who_is_off_every_list_does_not_count() {
    let house = house(230);
    let calibrated = || calibrate::calibrate(&house.gallery, &utopia(), None, |_| true);
    let probes = calibrated().unwrap()[0].calibrated.calibration.probes;
    assert_eq!(probes, 230);
    for number in 0..40 {
        let subject = house.look(face(number)).candidates[0].seen.as_ref().unwrap().subject;
        retire::retire(&house.gallery, &utopia(), subject, None).unwrap();
    }
    let few = calibrated().unwrap_err();
    assert!(matches!(few, CalibrateError::Fit { error: CalibrationError::TooFew(190), .. }), "{few}");
    let ended = calibrate::calibrate(&house.gallery, &utopia(), None, |_| false).unwrap_err();
    assert!(matches!(ended, CalibrateError::Ended));
    let unknown =
        calibrate::calibrate(&house.gallery, &utopia(), Some(&ModelId::new("other").unwrap()), |_| true);
    assert!(matches!(unknown.unwrap_err(), CalibrateError::Model(_)));
}

#[test]
fn a_calibration_of_elsewhere_may_be_brought_along_and_only_of_a_known_model() {
    let measured = house(300);
    let made = calibrate::calibrate(&measured.gallery, &utopia(), None, |_| true).unwrap().remove(0);
    let elsewhere = made.calibrated.calibration.clone();
    let house = house(5);
    let brought = calibrate::import(&house.gallery, &utopia(), &elsewhere).unwrap();
    assert_eq!(asking(&house, Stricter::default(), 1).unwrap().certificate.calibration, Some(brought.id));
    assert_eq!(calibrate::list(&house.gallery, &utopia()).unwrap().len(), 1);
    let mut other = elsewhere.clone();
    other.model = ModelId::new("other").unwrap();
    assert!(matches!(calibrate::import(&house.gallery, &utopia(), &other), Err(CalibrateError::Model(_))));
    let mut bad = elsewhere;
    bad.probes = 3;
    assert!(matches!(calibrate::import(&house.gallery, &utopia(), &bad), Err(CalibrateError::Unsound)));
}

#[test]
fn a_node_measures_by_itself_when_a_tenth_more_is_there_and_does_not_try_in_vain_again() {
    let mut house = house(1000);
    let gallery = Arc::new(house.gallery);
    let wait = || {
        jobs::keep_calibrated(&gallery).unwrap();
        let began = std::time::Instant::now();
        let running = || jobs::list(&gallery, &utopia()).unwrap().iter().any(|job| job.ended_at.is_none());
        while running() {
            assert!(began.elapsed().as_secs() < 60, "the job does not end");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        jobs::list(&gallery, &utopia()).unwrap().len()
    };
    assert_eq!((wait(), wait()), (1, 1), "nothing has changed");
    let first = calibrate::list(&gallery, &utopia()).unwrap().remove(0);
    assert_eq!(first.calibration.references, 1000);
    jobs::halt(&gallery);
    house.gallery = Arc::into_inner(gallery).unwrap();
    for number in 1000..1110 {
        house.enrol(&format!("p{number}"), face(number)).unwrap();
    }
    assert!(calibrate::is_due(&house.gallery), "a tenth more");
    house.gallery.running.tried.lock().unwrap().insert(model(), 1110);
    assert!(!calibrate::is_due(&house.gallery), "it was tried in vain");
}
