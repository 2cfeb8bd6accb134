//! Long answers: JSON Lines, each sent as soon as it is known. The last one is `{"end": ...}`; where it is missing, or `{"problem": ...}` stands in
//! its place, the answer is not whole.

use crate::{
    node::Node,
    problem::{Kind, Problem},
};
use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use gallery::Gallery;
use serde::Serialize;
use std::{convert::Infallible, io, sync::Arc, time::Duration};
use tokio::{runtime::Handle, sync::mpsc};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

/// Lines that wait for who reads them.
const AHEAD: usize = 64;

enum Part {
    Line(Vec<u8>),
    Failed(Problem),
}

/// Where the lines go.
pub(crate) struct Lines {
    sender: mpsc::Sender<Part>,
    runtime: Handle,
    patience: Duration,
}

impl Lines {
    /// Sends a line, waiting for its reader.
    ///
    /// # Errors
    /// When the reader has gone, or takes nothing for too long.
    pub(crate) fn send(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.put(Part::Line(bytes))
    }

    fn put(&mut self, part: Part) -> io::Result<()> {
        let sent = tokio::time::timeout(self.patience, self.sender.send(part));
        match self.runtime.block_on(sent) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Runs a verb that tells line by line, and answers with what it tells. What it returns is the end's.
///
/// # Errors
/// When it fails before its first line, or enough of them run.
pub(crate) async fn answer<T, E>(
    node: &Arc<Node>,
    verb: impl FnOnce(&Gallery, &mut Lines) -> Result<T, E> + Send + 'static,
) -> Result<Response, Problem>
where
    T: Serialize,
    E: Into<Problem>,
{
    let busy = |_| Problem::new(Kind::Busy, "as many long answers are under way as there may be");
    let one_of_few = Arc::clone(&node.long_answers).try_acquire_owned().map_err(busy)?;
    let (sender, mut receiver) = mpsc::channel(AHEAD);
    let (gallery, runtime) = (Arc::clone(&node.gallery), Handle::current());
    let patience = Duration::from_secs(node.config.receive_timeout_s);
    tokio::task::spawn_blocking(move || {
        let _until_it_ends = one_of_few;
        let mut lines = Lines { sender, runtime, patience };
        // Who has gone is told nothing.
        let _ = match verb(&gallery, &mut lines) {
            Ok(end) => lines.send(&serde_json::json!({ "end": end })),
            Err(error) => lines.put(Part::Failed(error.into())),
        };
    });
    let first = match receiver.recv().await {
        Some(Part::Line(line)) => line,
        Some(Part::Failed(problem)) => return Err(problem),
        None => return Err(Problem::fault("a verb has panicked")),
    };
    let rest = ReceiverStream::new(receiver).map(|part| match part {
        Part::Line(line) => line,
        Part::Failed(problem) => format!("{}\n", serde_json::json!({ "problem": problem })).into_bytes(),
    });
    let lines = tokio_stream::once(first).chain(rest).map(Ok::<_, Infallible>);
    let kind = [(header::CONTENT_TYPE, "application/jsonl"), (header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::OK, kind, Body::from_stream(lines)).into_response())
}
