//! `GET /v1/log/proofs/{index}`

use crate::{body::path_value, caller::By, node::Node, problem::Problem};
use axum::{
    extract::{Path, State},
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use gallery::evidence;
use std::sync::Arc;

/// Prove that a leaf is in the log (c2sp.org/tlog-proof). For whoever holds a grant; it tells nothing of the event.
#[utoipa::path(get, path = "/v1/log/proofs/{index}", tag = "log", extensions(("x-operation" = json!("upkeep"))),
    params(("index" = u64, Path, description = "The leaf's position, as receipts tell it")),
    responses(
        (status = 200, content_type = "text/plain", body = String),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn prove(
    State(node): State<Arc<Node>>,
    By(_): By,
    Path(index): Path<String>,
) -> Result<Response, Problem> {
    let index: u64 = path_value(&index, "index")?;
    let proof = node.blocking(move |gallery| evidence::prove(gallery, index)).await?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], proof.to_string()).into_response())
}
