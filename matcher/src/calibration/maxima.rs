//! The highest nonmated scores of many lookups, in galleries of several sizes at once.

use crate::{kernel::Kernel, rows::Rows, template::ModelId};
use rayon::prelude::*;

/// Sizes of galleries: all references, a quarter, a sixteenth and so on.
pub const LEVELS: usize = 12;
/// Rows that are scored together.
const GROUP: usize = 64;
/// Probes that one thread takes at a time.
const PROBES: usize = 64;

/// A reference: whose it is, and which. Both are numbers that the caller gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whose {
    /// The subject.
    pub subject: u64,
    /// The reference, unlike all others.
    pub reference: u64,
}

/// The best of those whom a probe was compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Best {
    pub(super) score: f32,
    pub(super) subject: u64,
    pub(super) compared: u32,
}

impl Best {
    const NONE: Self = Self { score: f32::NEG_INFINITY, subject: u64::MAX, compared: 0 };

    fn take(&mut self, score: f32, subject: u64) {
        self.compared += 1;
        if score > self.score {
            (self.score, self.subject) = (score, subject);
        }
    }

    fn with(self, other: Self) -> Self {
        let better = if other.score > self.score { other } else { self };
        Self { compared: self.compared + other.compared, ..better }
    }
}

/// What one probe found.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) whose: Whose,
    /// Where its smaller galleries begin, on a circle of all subjects.
    offset: u32,
    /// Of those in a gallery of this size and not of the next.
    best: [Best; LEVELS],
    /// The score with another reference of its own subject.
    pub(super) mated: Option<f32>,
}

impl Seen {
    /// In the gallery of this level.
    pub(super) fn at(&self, level: usize) -> Best {
        self.best[level..].iter().fold(Best::NONE, |all, best| all.with(*best))
    }
}

/// Compares probes with all references, in whatever order they come, and keeps of each the best of other subjects.
///
/// Each probe has smaller galleries, too: of all subjects a quarter, a sixteenth and so on, another share for each probe. So a threshold for a short watchlist
/// need not be told from a long one.
#[derive(Clone, Debug)]
pub struct Maxima {
    kernel: Kernel,
    probes: Rows,
    seed: u64,
    seen: Vec<Seen>,
    references: u64,
}

impl Maxima {
    /// For these probes; each is a reference of the gallery, or of somebody who is not in it.
    ///
    /// # Panics
    /// When there is not one owner a probe.
    pub fn begin(kernel: Kernel, probes: Rows, whose: &[Whose], seed: u64) -> Self {
        assert_eq!(probes.len(), whose.len(), "a probe has an owner");
        let seen = |whose: &Whose| {
            let offset = spread(whose.reference, seed ^ 1);
            Seen { whose: *whose, offset, best: [Best::NONE; LEVELS], mated: None }
        };
        let seen = whose.iter().map(seen).collect();
        Self { kernel, probes, seed, seen, references: 0 }
    }

    /// Compares with some of the references. Each is to come once.
    ///
    /// # Panics
    /// When rows and owners disagree in number, or rows are of another model.
    pub fn observe(&mut self, pool: &rayon::ThreadPool, rows: &Rows, whose: &[Whose]) {
        assert_eq!(rows.len(), whose.len(), "a reference has an owner");
        assert_eq!(rows.model(), self.probes.model(), "templates of two models are never compared");
        self.references += rows.len() as u64;
        let places: Vec<u32> = whose.iter().map(|one| spread(one.subject, self.seed)).collect();
        let (kernel, probes) = (self.kernel, &self.probes);
        let chunks = self.seen.par_chunks_mut(PROBES).enumerate();
        pool.install(|| {
            chunks.for_each(|(chunk, seen)| {
                let mut scores = [0.0; GROUP];
                for start in (0..rows.len()).step_by(GROUP) {
                    let count = GROUP.min(rows.len() - start);
                    let (group, whose) = (rows.blocks(start, count), &whose[start..start + count]);
                    let places = &places[start..start + count];
                    for (at, seen) in seen.iter_mut().enumerate() {
                        let probe = probes.blocks(chunk * PROBES + at, 1);
                        kernel.scores(probe, group, &mut scores[..count]);
                        seen.take(&scores[..count], whose, places);
                    }
                }
            });
        });
    }

    /// References that came.
    pub fn references(&self) -> u64 {
        self.references
    }

    pub(super) fn model(&self) -> &ModelId {
        self.probes.model()
    }

    pub(super) fn seen(&self) -> &[Seen] {
        &self.seen
    }
}

impl Seen {
    fn take(&mut self, scores: &[f32], whose: &[Whose], places: &[u32]) {
        for ((score, whose), place) in scores.iter().zip(whose).zip(places) {
            if whose.subject == self.whose.subject {
                if whose.reference != self.whose.reference && self.mated.is_none() {
                    self.mated = Some(*score);
                }
                continue;
            }
            // How many quarterings of the circle, from the probe's own place on, still hold this subject.
            let level = (place.wrapping_sub(self.offset).leading_zeros() / 2) as usize;
            self.best[level.min(LEVELS - 1)].take(*score, whose.subject);
        }
    }
}

/// A place on a circle, as good as random: the finaliser of `SplitMix64` (Steele, Lea, Flood, 2014).
fn spread(number: u64, seed: u64) -> u32 {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed;
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((state ^ (state >> 31)) >> 32) as u32
}
