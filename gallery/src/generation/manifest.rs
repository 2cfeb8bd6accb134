//! Generations on disk: each a folder of files that are derived from the record, and a manifest, written last, that says what they are.
//! docs/formats/generation.md draws them.

use crate::{
    id::{EncounterKey, GenerationId, RecordSequence},
    keys::seal::{KEY, SealingKey},
    timestamp::Timestamp,
};
use audit::{
    hash::{Hash, sha256},
    storage::{publish, sync_folder},
    tree::Frontier,
};
use matcher::template::ModelId;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

const VERSION: u32 = 1;
const KIND: &[u8] = b"limen/generation/v1";
pub(crate) const FOLDER: &str = "generations";
pub(super) const MANIFEST: &str = "manifest";
const CURRENT: &str = "current";

/// Why a generation on disk cannot be used. It is derived from the record: another is built in its place.
#[derive(Debug, thiserror::Error)]
pub enum GenerationError {
    /// There is none of this number, or its build was not finished.
    #[error("there is no generation {0}")]
    Missing(u64),
    /// It cannot be read which was chosen.
    #[error("which generation was chosen cannot be read: {0}")]
    Unknown(io::Error),
    /// A file cannot be read or written.
    #[error("generation {id}: {error}")]
    Io {
        /// Which.
        id: u64,
        /// Why.
        error: io::Error,
    },
    /// A file is not what was written.
    #[error("generation {id} is damaged: {what}")]
    Damaged {
        /// Which.
        id: u64,
        /// What.
        what: String,
    },
    /// It does not give what the record holds.
    #[error("generation {id} is not one of this record: {what}")]
    Foreign {
        /// Which.
        id: u64,
        /// What.
        what: String,
    },
}

/// What a generation is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    version: u32,
    pub(crate) id: GenerationId,
    /// Up to which event of the record.
    pub(crate) as_of: RecordSequence,
    /// The last encounter that it may hold.
    pub(crate) last_key: i64,
    pub(crate) built_at: Timestamp,
    /// The keys of its rows and of its other files, wrapped under the root key.
    keys: String,
    pub(crate) models: Vec<ModelPart>,
    /// The Merkle root over the digests of all parts.
    root: String,
}

/// The references of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelPart {
    pub(crate) model: ModelId,
    pub(crate) dimension: usize,
    /// SHA-256 of the file `plan-N`, N being the model's number in this manifest.
    pub(crate) plan: String,
    pub(crate) pieces: Vec<PiecePart>,
}

/// A run of references.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PiecePart {
    /// The first slot.
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) first_key: i64,
    /// The file.
    pub(crate) name: String,
    /// SHA-256 of the file.
    pub(crate) sha256: String,
    /// SHA-256 of the tags of its rows in the file `rows-N`.
    pub(crate) tags: String,
}

impl ModelPart {
    pub(crate) fn count(&self) -> u32 {
        self.pieces.last().map_or(0, |last| last.first + last.count)
    }
}

/// The keys of one generation.
pub(crate) struct GenerationKeys {
    pub(crate) rows: std::sync::Arc<SealingKey>,
    pub(crate) files: SealingKey,
}

impl GenerationKeys {
    pub(crate) fn of(bytes: &[u8; 2 * KEY]) -> Self {
        let halves = bytes.as_chunks::<KEY>().0;
        Self { rows: std::sync::Arc::new(SealingKey::new(&halves[0])), files: SealingKey::new(&halves[1]) }
    }
}

/// The folder of generations in a data folder.
pub(crate) fn folder(data: &Path) -> PathBuf {
    data.join(FOLDER)
}

/// The folder of a generation.
pub(crate) fn folder_of(data: &Path, id: GenerationId) -> PathBuf {
    folder(data).join(id.0.to_string())
}

impl Manifest {
    pub(crate) fn new(id: GenerationId, as_of: RecordSequence, built_at: Timestamp, wrapped: &[u8]) -> Self {
        let keys = base16ct::lower::encode_string(wrapped);
        let (models, root) = (Vec::new(), String::new());
        Self { version: VERSION, id, as_of, last_key: 0, built_at, keys, models, root }
    }

    /// The Merkle root over the digests of all parts.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    pub(crate) fn last_key(&self) -> EncounterKey {
        EncounterKey(self.last_key)
    }

    /// What its keys are wrapped about.
    pub(crate) fn about_keys(id: &[u8; 8]) -> [&[u8]; 2] {
        [b"limen/generation-keys/v1", id]
    }

    pub(crate) fn keys(&self, root: &SealingKey) -> Result<GenerationKeys, GenerationError> {
        let wrapped = base16ct::lower::decode_vec(&self.keys).ok();
        let id = self.id.0.to_le_bytes();
        let bytes = wrapped.and_then(|wrapped| root.open(&Self::about_keys(&id), &wrapped));
        let bytes =
            bytes.and_then(|bytes| Some(Zeroizing::new(<[u8; 2 * KEY]>::try_from(bytes.as_slice()).ok()?)));
        bytes.map(|bytes| GenerationKeys::of(&bytes)).ok_or_else(|| damaged(self.id, "its keys"))
    }

    /// Writes it, which makes a generation of the files beside it, or another of a generation that was changed.
    pub(crate) fn publish(&mut self, data: &Path, root: &SealingKey, nonce: [u8; 12]) -> io::Result<()> {
        let mut tree = Frontier::default();
        for part in &self.models {
            tree.push(sha256(&[part.model.as_str().as_bytes(), part.plan.as_bytes()]));
            part.pieces.iter().for_each(|piece| tree.push(digest(piece)));
        }
        self.root = tree.root().to_string();
        let bytes = root.vouch(nonce, KIND, serde_json::to_vec(self)?);
        let folder = folder_of(data, self.id);
        sync_folder(&folder)?;
        publish(&folder.join(MANIFEST), &bytes)
    }

    /// Reads one.
    pub(crate) fn open(data: &Path, id: GenerationId, root: &SealingKey) -> Result<Self, GenerationError> {
        let bytes = match fs::read(folder_of(data, id).join(MANIFEST)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(GenerationError::Missing(id.0));
            }
            bytes => bytes.map_err(|error| GenerationError::Io { id: id.0, error })?,
        };
        let json = root.vouched(KIND, &bytes).ok();
        let manifest = json.and_then(|json| serde_json::from_slice::<Self>(json).ok());
        let manifest = manifest.ok_or_else(|| damaged(id, "its manifest"))?;
        if manifest.id != id || manifest.version != VERSION {
            return Err(damaged(id, "its manifest is another's"));
        }
        Ok(manifest)
    }
}

fn digest(piece: &PiecePart) -> Hash {
    let place = [piece.first.to_le_bytes(), piece.count.to_le_bytes()].concat();
    sha256(&[&place, &piece.first_key.to_le_bytes(), piece.sha256.as_bytes(), piece.tags.as_bytes()])
}

pub(crate) fn damaged(id: GenerationId, what: &str) -> GenerationError {
    GenerationError::Damaged { id: id.0, what: what.to_owned() }
}

/// The generation that a start opens, if one was chosen.
pub(crate) fn current(data: &Path) -> io::Result<Option<GenerationId>> {
    Ok(chosen(data)?[0])
}

/// The one that was searched before it.
pub(crate) fn former(data: &Path) -> io::Result<Option<GenerationId>> {
    Ok(chosen(data)?[1])
}

fn chosen(data: &Path) -> io::Result<[Option<GenerationId>; 2]> {
    let bytes = match fs::read(folder(data).join(CURRENT)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok([None, None]),
        bytes => bytes?,
    };
    // One that is damaged chooses none.
    let text = String::from_utf8(bytes).unwrap_or_default();
    let mut ids = text.lines().map(|line| line.parse().ok().map(GenerationId));
    Ok([ids.next().flatten(), ids.next().flatten()])
}

/// Chooses the generation that the next start opens.
pub(crate) fn choose(data: &Path, id: GenerationId) -> io::Result<()> {
    let [current, former] = chosen(data)?;
    let former = current.filter(|current| *current != id).or(former);
    let former = former.map_or(String::new(), |former| format!("{}\n", former.0));
    publish(&folder(data).join(CURRENT), format!("{}\n{former}", id.0).as_bytes())
}

/// A number that no generation has had.
pub(crate) fn next(data: &Path, last: GenerationId) -> io::Result<GenerationId> {
    let last = all(data)?.last().copied().max(Some(last));
    Ok(GenerationId(last.map_or(1, |last| last.0 + 1)))
}

/// The numbers of all generations that are there, also of unfinished ones, ascending.
pub(crate) fn all(data: &Path) -> io::Result<Vec<GenerationId>> {
    let names = match fs::read_dir(folder(data)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        names => names?,
    };
    let mut ids = Vec::new();
    for name in names {
        ids.extend(name?.file_name().to_str().and_then(|name| name.parse().ok()).map(GenerationId));
    }
    ids.sort_unstable();
    Ok(ids)
}

/// Makes the folder of a new generation; what an unfinished build of this number left there is deleted.
pub(crate) fn make(data: &Path, id: GenerationId) -> io::Result<PathBuf> {
    let folder = folder_of(data, id);
    remove(data, id)?;
    fs::create_dir_all(&folder)?;
    sync_folder(&self::folder(data))?;
    sync_folder(data)?;
    Ok(folder)
}

/// Deletes a generation, its manifest first.
pub(crate) fn remove(data: &Path, id: GenerationId) -> io::Result<()> {
    let folder = folder_of(data, id);
    if !folder.is_dir() {
        return Ok(());
    }
    match fs::remove_file(folder.join(MANIFEST)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::remove_dir_all(folder),
    }
}
