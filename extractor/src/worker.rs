//! A worker: a process that confines itself, loads a model, and makes templates of images that come over a pipe.

use crate::{
    confine,
    extract::{ExtractError, Extractor},
    frame::{self, Asked, Said},
    model::Models,
};
use matcher::template::ModelId;
use rustix::process::{Signal, set_parent_process_death_signal};
use std::{
    io::{self, BufWriter},
    path::Path,
    process::ExitCode,
};

/// The name of the hidden command that is a worker, in every program that has workers.
pub const COMMAND: &str = "extract-worker";

/// Works, if this process was started as a worker; `None` if it was not. The first thing that a program with workers does.
pub fn if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != COMMAND {
        return None;
    }
    let named = |name: &str, given: Option<String>| given.filter(|given| given == name);
    let mut value = |name: &str| named(name, arguments.next()).and_then(|_| arguments.next());
    let memory = value("--memory-bytes").and_then(|bytes| bytes.parse().ok());
    let cpu = value("--cpu-s").and_then(|seconds| seconds.parse().ok());
    let limits = memory.zip(cpu);
    let done = match (limits, value("--models"), value("--model").and_then(|id| ModelId::new(&id).ok())) {
        (Some(limits), Some(models), Some(model)) => run(Path::new(&models), &model, limits),
        _ => return Some(ExitCode::from(2)), // not for people
    };
    Some(if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Works until its input ends. What it cannot tell to whoever started it, it ends with.
///
/// # Errors
/// When nobody listens any more, or what comes is no frame.
fn run(models: &Path, model: &ModelId, (memory_bytes, cpu_s): (u64, u64)) -> io::Result<()> {
    // Whoever started it may be killed while it waits.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let (mut requests, mut answers) = (io::stdin().lock(), BufWriter::new(io::stdout().lock()));
    let opened = Models::in_folder(models).open(model);
    let confinement = confine::confine(memory_bytes, cpu_s)?;
    let loaded = opened.and_then(Extractor::load);
    let extractor = match loaded {
        Ok(extractor) => extractor,
        Err(error) => return frame::say(&mut answers, &Said::Failed { why: error.to_string() }),
    };
    if confinement.seccomp {
        confine::start_no_more_threads()?;
    }
    frame::say(&mut answers, &Said::Ready { confinement })?;
    while let Some(request) = frame::read(&mut requests)? {
        let (asked, image) = frame::open::<Asked>(&request)?;
        let said = match asked {
            Asked::Extract(wanted) => match extractor.extract(image, &wanted) {
                Ok(extraction) => Said::Made(Box::new(extraction)),
                Err(ExtractError::Unusable(unusable)) => Said::Unusable(unusable),
                Err(ExtractError::Model(error)) => Said::Failed { why: error.to_string() },
            },
            Asked::Attempt(attempt) => Said::Attempted { succeeded: attempt.succeeds() },
        };
        frame::say(&mut answers, &said)?;
    }
    Ok(())
}
