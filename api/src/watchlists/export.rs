//! `GET /v1/watchlists/{id}/references`

use crate::{body::path_value, caller::By, lines, node::Node, problem::Problem, wire};
use axum::{
    extract::{Path, State},
    response::Response,
};
use gallery::{
    export::{self, ExportedRow, Given},
    id::WatchlistId,
};
use serde_json::json;
use std::sync::Arc;

/// Export the active references of a watchlist of the caller's nation, as they came.
///
/// The answer is JSON Lines: first `watchlist` (its name), `references` (how many come) and `dimension`; then each reference with `subject`, `encounter` (absent where it has
/// no name), `category`, `handling`, `grading` and `instruction` (each absent where the watchlist's holds) and `features` (base64 of little-endian f32); at last `{"end": {"references": ...}}`.
#[utoipa::path(get, path = "/v1/watchlists/{id}/references", tag = "watchlists", extensions(("x-operation" = json!("disclosure"))),
    params(("id" = String, Path, description = "Limen's id")),
    responses(
        (status = 200, content_type = "application/jsonl", body = String),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn export_watchlist(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id: WatchlistId = path_value(&id, "id")?;
    lines::answer(&node, move |gallery, lines| {
        let given = export::export(gallery, &caller, id, |given| match given {
            Given::Begun { watchlist, references, dimension } => lines.send(&json!({
                "watchlist": watchlist.policy.name, "references": references, "dimension": dimension,
            })),
            Given::Row(ExportedRow { subject, encounter, listing, features }) => {
                let mut line = json!(listing);
                line["subject"] = json!(subject);
                line["encounter"] = json!(encounter);
                line["features"] = json!(wire::base64(&features));
                lines.send(&line)
            }
        });
        given.map(|references| json!({ "references": references }))
    })
    .await
}
