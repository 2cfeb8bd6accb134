//! The log as its writer sees it: append, and hold a receipt once the leaf is durable.

use crate::{
    anchor::{Anchor, AnchorError},
    receipt::Receipt,
    segment::{self, Head, Leaf, Segment},
    storage::Storage,
    tile::Tiles,
    verify::{self, VerifyError},
};

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

/// A segment that has grown past this is followed by a new one, so that a start reads a bounded part.
const SEGMENT_LIMIT_BYTES: u64 = 16 << 20;
/// A group commit takes no more appends past this.
const BATCH_LIMIT_BYTES: usize = 4 << 20;
/// How soon to try again when the log could not be written.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Appends that may wait for the group commit.
const QUEUE_LIMIT: usize = 4096;

/// Why leaves were not appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The write failed and was undone: the next append tries again.
    #[error("the audit log cannot be written: {0}")]
    Unwritten(String),
    /// A sync failed earlier: what is on disk is not known before a restart.
    #[error("the audit log is poisoned by a failed sync, of its own or of its anchor; restart the node")]
    Poisoned,
}

impl AppendError {
    /// May a later append succeed without a restart?
    pub fn passing(&self) -> bool {
        matches!(self, Self::Unwritten(_))
    }
}

type Reply = SyncSender<Result<Vec<Receipt>, AppendError>>;

enum Message {
    Append(Vec<Leaf>, Reply),
    Close,
}

/// An open log with its writer thread. Appends of many threads share one write and one sync.
#[derive(Debug)]
pub struct Log {
    sender: SyncSender<Message>,
    head: Arc<Mutex<Head>>,
    tiles: Option<Arc<Tiles>>,
    poisoned: Arc<AtomicBool>,
    failing: Arc<AtomicBool>,
    cut_bytes: u64,
    thread: Option<JoinHandle<()>>,
}

impl Log {
    /// Opens the log, cutting off what a crash left half-written.
    ///
    /// # Errors
    /// When the last segment cannot be read or is damaged.
    pub fn open<S: Storage>(storage: S) -> Result<Self, VerifyError> {
        Self::open_with(storage, None, None, SEGMENT_LIMIT_BYTES)
    }

    /// The same, with an anchor: the log must reach it, and from now on no leaf is acknowledged before the anchor
    /// knows of it.
    ///
    /// # Errors
    /// As [`Self::open`], and when the log does not hold what the anchor knows. Nothing is changed then.
    pub fn open_anchored<S: Storage>(storage: S, anchor: Option<Anchor>) -> Result<Self, VerifyError> {
        Self::open_with(storage, anchor, None, SEGMENT_LIMIT_BYTES)
    }

    /// The same, with the tree's hashes in tiles in this folder, so that there are proofs.
    ///
    /// # Errors
    /// As [`Self::open_anchored`], and when the tiles cannot be written.
    pub fn open_tiled<S: Storage>(
        storage: S,
        anchor: Option<Anchor>,
        tiles: &Path,
    ) -> Result<Self, VerifyError> {
        Self::open_with(storage, anchor, Some(Tiles::open(tiles)?), SEGMENT_LIMIT_BYTES)
    }

    pub(crate) fn open_with<S: Storage>(
        mut storage: S,
        mut anchor: Option<Anchor>,
        tiles: Option<Tiles>,
        segment_limit_bytes: u64,
    ) -> Result<Self, VerifyError> {
        if let Some(anchor) = &anchor {
            verify::reaches(&storage, anchor.mark())?;
        }
        let mut head = Head::default();
        let (mut length, mut cut_bytes) = (0, 0);
        match verify::segments(&storage)?.pop() {
            None => length += start_segment(&mut storage, &head)?,
            Some(name) => {
                let bytes = storage.read(&name)?;
                let segment = verify::parse(&name, &bytes)?;
                cut_bytes = bytes.len() as u64 - segment.length;
                length += take_up(&mut storage, &name, &segment, bytes)?;
                head = segment.begins.clone();
                head.extend(&segment.leaves);
                if let Some(tiles) = &tiles {
                    tiles.follow(&storage, &segment.begins, &segment.leaves, &head)?;
                }
            }
        }
        let tiles = tiles.map(Arc::new);
        // What a stop left ahead of the anchor may be answered for from here on; and its mark may not be on the disk.
        if let Some(anchor) = &mut anchor {
            anchor.put(&head).map_err(AnchorError::Io)?;
        }
        let shared = Arc::new(Mutex::new(head.clone()));
        let (sender, receiver) = sync_channel(QUEUE_LIMIT);
        let (poisoned, failing) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let mut writer = Writer {
            storage,
            anchor,
            head,
            length,
            segment_limit_bytes,
            poisoned: Arc::clone(&poisoned),
            failing: Arc::clone(&failing),
            shared: Arc::clone(&shared),
            tiles: tiles.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("audit-log".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(VerifyError::Io)?;
        Ok(Self { sender, head: shared, tiles, poisoned, failing, cut_bytes, thread: Some(thread) })
    }

    /// Appends leaves, next to each other, and returns when they are durable.
    ///
    /// # Errors
    /// When they are not.
    pub fn append(&self, leaves: Vec<Leaf>) -> Result<Vec<Receipt>, AppendError> {
        let (reply, answer) = sync_channel(1);
        self.sender.send(Message::Append(leaves, reply)).map_err(|_| AppendError::Poisoned)?;
        answer.recv().map_err(|_| AppendError::Poisoned)?
    }

    /// The same, for no longer than this: what is not durable by then may be so later, and its writer hears nothing of it.
    ///
    /// # Errors
    /// When they are not durable.
    pub fn append_within(&self, leaves: Vec<Leaf>, patience: Duration) -> Result<Vec<Receipt>, AppendError> {
        let slow = || AppendError::Unwritten("it takes too long".to_owned());
        let (reply, answer) = sync_channel(1);
        match self.sender.try_send(Message::Append(leaves, reply)) {
            Ok(()) => (),
            Err(TrySendError::Full(_)) => return Err(slow()),
            Err(TrySendError::Disconnected(_)) => return Err(AppendError::Poisoned),
        }
        match answer.recv_timeout(patience) {
            Ok(receipts) => receipts,
            Err(RecvTimeoutError::Timeout) => Err(slow()),
            Err(RecvTimeoutError::Disconnected) => Err(AppendError::Poisoned),
        }
    }

    /// Has a sync failed, or the writing thread ended? Then nothing is appended before a restart.
    pub fn poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire) || self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Could the last batch not be written? It is tried again until it can.
    pub fn failing(&self) -> bool {
        self.failing.load(Ordering::Acquire)
    }

    /// Bytes of an unfinished batch that were cut off when the log was opened.
    pub fn cut_bytes(&self) -> u64 {
        self.cut_bytes
    }

    /// The tree's hashes, if they are kept.
    pub fn tiles(&self) -> Option<&Tiles> {
        self.tiles.as_deref()
    }

    /// The log's head: all leaves that are durable.
    pub fn head(&self) -> Head {
        self.head.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // The thread ends when it sees this; if it is gone already, there is nothing to end.
        let _ = self.sender.send(Message::Close);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A batch may be whole in the operating system's memory and not on the disk: after a killed process, or a failed sync. What is believed from here
/// on is written and synced anew, in the format of today. Returns the segment's length.
fn take_up(storage: &mut impl Storage, name: &str, segment: &Segment, mut bytes: Vec<u8>) -> io::Result<u64> {
    bytes.truncate(segment.length as usize);
    if !segment.current {
        bytes = segment::header(&segment.begins);
        bytes.extend(segment::batch(segment.begins.tree.size(), &segment.leaves));
    }
    storage.create(name, &bytes)?;
    Ok(bytes.len() as u64)
}

fn start_segment(storage: &mut impl Storage, head: &Head) -> io::Result<u64> {
    let header = segment::header(head);
    storage.create(&segment::name(head.tree.size()), &header)?;
    Ok(header.len() as u64)
}

struct Writer<S> {
    storage: S,
    anchor: Option<Anchor>,
    head: Head,
    /// Of the open segment: everything up to here is durable.
    length: u64,
    segment_limit_bytes: u64,
    poisoned: Arc<AtomicBool>,
    /// Could the last batch not be written?
    failing: Arc<AtomicBool>,
    shared: Arc<Mutex<Head>>,
    tiles: Option<Arc<Tiles>>,
}

impl<S: Storage> Writer<S> {
    fn run(&mut self, receiver: &Receiver<Message>) {
        while let Message::Append(leaves, reply) = self.next(receiver) {
            let mut group = vec![(leaves.len(), reply)];
            let mut batch = leaves;
            let mut bytes: usize = batch.iter().map(|leaf| leaf.payload.len()).sum();
            let mut close = false;
            while bytes < BATCH_LIMIT_BYTES && !close {
                match receiver.try_recv() {
                    Ok(Message::Append(leaves, reply)) => {
                        bytes += leaves.iter().map(|leaf| leaf.payload.len()).sum::<usize>();
                        group.push((leaves.len(), reply));
                        batch.extend(leaves);
                    }
                    Ok(Message::Close) => close = true,
                    Err(_) => break,
                }
            }
            self.commit_group(&batch, group);
            if close {
                return;
            }
        }
    }

    fn unwritten(&self, error: &io::Error) -> AppendError {
        self.failing.store(true, Ordering::Release);
        AppendError::Unwritten(error.to_string())
    }

    /// The next message. While the log cannot be written, an empty batch is tried once a second, so that it
    /// is known when it can be again.
    fn next(&mut self, receiver: &Receiver<Message>) -> Message {
        loop {
            if !self.failing.load(Ordering::Acquire) {
                return receiver.recv().unwrap_or(Message::Close);
            }
            match receiver.recv_timeout(TRY_AGAIN) {
                Ok(message) => return message,
                Err(RecvTimeoutError::Disconnected) => return Message::Close,
                Err(RecvTimeoutError::Timeout) => drop(self.commit(&[])),
            }
        }
    }

    fn commit_group(&mut self, batch: &[Leaf], group: Vec<(usize, Reply)>) {
        let first = self.head.tree.size();
        let result = self.commit(batch);
        let mut at = 0;
        for (count, reply) in group {
            let receipts = result.clone().map(|()| {
                let leaves = batch[at..at + count].iter().zip(first + at as u64..);
                leaves.map(|(leaf, leaf_index)| Receipt::kept(leaf_index, leaf.hash())).collect()
            });
            at += count;
            // Whoever stopped waiting loses only the receipt.
            let _ = reply.send(receipts);
        }
    }

    fn commit(&mut self, leaves: &[Leaf]) -> Result<(), AppendError> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(AppendError::Poisoned);
        }
        if self.length > self.segment_limit_bytes {
            // Made whole or not at all; what a failure left of it is replaced by the next try, before which
            // nothing is appended.
            let started = start_segment(&mut self.storage, &self.head);
            // What is not on the disk is made anew at a start after a loss of power.
            let _ = self.tiles.as_ref().map(|tiles| tiles.settle());
            self.length = started.map_err(|error| self.unwritten(&error))?;
        }
        let bytes = segment::batch(self.head.tree.size(), leaves);
        if let Err(error) = self.storage.append(&bytes) {
            if self.storage.truncate(self.length).is_err() {
                self.poisoned.store(true, Ordering::Release);
                return Err(AppendError::Poisoned);
            }
            return Err(self.unwritten(&error));
        }
        let mut head = self.head.clone();
        head.extend(leaves);
        // If the anchor cannot follow, nobody hears of the leaves: a restart believes the log.
        let followed =
            |anchor: &mut Option<Anchor>| anchor.as_mut().map_or(Ok(()), |anchor| anchor.put(&head));
        if self.storage.sync().and_then(|()| followed(&mut self.anchor)).is_err() {
            self.poisoned.store(true, Ordering::Release);
            return Err(AppendError::Poisoned);
        }
        self.failing.store(false, Ordering::Release);
        self.length += bytes.len() as u64;
        // Made of the log: if they cannot be written, there are no proofs before the next start, and all else goes on.
        let _ = self.tiles.as_ref().map(|tiles| tiles.extend(self.head.tree.size(), leaves));
        self.head = head;
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&self.head);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{hash::Hash, storage::Disk};
    use std::sync::atomic::AtomicU8;

    fn leaf(tag: u64) -> Leaf {
        Leaf { tag, commitment: Hash([tag as u8; 32]), payload: format!("event {tag}").into_bytes() }
    }

    /// A disk that can be told to fail: 1 = the next writes, half-way; 2 = syncs; 3 = new
    /// segments.
    struct Failing(Disk, Arc<AtomicU8>);

    impl Storage for Failing {
        fn names(&self) -> io::Result<Vec<String>> {
            self.0.names()
        }
        fn read(&self, name: &str) -> io::Result<Vec<u8>> {
            self.0.read(name)
        }
        fn create(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
            if self.1.load(Ordering::SeqCst) == 3 {
                return Err(io::Error::other("EMFILE"));
            }
            self.0.create(name, content)
        }
        fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
            if self.1.load(Ordering::SeqCst) == 1 {
                self.0.append(&bytes[..bytes.len() / 2])?;
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0.append(bytes)
        }
        fn truncate(&mut self, length: u64) -> io::Result<()> {
            self.0.truncate(length)
        }
        fn sync(&mut self) -> io::Result<()> {
            if self.1.load(Ordering::SeqCst) == 2 { Err(io::Error::other("EIO")) } else { self.0.sync() }
        }
    }

    #[test]
    fn a_reopened_log_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Log::open(Disk::open(folder.path()).unwrap()).unwrap();
        let receipts = open().append(vec![leaf(1), leaf(2)]).unwrap();
        assert_eq!(receipts.iter().map(Receipt::leaf_index).collect::<Vec<_>>(), [0, 1]);
        let log = open();
        assert_eq!(log.append(vec![leaf(3)]).unwrap()[0].leaf_index(), 2);
        let mut seen = Vec::new();
        let head = verify::verify(&Disk::open(folder.path()).unwrap(), |index, leaf| {
            seen.push((index, leaf.clone()));
        });
        assert_eq!(head.unwrap(), log.head());
        assert_eq!(seen, [(0, leaf(1)), (1, leaf(2)), (2, leaf(3))]);
    }

    #[test]
    fn many_threads_share_commits_and_each_gets_its_own_receipts() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(Disk::open(folder.path()).unwrap()).unwrap();
        let mut receipts: Vec<(u64, Receipt)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8u64)
                .map(|t| {
                    let log = &log;
                    scope.spawn(move || {
                        let one = |i| (t * 50 + i + 1, log.append(vec![leaf(t * 50 + i + 1)]).unwrap()[0]);
                        (0..50).map(one).collect::<Vec<_>>()
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        receipts.sort_by_key(|(_, receipt)| receipt.leaf_index());
        let mut at = 0;
        verify::verify(&Disk::open(folder.path()).unwrap(), |index, read| {
            let (tag, receipt) = receipts[at];
            assert_eq!((index, read.tag, read.hash()), (receipt.leaf_index(), tag, receipt.leaf_hash()));
            at += 1;
        })
        .unwrap();
        assert_eq!(at, 400);
    }

    #[test]
    fn a_full_disk_gives_no_receipt_and_recovers_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let fault = Arc::new(AtomicU8::new(0));
        let log = Log::open(Failing(Disk::open(folder.path()).unwrap(), Arc::clone(&fault))).unwrap();
        log.append(vec![leaf(1)]).unwrap();
        fault.store(1, Ordering::SeqCst);
        assert!(matches!(log.append(vec![leaf(2)]), Err(AppendError::Unwritten(_))));
        fault.store(0, Ordering::SeqCst);
        assert_eq!(log.append(vec![leaf(3)]).unwrap()[0].leaf_index(), 1);
        let head = verify::verify(&Disk::open(folder.path()).unwrap(), |_, _| ()).unwrap();
        assert_eq!(head, log.head());
    }

    #[test]
    fn a_segment_that_cannot_be_begun_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let fault = Arc::new(AtomicU8::new(0));
        let disk = Failing(Disk::open(folder.path()).unwrap(), Arc::clone(&fault));
        let log = Log::open_with(disk, None, None, 100).unwrap();
        log.append(vec![leaf(1)]).unwrap();
        fault.store(3, Ordering::SeqCst);
        assert!(matches!(log.append(vec![leaf(2)]), Err(AppendError::Unwritten(_))));
        assert!(log.failing() && !log.poisoned());
        fault.store(0, Ordering::SeqCst);
        while log.failing() {
            std::thread::sleep(Duration::from_millis(20)); // it finds out by itself
        }
        assert_eq!(log.append(vec![leaf(2)]).unwrap()[0].leaf_index(), 1);
        let head = verify::verify(&Disk::open(folder.path()).unwrap(), |_, _| ()).unwrap();
        assert_eq!(head, log.head());
    }

    #[test]
    fn a_failed_sync_poisons_the_log_until_it_is_reopened() {
        let folder = tempfile::tempdir().unwrap();
        let fault = Arc::new(AtomicU8::new(2));
        let log = Log::open(Failing(Disk::open(folder.path()).unwrap(), Arc::clone(&fault))).unwrap();
        assert_eq!(log.append(vec![leaf(1)]), Err(AppendError::Poisoned));
        fault.store(0, Ordering::SeqCst);
        assert_eq!(log.append(vec![leaf(1)]), Err(AppendError::Poisoned));
        drop(log);
        Log::open(Disk::open(folder.path()).unwrap()).unwrap().append(vec![leaf(1)]).unwrap();
    }

    #[test]
    fn a_log_of_many_segments_is_opened_by_its_last_and_verified_by_all() {
        let folder = tempfile::tempdir().unwrap();
        let disk = || Disk::open(folder.path()).unwrap();
        let mut given = Vec::new();
        for tag in 1..=40 {
            let log = Log::open_with(disk(), None, None, 300).unwrap();
            assert_eq!(log.head().last_tag, tag - 1);
            given.push((tag, log.append(vec![leaf(tag)]).unwrap()[0]));
        }
        assert!(verify::segments(&disk()).unwrap().len() > 5);
        assert_eq!(verify::verify(&disk(), |_, _| ()).unwrap().tree.size(), 40);
        let mut kept = verify::receipts(&disk(), 17).unwrap();
        kept.retain(|(tag, _)| *tag >= 17);
        kept.sort_by_key(|(tag, _)| *tag);
        assert_eq!(kept, given[16..]);
        let oldest = folder.path().join(segment::name(0));
        let mut bytes = std::fs::read(&oldest).unwrap();
        bytes[60] ^= 1;
        std::fs::write(oldest, bytes).unwrap();
        assert!(verify::verify(&disk(), |_, _| ()).is_err());
    }

    #[test]
    fn an_older_copy_does_not_reach_the_anchor_and_a_changed_one_does_not_fit_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = (folder.path().join("anchor"), folder.path().join("copy"));
        Anchor::create(&path, &Head::default()).unwrap();
        assert!(matches!(Anchor::create(&path, &Head::default()), Err(AnchorError::Exists(_))));
        let log_folder = folder.path().join("log");
        let open = |at: &Path| {
            Log::open_with(Disk::open(at).unwrap(), Some(Anchor::open(&path).unwrap()), None, 300)
        };
        for tag in 1..=30 {
            let log = open(&log_folder).unwrap();
            assert!(matches!(Anchor::open(&path), Err(AnchorError::Locked(_))));
            log.append(vec![leaf(tag)]).unwrap();
            drop(log);
            assert_eq!(Anchor::open(&path).unwrap().mark().size, tag);
            if tag == 17 {
                std::fs::create_dir(&copy).unwrap();
                for file in std::fs::read_dir(&log_folder).unwrap().map(Result::unwrap) {
                    std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
                }
            }
        }
        let behind = open(&copy).unwrap_err();
        assert!(matches!(behind, VerifyError::Anchor(AnchorError::Behind { log: 17, .. })), "{behind}");
        // Another log of the same length, and one that goes on beyond the anchor.
        let other = Log::open(Disk::open(&copy).unwrap()).unwrap();
        (100..=112).for_each(|tag| drop(other.append(vec![leaf(tag)]).unwrap()));
        drop(other);
        let unlike = open(&copy).unwrap_err();
        assert!(matches!(unlike, VerifyError::Anchor(AnchorError::Other(30))), "{unlike}");
        let alone = Log::open_with(Disk::open(&log_folder).unwrap(), None, None, 300).unwrap();
        (31..=60).for_each(|tag| drop(alone.append(vec![leaf(tag)]).unwrap()));
        drop(alone);
        assert_eq!(open(&log_folder).unwrap().head().tree.size(), 60);
        // What was appended without it, or synced before a stop, is known from the start on.
        assert_eq!(Anchor::open(&path).unwrap().mark().size, 60);
    }

    #[test]
    fn a_log_that_lost_synced_bytes_is_refused_by_its_anchor_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (path, log_folder) = (folder.path().join("anchor"), folder.path().join("log"));
        Anchor::create(&path, &Head::default()).unwrap();
        let open =
            || Log::open_anchored(Disk::open(&log_folder).unwrap(), Some(Anchor::open(&path).unwrap()));
        open().unwrap().append(vec![leaf(1), leaf(2)]).unwrap();
        let file = log_folder.join(segment::name(0));
        let whole = std::fs::read(&file).unwrap();
        for bit in (8 * 40..8 * whole.len()).step_by(131) {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&file, &bytes).unwrap();
            assert!(open().is_err(), "bit {bit}");
            assert_eq!(std::fs::read(&file).unwrap(), bytes);
        }
        std::fs::write(&file, &whole).unwrap();
        open().unwrap();
        // Either mark may be torn; the other is then what is known.
        let anchor = std::fs::read(&path).unwrap();
        for slot in [0, 4096] {
            let mut bytes = anchor.clone();
            bytes[slot + 20] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            open().unwrap();
        }
        std::fs::write(&path, vec![0; anchor.len()]).unwrap();
        assert!(matches!(Anchor::open(&path), Err(AnchorError::Damaged(_))));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(Anchor::open(&path), Err(AnchorError::Missing(_))));
    }

    #[test]
    fn a_missing_segment_is_found_by_verification() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = Disk::open(folder.path()).unwrap();
        let mut head = Head::default();
        start_segment(&mut disk, &head).unwrap();
        disk.append(&segment::batch(0, &[leaf(1)])).unwrap();
        head.extend(&[leaf(1)]);
        start_segment(&mut disk, &head).unwrap();
        assert_eq!(verify::verify(&disk, |_, _| ()).unwrap(), head);
        std::fs::remove_file(folder.path().join(segment::name(0))).unwrap();
        assert!(matches!(verify::verify(&disk, |_, _| ()), Err(VerifyError::Gap { .. })));
    }
}
