//! `POST /v1/lookups`

use crate::{
    body::{Imaged, Key},
    caller::By,
    node::Node,
    probe::SampleBody,
    problem::Problem,
    rates::{Fpir, MeaningBody},
    wire::{self, CertificateBody, InParts, ReceiptBody, TermsBody, Threshold},
};
use axum::{Json, extract::State, http::StatusCode};
use gallery::{
    Receipt,
    authority::Ground,
    decision::{self, Decision, LookupAnswer, Reason},
    handling::Visibility,
    id::{EncounterId, LookupId, SubjectId, WatchlistId},
    law::{AuthorisationReference, Band, CaseReference, LegalBasis, Nation, OwnReference, Purpose},
    lookup::{self, LookupRequest, Preparation},
    strictness::Stricter,
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// What to search, why, and with what.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LookupBody {
    /// 1 to 64 watchlists of one model.
    #[schema(value_type = Vec<String>)]
    watchlists: Vec<WatchlistId>,
    #[schema(schema_with = wire::purpose)]
    purpose: Purpose,
    #[schema(schema_with = wire::legal_basis)]
    legal_basis: LegalBasis,
    /// The case in which the search is made.
    #[schema(value_type = String)]
    case_reference: CaseReference,
    /// The authorisation of the search, where a watchlist wants one.
    #[schema(value_type = Option<String>)]
    authorisation: Option<AuthorisationReference>,
    probe: SampleBody,
    /// How many candidates to list at most: 1 to 100, 20 if absent.
    limit: Option<u32>,
    /// A stricter threshold than the watchlists' own, for who may see scores.
    #[schema(value_type = Option<f32>)]
    threshold: Option<Threshold>,
    /// At most such a share of strangers' lookups is to propose somebody, over all these watchlists: between 0 and 1; stricter than their own
    /// policies, for who may see scores.
    #[schema(value_type = Option<f64>)]
    fpir: Option<Fpir>,
}

impl LookupBody {
    fn stricter(&self) -> Stricter {
        Stricter { threshold: self.threshold.map(|it| it.0), fpir: self.fpir.map(|it| it.0) }
    }
}

/// The machine's answer. Only people declare that two records are the same person.
#[derive(Serialize, ToSchema)]
pub(crate) struct LookupResponse {
    #[schema(value_type = String)]
    id: LookupId,
    /// `hit`, `no_hit` or `inconclusive`.
    #[schema(value_type = String)]
    decision: Decision,
    /// Why it is inconclusive: `incomplete` (503), when fewer references could be compared than are on record;
    /// `approximate` (200), when the administrator's approximate index found nobody, and may have missed somebody.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    /// Best first; ties by ascending subject id.
    candidates: Vec<CandidateBody>,
    /// Do more subjects reach the threshold than are listed?
    truncated: bool,
    /// How many subjects reach the threshold and may be shown.
    total: u64,
    /// By when the search's authorisation is to be supplied, if none was given and a watchlist wants one: or its results are erased.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    authorise_by: Option<Timestamp>,
    certificate: CertificateBody,
    receipt: ReceiptBody,
}

/// A subject that the machine proposes. Where handling codes let another nation see only its reference, that is all there is, and the owner is told.
#[derive(Serialize, ToSchema)]
struct CandidateBody {
    /// From 1.
    rank: u32,
    /// `full`, or `reference`: the owner is asked by it.
    #[schema(value_type = String)]
    visibility: Visibility,
    /// The owner's own name for the subject.
    #[schema(value_type = String)]
    reference: OwnReference,
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<SubjectId>,
    /// The encounter with the best score.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    encounter: Option<EncounterId>,
    /// In which third of the way from the watchlist's threshold to 1 the best score lies.
    #[schema(schema_with = wire::band)]
    #[serde(skip_serializing_if = "Option::is_none")]
    band: Option<Band>,
    /// The best score of the subject's references, instead of the band, for who may see scores.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f32>,
    /// What the score means, by the calibration that the certificate names.
    #[serde(flatten)]
    meaning: Option<MeaningBody>,
    /// The watchlists whose threshold it reaches.
    watchlists: Vec<ListedBody>,
}

/// A candidate's place on a watchlist.
#[derive(Serialize, ToSchema)]
struct ListedBody {
    #[schema(value_type = String)]
    id: WatchlistId,
    /// Whose it is.
    #[schema(value_type = String)]
    owner: Nation,
    /// Why the subject stands there, and what the owner says of it; absent where only the reference is shown.
    #[serde(flatten)]
    terms: Option<TermsBody>,
}

/// Search watchlists with a probe.
#[utoipa::path(post, path = "/v1/lookups", tag = "lookups", extensions(("x-operation" = json!("consultation"))), request_body(content((LookupBody = "application/json"), (InParts<LookupBody> = "multipart/form-data"))),
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats get the stored answer")),
    responses(
        (status = 200, body = LookupResponse, description = "Answered, and in the audit log"),
        (status = 422, body = Problem, content_type = "application/problem+json",
            description = "A value is not acceptable; or, with `decision` and `receipt`, inconclusive: the image is not enough to search with"),
        (status = 429, body = Problem, content_type = "application/problem+json",
            description = "The caller searches too often, or with too many probes that are alike or around the same subject; `Retry-After` says when it may again. Send the best picture of a person, and repeat a request under its key"),
        (status = 503, body = LookupResponse, description = "Inconclusive: the node could not search everything"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn create_lookup(
    State(node): State<Arc<Node>>,
    By(caller): By,
    key: Key,
    Imaged { value: body, hash, files }: Imaged<LookupBody>,
) -> Result<(StatusCode, Json<LookupResponse>), Problem> {
    let (idempotency, stricter) = (key.with(hash), body.stricter());
    let ground = Ground {
        purpose: body.purpose,
        legal_basis: body.legal_basis,
        case_reference: body.case_reference,
        authorisation: body.authorisation,
    };
    if body.probe.is_image() {
        let (caller, lists, ground) = (caller.clone(), body.watchlists.clone(), ground.clone());
        let idempotency = idempotency.clone();
        let ahead =
            move |gallery: &_| lookup::ahead(gallery, &caller, (&lists, &ground), stricter, idempotency);
        if let Some((answer, receipt)) = node.blocking(ahead).await? {
            return Ok(respond(&node, answer, receipt).await);
        }
    }
    let (probe, faces) = node.probe(body.probe.source(&files, "probe")?).await?;
    let request = LookupRequest {
        watchlists: body.watchlists,
        ground,
        probe,
        limit: body.limit.unwrap_or(20),
        stricter,
    };
    let prepared =
        node.blocking(move |gallery| lookup::prepare(gallery, &caller, request, idempotency)).await;
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(problem) => return Err(node.inconclusive(problem, faces).await),
    };
    let (answer, receipt) = match prepared {
        Preparation::Answered(answer, receipt) => (*answer, receipt),
        Preparation::Search(prepared) => {
            let searched = node.search(prepared).await?;
            node.blocking(move |gallery| lookup::conclude(gallery, searched)).await?
        }
    };
    Ok(respond(&node, answer, receipt).await)
}

async fn respond(
    node: &Arc<Node>,
    answer: LookupAnswer,
    receipt: Receipt,
) -> (StatusCode, Json<LookupResponse>) {
    let receipt = ReceiptBody::proven(receipt, node.prove(receipt).await);
    let status = wire::status_of(answer.reason);
    let LookupAnswer { lookup, decision, reason, candidates, truncated, total, authorise_by, certificate } =
        answer;
    let response = LookupResponse {
        id: lookup,
        decision,
        reason,
        candidates: candidates.into_iter().map(candidate).collect(),
        truncated,
        total,
        authorise_by,
        certificate: certificate.into(),
        receipt,
    };
    (status, Json(response))
}

fn candidate(candidate: decision::Candidate) -> CandidateBody {
    let decision::Candidate { rank, reference, seen, watchlists } = candidate;
    let listed = |listed: decision::Listed| ListedBody {
        id: listed.watchlist,
        owner: listed.owner,
        terms: listed.told.map(Into::into),
    };
    let (band, score) = wire::likeness(seen.as_ref().map(|seen| seen.likeness));
    CandidateBody {
        rank,
        visibility: if seen.is_some() { Visibility::Full } else { Visibility::Reference },
        reference,
        subject: seen.as_ref().map(|seen| seen.subject),
        encounter: seen.as_ref().map(|seen| seen.encounter),
        band,
        score,
        meaning: seen.as_ref().and_then(|seen| seen.meaning).map(Into::into),
        watchlists: watchlists.into_iter().map(listed).collect(),
    }
}
