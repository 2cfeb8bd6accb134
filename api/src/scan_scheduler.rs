//! Probes that arrive while a pass over the gallery runs share the next pass. The queue is bounded: one
//! lookup more is told to come back.

use gallery::{
    Gallery,
    lookup::{self, Concluding, Prepared},
};
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
};
use tokio::sync::oneshot;

/// Probes that share one pass.
const BATCH_LIMIT: usize = 64;

/// Why a lookup is not searched.
#[derive(Debug)]
pub(crate) enum ScheduleError {
    /// Too many wait.
    Full,
    /// The scanning thread is gone: a fault.
    Stopped,
}

struct Waiting {
    prepared: Box<Prepared>,
    reply: oneshot::Sender<Concluding>,
}

/// The queue before the scanning thread. The thread ends when the scheduler is dropped.
#[derive(Debug)]
pub(crate) struct ScanScheduler {
    sender: SyncSender<Waiting>,
    thread: JoinHandle<()>,
}

impl ScanScheduler {
    /// Starts the scanning thread.
    pub(crate) fn start(gallery: Arc<Gallery>, queue: usize) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(queue);
        let thread =
            std::thread::Builder::new().name("scan".to_owned()).spawn(move || run(&gallery, &receiver))?;
        Ok(Self { sender, thread })
    }

    /// Has the scanning thread ended? A bug did it, and nothing is searched before a restart.
    pub(crate) fn stopped(&self) -> bool {
        self.thread.is_finished()
    }

    /// Searches in the next pass.
    pub(crate) async fn search(&self, prepared: Box<Prepared>) -> Result<Concluding, ScheduleError> {
        let (reply, answer) = oneshot::channel();
        self.sender.try_send(Waiting { prepared, reply }).map_err(|error| match error {
            TrySendError::Full(_) => ScheduleError::Full,
            TrySendError::Disconnected(_) => ScheduleError::Stopped,
        })?;
        answer.await.map_err(|_| ScheduleError::Stopped)
    }
}

fn run(gallery: &Gallery, receiver: &Receiver<Waiting>) {
    while let Ok(first) = receiver.recv() {
        let more = receiver.try_iter().take(BATCH_LIMIT - 1);
        // Whoever has hung up need not be searched for.
        let waiting = std::iter::once(first).chain(more).filter(|waiting| !waiting.reply.is_closed());
        let (batch, replies): (Vec<_>, Vec<_>) = waiting.map(|w| (w.prepared, w.reply)).unzip();
        for (concluding, reply) in lookup::search_batch(gallery, batch).into_iter().zip(replies) {
            let _ = reply.send(concluding); // a caller who hung up gets no answer and leaves no event
        }
    }
}
