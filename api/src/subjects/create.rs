//! `POST /v1/subjects`

use crate::{
    body::{Key, Strict},
    caller::By,
    encounters::create::{EncounterBody, EnrolledResponse},
    node::Node,
    problem::Problem,
    wire,
};
use axum::{Json, extract::State, http::StatusCode};
use gallery::{
    enrol,
    id::WatchlistId,
    law::{Category, OwnReference},
    subject::NewSubject,
};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A subject to be enrolled. Limen mints its id.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubjectBody {
    /// The owner's own name for the subject, unique within its nation.
    #[schema(value_type = String)]
    reference: OwnReference,
    /// On which of the nation's watchlists the subject is to stand, and why.
    entries: Vec<EntryBody>,
    /// 1 to 64 encounters.
    encounters: Vec<EncounterBody>,
}

/// A place on a watchlist.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EntryBody {
    #[schema(value_type = String)]
    watchlist: WatchlistId,
    #[schema(schema_with = wire::category)]
    category: Category,
}

/// Enrol a subject. The next lookup finds it.
#[utoipa::path(post, path = "/v1/subjects", tag = "subjects", request_body = SubjectBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats get the stored answer")),
    responses(
        (status = 201, body = EnrolledResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn create_subject(
    State(node): State<Arc<Node>>,
    By(caller): By,
    key: Key,
    Strict { value: body, hash }: Strict<SubjectBody>,
) -> Result<(StatusCode, Json<EnrolledResponse>), Problem> {
    let idempotency = key.with(hash);
    let new = NewSubject {
        reference: body.reference,
        entries: body.entries.into_iter().map(|entry| (entry.watchlist, entry.category)).collect(),
        encounters: body.encounters.into_iter().map(Into::into).collect(),
    };
    let enrolled =
        node.blocking(move |gallery| enrol::enrol_subject(gallery, &caller, new, idempotency)).await?;
    Ok((StatusCode::CREATED, Json(enrolled.into())))
}
