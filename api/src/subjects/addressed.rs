//! What the doors to one subject that take no body share.

use crate::{
    body::{Key, RequestHash, path_value},
    caller::By,
    node::Node,
    problem::{Kind, Problem},
};
use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use gallery::{authority::Caller, id::SubjectId, idempotency::Idempotency};
use std::sync::Arc;

/// Who asks for something to be done with which subject, and under which key.
pub(crate) struct Addressed {
    pub(crate) caller: Caller,
    pub(crate) subject: SubjectId,
    pub(crate) idempotency: Option<Idempotency>,
}

impl FromRequestParts<Arc<Node>> for Addressed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, Problem> {
        let By(caller) = By::from_request_parts(parts, node).await?;
        let Path(id) = Path::<String>::from_request_parts(parts, node)
            .await
            .map_err(|error| Problem::of(Kind::Malformed, "id", error))?;
        let key = Key::from_request_parts(parts, node).await?;
        let subject = path_value(&id, "id")?;
        Ok(Self { caller, subject, idempotency: key.with(RequestHash::new(parts, &[])) })
    }
}
