//! `/v1/subjects`

mod addressed;

pub(crate) mod create;

pub(crate) mod find;

pub(crate) mod read;

pub(crate) mod access;

pub(crate) mod rectify;

pub(crate) mod retire;

pub(crate) mod restriction;

pub(crate) mod erase;

pub(crate) mod reassign;
