//! `limen-index enrol`

use crate::{
    error::Failure,
    place::{self, For, Place},
    rows::{self, Line},
};
use clap::{Args, ValueEnum};
use gallery::{
    Gallery,
    authority::Caller,
    enrol_batch::{self, BulkRow, RowOutcome},
    id::WatchlistId,
    npy::Matrix,
};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::mpsc::sync_channel,
};

/// Rows that are durable together.
const BATCH: usize = 4096;

/// Enrol many references: a matrix of features, and a list that says who is in each row.
///
/// Rows are durable in batches of 4096, each one event of the audit log. Rows that are on record already are
/// passed over, so an interrupted command is resumed by repeating it.
#[derive(Args)]
pub(crate) struct Enrol {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    nation: For,
    /// Matrix of features (.npy, f32, N × dimension), as the model gave them.
    #[arg(long)]
    features: PathBuf,
    /// Who is in each row: CSV or JSON Lines (.jsonl) with subject, encounter, watchlist (id or name) and
    /// category.
    #[arg(long)]
    rows: PathBuf,
    /// What to do when a row is malformed or refused.
    #[arg(long, value_enum, default_value = "stop")]
    on_error: OnError,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnError {
    /// Enrol nothing if a line of the list is malformed or names an unknown watchlist; stop after the batch in
    /// which a row is refused.
    Stop,
    /// Tell it, and go on with the next.
    Skip,
}

#[derive(Default)]
struct Tally {
    enrolled: u64,
    already: u64,
    bad: u64,
}

impl Enrol {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let matrix = Matrix::open(&self.features)
            .map_err(|error| Failure::Matrix { path: self.features.clone(), error })?;
        let gallery = self.place.open()?;
        let caller = self.nation.caller();
        self.check_list(&matrix, &gallery, &caller)?;
        let bar = ProgressBar::new(matrix.rows());
        let style = "{bar:30} {pos}/{len} rows  {per_sec}  {eta} left";
        bar.set_style(ProgressStyle::with_template(style).expect("a valid template"));
        let mut tally = Tally::default();
        let mut run =
            Run { command: self, gallery: &gallery, caller: &caller, lists: HashMap::new(), bar: &bar };
        let result = run.rows(matrix, &mut tally);
        bar.finish_and_clear();
        println!("{} enrolled, {} on record already, {} refused", tally.enrolled, tally.already, tally.bad);
        result?;
        if tally.bad > 0 { Err(Failure::Rows(format!("{} rows were refused", tally.bad))) } else { Ok(()) }
    }

    /// The list has as many lines as the matrix has rows; when told to stop, every line is well-formed and
    /// every watchlist known.
    fn check_list(&self, matrix: &Matrix, gallery: &Gallery, caller: &Caller) -> Result<(), Failure> {
        let (mut count, mut malformed, mut known) = (0, None, HashSet::new());
        for (line, row) in rows::read(&self.rows)? {
            count += 1;
            let checked = row.and_then(|row| {
                if !known.contains(&row.watchlist) {
                    place::watchlist(gallery, caller, &row.watchlist).map_err(|error| error.to_string())?;
                    known.insert(row.watchlist);
                }
                Ok(())
            });
            if let Err(error) = checked {
                malformed.get_or_insert((line, error));
            }
        }
        if count != matrix.rows() {
            let rows = matrix.rows();
            return Err(Failure::Argument(format!("the matrix has {rows} rows, the list has {count}")));
        }
        match malformed {
            Some((line, error)) if self.on_error == OnError::Stop => Err(Failure::Rows(format!(
                "{} line {line}: {error}; nothing was enrolled",
                self.rows.display()
            ))),
            _ => Ok(()),
        }
    }
}

struct Run<'a> {
    command: &'a Enrol,
    gallery: &'a Gallery,
    caller: &'a Caller,
    lists: HashMap<String, WatchlistId>,
    bar: &'a ProgressBar,
}

impl Run<'_> {
    /// Reads batches on a thread of their own while others are enrolled.
    fn rows(&mut self, matrix: Matrix, tally: &mut Tally) -> Result<(), Failure> {
        let (features, rows) = (&self.command.features, &self.command.rows);
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(1);
            let reader = scope.spawn(move || {
                let mut both = matrix.zip(rows::read(rows)?);
                loop {
                    let batch: Vec<_> = both.by_ref().take(BATCH).collect();
                    // Nobody takes it any more when a row was refused.
                    if batch.is_empty() || sender.send(batch).is_err() {
                        return Ok(());
                    }
                }
            });
            for read in receiver {
                let mut batch = Vec::with_capacity(BATCH);
                for (features_read, line) in read {
                    let features_read = features_read.map_err(|error| Failure::file(features, error))?;
                    match self.row(line, features_read) {
                        Ok(row) => batch.push(row),
                        Err((line, error)) => self.bad(tally, line, &error)?,
                    }
                }
                self.put(batch, tally)?;
            }
            reader.join().expect("reading does not panic")
        })
    }

    fn row(&mut self, (line, row): Line, features: Vec<f32>) -> Result<(u64, BulkRow), (u64, String)> {
        let row = row.map_err(|error| (line, error))?;
        let list = if let Some(list) = self.lists.get(&row.watchlist) {
            *list
        } else {
            let found = place::watchlist(self.gallery, self.caller, &row.watchlist);
            let list = found.map_err(|error| (line, error.to_string()))?.id;
            self.lists.insert(row.watchlist.clone(), list);
            list
        };
        let rows::Row { subject, encounter, category, .. } = row;
        Ok((line, BulkRow { subject, encounter, watchlist: list, category, features }))
    }

    fn put(&self, batch: Vec<(u64, BulkRow)>, tally: &mut Tally) -> Result<(), Failure> {
        if batch.is_empty() {
            return Ok(());
        }
        let (lines, rows): (Vec<u64>, Vec<BulkRow>) = batch.into_iter().unzip();
        let (outcomes, _) = enrol_batch::enrol_batch(self.gallery, self.caller, rows)?;
        self.bar.inc(lines.len() as u64);
        let mut first_bad = Ok(());
        for (line, outcome) in lines.into_iter().zip(outcomes) {
            match outcome {
                RowOutcome::Enrolled => tally.enrolled += 1,
                RowOutcome::Already => tally.already += 1,
                RowOutcome::Refused(error) => {
                    let told = self.bad(tally, line, &error.to_string());
                    first_bad = first_bad.and(told);
                }
            }
        }
        first_bad
    }

    fn bad(&self, tally: &mut Tally, line: u64, error: &str) -> Result<(), Failure> {
        tally.bad += 1;
        let text = format!("{} line {line}: {error}", self.command.rows.display());
        match self.command.on_error {
            OnError::Stop => Err(Failure::Rows(text)),
            OnError::Skip => {
                self.bar.suspend(|| eprintln!("refused: {text}"));
                Ok(())
            }
        }
    }
}
