//! `GET /v1/subjects/{id}/access` and `POST /v1/subjects/{id}/access-refusals`

use crate::{
    body::{Strict, path_value},
    caller::By,
    node::Node,
    problem::Problem,
    subjects::read::SubjectResponse,
    wire::ReceiptBody,
};
use axum::{
    Json,
    extract::{Path, State},
};
use gallery::{
    access::{self, Access, Processing},
    handling::Instruction,
    id::SubjectId,
    law::AccessRefusal,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// What is held of a person, and what was done with it.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccessResponse {
    /// The record, without features.
    subject: SubjectResponse,
    /// What the log tells, oldest first: `leaf`, `at`, `what`, the `nation` and `agency` that did it or to which it was told; of searches `purpose` and `legal_basis`.
    #[schema(value_type = Vec<Object>)]
    processing: Vec<Processing>,
}

/// Give access to what is held of a subject of the caller's nation, for whoever answers the person. It is logged.
#[utoipa::path(get, path = "/v1/subjects/{id}/access", tag = "subjects", extensions(("x-operation" = json!("disclosure"))),
    params(("id" = String, Path, description = "Limen's id")),
    responses(
        (status = 200, body = AccessResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn give_access(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Path(id): Path<String>,
) -> Result<Json<AccessResponse>, Problem> {
    let id: SubjectId = path_value(&id, "id")?;
    let given = node.blocking(move |gallery| access::give(gallery, &caller, id)).await?;
    let (Access { subject, processing }, receipt) = given;
    Ok(Json(AccessResponse { subject: (subject, receipt).into(), processing }))
}

/// Why access is refused.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefusalBody {
    /// `inquiries`, `prosecution`, `public_security`, `national_security` or `rights_of_others`: Directive (EU) 2016/680, Article 15(1).
    #[schema(value_type = String)]
    reason: AccessRefusal,
    /// What the person was told, or the supervisory authority may be.
    #[schema(value_type = Option<String>)]
    words: Option<Instruction>,
}

/// The refusal is on record.
#[derive(Serialize, ToSchema)]
pub(crate) struct RefusedResponse {
    receipt: ReceiptBody,
}

/// Refuse access to a subject of the caller's nation, with a reason. It is logged, and the person may ask the supervisory authority.
#[utoipa::path(post, path = "/v1/subjects/{id}/access-refusals", tag = "subjects", extensions(("x-operation" = json!("consultation"))), request_body = RefusalBody,
    params(("id" = String, Path, description = "Limen's id")),
    responses(
        (status = 200, body = RefusedResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn refuse_access(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Path(id): Path<String>,
    Strict { value: RefusalBody { reason, words }, .. }: Strict<RefusalBody>,
) -> Result<Json<RefusedResponse>, Problem> {
    let id: SubjectId = path_value(&id, "id")?;
    let receipt = node.blocking(move |gallery| access::refuse(gallery, &caller, id, reason, words)).await?;
    Ok(Json(RefusedResponse { receipt: receipt.into() }))
}
