//! References in f32, one padded row each.

use crate::{
    kernel::Block,
    template::{ModelId, Probe, Template},
};

/// A row number inside one generation. It never leaves `matcher` and `gallery`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// Templates of one model, row after row, each padded to whole blocks.
#[derive(Clone)]
pub struct Rows {
    model: ModelId,
    dimension: usize,
    blocks: Vec<Block>,
}

impl Rows {
    /// No rows yet.
    pub fn new(model: ModelId, dimension: usize) -> Self {
        Self { model, dimension, blocks: Vec::new() }
    }

    /// No rows yet, with room for `count`.
    pub fn with_room(model: ModelId, dimension: usize, count: usize) -> Self {
        let mut rows = Self::new(model, dimension);
        rows.blocks.reserve_exact(count * rows.blocks_per_row());
        rows
    }

    /// The model whose templates these are.
    pub fn model(&self) -> &ModelId {
        &self.model
    }

    /// Features of a row.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Blocks a row takes.
    pub fn blocks_per_row(&self) -> usize {
        self.dimension.div_ceil(crate::kernel::LANES)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.blocks.len() / self.blocks_per_row()
    }

    /// No rows?
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Appends a template as the last row.
    ///
    /// # Panics
    /// When the template is of another model or dimension: its profile made it, so this is a bug.
    pub fn push(&mut self, template: &Template) {
        assert_eq!(template.model(), &self.model, "a row of another model");
        assert_eq!(template.features().len(), self.dimension, "a row of another dimension");
        self.blocks.extend(Block::pad(template.features()));
    }

    /// Appends a row of others.
    ///
    /// # Panics
    /// When they are of another model.
    pub fn push_row(&mut self, other: &Self, row: usize) {
        assert_eq!(other.model, self.model, "a row of another model");
        self.blocks.extend_from_slice(other.blocks(row, 1));
    }

    /// Appends a row that `fill` writes; if it fails, nothing is appended.
    ///
    /// # Errors
    /// Those of `fill`.
    pub fn push_with<E>(&mut self, fill: impl FnOnce(&mut [Block]) -> Result<(), E>) -> Result<(), E> {
        let (start, width) = (self.blocks.len(), self.blocks_per_row());
        self.blocks.resize(start + width, Block([0.0; crate::kernel::LANES]));
        let filled = fill(&mut self.blocks[start..]);
        if filled.is_err() {
            self.blocks.truncate(start);
        }
        filled
    }

    /// A row as a probe.
    pub fn probe(&self, row: usize) -> Probe {
        Probe::of_blocks(self.model.clone(), self.blocks(row, 1))
    }

    /// Appends all rows of another piece.
    pub fn append(&mut self, other: &Self) {
        assert_eq!(other.model, self.model, "rows of another model");
        self.blocks.extend_from_slice(&other.blocks);
    }

    /// The blocks of `count` rows from row `start` on.
    pub fn blocks(&self, start: usize, count: usize) -> &[Block] {
        let width = self.blocks_per_row();
        &self.blocks[start * width..(start + count) * width]
    }

    /// The features of a row.
    pub fn features(&self, row: usize) -> impl Iterator<Item = f32> + '_ {
        self.blocks(row, 1).iter().flat_map(|block| block.0).take(self.dimension)
    }

    /// Bytes of memory that the rows take.
    pub fn bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<Block>()
    }
}

/// Why a row cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a reference cannot be read: {0}")]
pub struct Unreadable(pub String);

/// Where the rows in f32 are. They need not be in memory: a search reads only those that its cheaper tests
/// cannot rule out.
pub trait ExactRows: Sync {
    /// The blocks of a row; `room` is as long as they are, and may be used for them.
    ///
    /// # Errors
    /// When the row cannot be read as it was written.
    fn row<'a>(&'a self, row: usize, room: &'a mut [Block]) -> Result<&'a [Block], Unreadable>;
}

impl ExactRows for Rows {
    fn row<'a>(&'a self, row: usize, _: &'a mut [Block]) -> Result<&'a [Block], Unreadable> {
        Ok(self.blocks(row, 1))
    }
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rows({}, {} rows)", self.model, self.len())
    }
}
