//! `GET /v1/retention`

use crate::{caller::By, node::Node, problem::Problem};
use axum::{Json, extract::State};
use gallery::{
    id::WatchlistId,
    law::WatchlistName,
    retention::{self, Due},
};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// What is due.
#[derive(Serialize, ToSchema)]
pub(crate) struct RetentionResponse {
    watchlists: Vec<DueBody>,
}

/// What is due on a watchlist.
#[derive(Serialize, ToSchema)]
pub(crate) struct DueBody {
    #[schema(value_type = String)]
    watchlist: WatchlistId,
    #[schema(value_type = String)]
    name: WatchlistName,
    /// Entries in any state.
    entries: u64,
    /// Entries that are searched.
    active: u64,
    /// Of these, how many a person should have looked at by now.
    review_due: u64,
    /// Entries of subjects whose retention is over on every watchlist, and who are not contested.
    erasure_due: u64,
    /// Is that more than may be erased without confirmation?
    needs_confirmation: bool,
}

impl From<&Due> for DueBody {
    fn from(due: &Due) -> Self {
        Self {
            watchlist: due.watchlist.id,
            name: due.watchlist.policy.name.clone(),
            entries: due.entries,
            active: due.active,
            review_due: due.review,
            erasure_due: due.erasure,
            needs_confirmation: due.needs_confirmation(),
        }
    }
}

/// Tell what is due to be looked at or erased, on each watchlist of the caller's nation that the grant reaches.
#[utoipa::path(get, path = "/v1/retention", tag = "retention", extensions(("x-operation" = json!("upkeep"))),
    responses(
        (status = 200, body = RetentionResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn read_retention(
    State(node): State<Arc<Node>>,
    By(caller): By,
) -> Result<Json<RetentionResponse>, Problem> {
    let all = node.blocking(move |gallery| retention::report(gallery, &caller)).await?;
    Ok(Json(RetentionResponse { watchlists: all.iter().map(Into::into).collect() }))
}
