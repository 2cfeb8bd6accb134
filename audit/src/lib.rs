//! A tamper-evident log: opaque payloads under salted commitments in an RFC 6962 Merkle tree.
//!
//! This room knows nothing of biometrics and depends on no other, so that an oversight body can build it
//! alone. The bytes on disk are drawn in `docs/formats/audit-log.md`.
//!
//! The modules stand from the ground up: each may use only those named before it.

pub mod hash;

pub mod tree;

pub mod storage;

pub mod segment;

pub mod anchor;

pub mod receipt;

pub mod note;

pub mod checkpoint;

pub mod verify;

pub mod proof;

pub mod log_proof;

pub mod witness;

pub mod tile;

pub mod log;

pub mod excerpt;

#[cfg(test)]
mod power;
