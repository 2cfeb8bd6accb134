//! Photographs to be enrolled: a folder of files, and a list that says who is on each.

use crate::{
    enrolling::Source,
    error::Failure,
    rows::{self, Features, Row, Rows},
    target::{Outcome, Target},
};
use extractor::{
    decode::FILE_LIMIT_BYTES,
    extract::{Extraction, Wanted},
    pool::{Pool, PoolError, Settings},
};
use gallery::{
    handling::{Grading, Handling, Instruction},
    law::{Category, OwnReference},
};
use matcher::template::ModelId;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    fs::{File, OpenOptions},
    io::Read,
    path::{Component, Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, sync_channel},
    },
};

/// Photographs whose templates are durable together: making them takes a few seconds.
const BATCH: usize = 64;

/// A line of the list.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Label {
    /// Within the folder.
    file: PathBuf,
    subject: OwnReference,
    encounter: OwnReference,
    watchlist: String,
    category: Category,
    #[serde(default)]
    handling: Option<Handling>,
    #[serde(default)]
    grading: Option<Grading>,
    #[serde(default)]
    instruction: Option<Instruction>,
}

/// A line of the report: what became of a photograph.
#[derive(Debug, Serialize, Deserialize)]
struct Reported {
    line: u64,
    file: String,
    /// The watchlist's id: of another data folder it is another.
    watchlist: String,
    outcome: String,
    reason: String,
}

const DONE: [&str; 2] = ["enrolled", "already"];

/// Photographs, their list, and the report of what became of them: what it says is on record is not looked at again.
pub(crate) struct Images {
    folder: PathBuf,
    labels: PathBuf,
    pool: Arc<Pool>,
    report: Report,
    /// Ids by what the list calls them.
    watchlists: HashMap<String, String>,
    /// Files on record, by watchlist.
    done: Arc<HashSet<(String, String)>>,
}

struct Report {
    path: PathBuf,
    /// Not yet written.
    noted: Mutex<Vec<Reported>>,
    /// File and watchlist, by line.
    lines: BTreeMap<u64, (String, String)>,
}

impl Images {
    /// Reads list and report, and starts the workers.
    pub(crate) fn open(
        (folder, labels, report): (&Path, &Path, Option<&Path>),
        (models, model): (&Path, ModelId),
        target: &Target,
    ) -> Result<Self, Failure> {
        let pool = Arc::new(Pool::start(Settings::new(models.to_owned(), model))?);
        let beside = || PathBuf::from(format!("{}.report.csv", labels.display()));
        let path = report.map_or_else(beside, Path::to_owned);
        let (mut watchlists, mut lines) = (HashMap::new(), BTreeMap::new());
        for (line, label) in read(labels)? {
            let Ok(Label { file, watchlist, .. }) = label else { continue }; // told when it is enrolled
            if !watchlists.contains_key(&watchlist)
                && let Ok((id, _)) = target.watchlist(&watchlist)
            {
                watchlists.insert(watchlist.clone(), id.to_string());
            }
            let id = watchlists.get(&watchlist).cloned().unwrap_or_default();
            lines.insert(line, (file.display().to_string(), id));
        }
        let done = Arc::new(reported(&path)?);
        let report = Report { path, noted: Mutex::default(), lines };
        let (folder, labels) = (folder.to_owned(), labels.to_owned());
        Ok(Self { folder, labels, pool, report, watchlists, done })
    }

    /// The lines that are still to be looked at.
    fn open_lines(
        &self,
    ) -> Result<impl Iterator<Item = (u64, Result<Label, String>)> + Send + use<>, Failure> {
        let (done, watchlists) = (Arc::clone(&self.done), self.watchlists.clone());
        Ok(read(&self.labels)?.filter(move |(_, label)| {
            let Ok(label) = label else { return true };
            let id = watchlists.get(&label.watchlist).cloned().unwrap_or_default();
            !done.contains(&(label.file.display().to_string(), id))
        }))
    }
}

fn read(labels: &Path) -> Result<Rows<Label>, Failure> {
    rows::lines(labels, &["category", "encounter", "file", "subject", "watchlist"])
}

/// What a report says is on record. Its last line may be cut.
fn reported(path: &Path) -> Result<HashSet<(String, String)>, Failure> {
    if !path.exists() {
        return Ok(HashSet::new());
    }
    let file = File::open(path).map_err(|error| Failure::file(path, error))?;
    let lines = csv::ReaderBuilder::new().flexible(true).from_reader(file).into_deserialize::<Reported>();
    let done = lines.flatten().filter(|line| DONE.contains(&line.outcome.as_str()));
    Ok(done.map(|line| (line.file, line.watchlist)).collect())
}

fn row(label: Label) -> (PathBuf, Row) {
    let Label { file, subject, encounter, watchlist, category, handling, grading, instruction } = label;
    (file, Row { subject, encounter, watchlist, category, handling, grading, instruction })
}

/// Who it is, and where the template will come from.
type Begun = (Row, Receiver<Result<Extraction, PoolError>>);

/// Templates in the list's order, a few of them made at a time.
struct Ahead<I> {
    labels: I,
    folder: PathBuf,
    pool: Arc<Pool>,
    begun: VecDeque<(u64, Result<Begun, String>)>,
    most: usize,
}

impl<I: Iterator<Item = (u64, Result<Label, String>)>> Ahead<I> {
    fn begin(&self, label: Label) -> Result<Begun, String> {
        let (file, row) = row(label);
        let image = photograph(&self.folder, &file)?;
        let (sender, making) = sync_channel(1);
        let reply = move |made| drop(sender.send(made)); // nobody waits after an error
        self.pool.submit(image, Wanted::default(), reply).map_err(|error| error.to_string())?;
        Ok((row, making))
    }
}

impl<I: Iterator<Item = (u64, Result<Label, String>)>> Iterator for Ahead<I> {
    type Item = (u64, Result<(Row, Features), String>);

    fn next(&mut self) -> Option<Self::Item> {
        while self.begun.len() < self.most {
            let Some((line, label)) = self.labels.next() else { break };
            let begun = label.and_then(|label| self.begin(label));
            self.begun.push_back((line, begun));
        }
        let (line, begun) = self.begun.pop_front()?;
        let made = begun.and_then(|(row, making)| {
            let made = making.recv().map_err(|_| "the workers are gone".to_owned())?;
            let Extraction { model, features, quality, .. } = made.map_err(|error| error.to_string())?;
            Ok((row, Features { numbers: features, model: Some(model), quality: Some(quality) }))
        });
        Some((line, made))
    }
}

/// A file of the folder.
fn photograph(folder: &Path, file: &Path) -> Result<Vec<u8>, String> {
    if !file.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err("the file is not within the folder".to_owned());
    }
    let mut image = Vec::new();
    let limit = FILE_LIMIT_BYTES as u64 + 1; // one more: then the worker says that it is too long
    let opened = File::open(folder.join(file)).and_then(|file| file.take(limit).read_to_end(&mut image));
    opened.map(|_| image).map_err(|error| format!("{}: {error}", file.display()))
}

impl Source for Images {
    fn name(&self) -> String {
        format!("{} line", self.labels.display())
    }

    fn rows(&self) -> Result<Rows<(Row, Features)>, Failure> {
        let most = 2 * std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (folder, pool) = (self.folder.clone(), Arc::clone(&self.pool));
        Ok(Box::new(Ahead { labels: self.open_lines()?, folder, pool, begun: VecDeque::new(), most }))
    }

    fn list(&self) -> Result<Rows<Row>, Failure> {
        Ok(Box::new(self.open_lines()?.map(|(line, label)| (line, label.map(|label| row(label).1)))))
    }

    fn batch(&self) -> usize {
        BATCH
    }

    fn note(&self, line: u64, outcome: &Outcome) {
        let (file, watchlist) = self.report.lines.get(&line).cloned().unwrap_or_default();
        let (outcome, reason) = match outcome {
            Outcome::Enrolled => ("enrolled", String::new()),
            Outcome::Already => ("already", String::new()),
            Outcome::Refused { reason } => ("refused", reason.clone()),
        };
        let reported = Reported { line, file, watchlist, outcome: outcome.to_owned(), reason };
        self.report.noted.lock().unwrap_or_else(PoisonError::into_inner).push(reported);
    }

    fn keep(&self) -> Result<(), Failure> {
        let path = &self.report.path;
        let noted = std::mem::take(&mut *self.report.noted.lock().unwrap_or_else(PoisonError::into_inner));
        let failed =
            |error: &dyn std::fmt::Display| Failure::file(path, std::io::Error::other(error.to_string()));
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|error| Failure::file(path, error))?;
        let fresh = file.metadata().is_ok_and(|metadata| metadata.len() == 0);
        let mut writer = csv::WriterBuilder::new().has_headers(fresh).from_writer(file);
        for reported in noted {
            writer.serialize(reported).map_err(|error| failed(&error))?;
        }
        let file = writer.into_inner().map_err(|error| failed(&error))?;
        file.sync_data().map_err(|error| Failure::file(path, error))
    }
}
