//! `POST /v1/subjects/{id}/erasure`

use crate::{node::Node, problem::Problem, subjects::addressed::Addressed, wire::ReceiptBody};
use axum::{Json, extract::State};
use gallery::{
    erase::{self, Erased},
    id::SubjectId,
    timestamp::Timestamp,
};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A subject that nobody finds any more.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErasureResponse {
    #[schema(value_type = String)]
    subject: SubjectId,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    ordered_at: Timestamp,
    /// Are key and rows destroyed? If not (the disk is full), the node does so with the next erasure, or at its next start.
    complete: bool,
    /// Of the order; the log holds the completion, too.
    receipt: ReceiptBody,
}

/// Erase a subject of the caller's nation: its key is destroyed, and with it its templates in every copy, in backups
/// too. There is no way back.
#[utoipa::path(post, path = "/v1/subjects/{id}/erasure", tag = "subjects", extensions(("x-operation" = json!("erasure"))),
    params(
        ("id" = String, Path, description = "Limen's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats get the stored answer"),
    ),
    responses(
        (status = 200, body = ErasureResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn erase_subject(
    State(node): State<Arc<Node>>,
    Addressed { caller, subject, idempotency }: Addressed,
) -> Result<Json<ErasureResponse>, Problem> {
    let erase = move |gallery: &_| erase::erase(gallery, &caller, subject, idempotency);
    let Erased { ordered_at, receipt, complete } = node.blocking(erase).await?;
    Ok(Json(ErasureResponse { subject, ordered_at, complete, receipt: receipt.into() }))
}
