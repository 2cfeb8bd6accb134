//! `GET /v1/log/events/{index}`

use crate::{body::path_value, caller::By, node::Node, problem::Problem, wire::ReceiptBody};
use axum::{
    Json,
    extract::{Path, State},
};
use gallery::evidence::{self, Evidence};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// An event with all that shows that it is in the log.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventResponse {
    /// `event` (JSON as text, exactly as it was logged), `salt`, `proof` (c2sp.org/tlog-proof) and `log_key`: `limen-index audit check` reads it.
    #[schema(value_type = Object)]
    evidence: Evidence,
    /// Of the reading.
    receipt: ReceiptBody,
}

/// Read an event of the log, with its proof. For auditors; reading is logged.
#[utoipa::path(get, path = "/v1/log/events/{index}", tag = "log", extensions(("x-operation" = json!("consultation"))),
    params(("index" = u64, Path, description = "The leaf's position, as receipts tell it")),
    responses(
        (status = 200, body = EventResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn read_event(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Path(index): Path<String>,
) -> Result<Json<EventResponse>, Problem> {
    let index: u64 = path_value(&index, "index")?;
    let (evidence, receipt) =
        node.blocking(move |gallery| evidence::read_event(gallery, &caller, index)).await?;
    Ok(Json(EventResponse { evidence, receipt: receipt.into() }))
}
