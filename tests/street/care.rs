//! What administrators do beside filling: finding who stands there twice, and what is wrong with a place.

use crate::tools::{enrol, npy};
use serde_json::Value;
use std::{fs, path::Path};
use tests::*;

/// A list of so many rows, each another subject.
pub(super) fn people(path: &Path, count: usize) {
    let remarks = |n| if n % 7 == 3 { "H2,B2,\"keep a distance, wait\"" } else { ",," };
    let row = |n| format!("s{n},e{n},first,wanted,{}\n", remarks(n));
    let rows: String = (0..count).map(row).collect();
    fs::write(path, format!("subject,encounter,watchlist,category,handling,grading,instruction\n{rows}"))
        .unwrap();
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn who_stands_on_record_twice_is_reported_and_an_interrupted_report_is_gone_on_with() {
    let site = Site::found();
    let path = site.folder.path();
    let (features, rows, report) = (path.join("m.npy"), path.join("rows.csv"), path.join("twice.jsonl"));
    let mut faces: Vec<Vec<f32>> = (0..1500).map(face).collect();
    for (copy, of) in [(700, 3), (1499, 4), (1498, 1497), (600, 599)] {
        faces[copy] = faces[of].iter().map(|x| x * 1.5 + 1e-4).collect();
    }
    npy(&features, &faces);
    people(&rows, 1500);
    index(path, &enrol(features.to_str().unwrap(), rows.to_str().unwrap(), &["--json"]));
    let to = report.to_str().unwrap();
    let dedup = ["dedup", "--nation", "UTO", "--threshold", "0.999", "--report", to];
    assert_eq!(index(path, &dedup), format!("1500 references compared, 4 pairs in {to}"));
    let pairs = |lines: &[Value]| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let pair = |line: &Value| (text(&line["reference"]), text(&line["other_reference"]));
        lines.iter().filter(|line| line.get("score").is_some()).map(pair).collect()
    };
    let expected = [("s600", "s599"), ("s700", "s3"), ("s1498", "s1497"), ("s1499", "s4")];
    let expected = expected.map(|(one, other)| (one.to_owned(), other.to_owned()));
    let whole = lines(&report);
    assert_eq!(pairs(&whole), expected);
    assert!(whole.iter().filter_map(|line| line.get("score")).all(|score| score.as_f64().unwrap() > 0.999));

    // A stop in the middle of a line: what came after the last mark is done again.
    let text = fs::read_to_string(&report).unwrap();
    let second = text.find("\"s700\"").unwrap();
    fs::write(&report, &text[..second + 3]).unwrap();
    let told = index(path, &[dedup.as_slice(), &["--json"]].concat());
    let told: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!((&told["pairs"], told["compared"].as_u64().unwrap() < 1500), (&4.into(), true));
    assert_eq!(fs::read_to_string(&report).unwrap(), text);
    assert!(index(path, &dedup).starts_with("0 references compared, 4 pairs"));
    let other = index_output(path, &["dedup", "--nation", "UTO", "--threshold", "0.9", "--report", to]);
    assert_eq!(other.status.code(), Some(2), "another question, another report");
    // They are the same person: merged, they are found as one.
    let line = whole.iter().find(|line| line["reference"] == "s600").unwrap();
    let (from, into) = (line["subject"].as_str().unwrap(), line["other"].as_str().unwrap());
    index(path, &["merge", "--nation", "UTO", "--from", from, "--into", into]);
    assert_eq!(
        index_output(path, &["merge", "--nation", "UTO", "--from", from, "--into", into]).status.code(),
        Some(2)
    );
    let after = path.join("after.jsonl");
    let dedup = ["dedup", "--nation", "UTO", "--threshold", "0.999", "--report", after.to_str().unwrap()];
    assert!(index(path, &dedup).starts_with("1500 references compared, 3 pairs"));
    let moved = line["encounter"].as_str().unwrap();
    let back = ["move", "--nation", "UTO", "--from", into, "--encounter", moved, "--to", from];
    assert_eq!(index_output(path, &back).status.code(), Some(2), "who was merged is retired");
    let to = lines(&after).into_iter().find(|line| line["reference"] == "s700").unwrap();
    index(
        path,
        &[
            "move",
            "--nation",
            "UTO",
            "--from",
            into,
            "--encounter",
            moved,
            "--to",
            to["subject"].as_str().unwrap(),
        ],
    );
    index(path, &["verify-store"]);
    let foreign = path.join("foreign.jsonl");
    let foreign = ["dedup", "--nation", "XAA", "--watchlist", "first", "--report", foreign.to_str().unwrap()];
    assert_eq!(index_output(path, &foreign).status.code(), Some(2));
}

#[test]
fn the_doctor_tells_what_is_wrong_with_a_place() {
    let site = Site::found();
    let path = site.folder.path();
    let findings = |arguments: &[&str]| {
        let output = index_output(path, &[&["doctor", "--json"], arguments].concat());
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let of = |about: &str| {
            let findings = told["findings"].as_array().unwrap().iter();
            findings
                .filter(|one| one["about"] == about)
                .map(|one| one["finding"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let all = ["folder", "root key", "anchor", "disk", "gallery"].map(|about| of(about).join(" "));
        (output.status.code(), all)
    };
    let well = |anchor: &str| ["ok", "ok", anchor, "ok", "ok"].map(str::to_owned);
    assert_eq!(findings(&[]), (Some(0), well("unwise")));
    let anchor = path.with_file_name("anchor");
    let with = ["--anchor", anchor.to_str().unwrap()];
    let (code, found) = findings(&with);
    assert_eq!((code, found[2].as_str(), found[4].as_str()), (Some(5), "wrong", "wrong"), "it is not there");
    index(path, &[&["anchor"], with.as_slice()].concat());
    assert_eq!(findings(&with), (Some(0), well("unwise")), "on the same disk");
    let server = site.serve();
    assert_eq!(findings(&[]), (Some(0), well("unwise")), "also while it is served");
    drop(server);
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(findings(&[]).1[0], "wrong");
}
