//! `/v1/retention`

pub(crate) mod read;

pub(crate) mod run;
