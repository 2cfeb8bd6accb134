//! `GET /v1/jobs`

use crate::{caller::By, jobs::read::JobResponse, node::Node, problem::Problem};
use axum::{Json, extract::State};
use gallery::jobs;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// The last hundred jobs, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobsResponse {
    jobs: Vec<JobResponse>,
}

/// List the last jobs.
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", extensions(("x-operation" = json!("upkeep"))),
    responses(
        (status = 200, body = JobsResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn list_jobs(
    State(node): State<Arc<Node>>,
    By(caller): By,
) -> Result<Json<JobsResponse>, Problem> {
    let jobs = node.blocking(move |gallery| jobs::list(gallery, &caller)).await?;
    Ok(Json(JobsResponse { jobs: jobs.into_iter().map(Into::into).collect() }))
}
