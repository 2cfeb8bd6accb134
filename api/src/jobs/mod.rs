//! `/v1/jobs`

pub(crate) mod cancel;

pub(crate) mod list;

pub(crate) mod read;

pub(crate) mod begin;
