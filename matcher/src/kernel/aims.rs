//! What the sweep over 8-bit codes reads and writes.

/// Rows that one block of codes interleaves.
pub const BLOCK_ROWS: usize = 32;
/// The least and greatest limit of a sweep; no sum of codes reaches them.
pub(super) const LIMIT_CLAMP: f32 = (1 << 30) as f32;
/// Probes are padded to this many: limits are computed a register at a time, and AMX takes so many at once.
pub(super) const AIMS_PADDING: usize = 32;

/// So many blocks ahead, lines are fetched into cache, by kernels that do.
pub const BLOCKS_AHEAD: usize = 2;
/// Quads that a tile of AMX has room for.
pub(super) const MOST_QUADS: usize = 16;

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

/// Many probes, ready to sweep over blocks of codes together: their codes in the two orders that processors want.
#[derive(Clone, Debug)]
pub struct Aims {
    len: usize,
    /// Groups of four codes that a probe has.
    pub(super) quads: usize,
    /// For registers: in tiles of [`TILES`] probes, the largest first; a tile holds four signed codes of each of its
    /// probes, lowest byte first, then the next four of each.
    pub(super) codes: Vec<u32>,
    /// For AMX: groups of probes; of each the quads of one step, a line a probe, then those of the next.
    lines: Vec<[Line; AIMS_PADDING]>,
    /// 128 times the sum of a probe's codes: rows are stored with 128 added.
    pub(super) offsets: Vec<i32>,
    pub(super) starts: Vec<f32>,
    pub(super) errors: Vec<f32>,
    pub(super) tails: Vec<f32>,
}

/// The numbers of probes that a tile of registers may have.
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
    /// When probes have more codes, or the quads are not some whole rounds.
    pub fn new<'a>(quads: usize, probes: impl IntoIterator<Item = (&'a [i8], Slopes)>) -> Self {
        let (probes, slopes): (Vec<_>, Vec<_>) = probes.into_iter().unzip();
        assert!(probes.iter().all(|codes: &&[i8]| codes.len() <= quads * 4), "a probe has four codes a quad");
        assert!(quads > 0 && quads.is_multiple_of(QUADS_A_ROUND), "quads come in rounds");
        let padded = probes.len().next_multiple_of(AIMS_PADDING);
        let mut offsets: Vec<i32> =
            probes.iter().map(|codes| 128 * codes.iter().map(|&c| i32::from(c)).sum::<i32>()).collect();
        offsets.resize(padded, 0);
        let mut aims = Self {
            len: probes.len(),
            quads,
            codes: Vec::with_capacity(probes.len() * quads),
            lines: Vec::new(),
            offsets,
            starts: vec![0.0; padded],
            errors: vec![0.0; padded],
            tails: vec![0.0; padded],
        };
        aims.set_codes(&probes);
        aims.set_lines(&probes);
        slopes.into_iter().enumerate().for_each(|(probe, slopes)| aims.aim(probe, slopes));
        aims
    }

    fn set_codes(&mut self, probes: &[&[i8]]) {
        for (first, width) in tiles(probes.len()) {
            for quad in 0..self.quads {
                let of = |probe: &&[i8]| {
                    u32::from_le_bytes(std::array::from_fn(|i| {
                        probe.get(quad * 4 + i).map_or(0, |code| code.cast_unsigned())
                    }))
                };
                self.codes.extend(probes[first..first + width].iter().map(of));
            }
        }
    }

    fn set_lines(&mut self, probes: &[&[i8]]) {
        for group in probes.chunks(AIMS_PADDING) {
            for step in 0..self.steps() {
                let mut lines = [Line([0; 64]); AIMS_PADDING];
                for (line, codes) in lines.iter_mut().zip(group) {
                    let codes =
                        codes.iter().skip(step * self.quads_a_step() * 4).take(self.quads_a_step() * 4);
                    line.0.iter_mut().zip(codes).for_each(|(byte, code)| *byte = code.cast_unsigned());
                }
                self.lines.push(lines);
            }
        }
    }

    /// Number of probes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No probes?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Lines of a block of rows.
    pub fn lines_a_block(&self) -> usize {
        self.quads * 2
    }

    /// Steps in which AMX goes through the quads: as few as there can be equal ones that fit a tile.
    pub(super) fn steps(&self) -> usize {
        (self.quads.div_ceil(MOST_QUADS)..=self.quads)
            .find(|&steps| self.quads.is_multiple_of(steps))
            .expect("one quad a step")
    }

    /// Quads of such a step.
    pub(super) fn quads_a_step(&self) -> usize {
        self.quads / self.steps()
    }

    /// The codes of a group of probes, step after step.
    pub(super) fn steps_of(&self, group: usize) -> &[[Line; AIMS_PADDING]] {
        &self.lines[group * self.steps()..(group + 1) * self.steps()]
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

/// The rows of a block that survive for a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivors {
    /// Which block of the run.
    pub block: usize,
    /// Which probe.
    pub probe: usize,
    /// Which rows, lowest bit first.
    pub mask: u32,
    /// The dot product of every row of the block.
    pub dots: [i32; BLOCK_ROWS],
}

/// What a sweep found, and its room for work.
#[derive(Clone, Debug, Default)]
pub struct Swept {
    /// Who survives, block after block.
    pub survivors: Vec<Survivors>,
    /// Each probe's limit in a block.
    pub(super) limits: Vec<i32>,
    /// Where each probe's sums start: at minus its limit and its offset.
    pub(super) starts: Vec<i32>,
    /// For AMX: the sums of a group of probes, and of the next.
    pub(super) sums: [[[i32; BLOCK_ROWS]; AIMS_PADDING]; 2],
}

impl Swept {
    /// Room for a sweep of these probes.
    pub fn of(aims: &Aims) -> Self {
        let padded = aims.starts.len();
        Self {
            survivors: Vec::new(),
            limits: vec![0; padded],
            starts: vec![0; padded],
            sums: [[[0; BLOCK_ROWS]; AIMS_PADDING]; 2],
        }
    }
    /// Lists the rows of a block whose sums, less what they must reach, are not negative.
    pub(super) fn survive(&mut self, block: usize, probe: usize, excess: &[i32; BLOCK_ROWS]) {
        let mask = (0..BLOCK_ROWS).map(|row| u32::from(excess[row] >= 0) << row).sum();
        if mask != 0 {
            let dots = excess.map(|excess| excess + self.limits[probe]);
            self.survivors.push(Survivors { block, probe, mask, dots });
        }
    }
}
