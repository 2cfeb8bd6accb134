//! `limen-index dedup`

use crate::{
    error::Failure,
    place::{self, For, Place},
    progress::{Show, Shown},
};
use clap::Args;
use gallery::{
    Gallery,
    dedup::{self, Compared, DedupRequest, Suspicion},
    id::WatchlistId,
    inspect,
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
    nation: For,
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
struct Mark {
    through: u64,
    pairs: u64,
}

struct Report {
    file: BufWriter<File>,
    path: PathBuf,
    mark: Mark,
}

impl Dedup {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let threshold = self.threshold.map(Threshold::new).transpose();
        let threshold = threshold.map_err(|error| Failure::Argument(error.to_string()))?;
        let gallery = self.place.open_to_search()?;
        let caller = self.nation.caller();
        let lists = |text: &String| Ok(place::watchlist(&gallery, &caller, text)?.id);
        let mut watchlists = self.watchlist.iter().map(lists).collect::<Result<Vec<_>, Failure>>()?;
        if watchlists.is_empty() {
            let all = inspect::watchlists(&gallery, &caller).into_iter();
            watchlists = all.filter(|list| list.owner == *caller.nation()).map(|list| list.id).collect();
        }
        watchlists.sort_unstable();
        watchlists.dedup();
        let mut report = self.open(&Head { dedup: watchlists.clone(), threshold: self.threshold })?;
        let request = DedupRequest { watchlists, threshold, after: report.mark.through };
        let mut shown = self.show.begin();
        let compared = dedup::dedup(&gallery, &caller, &request, |batch| {
            report.add(&gallery, batch, &mut shown)?;
            Ok(true)
        })?;
        let pairs = report.mark.pairs;
        let words = format!("{compared} references compared, {pairs} pairs in {}", report.path.display());
        shown.end(&json!({ "compared": compared, "pairs": pairs }), &words);
        Ok(())
    }

    /// A new report, or one that was begun about the same: cut after its last mark.
    fn open(&self, head: &Head) -> Result<Report, Failure> {
        let failed = |error| Failure::file(&self.report, error);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&self.report).map_err(failed)?;
        let mut mark = Mark { through: 0, pairs: 0 };
        let (mut kept, mut read) = (0, 0);
        let (mut lines, mut line) = (BufReader::new(&file), Vec::new());
        while lines.read_until(b'\n', &mut line).map_err(failed)? > 0 && line.ends_with(b"\n") {
            let line = std::mem::take(&mut line);
            read += line.len() as u64;
            if kept == 0 {
                if serde_json::from_slice::<Head>(&line).ok().as_ref() != Some(head) {
                    let what = format!(
                        "{}: it is not a report on these watchlists at this threshold",
                        self.report.display()
                    );
                    return Err(Failure::Argument(what));
                }
                kept = read;
            } else if let Ok(last) = serde_json::from_slice(&line) {
                (mark, kept) = (last, read);
            }
        }
        file.set_len(kept).and_then(|()| file.seek(SeekFrom::Start(kept))).map_err(failed)?;
        let mut file = BufWriter::new(file);
        if kept == 0 {
            writeln!(file, "{}", serde_json::to_string(head).expect("text keys")).map_err(failed)?;
        }
        Ok(Report { file, path: self.report.clone(), mark })
    }
}

impl Report {
    fn add(&mut self, gallery: &Gallery, batch: Compared, shown: &mut Shown) -> io::Result<()> {
        let Compared { through, done, total, suspicions } = batch;
        let name = |id| gallery.reference_of(id).map_err(io::Error::other);
        for Suspicion { subject, encounter, other, other_encounter, score } in suspicions {
            let line = json!({
                "score": score,
                "subject": subject, "reference": name(subject)?, "encounter": encounter,
                "other": other, "other_reference": name(other)?, "other_encounter": other_encounter,
            });
            writeln!(self.file, "{line}")?;
            self.mark.pairs += 1;
        }
        self.mark.through = through;
        writeln!(self.file, "{}", serde_json::to_string(&self.mark)?)?;
        self.file.flush()?;
        self.file.get_ref().sync_data()?;
        shown.tell("comparing", done, total);
        Ok(())
    }
}
