//! `GET /v1/generations`

use crate::{caller::By, node::Node, problem::Problem};
use axum::{Json, extract::State};
use gallery::{
    id::{GenerationId, RecordSequence},
    rebuild::{self, GenerationInfo},
    timestamp::Timestamp,
};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A generation on disk.
#[derive(Serialize, ToSchema)]
pub(crate) struct GenerationResponse {
    #[schema(value_type = u64)]
    id: GenerationId,
    /// Up to which event of the record it was built; what came since is searched beside it.
    #[schema(value_type = u64)]
    as_of: RecordSequence,
    #[schema(value_type = String, format = DateTime)]
    built_at: Timestamp,
    references: u64,
    /// The Merkle root over the digests of its files.
    root: String,
    /// Is it the one that is searched?
    current: bool,
}

impl From<GenerationInfo> for GenerationResponse {
    fn from(info: GenerationInfo) -> Self {
        let GenerationInfo { id, as_of, built_at, references, root, current } = info;
        Self { id, as_of, built_at, references, root, current }
    }
}

/// The generations on disk, oldest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct GenerationsResponse {
    generations: Vec<GenerationResponse>,
}

/// List the generations on disk.
#[utoipa::path(get, path = "/v1/generations", tag = "generations", extensions(("x-operation" = json!("upkeep"))),
    responses(
        (status = 200, body = GenerationsResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn list_generations(
    State(node): State<Arc<Node>>,
    By(caller): By,
) -> Result<Json<GenerationsResponse>, Problem> {
    let generations = node.blocking(move |gallery| rebuild::generations_for(gallery, &caller)).await?;
    Ok(Json(GenerationsResponse { generations: generations.into_iter().map(Into::into).collect() }))
}
