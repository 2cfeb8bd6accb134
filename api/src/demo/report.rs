//! What came of it, in words that need no handbook.
#![expect(clippy::print_stdout, reason = "the report is the demo's purpose")]

use super::{
    cast::Cast,
    play::{self, Play, Played},
    stage::Stage,
};
use serde_json::{Value, json};
use std::{fmt::Write, fs, net::SocketAddr, path::Path, time::Duration};

pub(crate) fn introduce(cast: &Cast) {
    println!("Limen demo: {}", cast.title);
    if cast.mean.is_some() {
        println!("The model's population mean is subtracted from each vector.");
    }
}

pub(crate) fn enrolled(cast: &Cast, stage: &Stage) {
    let seconds = stage.enrolling.as_secs_f64();
    let rate = cast.references as f64 / seconds;
    println!(
        "Enrolled {} references on watchlists of three nations in {seconds:.1} s ({rate:.0} a second, durable).",
        cast.references
    );
}

/// Answers against the truth.
pub(crate) struct Report {
    mated: usize,
    nonmated: usize,
    /// Mated probes whose mate is a candidate.
    found: usize,
    /// Mated probes with candidates, none of them the mate.
    other: usize,
    /// Nonmated probes with a candidate.
    false_alarms: usize,
    latencies_ms: Vec<f64>,
    rate: f64,
    threshold: f32,
    kernel: &'static str,
    sample: Option<Value>,
}

fn is_hit(one: &Played) -> bool {
    one.answer["decision"] == "hit"
}

fn mate_found(cast: &Cast, play: &Play, one: &Played) -> bool {
    let mate = cast.travellers[one.traveller].mate.as_deref();
    let name = |candidate: &Value| {
        play.names.get(candidate["subject"].as_str()?).map(gallery::law::OwnReference::as_str)
    };
    mate.is_some() && play::candidates(&one.answer).iter().any(|candidate| name(candidate) == mate)
}

impl Report {
    pub(crate) fn new(cast: &Cast, stage: &Stage, play: &Play) -> Self {
        let (mated, nonmated): (Vec<&Played>, Vec<&Played>) =
            play.played.iter().partition(|one| cast.travellers[one.traveller].mate.is_some());
        let found = mated.iter().filter(|one| mate_found(cast, play, one)).count();
        let hits = mated.iter().filter(|one| is_hit(one)).count();
        let mut latencies_ms: Vec<f64> =
            play.played.iter().map(|one| one.latency.as_secs_f64() * 1e3).collect();
        latencies_ms.sort_by(f64::total_cmp);
        let sample = mated.iter().find(|one| mate_found(cast, play, one)).map(|one| one.answer.clone());
        Self {
            mated: mated.len(),
            nonmated: nonmated.len(),
            found,
            other: hits - found,
            false_alarms: nonmated.iter().filter(|one| is_hit(one)).count(),
            latencies_ms,
            rate: play.played.len() as f64 / play.elapsed.as_secs_f64(),
            threshold: cast.threshold,
            kernel: stage.node.gallery.kernel().name(),
            sample,
        }
    }

    fn percentile(&self, percent: usize) -> f64 {
        let last = self.latencies_ms.len().saturating_sub(1);
        self.latencies_ms.get(last * percent / 100).copied().unwrap_or(f64::NAN)
    }

    fn fnir(&self) -> f64 {
        (self.mated - self.found) as f64 / self.mated as f64
    }

    fn fpir(&self) -> f64 {
        self.false_alarms as f64 / self.nonmated as f64
    }

    pub(crate) fn print(&self, walk: Duration) {
        let Self { mated, nonmated, found, other, false_alarms, .. } = *self;
        let missed = mated - found - other;
        let quiet = nonmated - false_alarms;
        let row =
            |label: &str, a: String, b: String, c: String| println!("  {label:<34}{a:>16}{b:>18}{c:>10}");
        println!(
            "\nTwo checkpoints made {} lookups over HTTP; threshold {}:\n",
            mated + nonmated,
            self.threshold
        );
        row("", "hit".into(), "hit, other only".into(), "no hit".into());
        row("travellers on record (mated)", found.to_string(), other.to_string(), missed.to_string());
        row("strangers (nonmated)", String::new(), false_alarms.to_string(), quiet.to_string());
        println!();
        let rate = |name, value: f64, of: usize, meaning| {
            println!("  {name}  {:>6.2} % of {of:<5}  {meaning}", value * 100.0);
        };
        rate("FNIR", self.fnir(), mated, "travellers on record who were not found");
        rate("FPIR", self.fpir(), nonmated, "strangers for whom someone was proposed");
        let [p50, p95, p99] = [50, 95, 99].map(|percent| self.percentile(percent));
        println!("  latency  p50 {p50:.1} ms, p95 {p95:.1} ms, p99 {p99:.1} ms, each with a durable receipt");
        println!("  rate     {:.0} lookups/s from two checkpoints, kernel {}", self.rate, self.kernel);
        if let Some(sample) = &self.sample {
            show(sample);
        }
        println!("\nThe whole walk took {:.1} s.", walk.as_secs_f64());
    }

    /// `split.csv`, `answers.csv` and `rates.json`, for a check by other means.
    pub(crate) fn export(&self, folder: &Path, cast: &Cast, play: &Play) -> anyhow::Result<()> {
        fs::create_dir_all(folder)?;
        let mut split = csv::Writer::from_path(folder.join("split.csv"))?;
        split.write_record(["row", "role", "subject"])?;
        for (row, subject) in cast.enrolled_rows() {
            split.write_record([&row.to_string(), "enrolled", subject])?;
        }
        for traveller in &cast.travellers {
            let (role, mate) = traveller.mate.as_deref().map_or(("nonmated", ""), |mate| ("mated", mate));
            split.write_record([&traveller.row.to_string(), role, mate])?;
        }
        split.flush()?;
        let mut answers = csv::Writer::from_path(folder.join("answers.csv"))?;
        answers.write_record(["row", "decision", "total", "first_subject", "first_score", "mate_found"])?;
        for one in &play.played {
            let first = play::candidates(&one.answer).first();
            let name = first.and_then(|first| play.names.get(first["subject"].as_str()?));
            answers.write_record([
                cast.travellers[one.traveller].row.to_string(),
                one.answer["decision"].as_str().unwrap_or_default().to_owned(),
                one.answer["total"].to_string(),
                name.map_or_else(String::new, ToString::to_string),
                first.map_or_else(String::new, |first| first["score"].to_string()),
                mate_found(cast, play, one).to_string(),
            ])?;
        }
        answers.flush()?;
        let rates = json!({
            "threshold": self.threshold, "references": cast.references, "mean": cast.mean.is_some(),
            "mated": self.mated, "nonmated": self.nonmated, "fnir": self.fnir(), "fpir": self.fpir(),
        });
        fs::write(folder.join("rates.json"), format!("{rates:#}\n"))?;
        println!("Split, answers and rates are in {}.", folder.display());
        Ok(())
    }
}

/// One hit, with what was searched and where it stands in the log.
pub(crate) fn show(sample: &Value) {
    println!("\nOne hit, rank 1:\n{}", indented(&play::candidates(sample)[0]));
    println!("Its certificate (what was searched):\n{}", indented(&sample["certificate"]));
    println!("Its receipt (where the audit log holds it):\n{}", indented(&sample["receipt"]));
}

fn indented(value: &Value) -> String {
    let mut text = String::new();
    for line in format!("{value:#}").lines() {
        let _ = writeln!(text, "  {line}"); // writing to a string cannot fail
    }
    text.trim_end().to_owned()
}

/// A line to paste.
pub(crate) fn invite(stage: &Stage, address: SocketAddr) {
    let body = stage.request_file();
    println!("\nThe server stays up until Ctrl-C. Ask it yourself:\n");
    println!(
        "curl -s -H 'Authorization: Bearer {}' -H 'Content-Type: application/json' --data @{} http://{address}/v1/lookups",
        stage.tokens[0],
        body.display()
    );
    println!("\nIts description: http://{address}/openapi.json");
}
