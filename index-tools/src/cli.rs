//! The commands.

use crate::{commands, error::Failure};
use clap::{Parser, Subcommand};

/// Fill, read and check Limen's data folders.
///
/// Works on the folder of a stopped node; while a server has it open, commands are refused. With --server, a running node does what is asked: enrol, import, export,
/// dedup, merge, move, erase, retention, rebuild, recalibrate, activate, rollback, generations and backup.
/// Extract, evaluate, compare, quality, calibrate and imitate need neither.
#[derive(Parser)]
#[command(name = "limen-index", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init(commands::init::Init),
    Anchor(commands::anchor::Anchor),
    Model(commands::model::Model),
    Watchlist(commands::watchlist::Watchlist),
    Enrol(commands::enrol::Enrol),
    Import(commands::enrol::Import),
    Erase(commands::erase::Erase),
    Export(commands::export::Export),
    Dedup(commands::dedup::Dedup),
    Merge(commands::reassign::Merge),
    Move(commands::reassign::Move),
    Rebuild(commands::generation::Rebuild),
    Activate(commands::generation::Activate),
    Rollback(commands::generation::Rollback),
    Generations(commands::generation::Generations),
    Retention(commands::retention::Retention),
    SubjectAccess(commands::subject_access::SubjectAccess),
    Clock(commands::retention::Clock),
    Backup(commands::backup::Backup),
    Restore(commands::backup::Restore),
    Inspect(commands::inspect::Inspect),
    VerifyStore(commands::inspect::VerifyStore),
    Doctor(commands::doctor::Doctor),
    Audit(commands::audit::Audit),
    Grant(commands::grant::Grant),
    Certificate(commands::certificate::Certificate),
    Extract(commands::extract::Extract),
    Evaluate(commands::evaluate::Evaluate),
    Compare(commands::compare::Compare),
    Quality(commands::quality::Quality),
    Calibrate(commands::calibrate::Calibrate),
    Recalibrate(commands::recalibrate::Recalibrate),
    Imitate(commands::imitate::Imitate),
}

/// Reads the command line and does what it says.
pub(crate) fn run() -> Result<(), Failure> {
    match Cli::parse().command {
        Command::Init(command) => command.run(),
        Command::Anchor(command) => command.run(),
        Command::Model(command) => command.run(),
        Command::Watchlist(command) => command.run(),
        Command::Enrol(command) => command.run(),
        Command::Import(command) => command.run(),
        Command::Erase(command) => command.run(),
        Command::Export(command) => command.run(),
        Command::Dedup(command) => command.run(),
        Command::Merge(command) => command.run(),
        Command::Move(command) => command.run(),
        Command::Rebuild(command) => command.run(),
        Command::Activate(command) => command.run(),
        Command::Rollback(command) => command.run(),
        Command::Generations(command) => command.run(),
        Command::Retention(command) => command.run(),
        Command::SubjectAccess(command) => command.run(),
        Command::Clock(command) => command.run(),
        Command::Backup(command) => command.run(),
        Command::Restore(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::VerifyStore(command) => command.run(),
        Command::Doctor(command) => command.run(),
        Command::Audit(command) => command.run(),
        Command::Grant(command) => command.run(),
        Command::Certificate(command) => command.run(),
        Command::Extract(command) => command.run(),
        Command::Evaluate(command) => command.run(),
        Command::Compare(command) => command.run(),
        Command::Quality(command) => command.run(),
        Command::Calibrate(command) => command.run(),
        Command::Recalibrate(command) => command.run(),
        Command::Imitate(command) => command.run(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn describe(command: &mut clap::Command, name: &str, page: &mut String) {
        let help = command.render_long_help().to_string();
        page.extend(["\n## ", name, "\n\n```text\n", help.trim_end(), "\n```\n"]);
        for sub in command.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
            let name = format!("{name} {}", sub.get_name());
            describe(sub, &name, page);
        }
    }

    #[test]
    fn the_reference_is_what_the_commands_say() {
        let mut page = "# limen-index\n\nWhat `limen-index help` prints, command by command.\n".to_owned();
        let mut command = Cli::command().term_width(0); // no terminal
        command.build();
        describe(&mut command, "limen-index", &mut page);
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/limen-index.md");
        if std::env::var_os("LIMEN_UPDATE").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let published = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            published == page,
            "docs/limen-index.md is old: LIMEN_UPDATE=1 cargo test --release -p index-tools"
        );
    }
}
