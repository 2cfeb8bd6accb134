//! Workers, and the bounded queue before them. Each worker has a thread of this process that speaks with it.

use crate::{
    confine::{Attempt, Confinement},
    extract::{Extraction, Unusable, Wanted},
    frame::{self, Asked, Said},
    model::{ModelError, Models, Profile},
    worker,
};
use matcher::template::ModelId;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_setfl},
};
use std::{
    ffi::OsString,
    io::{self, Read, Write},
    os::fd::AsFd,
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::{Duration, Instant},
};

/// A worker makes way for a fresh one after so many images.
const IMAGES_A_WORKER: usize = 500;
/// How long a worker may take to load its model.
const START: Duration = Duration::from_mins(1);
/// How long to wait before another is started, if one could not.
const PAUSE: Duration = Duration::from_secs(1);
/// Memory of a worker: model, decoded image, and what the decoder needs.
pub const MEMORY_BYTES: u64 = 640 << 20;

/// What a pool is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program that has the hidden command, and what stands before the command.
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
    /// For a model: a worker a core, each this very program, and twice as many images waiting as there are workers.
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

type Reply = Box<dyn FnOnce(Result<Extraction, PoolError>) + Send>;

struct Task {
    image: Box<dyn AsRef<[u8]> + Send>,
    wanted: Wanted,
    reply: Reply,
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

    /// Has an image processed; `reply` is called once, on a thread that does nothing else meanwhile.
    ///
    /// # Errors
    /// When too many wait.
    pub fn submit(
        &self,
        image: impl AsRef<[u8]> + Send + 'static,
        wanted: Wanted,
        reply: impl FnOnce(Result<Extraction, PoolError>) + Send + 'static,
    ) -> Result<(), Full> {
        self.put(Task { image: Box::new(image), wanted, reply: Box::new(reply) }, |task| {
            self.sender.try_send(task).map_err(|error| match error {
                TrySendError::Full(_) | TrySendError::Disconnected(_) => Full,
            })
        })
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
        let reply: Reply = Box::new(move |made| drop(reply.send(made)));
        let task = Task { image: Box::new(image), wanted, reply };
        self.put(task, |task| self.sender.send(task).map_err(|_| gone()))?;
        answer.recv().map_err(|_| gone())?
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
            reply(self.process(&mut worker, (*image).as_ref(), &wanted));
            self.pending.fetch_sub(1, Ordering::Relaxed);
            if worker.as_ref().is_none_or(|worker| worker.images >= IMAGES_A_WORKER) {
                worker = self.begin().ok();
            }
        }
    }

    fn process(
        &self,
        worker: &mut Option<Worker>,
        image: &[u8],
        wanted: &Wanted,
    ) -> Result<Extraction, PoolError> {
        if worker.as_mut().is_none_or(Worker::has_ended) {
            *worker = Some(self.begin()?);
        }
        let Some(running) = worker else { return Err(PoolError::Failed("no worker".to_owned())) };
        running.images += 1;
        let deadline = Instant::now() + self.settings.patience;
        let said = running.ask(&Asked::Extract(*wanted), image, deadline, self.profile.embedder.dimension);
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

/// A worker process; it is killed when this is dropped.
struct Worker {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    images: usize,
}

impl Worker {
    fn start(settings: &Settings) -> io::Result<(Self, Confinement)> {
        let Settings { program, models, model, memory_bytes, .. } = settings;
        let models = models.canonicalize()?;
        let arguments: [OsString; 7] = [
            worker::COMMAND.into(),
            "--memory-bytes".into(),
            memory_bytes.to_string().into(),
            "--models".into(),
            models.into(),
            "--model".into(),
            model.as_str().into(),
        ];
        let mut command = Command::new(program);
        // Nothing of this process's environment: the root key may stand there. An allocator that keeps address space for later
        // would meet the limits at once.
        command.args(arguments).env_clear().env("MIMALLOC_ARENA_RESERVE", "0").current_dir("/");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or_else(|| io::Error::other("the worker has no pipes"))?;
        fcntl_setfl(&input, OFlags::NONBLOCK)?;
        fcntl_setfl(&output, OFlags::NONBLOCK)?;
        let mut worker = Self { child, input, output, images: 0 };
        match frame::heard(&worker.read(Instant::now() + START)?, 0)? {
            Said::Ready { confinement } => Ok((worker, confinement)),
            Said::Failed { why } => Err(io::Error::other(why)),
            _ => Err(io::Error::other("the worker does not say that it is ready")),
        }
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    fn ask(&mut self, asked: &Asked, image: &[u8], deadline: Instant, dimension: usize) -> io::Result<Said> {
        self.write(&frame::head(asked, image.len()), deadline)?;
        self.write(image, deadline)?;
        frame::heard(&self.read(deadline)?, dimension)
    }

    fn write(&mut self, mut rest: &[u8], deadline: Instant) -> io::Result<()> {
        while !rest.is_empty() {
            await_until(&self.input, PollFlags::OUT, deadline)?;
            match self.input.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn read(&mut self, deadline: Instant) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.fill(&mut length, deadline)?;
        let mut frame = vec![0; frame::checked(length)?];
        self.fill(&mut frame, deadline)?;
        Ok(frame)
    }

    fn fill(&mut self, bytes: &mut [u8], deadline: Instant) -> io::Result<()> {
        let mut at = 0;
        while at < bytes.len() {
            await_until(&self.output, PollFlags::IN, deadline)?;
            match self.output.read(&mut bytes[at..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => at += read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

fn await_until(pipe: &impl AsFd, event: PollFlags, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
    match poll(&mut [PollFd::new(pipe, event)], Some(&timeout)) {
        Ok(0) => Err(io::ErrorKind::TimedOut.into()),
        Err(rustix::io::Errno::INTR) | Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
