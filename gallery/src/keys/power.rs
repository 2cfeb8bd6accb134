//! The power fails, or the process is killed, at any moment: cells and ledger on a file in memory that loses, tears and
//! reorders what was not synced. `LIMEN_IMAGES` says how often.

use super::{
    cells::{CellFault, Cells, WRAPPED},
    ledger::{Erasure, Ledger},
    medium::Medium,
    seal::SealingKey,
};
use crate::{id::SubjectId, timestamp::Timestamp};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard},
};

const SECTOR: usize = 512;
/// Cells that are tried at once: they share sectors.
const CELLS: u64 = 40;

struct Memory {
    durable: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
    /// Writes and syncs until the power fails.
    left: u32,
    chance: ChaCha8Rng,
}

#[derive(Clone)]
struct Fragile(Arc<Mutex<Memory>>);

impl Memory {
    fn powered(&mut self) -> io::Result<()> {
        self.left = self.left.checked_sub(1).ok_or_else(|| io::Error::other("the power is off"))?;
        Ok(())
    }

    fn after(&mut self, odds: u32) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for (at, written) in &self.pending {
            let mut begin = 0;
            while begin < written.len() {
                let end = (begin + SECTOR - (at + begin) % SECTOR).min(written.len());
                if self.chance.next_u32() % 4 < odds {
                    bytes.resize(bytes.len().max(at + end), 0);
                    bytes[at + begin..at + end].copy_from_slice(&written[begin..end]);
                }
                begin = end;
            }
        }
        bytes
    }
}

impl Fragile {
    fn with(seed: u64, durable: Vec<u8>) -> Self {
        let chance = ChaCha8Rng::seed_from_u64(seed);
        Self(Arc::new(Mutex::new(Memory { durable, pending: Vec::new(), left: 20, chance })))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap()
    }

    fn draw(&self) -> u64 {
        self.memory().chance.next_u64()
    }

    /// Starts again, after a kill or after a power loss.
    fn restart(&self) {
        let memory = &mut *self.memory();
        memory.left = memory.chance.next_u32() % 20;
        if memory.chance.next_u32().is_multiple_of(3) {
            return; // killed: what was written is in the operating system's memory
        }
        let odds = memory.chance.next_u32() % 5;
        memory.durable = memory.after(odds);
        memory.pending.clear();
    }
}

impl Medium for Fragile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let (bytes, offset) = (self.memory().after(4), offset as usize);
        let found = bytes.get(offset..offset + into.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(found);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut memory = self.memory();
        memory.powered()?;
        memory.pending.push((offset as usize, bytes.to_vec()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut memory = self.memory();
        memory.powered()?;
        memory.durable = memory.after(4);
        memory.pending.clear();
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.memory().after(4).len() as u64)
    }
}

fn images() -> u64 {
    std::env::var("LIMEN_IMAGES").map_or(10_000, |images| images.parse().unwrap())
}

/// What a cell may hold: the number of the key that was put there; `None` once it is destroyed.
type Held = Option<u64>;

fn wrap(root: &SealingKey, number: u64, key: u64) -> [u8; WRAPPED] {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&key.to_le_bytes());
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&key.to_le_bytes());
    root.seal_under(nonce, &[&number.to_le_bytes()], &bytes).try_into().unwrap()
}

fn held(cells: &Cells, root: &SealingKey, number: u64) -> Option<Held> {
    match cells.key(number, root, &[&number.to_le_bytes()]) {
        Ok(key) => Some(Some(u64::from_le_bytes(key[..8].try_into().unwrap()))),
        Err(CellFault::Destroyed) => Some(None),
        Err(CellFault::Damaged | CellFault::Unread(_)) => None,
    }
}

#[test]
fn no_key_that_was_settled_is_lost_and_none_that_was_destroyed_comes_back() {
    let root = SealingKey::new(&[7; 32]);
    let (mut next, mut settled) = (0, 0);
    for life in 0..images() / 20 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("subjects");
        Cells::create(&path).unwrap();
        let file = Fragile::with(life, std::fs::read(path).unwrap());
        let mut seen = Seen::default();
        for _ in 0..10 {
            file.restart();
            let Ok(cells) = Cells::over(Box::new(file.clone())) else {
                assert_eq!(file.memory().left, 0, "life {life}: it does not open, and the power is on");
                continue;
            };
            let found = (1..=CELLS).filter_map(|number| Some((number, held(&cells, &root, number)?)));
            seen.check(found.collect());
            loop {
                let mut put = BTreeMap::new();
                for _ in 0..file.draw() % 12 {
                    let number = 1 + file.draw() % CELLS;
                    next += 1;
                    let held = (!file.draw().is_multiple_of(3)).then_some(next);
                    match held {
                        Some(key) => cells.put(number, &wrap(&root, number, key)),
                        None => cells.destroy(number),
                    }
                    put.insert(number, held);
                }
                if put.is_empty() {
                    continue;
                }
                settled += put.len();
                let done = cells.settle();
                seen.put(put, done.is_ok());
                if done.is_err() {
                    break;
                }
            }
        }
    }
    assert!(settled as u64 > 3 * images() / 2, "too little was done: {settled}");
}

#[test]
fn no_line_of_the_ledger_is_lost() {
    let ambient = crate::ambient::Ambient::system();
    let mut lines = 0;
    for life in 0..images() / 20 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        Ledger::write(&path, &[]).unwrap();
        let file = Fragile::with(life, std::fs::read(path).unwrap());
        let mut seen = Seen::default();
        let mut subjects = BTreeMap::<u64, SubjectId>::new();
        for _ in 0..10 {
            file.restart();
            let Ok(ledger) = Ledger::over(Box::new(file.clone())) else {
                assert_eq!(file.memory().left, 0, "life {life}: it does not open, and the power is on");
                continue;
            };
            let number = |line: u64| {
                let line = ledger.line(line).unwrap();
                assert_eq!(subjects[&line.row.cast_unsigned()], line.subject);
                Some(line.row.cast_unsigned())
            };
            seen.check((0..ledger.lines()).map(|line| (line, number(line))).collect());
            loop {
                let (line, subject) = (ledger.lines(), SubjectId::mint(&ambient));
                lines += 1;
                subjects.insert(lines, subject);
                let at = Timestamp::from_unix_ms(1_800_000_000_000).unwrap();
                let done = ledger.append(Erasure { subject, row: lines as i64, at });
                seen.put([(line, Some(lines))].into(), done.is_ok());
                if done.is_err() {
                    break;
                }
            }
        }
    }
    assert!(lines > images() / 2, "too little was done: {lines}");
}

/// What is durable, and what may be there since.
#[derive(Default)]
struct Seen {
    durable: BTreeMap<u64, Held>,
    unsure: BTreeMap<u64, Vec<Held>>,
}

impl Seen {
    fn put(&mut self, put: BTreeMap<u64, Held>, done: bool) {
        if done {
            self.durable.extend(put);
        } else {
            put.into_iter().for_each(|(number, held)| self.unsure.entry(number).or_default().push(held));
        }
    }

    /// What a start finds may be built upon.
    fn check(&mut self, found: BTreeMap<u64, Held>) {
        let numbers: BTreeSet<u64> = found.keys().chain(self.durable.keys()).copied().collect();
        for number in numbers {
            let (now, before) = (found.get(&number), self.durable.get(&number));
            let unsure =
                self.unsure.get(&number).is_some_and(|unsure| unsure.iter().any(|held| Some(held) == now));
            assert!(now == before || unsure, "{number}: {before:?} was durable, {now:?} is there");
        }
        self.durable = found;
        self.unsure.clear();
    }
}
