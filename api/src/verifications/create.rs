//! `POST /v1/verifications`

use crate::{
    body::{Imaged, Key},
    caller::By,
    node::Node,
    probe::SampleBody,
    problem::Problem,
    rates::MeaningBody,
    wire::{self, CertificateBody, InParts, ReceiptBody, TermsBody, Threshold},
};
use axum::{Json, extract::State, http::StatusCode};
use gallery::{
    Receipt,
    authority::Ground,
    decision::{Decision, Reason, VerificationAnswer},
    id::{EncounterId, SubjectId, VerificationId, WatchlistId},
    law::{AuthorisationReference, Band, CaseReference, LegalBasis, Purpose},
    verify::{self, VerificationRequest},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// Whom to compare with, why, and with what.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerificationBody {
    /// The watchlist on which the subject stands.
    #[schema(value_type = String)]
    watchlist: WatchlistId,
    #[schema(value_type = String)]
    subject: SubjectId,
    #[schema(schema_with = wire::purpose)]
    purpose: Purpose,
    #[schema(schema_with = wire::legal_basis)]
    legal_basis: LegalBasis,
    /// The case in which the comparison is made.
    #[schema(value_type = String)]
    case_reference: CaseReference,
    /// The authorisation of the search, where the watchlist wants one.
    #[schema(value_type = Option<String>)]
    authorisation: Option<AuthorisationReference>,
    probe: SampleBody,
    /// A stricter threshold than the watchlist's own, for who may see scores.
    #[schema(value_type = Option<f32>)]
    threshold: Option<Threshold>,
}

/// The machine's answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct VerificationResponse {
    #[schema(value_type = String)]
    id: VerificationId,
    /// `hit` if a reference of the subject reaches the threshold, else `no_hit`, or `inconclusive`.
    #[schema(value_type = String)]
    decision: Decision,
    /// Why it is inconclusive: `incomplete`, when fewer references were compared than are on record.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[schema(value_type = String)]
    subject: SubjectId,
    /// The encounter with the best score.
    #[schema(value_type = String)]
    encounter: EncounterId,
    /// Of a hit: in which third of the way from the watchlist's threshold to 1 the best score lies.
    #[schema(schema_with = wire::band)]
    #[serde(skip_serializing_if = "Option::is_none")]
    band: Option<Band>,
    /// The best score of the subject's references, instead of the band, for who may see scores.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f32>,
    /// What the score means, by the calibration that the certificate names.
    #[serde(flatten)]
    meaning: Option<MeaningBody>,
    #[serde(flatten)]
    terms: TermsBody,
    certificate: CertificateBody,
    receipt: ReceiptBody,
}

/// Compare a probe with one subject.
#[utoipa::path(post, path = "/v1/verifications", tag = "verifications", extensions(("x-operation" = json!("consultation"))), request_body(content((VerificationBody = "application/json"), (InParts<VerificationBody> = "multipart/form-data"))),
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats get the stored answer")),
    responses(
        (status = 200, body = VerificationResponse),
        (status = 422, body = Problem, content_type = "application/problem+json",
            description = "A value is not acceptable; or, with `decision` and `receipt`, inconclusive: the image is not enough to compare"),
        (status = 429, body = Problem, content_type = "application/problem+json",
            description = "The caller searches too often, or with too many probes that are alike or around the same subject; `Retry-After` says when it may again. Send the best picture of a person, and repeat a request under its key"),
        (status = 503, body = VerificationResponse, description = "Inconclusive: the node could not compare everything"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn create_verification(
    State(node): State<Arc<Node>>,
    By(caller): By,
    key: Key,
    Imaged { value: body, hash, files }: Imaged<VerificationBody>,
) -> Result<(StatusCode, Json<VerificationResponse>), Problem> {
    let idempotency = key.with(hash);
    let (watchlist, subject) = (body.watchlist, body.subject);
    let ground = Ground {
        purpose: body.purpose,
        legal_basis: body.legal_basis,
        case_reference: body.case_reference,
        authorisation: body.authorisation,
    };
    if body.probe.is_image() {
        let (caller, ground, idempotency) = (caller.clone(), ground.clone(), idempotency.clone());
        let (of, threshold) = ((watchlist, subject), body.threshold.map(|it| it.0));
        let ahead =
            move |gallery: &_| verify::ahead(gallery, &caller, (of.0, of.1, &ground), threshold, idempotency);
        if let Some((answer, receipt)) = node.blocking(ahead).await? {
            return Ok(respond(&node, answer, receipt).await);
        }
    }
    let (probe, faces) = node.probe(body.probe.source(&files, "probe")?).await?;
    let request = VerificationRequest {
        watchlist,
        subject,
        ground,
        probe,
        threshold: body.threshold.map(|threshold| threshold.0),
    };
    let answered = node.blocking(move |gallery| verify::verify(gallery, &caller, request, idempotency)).await;
    let (answer, receipt) = match answered {
        Ok(answered) => answered,
        Err(problem) => return Err(node.inconclusive(problem, faces).await),
    };
    Ok(respond(&node, answer, receipt).await)
}

async fn respond(
    node: &Arc<Node>,
    answer: VerificationAnswer,
    receipt: Receipt,
) -> (StatusCode, Json<VerificationResponse>) {
    let receipt = ReceiptBody::proven(receipt, node.prove(receipt).await);
    let VerificationAnswer {
        verification,
        decision,
        reason,
        subject,
        encounter,
        likeness,
        meaning,
        told,
        certificate,
    } = answer;
    let (band, score) = wire::likeness(likeness);
    let status = wire::status_of(reason);
    let response = VerificationResponse {
        id: verification,
        decision,
        reason,
        subject,
        encounter,
        band,
        score,
        meaning: meaning.map(Into::into),
        terms: told.into(),
        certificate: certificate.into(),
        receipt,
    };
    (status, Json(response))
}
