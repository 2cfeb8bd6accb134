//! Against whoever would learn templates by searching: callers have budgets, probes that are like many others are not searched with, and nobody
//! meets the same subject over and over (docs/decisions/0016-misuse.md).
//!
//! Of a probe 256 bits are remembered: the signs of its products with directions that are drawn once for a data folder, and secret. The angle
//! between two templates can be told from how many differ (Charikar, 2002: "Similarity estimation techniques from rounding algorithms").

mod journal;
mod memory;
#[cfg(test)]
mod tests;

pub(crate) use memory::Stop;

use crate::{
    ambient::Ambient,
    caller::Actor,
    id::SubjectId,
    keys::{
        root::RootKey,
        seal::{KeyBytes, SealingKey},
    },
    timestamp::Timestamp,
};
use audit::hash::sha256;
use journal::{Draft, Journal};
use matcher::{
    kernel::{Block, Kernel, LANES},
    score::Threshold,
    template::{ModelId, Probe},
};
use memory::{Ask, BITS, CallerKey, Deed, Digest, Memory, Sketch};
use std::{
    collections::{HashMap, HashSet},
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};
use zeroize::Zeroizing;

/// In a data folder: what is remembered of searches.
pub(crate) const FILE: &str = "searches";
/// The file is written anew so long after the last time, or when it holds so many deeds more than are remembered.
const REWRITE_MINUTES: i64 = 10;
const SLACK: usize = 1 << 16;

/// Why a search is not made.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The caller does it too often.
    Stopped(Stop),
    /// It could not be written down.
    Unwritten(io::Error),
}

/// Watches over searches, or does not, where a setup says so.
#[derive(Debug)]
pub(crate) struct Guard(Option<Arc<Watch>>);

/// A search that may be made. Dropped before it was [answered](Self::answered) it is forgotten, if no other was made with the same probe: who was
/// not answered has learnt nothing.
#[derive(Debug)]
pub(crate) struct Admission(Option<Admitted>);

#[derive(Debug)]
struct Admitted {
    watch: Arc<Watch>,
    caller: CallerKey,
    digest: Digest,
}

struct Watch {
    root: SealingKey,
    seed: KeyBytes,
    ambient: Ambient,
    kernel: Kernel,
    /// Of each model, as blocks of one direction after another.
    directions: RwLock<HashMap<ModelId, Arc<[Block]>>>,
    notes: Mutex<Notes>,
    /// Held while the file is written anew.
    rewriting: Mutex<()>,
}

struct Notes {
    memory: Memory,
    journal: Journal,
    written_at: Timestamp,
    /// What came since the file is being written anew.
    since: Option<Vec<(CallerKey, Deed)>>,
    /// Probes that were used once, in a search that is not answered yet.
    unanswered: HashSet<(CallerKey, Digest)>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

impl Guard {
    /// Nothing is watched.
    pub(crate) fn absent() -> Self {
        Self(None)
    }

    /// Nothing is watched, and what was remembered is forgotten.
    pub(crate) fn off(folder: &Path) -> io::Result<Self> {
        forget_all(folder).map(|()| Self(None))
    }

    /// With what a data folder remembers; `now` is not before what its record knows.
    ///
    /// # Errors
    /// When it cannot be read, or there is none and none can be written.
    pub(crate) fn open(
        folder: &Path,
        root: &RootKey,
        kernel: Kernel,
        ambient: &Ambient,
        now: Timestamp,
    ) -> io::Result<Self> {
        let (path, root) = (folder.join(FILE), root.sealing());
        let mut memory = Memory::default();
        let read = Journal::read(&path, &root, ambient, |caller, deed| memory.replay(caller, deed))?;
        memory.settle(now);
        let seed = read.as_ref().map_or_else(|| Zeroizing::new(ambient.random()), |(seed, _)| seed.clone());
        let anew = Draft::write(&path, &root, &seed, memory.deeds(), ambient).and_then(Draft::put_in_place);
        // With the disk full it goes on with the one that is there.
        let journal = anew.or_else(|error| read.map(|(_, journal)| journal).ok_or(error))?;
        let notes =
            Mutex::new(Notes { memory, journal, written_at: now, since: None, unanswered: HashSet::new() });
        let (directions, rewriting) = (RwLock::default(), Mutex::default());
        let ambient = ambient.clone();
        Ok(Self(Some(Arc::new(Watch { root, seed, ambient, kernel, directions, notes, rewriting }))))
    }

    /// May this caller search with this probe and threshold, or verify that it is this subject? It is remembered before it does.
    pub(crate) fn admit(
        &self,
        actor: &Actor,
        searches_per_hour: u32,
        (probe, threshold): (&Probe, Option<Threshold>),
        subject: Option<SubjectId>,
    ) -> Result<Admission, Halt> {
        let Some(watch) = &self.0 else { return Ok(Admission(None)) };
        let (digest, sketch) = (watch.digest(probe, threshold), watch.sketch(probe));
        let ask = Ask { searches_per_hour, digest, sketch, subject };
        let hash = sha256(&[b"limen/caller/v1\0", actor.identity().as_bytes()]);
        let caller = *hash.0.first_chunk().expect("a hash is longer");
        let (mut notes, now) = (watch.notes(), watch.ambient.clock.now());
        let (deeds, fresh) = notes.memory.admit(caller, &ask, now).map_err(Halt::Stopped)?;
        notes.note(caller, deeds).map_err(Halt::Unwritten)?;
        if fresh {
            notes.unanswered.insert((caller, digest));
        } else {
            notes.unanswered.remove(&(caller, digest));
        }
        Ok(Admission(Some(Admitted { watch: Arc::clone(watch), caller, digest })))
    }

    /// Forgets on disk, too, what is past. To be asked now and then.
    ///
    /// # Errors
    /// When it cannot be written; then the file that is there holds on.
    pub(crate) fn settle(&self) -> io::Result<()> {
        let Some(watch) = &self.0 else { return Ok(()) };
        let now = watch.ambient.clock.now();
        let due = {
            let notes = watch.notes();
            let since_ms = now.unix_ms() - notes.written_at.unix_ms();
            let old = !(0..REWRITE_MINUTES * 60_000).contains(&since_ms) && notes.journal.len() > 0;
            old || notes.journal.len() > 2 * notes.memory.len() + SLACK
        };
        if due { watch.rewrite(now) } else { Ok(()) }
    }
}

impl Admission {
    /// May the caller be shown that the probe found these subjects? It is remembered before they are.
    pub(crate) fn meet(&self, subjects: &[SubjectId]) -> Result<(), Halt> {
        let Some(Admitted { watch, caller, digest }) = &self.0 else { return Ok(()) };
        let (mut notes, now) = (watch.notes(), watch.ambient.clock.now());
        let met = notes.memory.meet(*caller, *digest, subjects, now);
        if met.is_err() {
            // A stop is an answer, too. Were its probe forgotten, so were the stop: only probes like it were refused, and that would tell whom they find.
            notes.unanswered.remove(&(*caller, *digest));
        }
        notes.note(*caller, met.map_err(Halt::Stopped)?).map_err(Halt::Unwritten)
    }

    /// The caller has its answer, or may come to have it.
    pub(crate) fn answered(&self) {
        let Some(Admitted { watch, caller, digest }) = &self.0 else { return };
        watch.notes().unanswered.remove(&(*caller, *digest));
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut notes = self.watch.notes();
        if notes.unanswered.remove(&(self.caller, self.digest)) {
            // What cannot be written down counts on.
            let _ = notes.note(self.caller, vec![Deed::TakenBack(self.digest)]);
        }
    }
}

/// Deletes what a data folder remembers of searches.
pub(crate) fn forget_all(folder: &Path) -> io::Result<()> {
    let file = folder.join(FILE);
    for path in [audit::storage::temporary(&file), file] {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => (),
        }
    }
    Ok(())
}

impl Notes {
    /// Writes down and remembers.
    fn note(&mut self, caller: CallerKey, deeds: Vec<Deed>) -> io::Result<()> {
        self.journal.append(deeds.iter().map(|deed| (caller, *deed)))?;
        for deed in deeds {
            self.memory.take(caller, deed);
            self.since.iter_mut().for_each(|since| since.push((caller, deed)));
        }
        Ok(())
    }
}

impl Watch {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Searches go on meanwhile.
    fn rewrite(&self, now: Timestamp) -> io::Result<()> {
        let _one = self.rewriting.lock().unwrap_or_else(PoisonError::into_inner);
        let (path, deeds) = {
            let mut notes = self.notes();
            notes.memory.settle(now);
            notes.since = Some(Vec::new());
            (notes.journal.path().to_owned(), notes.memory.deeds().collect::<Vec<_>>())
        };
        let draft = Draft::write(&path, &self.root, &self.seed, deeds.into_iter(), &self.ambient);
        let mut notes = self.notes();
        let since = notes.since.take().unwrap_or_default();
        let mut draft = draft?;
        draft.append(since.into_iter())?;
        notes.journal = draft.put_in_place()?;
        notes.written_at = now;
        Ok(())
    }

    /// With another threshold it is another question.
    fn digest(&self, probe: &Probe, threshold: Option<Threshold>) -> Digest {
        let numbers = probe.blocks().len() * LANES + 1;
        let mut bytes = Zeroizing::new(Vec::with_capacity(numbers * size_of::<f32>()));
        probe.blocks().iter().flat_map(|block| block.0).for_each(|number| bytes.extend(number.to_le_bytes()));
        bytes.extend(threshold.into_iter().flat_map(|threshold| threshold.value().to_le_bytes()));
        let digest = sha256(&[b"limen/probe/v1\0", &*self.seed, &bytes]);
        *digest.0.first_chunk().expect("a hash is longer")
    }

    fn sketch(&self, probe: &Probe) -> Sketch {
        let blocks = probe.blocks();
        let directions = self.directions(probe.model(), blocks.len());
        let mut products = [0.0; BITS];
        self.kernel.scores(blocks, &directions, &mut products);
        let mut sketch = Sketch([0; BITS / 64]);
        for (at, _) in products.iter().enumerate().filter(|(_, product)| **product >= 0.0) {
            sketch.0[at / 64] |= 1 << (at % 64);
        }
        sketch
    }

    /// Directions for templates of so many blocks: coordinates from a binomial distribution, which is near enough to Gaussian. Beyond a template's
    /// dimension they meet zeros.
    fn directions(&self, model: &ModelId, blocks: usize) -> Arc<[Block]> {
        if let Some(known) = self.directions.read().unwrap_or_else(PoisonError::into_inner).get(model) {
            return Arc::clone(known);
        }
        let block = |at: u64| {
            let mut block = Block([0.0; LANES]);
            for (part, lanes) in (0u8..).zip(block.0.as_chunks_mut::<4>().0) {
                let parts: [&[u8]; 5] = [
                    b"limen/direction/v1\0",
                    &*self.seed,
                    model.as_str().as_bytes(),
                    &at.to_le_bytes(),
                    &[part],
                ];
                let words = sha256(&parts).0;
                for (lane, word) in lanes.iter_mut().zip(words.as_chunks().0) {
                    *lane = u64::from_le_bytes(*word).count_ones() as f32 - 32.0;
                }
            }
            block
        };
        let drawn: Arc<[Block]> = (0..(BITS * blocks) as u64).map(block).collect();
        let mut directions = self.directions.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(directions.entry(model.clone()).or_insert(drawn))
    }
}
