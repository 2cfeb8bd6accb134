//! Who calls: the only place where a request becomes a [`Caller`].

use crate::{
    node::Node,
    problem::{Kind, Problem},
    tls::Peer,
};
use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use gallery::authority::Caller;
use std::sync::Arc;

/// The caller whose bearer token came with the request, or whose certificate with the connection.
pub(crate) struct By(pub(crate) Caller);

/// Told of a request whose caller may do something with images: only for these is there room for long bodies.
#[derive(Clone, Copy)]
pub(crate) struct BringsImages;

impl FromRequestParts<Arc<Node>> for By {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, Problem> {
        let bearer = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = bearer.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let certificate = parts.extensions.get::<Peer>().and_then(|peer| peer.certificate);
        if node.config.client_ca.is_some() && certificate.is_none() {
            return Err(Problem::new(Kind::Unauthenticated, "a client certificate is needed"));
        }
        // A token names the caller; without one the certificate does.
        let credential = match token {
            Some(token) => node.bearer(token).await,
            None => certificate,
        };
        let unknown = || {
            Problem::of(
                Kind::Unauthenticated,
                "Authorization",
                "nobody is known by this token or certificate",
            )
        };
        let caller = credential.and_then(|credential| node.caller(&credential)).ok_or_else(unknown)?;
        if caller.brings_images() {
            parts.extensions.insert(BringsImages);
        }
        Ok(Self(caller))
    }
}
