//! A data folder, opened.

use crate::{
    ambient::Ambient,
    authority::{Actor, Caller, Ground, Permit, Refusal, Verb},
    clock::{Awaiting, Watch},
    cosigned::Cosigned,
    event::{Event, What},
    fault::{NotPermitted, TurnError},
    generation::{Current, manifest::GenerationError},
    id::{SubjectId, WatchlistId},
    idempotency::{Claim, Claims, Idempotency, KeyError},
    job::Running,
    keys::{Keys, ledger::Ledger},
    misuse::{Guard, Halt, Stop},
    record::{Store, StoreError, WriteError, change::Done, kept::Kept, read, writer::Writer},
    register::Register,
};
use audit::{
    log::{AppendError, Log},
    receipt::Receipt,
};
use matcher::kernel::Kernel;
use serde::{Serialize, de::DeserializeOwned};
use std::{fs::File, path::PathBuf, sync::Arc, time::Duration};

/// The audit log's folder in a data folder.
pub(crate) const LOG_FOLDER: &str = "log";
/// That of its tiles, which are made of it.
pub(crate) const TILES_FOLDER: &str = "tiles";
/// How long an answer waits for its event to be durable.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a node makes its backups: in folders that are there.
#[derive(Clone, Debug)]
pub struct Backups {
    /// For record and log: each in a folder of its job's name.
    pub to: PathBuf,
    /// For the keys, if they are to be copied, too.
    pub keys: Option<PathBuf>,
}

/// An open gallery: the record, the log, and what is searched.
#[derive(Debug)]
pub struct Gallery {
    // The order is the one in which they end: the writer before the log, the lock last.
    pub(crate) writer: Writer,
    pub(crate) store: Store,
    pub(crate) log: Arc<Log>,
    pub(crate) current: Arc<Current>,
    pub(crate) pool: rayon::ThreadPool,
    pub(crate) kernel: Kernel,
    pub(crate) ambient: Ambient,
    pub(crate) watch: Arc<Watch>,
    pub(crate) claims: Claims,
    pub(crate) callers: Register,
    pub(crate) keys: Arc<Keys>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) ledger_path: PathBuf,
    /// Held while a generation is built or put in place.
    pub(crate) building: std::sync::Mutex<()>,
    /// Held by who changes the files of generations, and shared by who opens them.
    pub(crate) files: std::sync::RwLock<()>,
    pub(crate) running: Running,
    pub(crate) awaiting: Awaiting,
    pub(crate) cosigned: Cosigned,
    pub(crate) guard: Guard,
    /// Why the generation that was chosen is not the one that is searched, if so.
    pub(crate) unused: Option<GenerationError>,
    pub(crate) folder: PathBuf,
    pub(crate) backups: Option<Backups>,
    /// What stays free on the disk of what makes the record longer.
    pub(crate) reserve_bytes: u64,
    pub(crate) _lock: File,
}

/// What a permit was asked for, as the event of a refusal tells it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked<'a> {
    pub(crate) watchlists: &'a [WatchlistId],
    pub(crate) subject: Option<SubjectId>,
    pub(crate) ground: Option<&'a Ground>,
}

/// A request under a key: to be answered, or answered already.
pub(crate) enum Turn<T> {
    /// To be answered; the claim is held until then, if there is a key.
    First(Option<Claim>),
    /// Answered before.
    Again(T, Receipt),
}

impl Gallery {
    /// Why the generation that was chosen is not the one that is searched, if so: another is made from the record in memory.
    pub fn unused_generation(&self) -> Option<&GenerationError> {
        self.unused.as_ref()
    }

    /// The kernel that scans use.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Appends an event that changes no record.
    pub(crate) fn log_event(
        &self,
        actor: &Actor,
        what: impl FnOnce(&[u8; 32]) -> What,
    ) -> Result<Receipt, AppendError> {
        if self.writer.stopped() {
            return Err(AppendError::Poisoned);
        }
        let (salt, at) = (self.ambient.random(), self.ambient.clock.now());
        let event = Event { at, actor: actor.clone(), sequence: None, what: what(&salt) };
        let leaf = self.keys.log().seal(&self.ambient, at, 0, &salt, &event.payload());
        let leaf = leaf.map_err(|error| AppendError::Unwritten(error.to_string()))?;
        Ok(self.log.append_within(vec![leaf], PATIENCE)?[0])
    }

    /// Puts a refusal into the log before the caller hears of it.
    pub(crate) fn logged<V: Verb>(
        &self,
        caller: &Caller,
        asked: Asked<'_>,
        permit: Result<Permit<V>, Refusal>,
    ) -> Result<Permit<V>, NotPermitted> {
        permit.map_err(|refusal| self.refused::<V>(&caller.into(), asked, refusal))
    }

    fn refused<V: Verb>(&self, actor: &Actor, asked: Asked<'_>, refusal: Refusal) -> NotPermitted {
        let misuse = match &refusal {
            Refusal::Misuse { misuse, .. } => Some(*misuse),
            _ => None,
        };
        let what = What::Refused {
            attempted: V::NAME,
            watchlists: asked.watchlists.to_vec(),
            subject: asked.subject,
            ground: asked.ground.cloned(),
            why: refusal.to_string(),
            misuse,
        };
        match self.log_event(actor, |_| what) {
            Ok(_) => NotPermitted::Refused(refusal),
            Err(error) => NotPermitted::Unlogged(error),
        }
    }

    /// May the search be made, or what it found be shown, after all that the caller has asked before?
    pub(crate) fn guarded<V: Verb<Ground = Ground>, T>(
        &self,
        permit: &Permit<V>,
        subject: Option<SubjectId>,
        guarded: Result<T, Halt>,
    ) -> Result<T, NotPermitted> {
        guarded.map_err(|halt| match halt {
            Halt::Unwritten(error) => NotPermitted::Unlogged(AppendError::Unwritten(error.to_string())),
            Halt::Stopped(Stop { misuse, until }) => {
                let ms = until.unix_ms() - self.ambient.clock.now().unix_ms();
                let retry_after_s = u32::try_from(ms.max(0) / 1000 + 1).unwrap_or(u32::MAX);
                let watchlists: Vec<_> = permit.watchlists().iter().map(|list| list.id).collect();
                let asked = Asked { watchlists: &watchlists, subject, ground: Some(permit.ground()) };
                self.refused::<V>(permit.actor(), asked, Refusal::Misuse { misuse, retry_after_s })
            }
        })
    }

    /// Puts an answer that changes no record into the log. One that may be asked for again, or that leaves something on record, is kept by the
    /// record, with its event; the others are in the log alone.
    pub(crate) fn answer<T: Serialize + Send + 'static>(
        &self,
        actor: Actor,
        claim: Option<&Claim>,
        kept: Option<Kept>,
        answer: T,
        event: impl FnOnce(&[u8; 32], &T) -> What + Send + 'static,
    ) -> Result<(T, Receipt), WriteError> {
        if claim.is_none() && kept.is_none() {
            let receipt = self.log_event(&actor, |salt| event(salt, &answer))?;
            return Ok((answer, receipt));
        }
        let awaiting = kept.as_ref().and_then(|kept| kept.pending.as_ref()).map(|it| it.authorise_by);
        let written = self.writer.write_within(PATIENCE, actor, claim, move |change| {
            kept.as_ref().map_or(Ok(()), |kept| change.keep(kept))?;
            let what = event(&change.salt, &answer);
            Ok(Done { outcome: answer, what, deltas: Vec::new() })
        });
        awaiting.into_iter().for_each(|at| self.awaiting.until(at)); // also if it is not known what became of it
        written
    }

    /// Puts a question about a subject that is not there into the log, as a refusal.
    pub(crate) fn missed<V: Verb>(&self, caller: &Caller, asked: Asked<'_>) -> Result<(), AppendError> {
        match self.logged::<V>(caller, asked, Err(Refusal::Subject)) {
            Err(NotPermitted::Unlogged(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// What this request was answered before, if it was: it may be asked before all that a request brings is looked at.
    pub(crate) fn answered<T: DeserializeOwned>(
        &self,
        caller: &Caller,
        with: Option<Idempotency>,
    ) -> Result<Option<(T, Receipt)>, TurnError> {
        match self.turn(caller, with)? {
            Turn::Again(answer, receipt) => Ok(Some((answer, receipt))),
            Turn::First(_) => Ok(None), // its turn comes later
        }
    }

    /// Is this request to be answered, or was it already? Asked after the permit is given.
    pub(crate) fn turn<T: DeserializeOwned>(
        &self,
        caller: &Caller,
        with: Option<Idempotency>,
    ) -> Result<Turn<T>, TurnError> {
        let Some(with) = with else { return Ok(Turn::First(None)) };
        if self.writer.stopped() {
            return Err(TurnError::Node(WriteError::Poisoned));
        }
        // Claimed before it is looked up, so that no answer can be given in between.
        let claim = self.claims.claim(caller, with).map_err(TurnError::Key)?;
        match self.store.read(|store| read::find_answer(store, &claim.caller, &claim.with))? {
            None => Ok(Turn::First(Some(claim))),
            Some(read::Answer::OfAnotherRequest) => Err(TurnError::Key(KeyError::Reused)),
            Some(read::Answer::Given { receipt: None, .. }) => Err(TurnError::Key(KeyError::InProgress)),
            Some(read::Answer::Given { outcome, receipt: Some(receipt) }) => {
                let outcome = serde_json::from_slice(&outcome);
                let outcome =
                    outcome.map_err(|_| StoreError::Damaged("an answer cannot be read back".to_owned()))?;
                Ok(Turn::Again(outcome, receipt))
            }
        }
    }
}
