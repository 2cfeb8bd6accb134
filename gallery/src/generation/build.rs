//! Writing a generation's files from references as they come.

use super::{
    files::{Yard, piece_bytes, seal_file, tags},
    manifest::{self, GenerationKeys, Manifest, ModelPart, PiecePart},
    piece::{LIMIT, Table},
    shelf::SealedRows,
};
use crate::id::{EncounterKey, GenerationId, RecordSequence, SubjectId, WatchlistId};
use audit::{
    hash::sha256,
    storage::{publish, sync_folder},
};
use matcher::{
    bytes::Writer,
    coded::Coded,
    index::fit::fit,
    kernel::{Block, LANES},
    plan::Plan,
    rows::{Rows, Unreadable},
    score::Threshold,
    template::{ModelId, Template},
};
use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};
use zeroize::Zeroizing;

/// References on which a plan is chosen.
const SAMPLE: usize = 16_384;
/// Rows after which they are synced, so that the log's own sync never waits for much.
const SYNC_EVERY: u32 = 512;
/// References whose rows are in memory at a time.
const AT_ONCE: usize = 256;
/// Fewer references are searched soon enough however they are coded.
const LEAST: usize = 1024;

/// Why a build came to no end.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file cannot be written.
    #[error("the generation cannot be written: {0}")]
    Io(#[from] io::Error),
    /// A row that was just written cannot be read.
    #[error("the generation's rows cannot be read back: {0}")]
    Unreadable(#[from] Unreadable),
    /// Somebody told it to end.
    #[error("the build was cancelled")]
    Cancelled,
}

/// A generation in the making: references come in the order of their keys.
pub(crate) struct Builder<'a> {
    yard: Yard<'a>,
    folder: PathBuf,
    manifest: Manifest,
    keys: GenerationKeys,
    models: Vec<Filling>,
}

/// The references of one model so far: their rows are on disk.
struct Filling {
    model: ModelId,
    dimension: usize,
    rows: BufWriter<File>,
    tables: Vec<Table>,
    count: u32,
}

impl<'a> Builder<'a> {
    pub(crate) fn begin(yard: Yard<'a>, id: GenerationId, as_of: RecordSequence) -> Result<Self, BuildError> {
        let folder = manifest::make(yard.data, id)?;
        let bytes = Zeroizing::new(yard.ambient.random::<64>());
        let about = id.0.to_le_bytes();
        let wrapped = yard.root.seal(yard.ambient, &Manifest::about_keys(&about), &*bytes);
        let manifest = Manifest::new(id, as_of, yard.ambient.clock.now(), &wrapped);
        Ok(Self { yard, folder, manifest, keys: GenerationKeys::of(&bytes), models: Vec::new() })
    }

    /// Takes a reference in.
    pub(crate) fn push(
        &mut self,
        key: EncounterKey,
        subject: SubjectId,
        template: &Template,
        lists: &[WatchlistId],
    ) -> Result<(), BuildError> {
        let at = self.models.iter().position(|filling| filling.model == *template.model());
        let at = at.map_or_else(|| self.begin_model(template), Ok)?;
        let filling = &mut self.models[at];
        let blocks: Vec<Block> = Block::pad(template.features()).collect();
        let mut sealed = Vec::with_capacity(SealedRows::stride(blocks.len()));
        SealedRows::seal(&self.keys.rows, at as u32, filling.count, &blocks, &mut sealed);
        filling.rows.write_all(&sealed)?;
        if filling.count.is_multiple_of(SYNC_EVERY) {
            filling.rows.flush()?;
            filling.rows.get_ref().sync_data()?;
        }
        if (filling.count as usize).is_multiple_of(LIMIT) {
            filling.tables.push(Table::default());
        }
        filling.tables.last_mut().expect("pushed").push(key, subject, lists);
        filling.count += 1;
        self.manifest.last_key = key.0;
        Ok(())
    }

    fn begin_model(&mut self, like: &Template) -> io::Result<usize> {
        let number = self.models.len();
        let rows = create(&self.folder.join(format!("rows-{number}")))?;
        self.models.push(Filling {
            model: like.model().clone(),
            dimension: like.features().len(),
            rows: BufWriter::with_capacity(1 << 20, rows),
            tables: Vec::new(),
            count: 0,
        });
        Ok(number)
    }

    /// Chooses plans, codes all references and writes them; the manifest last. `go_on` is told how many are coded.
    pub(crate) fn finish(
        mut self,
        usual_threshold: impl Fn(&ModelId) -> Threshold,
        mut go_on: impl FnMut(u64) -> bool,
    ) -> Result<Manifest, BuildError> {
        let mut coded = 0;
        for (number, filling) in std::mem::take(&mut self.models).into_iter().enumerate() {
            let threshold = usual_threshold(&filling.model);
            let part = self.model_part(number as u32, filling, threshold, |count| {
                coded += u64::from(count);
                go_on(coded)
            })?;
            self.manifest.models.push(part);
        }
        sync_folder(&self.folder)?;
        self.manifest.publish(self.yard.data, self.yard.root, self.yard.ambient.random())?;
        Ok(self.manifest)
    }

    fn model_part(
        &self,
        number: u32,
        filling: Filling,
        threshold: Threshold,
        mut go_on: impl FnMut(u32) -> bool,
    ) -> Result<ModelPart, BuildError> {
        let Filling { model, dimension, rows, tables, count } = filling;
        let file = rows.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        let key = Arc::clone(&self.keys.rows);
        let rows = SealedRows { file, key, number, blocks: dimension.div_ceil(LANES) };
        let read = |slots: std::ops::Range<u32>, step: usize| -> Result<Rows, Unreadable> {
            let mut some = Rows::with_room(model.clone(), dimension, slots.len().div_ceil(step));
            for slot in slots.step_by(step) {
                some.push_with(|room| rows.read(slot, room))?;
            }
            Ok(some)
        };
        let plan = if (count as usize) < LEAST {
            Plan::unfitted(dimension)
        } else {
            let sample = read(0..count, (count as usize).div_ceil(SAMPLE))?;
            fit(self.yard.pool, self.yard.kernel, &sample, threshold).0
        };
        let plan = Arc::new(plan);
        let mut bytes = Writer::default();
        plan.write(&mut bytes);
        let digest = self.publish(&format!("plan-{number}"), bytes)?;
        let mut part = ModelPart { model: model.clone(), dimension, plan: digest, pieces: Vec::new() };
        let mut first = 0;
        for table in tables {
            let end = first + table.len() as u32;
            let mut coded = Coded::new(Arc::clone(&plan));
            for start in (first..end).step_by(AT_ONCE) {
                let here = read(start..end.min(start + AT_ONCE as u32), 1)?;
                let code = || Coded::of(Arc::clone(&plan), self.yard.kernel, &here, 0..here.len());
                coded.append(&self.yard.pool.install(code));
            }
            let tags = tags(&rows, first..end)?;
            let name = format!("piece-{number}-{}", part.pieces.len());
            let (count, first_key) = (table.len() as u32, table.first_key().0);
            let sha256 = self.publish(&name, piece_bytes(&table, &coded))?;
            part.pieces.push(PiecePart { first, count, first_key, name, sha256, tags });
            first = end;
            if !go_on(count) {
                return Err(BuildError::Cancelled);
            }
        }
        Ok(part)
    }

    fn publish(&self, name: &str, bytes: Writer) -> io::Result<String> {
        let id = self.manifest.id;
        let sealed = seal_file(&self.keys.files, self.yard.ambient, id, name, &bytes.into_bytes());
        publish(&self.folder.join(name), &sealed)?;
        Ok(sha256(&[&sealed]).to_string())
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}
