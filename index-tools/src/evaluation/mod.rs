//! Evaluation: searches whose truth is known, and the error rates that follow (ISO/IEC 19795-1, NIST FRTE 1:N).

pub(crate) mod folder;

pub(crate) mod samples;

pub(crate) mod calibrating;

pub(crate) mod search;

pub(crate) mod outcome;

pub(crate) mod candidate_log;

pub(crate) mod measures;

pub(crate) mod differentials;

pub(crate) mod plot;

pub(crate) mod report;
