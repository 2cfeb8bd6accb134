//! `POST /v1/generations`

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

/// Begin to build a generation from the record, which is put in place if it answers as the exact scan does. A job tells how far it is.
#[utoipa::path(post, path = "/v1/generations", tag = "generations", extensions(("x-operation" = json!("upkeep"))),
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats get the stored answer")),
    responses(
        (status = 202, body = JobBegun),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn build_generation(
    State(node): State<Arc<Node>>,
    By(caller): By,
    key: Key,
    request: Request,
) -> Result<(StatusCode, Json<JobBegun>), Problem> {
    jobs::begin::begin(&node, caller, key, request, Kind::Rebuild).await
}
