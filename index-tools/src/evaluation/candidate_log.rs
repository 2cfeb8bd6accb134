//! The candidate log of NIST FRTE 1:N: `searchId candidateRank searchRetCode isAssigned templateId score decision`, so many lines a search, fields separated
//! by one space, ranks from 0 (usnistgov/frvt, `1N/src/testdriver/validate1N.cpp`).
//!
//! The decision stands on every line of a search, and is known only when the threshold is: it is filled in at the end.

use crate::{error::Failure, private};
use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

pub(crate) const HEADER: &str = "searchId candidateRank searchRetCode isAssigned templateId score decision";

/// A search that was done.
pub(crate) const SUCCESS: u8 = 0;
/// No template could be made: FRTE's `TemplateCreationError`.
pub(crate) const NO_TEMPLATE: u8 = 6;

/// One candidate: the name of its template, and its score.
pub(crate) type Proposed = (String, f32);

/// The log without decisions, as long as it is being written.
pub(crate) struct Writer {
    path: PathBuf,
    file: BufWriter<File>,
    lines: usize,
}

impl Writer {
    /// A new one, or one that is gone on with.
    pub(crate) fn open(path: &Path, lines: usize, done: u64) -> Result<Self, Failure> {
        let failed = |error| Failure::file(path, error);
        let mut file = private::open(path).map_err(failed)?;
        if done == 0 {
            file.set_len(0).map_err(failed)?;
        }
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file), lines })
    }

    /// The lines of a search: its candidates, and empty ones up to the number of lines.
    pub(crate) fn write(&mut self, search: &str, code: u8, proposed: &[Proposed]) -> Result<(), Failure> {
        let failed = |error| Failure::file(&self.path, error);
        for rank in 0..self.lines {
            let line = match proposed.get(rank) {
                Some((template, score)) => format!("{search} {rank} {code} 1 {template} {score}"),
                None => format!("{search} {rank} {code} 0 NA -1"),
            };
            writeln!(self.file, "{line}").map_err(failed)?;
        }
        Ok(())
    }

    pub(crate) fn keep(&mut self) -> Result<(), Failure> {
        let kept = self.file.flush().and_then(|()| self.file.get_ref().sync_data());
        kept.map_err(|error| Failure::file(&self.path, error))
    }
}

/// Makes the log of what was written: with a header, and of each search whether its best candidate reaches the threshold.
pub(crate) fn finish(written: &Path, log: &Path, threshold: Option<f32>) -> Result<(), Failure> {
    let failed = |error| Failure::file(log, error);
    let from = File::open(written).map_err(|error| Failure::file(written, error))?;
    let to = private::open(log).and_then(|file| file.set_len(0).map(|()| file));
    let mut to = BufWriter::new(to.map_err(failed)?);
    writeln!(to, "{HEADER}").map_err(failed)?;
    let mut decision = 0;
    for line in BufReader::new(from).lines() {
        let line = line.map_err(|error| Failure::file(written, error))?;
        let mut fields = line.split(' ').skip(1);
        if fields.next() == Some("0") {
            let score: f32 = fields.nth(3).and_then(|text| text.parse().ok()).unwrap_or(-1.0);
            let assigned = line.split(' ').nth(3) == Some("1");
            decision = u8::from(assigned && threshold.is_some_and(|threshold| score >= threshold));
        }
        writeln!(to, "{line} {decision}").map_err(failed)?;
    }
    to.flush().map_err(failed)
}
