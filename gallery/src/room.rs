//! Room on the disk: what makes the record longer is refused while less than a reserve is free, so that lookups, whose events the log
//! must hold, and erasures go on.

use crate::{gallery::Gallery, record::StoreError};
use std::{io, path::Path};

/// Bytes of a reserve, if nothing else is said.
pub const RESERVE_BYTES: u64 = 64 << 20;

/// How much of a disk is free, and of that reserved.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Bytes that are free.
    pub free_bytes: u64,
    /// Bytes of these that enrolments and builds leave: what is asked for, but of a small disk not more than an eighth.
    pub reserve_bytes: u64,
}

/// The room on a folder's disk.
///
/// # Errors
/// When the operating system does not say.
pub fn of(folder: &Path, reserve_bytes: u64) -> io::Result<Room> {
    let disk = rustix::fs::statvfs(folder)?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Ok(Room { free_bytes: bytes(disk.f_bavail), reserve_bytes: reserve_bytes.min(bytes(disk.f_blocks) / 8) })
}

/// Is there room for so many bytes beside the reserve?
///
/// # Errors
/// [`StoreError::Full`] when there is not. A disk that does not say has room.
pub(crate) fn must_be_there(gallery: &Gallery, bytes: u64) -> Result<(), StoreError> {
    match of(&gallery.folder, gallery.reserve_bytes) {
        Ok(room) if room.free_bytes < room.reserve_bytes.saturating_add(bytes) => Err(StoreError::Full),
        _ => Ok(()),
    }
}
