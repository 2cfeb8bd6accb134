//! `POST /v1/retention/runs`

use crate::{body::Strict, caller::By, node::Node, problem::Problem, retention::read::DueBody};
use axum::{Json, extract::State};
use gallery::{
    id::WatchlistId,
    retention::{self, Run},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use utoipa::ToSchema;

/// What somebody has confirmed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunBody {
    /// Watchlists, and how many erasures are due on each: needed where that is more than 1 % of its entries.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, u64>)]
    confirmed: BTreeMap<WatchlistId, u64>,
}

/// What was done.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunResponse {
    /// How many subjects were erased.
    erased: u64,
    /// On which watchlists more are due than may be erased without confirmation: nobody on them was.
    held_back: Vec<DueBody>,
}

/// Erase whose retention is over on every watchlist. One that is interrupted is repeated: who is left is due still.
#[utoipa::path(post, path = "/v1/retention/runs", tag = "retention", extensions(("x-operation" = json!("erasure"))), request_body = RunBody,
    responses(
        (status = 200, body = RunResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn run_retention(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Strict { value: RunBody { confirmed }, .. }: Strict<RunBody>,
) -> Result<Json<RunResponse>, Problem> {
    let run = move |gallery: &_| retention::run(gallery, &caller, &confirmed);
    let Run { erased, held_back } = node.blocking(run).await?;
    Ok(Json(RunResponse { erased, held_back: held_back.iter().map(Into::into).collect() }))
}
