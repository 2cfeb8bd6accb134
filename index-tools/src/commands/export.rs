//! `limen-index export`

use crate::{
    error::Failure,
    place::{self, For, Place},
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

/// Export a watchlist's active references as they came: what `enrol` reads. The export is logged.
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
    #[arg(long)]
    features: PathBuf,
    /// List to write (CSV); must not exist.
    #[arg(long)]
    rows: PathBuf,
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
        let matrix = create(&self.features)?;
        let rows = create(&self.rows).inspect_err(|_| drop(std::fs::remove_file(&self.features)))?;
        let written = self.write(&gallery, &caller, &list, [count, dimension], matrix, rows);
        if written.is_err() {
            // Half an export is of no use, and holds features.
            let _ = std::fs::remove_file(&self.features);
            let _ = std::fs::remove_file(&self.rows);
        }
        println!("{} references", written?);
        Ok(())
    }

    fn write(
        &self,
        gallery: &Gallery,
        caller: &Caller,
        list: &Watchlist,
        shape: [u64; 2],
        matrix: File,
        rows: File,
    ) -> Result<u64, Failure> {
        let mut rows = csv::Writer::from_writer(rows);
        let matrix_failed = |error| Failure::file(&self.features, error);
        let mut matrix = npyz::WriteOptions::new()
            .default_dtype()
            .shape(&shape)
            .writer(BufWriter::new(matrix))
            .begin_nd()
            .map_err(matrix_failed)?;
        rows.write_record(["subject", "encounter", "watchlist", "category"]).map_err(csv_failed)?;
        let written = export::export(gallery, caller, list.id, |row| {
            let ExportedRow { subject, encounter, category, features } = row;
            let encounter = encounter.as_ref().map_or("", |encounter| encounter.as_str());
            let name = list.policy.name.as_str();
            rows.write_record([subject.as_str(), encounter, name, category.as_str()])
                .map_err(io::Error::from)?;
            matrix.extend(features)
        })?;
        matrix.finish().map_err(matrix_failed)?;
        rows.flush().map_err(|error| Failure::file(&self.rows, error))?;
        Ok(written)
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
