//! What every door shares.

use crate::{
    config::Config,
    images::Images,
    issuer::Issuer,
    problem::{Kind, Problem},
    scan_scheduler::{ScanScheduler, ScheduleError},
    witnesses::Witnesses,
};
use gallery::{
    Gallery, Receipt, Searching, Setup, administer,
    ambient::Ambient,
    authority::Caller,
    evidence,
    gallery::Backups,
    grant::Credential,
    keys::root::RootKey,
    lookup::{Concluding, Prepared},
    record::StoreError,
};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// An open gallery with its queue and its callers.
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) gallery: Arc<Gallery>,
    /// How many more answers of many lines there may be at a time.
    pub(crate) long_answers: Arc<Semaphore>,
    scheduler: ScanScheduler,
    pub(crate) images: Images,
    issuer: Option<Arc<Issuer>>,
    pub(crate) witnesses: Option<Arc<Witnesses>>,
}

/// More encounters are not served without TLS.
pub(crate) const INSECURE_LIMIT: u64 = 1000;
/// Each holds a state of the record while it lasts.
const LONG_ANSWERS: usize = 2;

impl Node {
    /// Opens the data folder and reads the tokens.
    pub(crate) fn open(config: &Config, root: RootKey) -> anyhow::Result<Self> {
        let issuer = Issuer::open(config)?.map(Arc::new);
        let witnesses = Witnesses::open(config)?.map(Arc::new);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = if config.scan_threads == 0 { cores } else { config.scan_threads };
        let (anchor, ledger) = (config.anchor.clone(), config.erasure_ledger.clone());
        let reserve_bytes = config.reserve_mib.saturating_mul(1 << 20);
        let to = config.backup_folder.clone();
        let backups = to.map(|to| Backups { to, keys: config.backup_keys_folder.clone() });
        let limit = config.insecure_dev.then_some(INSECURE_LIMIT);
        let searching = if config.insecure_unlimited_searches {
            Searching::InsecureUnlimited
        } else {
            Searching::Guarded
        };
        let index = config.index;
        let setup = Setup { root, threads, index, anchor, ledger, reserve_bytes, backups, limit, searching };
        let limits = (config.image_queue, config.image_timeout_s, config.image_room_mib);
        let model = config.image_model.as_ref();
        let images = Images::start(&config.models_folder, model, config.image_workers, limits)?;
        let gallery = Arc::new(Gallery::open(&config.folder, setup, Ambient::system())?);
        let scheduler = ScanScheduler::start(Arc::clone(&gallery), config.lookup_queue)?;
        let long_answers = Arc::new(Semaphore::new(LONG_ANSWERS));
        Ok(Self { config: config.clone(), gallery, long_answers, scheduler, images, issuer, witnesses })
    }

    /// Runs a verb where it may wait for the disk.
    pub(crate) async fn blocking<T, E>(
        self: &Arc<Self>,
        verb: impl FnOnce(&Gallery) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        E: Into<Problem> + Send + 'static,
    {
        let gallery = Arc::clone(&self.gallery);
        let done = tokio::task::spawn_blocking(move || verb(&gallery)).await;
        done.map_err(|_| Problem::fault("a verb has panicked"))?.map_err(Into::into)
    }

    /// The proof of a receipt, as text, if the log's tiles can be read.
    pub(crate) async fn prove(self: &Arc<Self>, receipt: Receipt) -> Option<String> {
        let gallery = Arc::clone(&self.gallery);
        let proof = tokio::task::spawn_blocking(move || evidence::prove(&gallery, receipt.leaf_index()));
        match proof.await.ok()? {
            Ok(proof) => Some(proof.to_string()),
            Err(error) => {
                tracing::error!(%error, "an answer leaves without its proof");
                None
            }
        }
    }

    /// Does the thread that scans still run?
    pub(crate) fn scans(&self) -> bool {
        !self.scheduler.stopped()
    }

    /// Searches in the next pass.
    pub(crate) async fn search(&self, prepared: Box<Prepared>) -> Result<Concluding, Problem> {
        self.scheduler.search(prepared).await.map_err(|error| match error {
            ScheduleError::Full => Problem::new(Kind::Busy, "the queue of lookups is full"),
            ScheduleError::Stopped => Problem::fault("the scanning thread has stopped"),
        })
    }

    /// By what the holder of a bearer token is known: one of this node's, or, where an issuer is configured, a JSON Web Token of it.
    pub(crate) async fn bearer(&self, token: &str) -> Option<Credential> {
        match &self.issuer {
            Some(issuer) if token.contains('.') => {
                let (issuer, token) = (Arc::clone(issuer), token.to_owned());
                tokio::task::spawn_blocking(move || issuer.credential(&token)).await.ok()?
            }
            _ => Some(Credential::of_token(token)),
        }
    }

    /// Whose credential is it?
    pub(crate) fn caller(&self, credential: &Credential) -> Option<Caller> {
        administer::recognise(&self.gallery, credential)
    }

    /// What is weaker than it should be.
    pub(crate) fn insecure(&self) -> Vec<&'static str> {
        let weaker = [
            (self.config.tls_certificate.is_none(), "insecure_dev"),
            (self.config.insecure_unlimited_searches, "insecure_unlimited_searches"),
        ];
        weaker.into_iter().filter_map(|(weaker, name)| weaker.then_some(name)).collect()
    }

    /// Encounters on record.
    pub(crate) fn encounters(&self) -> Result<u64, StoreError> {
        Ok(self.gallery.status()?.encounters)
    }

    /// How many callers hold a grant.
    pub(crate) fn callers(&self) -> usize {
        administer::count(&self.gallery)
    }
}
