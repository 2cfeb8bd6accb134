//! `POST /v1/deduplications`

use crate::{body::Strict, caller::By, lines, node::Node, problem::Problem, wire};
use axum::{extract::State, response::Response};
use gallery::{
    dedup::{self, DedupRequest, Told},
    id::WatchlistId,
};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

/// What is to be compared.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeduplicationBody {
    /// Watchlists of the caller's nation; none: all that the grant reaches.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    watchlists: Vec<WatchlistId>,
    /// Raw score from which on two subjects are told; by default the watchlists' own.
    #[schema(value_type = Option<f32>)]
    threshold: Option<wire::Threshold>,
    /// `through` of the last line of an answer that broke off: it is gone on after it.
    #[serde(default)]
    after: u64,
}

/// Find who stands on record under two names: compare every reference with every other. Nothing is changed.
///
/// The answer is JSON Lines: first `watchlists`; then, of each batch of references, `through`, `done`, `total` and the `suspicions`, each two subjects and their
/// `score`; at last `{"end": {"compared": ...}}`.
#[utoipa::path(post, path = "/v1/deduplications", tag = "subjects", extensions(("x-operation" = json!("combination"))), request_body = DeduplicationBody,
    responses(
        (status = 200, content_type = "application/jsonl", body = String),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn create_deduplication(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Strict { value: body, .. }: Strict<DeduplicationBody>,
) -> Result<Response, Problem> {
    let threshold = body.threshold.map(|threshold| threshold.0);
    let request = DedupRequest { watchlists: body.watchlists, threshold, after: body.after, quietly: true };
    lines::answer(&node, move |gallery, lines| {
        let compared = dedup::dedup(gallery, &caller, &request, |told| {
            match told {
                Told::Begun { watchlists } => lines.send(&json!({ "watchlists": watchlists })),
                Told::Compared(batch) => lines.send(&batch),
            }?;
            Ok(true)
        });
        compared.map(|compared| json!({ "compared": compared }))
    })
    .await
}
