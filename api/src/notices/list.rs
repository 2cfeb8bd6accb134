//! `GET /v1/notices`

use crate::{
    caller::By,
    node::Node,
    problem::Problem,
    wire::{self, ReceiptBody},
};
use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use gallery::{
    authority::Ground,
    handling::Visibility,
    id::{AgencyId, SubjectId, WatchlistId},
    law::{AuthorisationReference, CaseReference, LegalBasis, Nation, OwnReference, Purpose},
    notice::{Notice, Search},
    read_notices::{self, Notices},
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// From where on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct After {
    #[serde(default)]
    after: u64,
}

/// What the caller's nation is told, oldest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct NoticesResponse {
    notices: Vec<NoticeBody>,
    /// There may be more after this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
    receipt: ReceiptBody,
}

/// Somebody of the nation's watchlists was found by another nation, which was not shown all of it.
#[derive(Serialize, ToSchema)]
struct NoticeBody {
    /// Ascending.
    number: u64,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The lookup or verification.
    #[schema(value_type = String)]
    search: Search,
    #[schema(value_type = String)]
    subject: SubjectId,
    #[schema(value_type = String)]
    watchlist: WatchlistId,
    /// What the searcher was shown: `reference`, or nothing: `silent`.
    #[schema(value_type = String)]
    visibility: Visibility,
    /// The searcher's nation.
    #[schema(value_type = String)]
    nation: Nation,
    /// The searcher's authority.
    #[schema(value_type = String)]
    agency: AgencyId,
    /// Where the searcher acts.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    station: Option<OwnReference>,
    #[schema(schema_with = wire::purpose)]
    purpose: Purpose,
    #[schema(schema_with = wire::legal_basis)]
    legal_basis: LegalBasis,
    /// The searcher's case.
    #[schema(value_type = String)]
    case_reference: CaseReference,
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    authorisation: Option<AuthorisationReference>,
}

impl From<(u64, Notice)> for NoticeBody {
    fn from((number, notice): (u64, Notice)) -> Self {
        let Notice { at, search, subject, watchlist, visibility, nation, agency, station, ground, .. } =
            notice;
        let Ground { purpose, legal_basis, case_reference, authorisation } = ground;
        Self {
            number,
            at,
            search,
            subject,
            watchlist,
            visibility,
            nation,
            agency,
            station,
            purpose,
            legal_basis,
            case_reference,
            authorisation,
        }
    }
}

/// Read what the caller's nation is told: whom of its watchlists others found and were not shown in full. Reading is logged.
#[utoipa::path(get, path = "/v1/notices", tag = "notices", extensions(("x-operation" = json!("consultation"))),
    params(("after" = Option<u64>, Query, description = "Only those with a greater number")),
    responses(
        (status = 200, body = NoticesResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn list_notices(
    State(node): State<Arc<Node>>,
    By(caller): By,
    after: Result<Query<After>, QueryRejection>,
) -> Result<Json<NoticesResponse>, Problem> {
    let Query(After { after }) = after.map_err(|error| Problem::malformed("after", error.body_text()))?;
    let read = move |gallery: &_| read_notices::read_notices(gallery, &caller, after);
    let (Notices { notices, next }, receipt) = node.blocking(read).await?;
    let notices = notices.into_iter().map(Into::into).collect();
    Ok(Json(NoticesResponse { notices, next, receipt: receipt.into() }))
}
