//! `PUT /v1/subjects/{id}/entries/{watchlist}`

use crate::{
    body::{Key, Strict, path_value},
    caller::By,
    node::Node,
    problem::Problem,
    wire::{self, ReceiptBody},
};
use axum::{
    Json,
    extract::{Path, State},
};
use gallery::{
    handling::{Grading, Handling, Instruction, Remarks},
    id::{SubjectId, WatchlistId},
    law::Category,
    rectify,
    subject::Listing,
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// Why the subject stands on the watchlist, and what its owner says of it: all of it, as it is from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListingBody {
    #[schema(schema_with = wire::category)]
    category: Category,
    /// How the record may be used, if otherwise than the watchlist's.
    #[schema(value_type = Option<String>)]
    handling: Option<Handling>,
    /// How good it is, if otherwise.
    #[schema(value_type = Option<String>)]
    grading: Option<Grading>,
    /// What is to be done, if otherwise.
    #[schema(value_type = Option<String>)]
    instruction: Option<Instruction>,
}

/// An entry that was put right.
#[derive(Serialize, ToSchema)]
pub(crate) struct RectifiedResponse {
    #[schema(value_type = String, format = DateTime)]
    rectified_at: Timestamp,
    receipt: ReceiptBody,
}

/// Put right why a subject of the caller's nation stands on a watchlist, and what is said of it. The next lookup tells it so.
#[utoipa::path(put, path = "/v1/subjects/{id}/entries/{watchlist}", tag = "subjects", extensions(("x-operation" = json!("alteration"))), request_body = ListingBody,
    params(
        ("id" = String, Path, description = "Limen's id"),
        ("watchlist" = String, Path, description = "The watchlist's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats get the stored answer"),
    ),
    responses(
        (status = 200, body = RectifiedResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn rectify_entry(
    State(node): State<Arc<Node>>,
    By(caller): By,
    key: Key,
    Path((id, watchlist)): Path<(String, String)>,
    Strict { value, hash }: Strict<ListingBody>,
) -> Result<Json<RectifiedResponse>, Problem> {
    let (id, watchlist): (SubjectId, WatchlistId) =
        (path_value(&id, "id")?, path_value(&watchlist, "watchlist")?);
    let ListingBody { category, handling, grading, instruction } = value;
    let listing = Listing { category, remarks: Remarks { handling, grading, instruction } };
    let idempotency = key.with(hash);
    let rectify = move |gallery: &_| rectify::rectify(gallery, &caller, id, watchlist, listing, idempotency);
    let (rectified_at, receipt) = node.blocking(rectify).await?;
    Ok(Json(RectifiedResponse { rectified_at, receipt: receipt.into() }))
}
