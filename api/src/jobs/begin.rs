//! What all doors share that begin a job.

use crate::{
    body::{Key, RequestHash},
    jobs::read::JobBegun,
    node::Node,
    problem::Problem,
};
use axum::{Json, extract::Request, http::StatusCode};
use gallery::{authority::Caller, job::Kind, jobs};
use std::sync::Arc;

/// Puts a job on record and begins it; under a key, a repetition gets the first answer.
pub(crate) async fn begin(
    node: &Arc<Node>,
    caller: Caller,
    key: Key,
    request: Request,
    kind: Kind,
) -> Result<(StatusCode, Json<JobBegun>), Problem> {
    let idempotency = key.with(RequestHash::new(&request.into_parts().0, &[]));
    let gallery = Arc::clone(&node.gallery);
    let (job, receipt) = node.blocking(move |_| jobs::start(&gallery, &caller, kind, idempotency)).await?;
    Ok((StatusCode::ACCEPTED, Json(JobBegun { job, receipt: receipt.into() })))
}
