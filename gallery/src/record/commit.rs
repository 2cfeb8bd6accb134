//! The thread that commits: many changes share a transaction and a sync; their events reach the log before the
//! search learns of them and before anyone hears that they are done.

use super::{StoreError, WriteError, answer, change::Change, read};
use crate::{
    ambient::Ambient,
    authority::Actor,
    event::{Event, What},
    generation::{Current, Delta},
    id::RecordSequence,
    idempotency::{Idempotency, KEPT_HOURS},
    keys::Keys,
    timestamp::Timestamp,
};
use audit::{
    log::{AppendError, Log},
    receipt::Receipt,
    segment::Leaf,
};
use rusqlite::Connection;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::Duration,
};

/// Changes that one transaction may hold.
const GROUP_LIMIT: usize = 256;
/// How soon to try again what could not be done.
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// What a change leaves for the log, the search and the answer under its key.
pub(super) struct Effect {
    pub(super) what: What,
    pub(super) deltas: Vec<Delta>,
    pub(super) answer: Option<Vec<u8>>,
}

/// A change was refused, and why is known to its caller.
pub(super) struct Refused {
    /// Was it for want of room on the disk?
    pub(super) for_room: bool,
}

pub(super) type Work = Box<dyn FnOnce(&Change<'_>) -> Result<Effect, Refused> + Send>;
pub(super) type Reply = SyncSender<Result<Option<Receipt>, WriteError>>;

pub(super) struct Job {
    pub(super) actor: Actor,
    pub(super) key: Option<(String, Idempotency)>,
    pub(super) work: Work,
    pub(super) reply: Reply,
}

pub(super) enum Message {
    Job(Box<Job>),
    Close,
}

/// A committed change whose event is on its way into the log.
pub(super) struct Pending {
    leaf: Leaf,
    deltas: Vec<Delta>,
    keyed: bool,
    reply: Option<Reply>,
}

pub(super) struct Committer {
    pub(super) connection: Connection,
    pub(super) sequence: RecordSequence,
    pub(super) log: Arc<Log>,
    pub(super) current: Arc<Current>,
    pub(super) ambient: Ambient,
    pub(super) keys: Arc<Keys>,
    /// More encounters than this do not come on record.
    pub(super) limit: Option<u64>,
    /// Was a subject erased, whose rows may stand in the write-ahead log?
    pub(super) erased: bool,
    /// Committed, but the log would not take the events: nothing else is changed before it does.
    pub(super) unlogged: Vec<Pending>,
    /// Logged, but the outbox still holds the events.
    pub(super) unsettled: Vec<(RecordSequence, Receipt)>,
    /// Is anything unlogged?
    pub(super) behind: Arc<AtomicBool>,
}

impl Committer {
    pub(super) fn run(&mut self, receiver: &Receiver<Message>) {
        let mut open = true;
        while open {
            let Ok(message) = self.next(receiver) else { return };
            let mut jobs = Vec::new();
            match message {
                Some(Message::Job(job)) => jobs.push(*job),
                Some(Message::Close) => open = false,
                None => (),
            }
            while (1..GROUP_LIMIT).contains(&jobs.len()) && open {
                match receiver.try_recv() {
                    Ok(Message::Job(job)) => jobs.push(*job),
                    Ok(Message::Close) => open = false,
                    Err(_) => break,
                }
            }
            if self.group(jobs).is_err() {
                return; // whoever waits or comes now sees the closed channel
            }
        }
        let _ = self.settle(); // if it fails, the next start does it
    }

    /// The next message; `None` when it is time to try again what could not be done. `Err` when the store is
    /// poisoned.
    fn next(&mut self, receiver: &Receiver<Message>) -> Result<Option<Message>, ()> {
        if let Ok(message) = receiver.try_recv() {
            return Ok(Some(message));
        }
        self.settle()?; // nobody waits
        if self.unlogged.is_empty() && self.unsettled.is_empty() && !self.erased {
            return Ok(Some(receiver.recv().unwrap_or(Message::Close)));
        }
        match receiver.recv_timeout(TRY_AGAIN) {
            Ok(message) => Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Ok(Some(Message::Close)),
        }
    }

    /// One group commit. `Err` when the store is poisoned.
    fn group(&mut self, jobs: Vec<Job>) -> Result<(), ()> {
        if let Err(error) = self.log_and_publish()? {
            jobs.iter().for_each(|job| refuse(&job.reply, error.clone().into()));
            return Ok(());
        }
        if jobs.is_empty() {
            return if self.erased { self.empty_the_wal() } else { Ok(()) };
        }
        let (done, refused) = self.commit(jobs)?;
        self.unlogged = done;
        if self.erased {
            self.empty_the_wal()?;
        }
        // A refusal may rest on another change of the same transaction ("retired already"): it is told when
        // that change is told.
        match self.log_and_publish()? {
            Ok(()) => refused.into_iter().for_each(|reply| drop(reply.send(Ok(None)))),
            // The others have been told; it is tried again soon.
            Err(error) => refused.iter().for_each(|reply| refuse(reply, error.clone().into())),
        }
        Ok(())
    }

    /// Applies the jobs in one transaction: what is to be logged of them, and who was refused by the rules.
    /// `Err` when the store is poisoned.
    fn commit(&mut self, jobs: Vec<Job>) -> Result<(Vec<Pending>, Vec<Reply>), ()> {
        let now = self.ambient.clock.now();
        let before = self.sequence;
        let mut done = Vec::with_capacity(jobs.len());
        let (mut refused, mut failed) = (Vec::new(), Vec::new());
        let mut failure = self.begin(now).err();
        for job in jobs {
            if failure.is_some() {
                failed.push(job.reply);
                continue;
            }
            match self.apply(job.actor, job.key, job.work, now) {
                Ok(Some(pending)) => done.push(Pending { reply: Some(job.reply), ..pending }),
                Ok(None) => refused.push(job.reply),
                Err(error) => {
                    failure = Some(error);
                    failed.push(job.reply);
                }
            }
        }
        // A template is on record only after its key.
        failure = failure.or_else(|| self.keys.settle().map_err(StoreError::from).err());
        if failure.is_none() {
            failure = self.connection.execute_batch("COMMIT").map_err(StoreError::from).err();
        }
        self.keys.forget();
        let Some(error) = failure else {
            self.unsettled.clear(); // the transaction settled them
            return Ok((done, refused));
        };
        self.sequence = before;
        let passing = self.undone(&error);
        let mut cause = Some(error);
        for reply in done.into_iter().filter_map(|pending| pending.reply).chain(failed).chain(refused) {
            let again = if passing { WriteError::Undone } else { WriteError::Poisoned };
            refuse(&reply, cause.take().map_or(again, WriteError::Store));
        }
        // For want of room or of the lock, the transaction is undone; after any other failure what is on disk
        // is not known before a restart.
        if passing { Ok((Vec::new(), Vec::new())) } else { Err(()) }
    }

    fn begin(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        answer::settle(&self.connection, &self.unsettled)?;
        answer::set_clock(&self.connection, now)?;
        let day = KEPT_HOURS * 3_600_000;
        Timestamp::from_unix_ms(now.unix_ms() - day)
            .map_or(Ok(()), |old| answer::forget(&self.connection, old))
    }

    fn apply(
        &mut self,
        actor: Actor,
        key: Option<(String, Idempotency)>,
        work: Work,
        now: Timestamp,
    ) -> Result<Option<Pending>, StoreError> {
        let connection = &self.connection;
        let (sequence, salt) = (self.sequence.next(), self.ambient.random());
        connection.execute_batch("SAVEPOINT change")?;
        let (ambient, keys) = (&self.ambient, &self.keys);
        let effect = match work(&Change { connection, now, sequence, salt, ambient, keys, limit: self.limit })
        {
            Ok(effect) => effect,
            // For want of room, and for worse, SQLite undoes the whole transaction, not one statement.
            Err(Refused { for_room }) if connection.is_autocommit() => {
                return Err(if for_room { StoreError::Full } else { StoreError::Aborted });
            }
            Err(_) => {
                connection.execute_batch("ROLLBACK TO change; RELEASE change")?;
                return Ok(None);
            }
        };
        self.erased |= matches!(
            effect.what,
            What::Erase { .. } | What::Move { .. } | What::Merge { .. } | What::EraseResults { .. }
        );
        let payload = Event { at: now, actor, sequence: Some(sequence), what: effect.what }.payload();
        let leaf = keys.log().seal(ambient, now, sequence.0, &salt, &payload)?;
        answer::put_outbox(connection, sequence, &leaf)?;
        let keyed = key.is_some();
        if let (Some((caller, with)), Some(outcome)) = (key, effect.answer) {
            answer::insert(connection, &caller, &with, &outcome, sequence, now)?;
        }
        connection.execute_batch("RELEASE change")?;
        self.sequence = sequence;
        Ok(Some(Pending { leaf, deltas: effect.deltas, keyed, reply: None }))
    }

    /// Takes committed events into the log, then tells the search, then the callers. The outer `Err` when the
    /// store is poisoned, the inner when the log does not take them.
    fn log_and_publish(&mut self) -> Result<Result<(), AppendError>, ()> {
        if self.unlogged.is_empty() {
            return Ok(Ok(()));
        }
        let leaves = self.unlogged.iter().map(|pending| pending.leaf.clone()).collect();
        let receipts = match self.log.append(leaves) {
            Ok(receipts) => receipts,
            Err(error) => {
                self.behind.store(true, Ordering::Release);
                let waiting = self.unlogged.iter_mut().filter_map(|pending| pending.reply.take());
                waiting.for_each(|reply| refuse(&reply, error.clone().into()));
                return Ok(Err(error));
            }
        };
        let mut pending = std::mem::take(&mut self.unlogged);
        let settled = pending.iter().zip(&receipts);
        self.unsettled.extend(settled.map(|(pending, receipt)| (RecordSequence(pending.leaf.tag), *receipt)));
        let deltas = pending.iter_mut().flat_map(|pending| std::mem::take(&mut pending.deltas)).collect();
        let counted = read::counted(&self.connection)
            .and_then(|expected| Ok((expected, read::next_expiry(&self.connection)?)))
            .ok();
        let unread = counted.is_none();
        self.current.publish(self.sequence, deltas, counted);
        let settled = if pending.iter().any(|pending| pending.keyed) { self.settle() } else { Ok(()) };
        self.behind.store(false, Ordering::Release);
        for (pending, receipt) in pending.into_iter().zip(receipts) {
            if let Some(reply) = pending.reply {
                let _ = reply.send(Ok(Some(receipt)));
            }
        }
        // Without counts and dates from the store, what is searched cannot be answered for.
        if unread { Err(()) } else { settled.map(Ok) }
    }

    /// Takes what was erased, and what was moved, out of the write-ahead log, unless somebody reads: then soon. Templates among it are
    /// sealed under a key that is destroyed; results of lookups are not. `Err` when the store is poisoned.
    fn empty_the_wal(&mut self) -> Result<(), ()> {
        let patience = |time| self.connection.busy_timeout(time);
        let emptied = match patience(Duration::ZERO) {
            Ok(()) => super::recover::settle_store(&self.connection),
            Err(error) => Err(error.into()),
        };
        let _ = patience(super::PATIENCE);
        self.erased = emptied.is_err();
        emptied.or_else(|error| if error.passing() { Ok(()) } else { Err(()) })
    }

    /// Clears the outbox of what the log holds; for want of room it is tried again later. `Err` when the store
    /// is poisoned.
    fn settle(&mut self) -> Result<(), ()> {
        if self.unsettled.is_empty() {
            return Ok(());
        }
        let settled = (|| {
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
            answer::settle(&self.connection, &self.unsettled)?;
            self.connection.execute_batch("COMMIT")?;
            Ok::<(), StoreError>(())
        })();
        let Err(error) = settled else {
            self.unsettled.clear();
            return Ok(());
        };
        if self.undone(&error) { Ok(()) } else { Err(()) }
    }

    /// Ends a transaction that failed: is everything as before it, so that it can be tried again later?
    fn undone(&self, error: &StoreError) -> bool {
        let ended = self.connection.is_autocommit() || self.connection.execute_batch("ROLLBACK").is_ok();
        error.passing() && ended
    }
}

/// Whoever stopped waiting need not be told.
fn refuse(reply: &Reply, error: WriteError) {
    let _ = reply.send(Err(error));
}
