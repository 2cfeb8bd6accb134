//! `POST /v1/grants`

use crate::{body::Strict, caller::By, node::Node, problem::Problem, wire::ReceiptBody};
use axum::{Json, extract::State, http::StatusCode};
use gallery::{
    administer::{self, Proposal},
    ambient::Ambient,
    grant::{Content, Credential},
    id::GrantId,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// What is to be granted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrantBody {
    /// To a caller of the officers' nation: `{"to": "caller", "name", "role", "agency", "watchlists": "own" or {"listed": [...]}, "purposes", "allowances", "searches_per_hour", "station", "operator",
    /// "verbs"}`; or to another nation, to search a watchlist: `{"to": "nation", "nation", "watchlist"}`.
    #[schema(value_type = Object)]
    content: Content,
    /// By what the caller will be known: `certificate:` and SHA-256 over its DER in hexadecimal, or `subject:` and a digest as `limen-index grant add --issuer` makes it. Without it a
    /// token is made.
    known_by: Option<String>,
    /// For how many days it holds.
    days: u32,
}

/// A grant that waits for another officer.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProposedResponse {
    #[schema(value_type = String)]
    grant: GrantId,
    /// The caller's token, if one was made: the only time that it is told. It is good for nothing until the grant is approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    receipt: ReceiptBody,
}

/// Propose a grant. It holds once another officer has approved it.
#[utoipa::path(post, path = "/v1/grants", tag = "grants", extensions(("x-operation" = json!("upkeep"))), request_body = GrantBody,
    responses(
        (status = 201, body = ProposedResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn propose_grant(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Strict { value: GrantBody { content, known_by, days }, .. }: Strict<GrantBody>,
) -> Result<(StatusCode, Json<ProposedResponse>), Problem> {
    let known = known_by.map(|text| text.parse::<Credential>()).transpose();
    let known = known.map_err(|error| Problem::malformed("known_by", error))?;
    let (token, credential) = match (&content, known) {
        (Content::Nation { .. }, None) => (None, None),
        (Content::Nation { .. }, Some(_)) => {
            return Err(Problem::malformed("known_by", "a nation has no credential"));
        }
        // A token that somebody else has made may be known to others.
        (Content::Caller(_), Some(Credential::Token(_))) => {
            return Err(Problem::malformed("known_by", "tokens are made by the node"));
        }
        (Content::Caller(_), Some(known)) => (None, Some(known)),
        (Content::Caller(_), None) => {
            let (token, credential) = Credential::draw(&Ambient::system());
            (Some(token), Some(credential))
        }
    };
    let proposal = Proposal { content, credential, days };
    let propose = move |gallery: &_| administer::propose(gallery, &caller, proposal);
    let (grant, receipt) = node.blocking(propose).await?;
    Ok((StatusCode::CREATED, Json(ProposedResponse { grant, token, receipt: receipt.into() })))
}
