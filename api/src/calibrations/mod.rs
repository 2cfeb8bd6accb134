//! `/v1/calibrations`

pub(crate) mod list;

pub(crate) mod measure;
