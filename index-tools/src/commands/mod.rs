//! One command, one file.
#![expect(clippy::print_stdout, reason = "printing is what these are for")]

pub(crate) mod anchor;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod calibrate;
pub(crate) mod certificate;
pub(crate) mod compare;
pub(crate) mod dedup;
pub(crate) mod doctor;
pub(crate) mod enrol;

pub(crate) mod erase;
pub(crate) mod evaluate;
pub(crate) mod export;
pub(crate) mod extract;
pub(crate) mod generation;
pub(crate) mod grant;
pub(crate) mod imitate;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod model;
pub(crate) mod quality;
pub(crate) mod reassign;
pub(crate) mod recalibrate;
pub(crate) mod retention;
pub(crate) mod subject_access;
pub(crate) mod watchlist;
