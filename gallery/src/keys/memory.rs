//! Plain templates and keys exist in memory only: none of it goes into a core dump, or to another process of the
//! same user.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use std::io;

/// From now on this process leaves no core dump, and no other process of its user may read its memory.
///
/// # Errors
/// When the operating system refuses.
pub fn keep_private() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
