//! `limen`: the server, and a demonstration of it.
//!
//! Doors only: each endpoint is a file that turns the wire into a call of a verb and its outcome into the
//! wire. No rule lives here.

mod images;

mod config;

mod tls;

mod issuer;

mod rates;

mod wire;

mod problem;

mod scan_scheduler;

mod witnesses;

mod node;

mod telemetry;

mod caller;

mod probe;

mod multipart;

mod body;

mod lines;

mod lookups;

mod verifications;

mod extractions;

mod encounters;

mod enrolments;

mod subjects;

mod watchlists;

mod deduplications;

mod notices;

mod retention;

mod log;

mod grants;

mod jobs;

mod generations;

mod calibrations;

mod backups;

mod health;

mod router;

mod server;

mod demo;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Limen: biometric identity matching with watchlists, certificates and receipts.
#[derive(Parser)]
#[command(name = "limen", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve a data folder over HTTP.
    Serve(config::ServeArgs),
    /// Play lookups of two checkpoints against a gallery made on the spot, and show what comes of them.
    Demo(demo::DemoArgs),
    /// Print the OpenAPI description of the HTTP interface.
    Openapi,
}

/// Gives memory back to the operating system when a generation is let go; the system's own keeps it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(clippy::print_stderr, reason = "a command line tells its errors")]
fn main() -> ExitCode {
    if let Some(worked) = extractor::worker::if_asked() {
        return worked;
    }
    let done = gallery::keys::memory::keep_private().map_err(Into::into);
    let done = done.and_then(|()| match Cli::parse().command {
        Command::Serve(args) => config::Config::load(&args).and_then(|config| server::serve(&config)),
        Command::Demo(args) => demo::run(&args),
        Command::Openapi => print_openapi(),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes, each that the one before it does not tell already.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[expect(clippy::print_stdout, reason = "printing is this command's purpose")]
fn print_openapi() -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(&router::openapi())?);
    Ok(())
}
