//! `/v1/backups`

pub(crate) mod create;
