//! Points in time, to the millisecond, in UTC.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// Milliseconds since 1970-01-01T00:00:00Z; as text, RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Timestamp(i64);

/// Why a text is not a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time is written as in 2026-11-22T08:30:00Z")]
pub struct TimestampError;

const MS_PER_DAY: i64 = 86_400_000;
const LATEST: OffsetDateTime = time::macros::datetime!(9999-12-31 23:59:59.999 UTC);

impl Timestamp {
    /// From milliseconds since 1970; `None` outside of the years 0 to 9999.
    pub fn from_unix_ms(ms: i64) -> Option<Self> {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok()?;
        (0..=9999).contains(&time.year()).then_some(Self(ms))
    }

    /// Milliseconds since 1970.
    pub fn unix_ms(self) -> i64 {
        self.0
    }

    /// The months since the year 0.
    pub(crate) fn month(self) -> u32 {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000);
        let (year, month) = time.map_or((0, 1), |time| (time.year(), u8::from(time.month())));
        u32::try_from(year).unwrap_or(0) * 12 + u32::from(month) - 1
    }

    /// So many hours later, at most the end of the year 9999.
    #[must_use]
    pub fn plus_hours(self, hours: i64) -> Self {
        Self((self.0 + hours * 3_600_000).min(Self::from(LATEST).0))
    }

    /// So many days later, at most the end of the year 9999.
    #[must_use]
    pub fn plus_days(self, days: u32) -> Self {
        Self((self.0 + i64::from(days) * MS_PER_DAY).min(Self::from(LATEST).0))
    }
}

impl From<OffsetDateTime> for Timestamp {
    fn from(time: OffsetDateTime) -> Self {
        Self((time.unix_timestamp_nanos() / 1_000_000) as i64)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000);
        let text = time.ok().and_then(|time| time.format(&Rfc3339).ok());
        f.write_str(&text.ok_or(fmt::Error)?)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| TimestampError)?;
        let time = time.checked_to_offset(UtcOffset::UTC).ok_or(TimestampError)?;
        Self::from_unix_ms(Self::from(time).0).ok_or(TimestampError)
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
    }
}

impl TryFrom<String> for Timestamp {
    type Error = TimestampError;

    fn try_from(text: String) -> Result<Self, TimestampError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_is_written() {
        let time: Timestamp = "2026-11-22T10:30:00.25+02:00".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-22T08:30:00.25Z");
        assert_eq!(time.plus_days(1).to_string(), "2026-11-23T08:30:00.25Z");
        assert_eq!(time.plus_days(u32::MAX).to_string(), "9999-12-31T23:59:59.999Z");
        assert!("2026-11-22".parse::<Timestamp>().is_err());
        assert_eq!(Timestamp::from_unix_ms(i64::MAX), None);
    }
}
