//! How values stand in columns.

use super::StoreError;
use crate::timestamp::Timestamp;
use rusqlite::Row;
use std::{collections::BTreeSet, fmt::Display, str::FromStr};

/// Features as f32, little-endian.
pub(super) fn features_to_bytes(features: &[f32]) -> Vec<u8> {
    features.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// The reverse; `None` when the length is not a whole number of features.
pub(super) fn features_from_bytes(bytes: &[u8]) -> Option<Vec<f32>> {
    let (features, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| features.iter().map(|x| f32::from_le_bytes(*x)).collect())
}

/// CRC-32C of the parts, each preceded by its length.
pub(super) fn checksum(parts: &[&[u8]]) -> u32 {
    parts.iter().fold(0, |sum, part| {
        let sum = crc32c::crc32c_append(sum, &(part.len() as u64).to_le_bytes());
        crc32c::crc32c_append(sum, part)
    })
}

/// Words, separated by commas.
pub(super) fn words_to_text<T: Display>(words: &BTreeSet<T>) -> String {
    words.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The reverse.
pub(super) fn words_from_text<T: FromStr + Ord>(text: &str, what: &str) -> Result<BTreeSet<T>, StoreError> {
    text.split(',').map(|word| parse(word, what)).collect()
}

/// A value that was written by its `Display`.
pub(super) fn parse<T: FromStr>(text: &str, what: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| damaged(what))
}

/// An id's bytes.
pub(super) fn id(row: &Row<'_>, column: usize, what: &str) -> Result<[u8; 16], StoreError> {
    row.get_ref(column)?.as_blob().ok().and_then(|blob| blob.try_into().ok()).ok_or_else(|| damaged(what))
}

/// A time.
pub(super) fn time(row: &Row<'_>, column: usize, what: &str) -> Result<Timestamp, StoreError> {
    Timestamp::from_unix_ms(row.get(column)?).ok_or_else(|| damaged(what))
}

/// A time, or none.
pub(super) fn maybe_time(row: &Row<'_>, column: usize, what: &str) -> Result<Option<Timestamp>, StoreError> {
    match row.get::<_, Option<i64>>(column)? {
        None => Ok(None),
        Some(ms) => Timestamp::from_unix_ms(ms).map(Some).ok_or_else(|| damaged(what)),
    }
}

/// A count.
pub(super) fn count(row: &Row<'_>, column: usize, what: &str) -> Result<u64, StoreError> {
    u64::try_from(row.get::<_, i64>(column)?).map_err(|_| damaged(what))
}

pub(super) fn damaged(what: &str) -> StoreError {
    StoreError::Damaged(format!("{what} cannot be read back"))
}
