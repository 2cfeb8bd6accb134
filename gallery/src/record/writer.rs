//! The handle by which verbs change the record, and its queue.

use super::{
    StoreError, WriteError,
    change::{Change, Done},
    commit::{Committer, Effect, Job, Message, Refused, Work},
};
use crate::{
    ambient::Ambient, authority::Actor, clock::Watch, generation::Current, id::RecordSequence,
    idempotency::Claim, keys::Keys,
};
use audit::{
    log::{AppendError, Log},
    receipt::Receipt,
};
use rusqlite::Connection;
use serde::Serialize;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

/// Changes that may wait. One more is told to come back.
const QUEUE_LIMIT: usize = 1024;

/// Why a verb's work inside the transaction did not come to its end.
pub(crate) trait Refusal {
    /// Was it for want of room on the disk?
    fn for_room(&self) -> bool;
}

impl Refusal for WriteError {
    fn for_room(&self) -> bool {
        matches!(self, Self::Store(StoreError::Full))
    }
}

/// Why the node itself changed nothing.
pub(crate) enum NotDone {
    /// There was nothing to do, and there is nothing to log.
    Nothing,
    /// It could not be done.
    Fault(WriteError),
}

impl Refusal for NotDone {
    fn for_room(&self) -> bool {
        matches!(self, Self::Fault(error) if error.for_room())
    }
}

impl From<WriteError> for NotDone {
    fn from(error: WriteError) -> Self {
        Self::Fault(error)
    }
}

impl From<StoreError> for NotDone {
    fn from(error: StoreError) -> Self {
        Self::Fault(error.into())
    }
}

/// What the writer works with beside the store.
pub(crate) struct Beside {
    pub(crate) log: Arc<Log>,
    pub(crate) current: Arc<Current>,
    pub(crate) ambient: Ambient,
    pub(crate) keys: Arc<Keys>,
    pub(crate) watch: Arc<Watch>,
    /// More encounters than this do not come on record.
    pub(crate) limit: Option<u64>,
}

/// The handle by which verbs change the record.
#[derive(Debug)]
pub(crate) struct Writer {
    sender: SyncSender<Message>,
    behind: Arc<AtomicBool>,
    watch: Arc<Watch>,
    ambient: Ambient,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(
        connection: Connection,
        sequence: RecordSequence,
        beside: Beside,
    ) -> std::io::Result<Self> {
        let Beside { log, current, ambient, keys, watch, limit } = beside;
        let (sender, receiver) = sync_channel(QUEUE_LIMIT);
        let behind = Arc::new(AtomicBool::new(false));
        let writer_ambient = ambient.clone();
        let mut committer = Committer {
            connection,
            sequence,
            log,
            current,
            ambient,
            keys,
            limit,
            erased: false,
            unlogged: Vec::new(),
            unsettled: Vec::new(),
            behind: Arc::clone(&behind),
        };
        let thread =
            std::thread::Builder::new().name("record".to_owned()).spawn(move || committer.run(&receiver))?;
        Ok(Self { sender, behind, watch, ambient: writer_ambient, thread: Some(thread) })
    }

    /// Has the thread ended, after a failed commit?
    pub(crate) fn stopped(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Are there changes whose events the log has not taken?
    pub(crate) fn behind(&self) -> bool {
        self.behind.load(Ordering::Acquire)
    }

    /// Makes a change and waits until it is durable in store and log and the search knows of it.
    pub(crate) fn write<T, E>(
        &self,
        actor: Actor,
        claim: Option<&Claim>,
        work: impl FnOnce(&Change<'_>) -> Result<Done<T>, E> + Send + 'static,
    ) -> Result<(T, Receipt), E>
    where
        T: Serialize + Send + 'static,
        E: Refusal + From<WriteError> + Send + 'static,
    {
        self.watch.now(&self.ambient).map_err(|back| E::from(back.into()))?;
        self.write_at_any_time(actor, claim, work)
    }

    /// The same, waiting no longer than this: what is not done by then may be so later.
    pub(crate) fn write_within<T, E>(
        &self,
        patience: Duration,
        actor: Actor,
        claim: Option<&Claim>,
        work: impl FnOnce(&Change<'_>) -> Result<Done<T>, E> + Send + 'static,
    ) -> Result<(T, Receipt), E>
    where
        T: Serialize + Send + 'static,
        E: Refusal + From<WriteError> + Send + 'static,
    {
        self.watch.now(&self.ambient).map_err(|back| E::from(back.into()))?;
        self.put(Some(patience), actor, claim, work)
    }

    /// The same, whatever the clock says.
    pub(crate) fn write_at_any_time<T, E>(
        &self,
        actor: Actor,
        claim: Option<&Claim>,
        work: impl FnOnce(&Change<'_>) -> Result<Done<T>, E> + Send + 'static,
    ) -> Result<(T, Receipt), E>
    where
        T: Serialize + Send + 'static,
        E: Refusal + From<WriteError> + Send + 'static,
    {
        self.put(None, actor, claim, work)
    }

    fn put<T, E>(
        &self,
        patience: Option<Duration>,
        actor: Actor,
        claim: Option<&Claim>,
        work: impl FnOnce(&Change<'_>) -> Result<Done<T>, E> + Send + 'static,
    ) -> Result<(T, Receipt), E>
    where
        T: Serialize + Send + 'static,
        E: Refusal + From<WriteError> + Send + 'static,
    {
        let keyed = claim.is_some();
        let outcome = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&outcome);
        let keep = move |result| *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        let work: Work = Box::new(move |change| match work(change) {
            Ok(Done { outcome, what, deltas }) => {
                let answer = keyed.then(|| serde_json::to_vec(&outcome).expect("outcomes have text keys"));
                keep(Ok(outcome));
                Ok(Effect { what, deltas, answer })
            }
            Err(refusal) => {
                let for_room = refusal.for_room();
                keep(Err(refusal));
                Err(Refused { for_room })
            }
        });
        let key = claim.map(|claim| (claim.caller.clone(), claim.with.clone()));
        let (reply, answer) = sync_channel(1);
        self.sender.try_send(Message::Job(Box::new(Job { actor, key, work, reply }))).map_err(|error| {
            match error {
                TrySendError::Full(_) => E::from(WriteError::Busy),
                TrySendError::Disconnected(_) => E::from(WriteError::Poisoned),
            }
        })?;
        let receipt = match patience {
            None => answer.recv().map_err(|_| WriteError::Poisoned),
            Some(patience) => answer.recv_timeout(patience).map_err(|error| match error {
                RecvTimeoutError::Timeout => AppendError::Unwritten("it takes too long".to_owned()).into(),
                RecvTimeoutError::Disconnected => WriteError::Poisoned,
            }),
        };
        let receipt = receipt.map_err(E::from)?.map_err(E::from)?;
        let outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (outcome, receipt) {
            (Some(Ok(outcome)), Some(receipt)) => Ok((outcome, receipt)),
            (Some(Err(refusal)), _) => Err(refusal),
            _ => Err(E::from(WriteError::Poisoned)),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // What waits is still written; if the thread has stopped already, there is nothing to end.
        let _ = self.sender.send(Message::Close);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
