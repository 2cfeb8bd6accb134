//! Requests, strictly read: what is not understood is refused, with the path of the field.

use crate::{
    caller::BringsImages,
    images,
    multipart::{self, FormData},
    node::Node,
    probe::Files,
    problem::{Kind, Problem},
};
use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::{header, request::Parts},
};
use bytes::Bytes;
use gallery::idempotency::{Idempotency, IdempotencyKey};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use serde::de::DeserializeOwned;
use std::{sync::Arc, time::Duration};
use tokio::sync::OwnedSemaphorePermit;

/// A JSON body without unknown or repeated fields, and the hash of the whole request.
pub(crate) struct Strict<T> {
    pub(crate) value: T,
    pub(crate) hash: RequestHash,
}

/// SHA-256 of method, path and body.
#[derive(Clone, Copy)]
pub(crate) struct RequestHash([u8; 32]);

impl RequestHash {
    pub(crate) fn new(parts: &Parts, body: &[u8]) -> Self {
        let head = format!("{} {}\n", parts.method, parts.uri.path());
        Self(gallery::request_hash(head.as_bytes(), body))
    }

    /// Of a request in parts: whoever repeats it draws another boundary.
    fn of_parts(parts: &Parts, FormData { request, files }: &FormData) -> Self {
        let mut content = request.to_vec();
        for (name, file) in files {
            content.extend((name.len() as u64).to_le_bytes());
            content.extend(name.as_bytes());
            content.extend(gallery::request_hash(b"", file));
        }
        let head =
            format!("{} {} in parts, {} of it the request\n", parts.method, parts.uri.path(), request.len());
        Self(gallery::request_hash(head.as_bytes(), &content))
    }
}

/// The same with images: in the JSON, or as files beside it (`multipart/form-data`). While more than usual arrives, it takes of the room that
/// there is for images.
pub(crate) struct Imaged<T> {
    pub(crate) value: T,
    pub(crate) hash: RequestHash,
    pub(crate) files: Files,
}

impl<T: DeserializeOwned + Send + 'static> FromRequest<Arc<Node>> for Imaged<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, node: &Arc<Node>) -> Result<Self, Problem> {
        let (mut head, body) = request.into_parts();
        let kind = head.headers.remove(header::CONTENT_TYPE);
        let kind = kind.as_ref().and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
        let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if essence != "application/json" && essence != "multipart/form-data" {
            let wanted = "send JSON as application/json, or with files as multipart/form-data";
            return Err(Problem::of(Kind::MediaType, "Content-Type", wanted));
        }
        let usual = node.config.body_limit_bytes;
        let takes = node.images.pool().is_some() && head.extensions.get::<BringsImages>().is_some();
        let longest = if takes { images::BODY_LIMIT_BYTES.max(usual) } else { usual };
        let (bytes, room) = receive(body, node, (usual, longest)).await?;
        let read = move || {
            let bytes = Bytes::from(bytes);
            let (form, hash) = if essence == "application/json" {
                let hash = RequestHash::new(&head, &bytes);
                (FormData { request: bytes, ..FormData::default() }, hash)
            } else {
                let form = multipart::take_apart(&kind, bytes);
                let form = form.map_err(|why| Problem::of(Kind::Malformed, "body", why))?;
                let hash = RequestHash::of_parts(&head, &form);
                (form, hash)
            };
            Ok::<_, Problem>((parse(&form.request)?, hash, form.files))
        };
        // What takes long is not for a thread on which others wait.
        let (value, hash, files) = if room.is_none() {
            read()?
        } else {
            let read = tokio::task::spawn_blocking(read).await;
            read.map_err(|_| Problem::fault("reading a body has panicked"))??
        };
        Ok(Self { value, hash, files: Files { by_name: files, room: room.map(Arc::new) } })
    }
}

/// Reads a body in time: up to the usual length without more ado, up to the longest if there is room for it.
async fn receive(
    body: axum::body::Body,
    node: &Node,
    (usual, longest): (usize, usize),
) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Problem> {
    let time = Duration::from_secs(node.config.receive_timeout_s);
    let late = |_| Problem::new(Kind::Timeout, "the body did not arrive in time");
    let room = |length: usize| {
        let room = node.images.room(length);
        room.ok_or_else(|| Problem::new(Kind::Busy, "too many long requests arrive at a time"))
    };
    tokio::time::timeout(time, collect(body, (usual, longest), room)).await.map_err(late)?
}

impl<T: DeserializeOwned> FromRequest<Arc<Node>> for Strict<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, node: &Arc<Node>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let json = |value: &header::HeaderValue| {
            let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
            essence.trim().eq_ignore_ascii_case("application/json")
        };
        if !parts.headers.get(header::CONTENT_TYPE).is_some_and(json) {
            return Err(Problem::of(Kind::MediaType, "Content-Type", "send JSON as application/json"));
        }
        let limit = node.config.body_limit_bytes;
        let (bytes, _) = receive(body, node, (limit, limit)).await?;
        let hash = RequestHash::new(&parts, &bytes);
        Ok(Self { value: parse(&bytes)?, hash })
    }
}

/// Reads a body up to a limit. One that is longer, or has no room, is read on for a while but not kept, so that its sender,
/// who reads only after writing, learns why it is refused. Before it becomes longer than usual, room is taken for as long as it says that it is,
/// or may be.
async fn collect(
    mut body: axum::body::Body,
    (usual, limit): (usize, usize),
    room: impl Fn(usize) -> Result<OwnedSemaphorePermit, Problem>,
) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Problem> {
    let hint = body.size_hint();
    let said = hint.exact().and_then(|said| usize::try_from(said).ok());
    let whole = said.unwrap_or(limit).min(limit);
    let read_on = limit.saturating_add(usual.saturating_mul(READ_ON));
    let (mut bytes, mut length, mut taken) = (Vec::with_capacity(whole.min(usual)), 0, None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::of(Kind::Malformed, "body", "the body broke off"))?;
        let Some(data) = frame.data_ref() else { continue };
        length += data.len();
        if length > usual && length <= limit && taken.is_none() {
            taken = Some(room(whole));
            if let Some(Ok(_)) = taken {
                bytes.reserve_exact(whole.saturating_sub(bytes.len()));
            }
        }
        if length <= limit && !matches!(taken, Some(Err(_))) {
            bytes.extend_from_slice(data);
        } else if length > read_on {
            break;
        }
    }
    if length > limit {
        return Err(Problem::of(Kind::TooLarge, "body", format!("the body is longer than {limit} bytes")));
    }
    Ok((bytes, taken.transpose()?))
}

/// How many times the usual limit is read beyond the limit before the sender is cut off.
const READ_ON: usize = 16;

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        Problem::of(Kind::Malformed, bounded(&field_of(&error)), told(&error.inner().to_string()))
    })?;
    json.end().map_err(|error| Problem::of(Kind::Malformed, "body", error))?;
    Ok(value)
}

/// The field that an error is about. The path ends at the object when a field of it is missing or stands
/// twice: then the message names the field.
fn field_of(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let message = error.inner().to_string();
    let named = ["missing field `", "duplicate field `"].iter().find_map(|start| message.strip_prefix(start));
    let named = named.and_then(|rest| rest.split('`').next()).unwrap_or_default();
    let path = error.path().to_string();
    match (path.as_str(), named) {
        (".", "") => "body".to_owned(),
        (_, "") => path,
        (".", named) => named.to_owned(),
        _ if path.ends_with(&format!(".{named}")) => path,
        _ => format!("{path}.{named}"),
    }
}

/// What the parser says, without the value that it found: that may be a template in the wrong place.
fn told(message: &str) -> String {
    let expected = message.find(", expected ").filter(|_| message.starts_with("invalid "));
    match (expected, message.split_once(':')) {
        (Some(at), Some((kind, _))) => format!("{kind}{}", bounded(&message[at..])),
        _ => bounded(message),
    }
}

/// A text with every long word cut: no field, word or number that Limen knows has more than 48 characters.
fn bounded(text: &str) -> String {
    let mut words = String::new();
    for word in text.split_inclusive(|c: char| c.is_whitespace() || ".,`[]".contains(c)) {
        match word.char_indices().nth(48) {
            Some(_) => words.push_str("… "),
            None => words.push_str(word),
        }
    }
    words
}

/// The `Idempotency-Key` header, if there is one.
pub(crate) struct Key(Option<IdempotencyKey>);

impl Key {
    /// The key with the request that it stands for.
    pub(crate) fn with(self, RequestHash(request): RequestHash) -> Option<Idempotency> {
        self.0.map(|key| Idempotency { key, request })
    }
}

impl<S: Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let bad = |detail: &str| Problem::of(Kind::Malformed, "Idempotency-Key", detail);
        let Some(value) = values.next() else { return Ok(Self(None)) };
        if values.next().is_some() {
            return Err(bad("there is more than one idempotency key"));
        }
        let text = value.to_str().map_err(|_| bad("an idempotency key is printable ASCII"))?;
        let key = IdempotencyKey::new(text).map_err(|error| bad(&error.to_string()))?;
        Ok(Self(Some(key)))
    }
}

/// An identifier or another value in the path.
pub(crate) fn path_value<T: std::str::FromStr>(text: &str, name: &str) -> Result<T, Problem>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| Problem::of(Kind::Malformed, name, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookups::create::LookupBody;

    #[test]
    fn a_template_in_the_wrong_place_is_not_repeated() {
        let template = "QUJDREVG".repeat(100);
        let feature = "0.1234567";
        for body in [
            format!("{{\"probe\": \"{template}\"}}"),
            format!("{{\"purpose\": \"{template}\"}}"),
            format!("{{\"{template}\": 1}}"),
            format!("{{\"probe\": {{\"model\": \"{template}\"}}}}"),
            format!("{{\"probe\": {feature}}}"),
            format!("{{\"watchlists\": [{feature}]}}"),
            format!("{{\"limit\": {feature}}}"),
        ] {
            let Err(problem) = parse::<LookupBody>(body.as_bytes()) else { panic!("{body} was read") };
            let told = serde_json::to_string(&problem).unwrap();
            assert!(!told.contains("QUJDREVG") && !told.contains(feature), "{told}");
        }
    }
}
