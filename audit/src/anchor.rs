//! The log's head, kept outside of the log's folder. An older copy of the log, or one that has lost its tail, does
//! not reach it.

use crate::{hash::Hash, segment::Head, storage};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

const MAGIC: &[u8; 8] = b"LIMENAN1";
/// Two marks stand so far apart that no torn write reaches both.
const SLOT_BYTES: u64 = 4096;
const MARK_BYTES: usize = 68;

/// A log as far as an anchor knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Number of leaves.
    pub size: u64,
    /// The highest tag of any leaf, 0 if none.
    pub last_tag: u64,
    /// The Merkle tree hash of these leaves.
    pub root: Hash,
}

impl From<&Head> for Mark {
    fn from(head: &Head) -> Self {
        Self { size: head.tree.size(), last_tag: head.last_tag, root: head.tree.root() }
    }
}

/// Why an anchor does not hold.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// There is none: the path is wrong, or what it lies on is not there.
    #[error("there is no anchor at {0}")]
    Missing(PathBuf),
    /// There is one already.
    #[error("{0} is there already")]
    Exists(PathBuf),
    /// Another process has it open.
    #[error("another process has the anchor {0} open")]
    Locked(PathBuf),
    /// It is in the data folder.
    #[error("the anchor {0} is in the data folder: an older copy would bring its own")]
    Inside(PathBuf),
    /// It is not an anchor, or neither of its marks is whole.
    #[error("{0} is not an anchor, or it is damaged")]
    Damaged(PathBuf),
    /// The operating system says why.
    #[error("the anchor cannot be used: {0}")]
    Io(#[from] io::Error),
    /// The log has fewer leaves than it had.
    #[error(
        "the anchor knows {} leaves of the audit log, up to event {} of the record; the log has {log}: an older copy of the data folder was put back, or the log has lost its tail",
        .anchor.size, .anchor.last_tag
    )]
    Behind {
        /// What the anchor knows.
        anchor: Mark,
        /// Leaves in the log.
        log: u64,
    },
    /// The log has other leaves than it had.
    #[error(
        "the first {0} leaves of the audit log are not those that the anchor knows: it is another log, or it was changed"
    )]
    Other(u64),
}

/// An open anchor file. It holds the last two marks, and a mark is written over the older one: one write in place
/// and one sync, so that a full disk does not stop it.
#[derive(Debug)]
pub struct Anchor {
    file: File,
    mark: Mark,
    turn: u64,
}

impl Anchor {
    /// Makes an anchor that knows a log up to this head.
    ///
    /// # Errors
    /// When the file is there already, or cannot be written.
    pub fn create(path: &Path, head: &Head) -> Result<(), AnchorError> {
        // Of two who make it, one gets the name; what a stop leaves of it is a damaged anchor.
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(_) => Self::replace(path, head),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(AnchorError::Exists(path.to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The same in place of a file that is there.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn replace(path: &Path, head: &Head) -> Result<(), AnchorError> {
        let mut bytes = vec![0; 2 * SLOT_BYTES as usize];
        bytes[..MARK_BYTES].copy_from_slice(&encode(0, Mark::from(head)));
        Ok(storage::publish(path, &bytes)?)
    }

    /// An anchor in a folder that it is to watch over would be put back with it.
    ///
    /// # Errors
    /// When it is in there, or its own folder cannot be found.
    pub fn must_be_outside(path: &Path, folder: &Path) -> Result<(), AnchorError> {
        match storage::is_inside(path, folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(AnchorError::Missing(path.to_owned()))
            }
            Err(error) => Err(error.into()),
            Ok(true) => Err(AnchorError::Inside(path.to_owned())),
            Ok(false) => Ok(()),
        }
    }

    /// Opens an anchor.
    ///
    /// # Errors
    /// When it is not there, in use, or not an anchor.
    pub fn open(path: &Path) -> Result<Self, AnchorError> {
        let mut file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(AnchorError::Missing(path.to_owned()));
            }
            Err(error) => return Err(error.into()),
        };
        match file.try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => return Err(AnchorError::Locked(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let mut bytes = Vec::new();
        (&mut file).take(3 * SLOT_BYTES).read_to_end(&mut bytes)?;
        let marks = bytes.chunks(SLOT_BYTES as usize).take(2).filter_map(decode);
        let (turn, mark) =
            marks.max_by_key(|(turn, _)| *turn).ok_or_else(|| AnchorError::Damaged(path.to_owned()))?;
        Ok(Self { file, mark, turn })
    }

    /// What it knows.
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// Makes it know the log up to this head, durably.
    ///
    /// # Errors
    /// When it cannot be written or synced.
    pub fn put(&mut self, head: &Head) -> io::Result<()> {
        let (turn, mark) = (self.turn + 1, Mark::from(head));
        self.file.seek(SeekFrom::Start(turn % 2 * SLOT_BYTES))?;
        self.file.write_all(&encode(turn, mark))?;
        self.file.sync_data()?;
        (self.turn, self.mark) = (turn, mark);
        Ok(())
    }
}

fn encode(turn: u64, mark: Mark) -> [u8; MARK_BYTES] {
    let mut bytes = [0; MARK_BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..16].copy_from_slice(&turn.to_le_bytes());
    bytes[16..24].copy_from_slice(&mark.size.to_le_bytes());
    bytes[24..32].copy_from_slice(&mark.last_tag.to_le_bytes());
    bytes[32..64].copy_from_slice(&mark.root.0);
    let checksum = crc32c::crc32c(&bytes[..64]);
    bytes[64..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn decode(slot: &[u8]) -> Option<(u64, Mark)> {
    let bytes: &[u8; MARK_BYTES] = slot.first_chunk()?;
    let number = |at: usize| bytes[at..at + 8].try_into().ok().map(u64::from_le_bytes);
    let checksum = u32::from_le_bytes(bytes[64..].try_into().ok()?);
    if &bytes[..8] != MAGIC || checksum != crc32c::crc32c(&bytes[..64]) {
        return None;
    }
    let root = Hash(bytes[32..64].try_into().ok()?);
    Some((number(8)?, Mark { size: number(16)?, last_tag: number(24)?, root }))
}
