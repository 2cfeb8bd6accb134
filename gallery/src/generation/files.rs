//! A generation's files, and opening them.

use super::{
    Coding, Piece, Shelf,
    manifest::{self, GenerationError, GenerationKeys, Manifest, ModelPart, PiecePart, damaged},
    piece::Table,
    shelf::SealedRows,
};
use crate::{
    ambient::Ambient,
    id::GenerationId,
    keys::seal::{SealingKey, TAG},
};
use audit::hash::sha256;
use matcher::{
    bytes::{Reader, Writer},
    coded::Coded,
    kernel::{Kernel, LANES},
    plan::Plan,
    template::ModelId,
};
use rayon::prelude::*;
use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where and with what a generation is written or opened.
#[derive(Clone, Copy)]
pub(crate) struct Yard<'a> {
    /// The data folder.
    pub(crate) data: &'a Path,
    /// The root key.
    pub(crate) root: &'a SealingKey,
    pub(crate) ambient: &'a Ambient,
    pub(crate) kernel: Kernel,
    pub(crate) pool: &'a rayon::ThreadPool,
}

/// The pieces and codings of every model of a generation, as the manifest says they are.
pub(crate) struct Opened {
    pub(crate) manifest: Manifest,
    pub(crate) pieces: HashMap<ModelId, Vec<Arc<Piece>>>,
    pub(crate) codings: HashMap<ModelId, Coding>,
}

/// Opens a generation. Every file but the rows is read and checked; a row is checked when it is read.
pub(crate) fn open(yard: Yard<'_>, id: GenerationId) -> Result<Opened, GenerationError> {
    let manifest = Manifest::open(yard.data, id, yard.root)?;
    let keys = manifest.keys(yard.root)?;
    let (mut pieces, mut codings) = (HashMap::new(), HashMap::new());
    for (number, part) in manifest.models.iter().enumerate() {
        let files = Files { id, folder: manifest::folder_of(yard.data, id), key: &keys.files };
        let plan = files.read(&format!("plan-{number}"))?;
        let plan = Plan::read(&mut Reader::new(&plan)).filter(|plan| plan.dimension() == part.dimension);
        let plan = Arc::new(plan.ok_or_else(|| damaged(id, "a plan"))?);
        let rows = rows_of(yard.data, id, number, part, &keys)?;
        let shelf = Arc::new(Shelf::over(rows, part.count(), yard.data, yard.ambient));
        let read = |piece: &PiecePart| {
            let (table, coded) = files.piece(piece, &plan)?;
            Ok(Arc::new(Piece::of(piece.first, table, coded, Arc::clone(&shelf))))
        };
        let read: Result<Vec<_>, GenerationError> =
            yard.pool.install(|| part.pieces.par_iter().map(read).collect());
        pieces.insert(part.model.clone(), read?);
        let coding = Coding { plan, fitted_on: part.count() as usize, shelf, approximate: None };
        codings.insert(part.model.clone(), coding);
    }
    Ok(Opened { manifest, pieces, codings })
}

pub(super) struct Files<'a> {
    pub(super) id: GenerationId,
    pub(super) folder: PathBuf,
    pub(super) key: &'a SealingKey,
}

impl Files<'_> {
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>, GenerationError> {
        let mut sealed =
            fs::read(self.folder.join(name)).map_err(|error| GenerationError::Io { id: self.id.0, error })?;
        let id = self.id.0.to_le_bytes();
        let opened = self.key.open_file(&about_file(&id, name), &mut sealed);
        opened.ok_or_else(|| damaged(self.id, name))?;
        Ok(sealed)
    }

    pub(super) fn piece(
        &self,
        part: &PiecePart,
        plan: &Arc<Plan>,
    ) -> Result<(Table, Coded), GenerationError> {
        let bytes = self.read(&part.name)?;
        let mut bytes = Reader::new(&bytes);
        let table = Table::read(&mut bytes).filter(|table| {
            table.len() == part.count as usize && table.len() > 0 && table.first_key().0 == part.first_key
        });
        let coded =
            Coded::read(Arc::clone(plan), &mut bytes).filter(|coded| coded.len() == part.count as usize);
        match (table, coded) {
            (Some(table), Some(coded)) if bytes.is_at_end() => Ok((table, coded)),
            _ => Err(damaged(self.id, &part.name)),
        }
    }
}

pub(super) fn rows_of(
    data: &Path,
    id: GenerationId,
    number: usize,
    part: &ModelPart,
    keys: &GenerationKeys,
) -> Result<SealedRows, GenerationError> {
    let path = manifest::folder_of(data, id).join(format!("rows-{number}"));
    let failed = |error| GenerationError::Io { id: id.0, error };
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
    let blocks = part.dimension.div_ceil(LANES);
    let rows = SealedRows { file, key: Arc::clone(&keys.rows), number: number as u32, blocks };
    let expected = u64::from(part.count()) * SealedRows::stride(blocks) as u64;
    if rows.file.metadata().map_err(failed)?.len() != expected {
        return Err(damaged(id, "its rows end early"));
    }
    Ok(rows)
}

pub(super) fn seal_file(
    key: &SealingKey,
    ambient: &Ambient,
    id: GenerationId,
    name: &str,
    plain: &[u8],
) -> Vec<u8> {
    key.seal(ambient, &about_file(&id.0.to_le_bytes(), name), plain)
}

fn about_file<'a>(id: &'a [u8; 8], name: &'a str) -> [&'a [u8]; 3] {
    // A piece that was rewritten has another name, and is about the same.
    let place = name.split('.').next().unwrap_or_default();
    [b"limen/generation-file/v1", id, place.as_bytes()]
}

pub(super) fn piece_bytes(table: &Table, coded: &Coded) -> Writer {
    let mut bytes = Writer::with_room(coded.bytes() + table.bytes() + 1024);
    table.write(&mut bytes);
    coded.write(&mut bytes);
    bytes
}

/// SHA-256 over the tags of rows.
pub(super) fn tags(rows: &SealedRows, slots: std::ops::Range<u32>) -> io::Result<String> {
    let stride = SealedRows::stride(rows.blocks);
    let mut all = Vec::with_capacity(slots.len() * TAG);
    let mut some = vec![0; stride * 256];
    let mut slot = slots.start;
    while slot < slots.end {
        let count = (slots.end - slot).min(256) as usize;
        let here = &mut some[..count * stride];
        rows.file.read_exact_at(here, u64::from(slot) * stride as u64)?;
        here.chunks_exact(stride).for_each(|row| all.extend(&row[stride - TAG..]));
        slot += count as u32;
    }
    Ok(sha256(&[&all]).to_string())
}
