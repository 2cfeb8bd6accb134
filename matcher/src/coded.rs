//! References in 8-bit codes, laid out for the search.

use crate::{
    bound::{FullRow, FullTerms, LeadRow, lines},
    bytes::{Reader, Writer, pair, unpair},
    kernel::{BLOCK_ROWS, Block, Kernel, Line, Peak},
    plan::Plan,
    quantize::Up16,
    rows::Rows,
};
use rayon::prelude::*;
use std::{fmt, ops::Range, sync::Arc};

/// References coded under one plan.
///
/// The leading codes stand in blocks of [`BLOCK_ROWS`] places, interleaved as the sweep reads them, so that a
/// pass reads memory from end to end; what is needed only of rows that survive it stands apart. Within each full
/// window of [`WINDOW_ROWS`] rows the places are in the order of the rows' tails: then the greatest norms of a
/// block are little more than those of its rows.
#[derive(Clone)]
pub struct Coded {
    plan: Arc<Plan>,
    len: usize,
    lead: Vec<Line>,
    /// The greatest norms of each block.
    peaks: Vec<Peak>,
    /// Each place's norms.
    terms: Vec<LeadTerms>,
    /// Which row of its window stands in each place, for full windows.
    order: Vec<u16>,
    /// Codes of all features, row after row.
    full: Vec<Line>,
    full_terms: Vec<FullTerms>,
}

/// Rows that may change places with each other; a task of a search covers whole windows.
pub const WINDOW_ROWS: usize = 2048;

/// Where a block holds code `i` of the row in a place: which line, and which byte of it.
fn seat(place: usize, i: usize) -> (usize, usize) {
    (i / 4 * 2 + place / 16, place % 16 * 4 + i % 4)
}

/// The codes of the row in a place of a block.
fn codes_at(block: &[Line], place: usize, count: usize) -> impl Iterator<Item = u8> + '_ {
    (0..count).map(move |i| {
        let (line, byte) = seat(place, i);
        block[line].0[byte]
    })
}

/// Codes as rows hold them: unsigned, 128 added.
fn stored(codes: &[i8]) -> impl Iterator<Item = u8> + '_ {
    codes.iter().map(|code| code.cast_unsigned() ^ 0x80)
}

/// Does each row of a window have one place?
fn is_order(order: &[u16]) -> bool {
    let mut seen = [false; WINDOW_ROWS];
    order.iter().all(|&row| seen.get_mut(usize::from(row)).is_some_and(|seen| !std::mem::replace(seen, true)))
}

/// A row's own norms in the first bound.
#[derive(Clone, Copy, Debug, Default)]
struct LeadTerms {
    error: Up16,
    tail: Up16,
}

/// One reference, coded.
struct CodedRow {
    lead: LeadRow,
    full: Option<FullRow>,
}

impl CodedRow {
    fn of(plan: &Plan, kernel: Kernel, template: &[Block]) -> Self {
        let full = plan.has_full().then(|| FullRow::of(&plan.features(template)));
        Self { lead: plan.row(kernel, template), full }
    }
}

impl Coded {
    /// No references yet.
    pub fn new(plan: Arc<Plan>) -> Self {
        Self {
            plan,
            len: 0,
            lead: Vec::new(),
            peaks: Vec::new(),
            terms: Vec::new(),
            order: Vec::new(),
            full: Vec::new(),
            full_terms: Vec::new(),
        }
    }

    /// Codes some of these rows, on the current rayon pool.
    ///
    /// # Panics
    /// When they have another dimension than the plan.
    pub fn of(plan: Arc<Plan>, kernel: Kernel, rows: &Rows, range: Range<usize>) -> Self {
        assert_eq!(rows.dimension(), plan.dimension(), "rows of another dimension");
        let mut coded = Self::new(plan);
        coded.reserve(range.len());
        const AT_ONCE: usize = 2048; // so that what is between the two steps stays small
        for start in range.clone().step_by(AT_ONCE) {
            let here = start..range.end.min(start + AT_ONCE);
            let code = |row: usize| CodedRow::of(&coded.plan, kernel, rows.blocks(row, 1));
            let ready: Vec<CodedRow> = here.into_par_iter().with_min_len(32).map(code).collect();
            ready.iter().for_each(|row| coded.push(row));
        }
        coded
    }

    /// Codes more references, on this thread.
    ///
    /// # Panics
    /// When they have another dimension than the plan.
    pub fn extend(&mut self, kernel: Kernel, rows: &Rows) {
        assert_eq!(rows.dimension(), self.plan.dimension(), "rows of another dimension");
        self.reserve(rows.len());
        for row in 0..rows.len() {
            self.push(&CodedRow::of(&self.plan, kernel, rows.blocks(row, 1)));
        }
    }

    fn reserve(&mut self, more: usize) {
        let blocks = (self.len + more).div_ceil(BLOCK_ROWS);
        self.lead.reserve_exact(blocks * self.lines_a_block() - self.lead.len());
        self.peaks.reserve_exact(blocks - self.peaks.len());
        self.terms.reserve_exact(more);
        self.order.reserve_exact((self.len + more) / WINDOW_ROWS * WINDOW_ROWS - self.order.len());
        if self.plan.has_full() {
            self.full.reserve_exact(more * self.lines_a_row());
            self.full_terms.reserve_exact(more);
        }
    }

    fn push(&mut self, row: &CodedRow) {
        let terms = LeadTerms { error: row.lead.error, tail: row.lead.tail };
        self.push_lead(stored(&row.lead.codes), terms);
        if let Some(full) = &row.full {
            self.full.extend(lines(stored(&full.codes)));
            self.full_terms.push(full.terms);
        }
    }

    fn push_lead(&mut self, codes: impl Iterator<Item = u8>, terms: LeadTerms) {
        self.place(codes, terms);
        if self.len.is_multiple_of(WINDOW_ROWS) {
            self.sort_window(self.len - WINDOW_ROWS);
        }
    }

    /// Puts a row into the next place.
    fn place(&mut self, codes: impl Iterator<Item = u8>, terms: LeadTerms) {
        let (block, place) = (self.len / BLOCK_ROWS, self.len % BLOCK_ROWS);
        if place == 0 {
            self.lead.resize(self.lead.len() + self.lines_a_block(), Line([0x80; 64]));
            self.peaks.push(Peak { error: 0.0, tail: 0.0 });
        }
        let start = block * self.lines_a_block();
        for (i, code) in codes.enumerate() {
            let (line, byte) = seat(place, i);
            self.lead[start + line].0[byte] = code;
        }
        let peak = &mut self.peaks[block];
        peak.error = peak.error.max(terms.error.value());
        peak.tail = peak.tail.max(terms.tail.value());
        self.terms.push(terms);
        self.len += 1;
    }

    /// Puts the last full window in the order of tails.
    fn sort_window(&mut self, first: usize) {
        let terms = self.terms.split_off(first);
        let blocks = first / BLOCK_ROWS;
        let codes = self.lead.split_off(blocks * self.lines_a_block());
        self.peaks.truncate(blocks);
        let mut order: Vec<u16> = (0..=u16::MAX).take(WINDOW_ROWS).collect();
        order.sort_by_key(|&row| terms[usize::from(row)].tail);
        self.lead.reserve_exact(codes.len());
        self.len = first;
        for &row in &order {
            let block = codes.chunks_exact(self.lines_a_block()).nth(usize::from(row) / BLOCK_ROWS);
            let block = block.expect("a full window");
            let codes = codes_at(block, usize::from(row) % BLOCK_ROWS, self.plan.lead());
            self.place(codes, terms[usize::from(row)]);
        }
        self.order.extend(order);
    }

    /// The row in this place.
    pub fn row_at(&self, place: usize) -> usize {
        match self.order.get(place) {
            Some(&row) => place / WINDOW_ROWS * WINDOW_ROWS + usize::from(row),
            None => place,
        }
    }

    /// The place of a row.
    fn place_of(&self, row: usize) -> usize {
        let window = row / WINDOW_ROWS * WINDOW_ROWS;
        let Some(order) = self.order.get(window..window + WINDOW_ROWS) else { return row };
        let place = order.iter().position(|&at| window + usize::from(at) == row);
        window + place.expect("an order holds every row of its window")
    }

    /// Leaves nothing of a row's features in its codes. Such a row may be found by any probe: whoever blanks it admits
    /// it to no search.
    pub fn blank(&mut self, row: usize) {
        let place = self.place_of(row);
        let start = place / BLOCK_ROWS * self.lines_a_block();
        for i in 0..self.plan.lead() {
            let (line, byte) = seat(place % BLOCK_ROWS, i);
            self.lead[start + line].0[byte] = 0x80;
        }
        self.terms[place] = LeadTerms::default();
        if self.plan.has_full() {
            let lines = self.lines_a_row();
            self.full[row * lines..(row + 1) * lines].fill(Line([0x80; 64]));
            self.full_terms[row] = FullTerms { step: 0.0, error: 0.0 };
        }
    }

    /// As bytes.
    pub fn write(&self, to: &mut Writer) {
        to.number(self.len);
        to.items(&self.lead, |line| line.0);
        to.items(&self.peaks, |peak| pair([peak.error, peak.tail]));
        to.items(&self.terms, |terms| {
            let ([a, b], [c, d]) = (terms.error.to_le_bytes(), terms.tail.to_le_bytes());
            [a, b, c, d]
        });
        to.items(&self.order, u16::to_le_bytes);
        to.items(&self.full, |line| line.0);
        to.items(&self.full_terms, |terms| pair([terms.step, terms.error]));
    }

    /// What was written under this plan; `None` if it was not.
    pub fn read(plan: Arc<Plan>, from: &mut Reader<'_>) -> Option<Self> {
        let mut coded = Self::new(plan);
        coded.len = from.number().filter(|&len| u32::try_from(len).is_ok())?;
        let (len, blocks) = (coded.len, coded.len.div_ceil(BLOCK_ROWS));
        coded.lead = from.items(blocks * coded.lines_a_block(), Line)?;
        let peak = |bytes| {
            let [error, tail] = unpair(bytes);
            Peak { error, tail }
        };
        coded.peaks = from.items(blocks, peak)?;
        let terms = |[a, b, c, d]: [u8; 4]| LeadTerms {
            error: Up16::from_le_bytes([a, b]),
            tail: Up16::from_le_bytes([c, d]),
        };
        coded.terms = from.items(len, terms)?;
        coded.order = from.items(len / WINDOW_ROWS * WINDOW_ROWS, u16::from_le_bytes)?;
        if coded.plan.has_full() {
            coded.full = from.items(len * coded.lines_a_row(), Line)?;
            let terms = |bytes| {
                let [step, error] = unpair(bytes);
                FullTerms { step, error }
            };
            coded.full_terms = from.items(len, terms)?;
        }
        coded.order.chunks(WINDOW_ROWS).all(is_order).then_some(coded)
    }

    /// Appends references of the same plan.
    ///
    /// # Panics
    /// When the plan is another.
    pub fn append(&mut self, other: &Self) {
        assert!(Arc::ptr_eq(&self.plan, &other.plan), "codes of another plan");
        self.reserve(other.len);
        let mut places: Vec<(usize, usize)> =
            (0..other.len).map(|place| (other.row_at(place), place)).collect();
        places.sort_unstable();
        for (_, place) in places {
            let block = place / BLOCK_ROWS;
            let block = other.blocks(block..block + 1);
            let codes = codes_at(block, place % BLOCK_ROWS, other.plan.lead());
            self.push_lead(codes, other.terms[place]);
        }
        self.full.extend_from_slice(&other.full);
        self.full_terms.extend_from_slice(&other.full_terms);
    }

    /// How they are coded.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Number of references.
    pub fn len(&self) -> usize {
        self.len
    }

    /// None?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The leading codes of these blocks of rows; of those that there are.
    pub fn blocks(&self, blocks: Range<usize>) -> &[Line] {
        let line = |block: usize| block.min(self.peaks.len()) * self.lines_a_block();
        &self.lead[line(blocks.start)..line(blocks.end)]
    }

    /// The greatest norms of each of these blocks.
    pub fn peaks(&self, blocks: Range<usize>) -> &[Peak] {
        &self.peaks[blocks]
    }

    /// The norms of the row in this place.
    pub fn peak_at(&self, place: usize) -> Peak {
        let LeadTerms { error, tail } = self.terms[place];
        Peak { error: error.value(), tail: tail.value() }
    }

    /// The codes of all features of a row, and their terms; `None` if the plan has no second stage.
    pub fn full(&self, row: usize) -> Option<(&[Line], FullTerms)> {
        let terms = *self.full_terms.get(row)?;
        let lines = self.lines_a_row();
        Some((&self.full[row * lines..(row + 1) * lines], terms))
    }

    /// Has the codes of all features of a row brought into cache.
    pub fn fetch_full(&self, kernel: Kernel, row: usize) {
        if let Some((codes, _)) = self.full(row) {
            kernel.fetch(codes);
            kernel.fetch(&self.full_terms[row..=row]);
        }
    }

    fn lines_a_block(&self) -> usize {
        self.plan.quads() * 2
    }

    fn lines_a_row(&self) -> usize {
        self.plan.dimension().div_ceil(64)
    }

    /// Bytes of memory that they take.
    pub fn bytes(&self) -> usize {
        (self.lead.capacity() + self.full.capacity()) * size_of::<Line>()
            + self.peaks.capacity() * size_of::<Peak>()
            + self.terms.capacity() * size_of::<LeadTerms>()
            + self.order.capacity() * size_of::<u16>()
            + self.full_terms.capacity() * size_of::<FullTerms>()
    }
}

impl fmt::Debug for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Coded({} rows, {} leading codes)", self.len, self.plan.lead())
    }
}
