//! `limen-index export`

use crate::{
    error::Failure,
    parquet,
    place::{self, Place},
    progress::{Show, Shown},
    records,
    remote::{self, By, Node},
    rows,
};
use clap::Args;
use gallery::{
    export::{self, ExportedRow, Given},
    handling::Remarks,
    subject::Listing,
};
use npyz::WriterBuilder;
use std::{
    fs::File,
    io::{self, BufWriter},
    path::{Path, PathBuf},
};

/// Export a watchlist's active references as they came: what `enrol` or `import` reads. The export is logged.
#[derive(Args)]
pub(crate) struct Export {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    by: By,
    /// Watchlist, by id or name.
    #[arg(long)]
    watchlist: String,
    /// Matrix to write (.npy); must not exist.
    #[arg(long, requires = "rows", required_unless_present = "parquet", conflicts_with = "parquet")]
    features: Option<PathBuf>,
    /// List to write (CSV); must not exist.
    #[arg(long, requires = "features")]
    rows: Option<PathBuf>,
    /// One file with everything, instead of matrix and list (.parquet); must not exist.
    #[arg(long)]
    parquet: Option<PathBuf>,
    #[command(flatten)]
    show: Show,
}

/// The files of an export.
enum Open {
    Both { matrix: File, rows: File },
    Parquet(File),
}

/// Where an export goes.
enum Sink {
    Both { matrix: Box<dyn Matrix>, rows: Box<csv::Writer<File>> },
    Parquet(Box<parquet::Writer>),
}

/// A matrix that is being written.
trait Matrix {
    fn push(&mut self, features: &[f32]) -> io::Result<()>;
    fn finish(self: Box<Self>) -> io::Result<()>;
}

impl<W: io::Write> Matrix for npyz::NpyWriter<f32, W> {
    fn push(&mut self, features: &[f32]) -> io::Result<()> {
        self.extend(features.iter().copied())
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        npyz::NpyWriter::finish(*self)
    }
}

impl Export {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let node = self.by.node()?;
        let mut files = Vec::new();
        let made = self.open(&mut files).and_then(|open| {
            let mut out = Out {
                open: Some(open),
                sink: None,
                name: String::new(),
                count: 0,
                done: 0,
                shown: self.show.begin(),
            };
            if let Some(node) = node {
                self.by_node(&node, &mut out)?;
            } else {
                self.by_folder(&mut out)?;
            }
            out.finish().map_err(not_written)
        });
        if made.is_err() {
            // Half an export is of no use, and holds features.
            files.iter().for_each(|path| drop(std::fs::remove_file(path)));
        }
        made
    }

    /// Makes the files; `made` are those that are there now and were not.
    fn open<'a>(&'a self, made: &mut Vec<&'a Path>) -> Result<Open, Failure> {
        let mut make = |path: &'a Path| create(path).inspect(|_| made.push(path));
        if let Some(path) = &self.parquet {
            return Ok(Open::Parquet(make(path)?));
        }
        let both = self.features.as_ref().zip(self.rows.as_ref());
        let (features, rows) = both.ok_or_else(|| Failure::Argument("--features and --rows".to_owned()))?;
        Ok(Open::Both { matrix: make(features)?, rows: make(rows)? })
    }

    fn by_folder(&self, out: &mut Out) -> Result<(), Failure> {
        let (gallery, caller) = (self.place.open()?, self.by.caller()?);
        let list = place::watchlist(&gallery, &caller, &self.watchlist)?;
        export::export(&gallery, &caller, list.id, |given| match given {
            Given::Begun { watchlist, references, dimension } => {
                out.begin(watchlist.policy.name.as_str(), references, dimension as u64)
            }
            Given::Row(row) => out.row(&row),
        })?;
        Ok(())
    }

    fn by_node(&self, node: &Node, out: &mut Out) -> Result<(), Failure> {
        let (id, ..) = node.watchlist(&self.watchlist)?;
        let path = format!("/v1/watchlists/{id}/references");
        let end = node.lines("GET", &path, None, |mut line| {
            if line.get("features").is_none() {
                let number = |name: &str| line[name].as_u64().unwrap_or(0);
                let name = line["watchlist"].as_str().unwrap_or_default();
                return out.begin(name, number("references"), number("dimension")).map_err(not_written);
            }
            let features = line["features"].as_str().unwrap_or_default();
            let features = records::decode(features).map_err(Failure::Unreachable)?;
            let (subject, encounter) = (line["subject"].take(), line["encounter"].take());
            let (subject, encounter) = (remote::read(subject)?, remote::read(encounter)?);
            // What is left of the line.
            let listing = remote::read(line)?;
            out.row(&ExportedRow { subject, encounter, listing, features }).map_err(not_written)
        })?;
        if end["references"] == out.done {
            Ok(())
        } else {
            Err(Failure::Unreachable("rows are missing".to_owned()))
        }
    }
}

/// What is being written.
struct Out {
    open: Option<Open>,
    sink: Option<Sink>,
    name: String,
    count: u64,
    done: u64,
    shown: Shown,
}

impl Out {
    fn begin(&mut self, name: &str, references: u64, dimension: u64) -> io::Result<()> {
        name.clone_into(&mut self.name);
        self.count = references;
        self.sink = match self.open.take() {
            None => return Err(io::Error::other("it begins twice")),
            Some(Open::Parquet(file)) => Some(Sink::Parquet(Box::new(parquet::Writer::begin(file)?))),
            Some(Open::Both { matrix, rows }) => {
                let matrix = npyz::WriteOptions::new()
                    .default_dtype()
                    .shape(&[references, dimension])
                    .writer(BufWriter::new(matrix))
                    .begin_nd()?;
                let mut rows = csv::Writer::from_writer(rows);
                rows.write_record(
                    ["subject", "encounter", "watchlist", "category"].iter().chain(&rows::REMARKS),
                )?;
                Some(Sink::Both { matrix: Box::new(matrix), rows: Box::new(rows) })
            }
        };
        Ok(())
    }

    fn row(&mut self, row: &ExportedRow) -> io::Result<()> {
        let ExportedRow { subject, encounter, listing: Listing { category, remarks }, features } = row;
        let Remarks { handling, grading, instruction } = remarks;
        let remarks = [
            handling.as_ref().map(ToString::to_string),
            grading.as_ref().map(ToString::to_string),
            instruction.as_ref().map(ToString::to_string),
        ];
        let encounter = encounter.as_ref().map_or("", |encounter| encounter.as_str());
        let texts = [subject.as_str(), encounter, &self.name, category.as_str()];
        self.done += 1;
        self.shown.tell("exporting", self.done, self.count);
        match &mut self.sink {
            None => Err(io::Error::other("it does not begin")),
            Some(Sink::Both { matrix, rows }) => {
                let remarks = remarks.iter().map(|remark| remark.as_deref().unwrap_or_default());
                rows.write_record(texts.into_iter().chain(remarks))?;
                matrix.push(features)
            }
            Some(Sink::Parquet(file)) => file.push(texts, &remarks, features),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self.sink {
            None => return Err(io::Error::other("it does not begin")),
            Some(Sink::Both { matrix, mut rows }) => matrix.finish().and_then(|()| rows.flush())?,
            Some(Sink::Parquet(file)) => file.finish()?,
        }
        let result = serde_json::json!({ "references": self.done });
        self.shown.end(&result, &format!("{} references", self.done));
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn not_written(error: io::Error) -> Failure {
    Failure::Argument(format!("the export could not be written: {error}"))
}

/// A new file that only its owner can read.
fn create(path: &Path) -> Result<File, Failure> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| Failure::file(path, error))
}
