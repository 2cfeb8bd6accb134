//! `PUT` and `DELETE /v1/subjects/{id}/restriction`

use crate::{node::Node, problem::Problem, subjects::addressed::Addressed, wire::ReceiptBody};
use axum::{Json, extract::State};
use gallery::{id::SubjectId, restrict, timestamp::Timestamp};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A subject that is contested: kept, not searched.
#[derive(Serialize, ToSchema)]
pub(crate) struct RestrictedResponse {
    #[schema(value_type = String)]
    subject: SubjectId,
    #[schema(value_type = String, format = DateTime)]
    restricted_at: Timestamp,
    receipt: ReceiptBody,
}

/// Keep a contested subject of the caller's nation, and search it no more until the restriction is lifted.
#[utoipa::path(put, path = "/v1/subjects/{id}/restriction", tag = "subjects", extensions(("x-operation" = json!("alteration"))),
    params(
        ("id" = String, Path, description = "Limen's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats get the stored answer"),
    ),
    responses(
        (status = 200, body = RestrictedResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn restrict_subject(
    State(node): State<Arc<Node>>,
    Addressed { caller, subject, idempotency }: Addressed,
) -> Result<Json<RestrictedResponse>, Problem> {
    let restrict = move |gallery: &_| restrict::restrict(gallery, &caller, subject, idempotency);
    let (restricted_at, receipt) = node.blocking(restrict).await?;
    Ok(Json(RestrictedResponse { subject, restricted_at, receipt: receipt.into() }))
}

/// A subject whose restriction is lifted.
#[derive(Serialize, ToSchema)]
pub(crate) struct LiftedResponse {
    #[schema(value_type = String)]
    subject: SubjectId,
    #[schema(value_type = String, format = DateTime)]
    lifted_at: Timestamp,
    receipt: ReceiptBody,
}

/// Lift a restriction: the subject is searched again on the watchlists whose retention is not over.
#[utoipa::path(delete, path = "/v1/subjects/{id}/restriction", tag = "subjects", extensions(("x-operation" = json!("alteration"))),
    params(
        ("id" = String, Path, description = "Limen's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats get the stored answer"),
    ),
    responses(
        (status = 200, body = LiftedResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn lift_restriction(
    State(node): State<Arc<Node>>,
    Addressed { caller, subject, idempotency }: Addressed,
) -> Result<Json<LiftedResponse>, Problem> {
    let lift = move |gallery: &_| restrict::lift(gallery, &caller, subject, idempotency);
    let (lifted_at, receipt) = node.blocking(lift).await?;
    Ok(Json(LiftedResponse { subject, lifted_at, receipt: receipt.into() }))
}
