//! The law's words as closed types: what is not listed here is an error, never a default.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Why a text is not one of the words of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a known {kind}; known are: {known}")]
pub struct WordError {
    kind: &'static str,
    known: String,
}

impl WordError {
    pub(crate) fn unknown(kind: &'static str, known: &[&str]) -> Self {
        Self { kind, known: known.join(", ") }
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident ($kind:literal) { $($(#[$word_doc:meta])* $word:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$word_doc])* #[serde(rename = $text)] $word,)*
        }

        impl $name {
            /// Every word of this kind.
            pub const ALL: &'static [Self] = &[$(Self::$word),*];

            /// The word as it is written.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$word => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::law::WordError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$word),)*
                    _ => Err($crate::law::WordError::unknown($kind, &[$($text),*])),
                }
            }
        }
    )*};
}

pub(crate) use words;

words! {
    /// What a search is for.
    Purpose ("purpose") {
        /// Checks on persons crossing a border.
        BorderControl = "border_control",
        /// Preventing, detecting or investigating terrorist offences.
        CounterTerrorism = "counter_terrorism",
        /// Preventing, detecting or investigating serious crime.
        SeriousCrime = "serious_crime",
        /// Finding missing or vulnerable persons.
        MissingPersons = "missing_persons",
        /// Establishing whether a document belongs to its bearer.
        DocumentVerification = "document_verification",
        /// Examining an application for international protection.
        Asylum = "asylum",
        /// Return of persons staying illegally.
        Return = "return",
    }

    /// The instrument under which a search is made or a person is listed.
    LegalBasis ("legal basis") {
        /// Regulation (EU) 2018/1860: SIS, return.
        SisReturn = "eu_2018_1860",
        /// Regulation (EU) 2018/1861: SIS, border checks.
        SisBorder = "eu_2018_1861",
        /// Regulation (EU) 2018/1862: SIS, police and judicial cooperation.
        SisPolice = "eu_2018_1862",
        /// Regulation (EU) 2017/2226: Entry/Exit System.
        EntryExit = "eu_2017_2226",
        /// Regulation (EU) 2016/794: Europol.
        Europol = "eu_2016_794",
        /// Regulation (EU) 2024/982: Prüm II.
        Prum = "eu_2024_982",
        /// Regulation (EU) 2024/1358: Eurodac.
        Eurodac = "eu_2024_1358",
        /// INTERPOL's Rules on the Processing of Data.
        Interpol = "interpol_rpd",
        /// A law of the searching nation; the case reference says which.
        NationalLaw = "national_law",
    }

    /// Whether somebody must have authorised a search, beside the grant.
    PriorAuthorisation ("prior authorisation") {
        /// No.
        NotNeeded = "not_needed",
        /// Yes; without its reference nothing is searched.
        Before = "before",
        /// Yes; its reference may be supplied within 48 hours, or the results are erased.
        Within48Hours = "within_48_hours",
    }

    /// What a searcher may do beyond its verbs.
    Allowance ("allowance") {
        /// Search with features that were not made here of an image.
        RawProbes = "raw_probes",
        /// See scores instead of bands.
        Scores = "scores",
    }

    /// How alike a candidate is: which third of the way from the watchlist's threshold to the greatest score.
    Band ("band") {
        /// The first.
        Low = "low",
        /// The second.
        Middle = "middle",
        /// The last.
        High = "high",
    }

    /// What a caller is. Nobody holds two of searching, publishing and auditing.
    Role ("role") {
        /// Searches the watchlists that are granted to it.
        Checkpoint = "checkpoint",
        /// Judges the cases that are assigned to it; cannot search.
        Adjudicator = "adjudicator",
        /// Keeps its own nation's records and watchlists.
        Enroller = "enroller",
        /// Builds generations and backups; sees no identity and cannot search.
        IndexAdmin = "index_admin",
        /// Reads the audit log and its proofs, and nothing else.
        Auditor = "auditor",
        /// A machine with a scope of its own.
        Integrator = "integrator",
        /// Grants and takes back what others may do, two of them together.
        SecurityOfficer = "security_officer",
    }

    /// Why access to what is held of a person is refused: Directive (EU) 2016/680, Article 15(1).
    AccessRefusal ("reason") {
        /// (a) So as not to obstruct inquiries, investigations or procedures.
        Inquiries = "inquiries",
        /// (b) So as not to prejudice the prevention, detection, investigation or prosecution of crime, or the execution of penalties.
        Prosecution = "prosecution",
        /// (c) To protect public security.
        PublicSecurity = "public_security",
        /// (d) To protect national security.
        NationalSecurity = "national_security",
        /// (e) To protect the rights and freedoms of others.
        RightsOfOthers = "rights_of_others",
    }

    /// Why a person stands on a watchlist. A missing child is not a suspect.
    Category ("category") {
        /// Wanted for arrest.
        Wanted = "wanted",
        /// Missing.
        Missing = "missing",
        /// Victim of a crime.
        Victim = "victim",
        /// Of unknown identity.
        Unidentified = "unidentified",
        /// Holder of a document reported lost.
        LostDocument = "lost_document",
        /// Holder of a document reported stolen.
        StolenDocument = "stolen_document",
        /// Person of interest.
        PersonOfInterest = "person_of_interest",
    }
}

impl Purpose {
    /// Does it serve to prevent or combat crime?
    pub fn fights_crime(self) -> bool {
        matches!(self, Self::CounterTerrorism | Self::SeriousCrime)
    }
}

impl Nation {
    /// ICAO Doc 9303's code for an unspecified nationality: for what no nation does.
    pub fn unspecified() -> Self {
        Self("X".repeat(3))
    }
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident, $error:ident = $rule:literal, $good:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(String);

        #[doc = concat!("Why a text is not a [`", stringify!($name), "`].")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        #[error($rule)]
        pub struct $error;

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                let good: fn(&str) -> bool = $good;
                if good(text) { Ok(Self(text.to_owned())) } else { Err($error) }
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                text.parse()
            }
        }
    )*};
}

/// One to 128 printable characters without white space at the ends.
fn is_label(text: &str) -> bool {
    (1..=128).contains(&text.chars().count()) && text.trim() == text && !text.chars().any(char::is_control)
}

texts! {
    /// A nation: ISO 3166-1 alpha-3, with the codes that ICAO Doc 9303 adds.
    Nation, NationError = "a nation is three capital letters", |text| {
        text.len() == 3 && text.bytes().all(|c| c.is_ascii_uppercase())
    };
    /// The owner's own name for a subject or an encounter.
    OwnReference, OwnReferenceError =
        "a reference is 1 to 128 printable characters without white space at its ends", is_label;
    /// The case in which a caller acts.
    CaseReference, CaseReferenceError =
        "a case reference is 1 to 128 printable characters without white space at its ends", is_label;
    /// The authorisation of a search, as who gave it names it.
    AuthorisationReference, AuthorisationReferenceError =
        "an authorisation's reference is 1 to 128 printable characters without white space at its ends", is_label;
    /// A watchlist's name, unique within its owner.
    WatchlistName, WatchlistNameError =
        "a watchlist's name is 1 to 128 printable characters without white space at its ends", is_label;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_word_is_an_error_that_tells_the_known_ones() {
        let error = "border".parse::<Purpose>().unwrap_err().to_string();
        assert!(error.starts_with("not a known purpose; known are: border_control, "), "{error}");
        for purpose in Purpose::ALL {
            assert_eq!(purpose.as_str().parse(), Ok(*purpose));
        }
    }

    #[test]
    fn texts_have_bounds() {
        for bad in ["", " a", "a\n", "a\u{0}b", &"a".repeat(129)] {
            assert!(bad.parse::<OwnReference>().is_err(), "{bad:?}");
        }
        assert!("de".parse::<Nation>().is_err() && "DEU".parse::<Nation>().is_ok());
    }
}
