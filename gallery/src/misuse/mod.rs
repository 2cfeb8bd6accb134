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
use journal::Journal;
use matcher::{
    kernel::{Block, Kernel, LANES},
    template::{ModelId, Probe},
};
use memory::{Ask, BITS, CallerKey, Digest, Memory, Sketch};
use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
};
use zeroize::Zeroizing;

/// In a data folder: what is remembered of searches.
pub(crate) const FILE: &str = "searches";
/// The file is written anew when it holds so many deeds more than are remembered, or an hour after the last time.
const SLACK: usize = 1 << 16;
const REWRITE_HOURS: i64 = 1;

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
pub(crate) struct Guard(Option<Watch>);

struct Watch {
    root: SealingKey,
    seed: KeyBytes,
    ambient: Ambient,
    kernel: Kernel,
    /// Of each model, as blocks of one direction after another.
    directions: RwLock<HashMap<ModelId, Arc<[Block]>>>,
    notes: Mutex<Notes>,
}

struct Notes {
    memory: Memory,
    journal: Journal,
    written_at: Timestamp,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

impl Guard {
    /// Nothing is watched, and what was remembered is forgotten.
    pub(crate) fn off(folder: &Path) -> io::Result<Self> {
        match std::fs::remove_file(folder.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(Self(None)),
        }
    }

    /// With what a data folder remembers.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub(crate) fn open(folder: &Path, root: &RootKey, kernel: Kernel, ambient: &Ambient) -> io::Result<Self> {
        let (path, root, now) = (folder.join(FILE), root.sealing(), ambient.clock.now());
        let read = journal::read(&path, &root)?;
        let mut memory = Memory::default();
        let seed = match read {
            None => Zeroizing::new(ambient.random()),
            Some(read) => {
                read.deeds.into_iter().for_each(|(caller, deed)| memory.take(caller, deed));
                read.seed
            }
        };
        memory.forget(now);
        let journal = Journal::write(&path, &root, &seed, memory.deeds(), ambient)?;
        let notes = Mutex::new(Notes { memory, journal, written_at: now });
        let directions = RwLock::default();
        Ok(Self(Some(Watch { root, seed, ambient: ambient.clone(), kernel, directions, notes })))
    }

    /// May this caller search with this probe, or verify that it is this subject? It is remembered before it does.
    pub(crate) fn admit(
        &self,
        actor: &Actor,
        searches_per_hour: u32,
        probe: &Probe,
        subject: Option<SubjectId>,
    ) -> Result<(), Halt> {
        let Some(watch) = &self.0 else { return Ok(()) };
        let (digest, sketch) = (watch.digest(probe), watch.sketch(probe));
        let ask = Ask { searches_per_hour, digest, sketch, subject };
        watch.note(actor, |memory, caller, now| memory.admit(caller, &ask, now))
    }

    /// May this caller be shown that the probe found these subjects? It is remembered before they are.
    pub(crate) fn meet(&self, actor: &Actor, probe: &Probe, subjects: &[SubjectId]) -> Result<(), Halt> {
        let Some(watch) = &self.0 else { return Ok(()) };
        let digest = watch.digest(probe);
        watch.note(actor, |memory, caller, now| memory.meet(caller, digest, subjects, now))
    }

    /// Forgets on disk, too, what is past.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn forget(&self) -> io::Result<()> {
        let Some(watch) = &self.0 else { return Ok(()) };
        let (mut notes, now) = (watch.notes(), watch.ambient.clock.now());
        if now < notes.written_at.plus_hours(REWRITE_HOURS) || notes.journal.len() == 0 {
            return Ok(());
        }
        notes.memory.forget(now);
        watch.rewrite(&mut notes, now)
    }
}

impl Watch {
    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(
        &self,
        actor: &Actor,
        change: impl FnOnce(&mut Memory, CallerKey, Timestamp) -> Result<Vec<memory::Deed>, Stop>,
    ) -> Result<(), Halt> {
        let caller = *sha256(&[b"limen/caller/v1\0", actor.identity().as_bytes()])
            .0
            .first_chunk()
            .expect("a hash is longer");
        let (mut notes, now) = (self.notes(), self.ambient.clock.now());
        let deeds = change(&mut notes.memory, caller, now).map_err(Halt::Stopped)?;
        notes.journal.append(caller, &deeds).map_err(Halt::Unwritten)?;
        if notes.journal.len() > 2 * notes.memory.len() + SLACK {
            self.rewrite(&mut notes, now).map_err(Halt::Unwritten)?;
        }
        Ok(())
    }

    fn rewrite(&self, notes: &mut Notes, now: Timestamp) -> io::Result<()> {
        let path = notes.journal.path().to_owned();
        notes.journal = Journal::write(&path, &self.root, &self.seed, notes.memory.deeds(), &self.ambient)?;
        notes.written_at = now;
        Ok(())
    }

    fn digest(&self, probe: &Probe) -> Digest {
        let numbers = probe.blocks().len() * LANES;
        let mut bytes = Zeroizing::new(Vec::with_capacity(numbers * size_of::<f32>()));
        probe.blocks().iter().flat_map(|block| block.0).for_each(|number| bytes.extend(number.to_le_bytes()));
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
