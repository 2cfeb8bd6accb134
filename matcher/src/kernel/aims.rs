//! What the sweep over 8-bit codes reads and writes.

/// Rows that one block of codes interleaves.
pub const BLOCK_ROWS: usize = 32;
/// The least and greatest limit of a sweep; no sum of codes reaches them.
pub(super) const LIMIT_CLAMP: f32 = (1 << 30) as f32;
/// Probes are padded to this many, so that limits are computed a register at a time.
pub(super) const AIMS_PADDING: usize = 16;

/// Probes and rows have codes for a multiple of so many quads.
pub const QUADS_A_ROUND: usize = 4;

/// A cache line of codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Line(pub [u8; 64]);

/// The two numbers beside codes from which a limit is made: the norm of what the codes leave out of the
/// leading part, and of the rest. One row's own, or the greatest of a block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// Norm of the rounding error.
    pub error: f32,
    /// Norm of the tail.
    pub tail: f32,
}

/// One probe's side of the sweep. A row with dot product `I` and norms `e`, `t` survives if and only if
/// `I >= floor(α − β·e − γ·t)`, by two fused multiply-adds in f32, held within ±2^30.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slopes {
    /// α
    pub start: f32,
    /// β
    pub error: f32,
    /// γ
    pub tail: f32,
}

impl Slopes {
    /// The least dot product with which a row of this peak survives.
    pub fn limit(self, peak: Peak) -> i32 {
        let limit = (-self.tail).mul_add(peak.tail, (-self.error).mul_add(peak.error, self.start));
        limit.clamp(-LIMIT_CLAMP, LIMIT_CLAMP).floor() as i32
    }
}

/// Many probes, ready to sweep over blocks of codes together.
///
/// They stand in tiles of [`TILES`] probes, the largest first; a tile holds four codes of each of its probes, then
/// the next four of each.
#[derive(Clone, Debug)]
pub struct Aims {
    len: usize,
    /// Groups of four codes that a probe has.
    pub(super) quads: usize,
    /// Four signed codes each, lowest byte first, tile after tile.
    pub(super) codes: Vec<u32>,
    /// 128 times the sum of a probe's codes: rows are stored with 128 added.
    pub(super) offsets: Vec<i32>,
    pub(super) starts: Vec<f32>,
    pub(super) errors: Vec<f32>,
    pub(super) tails: Vec<f32>,
}

/// The numbers of probes that a tile may have.
pub(super) const TILES: [usize; 4] = [8, 4, 2, 1];

/// How `len` probes are cut into tiles: the first probe and the number of probes of each.
pub(super) fn tiles(len: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut first = 0;
    std::iter::from_fn(move || {
        let width = *TILES.iter().find(|&&width| width <= len - first)?;
        first += width;
        Some((first - width, width))
    })
}

impl Aims {
    /// Of probes with at most four signed codes a quad; those that are missing are zero.
    ///
    /// # Panics
    /// When probes have more codes, or the quads are not whole rounds.
    pub fn new<'a>(quads: usize, probes: impl IntoIterator<Item = (&'a [i8], Slopes)>) -> Self {
        let (probes, slopes): (Vec<_>, Vec<_>) = probes.into_iter().unzip();
        let len = probes.len();
        assert!(probes.iter().all(|codes| codes.len() <= quads * 4), "a probe has four codes a quad");
        assert!(quads.is_multiple_of(QUADS_A_ROUND), "quads come in rounds");
        let mut codes = Vec::with_capacity(len * quads);
        for (first, width) in tiles(len) {
            for quad in 0..quads {
                let of = |probe: &&[i8]| {
                    u32::from_le_bytes(std::array::from_fn(|i| {
                        probe.get(quad * 4 + i).map_or(0, |code| code.cast_unsigned())
                    }))
                };
                codes.extend(probes[first..first + width].iter().map(of));
            }
        }
        let padded = len.next_multiple_of(AIMS_PADDING);
        let mut offsets: Vec<i32> =
            probes.iter().map(|codes| 128 * codes.iter().map(|&c| i32::from(c)).sum::<i32>()).collect();
        offsets.resize(padded, 0);
        let mut aims = Self {
            len,
            quads,
            codes,
            offsets,
            starts: vec![0.0; padded],
            errors: vec![0.0; padded],
            tails: vec![0.0; padded],
        };
        slopes.into_iter().enumerate().for_each(|(probe, slopes)| aims.aim(probe, slopes));
        aims
    }

    /// Number of probes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No probes?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Changes what a probe asks for.
    pub fn aim(&mut self, probe: usize, slopes: Slopes) {
        (self.starts[probe], self.errors[probe], self.tails[probe]) =
            (slopes.start, slopes.error, slopes.tail);
    }

    /// What a probe asks for.
    pub fn slopes(&self, probe: usize) -> Slopes {
        Slopes { start: self.starts[probe], error: self.errors[probe], tail: self.tails[probe] }
    }

    /// The codes of a tile, those of one quad together.
    pub(super) fn tile<const P: usize>(&self, first: usize) -> &[[u32; P]] {
        let (tile, _) = self.codes[first * self.quads..][..P * self.quads].as_chunks();
        tile
    }
}

/// What a sweep over one block found for each probe.
#[derive(Clone, Debug, Default)]
pub struct Swept {
    /// The rows that survive, lowest bit first.
    pub masks: Vec<u32>,
    /// Where a mask is not zero: each row's dot product less the limit.
    pub excess: Vec<[i32; BLOCK_ROWS]>,
    /// Each probe's limit in this block.
    pub limits: Vec<i32>,
    /// Where each probe's sums start: at minus its limit and its offset.
    pub(super) starts: Vec<i32>,
}

impl Swept {
    /// Room for what these probes may find.
    pub fn of(aims: &Aims) -> Self {
        let padded = aims.starts.len();
        Self {
            masks: vec![0; padded],
            excess: vec![[0; BLOCK_ROWS]; padded],
            limits: vec![0; padded],
            starts: vec![0; padded],
        }
    }
}
