//! `POST /v1/generations/{id}/activation`

use crate::{
    body::path_value, caller::By, generations::list::GenerationResponse, node::Node, problem::Problem,
};
use axum::{
    Json,
    extract::{Path, State},
};
use gallery::{id::GenerationId, rebuild};
use std::sync::Arc;

/// Put a generation that is on disk in place of the one that is searched; `former` goes back to the one before.
#[utoipa::path(post, path = "/v1/generations/{id}/activation", tag = "generations", extensions(("x-operation" = json!("upkeep"))),
    params(("id" = String, Path, description = "Its number, or `former`")),
    responses(
        (status = 200, body = GenerationResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn activate_generation(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Path(id): Path<String>,
) -> Result<Json<GenerationResponse>, Problem> {
    let placed = if id == "former" {
        node.blocking(move |gallery| rebuild::rollback(gallery, &caller)).await?
    } else {
        let id = GenerationId(path_value(&id, "id")?);
        node.blocking(move |gallery| rebuild::activate(gallery, &caller, id)).await?
    };
    Ok(Json(placed.into()))
}
