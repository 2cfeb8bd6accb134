//! `GET /v1/grants`

use crate::{caller::By, node::Node, problem::Problem};
use axum::{Json, extract::State};
use gallery::{
    administer,
    grant::{Content, Grant},
    id::GrantId,
    timestamp::Timestamp,
};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A grant.
#[derive(Serialize, ToSchema)]
pub(crate) struct GrantResponse {
    #[schema(value_type = String)]
    id: GrantId,
    /// What, and to whom, as it was proposed.
    #[schema(value_type = Object)]
    content: Content,
    /// `token:`, `certificate:` or `subject:` (of an issuer of identities) and a SHA-256, which whoever approves compares: by what the caller is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    known_by: Option<String>,
    /// The grant of the officer who proposed it; absent of officers whom the folder's holder appointed.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    proposed_by: Option<GrantId>,
    #[schema(value_type = String, format = DateTime)]
    proposed_at: Timestamp,
    /// The grant of the officer who approved it.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    approved_by: Option<GrantId>,
    /// Since when it holds; absent while it waits for another officer.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    approved_at: Option<Timestamp>,
    /// Until when it holds.
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
}

impl From<Grant> for GrantResponse {
    fn from(grant: Grant) -> Self {
        let known_by = grant.credential.map(|credential| credential.to_string());
        let Grant { id, content, proposed_by, proposed_at, approved_by, approved_at, ends_at, .. } = grant;
        Self { id, content, known_by, proposed_by, proposed_at, approved_by, approved_at, ends_at }
    }
}

/// Grants, oldest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct GrantsResponse {
    grants: Vec<GrantResponse>,
}

/// List the grants of the officer's nation that were not taken back.
#[utoipa::path(get, path = "/v1/grants", tag = "grants", extensions(("x-operation" = json!("upkeep"))),
    responses(
        (status = 200, body = GrantsResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn list_grants(
    State(node): State<Arc<Node>>,
    By(caller): By,
) -> Result<Json<GrantsResponse>, Problem> {
    let grants = node.blocking(move |gallery| administer::list(gallery, &caller)).await?;
    Ok(Json(GrantsResponse { grants: grants.into_iter().map(Into::into).collect() }))
}
