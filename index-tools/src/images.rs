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
    subject: String,
    encounter: String,
    /// The watchlist's id: of another data folder it is another.
    watchlist: String,
    outcome: String,
    reason: String,
}

/// What a line of the list is about: with another word in it, it is another line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Of {
    file: String,
    subject: String,
    encounter: String,
    watchlist: String,
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
    /// Those on record.
    done: Arc<HashSet<Of>>,
}

struct Report {
    path: PathBuf,
    /// Not yet written.
    noted: Mutex<Vec<Reported>>,
    lines: BTreeMap<u64, Of>,
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
            let Ok(label) = label else { continue }; // told when it is enrolled
            if !watchlists.contains_key(&label.watchlist)
                && let Ok((id, _)) = target.watchlist(&label.watchlist)
            {
                watchlists.insert(label.watchlist.clone(), id.to_string());
            }
            lines.insert(line, label.of(&watchlists));
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
            !done.contains(&label.of(&watchlists))
        }))
    }
}

fn read(labels: &Path) -> Result<Rows<Label>, Failure> {
    rows::lines(labels, &["category", "encounter", "file", "subject", "watchlist"])
}

impl Label {
    fn of(&self, watchlists: &HashMap<String, String>) -> Of {
        Of {
            file: self.file.display().to_string(),
            subject: self.subject.to_string(),
            encounter: self.encounter.to_string(),
            watchlist: watchlists.get(&self.watchlist).cloned().unwrap_or_default(),
        }
    }
}

/// What a report says is on record. A last line that a stop has cut is taken off.
fn reported(path: &Path) -> Result<HashSet<Of>, Failure> {
    let failed = |error| Failure::file(path, error);
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(HashSet::new()),
        Err(error) => return Err(failed(error)),
    };
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    if whole < text.len() {
        let file = OpenOptions::new().write(true).open(path).map_err(failed)?;
        file.set_len(whole as u64).map_err(failed)?;
    }
    let mut done = HashSet::new();
    for line in csv::Reader::from_reader(&text[..whole]).into_deserialize::<Reported>() {
        let line =
            line.map_err(|error| Failure::Argument(format!("{} is no report: {error}", path.display())))?;
        if DONE.contains(&line.outcome.as_str()) {
            let Reported { file, subject, encounter, watchlist, .. } = line;
            done.insert(Of { file, subject, encounter, watchlist });
        }
    }
    Ok(done)
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
        self.pool.submit(image, Wanted::default(), sender).map_err(|error| error.to_string())?;
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
pub(crate) fn photograph(folder: &Path, file: &Path) -> Result<Vec<u8>, String> {
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
        let unread = || Of {
            file: String::new(),
            subject: String::new(),
            encounter: String::new(),
            watchlist: String::new(),
        };
        let Of { file, subject, encounter, watchlist } =
            self.report.lines.get(&line).cloned().unwrap_or_else(unread);
        let (outcome, reason) = match outcome {
            Outcome::Enrolled => ("enrolled", String::new()),
            Outcome::Already => ("already", String::new()),
            Outcome::Refused { reason } => ("refused", reason.clone()),
        };
        let reported =
            Reported { line, file, subject, encounter, watchlist, outcome: outcome.to_owned(), reason };
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
