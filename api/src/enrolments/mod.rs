//! `/v1/enrolments`

pub(crate) mod create;
