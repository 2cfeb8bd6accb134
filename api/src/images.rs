//! Images on their way to the workers that make templates of them, and what comes back.

use bytes::Bytes;
use extractor::{
    decode::FILE_LIMIT_BYTES,
    extract::{Extraction, Unusable, Wanted},
    pool::{Pool, PoolError, Reply, Settings},
};
use gallery::{
    sample::{Hash, Sample, Shortcoming, image_hash},
    subject::RawFeatures,
};
use matcher::template::ModelId;
use std::{path::Path, sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Longest body with an image: in base64, with all else that a request says.
pub(crate) const BODY_LIMIT_BYTES: usize = FILE_LIMIT_BYTES / 3 * 4 + (1 << 20);
/// How many times its length a request takes: its body, and what is decoded of it or taken out of it.
const COPIES: usize = 2;
/// Memory that one such request may take.
pub(crate) const ROOM_A_REQUEST: u64 = (COPIES * BODY_LIMIT_BYTES) as u64;

/// Room that a request takes, until the last of its images is done with.
pub(crate) type Room = Arc<OwnedSemaphorePermit>;

/// An image in a request, and which face in it is meant.
pub(crate) struct Image {
    pub(crate) file: Bytes,
    pub(crate) wanted: Wanted,
    pub(crate) room: Option<Room>,
}

/// A file with the room that it takes.
struct Held {
    file: Bytes,
    _room: Option<Room>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.file
    }
}

/// A request that waits, or has hung up.
struct Awaiting(oneshot::Sender<Result<Extraction, PoolError>>);

impl Reply for Awaiting {
    fn is_awaited(&self) -> bool {
        !self.0.is_closed()
    }

    fn give(self: Box<Self>, made: Result<Extraction, PoolError>) {
        let _ = self.0.send(made); // whoever has hung up gets no answer
    }
}

/// Why nothing came back, if it is not for the image.
#[derive(Debug)]
pub(crate) enum ImagesError {
    /// No model is configured.
    Absent,
    /// Too many wait.
    Full,
    /// The workers fail: a fault.
    Failed(String),
}

/// The workers, and the memory for what is on its way to them.
pub(crate) struct Images {
    pool: Option<Pool>,
    /// In KiB.
    room: Arc<Semaphore>,
}

impl Images {
    /// Starts the workers, if a model is named.
    pub(crate) fn start(
        models: &Path,
        model: Option<&ModelId>,
        workers: usize,
        (queue, timeout_s, room_mib): (usize, u64, u64),
    ) -> anyhow::Result<Self> {
        let settings = model.map(|model| Settings::new(models.to_owned(), model.clone()));
        let settings = settings.map(|settings| Settings {
            workers: if workers == 0 { settings.workers } else { workers },
            queue,
            patience: Duration::from_secs(timeout_s),
            ..settings
        });
        let room = usize::try_from(room_mib << 10)?.min(Semaphore::MAX_PERMITS);
        Ok(Self { pool: settings.map(Pool::start).transpose()?, room: Arc::new(Semaphore::new(room)) })
    }

    /// The workers, if there are to be some.
    pub(crate) fn pool(&self) -> Option<&Pool> {
        self.pool.as_ref()
    }

    /// Room for a request of so many bytes, until the permit is dropped; `None` if others have it all.
    pub(crate) fn room(&self, body_bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from((body_bytes * COPIES) >> 10).ok()?;
        Arc::clone(&self.room).try_acquire_many_owned(kib).ok()
    }

    /// Makes a template; with SHA-256 of the file.
    pub(crate) async fn extract(
        &self,
        Image { file, wanted, room }: Image,
    ) -> Result<(Result<Extraction, Unusable>, Hash), ImagesError> {
        let pool = self.pool.as_ref().ok_or(ImagesError::Absent)?;
        // Of 20 MiB that takes a while.
        let hashed = tokio::task::spawn_blocking(move || (image_hash(&file), file)).await;
        let (hash, file) = hashed.map_err(|_| ImagesError::Failed("hashing has panicked".to_owned()))?;
        let (reply, answer) = oneshot::channel();
        let held = Held { file, _room: room };
        pool.submit(held, wanted, Awaiting(reply)).map_err(|_| ImagesError::Full)?;
        match answer.await {
            Ok(Ok(extraction)) => Ok((Ok(extraction), hash)),
            Ok(Err(PoolError::Unusable(unusable))) => Ok((Err(unusable), hash)),
            Ok(Err(PoolError::Failed(why))) => Err(ImagesError::Failed(why)),
            Err(_) => Err(ImagesError::Failed("the workers are gone".to_owned())),
        }
    }

    /// Makes a probe of an image, whatever it is; with the faces that are seen, if several are.
    pub(crate) async fn sample(
        &self,
        image: Image,
    ) -> Result<(Sample, Vec<extractor::detect::Face>), ImagesError> {
        let (made, hash) = self.extract(image).await?;
        Ok(match made {
            Ok(Extraction { model, features, quality, .. }) => {
                let features = RawFeatures { model, features };
                (Sample::Made { features, quality, image: hash }, Vec::new())
            }
            Err(unusable) => {
                let advice = vec![unusable.to_string()];
                let (reason, faces) = shortcoming(unusable);
                (Sample::Unusable { reason, advice, image: hash }, faces)
            }
        })
    }
}

fn shortcoming(unusable: Unusable) -> (Shortcoming, Vec<extractor::detect::Face>) {
    match unusable {
        Unusable::Unreadable { .. } => (Shortcoming::Unreadable, Vec::new()),
        Unusable::NoFace => (Shortcoming::NoFace, Vec::new()),
        Unusable::NotThere { faces } => (Shortcoming::NoFace, faces),
        Unusable::Several { faces, .. } => (Shortcoming::SeveralFaces, faces),
        Unusable::Limits => (Shortcoming::Limits, Vec::new()),
    }
}
