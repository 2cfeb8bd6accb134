//! What somebody must look at.

use audit::witness::Alarm;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// How often it is asked who is silent, and what has come of a suspicion.
const LISTEN_EVERY: Duration = Duration::from_millis(500);

/// What is known of a log since it showed that it goes on.
struct Heard {
    at: Instant,
    /// Something that may be a log's doing, or somebody else's who sends what is old or wrong.
    suspected: Option<(Instant, Alarm, String)>,
    /// What was told already.
    told: BTreeSet<String>,
}

impl Heard {
    fn now() -> Self {
        Self { at: Instant::now(), suspected: None, told: BTreeSet::new() }
    }
}

/// The alarms, and how each log does.
pub(crate) struct Alarms {
    path: PathBuf,
    heard: Mutex<BTreeMap<String, Heard>>,
    some: AtomicBool,
}

impl Alarms {
    pub(crate) fn new<'a>(path: PathBuf, origins: impl Iterator<Item = &'a str>) -> Self {
        let heard = Mutex::new(origins.map(|origin| (origin.to_owned(), Heard::now())).collect());
        let some = AtomicBool::new(path.exists());
        Self { path, heard, some }
    }

    /// A log has shown that it goes on.
    pub(crate) fn heard(&self, origin: &str) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(heard) = heard.get_mut(origin) {
            *heard = Heard::now();
        }
    }

    /// Something is wrong with what was sent: told at once if the log itself has proven it, else if the log does not go on.
    pub(crate) fn suspect(&self, alarm: Alarm, sent: String) {
        if alarm.is_proven() {
            return self.raise(&alarm, &sent);
        }
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(heard) = heard.get_mut(alarm.origin()) {
            heard.suspected.get_or_insert((Instant::now(), alarm, sent));
        }
    }

    /// Tells an alarm, and keeps it with what was sent; once, until the log goes on.
    fn raise(&self, alarm: &Alarm, sent: &str) {
        {
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            let kind = alarm.to_string().split(':').next().unwrap_or_default().to_owned();
            if !heard.get_mut(alarm.origin()).is_some_and(|heard| heard.told.insert(kind)) {
                return;
            }
        }
        self.some.store(true, Ordering::Release);
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

    /// Is there none, nor was there since the start?
    pub(crate) fn none(&self) -> bool {
        !self.some.load(Ordering::Acquire)
    }

    /// Tells who is silent for so long, and what was suspected so long ago while the log did not go on.
    pub(crate) fn listen(&self, silence: Duration, grace: Duration) {
        let mut due = Vec::new();
        {
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            for (origin, heard) in heard.iter_mut() {
                if heard.at.elapsed() >= silence {
                    let (origin, seconds) = (origin.clone(), heard.at.elapsed().as_secs());
                    due.push((Alarm::Silence { origin, seconds }, String::new()));
                }
                if heard.suspected.as_ref().is_some_and(|(since, ..)| since.elapsed() >= grace) {
                    due.extend(heard.suspected.take().map(|(_, alarm, sent)| (alarm, sent)));
                }
            }
        }
        due.iter().for_each(|(alarm, sent)| self.raise(alarm, sent));
    }

    /// The same, again and again, on a thread of its own.
    pub(crate) fn keep_listening(self: Arc<Self>, silence: Duration, grace: Duration) -> std::io::Result<()> {
        let thread = std::thread::Builder::new().name("alarms".to_owned());
        thread.spawn(move || {
            loop {
                self.listen(silence, grace);
                std::thread::sleep(LISTEN_EVERY);
            }
        })?;
        Ok(())
    }
}

/// Says something to whoever runs the witness.
pub(crate) fn say(what: &str) {
    // If nobody hears it, there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_can_cause_counts_only_if_the_log_does_not_go_on() {
        let path = std::env::temp_dir().join(format!("limen-alarms-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let alarms = Alarms::new(path.clone(), ["a"].into_iter());
        let rollback = || Alarm::Rollback { origin: "a".to_owned(), seen: 9, signed: 3 };
        let long = Duration::from_hours(1);
        alarms.suspect(rollback(), String::new());
        alarms.heard("a"); // it was a replay
        alarms.listen(long, Duration::ZERO);
        assert!(alarms.none());
        alarms.suspect(rollback(), "sent".to_owned());
        alarms.listen(long, long);
        assert!(alarms.none(), "not yet");
        alarms.listen(long, Duration::ZERO);
        alarms.suspect(rollback(), "again".to_owned());
        alarms.listen(long, Duration::ZERO);
        assert!(!alarms.none());
        let kept = std::fs::read_to_string(&path).unwrap();
        assert!(kept.contains("sent") && !kept.contains("again"), "once: {kept}");
        alarms.suspect(Alarm::Fork { origin: "a".to_owned(), seen: 9, signed: 9 }, "proof".to_owned());
        assert!(std::fs::read_to_string(&path).unwrap().contains("proof"), "at once");
        std::fs::remove_file(path).unwrap();
    }
}
