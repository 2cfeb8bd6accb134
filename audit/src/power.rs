//! The power fails, or the process is killed, at any moment: a log on a disk in memory that loses, tears and reorders what
//! was not synced. `LIMEN_IMAGES` says how often.

use crate::{hash::Hash, log::Log, receipt::Receipt, segment::Leaf, storage::Storage, verify};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

const SECTOR: usize = 512;

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Clone, Default)]
struct Content {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

impl Content {
    fn live(&self) -> Vec<u8> {
        self.after(|| true)
    }

    /// With what was not synced, as far as `keeps` says.
    fn after(&self, mut keeps: impl FnMut() -> bool) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for change in &self.pending {
            match change {
                Change::Length(length) if keeps() => bytes.resize(*length, 0),
                Change::Length(_) => (),
                Change::Write(at, written) => {
                    for begin in 0..written.len() {
                        let place = at + begin;
                        if begin > 0 && !place.is_multiple_of(SECTOR) {
                            continue;
                        }
                        let end = (place + SECTOR - place % SECTOR).min(at + written.len());
                        if keeps() {
                            bytes.resize(bytes.len().max(end), 0);
                            bytes[place..end].copy_from_slice(&written[begin..end - at]);
                        }
                    }
                }
            }
        }
        bytes
    }
}

struct Memory {
    files: BTreeMap<String, Content>,
    open: Option<String>,
    /// Changes until the power fails.
    left: u32,
    chance: ChaCha8Rng,
}

/// Shared with the log's thread.
#[derive(Clone)]
struct Fragile(Arc<Mutex<Memory>>);

impl Fragile {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap()
    }

    /// Starts again, after a kill or after a power loss.
    fn restart(&self) {
        let memory = &mut *self.memory();
        memory.left = memory.chance.next_u32() % 30;
        memory.open = None;
        if memory.chance.next_u32().is_multiple_of(3) {
            return; // killed: what was written is in the operating system's memory
        }
        let odds = [0, 1, 2, 3, 4][memory.chance.next_u32() as usize % 5];
        for content in memory.files.values_mut() {
            content.durable = content.after(|| memory.chance.next_u32() % 4 < odds);
            content.pending.clear();
        }
    }
}

impl Memory {
    fn powered(&mut self) -> io::Result<()> {
        self.left = self.left.checked_sub(1).ok_or_else(|| io::Error::other("the power is off"))?;
        Ok(())
    }

    fn content(&mut self) -> io::Result<&mut Content> {
        let name = self.open.as_ref().ok_or_else(|| io::Error::other("no file is open"))?;
        Ok(self.files.get_mut(name).unwrap())
    }
}

impl Storage for Fragile {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.memory().files.keys().cloned().collect())
    }
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        Ok(self.memory().files[name].live())
    }
    fn create(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut memory = self.memory();
        let made = memory.powered();
        // As a whole or not at all, also when the power fails over it.
        if made.is_ok() || memory.chance.next_u32().is_multiple_of(2) && memory.left == 0 {
            memory.files.insert(name.to_owned(), Content { durable: content.to_vec(), pending: Vec::new() });
            memory.open = Some(name.to_owned());
        }
        made
    }
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut memory = self.memory();
        memory.powered()?;
        let content = memory.content()?;
        let at = content.live().len();
        content.pending.push(Change::Write(at, bytes.to_vec()));
        Ok(())
    }
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut memory = self.memory();
        memory.powered()?;
        memory.content()?.pending.push(Change::Length(length as usize));
        Ok(())
    }
    fn sync(&mut self) -> io::Result<()> {
        let mut memory = self.memory();
        memory.powered()?;
        let content = memory.content()?;
        content.durable = content.live();
        content.pending.clear();
        Ok(())
    }
}

#[test]
fn no_acknowledged_leaf_is_lost_or_moved() {
    let images: u64 = std::env::var("LIMEN_IMAGES").map_or(10_000, |images| images.parse().unwrap());
    let (mut tag, mut acknowledged, mut opened) = (0, 0, 0);
    for life in 0..images / 10 {
        let chance = ChaCha8Rng::seed_from_u64(life);
        let memory = Memory { files: BTreeMap::new(), open: None, left: 40, chance };
        let disk = Fragile(Arc::new(Mutex::new(memory)));
        let mut receipts: Vec<(u64, Receipt)> = Vec::new();
        for _ in 0..10 {
            if let Ok(log) = Log::open_with(disk.clone(), None, None, 700) {
                opened += 1;
                for size in (1..=3).cycle() {
                    let leaves: Vec<Leaf> = (tag + 1..=tag + size).map(leaf).collect();
                    tag += size;
                    let Ok(given) = log.append(leaves) else { break };
                    receipts.extend((tag - size + 1..=tag).zip(given));
                }
            } else {
                assert_eq!(disk.memory().left, 0, "life {life}: it does not open, and the power is on");
            }
            disk.restart();
            let mut leaves = BTreeMap::new();
            let mut keep = |index, leaf: &Leaf| leaves.extend([(index, (leaf.tag, leaf.hash()))]);
            verify::verify(&disk, &mut keep).unwrap();
            for (tag, receipt) in &receipts {
                let expected = (*tag, receipt.leaf_hash());
                assert_eq!(leaves.get(&receipt.leaf_index()), Some(&expected), "life {life}");
            }
            acknowledged += receipts.len();
        }
    }
    assert!(opened > images / 2 && acknowledged as u64 > 5 * images, "too little was done: {acknowledged}");
}

fn leaf(tag: u64) -> Leaf {
    Leaf { tag, commitment: Hash([tag as u8; 32]), payload: vec![tag as u8; 1 + (tag * 37 % 200) as usize] }
}
