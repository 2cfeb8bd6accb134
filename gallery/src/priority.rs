//! Work that is to wait for whoever else wants the processor.

use rustix::{process::setpriority_process, thread::gettid};

/// The least that there is.
const LEAST: i32 = 19;

/// From now on this thread runs when no other thread would. Where the operating system refuses, it runs as others do.
pub(crate) fn yield_to_others() {
    let _ = setpriority_process(Some(gettid()), LEAST); // on Linux, of the one thread
}
