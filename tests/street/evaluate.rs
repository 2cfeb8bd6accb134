//! Evaluation and calibration at the command line, checked by an independent script.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use serde_json::Value;
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tests::*;

fn run(arguments: &[&str]) -> Output {
    Command::new(binary("limen-index")).args(arguments).output().unwrap()
}

fn done(arguments: &[&str]) -> String {
    let output = run(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "limen-index {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(2), "limen-index {arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn report(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("report.json")).unwrap()).unwrap()
}

/// Compares all rates of an evaluation with NumPy's; false where there is no NumPy.
fn numpy_agrees(folder: &Path) -> bool {
    let numpy = Command::new("python3").args(["-c", "import numpy"]).output();
    if !numpy.is_ok_and(|output| output.status.success()) {
        skipped("the rates of an evaluation", "no python3 with NumPy");
        return false;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("check_rates.py");
    let checked = Command::new("python3").arg(script).arg(folder).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    told(said.lines().next().unwrap_or_default());
    assert!(checked.status.success(), "{said}{}", String::from_utf8_lossy(&checked.stderr));
    true
}

/// The calibration's interval and that of the searches share a rate, or nearly so.
fn assert_agrees(one: &Value) {
    let number = |field: &Value| field.as_f64().unwrap();
    let realised = &one["realised"];
    let apart = [(&one["low"], &realised["high"]), (&realised["low"], &one["high"])]
        .map(|(low, high)| number(low) / number(high));
    assert!(apart.iter().all(|ratio| *ratio < 1.2), "{one}");
}

/// A matrix of these rows.
fn matrix(path: &Path, rows: &[Vec<f32>]) {
    let header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows.len(), rows[0].len());
    let header = format!("{header:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(rows.iter().flatten().flat_map(|x| x.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

/// People whose features are -1, 0 or 1, so that many scores are the same; some rows are no templates.
fn tied(folder: &Path) -> (PathBuf, PathBuf) {
    let mut chance = ChaCha8Rng::seed_from_u64(1);
    let mut labels = "row,subject,encounter,quality,region,sex\n".to_owned();
    let mut rows = Vec::new();
    let mut row = |person: u32, capture: u32, features: Vec<f32>| {
        let quality = if person.is_multiple_of(7) { String::new() } else { (person * 13 % 101).to_string() };
        let (region, sex) = (["north", "south", ""][person as usize % 3], ["f", "m"][person as usize % 2]);
        writeln!(labels, "{},\"p {person}\",{capture},{quality},{region},{sex}", rows.len()).unwrap();
        rows.push(features);
    };
    for person in 0..900 {
        let own: Vec<f32> = (0..24).map(|_| (chance.next_u32() % 3) as f32 - 1.0).collect();
        for capture in 0..=person % 4 {
            let changed =
                |x: &f32| if chance.next_u32() % 4 == 0 { (chance.next_u32() % 3) as f32 - 1.0 } else { *x };
            let features: Vec<f32> = own.iter().map(changed).collect();
            let no_template = if person % 2 == 0 { vec![0.0; 24] } else { vec![f32::NAN; 24] };
            // Of probes, and of some who were to be enrolled.
            let fails = (person % 100 == 50 && capture == 2) || (person % 100 == 51 && capture == 0);
            row(person, capture, if fails { no_template } else { features });
        }
    }
    row(1000, 0, vec![f32::INFINITY; 24]);
    let (templates, list) = (folder.join("tied.npy"), folder.join("tied.csv"));
    matrix(&templates, &rows);
    fs::write(&list, labels).unwrap();
    (templates, list)
}

#[test]
fn all_rates_are_those_of_numpy_also_where_scores_are_on_the_threshold() {
    let folder = tempfile::tempdir().unwrap();
    let (templates, labels) = tied(folder.path());
    let out = folder.path().join("out");
    let arguments = [
        "evaluate",
        "--templates",
        text(&templates),
        "--labels",
        text(&labels),
        "--out",
        text(&out),
        "--threshold",
        "0.5",
        "--threshold",
        "0.25",
    ];
    let said = done(&arguments);
    assert!(said.contains("not told") && said.contains("an order of magnitude"), "{said}");
    let told = report(&out);
    let counts = &told["counts"];
    assert!(
        counts["failed_searches"].as_u64() > Some(2) && counts["failed_enrolments"].as_u64() > Some(2),
        "{counts}"
    );
    assert_eq!(told["differentials"].as_array().unwrap().len(), 2);
    assert!(told["discarding"].as_array().unwrap().len() > 50);
    numpy_agrees(&out);
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.matches("<svg").count() >= 4 && !page.contains("http") && !page.contains("<script"));
    // Begun, and stopped at any byte: gone on with, it comes to the same.
    let whole = |name: &str| fs::read(out.join(name)).unwrap();
    let names = ["searches.csv", "candidates.log", "nonmated.f32", "report.json", "det.csv"];
    let before = names.map(whole);
    for (searches, candidates) in [(1, 1), (5000, 100_000), (20_000, 9), (before[0].len(), 50_000)] {
        fs::write(out.join("searches.csv"), &before[0][..searches]).unwrap();
        let part = whole("candidates.part");
        fs::write(out.join("candidates.part"), &part[..candidates.min(part.len())]).unwrap();
        done(&arguments);
        assert!(names.map(whole) == before, "cut after {searches} and {candidates} bytes");
    }
    // With other options it is another evaluation.
    assert!(refused(&[&arguments[..], &["--limit", "10"]].concat()).contains("take another folder"));
}

#[test]
fn real_templates_calibrated_on_half_of_the_people_hold_on_the_other_half() {
    let Some(shared) = shared() else {
        return skipped("calibration on real templates", "no shared test data (LIMEN_SHARED)");
    };
    let faces = shared.join("data/faces-sface-128");
    let (templates, labels) = (faces.join("templates.npy"), faces.join("labels.csv"));
    let folder = tempfile::tempdir().unwrap();
    let input = ["--templates", text(&templates), "--labels", text(&labels), "--own-mean"];
    for (half, other) in [("1/2", "2/2"), ("2/2", "1/2")] {
        let (calibration, out) =
            (folder.path().join("calibration.json"), folder.path().join(other.replace('/', "of")));
        let calibrate = ["calibrate", "--model", "sface", "--part", half, "--out", text(&calibration)];
        assert!(done(&[&calibrate[..], &input].concat()).contains("95 % interval"));
        let evaluate = [
            "evaluate",
            "--part",
            other,
            "--strangers",
            "0.5",
            "--calibration",
            text(&calibration),
            "--out",
            text(&out),
        ];
        let said = done(&[&evaluate[..], &input].concat());
        assert!(said.contains("not told"), "the set is too small for the least rates: {said}");
        let checked = report(&out)["calibration"].as_array().unwrap().clone();
        for one in checked.iter().take(3) {
            tests::told(&format!(
                "calibrated on {half} at FPIR {}: {} to {}; on {other} realised {} of {}, {} to {}",
                one["asked"],
                one["low"],
                one["high"],
                one["realised"]["count"],
                one["realised"]["of"],
                one["realised"]["low"],
                one["realised"]["high"]
            ));
            assert_agrees(one);
        }
        numpy_agrees(&out);
    }
}

#[test]
fn synthetic_people_are_drawn_evaluated_and_those_under_two_names_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (people, out, suspects, calibration) =
        (path("people"), path("out"), path("suspects.csv"), path("c.json"));
    let draw = [
        "imitate",
        "--people",
        "6000",
        "--captures",
        "2",
        "--mated",
        "700",
        "--nonmated",
        "3000",
        "--duplicates",
        "0.02",
        "--dimension",
        "256",
    ];
    let said = done(&[&draw[..], &["--out", text(&people)]].concat());
    assert!(said.contains("6000 people") && said.contains("related pairs"), "{said}");
    let (templates, labels) = (people.join("templates.npy"), people.join("labels.csv"));
    let input = ["--templates", text(&templates), "--labels", text(&labels)];
    let calibrate =
        ["calibrate", "--model", "drawn", "--out", text(&calibration), "--suspects", text(&suspects)];
    done(&[&calibrate[..], &input].concat());
    let lines = |path: &Path| {
        let pair = |line: &str| {
            let mut names: Vec<String> = line.split(',').take(2).map(|name| name.replace('"', "")).collect();
            names.sort();
            (names, line.rsplit(',').next().unwrap().to_owned())
        };
        fs::read_to_string(path).unwrap().lines().skip(1).map(pair).collect::<Vec<_>>()
    };
    let reported = lines(&suspects);
    let same: Vec<_> =
        lines(&people.join("relations.csv")).into_iter().filter(|(_, relation)| relation == "same").collect();
    let found = same.iter().filter(|(pair, _)| reported.iter().any(|(names, _)| names == pair)).count();
    tests::told(&format!("calibration: {found} of {} people under two names were reported", same.len()));
    assert!(same.len() > 30 && found * 100 >= same.len() * 95);
    let (probes, list) = (people.join("probes.npy"), people.join("probe_labels.csv"));
    let probing = [
        "evaluate",
        "--probes",
        text(&probes),
        "--probe-labels",
        text(&list),
        "--calibration",
        text(&calibration),
        "--out",
        text(&out),
    ];
    done(&[&probing[..], &input].concat());
    let told = report(&out);
    assert_eq!(
        (told["counts"]["mated"].as_u64(), told["counts"]["nonmated"].as_u64()),
        (Some(700), Some(3000))
    );
    told["calibration"].as_array().unwrap().iter().take(3).for_each(assert_agrees);
    assert!(told["sizes"].as_array().unwrap().len() > 5);
    numpy_agrees(&out);
}

#[test]
fn two_evaluations_are_compared_and_quality_is_held_against_misses() {
    let folder = tempfile::tempdir().unwrap();
    let (templates, labels) = tied(folder.path());
    let path = |name: &str| folder.path().join(name);
    let (plain, centred, out) = (path("plain"), path("centred"), path("compared"));
    let input = ["evaluate", "--templates", text(&templates), "--labels", text(&labels)];
    done(&[&input[..], &["--out", text(&plain)]].concat());
    done(&[&input[..], &["--own-mean", "--out", text(&centred)]].concat());
    let said = done(&["compare", text(&plain), text(&centred), "--out", text(&out)]);
    let told: Value = serde_json::from_slice(&fs::read(out.join("compare.json")).unwrap()).unwrap();
    let (before, after) = (report(&plain), report(&centred));
    for (at, change) in told["changes"].as_array().unwrap().iter().enumerate() {
        assert_eq!(change["fnir"][0], before["at"][at]["fnir"], "{said}");
        assert_eq!(change["fnir"][1], after["at"][at]["fnir"], "{said}");
        // Who is found by one only makes the difference.
        let count = |which: usize| change["fnir"][which]["count"].as_i64().unwrap();
        let only = |which: usize| change["only"][which].as_i64().unwrap();
        assert_eq!(count(1) - count(0), only(0) - only(1), "{change}");
    }
    let groups = told["groups"].as_object().unwrap();
    assert_eq!(groups.keys().collect::<Vec<_>>(), ["region: north", "region: south", "sex: f", "sex: m"]);
    let usual = &told["changes"][2];
    assert_eq!(usual["fpir"], 0.01);
    let changed = fs::read_to_string(out.join("changes.csv")).unwrap();
    let mates = changed.lines().filter(|line| line.contains(",mated,")).count() as u64;
    assert_eq!(mates, usual["only"][0].as_u64().unwrap() + usual["only"][1].as_u64().unwrap());
    // With itself nothing changes, and with another set nothing is compared.
    done(&["compare", text(&plain), text(&plain), "--out", text(&out)]);
    assert_eq!(fs::read_to_string(out.join("changes.csv")).unwrap().lines().count(), 1);
    let other = path("other");
    done(&[&input[..], &["--seed", "2", "--out", text(&other)]].concat());
    assert!(
        refused(&["compare", text(&plain), text(&other), "--out", text(&out)]).contains("different searches")
    );

    done(&["quality", text(&plain)]);
    let curve = fs::read_to_string(plain.join("quality.csv")).unwrap();
    let told = before["discarding"].as_array().unwrap();
    for (line, one) in curve.lines().skip(1).zip(told) {
        let fields: Vec<f64> = line.split(',').map(|field| field.parse().unwrap()).collect();
        let fnir = one["fnir"]["rate"].as_f64().unwrap();
        assert!(one["quality"].as_f64() == Some(fields[0]) && (fnir - fields[2]).abs() < 1e-12, "{line}");
    }
    assert!(curve.lines().count() == told.len() + 1 && plain.join("quality.html").exists());
}

#[test]
fn what_cannot_be_evaluated_is_told_by_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let (templates, labels) = (folder.path().join("t.npy"), folder.path().join("l.csv"));
    matrix(&templates, &[vec![1.0, 0.0], vec![0.0, 1.0]]);
    let out = folder.path().join("out");
    let evaluate = |list: &str| {
        fs::write(&labels, list).unwrap();
        refused(&[
            "evaluate",
            "--templates",
            text(&templates),
            "--labels",
            text(&labels),
            "--out",
            text(&out),
        ])
    };
    for (list, why) in [
        ("subject\na\n", "must name the columns row and subject"),
        ("row,subject\n0,a\n7,b\n", "line 3: the matrix has 2 rows"),
        ("row,subject\n0,a\n0,b\n", "line 3: this row was there before"),
        ("row,subject\n0,\n", "line 2: a subject has a name"),
        ("row,subject,quality\n0,a,101\n", "line 2: quality is a whole number"),
        ("row,subject\n0,a,b\n", "l.csv"),
        ("row,subject,note\n0,a,\"x\ny\"\n", "line 2: a field holds a line break"),
        ("row,subject,mated\n0,a,1\n", "a column may not be named \"mated\""),
        ("row,subject\n0,a\n", "nobody is searched for"),
    ] {
        let said = evaluate(list);
        assert!(said.contains(why), "{list}: {said}");
    }
    assert!(!out.exists(), "nothing was begun");
    let calibrate = [
        "calibrate",
        "--model",
        "m",
        "--templates",
        text(&templates),
        "--labels",
        text(&labels),
        "--out",
        text(&out),
    ];
    assert!(refused(&calibrate).contains("less than 200 tell nothing"));
    fs::write(folder.path().join("c.json"), "{}").unwrap();
    let bad = folder.path().join("c.json");
    let with = [
        "evaluate",
        "--templates",
        text(&templates),
        "--labels",
        text(&labels),
        "--out",
        text(&out),
        "--calibration",
        text(&bad),
    ];
    assert!(refused(&with).contains("is no calibration"));
}
