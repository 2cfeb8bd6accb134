//! Identifiers: minted by Limen, typed, printed with a prefix.

use crate::ambient::Ambient;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Why a text is not an identifier of the kind that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an identifier of this kind is written {0}_ and a UUID")]
pub struct IdError(&'static str);

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name([u8; 16]);

        impl $name {
            /// A new one: a UUIDv7, so that ids ascend with time.
            pub fn mint(ambient: &Ambient) -> Self {
                Self(mint(ambient))
            }

            /// From where it was kept.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// To be kept.
            pub fn bytes(self) -> [u8; 16] {
                self.0
            }

            /// The same, borrowed.
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), uuid::Uuid::from_bytes(self.0).as_hyphenated())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse(text, concat!($prefix, "_")).map(Self).ok_or(IdError($prefix))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }
    )*};
}

ids! {
    /// A person on record.
    SubjectId = "sub";
    /// One capture event of a subject.
    EncounterId = "enc";
    /// A lawful selection of the gallery.
    WatchlistId = "wl";
    /// An authority whose people and devices call.
    AgencyId = "agy";
    /// One lookup.
    LookupId = "lkp";
    /// Long work that somebody asked for.
    JobId = "job";
    /// What somebody may do.
    GrantId = "grt";
    /// One verification.
    VerificationId = "ver";
    /// What scores of a model mean, as it was measured once.
    CalibrationId = "cal";
}

fn mint(ambient: &Ambient) -> [u8; 16] {
    let ms = u64::try_from(ambient.clock.now().unix_ms()).unwrap_or(0);
    *uuid::Builder::from_unix_timestamp_millis(ms, &ambient.random()).as_uuid().as_bytes()
}

/// Only the one form that is printed: lower case, hyphenated.
fn parse(text: &str, prefix: &str) -> Option<[u8; 16]> {
    let digits = text.strip_prefix(prefix)?;
    let id = uuid::Uuid::try_parse(digits).ok()?;
    (id.as_hyphenated().to_string() == digits).then(|| id.into_bytes())
}

/// An encounter's row number in the store; its order is that of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EncounterKey(pub(crate) i64);

/// How far the record has come: the number of its last event. Monotone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordSequence(pub u64);

impl RecordSequence {
    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// One build of what is searched. Monotone within a data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GenerationId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_written_form_and_one_kind() {
        let id = SubjectId::mint(&Ambient::system());
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(id));
        assert!(text.parse::<WatchlistId>().is_err());
        assert!(text.to_uppercase().parse::<SubjectId>().is_err());
        assert!(text.replace('-', "").parse::<SubjectId>().is_err());
    }
}
