//! `POST /v1/watchlists`

use crate::{
    body::{Key, Strict},
    caller::By,
    node::Node,
    problem::{Kind, Problem},
    rates::Fpir,
    watchlists::read::WatchlistResponse,
    wire::{self, GatesBody, ReceiptBody, Threshold},
};
use axum::{Json, extract::State, http::StatusCode};
use gallery::{
    handling::{Defaults, Grading, Handling, Instruction},
    law::{Category, LegalBasis, PriorAuthorisation, Purpose, WatchlistName},
    publish,
    watchlist::Policy,
};
use matcher::template::ModelId;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use utoipa::ToSchema;

/// A watchlist of the caller's nation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WatchlistBody {
    /// Unique within its owner.
    #[schema(value_type = String)]
    name: WatchlistName,
    /// For which purposes it may be searched: `border_control` and so on.
    #[schema(value_type = Vec<String>)]
    purposes: BTreeSet<Purpose>,
    /// Under which instruments it may be searched: `eu_2018_1861` and so on.
    #[schema(value_type = Vec<String>)]
    legal_bases: BTreeSet<LegalBasis>,
    /// How its records may be used, where they say nothing else: `H0`, `H1`, `H2`, or `H3: ` and the restriction.
    #[schema(value_type = String)]
    handling: Handling,
    /// How good they are: `A`, `B`, `C` or `X` for the source, `1` to `4` for the information; `X4` if not given.
    #[schema(value_type = Option<String>)]
    grading: Option<Grading>,
    /// What is to be done when somebody of a category is found.
    #[serde(default)]
    #[schema(value_type = Object)]
    instructions: BTreeMap<Category, Instruction>,
    /// Must somebody have authorised a search? `not_needed` if not given.
    #[schema(schema_with = wire::prior_authorisation)]
    prior_authorisation: Option<PriorAuthorisation>,
    /// Which categories of persons may stand on it.
    #[schema(value_type = Vec<String>)]
    categories: BTreeSet<Category>,
    /// Whose templates it holds.
    #[schema(value_type = String)]
    model: ModelId,
    /// From which score on a reference is a candidate. May be absent where `fpir` is given.
    #[schema(value_type = Option<f32>)]
    threshold: Option<Threshold>,
    /// At most such a share of strangers' lookups is to propose somebody, between 0 and 1: where the calibration asks for a higher threshold, it is
    /// taken. Without a calibration of the model nothing is searched.
    #[schema(value_type = Option<f64>)]
    fpir: Option<Fpir>,
    /// How good images must be.
    quality: Option<GatesBody>,
    /// For how many days after listing an entry may be searched.
    retention_days: u32,
    /// After how many days a person is to look whether an entry is still needed; the end of retention if not given.
    review_days: Option<u32>,
}

/// A watchlist, made.
#[derive(Serialize, ToSchema)]
pub(crate) struct PublishedResponse {
    #[serde(flatten)]
    watchlist: WatchlistResponse,
    receipt: ReceiptBody,
}

/// Make a watchlist of the caller's nation.
#[utoipa::path(post, path = "/v1/watchlists", tag = "watchlists", extensions(("x-operation" = json!("upkeep"))), request_body = WatchlistBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats get the stored answer")),
    responses(
        (status = 201, body = PublishedResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn create_watchlist(
    State(node): State<Arc<Node>>,
    By(caller): By,
    key: Key,
    Strict { value: body, hash }: Strict<WatchlistBody>,
) -> Result<(StatusCode, Json<PublishedResponse>), Problem> {
    let idempotency = key.with(hash);
    let named = body.threshold.map(|it| it.0);
    let threshold = named.or(body.fpir.and(Some(matcher::score::Threshold::LOWEST)));
    let missing =
        || Problem::of(Kind::Invalid, "threshold", "a watchlist names a threshold, an FPIR, or both");
    let policy = Policy {
        name: body.name,
        purposes: body.purposes,
        legal_bases: body.legal_bases,
        defaults: Defaults {
            handling: body.handling,
            grading: body.grading.unwrap_or(Grading::UNKNOWN),
            instructions: body.instructions,
        },
        prior_authorisation: body.prior_authorisation.unwrap_or(PriorAuthorisation::NotNeeded),
        categories: body.categories,
        model: body.model,
        threshold: threshold.ok_or_else(missing)?,
        fpir: body.fpir.map(|it| it.0),
        gates: body.quality.map(Into::into).unwrap_or_default(),
        retention_days: body.retention_days,
        review_days: body.review_days.unwrap_or(body.retention_days),
    };
    let create = move |gallery: &_| publish::create_watchlist(gallery, &caller, policy, idempotency);
    let (watchlist, receipt) = node.blocking(create).await?;
    let response = PublishedResponse { watchlist: (&watchlist).into(), receipt: receipt.into() };
    Ok((StatusCode::CREATED, Json(response)))
}
