//! The searches themselves: all probes among all who are enrolled, batch by batch, written down as they are done.

use super::{
    candidate_log::{self, NO_TEMPLATE, Proposed, SUCCESS},
    outcome::{self, Outcome},
    samples::{Enrolled, Sample, Samples, Subjects},
};
use crate::{error::Failure, private, progress::Shown};
use audit::hash::sha256;
use matcher::{
    candidate::CandidateList,
    coded::Coded,
    filter::SlotFilter,
    index::{Found, Query, cascade, fit},
    kernel::Kernel,
    rows::{Rows, Slot},
    score::Threshold,
    template::Probe,
};
use rayon::ThreadPool;
use std::{
    fs::OpenOptions,
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Probes that share a pass.
const BATCH: usize = 256;
/// Comparisons with somebody else that are kept, of all searches together.
const COMPARISONS: u64 = 1_000_000;
/// Rows on which the plan of the codes is chosen.
const SAMPLE: usize = 16_384;

/// The files of an evaluation that grow.
pub(crate) struct Files {
    pub(crate) searches: PathBuf,
    pub(crate) candidates: PathBuf,
    /// Scores with somebody else, drawn by lot: f32, little-endian.
    pub(crate) comparisons: PathBuf,
}

impl Files {
    pub(crate) fn in_folder(folder: &Path) -> Self {
        let file = |name: &str| folder.join(name);
        Self {
            searches: file("searches.csv"),
            candidates: file("candidates.part"),
            comparisons: file("nonmated.f32"),
        }
    }
}

/// The searches to be done.
pub(crate) struct Searches<'a> {
    pub(crate) samples: &'a Samples,
    pub(crate) subjects: &'a Subjects,
    pub(crate) enrolled: &'a Enrolled,
    pub(crate) probes: &'a [Sample],
    /// Length of a candidate list.
    pub(crate) limit: usize,
    pub(crate) seed: u64,
    pub(crate) pool: &'a ThreadPool,
}

impl Searches<'_> {
    /// Does those that are not done yet. Of a folder that was begun, what stands in all files is kept.
    pub(crate) fn run(&self, files: &Files, shown: &mut Shown) -> Result<(), Failure> {
        let total = self.probes.len() as u64;
        let others = self.enrolled.of.len().saturating_sub(1) as u64;
        let each = COMPARISONS.div_ceil(total.max(1)).min(others);
        let order = self.by_lot();
        let done = self.resume(files, each)?;
        let mut searches = outcome::Writer::open(&files.searches, &self.samples.columns, done)?;
        let mut candidates = candidate_log::Writer::open(&files.candidates, self.limit, done)?;
        let failed = |error| Failure::file(&files.comparisons, error);
        let mut comparisons = private::open(&files.comparisons).map_err(failed)?;
        comparisons
            .set_len(done * each * 4)
            .and_then(|()| comparisons.seek(SeekFrom::End(0)))
            .map_err(failed)?;
        if done == total {
            return Ok(());
        }
        let index = Index::of(self.enrolled, self.pool);
        let mut at = done;
        let mut features = self.samples.features(&self.probes[done as usize..])?;
        while at < total {
            let batch = features.by_ref().take(BATCH).collect::<Result<Vec<_>, _>>()?;
            let made: Vec<_> =
                batch.iter().map(|(_, features)| self.enrolled.profile.template(features)).collect();
            let probes: Vec<Probe> = made.iter().flatten().map(Probe::new).collect();
            let mut found = index.search(&probes, self.limit, self.pool).into_iter().zip(&probes);
            for ((sample, _), made) in batch.iter().zip(&made) {
                let (list, probe) = if made.is_ok() { found.next().unzip() } else { (None, None) };
                let proposed = list.unwrap_or_default();
                let code = if made.is_ok() { SUCCESS } else { NO_TEMPLATE };
                let templates: Vec<Proposed> = proposed
                    .iter()
                    .take(self.limit)
                    .map(|(row, score)| (self.enrolled.samples[*row].name(), *score))
                    .collect();
                candidates.write(&sample.name(), code, &templates)?;
                searches.write(&self.outcome(sample, probe, &proposed))?;
                let scores = self.others(sample, probe, &order, at, each as usize);
                let bytes: Vec<u8> = scores.into_iter().flat_map(f32::to_le_bytes).collect();
                comparisons.write_all(&bytes).map_err(failed)?;
                at += 1;
            }
            comparisons.sync_data().map_err(failed)?;
            searches.keep()?;
            candidates.keep()?;
            shown.tell("searching", at, total);
        }
        Ok(())
    }

    /// How many searches all files hold; what is beyond is cut off.
    fn resume(&self, files: &Files, each: u64) -> Result<u64, Failure> {
        let (searches, lines) = (outcome::ends(&files.searches, 1)?, outcome::ends(&files.candidates, 0)?);
        let comparisons = std::fs::metadata(&files.comparisons).map_or(0, |file| file.len() / 4);
        let comparisons = comparisons.checked_div(each).unwrap_or(u64::MAX);
        let done = (searches.len() as u64).min((lines.len() / self.limit) as u64).min(comparisons);
        if done == 0 {
            return Ok(0);
        }
        let cut = |path: &Path, length: u64| {
            let file = OpenOptions::new().write(true).open(path);
            file.and_then(|file| file.set_len(length)).map_err(|error| Failure::file(path, error))
        };
        cut(&files.searches, searches[done as usize - 1])?;
        cut(&files.candidates, lines[done as usize * self.limit - 1])?;
        Ok(done)
    }

    fn outcome(&self, sample: &Sample, probe: Option<&Probe>, proposed: &[(usize, f32)]) -> Outcome {
        let own = self.enrolled.of.get(&sample.subject);
        let mate = own.zip(probe).map(|(rows, probe)| best(&self.enrolled.rows, rows, probe));
        let is_own = |row: usize| self.enrolled.samples[row].subject == sample.subject;
        let rank = proposed.iter().take(self.limit).position(|(row, _)| is_own(*row));
        Outcome {
            row: sample.row,
            subject: self.subjects.names[sample.subject as usize].clone(),
            mated: self.enrolled.meant.contains(&sample.subject),
            failed: probe.is_none(),
            mate,
            rank: rank.map(|rank| rank as u32 + 1),
            other: proposed.iter().find(|(row, _)| !is_own(*row)).map(|(_, score)| *score),
            quality: sample.quality,
            labels: sample.labels.clone(),
        }
    }

    /// All subjects, in an order by lot.
    fn by_lot(&self) -> Vec<u32> {
        let subjects = self.enrolled.of.keys().map(|subject| (self.lot(u64::from(*subject), 0), *subject));
        let mut subjects: Vec<(u64, u32)> = subjects.collect();
        subjects.sort_unstable();
        subjects.into_iter().map(|(_, subject)| subject).collect()
    }

    fn lot(&self, number: u64, of: u64) -> u64 {
        let parts = [self.seed, number, of].map(u64::to_le_bytes);
        let digest = sha256(&[b"limen/pairs/v1\0", &parts.concat()]);
        u64::from_le_bytes(*digest.0.first_chunk().expect("a hash is longer"))
    }

    /// Scores with so many other subjects, those after a place by lot: each once. NaN where there is no probe.
    fn others(
        &self,
        sample: &Sample,
        probe: Option<&Probe>,
        order: &[u32],
        search: u64,
        each: usize,
    ) -> Vec<f32> {
        let Some(probe) = probe else { return vec![f32::NAN; each] };
        let first = (self.lot(search, 1) % order.len().max(1) as u64) as usize;
        let after = order[first..].iter().chain(&order[..first]);
        let others = after.filter(|subject| **subject != sample.subject).take(each);
        others.map(|other| best(&self.enrolled.rows, &self.enrolled.of[other], probe)).collect()
    }
}

/// The best score with these rows.
fn best(rows: &Rows, of: &[usize], probe: &Probe) -> f32 {
    let mut score = [0.0];
    let scores = of.iter().map(|row| {
        Kernel::detect().scores(probe.blocks(), rows.blocks(*row, 1), &mut score);
        score[0]
    });
    scores.fold(f32::NEG_INFINITY, f32::max)
}

/// All who are enrolled, coded for the lossless search.
struct Index<'a> {
    enrolled: &'a Enrolled,
    coded: Coded,
    all: SlotFilter,
}

impl<'a> Index<'a> {
    fn of(enrolled: &'a Enrolled, pool: &ThreadPool) -> Self {
        let (rows, kernel) = (&enrolled.rows, Kernel::detect());
        let count = SAMPLE.min(rows.len());
        let mut sample = Rows::new(rows.model().clone(), rows.dimension());
        (0..count).for_each(|i| sample.push_row(rows, i * rows.len() / count));
        let (plan, _) = fit::fit(pool, kernel, &sample, Threshold::new(0.3).expect("a cosine"));
        let coded = pool.install(|| Coded::of(Arc::new(plan), kernel, rows, 0..rows.len()));
        Self { enrolled, coded, all: SlotFilter::all(rows.len()) }
    }

    /// Of each probe the best rows of different subjects, best first: one more than `limit`, so that there is a best other one.
    fn search(&self, probes: &[Probe], limit: usize, pool: &ThreadPool) -> Vec<Vec<(usize, f32)>> {
        let mut lists = vec![Vec::new(); probes.len()];
        let mut open: Vec<usize> = (0..probes.len()).collect();
        // Most of the best rows may be of few subjects: then more of them are asked for.
        let mut best = limit + 1;
        while !open.is_empty() {
            let query = |at: &usize| Query {
                probe: &probes[*at],
                threshold: Threshold::LOWEST,
                best: Some(best),
                filters: vec![&self.all],
            };
            let queries: Vec<Query<'_>> = open.iter().map(query).collect();
            let segment = cascade::Segment { first: Slot(0), coded: &self.coded, exact: &self.enrolled.rows };
            let (found, _) = cascade::search(pool, Kernel::detect(), &[segment], &queries);
            let mut left = Vec::new();
            for (at, found) in open.into_iter().zip(found) {
                let whole = found.hits.len() < best;
                lists[at] = self.fuse(found, limit);
                if lists[at].len() <= limit && !whole {
                    left.push(at);
                }
            }
            (open, best) = (left, best * 4);
        }
        lists
    }

    fn fuse(&self, found: Found, limit: usize) -> Vec<(usize, f32)> {
        let subject = |slot: Slot| self.enrolled.samples[slot.0 as usize].subject;
        let list = CandidateList::fuse(found.hits.into_iter().map(|hit| (subject(hit.slot), hit)));
        let candidates = list.candidates().iter().take(limit + 1);
        candidates.map(|one| (one.best.slot.0 as usize, one.best.score.value())).collect()
    }
}
