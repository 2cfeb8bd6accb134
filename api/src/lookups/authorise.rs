//! `POST /v1/lookups/{id}/authorisation`

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
use gallery::{authorise, id::LookupId, law::AuthorisationReference};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// Who authorised it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuthorisationBody {
    /// The authorisation, as who gave it names it.
    #[schema(value_type = String)]
    authorisation: AuthorisationReference,
}

/// The lookup is authorised.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuthorisedResponse {
    receipt: ReceiptBody,
}

/// Supply the authorisation of the caller's own lookup that was made without. After 48 hours its results are erased, and so is whatever was answered under a key.
#[utoipa::path(post, path = "/v1/lookups/{id}/authorisation", tag = "lookups", extensions(("x-operation" = json!("consultation"))), request_body = AuthorisationBody,
    params(
        ("id" = String, Path, description = "The lookup's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats get the stored answer"),
    ),
    responses(
        (status = 200, body = AuthorisedResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn authorise_lookup(
    State(node): State<Arc<Node>>,
    By(caller): By,
    key: Key,
    Path(id): Path<String>,
    Strict { value: AuthorisationBody { authorisation }, hash }: Strict<AuthorisationBody>,
) -> Result<Json<AuthorisedResponse>, Problem> {
    let id: LookupId = path_value(&id, "id")?;
    let idempotency = key.with(hash);
    let authorise = move |gallery: &_| authorise::authorise(gallery, &caller, id, authorisation, idempotency);
    let receipt = node.blocking(authorise).await?;
    Ok(Json(AuthorisedResponse { receipt: receipt.into() }))
}
