//! The habits of the house, executed on every file.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use tests::root;

const ROOMS: [&str; 9] =
    ["matcher", "audit", "witness", "extractor", "gallery", "api", "index-tools", "tests", "benches"];

/// What each room may use of the others: downhill only.
const DOWNHILL: [(&str, &[&str]); 9] = [
    ("matcher", &[]),
    ("audit", &[]),
    ("witness", &["audit"]),
    ("extractor", &["matcher"]),
    ("gallery", &["matcher", "audit"]),
    ("api", &["matcher", "extractor", "gallery"]),
    ("index-tools", &["matcher", "audit", "extractor", "gallery"]),
    ("tests", &["matcher", "audit", "extractor", "gallery"]),
    ("benches", &["matcher", "gallery"]),
];

/// A dependency and the only places that may name it.
const DOORS: [(&str, &[&str]); 16] = [
    (
        "rusqlite",
        &["gallery/src/record/", "gallery/src/lookup.rs", "gallery/src/gallery.rs", "gallery/src/laws/"],
    ),
    ("refinery", &["gallery/src/record/"]),
    ("axum", &["api/src/", "witness/src/"]),
    ("hyper", &["api/src/"]),
    ("tokio", &["api/src/", "witness/src/"]),
    (
        "ndarray",
        &[
            "matcher/src/projection.rs",
            "matcher/src/population/",
            "matcher/src/calibration/",
            "matcher/src/bound.rs", // its tests
            "matcher/src/index/equality.rs",
            "api/src/demo/",
        ],
    ),
    ("hnsw_rs", &["matcher/src/index/hnsw.rs"]),
    ("getrandom", &["gallery/src/ambient.rs"]),
    ("sha2", &["audit/src/hash.rs", "extractor/src/digest.rs"]),
    ("image", &["extractor/src/"]),
    ("hayro_jpeg2000", &["extractor/src/decode.rs"]),
    ("rten", &["extractor/src/detect.rs", "extractor/src/embed.rs"]),
    ("rten_onnx", &["extractor/src/graph/"]),
    ("landlock", &["extractor/src/confine.rs"]),
    ("seccompiler", &["extractor/src/confine.rs"]),
    ("multer", &["api/src/multipart.rs"]),
];

/// Files and functions that are longer than they should be. This list only shrinks.
const LONGER_FILES: [&str; 0] = [];
const LONGER_FUNCTIONS: [&str; 0] = [];

const FILE_LIMIT: usize = 400;
const FUNCTION_LIMIT: usize = 70;

fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                walk(&entry, files);
            } else if entry.extension().is_some_and(|ending| ending == "rs") {
                files.push(entry);
            }
        }
    }
    let mut files = Vec::new();
    ROOMS.iter().for_each(|room| walk(&root().join(room), &mut files));
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
        (name, fs::read_to_string(path).unwrap())
    };
    files.into_iter().map(read).collect()
}

/// The lines before the tests.
fn product(source: &str) -> impl Iterator<Item = (usize, &str)> {
    source
        .lines()
        .take_while(|line| *line != "#[cfg(test)]" && *line != "mod tests {")
        .zip(1..)
        .map(|(l, n)| (n, l))
}

fn names_crate(line: &str, name: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let free = before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':' && c != '.');
        free && code[at + name.len()..].starts_with("::")
    })
}

#[test]
fn unsafe_stands_only_in_the_kernels_each_with_its_reason() {
    let word = concat!("un", "safe");
    for (name, source) in sources() {
        let lines: Vec<&str> = source.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let used =
                [" {", " fn", " impl", " trait"].iter().any(|what| code.contains(&format!("{word}{what}")));
            if used && !code.contains('"') {
                assert!(name.starts_with("matcher/src/kernel/"), "{name}:{}", number + 1);
                let reason = lines[..number].iter().rev().take(3).any(|line| line.contains("// SAFETY: "));
                assert!(reason, "{name}:{}: no reason", number + 1);
            }
        }
    }
}

#[test]
fn rooms_look_downhill_only() {
    for (room, may) in DOWNHILL {
        for (name, source) in sources().iter().filter(|(name, _)| name.starts_with(&format!("{room}/"))) {
            for (number, line) in source.lines().enumerate() {
                for other in ["matcher", "audit", "extractor", "gallery", "api"] {
                    let uses = names_crate(line, other) && other != room && !may.contains(&other);
                    assert!(!uses, "{name}:{}: {room} may not use {other}", number + 1);
                }
            }
        }
    }
}

#[test]
fn modules_look_only_at_those_listed_before_them() {
    for room in ["matcher", "audit", "extractor", "gallery", "api"] {
        let entry = if room == "api" { "main.rs" } else { "lib.rs" };
        let list = fs::read_to_string(root().join(room).join("src").join(entry)).unwrap();
        let modules: Vec<&str> = list
            .lines()
            .filter_map(|line| line.strip_prefix("pub mod ").or(line.strip_prefix("mod "))?.strip_suffix(';'))
            .collect();
        let place: BTreeMap<&str, usize> = modules.iter().copied().zip(0..).collect();
        for (name, source) in sources().iter().filter(|(name, _)| name.starts_with(&format!("{room}/src/"))) {
            let module = name.split('/').nth(2).unwrap().trim_end_matches(".rs");
            let Some(own) = place.get(module) else { continue };
            // `use crate::{ … }` is written over several lines; a module stands at the start of one.
            let mut inside = false;
            for (number, line) in product(source) {
                inside = (inside || line.starts_with("use crate::{")) && !line.ends_with("};");
                let named = line.split("crate::").skip(1).map(|rest| rest.split([':', ';', '{', ' ']).next());
                let first =
                    line.trim().split([':', ',', ';']).next().filter(|_| inside && !line.starts_with("use"));
                for other in named.flatten().chain(first) {
                    let uphill = place.get(other).is_some_and(|other| other > own);
                    let door = DOORS_UPHILL.contains(&(name.as_str(), other));
                    assert!(!uphill || door, "{name}:{number}: {module} may not use {other}");
                }
            }
        }
    }
}

/// Where two modules know each other because one is the other's writer. This list only shrinks.
const DOORS_UPHILL: [(&str, &str); 0] = [];

#[test]
fn each_dependency_has_its_door() {
    for (name, source) in sources() {
        if name.starts_with("tests/") {
            continue;
        }
        for (number, line) in source.lines().enumerate() {
            for (dependency, doors) in DOORS {
                let used = names_crate(line, dependency);
                let allowed = doors.iter().any(|door| name.starts_with(door));
                assert!(!used || allowed, "{name}:{}: {dependency} has its door elsewhere", number + 1);
            }
        }
    }
}

#[test]
fn files_are_named_for_what_they_hold_and_are_not_too_long() {
    let vague = ["util", "utils", "common", "helpers", "misc", "types", "models", "manager", "service"];
    for (name, source) in sources() {
        let stem = Path::new(&name).file_stem().unwrap().to_str().unwrap();
        assert!(!vague.contains(&stem), "{name}: name what it holds");
        let length = product(&source).count();
        let test = name.starts_with("tests/") || name.starts_with("gallery/src/laws/");
        let listed = LONGER_FILES.contains(&name.as_str());
        assert!(test || listed || length <= FILE_LIMIT, "{name} has {length} lines");
        assert!(!listed || length > FILE_LIMIT, "{name} is short again: take it off the list");
    }
}

#[test]
fn functions_are_not_too_long() {
    for (name, source) in sources().into_iter().filter(|(name, _)| !name.starts_with("tests/")) {
        let mut began: Option<(usize, usize, &str)> = None;
        for (number, line) in product(&source) {
            let indent = line.len() - line.trim_start().len();
            let heads =
                ["fn ", "pub fn ", "pub(crate) fn ", "pub(super) fn ", "async fn ", "pub(crate) async fn "];
            if heads.iter().any(|head| line.trim_start().starts_with(head)) && began.is_none() {
                began = Some((number, indent, line.trim()));
            }
            if let Some((start, depth, head)) = began
                && line.trim_end() == format!("{}}}", " ".repeat(depth))
            {
                let length = number - start + 1;
                let listed = LONGER_FUNCTIONS.contains(&head);
                assert!(listed || length <= FUNCTION_LIMIT, "{name}:{start}: {length} lines: {head}");
                began = None;
            }
        }
    }
}

#[test]
fn nothing_is_left_unfinished() {
    let marks =
        [concat!("todo", "!("), concat!("dbg", "!("), concat!("FIX", "ME"), concat!("unimplemented", "!(")];
    for (name, source) in sources() {
        for mark in marks {
            assert!(!source.contains(mark), "{name}: {mark}");
        }
    }
}

#[test]
fn every_member_takes_the_workspaces_lints() {
    for room in ROOMS {
        let manifest = fs::read_to_string(root().join(room).join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{room}");
        let versions =
            manifest.lines().filter(|line| line.contains("version = \"") || line.contains("= \"1"));
        assert_eq!(versions.count(), 0, "{room}: versions stand once, in the workspace");
    }
}

#[test]
fn every_knob_is_documented() {
    let config = fs::read_to_string(root().join("api/src/config.rs")).unwrap();
    let page = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let fields = config.split("pub(crate) struct Config {").nth(1).unwrap().split("\n}").next().unwrap();
    for field in fields.lines().filter_map(|line| line.trim().strip_prefix("pub(crate) ")?.split(':').next())
    {
        assert!(page.contains(&format!("`{field}`")), "docs/configuration.md lacks {field}");
    }
}

#[test]
fn every_direct_dependency_has_its_reason() {
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let page = fs::read_to_string(root().join("docs/decisions/0001-dependencies.md")).unwrap();
    let list = workspace.split("[workspace.dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    for name in list
        .lines()
        .filter_map(|line| line.split(" = ").next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
    {
        let own = ROOMS.contains(&name);
        assert!(own || page.contains(&format!("`{name}`")), "0001-dependencies.md lacks {name}");
    }
}
