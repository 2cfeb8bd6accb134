//! `POST /v1/enrolments`

use crate::{
    body::Strict,
    caller::By,
    node::Node,
    problem::{Kind, Problem},
    wire::{self, Features, ReceiptBody},
};
use axum::{Json, extract::State, http::StatusCode};
use gallery::{
    enrol_batch::{self, BulkRow, RowOutcome},
    handling::{Grading, Handling, Instruction, Remarks},
    id::WatchlistId,
    law::{Category, OwnReference},
    subject::Listing,
};
use matcher::quality::Quality;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// References that are to be enrolled together.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnrolmentsBody {
    /// At least one; as many as the body's limit allows.
    rows: Vec<RowBody>,
}

/// A reference.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RowBody {
    /// The owner's own name for the subject, which is made if it is not on record.
    #[schema(value_type = String)]
    subject: OwnReference,
    /// The owner's own name for the encounter.
    #[schema(value_type = String)]
    encounter: OwnReference,
    /// The watchlist of the nation on which the subject is to stand.
    #[schema(value_type = String)]
    watchlist: WatchlistId,
    #[schema(schema_with = wire::category)]
    category: Category,
    /// How the record may be used, if otherwise than the watchlist's: `H0`, `H1`, `H2`, or `H3: ` and the restriction.
    #[schema(value_type = Option<String>)]
    handling: Option<Handling>,
    /// How good it is, if otherwise: `A`, `B`, `C` or `X` for the source, `1` to `4` for the information.
    #[schema(value_type = Option<String>)]
    grading: Option<Grading>,
    /// What is to be done, if otherwise.
    #[schema(value_type = Option<String>)]
    instruction: Option<Instruction>,
    /// Features of the watchlist's model.
    #[schema(schema_with = wire::features)]
    features: Features,
    /// How good the image is of which they were made, if they were: held against the watchlist's gate. As `/v1/extractions` tells it.
    #[schema(value_type = Option<Object>)]
    quality: Option<Quality>,
}

/// What became of the rows, in their order.
#[derive(Serialize, ToSchema)]
pub(crate) struct EnrolmentsResponse {
    outcomes: Vec<OutcomeBody>,
    receipt: ReceiptBody,
}

/// What became of a row.
#[derive(Serialize, ToSchema)]
pub(crate) struct OutcomeBody {
    /// `enrolled`, `already` (it was on record) or `refused`.
    outcome: &'static str,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<RowOutcome> for OutcomeBody {
    fn from(outcome: RowOutcome) -> Self {
        match outcome {
            RowOutcome::Enrolled => Self { outcome: "enrolled", reason: None },
            RowOutcome::Already => Self { outcome: "already", reason: None },
            RowOutcome::Refused(error) => Self { outcome: "refused", reason: Some(error.to_string()) },
        }
    }
}

/// Enrol many references with one event. A row that is on record is passed over, so an interrupted request is repeated.
#[utoipa::path(post, path = "/v1/enrolments", tag = "subjects", extensions(("x-operation" = json!("collection"))), request_body = EnrolmentsBody,
    responses(
        (status = 200, body = EnrolmentsResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn create_enrolments(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Strict { value: EnrolmentsBody { rows }, .. }: Strict<EnrolmentsBody>,
) -> Result<(StatusCode, Json<EnrolmentsResponse>), Problem> {
    if rows.is_empty() {
        return Err(Problem::of(Kind::Invalid, "rows", "there is no row"));
    }
    let rows = rows.into_iter().map(|row| {
        let RowBody { subject, encounter, watchlist, category, features, quality, .. } = row;
        let (handling, grading, instruction) = (row.handling, row.grading, row.instruction);
        let listing = Listing { category, remarks: Remarks { handling, grading, instruction } };
        BulkRow { subject, encounter, watchlist, listing, features: features.0, quality }
    });
    let rows: Vec<BulkRow> = rows.collect();
    let enrol = move |gallery: &_| enrol_batch::enrol_batch(gallery, &caller, rows);
    let (outcomes, receipt) = node.blocking(enrol).await.map_err(Problem::of_rows)?;
    let outcomes = outcomes.into_iter().map(Into::into).collect();
    Ok((StatusCode::OK, Json(EnrolmentsResponse { outcomes, receipt: receipt.into() })))
}
