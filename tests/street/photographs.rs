//! Photographs of people, with the demonstration model: what others' pipelines make of the same files.

use crate::images::Studio;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};
use tests::*;

/// The folder of models and the demonstration model in it, if it was installed: `LIMEN_MODELS`, or `target/models`.
fn demonstration_model() -> Option<(PathBuf, String)> {
    let folder = std::env::var_os("LIMEN_MODELS").map_or(root().join("target/models"), PathBuf::from);
    let entries = std::fs::read_dir(&folder).ok()?;
    let mut ids = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let id = ids.find(|id| id.starts_with("sface-2021dec-"))?;
    Some((folder.canonicalize().ok()?, id))
}

fn photographs() -> Option<PathBuf> {
    Some(shared()?.join("data/golden")).filter(|folder| folder.is_dir())
}

/// What a test needs, or why it is not tried.
fn found(what: &str) -> Option<(PathBuf, PathBuf, String)> {
    let Some(golden) = photographs() else {
        skipped(what, "no shared test data (LIMEN_SHARED)");
        return None;
    };
    let Some((models, model)) = demonstration_model() else {
        skipped(
            what,
            "the demonstration model is not installed: limen-index model install --models target/models",
        );
        return None;
    };
    Some((golden, models, model))
}

fn decode(text: &str) -> Vec<f64> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let bytes = STANDARD.decode(text).unwrap();
    bytes.as_chunks::<4>().0.iter().map(|x| f64::from(f32::from_le_bytes(*x))).collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        value => vec![value.as_f64().unwrap()],
    }
}

fn farthest(a: &Value, b: &Value) -> f64 {
    numbers(a).iter().zip(numbers(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn templates_equal_those_of_opencv_and_people_are_told_apart() {
    let Some((golden, models, model)) = found("the golden photographs") else { return };
    let studio = Studio::with_model(Home::new(), models, model, "0.4", &["--only-this-quality"]);
    let server = studio.serve(&[]);
    let (clerk, guard, maker) =
        (server.actor(&studio.clerk), server.actor(&studio.guard), server.actor(&studio.maker));
    let expected: BTreeMap<String, Value> =
        serde_json::from_slice(&std::fs::read(golden.join("golden.json")).unwrap()).unwrap();
    let file = |name: &str| std::fs::read(golden.join(format!("{name}.png"))).unwrap();
    let mut made: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let (mut worst_cosine, mut worst_place) = (1.0f64, 0.0f64);
    for (name, expected) in expected.iter().filter(|(name, _)| !name.starts_with('_')) {
        let request = json!({ "image": { "part": "photo" } });
        let answer = maker.post_files("/v1/extractions", &request, &[("photo", &file(name))]).expect(200);
        let features = decode(answer["features"].as_str().unwrap());
        worst_cosine = worst_cosine.min(cosine(&features, &numbers(&expected["embedding"])));
        for of in ["box", "landmarks"] {
            worst_place = worst_place.max(farthest(&answer["face"][of], &expected[of]));
        }
        assert_eq!(answer["faces"], expected["faces"], "{name}");
        made.insert(name, features);
    }
    told(&format!(
        "{} photographs: cosine at least {worst_cosine:.7}, boxes and landmarks within {worst_place:.4} px",
        made.len()
    ));
    assert!(worst_cosine >= 0.9999 && worst_place <= 0.5, "{worst_cosine} {worst_place}");
    // Two photographs of one person, or of two.
    let person = |name: &str| name.trim_end_matches("_1").trim_end_matches("_2").to_owned();
    let mated = |a: &str, b: &str| a.starts_with("person") && person(a) == person(b);
    let (mut least, mut most) = (1.0f64, -1.0f64);
    for (a, one) in &made {
        for (b, other) in made.iter().filter(|(b, _)| a < *b) {
            let score = cosine(one, other);
            if mated(a, b) { least = least.min(score) } else { most = most.max(score) }
        }
    }
    told(&format!("pairs of one person at least {least:.3}, of two at most {most:.3}"));
    assert!(least >= 0.61 && most <= 0.23, "{least} {most}");
    // And over the street: one of each is on record.
    for name in ["person_a_2", "person_b_1"] {
        studio.enrol(&clerk, name, &file(name)).expect(201);
    }
    for name in made.keys() {
        let answer = studio.look_up(&guard, &file(name)).expect(200);
        let hit = ["person_a", "person_b"].contains(&person(name).as_str());
        assert_eq!(answer["decision"], if hit { "hit" } else { "no_hit" }, "{name}");
        if hit {
            let reference = answer["candidates"][0]["reference"].as_str().unwrap();
            assert_eq!(person(reference), person(name));
        }
    }
}

#[test]
fn the_demo_shows_a_hit_over_the_years_and_a_stranger_without_one() {
    let Some((golden, models, _)) = found("the demo with photographs") else { return };
    let mut demo = Command::new(binary("limen"));
    demo.args(["demo", "--exit", "--images"]).arg(&golden).arg("--models").arg(&models);
    let output = demo.output().unwrap();
    let (told, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}{error}");
    for expected in ["person_a_1.png", "hit on person_a", "impostor_1.png", "no hit", "leaf_hash"] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

fn openjpeg(file: &Path, to: &Path) -> bool {
    let output = Command::new("opj_decompress").arg("-i").arg(file).arg("-o").arg(to).output();
    output.is_ok_and(|output| output.status.success())
}

#[test]
fn jpeg_2000_decodes_as_openjpeg_does() {
    let Some(shared) = shared() else { return skipped("JPEG 2000", "no shared test data (LIMEN_SHARED)") };
    let file = shared.join("data/jp2/nist.jp2");
    let place = tempfile::tempdir().unwrap();
    let theirs = place.path().join("nist.pgm");
    if !openjpeg(&file, &theirs) {
        return skipped("JPEG 2000 against OpenJPEG", "no opj_decompress (Debian: libopenjp2-tools)");
    }
    let theirs = std::fs::read(theirs).unwrap();
    let (ours, format) = extractor::decode::decode(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(format, extractor::decode::Format::Jpeg2000);
    // A header of text lines: P5, width and height, 255; then a byte a pixel.
    let head = format!("{} {}", ours.width(), ours.height());
    let count = (ours.width() * ours.height()) as usize;
    assert!(String::from_utf8_lossy(&theirs[..theirs.len() - count]).contains(&head));
    let differ =
        ours.pixels().zip(&theirs[theirs.len() - count..]).filter(|(ours, theirs)| ours.0 != [**theirs; 3]);
    assert_eq!(differ.count(), 0, "pixels differ");
    told(&format!("nist.jp2: {count} pixels equal OpenJPEG's"));
}

/// Runs the tool: its exit code, and all that it says.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(binary("limen-index")).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), String::from_utf8(output.stdout).unwrap() + &error)
}

fn owned(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// What makes templates of these photographs with these models into this folder.
fn extracting([images, models, out]: [&Path; 3], model: &str) -> Vec<String> {
    let paths = [("--images", images), ("--models", models), ("--out", out)];
    let words = paths.iter().flat_map(|(name, path)| [(*name).to_owned(), owned(path)]);
    ["extract", "--model", model].map(str::to_owned).into_iter().chain(words).collect()
}

#[test]
fn photographs_of_a_list_or_of_manifests_are_evaluated() {
    let Some((golden, models, model)) = found("the evaluation of photographs") else { return };
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let (enrol, search, truth) = (path("enroll.txt"), path("search.txt"), path("truth.csv"));
    std::fs::write(
        &enrol,
        "e1 person_a_1.png facemugshot\ne2 person_b_1.png facemugshot\ne3 golden.json faceunknown\n",
    )
    .unwrap();
    let searches = "s1 person_a_2.png facewild\ns2 person_b_2.png facewild\ns3 impostor_1.png facewild\ns4 astronaut.png facewild\ns5 CREDITS.md facewild\n";
    std::fs::write(&search, searches).unwrap();
    std::fs::write(&truth, "id,subject\ne1,a\ne2,b\ne3,c\ns1,a\ns2,b\ns3,x\ns4,y\ns5,b\n").unwrap();
    let (made, out) = (path("made"), path("out"));
    let from = extracting([&golden, &models, &made], &model);
    let manifests = [
        "--frte-enrol".to_owned(),
        owned(&enrol),
        "--frte-search".to_owned(),
        owned(&search),
        "--truth".to_owned(),
        owned(&truth),
    ];
    let arguments: Vec<&str> = from.iter().chain(&manifests).map(String::as_str).collect();
    let (code, said) = run(&arguments);
    assert!(code == Some(0) && said.contains("8 photographs, 2 of which no template"), "{said}");
    // Begun, and stopped at any byte: it comes to the same.
    let file = |name: &str| std::fs::read(made.join(name)).unwrap();
    let before = (file("probes.npy"), file("probes.csv"));
    std::fs::write(made.join("probes.npy"), &before.0[..1000]).unwrap();
    std::fs::write(made.join("probes.csv"), &before.1[..70]).unwrap();
    assert_eq!(run(&arguments).0, Some(0));
    assert!((file("probes.npy"), file("probes.csv")) == before);
    let [templates, labels, probes, list] =
        ["templates.npy", "templates.csv", "probes.npy", "probes.csv"].map(|name| owned(&made.join(name)));
    let evaluated = [
        "evaluate",
        "--templates",
        &templates,
        "--labels",
        &labels,
        "--probes",
        &probes,
        "--probe-labels",
        &list,
        "--threshold",
        "0.4",
        "--limit",
        "3",
        "--out",
    ];
    let (code, said) = run(&[&evaluated[..], &[&owned(&out)]].concat());
    assert_eq!(code, Some(0), "{said}");
    let report: Value = serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    let counts = &report["counts"];
    assert_eq!(
        (&counts["references"], &counts["failed_enrolments"], &counts["failed_searches"]),
        (&json!(2), &json!(1), &json!(1))
    );
    assert_eq!((&counts["mated"], &counts["nonmated"]), (&json!(3), &json!(2)));
    // The file that is no photograph is a miss.
    let given = report["at"].as_array().unwrap().last().unwrap();
    assert_eq!((&given["fnir"]["count"], &given["fpir"]["count"]), (&json!(1), &json!(0)), "{given}");
    let log = std::fs::read_to_string(out.join("candidates.log")).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[0], "searchId candidateRank searchRetCode isAssigned templateId score decision");
    assert!(
        lines.len() == 16
            && lines[1].starts_with("s1 0 0 1 e1 0.")
            && lines[1].ends_with(" 1")
            && lines[7].ends_with(" 0"),
        "{log}"
    );
    assert_eq!(lines[13..], ["s5 0 6 0 NA -1 0", "s5 1 6 0 NA -1 0", "s5 2 6 0 NA -1 0"]);

    std::fs::write(&search, "s1 person_a_2.png facewild person_a_1.png facewild\n").unwrap();
    let (code, said) = run(&arguments);
    assert!(code == Some(2) && said.contains("of one image"), "{said}");
}

#[test]
fn photographs_of_a_list_become_templates_and_what_is_none_says_why() {
    let Some((golden, models, model)) = found("templates of photographs of a list") else { return };
    let place = tempfile::tempdir().unwrap();
    let (photos, made) = (place.path().join("photos.csv"), place.path().join("made"));
    let list = "file,subject,light\nperson_a_1.png,a,day\nperson_a_2.png,a,night\nCREDITS.md,b,day\n";
    std::fs::write(&photos, list).unwrap();
    let mut arguments = extracting([&golden, &models, &made], &model);
    arguments.extend(["--labels".to_owned(), owned(&photos)]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (code, said) = run(&arguments);
    assert!(code == Some(0) && said.contains("3 photographs, 1 of which"), "{said}");
    let listed = std::fs::read_to_string(made.join("templates.csv")).unwrap();
    assert!(listed.starts_with("row,subject,light,quality,failure\n0,a,day,"), "{listed}");
    assert!(listed.contains("this is no JPEG"), "{listed}");
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(made.join("templates.npy")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "templates are for their owner");
    std::fs::write(&photos, list.replace("night", "dusk")).unwrap();
    assert!(run(&arguments).1.contains("take another folder"));
    // What is not the photographs' fault is not counted as one.
    for (file, why) in [("../secret.png", "not within the folder"), ("absent.png", "absent.png")] {
        std::fs::write(&photos, list.replace("CREDITS.md", file)).unwrap();
        let other = place.path().join("other");
        let words: Vec<&str> = arguments
            .iter()
            .map(|word| if *word == owned(&made) { other.to_str().unwrap() } else { word })
            .collect();
        let (code, said) = run(&words);
        assert!(code == Some(2) && said.contains(why), "{said}");
        std::fs::remove_dir_all(&other).unwrap();
    }
}
