//! What an owner says about a record: how it may be used, how good it is, what is to be done; and who is shown what of it.

use crate::law::{Category, Purpose};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// How a record may be used by who receives it: Europol's handling codes. Written `H0`, `H1`, `H2`, or `H3: ` and the restriction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Handling {
    /// Only for preventing and combating crime.
    H0,
    /// Not in judicial proceedings without the owner's permission.
    H1,
    /// Not to be disseminated without the owner's permission.
    H2,
    /// Other restrictions, in the owner's words.
    H3(Instruction),
}

/// Why a text is not a handling code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a handling code is H0, H1, H2, or H3: and the restriction in 1 to 1000 printable characters")]
pub struct HandlingError;

impl fmt::Display for Handling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::H0 => f.write_str("H0"),
            Self::H1 => f.write_str("H1"),
            Self::H2 => f.write_str("H2"),
            Self::H3(restriction) => write!(f, "H3: {restriction}"),
        }
    }
}

impl FromStr for Handling {
    type Err = HandlingError;

    fn from_str(text: &str) -> Result<Self, HandlingError> {
        match text {
            "H0" => Ok(Self::H0),
            "H1" => Ok(Self::H1),
            "H2" => Ok(Self::H2),
            _ => {
                let restriction = text.strip_prefix("H3: ").ok_or(HandlingError)?;
                restriction.parse().map(Self::H3).map_err(|_| HandlingError)
            }
        }
    }
}

/// How much of a record a searcher is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Nothing: it looks as if nobody were there. The owner is told.
    Silent,
    /// The owner's reference, by which the owner can be asked. The owner is told.
    Reference,
    /// All.
    Full,
}

impl Handling {
    /// Both at once: where they differ, a restriction that names both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self == other {
            return self;
        }
        let words = |one: Self| match one {
            Self::H3(restriction) => restriction.to_string(),
            code => code.to_string(),
        };
        let both: String = format!("{}; {}", words(self), words(other)).chars().take(1000).collect();
        Self::H3(Instruction(both.trim_end().to_owned()))
    }

    /// What is shown of a record to who searches for this purpose: to its own nation all. What may only serve against crime is not shown to
    /// who searches for something else; what may not be passed on is shown by its reference; and a restriction that only people can
    /// read is kept by showing nothing.
    pub fn shows(&self, own: bool, purpose: Purpose) -> Visibility {
        match self {
            _ if own => Visibility::Full,
            Self::H0 if purpose.fights_crime() => Visibility::Full,
            Self::H1 => Visibility::Full,
            Self::H2 => Visibility::Reference,
            Self::H0 | Self::H3(_) => Visibility::Silent,
        }
    }
}

/// How reliable a record's source and how sure its information is: Europol's 4 × 4 system, written `A1` to `X4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Grading {
    /// `A` no doubt, `B` mostly reliable, `C` mostly unreliable, `X` cannot be assessed.
    source: u8,
    /// `1` no doubt, `2` known to the source itself, `3` to others and corroborated, `4` neither.
    information: u8,
}

impl Grading {
    /// Neither can be assessed.
    pub const UNKNOWN: Self = Self { source: b'X', information: b'4' };
}

/// Why a text is not a grading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a grading is A, B, C or X for the source and 1, 2, 3 or 4 for the information, such as B2")]
pub struct GradingError;

impl fmt::Display for Grading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", char::from(self.source), char::from(self.information))
    }
}

impl FromStr for Grading {
    type Err = GradingError;

    fn from_str(text: &str) -> Result<Self, GradingError> {
        match text.as_bytes() {
            &[source @ (b'A' | b'B' | b'C' | b'X'), information @ b'1'..=b'4'] => {
                Ok(Self { source, information })
            }
            _ => Err(GradingError),
        }
    }
}

/// The owner's words: what is to be done, or how a record is restricted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Instruction(String);

/// Why a text is not an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an instruction is 1 to 1000 printable characters without white space at its ends")]
pub struct InstructionError;

impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Instruction {
    type Err = InstructionError;

    fn from_str(text: &str) -> Result<Self, InstructionError> {
        let good = (1..=1000).contains(&text.chars().count()) && text.trim() == text;
        if good && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InstructionError)
        }
    }
}

macro_rules! as_text {
    ($($name:ident: $error:ident;)*) => {$(
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
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

as_text! {
    Handling: HandlingError;
    Grading: GradingError;
    Instruction: InstructionError;
}

/// What the owner says of one record that differs from its watchlist.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remarks {
    /// How it may be used, if otherwise than the watchlist's records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handling: Option<Handling>,
    /// How good it is, if otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grading: Option<Grading>,
    /// What is to be done, if otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instruction: Option<Instruction>,
}

/// What holds for a watchlist's records that say nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// How they may be used.
    pub handling: Handling,
    /// How good they are.
    pub grading: Grading,
    /// What is to be done when somebody of a category is found.
    pub instructions: BTreeMap<Category, Instruction>,
}

/// What holds for one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// How it may be used.
    pub handling: Handling,
    /// How good it is.
    pub grading: Grading,
    /// What is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instruction: Option<Instruction>,
}

impl Defaults {
    /// What holds for a record of this category with these remarks.
    pub fn terms(&self, category: Category, remarks: &Remarks) -> Terms {
        Terms {
            handling: remarks.handling.as_ref().unwrap_or(&self.handling).clone(),
            grading: remarks.grading.unwrap_or(self.grading),
            instruction: remarks.instruction.as_ref().or_else(|| self.instructions.get(&category)).cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_owner_says_has_one_written_form() {
        for text in ["H0", "H1", "H2", "H3: ask our liaison officer first"] {
            assert_eq!(text.parse::<Handling>().unwrap().to_string(), text);
        }
        for bad in ["", "H3", "H3:", "H3: ", "H4", "h1", "H1: x", "H3: a\nb"] {
            assert!(bad.parse::<Handling>().is_err(), "{bad:?}");
        }
        for text in ["A1", "B2", "C3", "X4"] {
            assert_eq!(text.parse::<Grading>().unwrap().to_string(), text);
        }
        for bad in ["", "A", "D1", "A0", "A5", "a1", "A12"] {
            assert!(bad.parse::<Grading>().is_err(), "{bad:?}");
        }
        assert!("x".repeat(1001).parse::<Instruction>().is_err());
    }

    #[test]
    fn two_codes_hold_together() {
        let both =
            |one: &str, other: &str| one.parse::<Handling>().unwrap().and(other.parse().unwrap()).to_string();
        assert_eq!((both("H1", "H1"), both("H0", "H2")), ("H1".to_owned(), "H3: H0; H2".to_owned()));
        assert_eq!(both("H3: ask us", "H1"), "H3: ask us; H1");
        let long = format!("H3: {}", "x".repeat(1000));
        assert!(both(&long, "H1").parse::<Handling>().is_ok());
    }

    #[test]
    fn a_nation_sees_its_own_and_of_others_what_their_codes_let_it() {
        use Visibility::{Full, Reference, Silent};
        let codes = ["H0", "H1", "H2", "H3: x"].map(|text| text.parse::<Handling>().unwrap());
        for purpose in Purpose::ALL {
            let crime = matches!(purpose, Purpose::CounterTerrorism | Purpose::SeriousCrime);
            let foreign = codes.each_ref().map(|code| code.shows(false, *purpose));
            assert_eq!(foreign, [if crime { Full } else { Silent }, Full, Reference, Silent], "{purpose}");
            assert_eq!(codes.each_ref().map(|code| code.shows(true, *purpose)), [Full; 4]);
        }
    }
}
