//! `DELETE /v1/jobs/{id}`

use crate::{body::path_value, caller::By, jobs::read::JobResponse, node::Node, problem::Problem};
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use gallery::{id::JobId, jobs};
use std::sync::Arc;

/// Tell a job to end, which it does at its next step.
#[utoipa::path(delete, path = "/v1/jobs/{id}", tag = "jobs", extensions(("x-operation" = json!("upkeep"))),
    params(("id" = String, Path, description = "Limen's id")),
    responses(
        (status = 202, body = JobResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn cancel_job(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<JobResponse>), Problem> {
    let id: JobId = path_value(&id, "id")?;
    let cancel =
        move |gallery: &_| jobs::cancel(gallery, &caller, id).and_then(|()| jobs::read(gallery, &caller, id));
    Ok((StatusCode::ACCEPTED, Json(node.blocking(cancel).await?.into())))
}
