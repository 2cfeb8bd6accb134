//! `POST /v1/subjects/{id}/encounters`

use crate::{
    body::{Key, Strict, path_value},
    caller::By,
    node::Node,
    problem::Problem,
    wire::{ReceiptBody, Sample},
};
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use gallery::{
    Receipt, enrol,
    event::Enrolled,
    id::{EncounterId, SubjectId},
    law::OwnReference,
    subject::NewEncounter,
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// One capture event.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EncounterBody {
    /// The owner's own name for the encounter, unique within the subject.
    #[schema(value_type = Option<String>)]
    reference: Option<OwnReference>,
    /// When the sample was captured.
    #[schema(value_type = Option<String>, format = DateTime)]
    captured_at: Option<Timestamp>,
    template: Sample,
}

impl From<EncounterBody> for NewEncounter {
    fn from(body: EncounterBody) -> Self {
        Self { reference: body.reference, captured_at: body.captured_at, sample: body.template.into() }
    }
}

/// What came onto the record.
#[derive(Serialize, ToSchema)]
pub(crate) struct EnrolledResponse {
    #[schema(value_type = String)]
    subject: SubjectId,
    #[schema(value_type = String)]
    reference: OwnReference,
    /// The encounters added, in the order of the request.
    #[schema(value_type = Vec<String>)]
    encounters: Vec<EncounterId>,
    receipt: ReceiptBody,
}

impl From<(Enrolled, Receipt)> for EnrolledResponse {
    fn from((enrolled, receipt): (Enrolled, Receipt)) -> Self {
        let Enrolled { subject, reference, encounters, .. } = enrolled;
        Self { subject, reference, encounters, receipt: receipt.into() }
    }
}

/// Add an encounter to a subject of the caller's nation. It is searched on the watchlists on which the
/// subject stands.
#[utoipa::path(post, path = "/v1/subjects/{id}/encounters", tag = "subjects", extensions(("x-operation" = json!("collection"))), request_body = EncounterBody,
    params(
        ("id" = String, Path, description = "Limen's id of the subject"),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats get the stored answer"),
    ),
    responses(
        (status = 201, body = EnrolledResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn create_encounter(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Path(id): Path<String>,
    key: Key,
    Strict { value: body, hash }: Strict<EncounterBody>,
) -> Result<(StatusCode, Json<EnrolledResponse>), Problem> {
    let idempotency = key.with(hash);
    let subject: SubjectId = path_value(&id, "id")?;
    let enrol =
        move |gallery: &_| enrol::enrol_encounter(gallery, &caller, subject, body.into(), idempotency);
    let enrolled = node.blocking(enrol).await.map_err(Problem::of_one_encounter)?;
    Ok((StatusCode::CREATED, Json(enrolled.into())))
}
