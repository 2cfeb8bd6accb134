//! `GET /v1/log/checkpoint`

use crate::{caller::By, node::Node, problem::Problem};
use axum::{
    extract::State,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use gallery::evidence;
use std::sync::Arc;

/// Read the log's size and root, signed (c2sp.org/tlog-checkpoint). For whoever holds a grant.
#[utoipa::path(get, path = "/v1/log/checkpoint", tag = "log", extensions(("x-operation" = json!("upkeep"))),
    responses(
        (status = 200, content_type = "text/plain", body = String),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn read_checkpoint(State(node): State<Arc<Node>>, By(_): By) -> Response {
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-cache")];
    (headers, evidence::checkpoint(&node.gallery)).into_response()
}
