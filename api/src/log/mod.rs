//! `/v1/log`: the audit log, as c2sp.org/tlog-tiles serves logs, and its events for auditors.

pub(crate) mod checkpoint;
pub(crate) mod event;
pub(crate) mod proof;
pub(crate) mod tile;
