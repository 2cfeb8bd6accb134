//! `/v1/verifications`

pub(crate) mod create;
