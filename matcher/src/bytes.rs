//! Plans and codes as bytes, for who keeps them. They are believed as they come: whoever keeps them makes sure that they are those
//! that were made. All numbers are little-endian; docs/formats/generation.md draws them.

use std::mem::size_of;

/// Bytes, written from the front.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// With room for so many.
    pub fn with_room(count: usize) -> Self {
        Self { bytes: Vec::with_capacity(count) }
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// A number.
    pub fn number(&mut self, number: usize) {
        self.bytes.extend((number as u64).to_le_bytes());
    }

    /// As many items as the reader will expect.
    pub fn items<T: Copy, const N: usize>(&mut self, items: &[T], bytes: impl Fn(T) -> [u8; N]) {
        items.iter().for_each(|item| self.bytes.extend(bytes(*item)));
    }
}

/// Bytes, read from the front; `None` where they end too early.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// All of them.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Were all read?
    pub fn is_at_end(&self) -> bool {
        self.bytes.is_empty()
    }

    /// A number.
    pub fn number(&mut self) -> Option<usize> {
        let (number, rest) = self.bytes.split_first_chunk::<{ size_of::<u64>() }>()?;
        self.bytes = rest;
        usize::try_from(u64::from_le_bytes(*number)).ok()
    }

    /// So many items.
    pub fn items<T, const N: usize>(&mut self, count: usize, item: impl Fn([u8; N]) -> T) -> Option<Vec<T>> {
        let (items, rest) = self.bytes.split_at_checked(count.checked_mul(N)?)?;
        self.bytes = rest;
        Some(items.as_chunks::<N>().0.iter().map(|bytes| item(*bytes)).collect())
    }
}

/// Two numbers side by side.
pub(crate) fn pair([a, b]: [f32; 2]) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&a.to_le_bytes());
    bytes[4..].copy_from_slice(&b.to_le_bytes());
    bytes
}

/// The reverse.
pub(crate) fn unpair(bytes: [u8; 8]) -> [f32; 2] {
    let halves = bytes.as_chunks::<4>().0;
    [f32::from_le_bytes(halves[0]), f32::from_le_bytes(halves[1])]
}
