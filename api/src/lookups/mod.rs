//! `/v1/lookups`

pub(crate) mod authorise;
pub(crate) mod create;
