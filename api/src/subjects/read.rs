//! `GET /v1/subjects/{id}`

use crate::{
    body::path_value,
    caller::By,
    node::Node,
    problem::Problem,
    wire::{self, ReceiptBody},
};
use axum::{
    Json,
    extract::{Path, State},
};
use gallery::{
    Receipt,
    handling::{Grading, Handling, Instruction},
    id::{EncounterId, SubjectId, WatchlistId},
    inspect::{self, Which},
    law::{Category, Nation, OwnReference},
    subject::{EntryState, Subject},
    timestamp::Timestamp,
};
use matcher::template::ModelId;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A subject's record, without features.
#[derive(Serialize, ToSchema)]
pub(crate) struct SubjectResponse {
    #[schema(value_type = String)]
    id: SubjectId,
    /// Whose record it is.
    #[schema(value_type = String)]
    owner: Nation,
    #[schema(value_type = String)]
    reference: OwnReference,
    #[schema(value_type = String, format = DateTime)]
    enrolled_at: Timestamp,
    /// Since when it is not searched any more.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    retired_at: Option<Timestamp>,
    /// Since when it is contested: kept, not searched.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    restricted_at: Option<Timestamp>,
    entries: Vec<EntryResponse>,
    encounters: Vec<EncounterResponse>,
    receipt: ReceiptBody,
}

/// A subject's place on a watchlist.
#[derive(Serialize, ToSchema)]
struct EntryResponse {
    #[schema(value_type = String)]
    watchlist: WatchlistId,
    #[schema(schema_with = wire::category)]
    category: Category,
    /// How the record may be used, if otherwise than the watchlist's.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    handling: Option<Handling>,
    /// How good it is, if otherwise.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    grading: Option<Grading>,
    /// What is to be done, if otherwise.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    instruction: Option<Instruction>,
    #[schema(value_type = String, format = DateTime)]
    listed_at: Timestamp,
    /// Until when it may be searched.
    #[schema(value_type = String, format = DateTime)]
    retain_until: Timestamp,
    /// By when a person is to look whether it is still needed.
    #[schema(value_type = String, format = DateTime)]
    review_by: Timestamp,
    /// `active`, `retired`, `expired` or `restricted`.
    #[schema(value_type = String)]
    state: EntryState,
}

/// A capture event.
#[derive(Serialize, ToSchema)]
struct EncounterResponse {
    #[schema(value_type = String)]
    id: EncounterId,
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<OwnReference>,
    #[schema(value_type = String)]
    model: ModelId,
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    captured_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    enrolled_at: Timestamp,
}

impl From<(Subject, Receipt)> for SubjectResponse {
    fn from((subject, receipt): (Subject, Receipt)) -> Self {
        let entry = |entry: gallery::subject::Entry| EntryResponse {
            watchlist: entry.watchlist,
            category: entry.listing.category,
            handling: entry.listing.remarks.handling,
            grading: entry.listing.remarks.grading,
            instruction: entry.listing.remarks.instruction,
            listed_at: entry.listed_at,
            retain_until: entry.retain_until,
            review_by: entry.review_by,
            state: entry.state,
        };
        let encounter = |encounter: gallery::subject::Encounter| EncounterResponse {
            id: encounter.id,
            reference: encounter.reference,
            model: encounter.model,
            captured_at: encounter.captured_at,
            enrolled_at: encounter.enrolled_at,
        };
        Self {
            id: subject.id,
            owner: subject.owner,
            reference: subject.reference,
            enrolled_at: subject.enrolled_at,
            retired_at: subject.retired_at,
            restricted_at: subject.restricted_at,
            entries: subject.entries.into_iter().map(entry).collect(),
            encounters: subject.encounters.into_iter().map(encounter).collect(),
            receipt: receipt.into(),
        }
    }
}

/// Read a subject of the caller's nation, retired or not. Reading is logged.
#[utoipa::path(get, path = "/v1/subjects/{id}", tag = "subjects", extensions(("x-operation" = json!("consultation"))),
    params(("id" = String, Path, description = "Limen's id")),
    responses(
        (status = 200, body = SubjectResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn read_subject(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Path(id): Path<String>,
) -> Result<Json<SubjectResponse>, Problem> {
    let which = Which::Id(path_value(&id, "id")?);
    let subject = node.blocking(move |gallery| inspect::inspect(gallery, &caller, &which)).await?;
    Ok(Json(subject.into()))
}
