//! The list that says who is in each row of a matrix: CSV with a header, or JSON Lines.

use crate::error::Failure;
use gallery::{
    handling::{Grading, Handling, Instruction, Remarks},
    law::{Category, OwnReference},
    subject::Listing,
};
use matcher::{quality::Quality, template::ModelId};
use serde::{Deserialize, de::DeserializeOwned};
use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

/// Who is in a row.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// The owner's name for the subject.
    pub(crate) subject: OwnReference,
    /// The owner's name for the encounter.
    pub(crate) encounter: OwnReference,
    /// Id or name of the watchlist.
    pub(crate) watchlist: String,
    /// Why the subject is to stand there.
    pub(crate) category: Category,
    /// How it may be used, if otherwise than the watchlist's records.
    #[serde(default)]
    pub(crate) handling: Option<Handling>,
    /// How good it is, if otherwise.
    #[serde(default)]
    pub(crate) grading: Option<Grading>,
    /// What is to be done, if otherwise.
    #[serde(default)]
    pub(crate) instruction: Option<Instruction>,
}

impl Row {
    /// Why, and what the owner says of it.
    pub(crate) fn listing(self) -> Listing {
        let Self { category, handling, grading, instruction, .. } = self;
        Listing { category, remarks: Remarks { handling, grading, instruction } }
    }
}

/// Columns that a file may have or not.
pub(crate) const REMARKS: [&str; 3] = ["handling", "grading", "instruction"];

/// Are these the names of a file's columns, in any order, with some of those that may be there?
pub(crate) fn are_columns<'a>(names: impl Iterator<Item = &'a str>, wanted: &[&str]) -> bool {
    let mut names: Vec<&str> = names.filter(|name| !REMARKS.contains(name)).collect();
    names.sort_unstable();
    names == wanted
}

/// What a row brings to be compared.
pub(crate) struct Features {
    pub(crate) numbers: Vec<f32>,
    /// Which model made them, where that is known; otherwise the watchlist's is meant.
    pub(crate) model: Option<ModelId>,
    /// How good the image is of which they were made.
    pub(crate) quality: Option<Quality>,
}

impl From<Vec<f32>> for Features {
    fn from(numbers: Vec<f32>) -> Self {
        Self { numbers, model: None, quality: None }
    }
}

/// Rows with their lines in the file; or what is wrong with a line.
pub(crate) type Rows<T> = Box<dyn Iterator<Item = (u64, Result<T, String>)> + Send>;

/// Longest line of JSON.
const LINE_LIMIT_BYTES: u64 = 256 << 10;

/// The rows of a list, one by one.
pub(crate) fn read(path: &Path) -> Result<Rows<Row>, Failure> {
    lines(path, &["category", "encounter", "subject", "watchlist"])
}

/// The lines of a file, one by one. `.jsonl` and `.ndjson` are JSON Lines; all else is CSV with these columns, in any order, and those of
/// [`REMARKS`] that it has.
pub(crate) fn lines<T: DeserializeOwned + 'static>(
    path: &Path,
    columns: &[&str],
) -> Result<Rows<T>, Failure> {
    let file = File::open(path).map_err(|error| Failure::file(path, error))?;
    let json = path.extension().is_some_and(|ending| ending == "jsonl" || ending == "ndjson");
    if json { Ok(Box::new(json_lines(BufReader::new(file)))) } else { csv_lines(path, file, columns) }
}

fn json_lines<T: DeserializeOwned>(
    mut file: BufReader<File>,
) -> impl Iterator<Item = (u64, Result<T, String>)> + Send {
    let (mut number, mut ended) = (0, false);
    std::iter::from_fn(move || {
        let mut line = Vec::new();
        number += 1;
        let read = std::io::Read::take(&mut file, LINE_LIMIT_BYTES).read_until(b'\n', &mut line);
        match read {
            _ if ended => None,
            Ok(0) => None,
            Err(error) => {
                ended = true;
                Some((number, Err(error.to_string())))
            }
            // Where the next row begins is not known.
            Ok(length) if length as u64 == LINE_LIMIT_BYTES && line.last() != Some(&b'\n') => {
                ended = true;
                Some((number, Err(format!("longer than {LINE_LIMIT_BYTES} bytes; the rest is not read"))))
            }
            Ok(_) => Some((number, serde_json::from_slice(&line).map_err(|error| error.to_string()))),
        }
    })
}

fn csv_lines<T: DeserializeOwned + 'static>(
    path: &Path,
    file: File,
    columns: &[&str],
) -> Result<Rows<T>, Failure> {
    let mut reader = csv::ReaderBuilder::new().from_reader(file);
    let headers =
        reader.headers().map_err(|error| Failure::Argument(format!("{}: {error}", path.display())))?;
    if !are_columns(headers.iter(), columns) {
        let wanted = columns.join(",");
        return Err(Failure::Argument(format!("{}: the first line must name {wanted}", path.display())));
    }
    let headers = headers.clone();
    let mut record = csv::StringRecord::new();
    Ok(Box::new(std::iter::from_fn(move || {
        let line = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(false) => None,
            Ok(true) => {
                let line = record.position().map_or(line, csv::Position::line);
                Some((line, record.deserialize(Some(&headers)).map_err(|error| error.to_string())))
            }
            Err(error) => Some((line, Err(error.to_string()))),
        }
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(name: &str, content: &str) -> Vec<(u64, bool)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        read(&path).unwrap().map(|(line, row)| (line, row.is_ok())).collect()
    }

    #[test]
    fn malformed_rows_are_told_by_line_and_the_rest_is_read() {
        let csv = "subject,encounter,watchlist,category\na,1,w,wanted\nb,1,w,hero\nc,1,w\nd,1,w,missing\n";
        assert_eq!(lines("x.csv", csv), [(2, true), (3, false), (4, false), (5, true)]);
        let good = r#"{"subject":"a","encounter":"1","watchlist":"w","category":"wanted"}"#;
        let remarks = "grading,subject,handling,encounter,watchlist,category\nB2,a,H2,1,w,wanted\n,b,,1,w,wanted\nD1,c,,1,w,wanted\n";
        assert_eq!(lines("y.csv", remarks), [(2, true), (3, true), (4, false)]);
        let json = format!("{good}\n{{\n{good}\n{}\n", good.replace('}', r#","more":1}"#));
        assert_eq!(lines("x.jsonl", &json), [(1, true), (2, false), (3, true), (4, false)]);
    }

    #[test]
    fn a_list_with_another_header_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        std::fs::write(&path, "row,subject,encounter\n0,a,1\n").unwrap();
        assert!(read(&path).is_err());
    }
}
