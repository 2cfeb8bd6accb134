//! The guard against misuse: its memory by itself, and with a disk.

mod guard;
mod memory;

use super::{memory::*, *};
use crate::budget::{MEETINGS, MEMORY_HOURS, Misuse, RELATED_PROBES};

const HOUR: i64 = 3_600_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000 + ms).unwrap()
}

fn subject(number: u8) -> SubjectId {
    SubjectId::from_bytes([number; 16])
}
