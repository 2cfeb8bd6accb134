//! How a gallery is: how much it holds, whether it is whole, whether it can answer.

use crate::{
    gallery::{Gallery, LOG_FOLDER},
    id::{GenerationId, RecordSequence, SubjectId, WatchlistId},
    keys::log::Unread,
    law::OwnReference,
    record::{StoreError, WriteError, check, read, recover::RecoverError, standing},
    upkeep,
};
use audit::{
    hash::Hash,
    log::AppendError,
    storage::Disk,
    verify::{self, VerifyError},
};

/// How much is on record and in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Subjects that are not retired.
    pub subjects: u64,
    /// Subjects that are retired.
    pub retired: u64,
    /// Subjects that were erased, or are to be.
    pub erased: u64,
    /// Encounters of all of them.
    pub encounters: u64,
    /// Up to which event.
    pub as_of: RecordSequence,
    /// Which build of what is searched.
    pub generation: GenerationId,
    /// Active references of each watchlist.
    pub active: Vec<(WatchlistId, u64)>,
    /// Bytes of memory that what is searched takes.
    pub memory_bytes: usize,
    /// Bytes of an unfinished batch that were cut off the audit log when it was opened.
    pub log_cut_bytes: u64,
    /// Leaves of the audit log.
    pub log_size: u64,
    /// Root of the audit log's tree.
    pub log_root: Hash,
}

impl Gallery {
    /// How much is on record and in memory.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn status(&self) -> Result<Status, StoreError> {
        let [subjects, retired, erased, encounters] = self.store.read(|store| check::totals(store))?;
        let snapshot = self.current.load();
        let head = self.log.head();
        let mut active: Vec<_> = snapshot.expected.iter().map(|(id, count)| (*id, *count)).collect();
        active.sort_unstable();
        Ok(Status {
            subjects,
            retired,
            erased,
            encounters,
            as_of: snapshot.as_of,
            generation: snapshot.generation,
            active,
            memory_bytes: snapshot.bytes(),
            log_cut_bytes: self.log.cut_bytes(),
            log_size: head.tree.size(),
            log_root: head.tree.root(),
        })
    }

    /// The owner's reference of a subject, for the administrator's own comparisons; it is not logged.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn reference_of(&self, subject: SubjectId) -> Result<Option<OwnReference>, StoreError> {
        self.store.read(|store| read::reference_of(store, subject))
    }

    /// Reads all encounters and the whole log and checks each against its checksums and against the
    /// other: every event of the record has its leaf, in order.
    ///
    /// # Errors
    /// When something is not what was written.
    pub fn check(&self) -> Result<(), RecoverError> {
        self.store.read(|store| {
            check::integrity(store)?;
            check::row_sums(store)?;
            read::each_encounter(store, |_| Ok(()))?;
            // Whom store and ledger call erased has no key any more.
            let erased = standing::erasures(store)?.into_iter().map(Ok);
            let lines = (0..self.ledger.lines()).map(|number| self.ledger.line(number));
            for erasure in erased.chain(lines) {
                let erasure = erasure?;
                let theirs = standing::holder(store, erasure.row)? == Some(erasure.subject);
                if theirs && !store.keys().is_destroyed(erasure.row)? {
                    let subject = erasure.subject;
                    return Err(StoreError::Damaged(format!(
                        "the key of {subject}, who was erased, is there"
                    )));
                }
            }
            Ok(())
        })?;
        upkeep::check(self)?;
        let mut next = 1;
        let mut gap = None;
        let log = Disk::open(&self.folder.join(LOG_FOLDER)).map_err(VerifyError::Io)?;
        let mut unlike = None;
        let head = verify::verify(&log, |index, leaf| {
            if self.keys.log().open_leaf(leaf).err() == Some(Unread::Damaged) {
                unlike.get_or_insert(index);
            }
            if leaf.tag == next {
                next += 1;
            } else if leaf.tag != 0 {
                gap.get_or_insert(leaf.tag);
            }
        })?;
        if let Some(index) = unlike {
            return Err(StoreError::Damaged(format!(
                "the event of leaf {index} is not what the log's tree holds"
            ))
            .into());
        }
        let store = self.store.read(|store| read::sequence(store))?.0;
        match gap {
            Some(tag) => Err(RecoverError::LogBehind { log: next - 1, store: tag }),
            None if head.last_tag > store => Err(RecoverError::StoreBehind { log: head.last_tag, store }),
            None if head.last_tag < store => Err(RecoverError::LogBehind { log: head.last_tag, store }),
            None => Ok(()),
        }
    }
}

impl Gallery {
    /// Which build is searched, and up to which event; an error when the record or the log cannot be
    /// written any more.
    ///
    /// # Errors
    /// When the node is at fault.
    pub fn ready(&self) -> Result<(GenerationId, RecordSequence), WriteError> {
        if self.writer.stopped() {
            return Err(WriteError::Poisoned);
        }
        if self.log.poisoned() {
            return Err(AppendError::Poisoned.into());
        }
        if self.log.failing() || self.writer.behind() {
            return Err(AppendError::Unwritten("the last try failed".to_owned()).into());
        }
        self.watch.now(&self.ambient)?;
        let snapshot = self.current.load();
        Ok((snapshot.generation, snapshot.as_of))
    }
}
