//! Errors on the wire: RFC 9457. Every verb's error becomes a problem here and nowhere else.

mod verbs;

use crate::wire::{FaceBody, ReceiptBody};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use gallery::{
    Declined, Receipt,
    authority::Refusal,
    decision::Decision,
    idempotency::KeyError,
    record::{StoreError, WriteError},
    sample::Shortcoming,
};
use serde::Serialize;
use utoipa::ToSchema;

/// What went wrong (RFC 9457, `application/problem+json`).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Which kind of problem: `urn:limen:problem:` and a word.
    #[serde(rename = "type")]
    kind: String,
    /// The kind in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong this time. Holds no identity and no feature.
    detail: String,
    /// The field of the request that is wrong, as a path: `probe.features[3]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(flatten)]
    #[schema(inline)]
    image: Box<OfImage>,
    #[serde(skip)]
    retry_after_s: Option<u32>,
}

/// What is said beside where it is an image that is wrong.
#[derive(Debug, Default, Serialize, ToSchema)]
struct OfImage {
    /// `inconclusive`, of an image that is not enough to search with: neither a hit nor `no_hit`. It is in the log.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<Decision>,
    /// Why: `unreadable`, `no_face`, `several_faces`, `quality` or `limits`.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Shortcoming>,
    /// What to do, most important first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    advice: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<ReceiptBody>,
    /// The faces that are seen, largest first, where that is what is wrong: name the box of the one that is meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    faces: Vec<FaceBody>,
    #[serde(skip)]
    logged: Option<Receipt>,
}

/// The kinds: word, title, status.
macro_rules! kinds {
    ($($name:ident = $word:literal, $title:literal, $status:ident;)*) => {
        #[derive(Clone, Copy, Debug)]
        pub(crate) enum Kind { $($name,)* }

        impl Kind {
            fn facts(self) -> (&'static str, &'static str, StatusCode) {
                match self { $(Self::$name => ($word, $title, StatusCode::$status),)* }
            }
        }
    };
}

kinds! {
    Malformed = "malformed", "The request cannot be read", BAD_REQUEST;
    Invalid = "invalid", "A value is not acceptable", UNPROCESSABLE_ENTITY;
    Unauthenticated = "unauthenticated", "A valid bearer token is needed", UNAUTHORIZED;
    Refused = "refused", "Not permitted; the attempt is in the audit log", FORBIDDEN;
    Insecure = "insecure", "More than this needs TLS", FORBIDDEN;
    Unknown = "unknown", "There is no such thing here", NOT_FOUND;
    Method = "method", "This method does not apply here", METHOD_NOT_ALLOWED;
    Erased = "erased", "It was erased after its legal time", GONE;
    Exists = "exists", "It exists already, or is past changing", CONFLICT;
    InProgress = "in-progress", "The first request with this key is being answered", CONFLICT;
    KeyReused = "key-reused", "The idempotency key belongs to another request", UNPROCESSABLE_ENTITY;
    Inconclusive = "inconclusive", "The image is not enough to search with; that is in the audit log", UNPROCESSABLE_ENTITY;
    NoModel = "no-model", "Images are not taken here", NOT_IMPLEMENTED;
    TooLarge = "too-large", "The request is too large", PAYLOAD_TOO_LARGE;
    MediaType = "media-type", "The body must be application/json, or with images multipart/form-data", UNSUPPORTED_MEDIA_TYPE;
    Timeout = "timeout", "The request took too long to arrive", REQUEST_TIMEOUT;
    TooMany = "too-many", "The caller searches too much; the attempt is in the audit log", TOO_MANY_REQUESTS;
    Busy = "busy", "Too much is waiting; come back later", SERVICE_UNAVAILABLE;
    LogUnwritable = "log-unwritable", "The audit log cannot be written, so nothing is answered", SERVICE_UNAVAILABLE;
    DiskFull = "disk-full", "The disk is full; nothing was changed", INSUFFICIENT_STORAGE;
    Uncalibrated = "uncalibrated", "The node has no calibration that tells the threshold: nothing was searched", SERVICE_UNAVAILABLE;
    Fault = "fault", "The node needs its operator", INTERNAL_SERVER_ERROR;
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl std::fmt::Display) -> Self {
        let (word, title, status) = kind.facts();
        Self {
            kind: format!("urn:limen:problem:{word}"),
            title,
            status: status.as_u16(),
            detail: detail.to_string(),
            field: None,
            image: Box::default(),
            retry_after_s: matches!(kind, Kind::Busy | Kind::InProgress | Kind::LogUnwritable).then_some(1),
        }
    }

    /// A problem with a field of the request.
    pub(crate) fn of(kind: Kind, field: impl Into<String>, detail: impl std::fmt::Display) -> Self {
        Self { field: Some(field.into()), ..Self::new(kind, detail) }
    }

    /// The same with the faces that are seen.
    pub(crate) fn with_faces(mut self, faces: Vec<FaceBody>) -> Self {
        self.image.faces = faces;
        self
    }

    /// Where it stands in the log, if it is an answer.
    pub(crate) fn logged(&self) -> Option<Receipt> {
        self.image.logged
    }

    /// The same with the proof that it stands there.
    pub(crate) fn proven(mut self, proof: Option<String>) -> Self {
        if let Some(receipt) = &mut self.image.receipt {
            receipt.prove(proof);
        }
        self
    }

    /// A value that cannot be read.
    pub(crate) fn malformed(field: &str, detail: impl std::fmt::Display) -> Self {
        Self::of(Kind::Malformed, field, detail)
    }

    /// A refusal, with the field that is not permitted. `watchlist` names the field of a watchlist by its
    /// position.
    fn refused(refusal: &Refusal, watchlist: impl Fn(usize) -> String) -> Self {
        if let Refusal::Misuse { misuse, retry_after_s } = refusal {
            tracing::warn!(misuse = misuse.as_str(), "a caller was stopped");
            return Self { retry_after_s: Some(*retry_after_s), ..Self::new(Kind::TooMany, refusal) };
        }
        let field = match refusal {
            Refusal::Verb(_) | Refusal::Officer => "Authorization".to_owned(),
            Refusal::RawProbe | Refusal::Misuse { .. } => "probe".to_owned(),
            Refusal::Threshold => "threshold".to_owned(),
            Refusal::Authorisation { .. } => "authorisation".to_owned(),
            Refusal::Watchlist { index } => watchlist(*index),
            Refusal::Subject => "subject".to_owned(),
            Refusal::Purpose { .. } => "purpose".to_owned(),
            Refusal::LegalBasis { .. } => "legal_basis".to_owned(),
        };
        Self::of(Kind::Refused, field, refusal)
    }

    /// The node's own fault. What it was goes to the operator, not to the caller.
    pub(crate) fn fault(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "fault");
        Self::new(Kind::Fault, "the node cannot answer; its log says why")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Busy | WriteError::Undone | WriteError::Store(StoreError::Locked) => {
                Self::new(Kind::Busy, error)
            }
            WriteError::Store(StoreError::Erased(_)) => {
                Self::new(Kind::Busy, "somebody was erased meanwhile: ask again")
            }
            WriteError::Store(StoreError::TooMany(_)) => {
                Self::new(Kind::Insecure, format!("{error}, without TLS"))
            }
            WriteError::Store(StoreError::Full) => {
                Self::new(Kind::DiskFull, "the data folder's disk is full")
            }
            WriteError::Log(log) if log.passing() => {
                tracing::error!(cause = %log, "the audit log cannot be written");
                Self::new(Kind::LogUnwritable, "the audit log cannot be written at present")
            }
            WriteError::Log(_) | WriteError::Store(_) | WriteError::Clock(_) | WriteError::Poisoned => {
                Self::fault(error)
            }
        }
    }
}

impl From<Declined> for Problem {
    fn from(Declined { reason, advice, receipt }: Declined) -> Self {
        let problem = Self::of(Kind::Inconclusive, "probe.image", advice.join("; "));
        let image = OfImage {
            decision: Some(Decision::Inconclusive),
            reason: Some(reason),
            advice,
            receipt: Some(receipt.into()),
            faces: Vec::new(),
            logged: Some(receipt),
        };
        Self { image: Box::new(image), ..problem }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        WriteError::from(error).into()
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        let kind = match error {
            KeyError::InProgress => Kind::InProgress,
            KeyError::Reused => Kind::KeyReused,
        };
        Self::of(kind, "Idempotency-Key", error)
    }
}
