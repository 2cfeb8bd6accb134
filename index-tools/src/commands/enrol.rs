//! `limen-index enrol` and `import`

use crate::{
    commands::model::{ModelsFolder, model_id},
    enrolling::{self, OnError, Source},
    error::Failure,
    images::Images,
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

/// Enrol many references: a matrix of features, or a folder of photographs, and a list that says who is in each.
///
/// Rows are durable in batches (of 4096 on a folder), each one event of the audit log. Rows that are on record already are
/// passed over, so an interrupted command is resumed by repeating it.
///
/// With --images, templates are made here of photographs (JPEG, PNG, BMP, TIFF, JPEG 2000, face records), those whose quality the watchlist does not
/// take are refused, and a report tells what became of each file; what it says is on record is not looked at again (after a
/// restore of the data folder, begin another with --report).
#[derive(Args)]
pub(crate) struct Enrol {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    by: By,
    /// Matrix of features (.npy, f32, N × dimension), as the model gave them.
    #[arg(long, requires = "rows", required_unless_present = "images")]
    features: Option<PathBuf>,
    /// Who is in each row: CSV or JSON Lines (.jsonl) with subject, encounter, watchlist (id or name) and
    /// category.
    #[arg(long, requires = "features")]
    rows: Option<PathBuf>,
    /// Folder of photographs.
    #[arg(long, requires_all = ["labels", "model"], conflicts_with = "features")]
    images: Option<PathBuf>,
    /// Who is on each: CSV or JSON Lines with file (within the folder), subject, encounter, watchlist and category.
    #[arg(long, requires = "images")]
    labels: Option<PathBuf>,
    /// The installed model that makes templates of them.
    #[arg(long, requires = "images")]
    model: Option<String>,
    #[command(flatten)]
    folder: ModelsFolder,
    /// Report of what became of each photograph [default: the labels' name with .report.csv after it].
    #[arg(long, requires = "images")]
    report: Option<PathBuf>,
    #[command(flatten)]
    show: Show,
    /// What to do when a row is malformed or refused.
    #[arg(long, value_enum, default_value = "stop")]
    on_error: OnError,
}

impl Enrol {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match (&self.features, &self.rows, &self.images, &self.labels, &self.model) {
            (Some(features), Some(rows), None, ..) => {
                let source = Features { matrix: features.clone(), rows: rows.clone() };
                source.check()?;
                let target = Target::of(&self.place, &self.by)?;
                enrolling::enrol(&source, &target, &self.show, self.on_error)
            }
            (None, _, Some(images), Some(labels), Some(model)) => {
                let model = model_id(model)?;
                self.folder.models().profile(&model)?;
                let target = Target::of(&self.place, &self.by)?;
                let paths = (images.as_path(), labels.as_path(), self.report.as_deref());
                let source = Images::open(paths, (&self.folder.path, model.clone()), &target)?;
                enrolling::enrol(&source, &target, &self.show, self.on_error)
            }
            _ => Err(Failure::Argument(
                "give --features and --rows, or --images, --labels and --model".to_owned(),
            )),
        }
    }
}

/// A matrix, and its list.
struct Features {
    matrix: PathBuf,
    rows: PathBuf,
}

impl Features {
    fn matrix(&self) -> Result<Matrix, Failure> {
        Matrix::open(&self.matrix).map_err(|error| Failure::Matrix { path: self.matrix.clone(), error })
    }

    fn check(&self) -> Result<(), Failure> {
        let (rows, count) = (self.matrix()?.rows(), rows::read(&self.rows)?.count() as u64);
        if count == rows {
            Ok(())
        } else {
            Err(Failure::Argument(format!("the matrix has {rows} rows, the list has {count}")))
        }
    }
}

impl Source for Features {
    fn name(&self) -> String {
        format!("{} line", self.rows.display())
    }

    fn rows(&self) -> Result<Rows<(Row, rows::Features)>, Failure> {
        let path = self.matrix.clone();
        let both = rows::read(&self.rows)?.zip(self.matrix()?);
        Ok(Box::new(both.map(move |((line, row), features)| {
            let features = features.map_err(|error| format!("{}: {error}", path.display()));
            (line, row.and_then(|row| Ok((row, features?.into()))))
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

    fn rows(&self) -> Result<Rows<(Row, rows::Features)>, Failure> {
        records::read(&self.file)
    }
}
