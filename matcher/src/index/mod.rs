//! The searches. [`oracle`] is the definition that every other one must equal.

pub mod oracle;
