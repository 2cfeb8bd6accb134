//! `/v1/watchlists`

pub(crate) mod create;

pub(crate) mod read;

pub(crate) mod export;
