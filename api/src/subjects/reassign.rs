//! `POST /v1/subjects/{id}/merger` and `/v1/subjects/{id}/moves`

use crate::{
    body::{Key, Strict, path_value},
    caller::By,
    node::Node,
    problem::Problem,
    wire::ReceiptBody,
};
use axum::{
    Json,
    extract::{Path, State},
};
use gallery::{
    id::{EncounterId, SubjectId},
    reassign,
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// Who a subject is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MergerBody {
    /// Limen's id of the subject who it is.
    #[schema(value_type = String)]
    into: SubjectId,
}

/// Whose encounters they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveBody {
    /// Encounters of the subject; at least one other is left.
    #[schema(value_type = Vec<String>)]
    encounters: Vec<EncounterId>,
    /// Limen's id of the subject whose they are.
    #[schema(value_type = String)]
    to: SubjectId,
}

/// It is so now.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReassignedResponse {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    receipt: ReceiptBody,
}

/// Merge a subject of the caller's nation into another: they are the same person. All encounters and entries are the other's; the first stays on record, retired,
/// and is erased with the other.
#[utoipa::path(post, path = "/v1/subjects/{id}/merger", tag = "subjects", extensions(("x-operation" = json!("combination"))), request_body = MergerBody,
    params(
        ("id" = String, Path, description = "Limen's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats get the stored answer"),
    ),
    responses(
        (status = 200, body = ReassignedResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn merge_subject(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Path(id): Path<String>,
    key: Key,
    Strict { value: MergerBody { into }, hash }: Strict<MergerBody>,
) -> Result<Json<ReassignedResponse>, Problem> {
    let (from, idempotency): (SubjectId, _) = (path_value(&id, "id")?, key.with(hash));
    let merge = move |gallery: &_| reassign::merge(gallery, &caller, from, into, idempotency);
    let (at, receipt) = node.blocking(merge).await?;
    Ok(Json(ReassignedResponse { at, receipt: receipt.into() }))
}

/// Move encounters of a subject of the caller's nation to another, whose they are.
#[utoipa::path(post, path = "/v1/subjects/{id}/moves", tag = "subjects", extensions(("x-operation" = json!("combination"))), request_body = MoveBody,
    params(
        ("id" = String, Path, description = "Limen's id of whose they are said to be"),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats get the stored answer"),
    ),
    responses(
        (status = 200, body = ReassignedResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn move_encounters(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Path(id): Path<String>,
    key: Key,
    Strict { value: MoveBody { encounters, to }, hash }: Strict<MoveBody>,
) -> Result<Json<ReassignedResponse>, Problem> {
    let (from, idempotency): (SubjectId, _) = (path_value(&id, "id")?, key.with(hash));
    let change =
        move |gallery: &_| reassign::move_encounters(gallery, &caller, from, encounters, to, idempotency);
    let (at, receipt) = node.blocking(change).await?;
    Ok(Json(ReassignedResponse { at, receipt: receipt.into() }))
}
