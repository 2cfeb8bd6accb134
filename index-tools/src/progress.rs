//! How far long work has come: a bar on a terminal, or lines of JSON.

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// How progress is shown.
#[derive(Args)]
pub(crate) struct Show {
    /// Print progress and result as lines of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Show {
    /// Begins to show.
    pub(crate) fn begin(&self) -> Shown {
        let bar = if self.json { ProgressBar::hidden() } else { ProgressBar::new(0) };
        let style = ProgressStyle::with_template("{msg:10} {bar:40} {pos}/{len}  {per_sec}  {eta} left");
        bar.set_style(style.expect("the template is a constant"));
        Shown { json: self.json, bar, stage: String::new(), began: Instant::now(), told: None }
    }
}

/// What is shown.
pub(crate) struct Shown {
    json: bool,
    bar: ProgressBar,
    stage: String,
    began: Instant,
    told: Option<Instant>,
}

/// How often a line is printed.
const EVERY: Duration = Duration::from_secs(1);

impl Shown {
    /// Tells that so many of so many are done in this stage.
    pub(crate) fn tell(&mut self, stage: &str, done: u64, total: u64) {
        if self.stage != stage {
            stage.clone_into(&mut self.stage);
            (self.began, self.told) = (Instant::now(), None);
            self.bar.reset();
            self.bar.set_message(self.stage.clone());
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
        let due = self.told.is_none_or(|told| told.elapsed() >= EVERY);
        if self.json && (due || done == total) {
            self.told = Some(Instant::now());
            let rate = done as f64 / self.began.elapsed().as_secs_f64().max(1e-9);
            let left_s = (total - done.min(total)) as f64 / rate.max(1e-9);
            let line = serde_json::json!({
                "stage": stage, "done": done, "total": total,
                "per_second": rate.round(), "left_s": (left_s * 10.0).round() / 10.0,
            });
            self.line(&line);
        }
    }

    /// Says something else meanwhile.
    #[expect(clippy::print_stderr, reason = "printing is what it is for")]
    pub(crate) fn beside(&self, words: &str) {
        self.bar.suspend(|| eprintln!("{words}"));
    }

    /// Ends, with the result as a line of JSON, or in words.
    pub(crate) fn end(self, result: &serde_json::Value, words: &str) {
        self.bar.finish_and_clear();
        if self.json { self.line(result) } else { self.say(words) }
    }

    #[expect(clippy::print_stdout, clippy::unused_self, reason = "printing is what it is for")]
    fn line(&self, line: &serde_json::Value) {
        println!("{line}");
    }

    #[expect(clippy::print_stdout, clippy::unused_self, reason = "printing is what it is for")]
    fn say(&self, words: &str) {
        println!("{words}");
    }
}
