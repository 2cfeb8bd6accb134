//! The file of the log's keys, wrapped under the root key: the one that signs its checkpoints, and one a month under which its events are sealed.
//! docs/formats/keys.md draws it.

use super::{
    KeysError,
    root::RootKey,
    seal::{KEY, KeyBytes, SealingKey},
};
use crate::{ambient::Ambient, timestamp::Timestamp};
use audit::{
    hash,
    note::{Kind, SigningKey},
    segment::Leaf,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};
use zeroize::Zeroizing;

const VERSION: u32 = 1;
const SIGNING: &[u8] = b"limen/log-key/v1";
const MONTH: &[u8] = b"limen/month-key/v1";
const EVENT: &[u8] = b"limen/event/v1";
/// How a payload begins that is not sealed: of a log of the first format.
const PLAIN: u8 = 0;
const SEALED: u8 = 1;

/// The file: a few lines of JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    /// The log's name.
    origin: String,
    /// The seed of the key that signs, under the root key, in hexadecimal digits.
    signing: String,
    /// The months' keys, likewise.
    months: BTreeMap<String, String>,
    /// CRC-32C of all before.
    checksum: u32,
}

impl Stored {
    fn sum(&self) -> u32 {
        let Self { version, origin, signing, months, .. } = self;
        let parts = months.iter().flat_map(|(month, key)| [month, key]);
        let parts = [origin, signing].into_iter().chain(parts);
        parts.fold(*version, |sum, part| {
            crc32c::crc32c_append(crc32c::crc32c_append(sum, part.as_bytes()), b"\n")
        })
    }

    /// The same with other months.
    fn with(&self, change: impl FnOnce(&mut BTreeMap<String, String>)) -> Self {
        let (origin, signing, mut months) = (self.origin.clone(), self.signing.clone(), self.months.clone());
        change(&mut months);
        Self { version: self.version, origin, signing, months, checksum: 0 }
    }

    fn write(&mut self, path: &Path) -> io::Result<()> {
        self.checksum = self.sum();
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        audit::storage::publish(path, &bytes)
    }
}

/// Why an event cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Its month's key was destroyed.
    Erased,
    /// It is not what the tree holds.
    Damaged,
}

/// An event's payload, and what hides it behind its commitment.
pub(crate) struct Opened {
    pub(crate) salt: [u8; 32],
    pub(crate) payload: Vec<u8>,
}

/// A month's key, and by what it is known from another of the same month.
struct MonthKey {
    id: [u8; 4],
    key: SealingKey,
}

impl MonthKey {
    fn new(bytes: &[u8; KEY]) -> Self {
        let id = *hash::sha256(&[b"limen/month-key-id/v1", bytes]).0.first_chunk().expect("a hash is longer");
        Self { id, key: SealingKey::new(bytes) }
    }
}

/// Is this payload sealed, so that there was a key?
pub(crate) fn is_sealed(leaf: &Leaf) -> bool {
    leaf.payload.first() == Some(&SEALED)
}

/// The log's keys.
pub(crate) struct LogKeys {
    path: PathBuf,
    root: SealingKey,
    signing: SigningKey,
    stored: RwLock<Stored>,
    /// The months' keys that were asked for, by number.
    opened: RwLock<BTreeMap<u32, MonthKey>>,
}

impl LogKeys {
    /// Makes a file without months, with a new log's name.
    pub(crate) fn create(path: &Path, root: &RootKey, ambient: &Ambient) -> io::Result<()> {
        let sealing = root.sealing();
        let (name, seed): ([u8; 8], KeyBytes) = (ambient.random(), Zeroizing::new(ambient.random()));
        let origin = format!("limen/{}", hex(&name));
        let signing = hex(&sealing.seal(ambient, &[SIGNING, origin.as_bytes()], &*seed));
        let months = BTreeMap::new();
        Stored { version: VERSION, origin, signing, months, checksum: 0 }.write(path)
    }

    /// Opens a file.
    pub(crate) fn open(path: &Path, root: &RootKey) -> Result<Self, KeysError> {
        let sealing = root.sealing();
        let damaged = || KeysError::Damaged("the log's keys".to_owned());
        let stored: Stored = serde_json::from_slice(&fs::read(path)?).map_err(|_| damaged())?;
        if stored.version != VERSION || stored.checksum != stored.sum() {
            return Err(damaged());
        }
        let seed =
            unwrap(&sealing, &[SIGNING, stored.origin.as_bytes()], &stored.signing).ok_or_else(damaged)?;
        let signing = SigningKey::new(&stored.origin, Kind::Note, &seed).map_err(|_| damaged())?;
        let (path, opened) = (path.to_owned(), RwLock::default());
        Ok(Self { path, root: sealing, signing, stored: RwLock::new(stored), opened })
    }

    /// The key that signs checkpoints.
    pub(crate) fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// A leaf that holds this payload sealed.
    ///
    /// # Errors
    /// When the month has no key yet, and it cannot be written.
    pub(crate) fn seal(
        &self,
        ambient: &Ambient,
        at: Timestamp,
        tag: u64,
        salt: &[u8; 32],
        payload: &[u8],
    ) -> io::Result<Leaf> {
        let month = at.month();
        self.must_have(month, ambient)?;
        let commitment = hash::commitment(salt, payload);
        let mut sealed = vec![SEALED];
        sealed.extend(month.to_le_bytes());
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        let key = opened.get(&month).ok_or_else(|| io::Error::other("the month's key was destroyed"))?;
        sealed.extend(key.id);
        sealed.extend(key.key.seal(ambient, &[EVENT, &commitment.0], &[salt.as_slice(), payload].concat()));
        Ok(Leaf { tag, commitment, payload: sealed })
    }

    /// What a leaf holds.
    pub(crate) fn open_leaf(&self, leaf: &Leaf) -> Result<Opened, Unread> {
        let opened = match leaf.payload.split_first().ok_or(Unread::Damaged)? {
            (&PLAIN, rest) => rest.to_vec(),
            (&SEALED, rest) => {
                let (month, sealed) = rest.split_first_chunk().ok_or(Unread::Damaged)?;
                let month = u32::from_le_bytes(*month);
                self.know(month).ok_or(Unread::Erased)?;
                let (id, sealed) = sealed.split_first_chunk().ok_or(Unread::Damaged)?;
                let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
                // Another of this month, where keys of before were put back.
                let key = opened.get(&month).filter(|key| key.id == *id).ok_or(Unread::Erased)?;
                key.key.open(&[EVENT, &leaf.commitment.0], sealed).ok_or(Unread::Damaged)?.to_vec()
            }
            _ => return Err(Unread::Damaged),
        };
        let (salt, payload) = opened.split_first_chunk().ok_or(Unread::Damaged)?;
        if hash::commitment(salt, payload) != leaf.commitment {
            return Err(Unread::Damaged);
        }
        Ok(Opened { salt: *salt, payload: payload.to_vec() })
    }

    /// The months before this one of which there are keys.
    pub(crate) fn before(&self, month: u32) -> Vec<String> {
        let stored = self.stored.read().unwrap_or_else(PoisonError::into_inner);
        stored.months.range(..written(month)).map(|(name, _)| name.clone()).collect()
    }

    /// Destroys the keys of all months before this one: their events cannot be read any more, and all proofs hold.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn forget_before(&self, month: u32) -> io::Result<()> {
        let mut stored = self.stored.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = stored.with(|months| *months = months.split_off(&written(month)));
        next.write(&self.path)?;
        *stored = next;
        self.opened.write().unwrap_or_else(PoisonError::into_inner).retain(|number, _| *number >= month);
        Ok(())
    }

    /// Unwraps a month's key, if there is one.
    fn know(&self, month: u32) -> Option<()> {
        if self.opened.read().unwrap_or_else(PoisonError::into_inner).contains_key(&month) {
            return Some(());
        }
        let name = written(month);
        let stored = self.stored.read().unwrap_or_else(PoisonError::into_inner);
        let bytes = unwrap(&self.root, &[MONTH, name.as_bytes()], stored.months.get(&name)?)?;
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        opened.insert(month, MonthKey::new(&bytes));
        Some(())
    }

    fn must_have(&self, month: u32, ambient: &Ambient) -> io::Result<()> {
        if self.know(month).is_some() {
            return Ok(());
        }
        let mut stored = self.stored.write().unwrap_or_else(PoisonError::into_inner);
        let name = written(month);
        if stored.months.contains_key(&name) {
            return Ok(()); // since
        }
        let bytes: KeyBytes = Zeroizing::new(ambient.random());
        let wrapped = hex(&self.root.seal(ambient, &[MONTH, name.as_bytes()], &*bytes));
        let mut next = stored.with(|months| drop(months.insert(name, wrapped)));
        next.write(&self.path)?;
        *stored = next;
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        opened.insert(month, MonthKey::new(&bytes));
        Ok(())
    }
}

/// A month as it is written: `2026-11`.
fn written(month: u32) -> String {
    format!("{:04}-{:02}", month / 12, month % 12 + 1)
}

fn unwrap(under: &SealingKey, about: &[&[u8]], wrapped: &str) -> Option<KeyBytes> {
    let bytes = under.open(about, &base16ct::lower::decode_vec(wrapped).ok()?)?;
    Some(Zeroizing::new(<[u8; KEY]>::try_from(bytes.as_slice()).ok()?))
}

fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

impl std::fmt::Debug for LogKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogKeys")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_event_is_read_until_its_month_is_forgotten() {
        let place = tempfile::tempdir().unwrap();
        let (path, ambient) = (place.path().join("log"), Ambient::system());
        let root = RootKey::draw(&ambient);
        LogKeys::create(&path, &root, &ambient).unwrap();
        let open = || LogKeys::open(&path, &root).unwrap();
        let keys = open();
        let seal = |when: &str| keys.seal(&ambient, at(when), 1, &[7; 32], b"what happened").unwrap();
        let (old, new) = (seal("2026-10-31T23:59:59Z"), seal("2026-11-01T00:00:00Z"));
        assert_eq!(old.commitment, new.commitment);
        assert!(!old.payload.windows(4).any(|window| window == b"what"));
        let (name, keys) = (keys.signing().verifier().clone(), open());
        assert_eq!(keys.signing().verifier(), &name, "the log keeps its name and key");
        for leaf in [&old, &new] {
            let opened = keys.open_leaf(leaf).unwrap();
            assert_eq!((opened.salt, opened.payload.as_slice()), ([7; 32], b"what happened".as_slice()));
        }
        let mut changed = new.clone();
        *changed.payload.last_mut().unwrap() ^= 1;
        assert_eq!(keys.open_leaf(&changed).err(), Some(Unread::Damaged));
        let month = at("2026-11-20T00:00:00Z").month();
        assert_eq!(keys.before(month), ["2026-10"]);
        keys.forget_before(month).unwrap();
        // A new key of the month does not make the old event one that was changed.
        keys.seal(&ambient, at("2026-10-01T00:00:00Z"), 1, &[7; 32], b"x").unwrap();
        for keys in [keys, open()] {
            assert_eq!(keys.open_leaf(&old).err(), Some(Unread::Erased));
            assert!(keys.open_leaf(&new).is_ok());
        }
        assert!(LogKeys::open(&path, &RootKey::draw(&ambient)).is_err(), "another root key");
    }
}
