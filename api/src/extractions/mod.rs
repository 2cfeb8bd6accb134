//! `/v1/subjects/{id}/extractions`

pub(crate) mod create;
