//! `/v1/lookups`

pub(crate) mod create;
