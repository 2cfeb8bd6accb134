//! `POST /v1/backups`

use crate::{
    body::Key,
    caller::By,
    jobs::{self, read::JobBegun},
    node::Node,
    problem::Problem,
};
use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use gallery::job::Kind;
use std::sync::Arc;

/// Begin to copy record and log, and the keys if the node is told where, into the folders that the node has for backups. A job tells when it is done, and under
/// which name; `limen-index restore` reads it.
#[utoipa::path(post, path = "/v1/backups", tag = "backups", extensions(("x-operation" = json!("upkeep"))),
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats get the stored answer")),
    responses(
        (status = 202, body = JobBegun),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn create_backup(
    State(node): State<Arc<Node>>,
    By(caller): By,
    key: Key,
    request: Request,
) -> Result<(StatusCode, Json<JobBegun>), Problem> {
    jobs::begin::begin(&node, caller, key, request, Kind::Backup).await
}
