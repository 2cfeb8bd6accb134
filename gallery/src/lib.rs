//! Subjects, watchlists and the law around them; the verbs of Limen.
//!
//! Records live in an embedded store, the source of truth ([`record`]); what is searched lives in memory
//! ([`generation`]) and is made from them; every verb leaves an event in the audit log. No HTTP and no
//! images here.
//!
//! The modules stand from the ground up: each may use only those named before it.

pub mod timestamp;

pub mod ambient;

pub mod clock;

pub mod id;

pub mod law;

pub mod handling;

pub mod subject;

pub mod sample;

pub mod watchlist;

pub mod calibrated;

pub mod budget;

pub mod caller;

pub mod grant;

pub mod authority;

pub mod decision;

pub mod findings;

pub mod job;

pub mod notice;

pub mod known_log;

pub mod digest;

pub mod event;

pub mod operation;

pub mod idempotency;

pub mod keys;

pub mod generation;

pub mod record;

pub mod strictness;

mod fault;

mod register;

mod cosigned;

mod misuse;

pub mod gallery;

mod priority;

pub mod room;

mod subject_change;

mod compare;

mod upkeep;

pub mod rebuild;

pub mod suspected;

pub mod calibrate;

pub mod backup;

pub mod jobs;

pub mod erase;

pub mod open;

pub mod evidence;

pub mod submission;

pub mod report;

pub mod status;

pub mod anchor;

pub mod administer;

pub mod restore;

pub mod expire;

mod disclosure;

mod decline;

mod scan;

pub mod lookup;

pub mod verify;

pub mod extract;

pub mod authorise;

pub mod enrol;

pub mod enrol_batch;

pub mod retire;

pub mod restrict;

pub mod rectify;

pub mod reassign;

pub mod retention;

pub mod inspect;

pub mod access;

pub mod read_notices;

pub mod publish;

pub mod export;

pub mod dedup;

pub mod npy;

#[cfg(test)]
mod laws;

pub use audit::receipt::Receipt;
pub use decline::Declined;
pub use gallery::Gallery;
pub use generation::{Index, manifest::GenerationError};
pub use open::{Searching, Setup};
pub use subject_change::SubjectChangeError;

/// SHA-256 of a request's head and body, by which a repeated request is known.
pub fn request_hash(head: &[u8], body: &[u8]) -> [u8; 32] {
    audit::hash::sha256(&[head, body]).0
}
