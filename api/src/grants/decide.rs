//! `POST /v1/grants/{id}/approval` and `DELETE /v1/grants/{id}`

use crate::{body::path_value, caller::By, node::Node, problem::Problem, wire::ReceiptBody};
use axum::{
    Json,
    extract::{Path, State},
};
use gallery::{administer, id::GrantId};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// It is so from now on.
#[derive(Serialize, ToSchema)]
pub(crate) struct DecidedResponse {
    #[schema(value_type = String)]
    grant: GrantId,
    receipt: ReceiptBody,
}

/// Approve a grant that another officer has proposed: from now on it holds.
#[utoipa::path(post, path = "/v1/grants/{id}/approval", tag = "grants", extensions(("x-operation" = json!("upkeep"))),
    params(("id" = String, Path, description = "Limen's id of the grant")),
    responses(
        (status = 200, body = DecidedResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn approve_grant(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Path(id): Path<String>,
) -> Result<Json<DecidedResponse>, Problem> {
    let grant: GrantId = path_value(&id, "id")?;
    let receipt = node.blocking(move |gallery| administer::approve(gallery, &caller, grant)).await?;
    Ok(Json(DecidedResponse { grant, receipt: receipt.into() }))
}

/// Take a grant or a proposal back: one officer suffices.
#[utoipa::path(delete, path = "/v1/grants/{id}", tag = "grants", extensions(("x-operation" = json!("upkeep"))),
    params(("id" = String, Path, description = "Limen's id of the grant")),
    responses(
        (status = 200, body = DecidedResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn revoke_grant(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Path(id): Path<String>,
) -> Result<Json<DecidedResponse>, Problem> {
    let grant: GrantId = path_value(&id, "id")?;
    let receipt = node.blocking(move |gallery| administer::revoke(gallery, &caller, grant)).await?;
    Ok(Json(DecidedResponse { grant, receipt: receipt.into() }))
}
