//! `limen-witness`: keeps an eye on logs of others, from another machine (c2sp.org/tlog-witness).
//!
//! It knows nothing of biometrics, and of Limen only the log: it depends on `audit` alone.

mod alarms;
mod server;

use alarms::Alarms;
use anyhow::{Context, ensure};
use audit::{
    note::{Kind, SigningKey, VerifierKey},
    witness::Witness,
};
use clap::Parser;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

/// Cosign the checkpoints of logs, as long as each continues what was seen before; and tell of whatever does not, and of silence.
///
/// Logs send their checkpoints to `/add-checkpoint`. Nothing secret is told either way, and a checkpoint counts by its signature alone. An alarm is a
/// line on standard error that begins with ALARM and a line of FOLDER/alarms, with what was sent; from then on /healthz answers 503, until the file is taken away and the witness started again.
/// Let only the logs' machines reach it: whoever sends it the last checkpoint once more hides that a log is silent.
#[derive(Parser)]
#[command(name = "limen-witness", version)]
struct Args {
    /// Folder for what was seen, and the witness's key: made if it is not there. Not on the log's machine.
    #[arg(long)]
    folder: PathBuf,
    /// Name of the witness, without scheme, as in witness.example/limen.
    #[arg(long)]
    name: String,
    /// Key of a log, as `limen-index audit key` prints it (may be given several times).
    #[arg(long = "log")]
    logs: Vec<VerifierKey>,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// After so many seconds without a checkpoint of a log there is an alarm.
    #[arg(long, default_value_t = 300)]
    silence_s: u64,
    /// What somebody else may have caused by sending what is old or wrong is an alarm if the log does not show within so many seconds that it goes on.
    #[arg(long, default_value_t = 30)]
    grace_s: u64,
    /// Print the key by which the witness's cosignatures are known, and end.
    #[arg(long)]
    show_key: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            alarms::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the line that was asked for, or that a script reads")]
fn run(args: &Args) -> anyhow::Result<()> {
    std::fs::create_dir_all(&args.folder).with_context(|| args.folder.display().to_string())?;
    let key = key(&args.folder.join("key"), &args.name)?;
    if args.show_key {
        println!("{}", key.verifier());
        return Ok(());
    }
    ensure!(!args.logs.is_empty(), "--log is missing: whose checkpoints are to be cosigned?");
    ensure!(
        args.logs.iter().all(|log| log.kind() == Kind::Note),
        "--log is the key of a log, not of a witness"
    );
    let lock = std::fs::File::create(args.folder.join("lock"))?;
    lock.try_lock().map_err(|_| anyhow::anyhow!("another witness has {} open", args.folder.display()))?;
    let witness = Arc::new(Witness::new(key, args.folder.clone(), args.logs.iter().cloned()));
    let alarms = Arc::new(Alarms::new(args.folder.join("alarms"), witness.origins()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(args.listen).await;
        let listener = listener.with_context(|| format!("cannot listen on {}", args.listen))?;
        println!("limen-witness listens on http://{}", listener.local_addr()?);
        let (silence, grace) = (Duration::from_secs(args.silence_s), Duration::from_secs(args.grace_s));
        Arc::clone(&alarms).keep_listening(silence, grace)?;
        server::serve(listener, witness, alarms).await
    })
}

/// The witness's key; one is drawn if there is none.
fn key(path: &Path, name: &str) -> anyhow::Result<SigningKey> {
    use std::os::unix::fs::PermissionsExt;
    if !path.exists() {
        let mut seed = [0; 32];
        aws_lc_rs::rand::fill(&mut seed).ok().context("no chance to draw a key with")?;
        let text = audit::hash::Hash(seed).to_string() + "\n";
        audit::storage::publish(path, text.as_bytes())?;
    }
    let mode = std::fs::metadata(path)?.permissions().mode(); // its last six bits are for others
    ensure!(mode.trailing_zeros() >= 6, "{} can be read by others: chmod 600 it", path.display());
    let text = std::fs::read_to_string(path)?;
    let seed = audit::hash::Hash::from_hex(text.trim());
    let seed = seed.with_context(|| format!("{} is not 64 hexadecimal digits", path.display()))?;
    Ok(SigningKey::new(name, Kind::Cosignature, &seed.0)?)
}
