//! References in f32, one padded row each.

use crate::{
    kernel::Block,
    template::{ModelId, Template},
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

    /// The model whose templates these are.
    pub fn model(&self) -> &ModelId {
        &self.model
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

    /// Bytes of memory that the rows take.
    pub fn bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<Block>()
    }
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rows({}, {} rows)", self.model, self.len())
    }
}
