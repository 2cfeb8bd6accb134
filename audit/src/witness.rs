//! A witness: it remembers of each log the last checkpoint that it saw, cosigns what continues it, and tells what does not (c2sp.org/tlog-witness).

use crate::{
    checkpoint::{Checkpoint, decode, number},
    hash::sha256,
    note::{Note, SigningKey, VerifierKey},
    proof, storage,
};
use std::{
    collections::HashMap,
    fmt, fs, io,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

/// Lines of a proof that a request may have.
const PROOF_LIMIT: usize = 63;

/// Something that no honest log does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// The log has signed two trees of which neither continues the other, or does not show that one does.
    Fork {
        /// Which log.
        origin: String,
        /// Leaves of the tree that was seen before.
        seen: u64,
        /// Leaves of the tree that was signed now.
        signed: u64,
    },
    /// The log is shorter than it was.
    Rollback {
        /// Which log.
        origin: String,
        /// Leaves of the tree that was seen before.
        seen: u64,
        /// Leaves of the tree that was signed now.
        signed: u64,
    },
    /// Nothing was heard of the log for so long.
    Silence {
        /// Which log.
        origin: String,
        /// Seconds.
        seconds: u64,
    },
}

impl Alarm {
    /// Whose.
    pub fn origin(&self) -> &str {
        match self {
            Self::Fork { origin, .. } | Self::Rollback { origin, .. } | Self::Silence { origin, .. } => {
                origin
            }
        }
    }

    /// Do the log's own signatures prove it? All else may be somebody who sends an older checkpoint of it, or a wrong proof: it counts if the log does
    /// not show soon that it goes on.
    pub fn is_proven(&self) -> bool {
        matches!(self, Self::Fork { seen, signed, .. } if seen == signed)
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fork { origin, seen, signed } => {
                write!(
                    f,
                    "fork: {origin} signed {signed} leaves that do not continue the {seen} that were seen"
                )
            }
            Self::Rollback { origin, seen, signed } => {
                write!(f, "rollback: {origin} signed {signed} leaves after {seen} were seen")
            }
            Self::Silence { origin, seconds } => {
                write!(f, "silence: {origin} was not heard of for {seconds} s")
            }
        }
    }
}

/// What a witness answers: a status and a body of HTTP; and whether somebody must look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The cosignature (200), the size of the last checkpoint (409), or why not.
    pub body: String,
    /// What the log did, if it did.
    pub alarm: Option<Alarm>,
}

impl Reply {
    fn no(status: u16, why: impl fmt::Display) -> Self {
        Self { status, body: format!("{why}\n"), alarm: None }
    }
}

/// A witness of some logs.
#[derive(Debug)]
pub struct Witness {
    key: SigningKey,
    folder: PathBuf,
    logs: HashMap<String, VerifierKey>,
    /// One at a time: what is compared is what is written over.
    turn: Mutex<()>,
}

impl Witness {
    /// A witness that keeps what it saw in a folder that is there, and cosigns with this key.
    pub fn new(key: SigningKey, folder: PathBuf, logs: impl IntoIterator<Item = VerifierKey>) -> Self {
        let logs = logs.into_iter().map(|log| (log.name().to_owned(), log)).collect();
        Self { key, folder, logs, turn: Mutex::default() }
    }

    /// By which its cosignatures are known.
    pub fn key(&self) -> &VerifierKey {
        self.key.verifier()
    }

    /// The names of its logs.
    pub fn origins(&self) -> impl Iterator<Item = &str> {
        self.logs.keys().map(String::as_str)
    }

    fn path(&self, origin_hash: &str) -> PathBuf {
        self.folder.join(format!("{origin_hash}.checkpoint"))
    }

    /// The last checkpoint of a log that was cosigned, by the hash of the log's name in hexadecimal digits.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn last(&self, origin_hash: &str) -> io::Result<Option<String>> {
        if !self.logs.keys().any(|origin| sha256(&[origin.as_bytes()]).to_string() == origin_hash) {
            return Ok(None);
        }
        match fs::read_to_string(self.path(origin_hash)) {
            Ok(note) => Ok(Some(note)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Answers a request to cosign a checkpoint, `seconds` after 1970.
    ///
    /// # Errors
    /// When what was seen cannot be read or written: then nothing is cosigned.
    pub fn add_checkpoint(&self, request: &str, seconds: u64) -> io::Result<Reply> {
        let Some((old, path, note)) = parse(request) else {
            return Ok(Reply::no(400, "it is no such request"));
        };
        let Ok(claimed) = note.text().parse::<Checkpoint>() else {
            return Ok(Reply::no(400, "it is no checkpoint"));
        };
        let Some(log) = self.logs.get(&claimed.origin) else {
            return Ok(Reply::no(404, "no such log is known"));
        };
        let Ok(new) = Checkpoint::of(&note, log) else {
            return Ok(Reply::no(403, "the log has not signed it"));
        };
        if old > new.size {
            return Ok(Reply::no(400, "the old size is greater than the new"));
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let origin_hash = sha256(&[new.origin.as_bytes()]).to_string();
        let seen = match self.last(&origin_hash)? {
            None => Checkpoint { origin: new.origin.clone(), size: 0, root: sha256(&[]) },
            Some(kept) => kept
                .parse::<Note>()
                .and_then(|note| Checkpoint::of(&note, log))
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?,
        };
        let (origin, size) = (new.origin.clone(), new.size);
        if size < seen.size {
            let alarm = Alarm::Rollback { origin, seen: seen.size, signed: size };
            return Ok(Reply { status: 409, body: format!("{}\n", seen.size), alarm: Some(alarm) });
        }
        if old != seen.size {
            return Ok(Reply { status: 409, body: format!("{}\n", seen.size), alarm: None });
        }
        if !proof::continues((seen.size, seen.root), (size, new.root), &path) {
            let alarm = Alarm::Fork { origin, seen: seen.size, signed: size };
            let body = "it does not continue what was seen\n".to_owned();
            return Ok(Reply { status: 422, body, alarm: Some(alarm) });
        }
        let line = self.key.line(note.text(), seconds);
        // What the log signed, and this; other signatures are not ours to pass on.
        let kept = format!("{}\n{}{line}", note.text(), note.lines_of(log));
        storage::publish(&self.path(&origin_hash), kept.as_bytes())?;
        Ok(Reply { status: 200, body: line, alarm: None })
    }
}

/// A request's parts: the old size, the proof, and the checkpoint.
fn parse(request: &str) -> Option<(u64, Vec<crate::hash::Hash>, Note)> {
    let (head, note) = request.split_once("\n\n")?;
    let mut lines = head.split('\n');
    let old = number(lines.next()?.strip_prefix("old ")?).ok()?;
    let path: Vec<_> = lines.map(decode).collect::<Result<_, _>>().ok()?;
    (path.len() <= PROOF_LIMIT).then_some((old, path, note.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hash::{self, Hash},
        log::Log,
        note::Kind,
        segment::Leaf,
        storage::Disk,
    };
    use std::path::Path;

    const LOG: &str = "limen/test";

    fn witness(folder: &Path) -> Witness {
        let key = SigningKey::new("example/witness", Kind::Cosignature, &[9; 32]).unwrap();
        Witness::new(key, folder.to_owned(), [signer().verifier().clone()])
    }

    fn signer() -> SigningKey {
        SigningKey::new(LOG, Kind::Note, &[7; 32]).unwrap()
    }

    fn leaf(n: u64) -> Leaf {
        Leaf { tag: 0, commitment: hash::sha256(&[&n.to_le_bytes()]), payload: Vec::new() }
    }

    fn open(folder: &Path) -> Log {
        Log::open_tiled(Disk::open(&folder.join("log")).unwrap(), None, &folder.join("tiles")).unwrap()
    }

    fn request(log: &Log, old: u64) -> String {
        let head = log.head().tree;
        request_of(log, old, head.size(), head.root())
    }

    fn request_of(log: &Log, old: u64, size: u64, root: Hash) -> String {
        let text = Checkpoint { origin: LOG.to_owned(), size, root }.to_string();
        let path = proof::consistency(log.tiles().unwrap(), old, size).unwrap_or_default();
        let path: String = path.into_iter().map(|hash| crate::checkpoint::encode(hash) + "\n").collect();
        format!("old {old}\n{path}\n{text}\n{}", signer().line(&text, 0))
    }

    #[test]
    fn what_continues_is_cosigned_and_what_does_not_raises_an_alarm() {
        let place = tempfile::tempdir().unwrap();
        let (folder, kept) = (place.path(), place.path().join("kept"));
        fs::create_dir(&kept).unwrap();
        let ask = |request: &str| witness(&kept).add_checkpoint(request, 1000).unwrap(); // as after a restart
        let log = open(folder);
        log.append((0..10).map(leaf).collect()).unwrap();
        let first = request(&log, 0);
        let reply = ask(&first);
        assert_eq!((reply.status, &reply.alarm), (200, &None));
        let cosigned: Note =
            format!("{}{}", first.split_once("\n\n").unwrap().1, reply.body).parse().unwrap();
        assert_eq!(cosigned.signed_by(witness(&kept).key()), Ok(Some(1000)));
        let origin = sha256(&[LOG.as_bytes()]).to_string();
        let last: Note = witness(&kept).last(&origin).unwrap().unwrap().parse().unwrap();
        assert_eq!(last, cosigned);
        assert_eq!(witness(&kept).last(&sha256(&[b"other"]).to_string()).unwrap(), None);
        // Again, and longer; who does not know how much was seen is told.
        assert_eq!(ask(&request(&log, 10)).status, 200);
        log.append((10..25).map(leaf).collect()).unwrap();
        let told = ask(&request(&log, 0));
        assert_eq!((told.status, told.body.as_str(), told.alarm), (409, "10\n", None));
        assert_eq!(ask(&request(&log, 10)).status, 200);
        // Another log of the same key: longer, as long, and shorter.
        let other = place.path().join("other");
        fs::create_dir(&other).unwrap();
        let forged = open(&other);
        forged.append((100..125).map(leaf).collect()).unwrap();
        let fork = |signed| Some(Alarm::Fork { origin: LOG.to_owned(), seen: 25, signed });
        let reply = ask(&request(&forged, 25));
        assert_eq!((reply.status, &reply.alarm), (422, &fork(25)));
        assert!(reply.alarm.unwrap().is_proven(), "two trees of one size, both signed");
        forged.append((125..140).map(leaf).collect()).unwrap();
        let reply = ask(&request(&forged, 25));
        assert_eq!((reply.status, reply.alarm), (422, fork(40)));
        let short = ask(&first);
        let rollback = Alarm::Rollback { origin: LOG.to_owned(), seen: 25, signed: 10 };
        assert_eq!((short.status, short.body.as_str(), short.alarm), (409, "25\n", Some(rollback)));
        assert_eq!(ask(&request(&log, 25)).status, 200, "the honest log goes on");
    }

    #[test]
    fn who_is_not_a_known_log_is_not_cosigned() {
        let place = tempfile::tempdir().unwrap();
        let log = open(place.path());
        log.append((0..5).map(leaf).collect()).unwrap();
        let good = request(&log, 0);
        let status = |request: &str| witness(place.path()).add_checkpoint(request, 1).unwrap().status;
        assert_eq!(status(&good.replace(LOG, "limen/other")), 404);
        assert_eq!(status(&good.replace("\n5\n", "\n6\n")), 403, "not what the log signed");
        assert_eq!(status(&good.replace("old 0", "old 6")), 400);
        for bad in [
            "",
            "old 0",
            "old x\n\nx",
            "old 00\n\n",
            &good.replace("old", "new"),
            &good.replace("\n\n", "\n"),
        ] {
            assert_eq!(status(bad), 400, "{bad:?}");
        }
        let empty = request_of(&log, 0, 0, sha256(&[]));
        assert_eq!(status(&empty), 200, "the empty log is one");
        let wrong = request_of(&log, 0, 0, sha256(&[b"x"]));
        assert_eq!(status(&wrong), 422);
        assert_eq!(status(&good), 200);
    }
}
