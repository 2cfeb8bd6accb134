//! An administrator fills, exports and checks a folder with `limen-index`.

use std::{fmt::Write, fs, path::Path};
use tests::*;

pub(super) fn npy(path: &Path, rows: &[Vec<f32>]) {
    let shape = format!("({}, {})", rows.len(), rows.first().map_or(DIMENSION, Vec::len));
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    header.push_str(&" ".repeat(117 - header.len()));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    rows.iter().flatten().for_each(|x| bytes.extend(x.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

/// Of each seven rows one differs from its watchlist.
fn csv(path: &Path, count: usize) {
    let mut text = "subject,encounter,watchlist,category,handling,grading,instruction\n".to_owned();
    for i in 0..count {
        let remarks = if i % 7 == 3 { "H3: ask us,B2,keep a distance" } else { ",," };
        writeln!(text, "p{i},e1,first,wanted,{remarks}").unwrap();
    }
    fs::write(path, text).unwrap();
}

/// Arguments that enrol `m.npy` and `rows.csv` of a folder.
pub(super) fn enrol<'a>(features: &'a str, rows: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["enrol", "--nation", "UTO", "--features", features, "--rows", rows], more].concat()
}

#[test]
fn a_bulk_enrolment_is_found_resumed_and_exported() {
    let site = Site::found();
    let path = site.folder.path();
    let (features, rows) = (path.join("m.npy"), path.join("rows.csv"));
    let (features, rows) = (features.to_str().unwrap(), rows.to_str().unwrap());
    let faces: Vec<Vec<f32>> = (0..2500).map(face).collect();
    npy(Path::new(features), &faces);
    csv(Path::new(rows), 2500);
    assert_eq!(index(path, &enrol(features, rows, &[])), "2500 enrolled, 0 on record already, 0 refused");
    assert_eq!(index(path, &enrol(features, rows, &[])), "0 enrolled, 2500 on record already, 0 refused");
    let report: serde_json::Value = serde_json::from_str(&index(path, &["verify-store", "--json"])).unwrap();
    assert_eq!((&report["subjects"], &report["active_references"][&site.list]), (&2500.into(), &2500.into()));
    let (out, out_rows) = (path.join("out.npy"), path.join("out.csv"));
    let export = [
        "export",
        "--nation",
        "UTO",
        "--watchlist",
        "first",
        "--features",
        out.to_str().unwrap(),
        "--rows",
        out_rows.to_str().unwrap(),
    ];
    assert_eq!(index(path, &export), "2500 references");
    let exported: Vec<Vec<f32>> = gallery::npy::Matrix::open(&out).unwrap().map(Result::unwrap).collect();
    assert_eq!(exported, faces, "as they came");
    assert_eq!(fs::read_to_string(&out_rows).unwrap(), fs::read_to_string(rows).unwrap());
    assert_eq!(index_output(path, &export).status.code(), Some(2), "nothing is overwritten");
    let server = site.serve();
    let answer = server.actor(&site.guard).look_up(&site.list, 2499).expect(200);
    assert_eq!((&answer["decision"], &answer["certificate"]["compared"]), (&"hit".into(), &2500.into()));
    let refused = index_output(path, &["inspect"]);
    assert_eq!(refused.status.code(), Some(3), "a server has the folder open");
}

#[test]
fn malformed_rows_are_told_by_line_and_skipped_or_refused_as_told() {
    let site = Site::found();
    let path = site.folder.path();
    let (features, rows) = (path.join("m.npy"), path.join("rows.jsonl"));
    let (features, rows) = (features.to_str().unwrap(), rows.to_str().unwrap());
    let mut faces: Vec<Vec<f32>> = (0..6).map(face).collect();
    faces[4][2] = f32::INFINITY;
    npy(Path::new(features), &faces);
    let row = |i: u32, list: &str, category: &str| {
        format!(
            "{{\"subject\":\"p{i}\",\"encounter\":\"e\",\"watchlist\":\"{list}\",\"category\":\"{category}\"}}\n"
        )
    };
    let lines = [
        row(0, "first", "wanted"),
        row(1, "first", "hero"),
        row(2, "nowhere", "wanted"),
        row(3, "first", "victim"),
        row(4, "first", "wanted"),
        row(5, &site.list, "missing"),
    ];
    fs::write(rows, lines.concat()).unwrap();
    let stopped = index_output(path, &enrol(features, rows, &[]));
    assert_eq!(stopped.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&stopped.stderr).contains("rows.jsonl line 2: "));
    assert!(index(path, &["inspect"]).contains("subjects      0"), "nothing was enrolled");
    let skipped = index_output(path, &enrol(features, rows, &["--on-error", "skip"]));
    assert_eq!(skipped.status.code(), Some(4));
    assert_eq!(String::from_utf8_lossy(&skipped.stdout).trim(), "2 enrolled, 0 on record already, 4 refused");
    let told = String::from_utf8_lossy(&skipped.stderr).into_owned();
    for line in 2..=5 {
        assert!(told.contains(&format!("rows.jsonl line {line}: ")), "{told}");
    }
    assert!(!told.contains("inf,"), "no features in errors");
}

#[test]
fn a_truncated_matrix_or_another_form_is_refused_before_anything_is_enrolled() {
    let site = Site::found();
    let path = site.folder.path();
    let (features, rows) = (path.join("m.npy"), path.join("rows.csv"));
    npy(&features, &(0..10).map(face).collect::<Vec<_>>());
    csv(&rows, 10);
    let whole = fs::read(&features).unwrap();
    let run = || {
        let output = index_output(path, &enrol(features.to_str().unwrap(), rows.to_str().unwrap(), &[]));
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for cut in [0, 5, 60, 128, 129, whole.len() - 1] {
        fs::write(&features, &whole[..cut]).unwrap();
        let (code, told) = run();
        assert_eq!(code, Some(2), "cut at {cut}: {told}");
        assert!(told.contains("m.npy"), "{told}");
    }
    fs::write(&features, &whole).unwrap();
    csv(&rows, 9);
    assert_eq!(run(), (Some(2), "error: the matrix has 10 rows, the list has 9\n".to_owned()));
    npy(&features, &vec![vec![1.0; DIMENSION + 1]; 9]);
    assert_eq!(run().0, Some(4), "another dimension than the model's");
    assert!(index(path, &["verify-store"]).contains("subjects      0"));
}

#[test]
fn a_bulk_enrolment_that_is_killed_is_resumed() {
    let site = Site::found();
    let path = site.folder.path();
    let (features, rows) = (path.join("m.npy"), path.join("rows.csv"));
    npy(&features, &(0..20_000).map(face).collect::<Vec<_>>());
    csv(&rows, 20_000);
    let arguments = enrol(features.to_str().unwrap(), rows.to_str().unwrap(), &[]);
    for pause_ms in [150, 250, 350] {
        let mut command = std::process::Command::new(binary("limen-index"));
        command.env("LIMEN_ROOT_KEY", ROOT_KEY);
        let mut child = command.args(&arguments).env("LIMEN_FOLDER", path).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(pause_ms));
        child.kill().unwrap();
        child.wait().unwrap();
        index(path, &["verify-store"]);
    }
    index(path, &arguments);
    let report: serde_json::Value = serde_json::from_str(&index(path, &["verify-store", "--json"])).unwrap();
    assert_eq!((&report["subjects"], &report["encounters"]), (&20_000.into(), &20_000.into()));
}

#[test]
fn a_folder_is_made_once() {
    let site = Site::found();
    let again = index_output(site.folder.path(), &["init", "--model", "test", "--dimension", "16"]);
    assert_eq!(again.status.code(), Some(2));
    let elsewhere = tempfile::tempdir().unwrap();
    let missing = index_output(elsewhere.path(), &["inspect"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("limen-index init"));
}

#[test]
fn a_watchlist_goes_from_place_to_place_in_one_file() {
    let (site, other) = (Site::found(), Site::found());
    let (from, to) = (site.folder.path(), other.folder.path());
    let (features, rows) = (from.join("m.npy"), from.join("rows.csv"));
    let faces: Vec<Vec<f32>> = (0..4200).map(face).collect();
    npy(&features, &faces);
    csv(&rows, 4200);
    index(from, &enrol(features.to_str().unwrap(), rows.to_str().unwrap(), &[]));
    let parquet = from.join("all.parquet");
    let out = ["export", "--nation", "UTO", "--watchlist", "first", "--parquet", parquet.to_str().unwrap()];
    assert_eq!(index(from, &out), "4200 references");
    assert_eq!(index_output(from, &out).status.code(), Some(2), "nothing is overwritten");
    let import = |file: &Path, more: &[&str]| {
        let output =
            index_output(to, &[&["import", "--nation", "UTO", file.to_str().unwrap()], more].concat());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().trim().to_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(import(&parquet, &[]).1, "4200 enrolled, 0 on record already, 0 refused");
    let told = import(&parquet, &["--json"]).1;
    assert_eq!(told.lines().last(), Some(r#"{"already":4200,"enrolled":0,"refused":0}"#), "it is repeated");
    let (matrix, list) = (to.join("back.npy"), to.join("back.csv"));
    let back = ["--features", matrix.to_str().unwrap(), "--rows", list.to_str().unwrap()];
    index(to, &[["export", "--nation", "UTO", "--watchlist", "first"].as_slice(), &back].concat());
    let exported: Vec<Vec<f32>> = gallery::npy::Matrix::open(&matrix).unwrap().map(Result::unwrap).collect();
    assert_eq!(exported, faces, "as they came");
    assert_eq!(fs::read_to_string(list).unwrap(), fs::read_to_string(rows).unwrap());

    let (lines, table) = (to.join("more.jsonl"), to.join("more.csv"));
    let row = |name: &str, features: serde_json::Value| serde_json::json!({ "subject": name, "encounter": "1", "watchlist": "first", "category": "wanted", "features": features });
    let numbers = row("q1", face(5000).into());
    let text = row("q2", encode(&face(5001)).into());
    fs::write(&lines, format!("{numbers}\n{text}\n")).unwrap();
    assert_eq!(import(&lines, &[]).1, "2 enrolled, 0 on record already, 0 refused");
    let head = "features,subject,encounter,watchlist,category\n";
    let good = format!("{},q3,1,first,wanted\n", encode(&face(5002)));
    fs::write(&table, format!("{head}{good}AAA=,q4,1,first,wanted\n")).unwrap();
    let refused = import(&table, &[]);
    assert_eq!(refused.0, Some(4));
    assert!(
        refused.2.contains("row 3: features: 2 bytes are no numbers of f32; nothing was enrolled"),
        "{}",
        refused.2
    );
    let skipped = import(&table, &["--on-error", "skip"]);
    assert_eq!(skipped.1, "1 enrolled, 0 on record already, 1 refused");
    fs::write(&table, "subject,encounter\n").unwrap();
    assert_eq!(import(&table, &[]).0, Some(2), "other columns");
    let whole = fs::read(&parquet).unwrap();
    for length in [0, 4, whole.len() / 2, whole.len() - 1] {
        fs::write(&parquet, &whole[..length]).unwrap();
        assert_eq!(import(&parquet, &[]).0, Some(2), "cut to {length} bytes");
    }
    let server = other.serve();
    let answer = server.actor(&other.guard).look_up(&other.list, 5001).expect(200);
    assert_eq!(answer["decision"], "hit");
}
