//! `GET /v1/watchlists` and `GET /v1/watchlists/{id}`

use crate::{
    body::path_value,
    caller::By,
    node::Node,
    problem::{Kind, Problem},
    wire,
};
use axum::{
    Json,
    extract::{Path, State},
};
use gallery::{
    handling::{Grading, Handling, Instruction},
    id::WatchlistId,
    inspect,
    law::{Category, LegalBasis, Nation, PriorAuthorisation, Purpose, WatchlistName},
    timestamp::Timestamp,
    watchlist::Watchlist,
};
use matcher::{rates::Fpir, score::Threshold, template::ModelId};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use utoipa::ToSchema;

/// A lawful selection of the gallery.
#[derive(Serialize, ToSchema)]
pub(crate) struct WatchlistResponse {
    #[schema(value_type = String)]
    id: WatchlistId,
    /// Whose list it is.
    #[schema(value_type = String)]
    owner: Nation,
    #[schema(value_type = String)]
    name: WatchlistName,
    #[schema(value_type = Vec<String>)]
    purposes: BTreeSet<Purpose>,
    #[schema(value_type = Vec<String>)]
    legal_bases: BTreeSet<LegalBasis>,
    #[schema(value_type = String)]
    handling: Handling,
    #[schema(value_type = String)]
    grading: Grading,
    #[schema(value_type = Object)]
    instructions: BTreeMap<Category, Instruction>,
    #[schema(schema_with = wire::prior_authorisation)]
    prior_authorisation: PriorAuthorisation,
    #[schema(value_type = Vec<String>)]
    categories: BTreeSet<Category>,
    #[schema(value_type = String)]
    model: ModelId,
    /// From which score on a reference is a candidate, whatever the calibration says; absent where only an FPIR is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<f32>,
    /// At most such a share of strangers' lookups is to propose somebody.
    #[serde(skip_serializing_if = "Option::is_none")]
    fpir: Option<f64>,
    /// How good images must be.
    quality: wire::GatesBody,
    retention_days: u32,
    review_days: u32,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<&Watchlist> for WatchlistResponse {
    fn from(watchlist: &Watchlist) -> Self {
        let policy = watchlist.policy.clone();
        Self {
            id: watchlist.id,
            owner: watchlist.owner.clone(),
            name: policy.name,
            purposes: policy.purposes,
            legal_bases: policy.legal_bases,
            handling: policy.defaults.handling,
            grading: policy.defaults.grading,
            instructions: policy.defaults.instructions,
            prior_authorisation: policy.prior_authorisation,
            categories: policy.categories,
            model: policy.model,
            threshold: (policy.threshold != Threshold::LOWEST).then(|| policy.threshold.value()),
            fpir: policy.fpir.map(Fpir::value),
            quality: policy.gates.into(),
            retention_days: policy.retention_days,
            review_days: policy.review_days,
            created_at: watchlist.created_at,
        }
    }
}

/// The watchlists that the caller's grant reaches.
#[derive(Serialize, ToSchema)]
pub(crate) struct WatchlistsResponse {
    watchlists: Vec<WatchlistResponse>,
}

/// List the watchlists that the caller's grant reaches.
#[utoipa::path(get, path = "/v1/watchlists", tag = "watchlists", extensions(("x-operation" = json!("upkeep"))),
    responses(
        (status = 200, body = WatchlistsResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn list_watchlists(
    State(node): State<Arc<Node>>,
    By(caller): By,
) -> Json<WatchlistsResponse> {
    let watchlists = inspect::watchlists(&node.gallery, &caller);
    Json(WatchlistsResponse {
        watchlists: watchlists.iter().map(|watchlist| watchlist.as_ref().into()).collect(),
    })
}

/// Read a watchlist that the caller's grant reaches. One that it does not reach looks as one that is not there.
#[utoipa::path(get, path = "/v1/watchlists/{id}", tag = "watchlists", extensions(("x-operation" = json!("upkeep"))),
    params(("id" = String, Path, description = "Limen's id")),
    responses(
        (status = 200, body = WatchlistResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn read_watchlist(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Path(id): Path<String>,
) -> Result<Json<WatchlistResponse>, Problem> {
    let id: WatchlistId = path_value(&id, "id")?;
    let watchlists = inspect::watchlists(&node.gallery, &caller);
    let found = watchlists.iter().find(|watchlist| watchlist.id == id);
    let unknown =
        || Problem::of(Kind::Unknown, "id", "the watchlist is unknown or not granted to this caller");
    found.map(|watchlist| Json(watchlist.as_ref().into())).ok_or_else(unknown)
}
