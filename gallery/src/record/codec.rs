//! How values stand in columns.

use super::StoreError;
use crate::{
    handling::Remarks,
    id::{EncounterId, SubjectId},
    keys::{Holder, Keys, NoKey, TemplateKey},
    subject::Listing,
    timestamp::Timestamp,
};
use rusqlite::{Connection, Row, functions::FunctionFlags, types::ValueRef};
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

/// The features of an encounter as it stands in its row.
pub(super) fn template(
    row: &Row<'_>,
    column: usize,
    id: EncounterId,
    model: &str,
    key: &TemplateKey,
) -> Result<Vec<f32>, StoreError> {
    let bad = || StoreError::Damaged(format!("encounter {id} is not what was sealed"));
    let sealed = row.get_ref(column)?.as_blob().map_err(|_| bad())?;
    let plain = key.open(id, model, sealed).ok_or_else(bad)?;
    features_from_bytes(&plain).ok_or_else(bad)
}

/// The key of a subject whose id and owner stand in these columns.
pub(super) fn template_key(
    keys: &Keys,
    row: &Row<'_>,
    (id, owner): (usize, usize),
    number: i64,
) -> Result<TemplateKey, StoreError> {
    let subject = SubjectId::from_bytes(self::id(row, id, "a subject's id")?);
    let owner = parse(row.get_ref(owner)?.as_str().unwrap_or_default(), "a subject's owner")?;
    keys.of(Holder { subject, row: number, owner: &owner }).map_err(|error| match error {
        NoKey::Unread(error) => error.into(),
        NoKey::Destroyed => StoreError::Erased(subject),
        NoKey::Damaged => StoreError::Damaged(format!("the key of {subject} cannot be read back")),
    })
}

/// Gives a connection the function `row_sum`, by which rows carry their checksums: CRC-32C over its arguments, each
/// with its type and length.
pub(super) fn define_row_sum(connection: &Connection) -> rusqlite::Result<()> {
    connection.create_scalar_function("event_commitment", 2, FunctionFlags::SQLITE_UTF8, |arguments| {
        let (salt, payload) = (arguments.get::<[u8; 32]>(0)?, arguments.get::<Vec<u8>>(1)?);
        Ok(audit::hash::commitment(&salt, &payload).0)
    })?;
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("row_sum", -1, flags, |arguments| {
        let part = |at: usize| match arguments.get_raw(at) {
            ValueRef::Null => (0u8, [0; 8], &[][..]),
            ValueRef::Integer(value) => (1, value.to_le_bytes(), &[][..]),
            ValueRef::Real(value) => (2, value.to_bits().to_le_bytes(), &[][..]),
            ValueRef::Text(text) => (3, (text.len() as u64).to_le_bytes(), text),
            ValueRef::Blob(bytes) => (4, (bytes.len() as u64).to_le_bytes(), bytes),
        };
        let sum = (0..arguments.len()).map(part).fold(0, |sum, (kind, head, body)| {
            let sum = crc32c::crc32c_append(crc32c::crc32c_append(sum, &[kind]), &head);
            crc32c::crc32c_append(sum, body)
        });
        Ok(i64::from(sum))
    })
}

/// Does a row of `subject s` carry its checksum?
pub(super) const SUBJECT_IS_WHOLE: &str = "s.checksum = row_sum(s.id, s.owner, s.reference, s.enrolled_at, s.retired_at, \
    s.restricted_at, s.erase_at, s.erased_at, s.changed)";
/// Does a row of `entry e`?
pub(super) const ENTRY_IS_WHOLE: &str = "e.checksum = row_sum(e.subject, e.watchlist, e.category, e.listed_at, \
    e.retain_until, e.review_by, e.state, e.handling, e.grading, e.instruction)";
/// What stands in an entry's columns `category, handling, grading, instruction`.
pub(super) fn listing(row: &Row<'_>, first: usize) -> Result<Listing, StoreError> {
    fn maybe<T: FromStr>(row: &Row<'_>, column: usize) -> Result<Option<T>, StoreError> {
        row.get::<_, Option<String>>(column)?.map(|text| parse(&text, "an entry")).transpose()
    }
    let remarks = Remarks {
        handling: maybe(row, first + 1)?,
        grading: maybe(row, first + 2)?,
        instruction: maybe(row, first + 3)?,
    };
    Ok(Listing { category: parse(&row.get::<_, String>(first)?, "an entry's category")?, remarks })
}

/// The checksum of a row of `entry` with another subject, state or handling code: expressions or columns.
pub(super) fn entry_sum(subject: &str, state: &str, handling: &str) -> String {
    format!(
        "row_sum({subject}, watchlist, category, listed_at, retain_until, review_by, {state}, {handling}, grading, instruction)"
    )
}

/// Does a row of `encounter c`?
pub(super) const ENCOUNTER_IS_WHOLE: &str = "c.checksum = row_sum(c.id, c.subject, c.reference, c.model, c.captured_at, \
    c.enrolled_at)";

/// Is the value in this column, that of one of these comparisons, true?
pub(super) fn whole(row: &Row<'_>, column: usize, what: &str) -> Result<(), StoreError> {
    if row.get(column)? { Ok(()) } else { Err(StoreError::Damaged(format!("{what} fails its checksum"))) }
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
