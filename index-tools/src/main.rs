//! `limen-index`: the administrator's command line. One command, one file; printing happens only here.

mod error;

mod place;

mod progress;

mod private;

mod remote;

mod rows;

mod parquet;

mod records;

mod target;

mod wheel;

mod enrolling;

mod images;

mod evaluation;

mod commands;

mod cli;

use std::process::ExitCode;

#[expect(clippy::print_stderr, reason = "a command line tells its errors")]
fn main() -> ExitCode {
    if let Some(worked) = extractor::worker::if_asked() {
        return worked;
    }
    let private = gallery::keys::memory::keep_private().map_err(error::Failure::Memory);
    match private.and_then(|()| cli::run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            if let Some(hint) = failure.hint() {
                eprintln!("hint: {hint}");
            }
            ExitCode::from(failure.code())
        }
    }
}
