//! `/v1/generations`

pub(crate) mod activate;

pub(crate) mod build;

pub(crate) mod list;
