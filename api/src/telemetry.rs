//! What the server tells its operator: one line a request, with the route but never its parameters.

use crate::node::Node;
use axum::{
    extract::{MatchedPath, Request, State},
    http::HeaderValue,
    middleware::Next,
    response::Response,
};
use std::{sync::Arc, time::Instant};
use tracing_subscriber::EnvFilter;

/// Logs to standard error; `RUST_LOG` chooses what, `info` by default.
pub(crate) fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // A second call, as in tests, changes nothing.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

/// Says with every answer what is weaker than it should be.
pub(crate) async fn warn(State(node): State<Arc<Node>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let weaker = node.insecure().join(", ");
    if let (false, Ok(weaker)) = (weaker.is_empty(), HeaderValue::from_str(&weaker)) {
        response.headers_mut().insert("limen-insecure", weaker);
    }
    response
}

/// One line a request.
pub(crate) async fn trace(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("-", |route| route.as_str());
    let (status, ms) = (response.status().as_u16(), began.elapsed().as_secs_f64() * 1e3);
    tracing::info!(%method, route, status, ms, "request");
    response
}
