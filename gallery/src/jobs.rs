//! Jobs: long work that somebody asked for is on record, so that a restart carries it on; told how far it is; ended when told to.

use crate::{
    authority::{self, Actor, Caller, Rebuild, Refusal},
    backup,
    calibrate::{self, CalibrateError},
    event::What,
    gallery::{Asked, Gallery, Turn},
    id::JobId,
    idempotency::{Idempotency, KeyError},
    job::{Job, Kind, State, Told},
    priority,
    rebuild::{self, RebuildError},
    record::{StoreError, WriteError, change::Done, jobs as table},
};
use audit::receipt::Receipt;
use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

/// Why there is no such job, or it was not begun or ended.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// No authority; it is in the log.
    #[error(transparent)]
    Refused(Refusal),
    /// There is none.
    #[error("no such job")]
    Unknown,
    /// One of its kind runs.
    #[error("a job of this kind runs already: {0}")]
    Busy(JobId),
    /// It has ended.
    #[error("the job has ended")]
    Ended,
    /// The node has no place for backups.
    #[error("no folder for backups is configured")]
    NoPlace,
    /// The idempotency key cannot be used.
    #[error(transparent)]
    Key(KeyError),
    /// The node is at fault.
    #[error(transparent)]
    Node(#[from] WriteError),
}

crate::fault::faults!(JobError);
crate::fault::turn_faults!(JobError);

/// Puts a job on record and begins it.
///
/// # Errors
/// When the caller may not, one of this kind runs, or the node cannot.
pub fn start(
    gallery: &Arc<Gallery>,
    caller: &Caller,
    kind: Kind,
    idempotency: Option<Idempotency>,
) -> Result<(JobId, Receipt), JobError> {
    let actor = permitted(gallery, caller)?;
    if kind == Kind::Backup && gallery.backups.is_none() {
        return Err(JobError::NoPlace);
    }
    let claim = match gallery.turn(caller, idempotency)? {
        Turn::Again(id, receipt) => return Ok((id, receipt)),
        Turn::First(claim) => claim,
    };
    let id = JobId::mint(&gallery.ambient);
    let running = Arc::clone(gallery);
    let written = gallery.writer.write(actor.clone(), claim.as_ref(), move |change| {
        for job in table::running(change.connection)?.into_iter().filter(|job| job.kind == kind) {
            if running.running.of(job.id).is_some() {
                return Err(JobError::Busy(job.id));
            }
            // Its end could not be written.
            change.end_job(job.id, State::Failed, "interrupted")?;
        }
        change.insert_job(id, kind)?;
        Ok(Done { outcome: id, what: What::BeginJob { job: id, kind }, deltas: Vec::new() })
    });
    let (id, receipt) = written?;
    begin(gallery, actor, id, kind);
    Ok((id, receipt))
}

/// Begins again what a restart interrupted; and builds a generation where one is wanted.
///
/// # Errors
/// When the store cannot be read.
pub fn resume(gallery: &Arc<Gallery>) -> Result<(), JobError> {
    let interrupted = gallery.store.read(|store| table::running(store))?;
    for job in &interrupted {
        begin(gallery, Actor::node(), job.id, job.kind);
    }
    if interrupted.is_empty() && rebuild::wanted(gallery).is_some() {
        begin_as_node(gallery, Kind::Rebuild)?;
    }
    Ok(())
}

/// Begins to measure what scores mean, where that is wanted and no job runs. To be asked now and then.
///
/// # Errors
/// When the store cannot be read or written.
pub fn keep_calibrated(gallery: &Arc<Gallery>) -> Result<(), JobError> {
    let idle = gallery.running.jobs.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
    if idle && calibrate::is_due(gallery) { begin_as_node(gallery, Kind::Calibrate) } else { Ok(()) }
}

fn begin_as_node(gallery: &Arc<Gallery>, kind: Kind) -> Result<(), JobError> {
    let id = JobId::mint(&gallery.ambient);
    gallery.writer.write(Actor::node(), None, move |change| {
        if let Some(job) = table::running(change.connection)?.into_iter().find(|job| job.kind == kind) {
            return Err(JobError::Busy(job.id));
        }
        change.insert_job(id, kind)?;
        Ok::<_, JobError>(Done { outcome: (), what: What::BeginJob { job: id, kind }, deltas: Vec::new() })
    })?;
    begin(gallery, Actor::node(), id, kind);
    Ok(())
}

/// Ends the threads of all jobs, which the next start begins again.
pub fn halt(gallery: &Gallery) {
    gallery.running.halted.store(true, Ordering::Release);
    let threads =
        std::mem::take(&mut *gallery.running.threads.lock().unwrap_or_else(PoisonError::into_inner));
    threads.into_iter().for_each(|thread| drop(thread.join()));
}

/// A job.
///
/// # Errors
/// When the caller may not, there is none, or the node cannot.
pub fn read(gallery: &Gallery, caller: &Caller, id: JobId) -> Result<Job, JobError> {
    permitted(gallery, caller)?;
    let job = gallery.store.read(|store| table::find(store, id))?.ok_or(JobError::Unknown)?;
    Ok(with_progress(gallery, job))
}

/// The last hundred jobs, newest first.
///
/// # Errors
/// When the caller may not, or the node cannot.
pub fn list(gallery: &Gallery, caller: &Caller) -> Result<Vec<Job>, JobError> {
    permitted(gallery, caller)?;
    let jobs = gallery.store.read(|store| table::last(store))?;
    Ok(jobs.into_iter().map(|job| with_progress(gallery, job)).collect())
}

/// Tells a job to end. It does so at its next step.
///
/// # Errors
/// When the caller may not, there is none, it has ended, or the node cannot.
pub fn cancel(gallery: &Gallery, caller: &Caller, id: JobId) -> Result<(), JobError> {
    let job = read(gallery, caller, id)?;
    let told = gallery.running.of(id).filter(|_| job.state == State::Running).ok_or(JobError::Ended)?;
    told.cancelled.store(true, Ordering::Release);
    Ok(())
}

fn with_progress(gallery: &Gallery, job: Job) -> Job {
    let told = gallery.running.of(job.id).filter(|_| job.state == State::Running);
    let progress = told.and_then(|told| *told.progress.lock().unwrap_or_else(PoisonError::into_inner));
    Job { progress, ..job }
}

fn permitted(gallery: &Gallery, caller: &Caller) -> Result<Actor, JobError> {
    let permit = authority::permit_own::<Rebuild>(caller, &gallery.current.load().catalogue, &[]);
    Ok(gallery.logged(caller, Asked::default(), permit)?.actor().clone())
}

fn begin(gallery: &Arc<Gallery>, actor: Actor, id: JobId, kind: Kind) {
    let told = Arc::new(Told::default());
    gallery.running.jobs.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&told));
    let held = Arc::clone(gallery);
    let thread = std::thread::Builder::new().name("job".to_owned()).spawn(move || {
        priority::yield_to_others();
        let running = Leaving(&held, id);
        work(running.0, &actor, id, kind, &told);
    });
    // Without a thread to be had, the next start begins it.
    gallery.running.threads.lock().unwrap_or_else(PoisonError::into_inner).extend(thread);
}

/// Takes a job off those that run, also when its thread panics.
struct Leaving<'a>(&'a Gallery, JobId);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.running.jobs.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

fn work(gallery: &Gallery, actor: &Actor, id: JobId, kind: Kind, told: &Told) {
    let halted = || gallery.running.halted.load(Ordering::Acquire);
    let go_on = |progress| {
        *told.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
        !told.cancelled.load(Ordering::Acquire) && !halted()
    };
    let done: Result<String, Box<dyn std::error::Error>> = match kind {
        Kind::Rebuild => match rebuild::rebuild_as(gallery, actor, go_on) {
            Ok(built) => Ok(format!("generation {}, {} references", built.id.0, built.references)),
            Err(RebuildError::Build(_)) if halted() => return, // to be begun again
            Err(error) => Err(error.into()),
        },
        Kind::Calibrate => match calibrate::calibrate_as(gallery, actor, go_on) {
            Ok(made) => Ok(told_of(&made)),
            Err(CalibrateError::Ended) if halted() => return, // to be begun again
            Err(error) => Err(error.into()),
        },
        Kind::Backup => backup::of_job(gallery, actor, id).map_err(Into::into),
    };
    let (state, outcome) = match done {
        Ok(outcome) => (State::Done, outcome),
        Err(_) if told.cancelled.load(Ordering::Acquire) => (State::Cancelled, "cancelled".to_owned()),
        Err(error) => (State::Failed, error.to_string()),
    };
    // While it cannot be written for want of room, it is tried again; after that, the next start begins the job again.
    loop {
        let outcome = outcome.clone();
        let written = gallery.writer.write(actor.clone(), None, move |change| {
            change.end_job(id, state, &outcome)?;
            let what = What::EndJob { job: id, state, outcome };
            Ok::<_, JobError>(Done { outcome: (), what, deltas: Vec::new() })
        });
        match written {
            Err(JobError::Node(
                WriteError::Store(StoreError::Full) | WriteError::Undone | WriteError::Busy,
            )) if !halted() => {
                std::thread::sleep(TRY_AGAIN);
            }
            _ => return,
        }
    }
}

fn told_of(made: &[calibrate::Outcome]) -> String {
    let told = |one: &calibrate::Outcome| {
        let (id, calibration) = (one.calibrated.id, &one.calibrated.calibration);
        format!("{id} of model {}, {} references", calibration.model, calibration.references)
    };
    if made.is_empty() {
        "no model has references".to_owned()
    } else {
        made.iter().map(told).collect::<Vec<_>>().join("; ")
    }
}

/// How soon the end of a job is written again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
