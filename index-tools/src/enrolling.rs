//! Putting many rows on record, batch by batch, wherever they come from.

use crate::{
    error::Failure,
    progress::{Show, Shown},
    rows::{Features, Row, Rows},
    target::{Outcome, Target},
};
use clap::ValueEnum;
use gallery::{enrol_batch::BulkRow, id::WatchlistId};
use matcher::template::ModelId;
use serde_json::json;
use std::{
    collections::{HashMap, HashSet},
    sync::mpsc::sync_channel,
};

/// Rows that are durable together.
const BATCH: usize = 4096;

/// What to do when a row is malformed or refused.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnError {
    /// Enrol nothing if a row is malformed or names an unknown watchlist; stop after the batch in which one is refused.
    Stop,
    /// Tell it, and go on with the next.
    Skip,
}

/// Where rows come from: read twice, once to be checked.
pub(crate) trait Source {
    /// What stands before a line's number when it is told.
    fn name(&self) -> String;
    /// The rows with their features, from the beginning.
    fn rows(&self) -> Result<Rows<(Row, Features)>, Failure>;
    /// The rows without their features, if that is cheaper.
    fn list(&self) -> Result<Rows<Row>, Failure> {
        Ok(Box::new(self.rows()?.map(|(line, row)| (line, row.map(|(row, _)| row)))))
    }
    /// Rows that are durable together.
    fn batch(&self) -> usize {
        BATCH
    }
    /// Is told what became of a row, batch by batch.
    fn note(&self, _line: u64, _outcome: &Outcome) {}
    /// A batch is durable, and all of it was noted.
    fn keep(&self) -> Result<(), Failure> {
        Ok(())
    }
}

#[derive(Default)]
struct Tally {
    enrolled: u64,
    already: u64,
    bad: u64,
    /// Rows that were put to the gallery.
    done: u64,
}

/// Enrols all rows of a source, and tells how many.
pub(crate) fn enrol(
    source: &dyn Source,
    target: &Target,
    show: &Show,
    on_error: OnError,
) -> Result<(), Failure> {
    let total = check(source, target, on_error)?;
    let (mut tally, lists) = (Tally::default(), HashMap::new());
    let name = source.name();
    let mut run = Run { source, target, on_error, name, lists, shown: show.begin(), total };
    let result = source.rows().and_then(|rows| run.rows(rows, &mut tally));
    let Tally { enrolled, already, bad, .. } = tally;
    let words = format!("{enrolled} enrolled, {already} on record already, {bad} refused");
    run.shown.end(&json!({ "enrolled": enrolled, "already": already, "refused": bad }), &words);
    result?;
    if bad > 0 { Err(Failure::Rows(format!("{bad} rows were refused"))) } else { Ok(()) }
}

/// How many rows there are; when told to stop, every one is well-formed and every watchlist known.
fn check(source: &dyn Source, target: &Target, on_error: OnError) -> Result<u64, Failure> {
    let (mut count, mut malformed, mut known) = (0, None, HashSet::new());
    for (line, row) in source.list()? {
        count += 1;
        let checked = row.and_then(|row| {
            if !known.contains(&row.watchlist) {
                target.watchlist(&row.watchlist).map_err(|error| error.to_string())?;
                known.insert(row.watchlist);
            }
            Ok(())
        });
        if let Err(error) = checked {
            malformed.get_or_insert((line, error));
        }
    }
    match malformed {
        Some((line, error)) if on_error == OnError::Stop => {
            Err(Failure::Rows(format!("{} {line}: {error}; nothing was enrolled", source.name())))
        }
        _ => Ok(count),
    }
}

struct Run<'a> {
    source: &'a dyn Source,
    target: &'a Target,
    on_error: OnError,
    name: String,
    lists: HashMap<String, (WatchlistId, ModelId)>,
    shown: Shown,
    total: u64,
}

impl Run<'_> {
    /// Reads batches on a thread of their own while others are enrolled.
    fn rows(&mut self, mut rows: Rows<(Row, Features)>, tally: &mut Tally) -> Result<(), Failure> {
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(1);
            let size = self.source.batch();
            scope.spawn(move || {
                loop {
                    let batch: Vec<_> = rows.by_ref().take(size).collect();
                    // Nobody takes it any more when a row was refused.
                    if batch.is_empty() || sender.send(batch).is_err() {
                        return;
                    }
                }
            });
            for read in receiver {
                let (mut batch, mut malformed) = (Vec::with_capacity(size), Ok(()));
                for (line, row) in read {
                    match row.and_then(|row| self.row(row)) {
                        Ok(row) => batch.push((line, row)),
                        Err(error) => malformed = malformed.and(self.bad(tally, line, &error)),
                    }
                }
                // What is well-formed is put on record first.
                let put = self.put(batch, tally);
                self.source.keep()?;
                malformed.and(put)?;
            }
            Ok(())
        })
    }

    fn row(&mut self, (row, sample): (Row, Features)) -> Result<BulkRow, String> {
        let (list, wanted) = if let Some(list) = self.lists.get(&row.watchlist) {
            list.clone()
        } else {
            let list = self.target.watchlist(&row.watchlist).map_err(|error| error.to_string())?;
            self.lists.insert(row.watchlist.clone(), list.clone());
            list
        };
        let Features { numbers: features, model, quality } = sample;
        if let Some(model) = model.filter(|model| *model != wanted) {
            return Err(format!("the watchlist holds templates of model {wanted}, this one is of {model}"));
        }
        let (subject, encounter) = (row.subject.clone(), row.encounter.clone());
        Ok(BulkRow { subject, encounter, watchlist: list, listing: row.listing(), features, quality })
    }

    fn put(&mut self, batch: Vec<(u64, BulkRow)>, tally: &mut Tally) -> Result<(), Failure> {
        if batch.is_empty() {
            return Ok(());
        }
        let (lines, rows): (Vec<u64>, Vec<BulkRow>) = batch.into_iter().unzip();
        let outcomes = self.target.enrol(rows)?;
        tally.done += lines.len() as u64;
        self.shown.tell("enrolling", tally.done, self.total);
        let mut first_bad = Ok(());
        for (line, outcome) in lines.into_iter().zip(outcomes) {
            self.source.note(line, &outcome);
            match outcome {
                Outcome::Enrolled => tally.enrolled += 1,
                Outcome::Already => tally.already += 1,
                Outcome::Refused { reason } => {
                    let told = self.told(tally, line, &reason);
                    first_bad = first_bad.and(told);
                }
            }
        }
        first_bad
    }

    fn bad(&self, tally: &mut Tally, line: u64, error: &str) -> Result<(), Failure> {
        self.source.note(line, &Outcome::Refused { reason: error.to_owned() });
        self.told(tally, line, error)
    }

    fn told(&self, tally: &mut Tally, line: u64, error: &str) -> Result<(), Failure> {
        tally.bad += 1;
        let text = format!("{} {line}: {error}", self.name);
        match self.on_error {
            OnError::Stop => Err(Failure::Rows(text)),
            OnError::Skip => {
                self.shown.beside(&format!("refused: {text}"));
                Ok(())
            }
        }
    }
}
