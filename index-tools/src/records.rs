//! Files in which a row holds everything, its features too: Parquet, CSV with a header, JSON Lines.

use crate::{
    error::Failure,
    parquet,
    rows::{self, Features, Row, Rows},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use gallery::{
    handling::{Grading, Handling, Instruction},
    law::{Category, OwnReference},
};
use serde::Deserialize;
use std::path::Path;

/// A row with its features.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    subject: OwnReference,
    encounter: OwnReference,
    watchlist: String,
    category: Category,
    #[serde(default)]
    handling: Option<Handling>,
    #[serde(default)]
    grading: Option<Grading>,
    #[serde(default)]
    instruction: Option<Instruction>,
    features: Written,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Numbers(Vec<f32>),
    /// Base64 of f32, little-endian.
    Text(String),
}

/// The rows of a file, one by one.
pub(crate) fn read(path: &Path) -> Result<Rows<(Row, Features)>, Failure> {
    if path.extension().is_some_and(|ending| ending == "parquet") {
        return parquet::read(path);
    }
    let columns = ["category", "encounter", "features", "subject", "watchlist"];
    let records = rows::lines::<Record>(path, &columns)?;
    Ok(Box::new(records.map(|(line, record)| (line, record.and_then(row)))))
}

fn row(record: Record) -> Result<(Row, Features), String> {
    let Record { subject, encounter, watchlist, category, handling, grading, instruction, features } = record;
    let features = match features {
        Written::Numbers(numbers) => numbers,
        Written::Text(text) => decode(&text)?,
    };
    Ok((Row { subject, encounter, watchlist, category, handling, grading, instruction }, features.into()))
}

/// Features of a text: base64 of f32, little-endian.
pub(crate) fn decode(text: &str) -> Result<Vec<f32>, String> {
    // What does not decode is not repeated: it may be most of a template.
    let bytes = STANDARD.decode(text).map_err(|_| "features: not padded standard base64".to_owned())?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(format!("features: {} bytes are no numbers of f32", bytes.len()));
    }
    Ok(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
}

/// Features as such a text.
pub(crate) fn encode(features: &[f32]) -> String {
    STANDARD.encode(features.iter().flat_map(|feature| feature.to_le_bytes()).collect::<Vec<u8>>())
}
