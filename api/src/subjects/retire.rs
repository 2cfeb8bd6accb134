//! `DELETE /v1/subjects/{id}`

use crate::{node::Node, problem::Problem, subjects::addressed::Addressed, wire::ReceiptBody};
use axum::{Json, extract::State};
use gallery::{id::SubjectId, retire, timestamp::Timestamp};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A subject that is not searched any more.
#[derive(Serialize, ToSchema)]
pub(crate) struct RetiredResponse {
    #[schema(value_type = String)]
    subject: SubjectId,
    #[schema(value_type = String, format = DateTime)]
    retired_at: Timestamp,
    receipt: ReceiptBody,
}

/// Retire a subject of the caller's nation: it stays on record, and no lookup returns it any more.
#[utoipa::path(delete, path = "/v1/subjects/{id}", tag = "subjects", extensions(("x-operation" = json!("alteration"))),
    params(
        ("id" = String, Path, description = "Limen's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats get the stored answer"),
    ),
    responses(
        (status = 200, body = RetiredResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn retire_subject(
    State(node): State<Arc<Node>>,
    Addressed { caller, subject, idempotency }: Addressed,
) -> Result<Json<RetiredResponse>, Problem> {
    let retire = move |gallery: &_| retire::retire(gallery, &caller, subject, idempotency);
    let (retired_at, receipt) = node.blocking(retire).await?;
    Ok(Json(RetiredResponse { subject, retired_at, receipt: receipt.into() }))
}
