//! `POST /v1/subjects/{id}/encounters`

use crate::{
    body::{Imaged, Key, path_value},
    caller::By,
    node::Node,
    probe::{Enrollable, Files, SampleBody},
    problem::Problem,
    wire::{InParts, ReceiptBody},
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
    template: SampleBody,
}

impl EncounterBody {
    /// Is an image to be looked at?
    pub(crate) fn is_image(&self) -> bool {
        self.template.is_image()
    }

    /// As it is to be enrolled, its template made here if an image came; `field` is where that stands in the request.
    pub(crate) async fn encounter(
        self,
        node: &Node,
        files: &Files,
        field: &str,
    ) -> Result<NewEncounter, Problem> {
        let Self { reference, captured_at, template } = self;
        let (sample, quality): Enrollable = node.enrollable(template.source(files, field)?, field).await?;
        Ok(NewEncounter { reference, captured_at, sample, quality })
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
#[utoipa::path(post, path = "/v1/subjects/{id}/encounters", tag = "subjects", extensions(("x-operation" = json!("collection"))), request_body(content((EncounterBody = "application/json"), (InParts<EncounterBody> = "multipart/form-data"))),
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
    Imaged { value: body, hash, files }: Imaged<EncounterBody>,
) -> Result<(StatusCode, Json<EnrolledResponse>), Problem> {
    let idempotency = key.with(hash);
    let subject: SubjectId = path_value(&id, "id")?;
    if body.is_image() {
        let (caller, idempotency) = (caller.clone(), idempotency.clone());
        let ahead = move |gallery: &_| enrol::ahead(gallery, &caller, (&[], Some(subject)), idempotency);
        if let Some(enrolled) = node.blocking(ahead).await? {
            return Ok((StatusCode::CREATED, Json(enrolled.into())));
        }
    }
    let new = body.encounter(&node, &files, "template").await?;
    let enrol = move |gallery: &_| enrol::enrol_encounter(gallery, &caller, subject, new, idempotency);
    let enrolled = node.blocking(enrol).await.map_err(Problem::of_one_encounter)?;
    Ok((StatusCode::CREATED, Json(enrolled.into())))
}
