//! How a node's faults and a permit's refusals become part of each verb's own error.

use crate::{
    authority::Refusal,
    idempotency::KeyError,
    record::{StoreError, WriteError},
};
use audit::log::AppendError;

/// No permit.
#[derive(Debug)]
pub(crate) enum NotPermitted {
    /// The refusal is in the log.
    Refused(Refusal),
    /// It could not be put there.
    Unlogged(AppendError),
}

/// The faults of a node as the `Node` of a verb's error, and refusals as its `Refused`.
macro_rules! faults {
    ($error:ident) => {
        impl From<$crate::record::StoreError> for $error {
            fn from(error: $crate::record::StoreError) -> Self {
                Self::Node(error.into())
            }
        }

        impl From<audit::log::AppendError> for $error {
            fn from(error: audit::log::AppendError) -> Self {
                Self::Node(error.into())
            }
        }

        impl $crate::record::writer::Refusal for $error {
            fn for_room(&self) -> bool {
                matches!(self, Self::Node(error) if $crate::record::writer::Refusal::for_room(error))
            }
        }

        impl From<$crate::fault::NotPermitted> for $error {
            fn from(error: $crate::fault::NotPermitted) -> Self {
                match error {
                    $crate::fault::NotPermitted::Refused(refusal) => Self::Refused(refusal),
                    $crate::fault::NotPermitted::Unlogged(error) => error.into(),
                }
            }
        }
    };
}
pub(crate) use faults;

/// What can be wrong with an idempotency key as the `Key` of a verb's error.
macro_rules! turn_faults {
    ($error:ident) => {
        impl From<$crate::fault::TurnError> for $error {
            fn from(error: $crate::fault::TurnError) -> Self {
                match error {
                    $crate::fault::TurnError::Key(error) => Self::Key(error),
                    $crate::fault::TurnError::Node(error) => Self::Node(error),
                }
            }
        }
    };
}
pub(crate) use turn_faults;

/// Why an answer under a key cannot be looked up.
#[derive(Debug)]
pub(crate) enum TurnError {
    Key(KeyError),
    Node(WriteError),
}

impl From<StoreError> for TurnError {
    fn from(error: StoreError) -> Self {
        Self::Node(error.into())
    }
}
