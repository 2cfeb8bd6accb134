//! `limen-index dedup`

use crate::{
    error::Failure,
    place::{self, Place},
    progress::{Show, Shown},
    remote::{self, By},
};
use clap::Args;
use gallery::{
    dedup::{self, Compared, DedupRequest, Told},
    id::WatchlistId,
};
use matcher::score::Threshold;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write},
    path::PathBuf,
};

/// Find who stands on record under two names: compare every reference with every other, and report who reaches the threshold.
///
/// Nothing is changed: people judge, then `merge` or `move`. The report is JSON Lines; one that was interrupted is gone on with by
/// repeating the command. The comparison is logged.
#[derive(Args)]
pub(crate) struct Dedup {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    show: Show,
    /// Watchlist, by id or name; may be repeated. By default all of the nation's.
    #[arg(long)]
    watchlist: Vec<String>,
    /// Score from which on two subjects are reported; by default the watchlists' own.
    #[arg(long)]
    threshold: Option<f32>,
    /// Report to write, or to go on with (.jsonl).
    #[arg(long)]
    report: PathBuf,
}

/// The first line of a report: what it is about.
#[derive(PartialEq, Serialize, Deserialize)]
struct Head {
    dedup: Vec<WatchlistId>,
    threshold: Option<f32>,
}

/// The line after each batch: what stands before it need not be done again.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    through: u64,
    pairs: u64,
}

struct Report {
    file: BufWriter<File>,
    head: Option<Head>,
    mark: Mark,
}

impl Dedup {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let threshold = self.threshold.map(Threshold::new).transpose();
        let threshold = threshold.map_err(|error| Failure::Argument(error.to_string()))?;
        let mut report = self.open()?;
        let mut shown = self.show.begin();
        let (after, texts) = (report.mark.through, self.watchlist.iter());
        let compared = if let Some(node) = self.by.node()? {
            let ids = texts.map(|text| Ok(node.watchlist(text)?.0)).collect::<Result<Vec<_>, Failure>>()?;
            let request = json!({ "watchlists": ids, "threshold": self.threshold, "after": after });
            let end = node.lines("POST", "/v1/deduplications", Some(&request), |mut line| {
                let told = match line.get_mut("watchlists") {
                    Some(watchlists) => Told::Begun { watchlists: remote::read(watchlists.take())? },
                    None => Told::Compared(remote::read(line)?),
                };
                report
                    .take(told, self.threshold, &mut shown)
                    .map_err(|error| Failure::file(&self.report, error))
            })?;
            end["compared"].as_u64().unwrap_or(0)
        } else {
            let (gallery, caller) = (self.place.open_to_search()?, self.by.caller()?);
            let list = |text: &String| Ok(place::watchlist(&gallery, &caller, text)?.id);
            let watchlists = texts.map(list).collect::<Result<Vec<_>, Failure>>()?;
            let request = DedupRequest { watchlists, threshold, after, quietly: false };
            dedup::dedup(&gallery, &caller, &request, |told| {
                report.take(told, self.threshold, &mut shown)?;
                Ok(true)
            })?
        };
        let pairs = report.mark.pairs;
        let words = format!("{compared} references compared, {pairs} pairs in {}", self.report.display());
        shown.end(&json!({ "compared": compared, "pairs": pairs }), &words);
        Ok(())
    }

    /// A new report, or one that was begun: cut after its last mark.
    fn open(&self) -> Result<Report, Failure> {
        let failed = |error| Failure::file(&self.report, error);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&self.report).map_err(failed)?;
        let (mut head, mut mark) = (None, Mark { through: 0, pairs: 0 });
        let (mut kept, mut read) = (0, 0);
        let (mut lines, mut line) = (BufReader::new(&file), Vec::new());
        while lines.read_until(b'\n', &mut line).map_err(failed)? > 0 && line.ends_with(b"\n") {
            let line = std::mem::take(&mut line);
            read += line.len() as u64;
            if head.is_none() {
                let begun = serde_json::from_slice::<Head>(&line);
                head = Some(begun.map_err(|_| failed(io::Error::other("it is not such a report")))?);
                kept = read;
            } else if let Ok(last) = serde_json::from_slice(&line) {
                (mark, kept) = (last, read);
            }
        }
        if kept == 0 && file.metadata().map_err(failed)?.len() > 0 {
            return Err(failed(io::Error::other("it is not such a report")));
        }
        file.set_len(kept).and_then(|()| file.seek(SeekFrom::Start(kept))).map_err(failed)?;
        Ok(Report { file: BufWriter::new(file), head, mark })
    }
}

impl Report {
    fn take(&mut self, told: Told, threshold: Option<f32>, shown: &mut Shown) -> io::Result<()> {
        match told {
            Told::Begun { watchlists } => self.begin(Head { dedup: watchlists, threshold }),
            Told::Compared(batch) => {
                shown.tell("comparing", batch.done, batch.total);
                self.add(batch)
            }
        }
    }

    /// What is compared is what the report is about.
    fn begin(&mut self, head: Head) -> io::Result<()> {
        match &self.head {
            Some(begun) if *begun == head => Ok(()),
            Some(_) => Err(io::Error::other("it is a report on other watchlists, or at another threshold")),
            None => {
                writeln!(self.file, "{}", serde_json::to_string(&head)?)?;
                self.head = Some(head);
                Ok(())
            }
        }
    }

    fn add(&mut self, batch: Compared) -> io::Result<()> {
        for suspicion in batch.suspicions {
            writeln!(self.file, "{}", serde_json::to_string(&suspicion)?)?;
            self.mark.pairs += 1;
        }
        self.mark.through = batch.through;
        writeln!(self.file, "{}", serde_json::to_string(&self.mark)?)?;
        self.file.flush()?;
        self.file.get_ref().sync_data()
    }
}
