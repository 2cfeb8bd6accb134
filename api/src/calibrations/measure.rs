//! `POST /v1/calibrations`

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

/// Begin to measure what scores mean: of the models whose references have become a tenth more since the last time, or else of all. A job
/// tells how far it is. A node does so by itself.
#[utoipa::path(post, path = "/v1/calibrations", tag = "calibrations", extensions(("x-operation" = json!("upkeep"))),
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats get the stored answer")),
    responses(
        (status = 202, body = JobBegun),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn measure_calibration(
    State(node): State<Arc<Node>>,
    By(caller): By,
    key: Key,
    request: Request,
) -> Result<(StatusCode, Json<JobBegun>), Problem> {
    jobs::begin::begin(&node, caller, key, request, Kind::Calibrate).await
}
