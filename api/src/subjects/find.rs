//! `GET /v1/subjects?reference=…`

use super::read::SubjectResponse;
use crate::{
    caller::By,
    node::Node,
    problem::{Kind, Problem},
};
use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use gallery::{
    inspect::{self, Which},
    law::OwnReference,
};
use serde::Deserialize;
use std::sync::Arc;

/// By what to find a subject.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Find {
    reference: OwnReference,
}

/// Find a subject of the caller's nation by its owner's reference. Reading is logged.
#[utoipa::path(get, path = "/v1/subjects", tag = "subjects", extensions(("x-operation" = json!("consultation"))),
    params(("reference" = String, Query, description = "The owner's own name for the subject")),
    responses(
        (status = 200, body = SubjectResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn find_subject(
    State(node): State<Arc<Node>>,
    By(caller): By,
    query: Result<Query<Find>, QueryRejection>,
) -> Result<Json<SubjectResponse>, Problem> {
    let Query(find) = query.map_err(|error| Problem::of(Kind::Malformed, "reference", error.body_text()))?;
    let which = Which::Reference(find.reference);
    let subject = node.blocking(move |gallery| inspect::inspect(gallery, &caller, &which)).await?;
    Ok(Json(subject.into()))
}
