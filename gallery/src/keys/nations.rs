//! The file of nations' keys, wrapped under the root key. docs/formats/keys.md draws it.

use super::{
    KeysError,
    root::RootKey,
    seal::{KeyBytes, SealingKey},
};
use crate::{ambient::Ambient, law::Nation};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};
use zeroize::Zeroizing;

const VERSION: u32 = 1;
const GENERATIONS: &[u8] = b"limen/generations-key/v1";

/// The file: a few lines of JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    /// Nothing, sealed under the root key: is it the right one?
    root_check: String,
    /// The key of generations' keys, under the root key.
    generations: String,
    /// Keys under the root key, in hexadecimal digits.
    nations: BTreeMap<String, String>,
    /// CRC-32C of all before.
    checksum: u32,
}

/// The keys of nations.
#[derive(Debug)]
pub(crate) struct NationKeys {
    path: PathBuf,
    root: SealingKey,
    generations: SealingKey,
    generations_wrapped: String,
    stored: RwLock<BTreeMap<String, String>>,
    opened: RwLock<HashMap<Nation, Arc<SealingKey>>>,
    root_check: String,
}

impl NationKeys {
    /// Makes a file without keys.
    pub(crate) fn create(path: &Path, root: &RootKey, ambient: &Ambient) -> io::Result<()> {
        let check = hex(&root.sealing().seal(ambient, &[b"limen/root-check/v1"], &[]));
        let key: KeyBytes = Zeroizing::new(ambient.random());
        let generations = hex(&root.sealing().seal(ambient, &[GENERATIONS], &*key));
        write(path, &check, &generations, &BTreeMap::new())
    }

    /// Opens a file and every key in it.
    pub(crate) fn open(path: &Path, root: &RootKey) -> Result<Self, KeysError> {
        let damaged = || KeysError::Damaged("the nations' keys".to_owned());
        let stored: Stored = serde_json::from_slice(&fs::read(path)?).map_err(|_| damaged())?;
        if stored.version != VERSION
            || stored.checksum != checksum(&stored.root_check, &stored.generations, &stored.nations)
        {
            return Err(damaged());
        }
        let root = root.sealing();
        let check = unhex(&stored.root_check).ok_or_else(damaged)?;
        root.open(&[b"limen/root-check/v1"], &check).ok_or(KeysError::OtherRoot)?;
        let generations = unhex(&stored.generations).and_then(|wrapped| root.open(&[GENERATIONS], &wrapped));
        let generations = generations.ok_or_else(damaged)?;
        let generations: KeyBytes = Zeroizing::new(generations.as_slice().try_into().map_err(|_| damaged())?);
        let mut opened = HashMap::new();
        for (name, wrapped) in &stored.nations {
            let nation: Nation = name.parse().map_err(|_| damaged())?;
            let key = unhex(wrapped).and_then(|wrapped| root.open(&about(&nation), &wrapped));
            let key = key.ok_or_else(damaged)?;
            let key: KeyBytes = Zeroizing::new(key.as_slice().try_into().map_err(|_| damaged())?);
            opened.insert(nation, Arc::new(SealingKey::new(&key)));
        }
        Ok(Self {
            path: path.to_owned(),
            root,
            generations: SealingKey::new(&generations),
            generations_wrapped: stored.generations,
            stored: RwLock::new(stored.nations),
            opened: RwLock::new(opened),
            root_check: stored.root_check,
        })
    }

    /// The key of a nation, if it has one.
    pub(crate) fn get(&self, nation: &Nation) -> Option<Arc<SealingKey>> {
        self.opened.read().unwrap_or_else(PoisonError::into_inner).get(nation).cloned()
    }

    /// The key of a nation; it is made, durably, if there is none. Only the record's writer calls this.
    pub(crate) fn get_or_make(&self, nation: &Nation, ambient: &Ambient) -> io::Result<Arc<SealingKey>> {
        if let Some(key) = self.get(nation) {
            return Ok(key);
        }
        let bytes: KeyBytes = Zeroizing::new(ambient.random());
        let wrapped = hex(&self.root.seal(ambient, &about(nation), &*bytes));
        let mut stored = self.stored.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = stored.clone();
        next.insert(nation.to_string(), wrapped);
        write(&self.path, &self.root_check, &self.generations_wrapped, &next)?;
        *stored = next;
        let key = Arc::new(SealingKey::new(&bytes));
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        opened.insert(nation.clone(), Arc::clone(&key));
        Ok(key)
    }

    /// The key under which those of generations are wrapped: without this file, no generation can be read.
    pub(crate) fn generations(&self) -> &SealingKey {
        &self.generations
    }

    /// The root key, for what belongs to no nation.
    pub(crate) fn root(&self) -> &SealingKey {
        &self.root
    }
}

fn about(nation: &Nation) -> [&[u8]; 2] {
    [b"limen/nation-key/v1", nation.as_str().as_bytes()]
}

fn write(
    path: &Path,
    root_check: &str,
    generations: &str,
    nations: &BTreeMap<String, String>,
) -> io::Result<()> {
    let checksum = checksum(root_check, generations, nations);
    let stored = Stored {
        version: VERSION,
        root_check: root_check.to_owned(),
        generations: generations.to_owned(),
        nations: nations.clone(),
        checksum,
    };
    let mut bytes = serde_json::to_vec_pretty(&stored)?;
    bytes.push(b'\n');
    audit::storage::publish(path, &bytes)
}

fn checksum(root_check: &str, generations: &str, nations: &BTreeMap<String, String>) -> u32 {
    let parts = nations.iter().flat_map(|(name, key)| [name.as_str(), key.as_str()]);
    let line = |sum, part: &str| crc32c::crc32c_append(crc32c::crc32c_append(sum, part.as_bytes()), b"\n");
    parts.fold(line(line(VERSION, root_check), generations), line)
}

fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    base16ct::lower::decode_vec(text).ok()
}
