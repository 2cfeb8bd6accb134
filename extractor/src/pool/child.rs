//! One worker process, seen from the node.

use super::Settings;
use crate::{
    confine::Confinement,
    frame::{self, Asked, Said},
    worker,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_setfl},
};
use std::{
    ffi::OsString,
    io::{self, Read, Write},
    os::fd::AsFd,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

/// A worker makes way for a fresh one after so many images, or after so long a time of work.
const IMAGES_A_WORKER: usize = 500;
const WORK_A_WORKER: Duration = Duration::from_secs(150);
/// How long a worker may take to load its model.
const START: Duration = Duration::from_mins(1);

/// A worker process; it is killed when this is dropped.
pub(super) struct Worker {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    pub(super) images: usize,
    pub(super) worked: Duration,
}

impl Worker {
    pub(super) fn start(settings: &Settings) -> io::Result<(Self, Confinement)> {
        let Settings { program, models, model, patience, memory_bytes, .. } = settings;
        let models = models.canonicalize()?;
        // More than it works before it makes way, whatever the last image takes.
        let cpu_s = (WORK_A_WORKER + 2 * *patience).as_secs() + 30;
        let arguments: [OsString; 9] = [
            worker::COMMAND.into(),
            "--memory-bytes".into(),
            memory_bytes.to_string().into(),
            "--cpu-s".into(),
            cpu_s.to_string().into(),
            "--models".into(),
            models.into(),
            "--model".into(),
            model.as_str().into(),
        ];
        let mut command = Command::new(program);
        // Nothing of this process's environment: the root key may stand there. An allocator that keeps address space for later
        // would meet the limits at once.
        command.args(arguments).env_clear().env("MIMALLOC_ARENA_RESERVE", "0");
        // The runtime's own pool, too, which it uses while it loads.
        command.env("RTEN_NUM_THREADS", "1").current_dir("/");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or_else(|| io::Error::other("the worker has no pipes"))?;
        let mut worker = Self { child, input, output, images: 0, worked: Duration::ZERO };
        fcntl_setfl(&worker.input, OFlags::NONBLOCK)?;
        fcntl_setfl(&worker.output, OFlags::NONBLOCK)?;
        match frame::heard(&worker.read(Instant::now() + START)?, 0)? {
            Said::Ready { confinement } => Ok((worker, confinement)),
            Said::Failed { why } => Err(io::Error::other(why)),
            _ => Err(io::Error::other("the worker does not say that it is ready")),
        }
    }

    pub(super) fn has_worked_long(&self) -> bool {
        self.images >= IMAGES_A_WORKER || self.worked >= WORK_A_WORKER
    }

    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    pub(super) fn ask(
        &mut self,
        asked: &Asked,
        image: &[u8],
        deadline: Instant,
        dimension: usize,
    ) -> io::Result<Said> {
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
