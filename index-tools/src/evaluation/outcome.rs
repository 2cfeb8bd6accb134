//! What came of each search, as a file: `searches.csv`, one line a search.

use crate::{error::Failure, private};
use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// What came of a search.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    /// The probe's row.
    pub(crate) row: u64,
    /// Its subject's name.
    pub(crate) subject: String,
    /// Is the subject enrolled?
    pub(crate) mated: bool,
    /// No template could be made of the probe.
    pub(crate) failed: bool,
    /// The best score with the subject's own references.
    pub(crate) mate: Option<f32>,
    /// The subject's place in the candidate list, from 1, if it is in it.
    pub(crate) rank: Option<u32>,
    /// The highest score with any other subject.
    pub(crate) other: Option<f32>,
    /// Of the image.
    pub(crate) quality: Option<u8>,
    /// Demographic labels, in the order of the columns.
    pub(crate) labels: Vec<String>,
}

const FIXED: [&str; 8] =
    ["row", "subject", "mated", "failed", "mate_score", "mate_rank", "highest_nonmated", "quality"];

impl Outcome {
    fn fields(&self) -> Vec<String> {
        fn text<T: ToString>(value: Option<T>) -> String {
            value.map_or_else(String::new, |value| value.to_string())
        }
        let flag = |is: bool| if is { "1" } else { "0" }.to_owned();
        let mut fields = vec![
            self.row.to_string(),
            self.subject.clone(),
            flag(self.mated),
            flag(self.failed),
            text(self.mate),
            text(self.rank),
            text(self.other),
            text(self.quality),
        ];
        fields.extend(self.labels.iter().cloned());
        fields
    }

    fn of(record: &csv::StringRecord) -> Option<Self> {
        fn value<T: std::str::FromStr>(text: Option<&str>) -> Result<Option<T>, ()> {
            text.filter(|text| !text.is_empty()).map(str::parse).transpose().map_err(|_| ())
        }
        Some(Self {
            row: record.get(0)?.parse().ok()?,
            subject: record.get(1)?.to_owned(),
            mated: record.get(2)? == "1",
            failed: record.get(3)? == "1",
            mate: value(record.get(4)).ok()?,
            rank: value(record.get(5)).ok()?,
            other: value(record.get(6)).ok()?,
            quality: value(record.get(7)).ok()?,
            labels: record.iter().skip(FIXED.len()).map(str::to_owned).collect(),
        })
    }
}

/// The file, as long as it is being written.
pub(crate) struct Writer {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Writer {
    /// A new file, or one that is gone on with after so many searches.
    pub(crate) fn open(path: &Path, columns: &[String], done: u64) -> Result<Self, Failure> {
        let failed = |error| Failure::file(path, error);
        let file = private::open(path).map_err(failed)?;
        let mut writer = Self { path: path.to_owned(), file: BufWriter::new(file) };
        if done == 0 {
            writer.file.get_ref().set_len(0).map_err(failed)?;
            let header = FIXED.into_iter().map(str::to_owned).chain(columns.iter().cloned());
            writer.line(&header.collect::<Vec<_>>())?;
        } else {
            writer.file.seek(SeekFrom::End(0)).map_err(failed)?;
        }
        Ok(writer)
    }

    pub(crate) fn write(&mut self, outcome: &Outcome) -> Result<(), Failure> {
        self.line(&outcome.fields())
    }

    fn line(&mut self, fields: &[String]) -> Result<(), Failure> {
        let written = line(fields.iter().map(String::as_str)).and_then(|line| self.file.write_all(&line));
        written.map_err(|error| Failure::file(&self.path, error))
    }

    pub(crate) fn keep(&mut self) -> Result<(), Failure> {
        let kept = self.file.flush().and_then(|()| self.file.get_ref().sync_data());
        kept.map_err(|error| Failure::file(&self.path, error))
    }
}

/// A line of a list.
pub(crate) fn line<'a>(fields: impl Iterator<Item = &'a str>) -> std::io::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    writer.write_record(fields)?;
    writer.into_inner().map_err(csv::IntoInnerError::into_error)
}

/// How many searches a file holds in whole lines, and where each of them ends: a line that a stop has cut does not count. A subject's name holds no line
/// break, so lines are lines.
pub(crate) fn ends(path: &Path, header: u64) -> Result<Vec<u64>, Failure> {
    let mut ends = Vec::new();
    let Ok(file) = File::open(path) else { return Ok(ends) };
    let (mut reader, mut line, mut at) = (BufReader::new(file), Vec::new(), 0);
    while reader.read_until(b'\n', &mut line).map_err(|error| Failure::file(path, error))? > 0 {
        at += line.len() as u64;
        if line.ends_with(b"\n") {
            ends.push(at);
        }
        line.clear();
    }
    ends.drain(..(header as usize).min(ends.len()));
    Ok(ends)
}

/// Reads the file: demographic columns, and the searches.
pub(crate) fn read(path: &Path) -> Result<(Vec<String>, Vec<Outcome>), Failure> {
    let bad = |why: String| Failure::Argument(format!("{}: {why}", path.display()));
    let mut reader = csv::ReaderBuilder::new().from_path(path).map_err(|error| bad(error.to_string()))?;
    let headers = reader.headers().map_err(|error| bad(error.to_string()))?;
    if !headers.iter().take(FIXED.len()).eq(FIXED) {
        return Err(bad("it is not a list of searches that `limen-index evaluate` wrote".to_owned()));
    }
    let columns = headers.iter().skip(FIXED.len()).map(str::to_owned).collect();
    let mut outcomes = Vec::new();
    for record in reader.into_records() {
        let record = record.map_err(|error| bad(error.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        outcomes.push(Outcome::of(&record).ok_or_else(|| bad(format!("line {line} is no search")))?);
    }
    Ok((columns, outcomes))
}
