//! `limen-index enrol` and `import`

use crate::{
    enrolling::{self, OnError, Source},
    error::Failure,
    place::Place,
    progress::Show,
    records,
    remote::By,
    rows::{self, Row, Rows},
    target::Target,
};
use clap::Args;
use gallery::npy::Matrix;
use std::path::PathBuf;

/// Enrol many references: a matrix of features, and a list that says who is in each row.
///
/// Rows are durable in batches (of 4096 on a folder), each one event of the audit log. Rows that are on record already are
/// passed over, so an interrupted command is resumed by repeating it.
#[derive(Args)]
pub(crate) struct Enrol {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    by: By,
    /// Matrix of features (.npy, f32, N × dimension), as the model gave them.
    #[arg(long)]
    features: PathBuf,
    /// Who is in each row: CSV or JSON Lines (.jsonl) with subject, encounter, watchlist (id or name) and
    /// category.
    #[arg(long)]
    rows: PathBuf,
    #[command(flatten)]
    show: Show,
    /// What to do when a row is malformed or refused.
    #[arg(long, value_enum, default_value = "stop")]
    on_error: OnError,
}

impl Enrol {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let matrix = self.matrix()?;
        let target = Target::of(&self.place, &self.by)?;
        let (count, rows) = (rows::read(&self.rows)?.count() as u64, matrix.rows());
        if count != rows {
            return Err(Failure::Argument(format!("the matrix has {rows} rows, the list has {count}")));
        }
        enrolling::enrol(self, &target, &self.show, self.on_error)
    }

    fn matrix(&self) -> Result<Matrix, Failure> {
        Matrix::open(&self.features).map_err(|error| Failure::Matrix { path: self.features.clone(), error })
    }
}

impl Source for Enrol {
    fn name(&self) -> String {
        format!("{} line", self.rows.display())
    }

    fn rows(&self) -> Result<Rows<(Row, Vec<f32>)>, Failure> {
        let path = self.features.clone();
        let both = rows::read(&self.rows)?.zip(self.matrix()?);
        Ok(Box::new(both.map(move |((line, row), features)| {
            let features = features.map_err(|error| format!("{}: {error}", path.display()));
            (line, row.and_then(|row| Ok((row, features?))))
        })))
    }

    fn list(&self) -> Result<Rows<Row>, Failure> {
        rows::read(&self.rows)
    }
}

/// Enrol many references from one file that holds everything: Parquet, CSV or JSON Lines.
///
/// Each row has subject, encounter, watchlist (id or name), category and features: in Parquet (.parquet) a list of floats; in JSON Lines
/// (.jsonl) an array of numbers, or a text; in CSV a text: base64 of f32, little-endian. Handling, grading and instruction may stand there, too, where a
/// record differs from its watchlist. As with `enrol`, batches are durable one by one, and
/// an interrupted command is repeated.
#[derive(Args)]
pub(crate) struct Import {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    by: By,
    /// File to read.
    file: PathBuf,
    #[command(flatten)]
    show: Show,
    /// What to do when a row is malformed or refused.
    #[arg(long, value_enum, default_value = "stop")]
    on_error: OnError,
}

impl Import {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let target = Target::of(&self.place, &self.by)?;
        enrolling::enrol(self, &target, &self.show, self.on_error)
    }
}

impl Source for Import {
    fn name(&self) -> String {
        format!("{} row", self.file.display())
    }

    fn rows(&self) -> Result<Rows<(Row, Vec<f32>)>, Failure> {
        records::read(&self.file)
    }
}
