//! Long work that somebody asked for.

use crate::{id::JobId, timestamp::Timestamp};
use matcher::template::ModelId;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    thread::JoinHandle,
};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Build a generation and put it in place.
    Rebuild,
    /// Measure what scores mean.
    Calibrate,
    /// Copy record, log and keys where the node keeps its backups.
    Backup,
}

/// What has become of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It runs, or will when the node is started.
    Running,
    /// It came to its end.
    Done,
    /// It could not.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

/// A job.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Which.
    pub id: JobId,
    /// What is to be done.
    pub kind: Kind,
    /// What has become of it.
    pub state: State,
    /// How far it has come, while it runs.
    pub progress: Option<Progress>,
    /// What came of it, in words.
    pub outcome: Option<String>,
    /// Since when it is on record.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// How far long work has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// References for which it is done.
    pub done: u64,
    /// Of so many.
    pub total: u64,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reading the record.
    Reading,
    /// Coding.
    Coding,
    /// Comparing what was built with the exact scan.
    Comparing,
}

impl Stage {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Coding => "coding",
            Self::Comparing => "comparing",
        }
    }
}

/// The jobs that run here.
#[derive(Debug, Default)]
pub(crate) struct Running {
    pub(crate) jobs: Mutex<HashMap<JobId, Arc<Told>>>,
    pub(crate) threads: Mutex<Vec<JoinHandle<()>>>,
    pub(crate) halted: AtomicBool,
    /// References of models that the node has tried to calibrate by itself, whatever came of it.
    pub(crate) tried: Mutex<HashMap<ModelId, u64>>,
}

/// What a job's thread tells, and is told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) progress: Mutex<Option<Progress>>,
    pub(crate) cancelled: AtomicBool,
}

impl Running {
    pub(crate) fn of(&self, id: JobId) -> Option<Arc<Told>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }
}
