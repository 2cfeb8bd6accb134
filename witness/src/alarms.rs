//! What somebody must look at.

use audit::witness::Alarm;
use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How often it is asked who is silent.
const LISTEN_EVERY: Duration = Duration::from_millis(500);

/// When a log was heard of last, and was its silence told?
struct Heard {
    at: Instant,
    told: bool,
}

/// The alarms, and since when each log is silent.
pub(crate) struct Alarms {
    path: PathBuf,
    heard: Mutex<BTreeMap<String, Heard>>,
}

impl Alarms {
    pub(crate) fn new<'a>(path: PathBuf, origins: impl Iterator<Item = &'a str>) -> Self {
        let heard = origins.map(|origin| (origin.to_owned(), Heard { at: Instant::now(), told: false }));
        Self { path, heard: Mutex::new(heard.collect()) }
    }

    /// A log has shown that it goes on.
    pub(crate) fn heard(&self, origin: &str) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(heard) = heard.get_mut(origin) {
            *heard = Heard { at: Instant::now(), told: false };
        }
    }

    /// Tells an alarm, and keeps it with what was sent.
    pub(crate) fn raise(&self, alarm: &Alarm, sent: &str) {
        say(&format!("ALARM {alarm}"));
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).mode(0o600).open(&self.path);
        let line = format!("{alarm}\n{sent}\n");
        if let Err(error) =
            file.and_then(|mut file| file.write_all(line.as_bytes()).and_then(|()| file.sync_all()))
        {
            say(&format!("error: the alarm cannot be kept: {error}"));
        }
    }

    /// Is there none?
    pub(crate) fn none(&self) -> bool {
        !self.path.exists()
    }

    /// Raises an alarm for every log that is silent for so long, once for each silence.
    pub(crate) async fn listen_for_silence(self: Arc<Self>, patience: Duration) {
        let mut clock = tokio::time::interval(LISTEN_EVERY);
        loop {
            clock.tick().await;
            let mut silent = Vec::new();
            {
                let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
                for (origin, heard) in heard.iter_mut().filter(|(_, heard)| !heard.told) {
                    if heard.at.elapsed() >= patience {
                        heard.told = true;
                        let (origin, seconds) = (origin.clone(), heard.at.elapsed().as_secs());
                        silent.push(Alarm::Silence { origin, seconds });
                    }
                }
            }
            silent.iter().for_each(|alarm| self.raise(alarm, ""));
        }
    }
}

/// Says something to whoever runs the witness.
pub(crate) fn say(what: &str) {
    // If nobody hears it, there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{what}");
}
