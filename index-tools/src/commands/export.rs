//! `limen-index export`

use crate::{
    error::Failure,
    parquet,
    place::{self, For, Place},
    progress::Show,
};
use clap::Args;
use gallery::{
    Gallery,
    authority::Caller,
    expire,
    export::{self, ExportedRow},
    watchlist::Watchlist,
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
    nation: For,
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

/// Where an export goes.
enum Sink {
    Both { matrix: Box<dyn Matrix>, rows: Box<csv::Writer<File>> },
    Parquet(Box<parquet::Writer>),
}

/// A matrix that is being written.
trait Matrix {
    fn push(&mut self, features: Vec<f32>) -> io::Result<()>;
    fn finish(self: Box<Self>) -> io::Result<()>;
}

impl<W: io::Write> Matrix for npyz::NpyWriter<f32, W> {
    fn push(&mut self, features: Vec<f32>) -> io::Result<()> {
        self.extend(features)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        npyz::NpyWriter::finish(*self)
    }
}

impl Export {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let gallery = self.place.open()?;
        let caller = self.nation.caller();
        expire::due(&gallery)?; // before the matrix's shape is known
        let list = place::watchlist(&gallery, &caller, &self.watchlist)?;
        let active = gallery.status()?.active;
        let count = active.iter().find(|(id, _)| *id == list.id).map_or(0, |(_, count)| *count);
        let profiles = gallery::publish::models(&gallery);
        let profile = profiles.iter().find(|profile| *profile.id() == list.policy.model);
        let dimension = profile.map_or(0, matcher::template::ModelProfile::dimension) as u64;
        let mut made = Vec::new();
        let written = self
            .begin([count, dimension], &mut made)
            .and_then(|sink| self.write(&gallery, &caller, &list, count, sink));
        if written.is_err() {
            // Half an export is of no use, and holds features.
            made.iter().for_each(|path| drop(std::fs::remove_file(path)));
        }
        written
    }

    /// Makes the files; `made` are those that are there now and were not.
    fn begin<'a>(&'a self, shape: [u64; 2], made: &mut Vec<&'a Path>) -> Result<Sink, Failure> {
        let mut make = |path: &'a Path| create(path).inspect(|_| made.push(path));
        if let Some(path) = &self.parquet {
            let begun = parquet::Writer::begin(make(path)?);
            return Ok(Sink::Parquet(Box::new(begun.map_err(|error| Failure::file(path, error))?)));
        }
        let both = self.features.as_ref().zip(self.rows.as_ref());
        let (features, rows) = both.ok_or_else(|| Failure::Argument("--features and --rows".to_owned()))?;
        let matrix = npyz::WriteOptions::new()
            .default_dtype()
            .shape(&shape)
            .writer(BufWriter::new(make(features)?))
            .begin_nd()
            .map_err(|error| Failure::file(features, error))?;
        let mut rows = csv::Writer::from_writer(make(rows)?);
        rows.write_record(["subject", "encounter", "watchlist", "category"]).map_err(csv_failed)?;
        Ok(Sink::Both { matrix: Box::new(matrix), rows: Box::new(rows) })
    }

    fn write(
        &self,
        gallery: &Gallery,
        caller: &Caller,
        list: &Watchlist,
        count: u64,
        mut sink: Sink,
    ) -> Result<(), Failure> {
        let (mut shown, mut done) = (self.show.begin(), 0);
        let written = export::export(gallery, caller, list.id, |row| {
            let ExportedRow { subject, encounter, category, features } = row;
            let encounter = encounter.as_ref().map_or("", |encounter| encounter.as_str());
            let texts = [subject.as_str(), encounter, list.policy.name.as_str(), category.as_str()];
            done += 1;
            shown.tell("exporting", done, count);
            match &mut sink {
                Sink::Both { matrix, rows } => {
                    rows.write_record(texts).map_err(io::Error::from)?;
                    matrix.push(features)
                }
                Sink::Parquet(file) => file.push(texts, &features),
            }
        })?;
        let finished = match sink {
            Sink::Both { matrix, mut rows } => matrix.finish().and_then(|()| rows.flush()),
            Sink::Parquet(file) => file.finish(),
        };
        finished.map_err(|error| Failure::Argument(format!("the export could not be ended: {error}")))?;
        shown.end(&serde_json::json!({ "references": written }), &format!("{written} references"));
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn csv_failed(error: csv::Error) -> Failure {
    Failure::Argument(error.to_string())
}

/// A new file that only its owner can read.
fn create(path: &Path) -> Result<File, Failure> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| Failure::file(path, error))
}
