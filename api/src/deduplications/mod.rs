//! `/v1/deduplications`

pub(crate) mod create;
