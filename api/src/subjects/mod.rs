//! `/v1/subjects`

pub(crate) mod create;

pub(crate) mod find;

pub(crate) mod read;

pub(crate) mod retire;
