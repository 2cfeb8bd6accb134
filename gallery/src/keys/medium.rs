//! Where the bytes of our own files go: a seam small enough to be replaced by one that fails on purpose.

use std::{fs::File, io};

/// A file that is written in place. Nothing is durable before a `sync`.
pub(crate) trait Medium: Send + Sync + 'static {
    /// Fills the bytes from this offset on; an error when there are fewer.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;
    /// Writes all of the bytes at this offset.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written durable. Whatever the reason why it cannot: nobody knows then what is on the disk, so it is no error
    /// after which one may go on.
    fn sync(&self) -> io::Result<()>;
    /// How long it is.
    fn length(&self) -> io::Result<u64>;
}

impl Medium for File {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, into, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data().map_err(|error| io::Error::other(format!("a sync failed: {error}")))
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
