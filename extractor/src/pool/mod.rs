//! Workers, and the bounded queue before them. Each worker has a thread of this process that speaks with it.

mod child;

use crate::{
    confine::{Attempt, Confinement},
    decode::{DecodeError, FILE_LIMIT_BYTES},
    extract::{Extraction, Unusable, Wanted},
    frame::{Asked, Said},
    model::{ModelError, Models, Profile},
};
use child::Worker;
use matcher::template::ModelId;
use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

/// How long to wait before another is started, if one could not.
const PAUSE: Duration = Duration::from_secs(1);
/// Memory of a worker: model, decoded image, and what the decoder needs.
pub const MEMORY_BYTES: u64 = 640 << 20;

/// What a pool is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program that has the hidden command.
    pub program: PathBuf,
    /// Folder of models.
    pub models: PathBuf,
    /// The one that is used.
    pub model: ModelId,
    /// How many workers.
    pub workers: usize,
    /// How many images may wait.
    pub queue: usize,
    /// How long one image may take.
    pub patience: Duration,
    /// How much memory one worker may have.
    pub memory_bytes: u64,
}

impl Settings {
    /// For a model: a worker a core, each this very program, and sixteen images waiting for each.
    pub fn new(models: PathBuf, model: ModelId) -> Self {
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let program = PathBuf::from("/proc/self/exe"); // also if its file was replaced meanwhile
        let patience = Duration::from_secs(10);
        Self { program, models, model, workers, queue: 16 * workers, patience, memory_bytes: MEMORY_BYTES }
    }
}

/// Why an image was not processed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PoolError {
    /// The image's fault.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// No worker can be started, or the model fails.
    #[error("images cannot be processed: {0}")]
    Failed(String),
}

/// An image that was not taken: too many wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue of images is full")]
pub struct Full;

/// Where the answer goes.
pub trait Reply: Send + 'static {
    /// Does somebody still wait for it?
    fn is_awaited(&self) -> bool;
    /// Gives it.
    fn give(self: Box<Self>, made: Result<Extraction, PoolError>);
}

/// Whoever waits on a thread, or has gone on; nobody can tell.
impl Reply for SyncSender<Result<Extraction, PoolError>> {
    fn is_awaited(&self) -> bool {
        true
    }

    fn give(self: Box<Self>, made: Result<Extraction, PoolError>) {
        let _ = self.send(made); // who does not wait any more misses nothing
    }
}

struct Task {
    image: Box<dyn AsRef<[u8]> + Send>,
    wanted: Wanted,
    reply: Box<dyn Reply>,
}

/// What a worker achieves that is told to try: see [`Pool::attempt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempted {
    /// It did it: it is not confined.
    Succeeded,
    /// It could not.
    Failed,
    /// It was ended over it.
    Died,
}

/// How the workers fare.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// How far the last one that was started is confined; `None` if none could be.
    pub confinement: Option<Confinement>,
    /// Why the last start failed, if it did.
    pub failure: Option<String>,
}

struct Shared {
    settings: Settings,
    profile: Profile,
    tasks: Mutex<Receiver<Task>>,
    health: Mutex<Health>,
    /// Images that wait or are processed.
    pending: AtomicUsize,
}

/// Workers and their queue. They end when it is dropped.
pub struct Pool {
    sender: SyncSender<Task>,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pool({}, {} workers)", self.shared.profile.id, self.shared.settings.workers)
    }
}

impl Pool {
    /// Starts the workers; they load their models on their own time.
    ///
    /// # Errors
    /// When there is no such model, or no thread can be had.
    pub fn start(settings: Settings) -> Result<Self, ModelError> {
        let profile = Models::in_folder(&settings.models).profile(&settings.model)?;
        let (sender, receiver) = sync_channel(settings.queue);
        let (path, workers) = (settings.models.clone(), settings.workers.max(1));
        let tasks = Mutex::new(receiver);
        let (health, pending) = (Mutex::default(), AtomicUsize::new(0));
        let shared = Arc::new(Shared { settings, profile, tasks, health, pending });
        for number in 0..workers {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name(format!("images-{number}"));
            let started = thread.spawn(move || shared.work());
            started.map_err(|error| ModelError::File { path: path.clone(), error })?;
        }
        Ok(Self { sender, shared })
    }

    /// The profile of the model that is used.
    pub fn profile(&self) -> &Profile {
        &self.shared.profile
    }

    /// How the workers fare.
    pub fn health(&self) -> Health {
        self.shared.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Images that wait or are processed.
    pub fn pending(&self) -> usize {
        self.shared.pending.load(Ordering::Relaxed)
    }

    /// Has an image processed, if somebody still waits for it when its turn comes; the image is kept until then.
    ///
    /// # Errors
    /// When too many wait.
    pub fn submit(
        &self,
        image: impl AsRef<[u8]> + Send + 'static,
        wanted: Wanted,
        reply: impl Reply,
    ) -> Result<(), Full> {
        self.put(Task { image: Box::new(image), wanted, reply: Box::new(reply) }, |task| {
            self.sender.try_send(task).map_err(|_| Full)
        })
    }

    /// The same, waiting for a place in the queue and for the answer.
    ///
    /// # Errors
    /// When the image is of no use, or the workers fail.
    pub fn extract(
        &self,
        image: impl AsRef<[u8]> + Send + 'static,
        wanted: Wanted,
    ) -> Result<Extraction, PoolError> {
        let gone = || PoolError::Failed("the workers are gone".to_owned());
        let (reply, answer) = sync_channel(1);
        let task = Task { image: Box::new(image), wanted, reply: Box::new(reply) };
        self.put(task, |task| self.sender.send(task).map_err(|_| gone()))?;
        answer.recv().map_err(|_| gone())?
    }

    /// Has a fresh worker try what it is not to achieve.
    ///
    /// # Errors
    /// When none can be started.
    pub fn attempt(&self, attempt: Attempt) -> Result<Attempted, PoolError> {
        let mut worker = self.shared.begin()?;
        let deadline = Instant::now() + self.shared.settings.patience;
        Ok(match worker.ask(&Asked::Attempt(attempt), &[], deadline, 0) {
            Ok(Said::Attempted { succeeded: false }) => Attempted::Failed,
            Ok(_) => Attempted::Succeeded,
            Err(_) => Attempted::Died,
        })
    }

    fn put<E>(&self, task: Task, send: impl FnOnce(Task) -> Result<(), E>) -> Result<(), E> {
        self.shared.pending.fetch_add(1, Ordering::Relaxed);
        let sent = send(task);
        if sent.is_err() {
            self.shared.pending.fetch_sub(1, Ordering::Relaxed);
        }
        sent
    }
}

impl Shared {
    /// What a thread does until the pool is gone: a worker is kept, and given one image after another.
    fn work(&self) {
        let mut worker = self.begin().ok();
        loop {
            let task = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(Task { image, wanted, reply }) = task else { return };
            if reply.is_awaited() {
                let made = self.process(&mut worker, (*image).as_ref(), &wanted);
                drop(image);
                reply.give(made);
            }
            self.pending.fetch_sub(1, Ordering::Relaxed);
            if worker.as_ref().is_none_or(Worker::has_worked_long)
                && let Ok(fresh) = self.begin()
            {
                worker = Some(fresh);
            }
        }
    }

    fn process(
        &self,
        worker: &mut Option<Worker>,
        image: &[u8],
        wanted: &Wanted,
    ) -> Result<Extraction, PoolError> {
        if image.len() > FILE_LIMIT_BYTES {
            return Err(Unusable::from(DecodeError::Long(image.len())).into());
        }
        if worker.as_mut().is_none_or(Worker::has_ended) {
            *worker = Some(self.begin()?);
        }
        let Some(running) = worker else { return Err(PoolError::Failed("no worker".to_owned())) };
        let began = Instant::now();
        let deadline = began + self.settings.patience;
        let said = running.ask(&Asked::Extract(*wanted), image, deadline, self.profile.embedder.dimension);
        (running.images, running.worked) = (running.images + 1, running.worked + began.elapsed());
        match said {
            Ok(Said::Made(extraction)) if extraction.model == self.profile.id => Ok(*extraction),
            Ok(Said::Unusable(unusable)) => Err(unusable.into()),
            Ok(Said::Failed { why }) => Err(PoolError::Failed(why)),
            // It died, took too long, or does not know any more what it says: the image did that.
            Ok(_) | Err(_) => {
                *worker = None;
                Err(Unusable::Limits.into())
            }
        }
    }

    fn begin(&self) -> Result<Worker, PoolError> {
        let begun = Worker::start(&self.settings);
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        match begun {
            Ok((worker, confinement)) => {
                *health = Health { confinement: Some(confinement), failure: None };
                Ok(worker)
            }
            Err(error) => {
                *health = Health { confinement: None, failure: Some(error.to_string()) };
                drop(health);
                std::thread::sleep(PAUSE);
                Err(PoolError::Failed(error.to_string()))
            }
        }
    }
}
