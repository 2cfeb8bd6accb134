//! `/v1/subjects/{id}/encounters`

pub(crate) mod create;
