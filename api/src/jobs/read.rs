//! `GET /v1/jobs/{id}`

use crate::{body::path_value, caller::By, node::Node, problem::Problem, wire::ReceiptBody};
use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use gallery::{
    authority::Caller,
    id::JobId,
    job::{self, Job},
    jobs,
    timestamp::Timestamp,
};
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tokio_stream::StreamExt;
use utoipa::ToSchema;

/// A job, begun.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobBegun {
    #[schema(value_type = String)]
    pub(crate) job: JobId,
    pub(crate) receipt: ReceiptBody,
}

/// Long work that somebody asked for.
#[derive(Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct JobResponse {
    #[schema(value_type = String)]
    id: JobId,
    /// What is to be done: `rebuild` or `backup`.
    #[schema(value_type = String)]
    kind: job::Kind,
    /// `running`, `done`, `failed` or `cancelled`.
    #[schema(value_type = String)]
    state: job::State,
    /// How far it is, while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<ProgressBody>,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
}

/// How far a job is.
#[derive(Clone, PartialEq, Serialize, ToSchema)]
struct ProgressBody {
    /// `reading`, `coding` or `comparing`.
    #[schema(value_type = String)]
    stage: job::Stage,
    /// References for which it is done.
    done: u64,
    /// Of so many.
    total: u64,
}

impl From<Job> for JobResponse {
    fn from(job: Job) -> Self {
        let Job { id, kind, state, progress, outcome, created_at, ended_at } = job;
        let progress =
            progress.map(|job::Progress { stage, done, total }| ProgressBody { stage, done, total });
        Self { id, kind, state, progress, outcome, created_at, ended_at }
    }
}

/// How often a job is looked at for whoever follows it.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Read a job. With `Accept: text/event-stream`, its states as they come, as server-sent events named `job`, until it has ended.
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "jobs", extensions(("x-operation" = json!("upkeep"))),
    params(("id" = String, Path, description = "Limen's id")),
    responses(
        (status = 200, body = JobResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn read_job(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id: JobId = path_value(&id, "id")?;
    let job = look(&node, &caller, id).await?;
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !accept.contains("text/event-stream") {
        return Ok(Json(job).into_response());
    }
    Ok(Sse::new(follow(node, caller, job)).keep_alive(KeepAlive::default()).into_response())
}

async fn look(node: &Arc<Node>, caller: &Caller, id: JobId) -> Result<JobResponse, Problem> {
    let caller = caller.clone();
    Ok(node.blocking(move |gallery| jobs::read(gallery, &caller, id)).await?.into())
}

/// The states of a job, each once, until it has ended or cannot be read any more.
fn follow(
    node: Arc<Node>,
    caller: Caller,
    first: JobResponse,
) -> impl tokio_stream::Stream<Item = Result<Event, axum::Error>> {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        let mut last = first;
        let mut told = sender.send(last.clone()).await;
        while told.is_ok() && last.state == job::State::Running {
            tokio::time::sleep(LOOK_EVERY).await;
            let Ok(now) = look(&node, &caller, last.id).await else { return };
            if now != last {
                last = now;
                told = sender.send(last.clone()).await;
            } else if sender.is_closed() {
                return;
            }
        }
    });
    let event = |job: JobResponse| Event::default().event("job").json_data(job);
    tokio_stream::wrappers::ReceiverStream::new(receiver).map(event)
}
