//! Work that is to wait for whoever else wants the processor.

use crate::{gallery::Gallery, generation::Index};
use rustix::{process::setpriority_process, thread::gettid};
use std::io;

/// The least that there is.
const LEAST: i32 = 19;

/// From now on this thread runs when no other thread would. Where the operating system refuses, it runs as others do.
pub(crate) fn yield_to_others() {
    let _ = setpriority_process(Some(gettid()), LEAST); // on Linux, of the one thread
}

/// Threads that work while no lookup wants the processor. Where lookups are answered, half as many as there are cores: the other half keeps the
/// caches that they need.
///
/// # Errors
/// When the operating system gives no threads.
pub(crate) fn quiet_pool(gallery: &Gallery) -> io::Result<rayon::ThreadPool> {
    let all = gallery.pool.current_num_threads();
    let serves = !matches!(gallery.current.load().site.index, Index::Unsearched);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(if serves { all.div_ceil(2) } else { all });
    let pool = pool.thread_name(|index| format!("quiet-{index}")).start_handler(|_| yield_to_others());
    pool.build().map_err(io::Error::other)
}
