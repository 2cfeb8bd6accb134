//! Checking a generation's files, and taking out of them who was erased.

use super::{
    files::{Files, Opened, Yard, open, piece_bytes, rows_of, seal_file, tags},
    manifest::{self, GenerationError, Manifest, damaged},
    shelf::SealedRows,
};
use crate::id::{EncounterKey, GenerationId};
use audit::{
    hash::sha256,
    storage::{publish, sync_folder},
};
use matcher::{
    bytes::Reader,
    kernel::{Block, LANES},
    plan::Plan,
    template::ModelId,
};
use std::{
    collections::{HashMap, HashSet},
    fs,
    sync::Arc,
};

/// Reads every part of a generation and compares it with its digest.
pub(crate) fn check(yard: Yard<'_>, id: GenerationId) -> Result<(), GenerationError> {
    let Opened { manifest, .. } = open(yard, id)?;
    let keys = manifest.keys(yard.root)?;
    let folder = manifest::folder_of(yard.data, id);
    let failed = |error| GenerationError::Io { id: id.0, error };
    for (number, part) in manifest.models.iter().enumerate() {
        let rows = rows_of(yard.data, id, number, part, &keys)?;
        for piece in &part.pieces {
            let file = fs::read(folder.join(&piece.name)).map_err(failed)?;
            let slots = piece.first..piece.first + piece.count;
            if sha256(&[&file]).to_string() != piece.sha256
                || tags(&rows, slots.clone()).map_err(failed)? != piece.tags
            {
                return Err(damaged(id, &piece.name));
            }
            let mut room = vec![Block([0.0; LANES]); rows.blocks];
            for slot in slots {
                if rows.read(slot, &mut room).is_err() && !rows.is_blank(slot).map_err(failed)? {
                    return Err(damaged(id, &format!("row {slot}")));
                }
            }
        }
    }
    Ok(())
}

/// Takes references out of the files of a generation, if it holds them: their rows are overwritten, their codes and their
/// places in the table are written anew without them.
pub(crate) fn scrub(
    yard: Yard<'_>,
    id: GenerationId,
    erased: &[(ModelId, EncounterKey)],
) -> Result<(), GenerationError> {
    let mut manifest = Manifest::open(yard.data, id, yard.root)?;
    let keys = manifest.keys(yard.root)?;
    let failed = |error| GenerationError::Io { id: id.0, error };
    let folder = manifest::folder_of(yard.data, id);
    let mut changed = false;
    for number in 0..manifest.models.len() {
        let part = manifest.models[number].clone();
        let files = Files { id, folder: folder.clone(), key: &keys.files };
        let rows = rows_of(yard.data, id, number, &part, &keys)?;
        let mut by_piece: HashMap<usize, Vec<EncounterKey>> = HashMap::new();
        for (_, key) in erased.iter().filter(|(model, _)| *model == part.model) {
            let after = part.pieces.partition_point(|piece| piece.first_key <= key.0);
            by_piece.entry(after.wrapping_sub(1)).or_default().push(*key);
        }
        for (at, keys_here) in by_piece {
            let Some(piece) = part.pieces.get(at) else { continue };
            let plan = files.read(&format!("plan-{number}"))?;
            let plan = Plan::read(&mut Reader::new(&plan)).ok_or_else(|| damaged(id, "a plan"))?;
            let (mut table, mut coded) = files.piece(piece, &Arc::new(plan))?;
            let found: Vec<usize> = keys_here.iter().filter_map(|key| table.forget(*key)).collect();
            if found.is_empty() {
                continue;
            }
            for row in &found {
                coded.blank(*row);
                let slot = piece.first + *row as u32;
                rows.write(slot, &vec![0; SealedRows::stride(rows.blocks)]).map_err(failed)?;
            }
            rows.file.sync_data().map_err(failed)?;
            let name = next_name(&piece.name);
            let sealed =
                seal_file(&keys.files, yard.ambient, id, &name, &piece_bytes(&table, &coded).into_bytes());
            publish(&folder.join(&name), &sealed).map_err(failed)?;
            let new = &mut manifest.models[number].pieces[at];
            new.name = name;
            changed = true;
            new.sha256 = sha256(&[&sealed]).to_string();
            new.tags = tags(&rows, new.first..new.first + new.count).map_err(failed)?;
        }
    }
    if changed {
        manifest.publish(yard.data, yard.root, yard.ambient.random()).map_err(failed)?;
    }
    sweep(&folder, &manifest).map_err(failed)
}

/// Deletes the files that a manifest does not name: pieces from before somebody was erased, also those that a stop left.
fn sweep(folder: &std::path::Path, manifest: &Manifest) -> std::io::Result<()> {
    let pieces = manifest.models.iter().flat_map(|part| part.pieces.iter().map(|piece| piece.name.clone()));
    let beside =
        (0..manifest.models.len()).flat_map(|number| [format!("rows-{number}"), format!("plan-{number}")]);
    let named: HashSet<String> = pieces.chain(beside).chain([manifest::MANIFEST.to_owned()]).collect();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(|name| named.contains(name)) {
            fs::remove_file(entry.path())?;
        }
    }
    sync_folder(folder)
}

fn next_name(name: &str) -> String {
    let (place, version) = name.split_once('.').unwrap_or((name, "0"));
    format!("{place}.{}", version.parse::<u64>().unwrap_or(0) + 1)
}
