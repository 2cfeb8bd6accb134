//! What was measured, as a table.

use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// One system in one setting.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) system: String,
    /// Systems of a kind share a colour in the plot.
    pub(crate) kind: String,
    pub(crate) build_s: f64,
    /// Bytes of memory a reference.
    pub(crate) bytes: f64,
    /// Share of the true hits that it does not find.
    pub(crate) lost: f64,
    pub(crate) speeds: Vec<Speed>,
}

/// How long a pass took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Speed {
    pub(crate) threads: usize,
    /// Probes a pass.
    pub(crate) batch: usize,
    pub(crate) pass_s: f64,
    /// The greater floor, of reading and of multiplying, over the time that was taken.
    #[serde(default)]
    pub(crate) of_floor: Option<f64>,
}

impl Speed {
    pub(crate) fn lookups_a_second(&self) -> f64 {
        self.batch as f64 / self.pass_s
    }
}

impl Entry {
    /// Lookups a second with one probe a pass, or with as many as the system likes best.
    pub(crate) fn rate(&self, threads: usize, lone: bool) -> Option<f64> {
        let fits = |speed: &&Speed| speed.threads == threads && (speed.batch == 1) == lone;
        self.speeds.iter().filter(fits).map(Speed::lookups_a_second).max_by(f64::total_cmp)
    }

    fn of_floor(&self, threads: usize, lone: bool) -> Option<f64> {
        let fits = |speed: &&Speed| speed.threads == threads && (speed.batch == 1) == lone;
        let best = self
            .speeds
            .iter()
            .filter(fits)
            .max_by(|a, b| a.lookups_a_second().total_cmp(&b.lookups_a_second()));
        best?.of_floor
    }
}

/// The entries beside the first of them.
pub(crate) fn table(entries: &[Entry], threads: &[usize]) -> String {
    let mut text = String::from("system                        build s   B/ref   lost %");
    for count in threads {
        let _ = write!(text, " |{:>9}{:>9}{:>9}{:>8}", format!("{count}t lone"), "batch", "Limen ×", "floor");
    }
    text.push('\n');
    let percent = |share: Option<f64>| share.map_or(String::new(), |share| format!("{:.0}%", share * 100.0));
    for entry in entries {
        let (lost, build_s) = (entry.lost * 100.0, entry.build_s);
        let _ = write!(text, "{:<29}{build_s:>8.1}{:>8.0}{lost:>9.2}", entry.system, entry.bytes);
        for &count in threads {
            let rate = |lone| entry.rate(count, lone).unwrap_or(f64::NAN);
            let limen = entries[0].rate(count, false).unwrap_or(f64::NAN);
            let floors = [true, false].map(|lone| percent(entry.of_floor(count, lone)));
            let _ = write!(
                text,
                " |{:>9.1}{:>9.1}{:>9.1}{:>8}",
                rate(true),
                rate(false),
                limen / rate(false),
                floors.join("/")
            );
        }
        text.push('\n');
    }
    text
}
