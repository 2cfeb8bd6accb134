//! The witness's doors.

use crate::alarms::{Alarms, say};
use audit::{checkpoint::Checkpoint, note::Note, witness::Witness};
use axum::{
    Router,
    extract::{DefaultBodyLimit, Path, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{net::TcpListener, signal::unix::SignalKind};

/// The longest request: a checkpoint with some signatures, and a proof.
const BODY_LIMIT_BYTES: usize = 64 << 10;
/// Whoever does not send it by then is let go.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct Post {
    witness: Arc<Witness>,
    alarms: Arc<Alarms>,
}

pub(crate) async fn serve(
    listener: TcpListener,
    witness: Arc<Witness>,
    alarms: Arc<Alarms>,
) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/{origin_hash}/checkpoint", get(checkpoint))
        .route("/healthz", get(healthz))
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .layer(axum::middleware::from_fn(in_time))
        .with_state(Post { witness, alarms });
    let mut terminate = tokio::signal::unix::signal(SignalKind::terminate())?;
    let mut interrupt = tokio::signal::unix::signal(SignalKind::interrupt())?;
    let stop = async move {
        tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
    };
    Ok(axum::serve(listener, router).with_graceful_shutdown(stop).await?)
}

async fn in_time(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    let late = |_| StatusCode::REQUEST_TIMEOUT.into_response();
    tokio::time::timeout(PATIENCE, next.run(request)).await.unwrap_or_else(late)
}

async fn add_checkpoint(State(Post { witness, alarms }): State<Post>, request: String) -> Response {
    // A clock before 1970 is none to sign with.
    #[expect(clippy::disallowed_methods, reason = "when it was seen is what a cosignature says")]
    let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let added = tokio::task::spawn_blocking(move || {
        let reply = witness.add_checkpoint(&request, now.as_secs())?;
        match reply.alarm.clone() {
            Some(alarm) => alarms.suspect(alarm, request),
            None if reply.status == 200 => {
                origin(&request).iter().for_each(|origin| alarms.heard(origin));
            }
            None => (),
        }
        std::io::Result::Ok(reply)
    });
    let reply = match added.await {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => {
            say(&format!("error: {error}"));
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    let kind = if reply.status == 409 { "text/x.tlog.size" } else { "text/plain; charset=utf-8" };
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(CONTENT_TYPE, kind)], reply.body).into_response()
}

fn origin(request: &str) -> Option<String> {
    let note: Note = request.split_once("\n\n")?.1.parse().ok()?;
    Some(note.text().parse::<Checkpoint>().ok()?.origin)
}

async fn checkpoint(State(Post { witness, .. }): State<Post>, Path(origin_hash): Path<String>) -> Response {
    match witness.last(&origin_hash) {
        Ok(Some(note)) => ([(CONTENT_TYPE, "text/plain; charset=utf-8")], note).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => {
            say(&format!("error: {error}"));
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn healthz(State(Post { alarms, .. }): State<Post>) -> Response {
    if alarms.none() {
        (StatusCode::OK, "no alarm\n").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "there is an alarm: read the file alarms\n").into_response()
    }
}
