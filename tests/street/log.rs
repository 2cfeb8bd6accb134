//! The audit log from outside: receipts that prove themselves, evidence that needs no log, and tampering that is found.

use audit::{
    checkpoint::Checkpoint,
    hash::{self, Hash},
    log::Log,
    log_proof::LogProof,
    note::{Kind, Note, SigningKey, VerifierKey},
    segment::{self, Head, Leaf},
    storage::Disk,
    verify,
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};
use tests::*;

/// What the second verifier says of each line.
fn second_opinion(lines: &[Value]) -> Option<Vec<bool>> {
    if !has_command("python3") {
        skipped("the second verifier", "no python3");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("check_proofs.py");
    let mut python = Command::new("python3");
    let mut child = python.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let input = lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n") + "\n";
    let mut stdin = child.stdin.take().unwrap();
    let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap().lines().map(|line| line == "holds").collect())
}

#[test]
fn an_answer_proves_itself_and_an_auditor_reads_its_event() {
    let site = Site::found();
    let path = site.folder.path();
    let auditor = grant(path, "UTO", &["--name", "eve", "--role", "auditor", "--own"]);
    let foreign_auditor = grant(path, "XAA", &["--name", "mallory", "--role", "auditor", "--own"]);
    let key = index(path, &["audit", "key"]);
    let server = site.serve();
    server.actor(&site.clerk).enrol(&site.list, "p1", 1);
    let (guard, auditor) = (server.actor(&site.guard), server.actor(&auditor));
    let early = guard.send_text("GET", "/v1/log/checkpoint", None);
    let answer = guard.look_up(&site.list, 1).expect(200);
    let receipt = &answer["receipt"];
    let (at, leaf_hash) = (receipt["leaf_index"].as_u64().unwrap(), receipt["leaf_hash"].as_str().unwrap());
    let log_key: VerifierKey = key.parse().unwrap();
    let holds = |proof: &str| {
        let proof: LogProof = proof.parse().unwrap();
        proof.check(Hash::from_hex(leaf_hash).unwrap(), &log_key, &[], 0).unwrap().size
    };
    assert_eq!(holds(receipt["proof"].as_str().unwrap()), at + 1);
    guard.look_up(&site.list, 2).expect(200);
    let (status, later) = guard.send_text("GET", &format!("/v1/log/proofs/{at}"), None);
    assert_eq!((status, holds(&later)), (200, at + 2), "and can be asked for anew");
    // What stands there only an auditor reads, and that is logged.
    let event = format!("/v1/log/events/{at}");
    assert_eq!(guard.get(&event).status, 403);
    let read = auditor.get(&event).expect(200);
    assert_eq!(read["receipt"]["leaf_index"], at + 3, "after the refusal");
    assert_eq!(auditor.get("/v1/log/events/9999").status, 404);
    assert_eq!(server.actor(&foreign_auditor).get(&event).status, 403, "another nation's affair");
    assert_eq!(auditor.look_up(&site.list, 1).status, 403, "an auditor does not search");
    let told: Value = serde_json::from_str(read["evidence"]["event"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&told["verb"], &told["results"]["told"]["answer"]["lookup"]),
        (&json!("lookup"), &answer["id"])
    );
    let score = told["results"]["told"]["found"][0]["score"].as_f64().unwrap();
    assert!(score > 0.999, "the log has the score that the checkpoint was not shown");
    // Tiles lead to the root of the checkpoint.
    let checkpoint: Note = guard.send_text("GET", "/v1/log/checkpoint", None).1.parse().unwrap();
    let checkpoint = Checkpoint::of(&checkpoint, &log_key).unwrap();
    let tile = |name: &str| {
        let path = format!("/v1/log/tile/{name}/000.p/{}", checkpoint.size);
        (guard.get_bytes(&path), path)
    };
    let (hashes, _) = tile("0");
    let (entries, path_of_entries) = tile("entries");
    let mut tree = audit::tree::Frontier::default();
    for (leaf, entry) in hashes.as_chunks::<32>().0.iter().zip(entries.as_chunks::<34>().0) {
        assert_eq!(Hash(*leaf), hash::leaf(Hash(*entry[2..].first_chunk().unwrap())));
        tree.push(Hash(*leaf));
    }
    assert_eq!((tree.size(), tree.root()), (checkpoint.size, checkpoint.root));
    assert_eq!(server.actor("").get(&path_of_entries).status, 401);
    assert_eq!(guard.get("/v1/log/tile/0/001").status, 404);
    drop(server);
    // By the tools, on the stopped node's folder; and without it.
    let away = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        fs::write(away.path().join(name), text).unwrap();
        away.path().join(name).to_str().unwrap().to_owned()
    };
    let evidence = index(path, &["audit", "evidence", answer["id"].as_str().unwrap()]);
    let kept = file("evidence", &evidence);
    let check =
        |file: &str| index_output(away.path(), &["audit", "check", file, "--log-key", &key]).status.code();
    assert_eq!(check(&kept), Some(0));
    assert_eq!(check(&file("api", &read["evidence"].to_string())), Some(0));
    let forged = evidence.replacen("no_hit", "hit", 1).replacen("wanted", "missing", 1);
    assert_ne!(forged, evidence);
    assert_eq!(check(&file("forged", &forged)), Some(5));
    let mut lines =
        vec![serde_json::from_str::<Value>(&evidence).unwrap(), serde_json::from_str(&forged).unwrap()];
    lines.push(json!({ "proof": receipt["proof"], "leaf_hash": leaf_hash, "log_key": key }));
    if let Some(opinion) = second_opinion(&lines) {
        assert_eq!(opinion, [true, false, true]);
    }
    let log = path.join("log");
    let seen = file("seen", &early.1);
    let verify = ["audit", "verify", log.to_str().unwrap(), "--log-key", &key, "--checkpoint", &seen];
    assert!(index(away.path(), &verify).contains("are those of the checkpoints"));
    let report: Value = serde_json::from_str(&index(
        path,
        &["audit", "report", "--from", "2020-01-01T00:00:00Z", "--to", "9999-01-01T00:00:00Z"],
    ))
    .unwrap();
    assert_eq!(report["searches_by_decision"], json!({ "hit": 1, "no_hit": 1 }));
    assert_eq!(
        (&report["by_verb"]["read_log"], &report["refused_by_verb"]["lookup"]),
        (&json!(2), &json!(1))
    );
    // Only past months are forgotten (gallery's laws tell what comes of it).
    let forget = |before: &str| index_output(path, &["audit", "forget", "--before", before]);
    assert_eq!(forget("9999-01").status.code(), Some(2));
    assert!(String::from_utf8(forget("2020-01").stdout).unwrap().contains("nothing"));
    index(path, &["verify-store"]);
}

/// A log as files by name.
type Files = BTreeMap<String, Vec<u8>>;

fn files(folder: &Path) -> Files {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
}

/// Segments of these leaves, each with its own checksums: what somebody writes who knows how.
fn rewritten(leaves: &[Leaf], each: usize) -> Files {
    let (mut head, mut files) = (Head::default(), Files::new());
    for part in leaves.chunks(each) {
        let mut bytes = segment::header(&head);
        for few in part.chunks(7) {
            bytes.extend(segment::batch(head.tree.size(), few));
            head.extend(few);
        }
        files.insert(segment::name(head.tree.size() - part.len() as u64), bytes);
    }
    files
}

/// Does a log hold all that the checkpoints saw? With the checksums of its segments, and with the key of the log.
fn is_whole(place: &Path, files: &Files, seen: &[Note], log: &VerifierKey) -> Result<(), String> {
    let _ = fs::remove_dir_all(place);
    fs::create_dir(place).unwrap();
    files.iter().for_each(|(name, bytes)| fs::write(place.join(name), bytes).unwrap());
    let checkpoint = |note| Checkpoint::of(note, log).map_err(|error| error.to_string());
    let seen: Vec<Checkpoint> = seen.iter().map(checkpoint).collect::<Result<_, _>>()?;
    verify::compare(&Disk::open_existing(place).unwrap(), &seen).map_err(|error| error.to_string())?;
    Ok(())
}

#[test]
fn whoever_tampers_with_the_log_is_found_out_also_with_its_own_key() {
    let count: u64 = std::env::var("LIMEN_TAMPERINGS").map_or(500, |count| count.parse().unwrap());
    let key = SigningKey::new("limen/test", Kind::Note, &[7; 32]).unwrap();
    let place = in_memory();
    let (folder, tried) = (place.path().join("log"), place.path().join("tried"));
    let log = Log::open_tiled(Disk::open(&folder).unwrap(), None, &place.path().join("tiles")).unwrap();
    let mut chance = ChaCha8Rng::seed_from_u64(5);
    let mut draw = |bound: usize| chance.next_u32() as usize % bound;
    let leaf = |n: u64| Leaf {
        tag: n + 1,
        commitment: hash::sha256(&[&n.to_le_bytes()]),
        payload: vec![n as u8; 40],
    };
    let signed = |head: &Head| -> Note {
        let checkpoint =
            Checkpoint { origin: "limen/test".to_owned(), size: head.tree.size(), root: head.tree.root() };
        let text = checkpoint.to_string();
        format!("{text}\n{}", key.line(&text, 0)).parse().unwrap()
    };
    // A witness keeps the last checkpoint; somebody copied the folder before.
    let leaves: Vec<Leaf> = (0..200).map(leaf).collect();
    log.append(leaves[..150].to_vec()).unwrap();
    drop(log);
    let old = files(&folder);
    let log = Log::open_tiled(Disk::open(&folder).unwrap(), None, &place.path().join("tiles")).unwrap();
    leaves[150..].chunks(9).for_each(|part| drop(log.append(part.to_vec()).unwrap()));
    let seen = [signed(&log.head())];
    drop(log);
    let honest = files(&folder);
    assert_eq!(is_whole(&tried, &honest, &seen, key.verifier()), Ok(()));
    assert_eq!(
        is_whole(&tried, &rewritten(&leaves, 64), &seen, key.verifier()),
        Ok(()),
        "the same leaves in other files"
    );
    let mut found = BTreeMap::<&str, u64>::new();
    for _ in 0..count {
        let mut forged = leaves.clone();
        let (at, other) = (draw(200), draw(200));
        let (name, tampered) = match draw(8) {
            0 => {
                let mut tampered = honest.clone();
                let bytes = tampered.values_mut().next().unwrap();
                let bit = draw(bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
                ("a flipped bit", tampered)
            }
            1 => {
                forged.remove(at);
                ("a leaf is gone", rewritten(&forged, 64))
            }
            2 => {
                forged.insert(at, leaf(1000 + other as u64));
                ("a leaf more", rewritten(&forged, 64))
            }
            3 if leaves[at].commitment != leaves[other].commitment => {
                forged.swap(at, other);
                ("two are swapped", rewritten(&forged, 64))
            }
            4 => {
                let mut tampered = honest.clone();
                let bytes = tampered.values_mut().next().unwrap();
                bytes.truncate(draw(bytes.len()));
                ("a cut", tampered)
            }
            5 => ("an old copy", old.clone()),
            6 => {
                let mut tampered = rewritten(&leaves, 64);
                let name = tampered.keys().nth(draw(tampered.len())).unwrap().clone();
                tampered.remove(&name);
                ("a file is gone", tampered)
            }
            _ => {
                // Checksums, tree and signature are right: only who saw another log can tell.
                forged[at].commitment = hash::sha256(&[b"forged", &(other as u64).to_le_bytes()]);
                let mut head = Head::default();
                head.extend(&forged);
                let files = rewritten(&forged, 64);
                assert_eq!(
                    is_whole(&tried, &files, &[signed(&head)], key.verifier()),
                    Ok(()),
                    "it fits itself"
                );
                ("written anew with the log's key", files)
            }
        };
        assert!(is_whole(&tried, &tampered, &seen, key.verifier()).is_err(), "{name} was not found");
        *found.entry(name).or_default() += 1;
    }
    assert!(found.len() == 8, "{found:?}");
    told(&format!("log: {count} tamperings, all found: {found:?}"));
}

#[test]
fn a_proof_that_was_tampered_with_does_not_hold_and_two_verifiers_agree() {
    let count: usize = std::env::var("LIMEN_PROOFS").map_or(150, |count| count.parse().unwrap());
    let keys = [[7; 32], [8; 32]].map(|seed| SigningKey::new("limen/test", Kind::Note, &seed).unwrap());
    let place = in_memory();
    let log =
        Log::open_tiled(Disk::open(&place.path().join("log")).unwrap(), None, &place.path().join("tiles"))
            .unwrap();
    let leaf = |n: u64| Leaf { tag: 0, commitment: hash::sha256(&[&n.to_le_bytes()]), payload: Vec::new() };
    let receipts = log.append((0..700).map(leaf).collect()).unwrap();
    let mut chance = ChaCha8Rng::seed_from_u64(6);
    let mut draw = |bound: usize| chance.next_u32() as usize % bound;
    let (mut lines, mut verdicts) = (Vec::new(), Vec::new());
    for n in 0..count {
        let size = 1 + draw(700) as u64;
        let index = draw(size as usize) as u64;
        let root = audit::proof::subtree(log.tiles().unwrap(), 0, size).unwrap();
        let text = Checkpoint { origin: "limen/test".to_owned(), size, root }.to_string();
        let signer = &keys[usize::from(n % 7 == 0)];
        let checkpoint: Note = format!("{text}\n{}", signer.line(&text, 0)).parse().unwrap();
        let path = audit::proof::inclusion(log.tiles().unwrap(), index, size).unwrap();
        let mut leaf = receipts[index as usize].leaf_hash();
        let mut proof = LogProof { index, path, checkpoint };
        match draw(8) {
            0 => leaf.0[draw(32)] ^= 1,
            1 => proof.index = draw(701) as u64,
            2 => drop(proof.path.pop()),
            3 => proof.path.push(leaf),
            4 if !proof.path.is_empty() => {
                let at = draw(proof.path.len());
                proof.path[at].0[draw(32)] ^= 0x80;
            }
            _ => (),
        }
        let told = proof.to_string();
        assert_eq!(told.parse::<LogProof>().as_ref(), Ok(&proof));
        verdicts.push(proof.check(leaf, keys[0].verifier(), &[], 0).is_ok());
        let key = keys[0].verifier().to_string();
        lines.push(json!({ "proof": told, "leaf_hash": leaf.to_string(), "log_key": key }));
    }
    assert!(verdicts.contains(&true) && verdicts.contains(&false));
    if let Some(opinion) = second_opinion(&lines) {
        let differ = opinion.iter().zip(&verdicts).position(|(one, other)| one != other);
        assert!(opinion.len() == count && differ.is_none(), "{:?}", differ.map(|at| &lines[at]));
    }
}
