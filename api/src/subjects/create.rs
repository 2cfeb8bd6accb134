//! `POST /v1/subjects`

use crate::{
    body::{Imaged, Key},
    caller::By,
    encounters::create::{EncounterBody, EnrolledResponse},
    node::Node,
    problem::Problem,
    wire::{self, InParts},
};
use axum::{Json, extract::State, http::StatusCode};
use gallery::{
    enrol,
    handling::{Grading, Handling, Instruction, Remarks},
    id::WatchlistId,
    law::{Category, OwnReference},
    subject::{Listing, NewSubject},
};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A subject to be enrolled. Limen mints its id.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubjectBody {
    /// The owner's own name for the subject, unique within its nation.
    #[schema(value_type = String)]
    reference: OwnReference,
    /// On which of the nation's watchlists the subject is to stand, and why.
    entries: Vec<EntryBody>,
    /// 1 to 64 encounters.
    encounters: Vec<EncounterBody>,
}

/// A place on a watchlist.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EntryBody {
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
}

impl EntryBody {
    fn listed(self) -> (WatchlistId, Listing) {
        let Self { watchlist, category, handling, grading, instruction } = self;
        (watchlist, Listing { category, remarks: Remarks { handling, grading, instruction } })
    }
}

/// Enrol a subject. The next lookup finds it.
#[utoipa::path(post, path = "/v1/subjects", tag = "subjects", extensions(("x-operation" = json!("collection"))), request_body(content((SubjectBody = "application/json"), (InParts<SubjectBody> = "multipart/form-data"))),
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats get the stored answer")),
    responses(
        (status = 201, body = EnrolledResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn create_subject(
    State(node): State<Arc<Node>>,
    By(caller): By,
    key: Key,
    Imaged { value: body, hash, files }: Imaged<SubjectBody>,
) -> Result<(StatusCode, Json<EnrolledResponse>), Problem> {
    let idempotency = key.with(hash);
    let entries: Vec<_> = body.entries.into_iter().map(EntryBody::listed).collect();
    if body.encounters.iter().any(EncounterBody::is_image) {
        let lists: Vec<_> = entries.iter().map(|(list, _)| *list).collect();
        let (caller, idempotency) = (caller.clone(), idempotency.clone());
        let ahead = move |gallery: &_| enrol::ahead(gallery, &caller, (&lists, None), idempotency);
        if let Some(enrolled) = node.blocking(ahead).await? {
            return Ok((StatusCode::CREATED, Json(enrolled.into())));
        }
    }
    if body.encounters.len() > enrol::ENCOUNTER_LIMIT {
        return Err(enrol::EnrolError::EncounterCount.into());
    }
    let mut encounters = Vec::with_capacity(body.encounters.len());
    for (index, encounter) in body.encounters.into_iter().enumerate() {
        let field = format!("encounters[{index}].template");
        encounters.push(encounter.encounter(&node, &files, &field).await?);
    }
    let new = NewSubject { reference: body.reference, entries, encounters };
    let enrolled =
        node.blocking(move |gallery| enrol::enrol_subject(gallery, &caller, new, idempotency)).await?;
    Ok((StatusCode::CREATED, Json(enrolled.into())))
}
