//! `limen-index audit`

use crate::{
    error::Failure,
    place::{self, Place},
};
use audit::{
    checkpoint::Checkpoint,
    hash::Hash,
    log_proof::LogProof,
    note::{Note, VerifierKey},
    storage::Disk,
    verify,
};
use clap::{Args, Subcommand};
use gallery::{
    event::{Event, What},
    evidence::{self, Evidence, Month},
    findings::Results,
    id::LookupId,
    law::Nation,
    report,
    timestamp::Timestamp,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The audit log: check it, prove what is in it, tell how the gallery was used.
#[derive(Args)]
pub(crate) struct Audit {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Print the key by which the log's checkpoints are known (c2sp.org/signed-note): keep it where the log is not.
    Key {
        #[command(flatten)]
        place: Place,
    },
    /// Print the log's size and root, signed (c2sp.org/tlog-checkpoint): keep it where the log is not.
    Checkpoint {
        #[command(flatten)]
        place: Place,
    },
    Verify(Verify),
    /// Print the proof that a leaf is in the log (c2sp.org/tlog-proof).
    Prove {
        #[command(flatten)]
        place: Place,
        /// The leaf's position, as receipts tell it.
        leaf: u64,
    },
    /// Print all that shows what a lookup asked and was answered: one JSON object that `check` reads, without the log. The reading is logged.
    Evidence {
        #[command(flatten)]
        place: Place,
        /// The lookup, as lkp_….
        lookup: LookupId,
    },
    Check(Check),
    /// Print how the gallery was used: counts, from which nobody can be told.
    Report {
        #[command(flatten)]
        place: Place,
        /// From when on, as in 2026-01-01T00:00:00Z.
        #[arg(long)]
        from: Timestamp,
        /// Until before when.
        #[arg(long)]
        to: Timestamp,
    },
    /// Destroy the keys of events whose legal time is over: nobody can read them any more, and all proofs hold. It is logged.
    Forget {
        #[command(flatten)]
        place: Place,
        /// All months before this one, as in 2026-11.
        #[arg(long)]
        before: Month,
    },
}

/// Check a log without its keys: every leaf, every segment, and that it holds all that these checkpoints saw.
#[derive(Args)]
struct Verify {
    /// Folder of the log: `log` in a data folder, or a copy.
    log: PathBuf,
    /// Key of the log.
    #[arg(long, required_unless_present = "no_checkpoint")]
    log_key: Option<VerifierKey>,
    /// Checkpoint that was kept elsewhere (may be given several times).
    #[arg(long = "checkpoint", required_unless_present = "no_checkpoint")]
    checkpoints: Vec<PathBuf>,
    /// Only whether the log fits itself: who holds it may have written all of it anew.
    #[arg(long)]
    no_checkpoint: bool,
}

/// Check evidence, or a proof, without the log.
#[derive(Args)]
struct Check {
    /// File that `evidence` has printed, or a proof.
    file: PathBuf,
    /// Key of the log.
    #[arg(long)]
    log_key: VerifierKey,
    /// Of a proof: the leaf's hash, as receipts tell it, in hexadecimal digits.
    #[arg(long)]
    leaf_hash: Option<String>,
    /// Key of a witness (may be given several times).
    #[arg(long = "witness")]
    witnesses: Vec<VerifierKey>,
    /// So many of the witnesses must have cosigned [default: all].
    #[arg(long)]
    quorum: Option<usize>,
}

fn argument(error: impl std::fmt::Display) -> Failure {
    Failure::Argument(error.to_string())
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| Failure::file(path, error))
}

impl Audit {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match &self.action {
            Action::Key { place } => println!("{}", evidence::log_key(&place.open()?)),
            Action::Checkpoint { place } => print!("{}", evidence::checkpoint(&place.open()?)),
            Action::Verify(verify) => verify.run()?,
            Action::Prove { place, leaf } => print!("{}", evidence::prove(&place.open()?, *leaf)?),
            Action::Evidence { place, lookup } => {
                let gallery = place.open()?;
                let caller = place::administrator(Nation::unspecified());
                let (evidence, _) = evidence::read_first(&gallery, &caller, |event| is_of(event, *lookup))?;
                let text = serde_json::to_string_pretty(&evidence).map_err(argument)?;
                println!("{text}");
            }
            Action::Check(check) => check.run()?,
            Action::Report { place, from, to } => {
                let report = report::report(&place.open()?, *from, *to)?;
                let mut told = serde_json::to_value(&report).map_err(argument)?;
                told["from"] = from.to_string().into();
                told["to"] = to.to_string().into();
                println!("{told:#}");
            }
            Action::Forget { place, before } => {
                let caller = place::administrator(Nation::unspecified());
                let months = evidence::forget_before(&place.open()?, &caller, *before)?;
                println!(
                    "forgotten: {}",
                    if months.is_empty() { "nothing".to_owned() } else { months.join(", ") }
                );
            }
        }
        Ok(())
    }
}

/// Does an event tell what came of this lookup?
fn is_of(event: &Event, wanted: LookupId) -> bool {
    match &event.what {
        What::Lookup { results: Results::Told(findings), .. } => findings.answer.lookup == wanted,
        // What it found is in its authorisation, if there is one.
        What::Authorise { lookup, .. } => *lookup == wanted,
        _ => false,
    }
}

impl Verify {
    fn run(&self) -> Result<(), Failure> {
        let mut known = Vec::new();
        for path in &self.checkpoints {
            let note: Note = read(path)?.parse().map_err(argument)?;
            let key = self.log_key.as_ref().ok_or_else(|| argument("--log-key is missing"))?;
            let checkpoint = Checkpoint::of(&note, key);
            known.push(checkpoint.map_err(|error| argument(format!("{}: {error}", path.display())))?);
        }
        let disk = Disk::open_existing(&self.log).map_err(|error| Failure::file(&self.log, error))?;
        let head = verify::compare(&disk, &known).map_err(|error| Failure::Log(error.to_string()))?;
        let (size, seen) = (head.tree.size(), known.iter().map(|it| it.size).max().unwrap_or(0));
        println!("{size} leaves, root {}; the first {seen} are those of the checkpoints", head.tree.root());
        Ok(())
    }
}

impl Check {
    fn run(&self) -> Result<(), Failure> {
        let text = read(&self.file)?;
        let quorum = self.quorum.unwrap_or(self.witnesses.len());
        let checked = if let Some(hash) = &self.leaf_hash {
            let leaf =
                Hash::from_hex(hash).ok_or_else(|| argument("--leaf-hash is 64 hexadecimal digits"))?;
            let proof: LogProof = text.parse().map_err(argument)?;
            proof.check(leaf, &self.log_key, &self.witnesses, quorum).map_err(|error| error.to_string())
        } else {
            let evidence: Evidence = serde_json::from_str(&text).map_err(argument)?;
            evidence.check(&self.log_key, &self.witnesses, quorum)
        };
        let checkpoint = checked.map_err(Failure::Log)?;
        println!("it is in the log {} of {} leaves", checkpoint.origin, checkpoint.size);
        Ok(())
    }
}
