//! Access of a person to what is held of them (Directive (EU) 2016/680, Articles 14 and 15): given, or refused with a reason.

use crate::{
    authority::Caller,
    event::What,
    evidence::{self, EvidenceError},
    gallery::Gallery,
    handling::Instruction,
    id::{AgencyId, SubjectId},
    inspect::{self, InspectError, Which},
    law::{AccessRefusal, LegalBasis, Nation, Purpose},
    subject::Subject,
    timestamp::Timestamp,
};
use audit::receipt::Receipt;
use serde::Serialize;
use serde_json::Value;

/// Why access was neither given nor refused.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The subject cannot be read.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] EvidenceError),
}

/// Something that was done with a person's data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Processing {
    /// The leaf in the log.
    pub leaf: u64,
    /// When.
    pub at: Timestamp,
    /// What was done, in the log's word.
    pub what: String,
    /// The nation that did it, or to which it was told: a recipient.
    pub nation: Nation,
    /// The authority.
    pub agency: AgencyId,
    /// For which purpose, of a search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// On which legal basis, of a search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legal_basis: Option<LegalBasis>,
}

/// What is held of a person, and what was done with it.
#[derive(Clone, Debug)]
pub struct Access {
    /// The record.
    pub subject: Subject,
    /// What the log tells, oldest first. Who searched and was shown nothing is among them.
    pub processing: Vec<Processing>,
}

/// Gives access to a subject of the caller's nation: for whoever answers the person. It is logged.
///
/// # Errors
/// When the caller may not, there is no such subject, or the node cannot.
pub fn give(
    gallery: &Gallery,
    caller: &Caller,
    subject: SubjectId,
) -> Result<(Access, Receipt), AccessError> {
    let (record, _) = inspect::inspect(gallery, caller, &Which::Id(subject))?;
    let (id, mut processing) = (subject.to_string(), Vec::new());
    evidence::each_event(gallery, |leaf, event| {
        let what = serde_json::to_value(&event.what).unwrap_or_default();
        if !names(&what, &id) {
            return;
        }
        let word = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
        let ground = &what["ground"];
        processing.push(Processing {
            leaf,
            at: event.at,
            what: what["verb"].as_str().unwrap_or_default().to_owned(),
            nation: event.actor.nation,
            agency: event.actor.agency,
            purpose: word(&ground["purpose"]),
            legal_basis: ground["legal_basis"].as_str().and_then(|text| text.parse().ok()),
        });
    })?;
    let receipt = gallery.log_event(&caller.into(), |_| What::GiveAccess { subject });
    Ok((Access { subject: record, processing }, receipt.map_err(InspectError::from)?))
}

/// Is this id anywhere in an event?
fn names(what: &Value, id: &str) -> bool {
    match what {
        Value::String(text) => text == id,
        Value::Array(all) => all.iter().any(|one| names(one, id)),
        Value::Object(all) => all.values().any(|one| names(one, id)),
        _ => false,
    }
}

/// Refuses access to a subject of the caller's nation, with a reason that the law knows and, where it may be told, in words. It is logged, so that a
/// supervisory authority can ask.
///
/// # Errors
/// When the caller may not, there is no such subject, or the node cannot.
pub fn refuse(
    gallery: &Gallery,
    caller: &Caller,
    subject: SubjectId,
    reason: AccessRefusal,
    words: Option<Instruction>,
) -> Result<Receipt, AccessError> {
    inspect::inspect(gallery, caller, &Which::Id(subject))?;
    let receipt = gallery.log_event(&caller.into(), |_| What::RefuseAccess { subject, reason, words });
    Ok(receipt.map_err(InspectError::from)?)
}
