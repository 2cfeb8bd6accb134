//! The demo on real face templates, checked by an independent script.

use std::{path::Path, process::Command};
use tests::*;

fn demo(arguments: &[&str]) -> String {
    let output = Command::new(binary("limen")).args(["demo", "--exit"]).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "limen demo {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

const WHAT: &str = "the demo on real templates";

#[test]
fn the_demo_on_real_templates_agrees_with_numpy() {
    let Some(shared) = shared() else {
        return skipped(WHAT, "no shared test data (LIMEN_SHARED)");
    };
    let numpy = Command::new("python3").args(["-c", "import numpy"]).output();
    if !numpy.is_ok_and(|output| output.status.success()) {
        return skipped(WHAT, "no python3 with NumPy");
    }
    let faces = shared.join("data/faces-sface-128");
    let (templates, labels) = (faces.join("templates.npy"), faces.join("labels.csv"));
    let (templates, labels) = (templates.to_str().unwrap(), labels.to_str().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mean = folder.path().join("mean.npy");
    let model = shared.join("data/population/sface_gen_model.npz");
    let extract = "import sys, numpy; numpy.save(sys.argv[2], numpy.load(sys.argv[1])['mean'])";
    assert!(Command::new("python3").args(["-c", extract]).arg(model).arg(&mean).status().unwrap().success());
    let mean = mean.to_str().unwrap();
    for (name, threshold, mean) in [("without", "0.45", None), ("with", "0.4", Some(mean))] {
        let out = folder.path().join(name);
        let out = out.to_str().unwrap();
        let mut arguments =
            vec!["--templates", templates, "--labels", labels, "--threshold", threshold, "--export", out];
        mean.iter().for_each(|mean| arguments.extend(["--mean", mean]));
        let report = demo(&arguments);
        assert!(report.contains("FNIR") && report.contains("leaf_hash"), "{report}");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo_rates.py");
        let checked = Command::new("python3").arg(script).args([templates, out]).args(mean).output().unwrap();
        assert!(checked.status.success(), "{name} mean: {}", String::from_utf8_lossy(&checked.stdout));
    }
}

#[test]
fn the_demo_walks_with_synthetic_people() {
    let report =
        demo(&["--references", "2000", "--lookups", "60", "--dimension", "128", "--nonmated-sd", "0.1"]);
    assert!(report.contains("FPIR") && report.contains("\"compared\": 2000"), "{report}");
}
