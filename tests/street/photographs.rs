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
