//! What owners are told.

pub(crate) mod list;
