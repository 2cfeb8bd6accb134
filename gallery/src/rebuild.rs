//! Rebuilding: a generation is built from the record beside the one that is searched, opened as a restart would open it, compared
//! with the exact scan, and then put in its place. Lookups never wait for it; whatever fails leaves the old one.

use crate::{
    authority::{self, Actor, Caller, Rebuild, Refusal},
    compare,
    event::What,
    gallery::{Asked, Gallery},
    generation::{
        Delta, Index, Site, Snapshot,
        build::{BuildError, Builder},
        files,
        manifest::{self, GenerationError, Manifest},
    },
    id::{EncounterKey, GenerationId, RecordSequence},
    job::{Progress, Stage},
    priority,
    record::{
        Reading, StoreError, WriteError,
        catch_up::{self, CatchUpError},
        change::Done,
        read::{self, Without},
    },
    room,
    timestamp::Timestamp,
    upkeep,
};
use matcher::template::ModelProfile;
use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, TryLockError},
};

/// Why nothing was rebuilt, or what was built is not searched.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// No authority; it is in the log.
    #[error(transparent)]
    Refused(Refusal),
    /// One at a time.
    #[error("a generation is being built or put in place already")]
    Busy,
    /// It could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// What was built, or what was asked for, cannot be used.
    #[error(transparent)]
    Generation(#[from] GenerationError),
    /// Nothing to go back to.
    #[error("there is no generation to go back to")]
    NoFormer,
    /// What was built does not answer as the exact scan does.
    #[error("generation {id} does not answer as the exact scan: {what}; it is not used")]
    Differs {
        /// Which.
        id: u64,
        /// What was wrong.
        what: String,
    },
    /// The node is at fault.
    #[error(transparent)]
    Node(#[from] WriteError),
}

crate::fault::faults!(RebuildError);

impl From<CatchUpError> for RebuildError {
    fn from(error: CatchUpError) -> Self {
        match error {
            CatchUpError::Store(error) => error.into(),
            CatchUpError::Generation(error) => error.into(),
        }
    }
}

/// A generation on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerationInfo {
    /// Which.
    pub id: GenerationId,
    /// Up to which event of the record it was built.
    pub as_of: RecordSequence,
    /// When.
    pub built_at: Timestamp,
    /// Its references.
    pub references: u64,
    /// The Merkle root over the digests of its files' parts.
    pub root: String,
    /// Is it the one that is searched?
    pub current: bool,
}

/// Builds a generation from the record, compares it with the exact scan and puts it in place. `go_on` is told how far it
/// has come, and may end it.
///
/// # Errors
/// When the caller may not, another build runs, `go_on` says no, it does not answer as it should, or the node cannot.
pub fn rebuild(
    gallery: &Gallery,
    caller: &Caller,
    go_on: impl FnMut(Progress) -> bool,
) -> Result<GenerationInfo, RebuildError> {
    let actor = permitted(gallery, caller)?;
    rebuild_as(gallery, &actor, go_on)
}

/// The same for who has the right to.
pub(crate) fn rebuild_as(
    gallery: &Gallery,
    actor: &Actor,
    mut go_on: impl FnMut(Progress) -> bool,
) -> Result<GenerationInfo, RebuildError> {
    let _one_at_a_time = turn(gallery)?;
    let pool = &priority::quiet_pool(gallery).map_err(BuildError::from)?;
    tidy(gallery).map_err(StoreError::from)?;
    let built = build(gallery, pool, &mut go_on)
        .and_then(|manifest| place(gallery, pool, actor, manifest.id, true, &mut go_on));
    if built.is_err() {
        let _ = tidy(gallery); // what was begun is of no use, and takes room
    }
    built
}

/// Puts a generation that is there in place of the one that is searched.
///
/// # Errors
/// When the caller may not, it is not there or cannot be used, or the node cannot.
pub fn activate(
    gallery: &Gallery,
    caller: &Caller,
    id: GenerationId,
) -> Result<GenerationInfo, RebuildError> {
    let actor = permitted(gallery, caller)?;
    let _one_at_a_time = turn(gallery)?;
    place(gallery, &gallery.pool, &actor, id, false, &mut |_| true)
}

/// Puts the generation that was searched before back in place.
///
/// # Errors
/// As with [`activate`], and when there is none.
pub fn rollback(gallery: &Gallery, caller: &Caller) -> Result<GenerationInfo, RebuildError> {
    let actor = permitted(gallery, caller)?;
    let _one_at_a_time = turn(gallery)?;
    let former = manifest::former(&gallery.folder).map_err(StoreError::from)?;
    let former = former.ok_or(RebuildError::NoFormer)?;
    place(gallery, &gallery.pool, &actor, former, false, &mut |_| true)
}

/// The same for a caller.
///
/// # Errors
/// When the caller may not, or the folder cannot be read.
pub fn generations_for(gallery: &Gallery, caller: &Caller) -> Result<Vec<GenerationInfo>, RebuildError> {
    permitted(gallery, caller)?;
    Ok(generations(gallery)?)
}

/// The generation that the next start opens.
///
/// # Errors
/// When it cannot be read which.
pub fn chosen(gallery: &Gallery) -> Result<Option<GenerationId>, StoreError> {
    Ok(manifest::current(&gallery.folder)?)
}

/// The generations on disk, oldest first; one that cannot be read is left out.
///
/// # Errors
/// When the folder cannot be read.
pub fn generations(gallery: &Gallery) -> Result<Vec<GenerationInfo>, StoreError> {
    let current = gallery.current.load().generation;
    let root = gallery.keys.generations();
    let open = |id| Manifest::open(&gallery.folder, id, root).ok();
    let manifests = manifest::all(&gallery.folder)?.into_iter().filter_map(open);
    Ok(manifests.map(|manifest| info(&manifest, current)).collect())
}

/// Why should a generation be built now: because there is none for so many references, or the one that was chosen cannot be used.
pub fn wanted(gallery: &Gallery) -> Option<String> {
    /// Fewer are read from the record soon enough.
    const MANY: u32 = 16_384;
    if let Some(error) = gallery.unused_generation() {
        return Some(error.to_string());
    }
    let snapshot = gallery.current.load();
    let many = snapshot.pieces.values().filter_map(|pieces| pieces.last()).any(|last| last.end() >= MANY);
    let some = manifest::all(&gallery.folder).is_ok_and(|all| !all.is_empty());
    let none = (many || some) && manifest::current(&gallery.folder).is_ok_and(|current| current.is_none());
    none.then(|| "none is chosen, and a start from the record alone takes longer".to_owned())
}

fn info(manifest: &Manifest, current: GenerationId) -> GenerationInfo {
    GenerationInfo {
        id: manifest.id,
        as_of: manifest.as_of,
        built_at: manifest.built_at,
        references: manifest.models.iter().map(|part| u64::from(part.count())).sum(),
        root: manifest.root().to_owned(),
        current: manifest.id == current,
    }
}

fn permitted(gallery: &Gallery, caller: &Caller) -> Result<Actor, RebuildError> {
    let permit = authority::permit_own::<Rebuild>(caller, &gallery.current.load().catalogue, &[]);
    Ok(gallery.logged(caller, Asked::default(), permit)?.actor().clone())
}

fn turn(gallery: &Gallery) -> Result<std::sync::MutexGuard<'_, ()>, RebuildError> {
    match gallery.building.try_lock() {
        Ok(turn) => Ok(turn),
        Err(TryLockError::Poisoned(turn)) => Ok(PoisonError::into_inner(turn)),
        Err(TryLockError::WouldBlock) => Err(RebuildError::Busy),
    }
}

/// How often somebody is told how far it has come, in references.
const TELL_EVERY: u64 = 4096;

/// A build takes at most this much of the disk: a feature in f32 and in codes, and what else there is of a reference.
const FEATURE_BYTES: u64 = 6;
const REFERENCE_BYTES: u64 = 128;

fn build(
    gallery: &Gallery,
    pool: &rayon::ThreadPool,
    go_on: &mut impl FnMut(Progress) -> bool,
) -> Result<Manifest, RebuildError> {
    gallery.store.read(|store| {
        let id = manifest::next(&gallery.folder, read::last_generation(store)?).map_err(StoreError::from)?;
        let (models, total) = (read::models(store)?, read::searchable(store)?);
        let widest = models.values().map(ModelProfile::dimension).max().unwrap_or(0) as u64;
        room::must_be_there(gallery, total * (FEATURE_BYTES * widest + REFERENCE_BYTES))?;
        let mut builder = Builder::begin(upkeep::yard(gallery, pool), id, read::sequence(store)?)?;
        let (mut done, mut failure) = (0, None);
        // Who is erased while it is read is left out; the record has taken that in when it is put in place.
        let read = read::each_reference(store, EncounterKey(0), Without::Erased, |stored| {
            let Delta::Reference { key, subject, template, lists } = read::delta(&models, stored)? else {
                return Ok(());
            };
            let mut taken = builder.push(key, subject, &template, &lists);
            done += 1;
            if taken.is_ok()
                && done % TELL_EVERY == 0
                && !go_on(Progress { stage: Stage::Reading, done, total })
            {
                taken = Err(BuildError::Cancelled);
            }
            taken.map_err(|error| {
                failure = Some(error);
                StoreError::Aborted
            })
        });
        if let Some(failure) = failure {
            return Err(failure.into());
        }
        read?;
        let snapshot = gallery.current.load();
        let told = |done| go_on(Progress { stage: Stage::Coding, done, total });
        Ok(builder.finish(|model| snapshot.usual_threshold(model), told)?)
    })
}

/// Opens a generation as a restart would, brings it up to the record, and puts it in place.
fn place(
    gallery: &Gallery,
    pool: &rayon::ThreadPool,
    actor: &Actor,
    id: GenerationId,
    compared: bool,
    go_on: &mut impl FnMut(Progress) -> bool,
) -> Result<GenerationInfo, RebuildError> {
    let (ambient, kernel) = (gallery.ambient.clone(), gallery.kernel);
    let index = match gallery.current.load().site.index {
        Index::Unsearched => Index::Exhaustive, // to be compared, not to be kept
        index => index,
    };
    let site = Arc::new(Site { folder: gallery.folder.clone(), ambient, kernel, index });
    // Opened anew each time: what was taken in stands in the slots of this opening alone.
    let (mut snapshot, manifest) = unless_erased(|| {
        let opened = {
            let _unchanged = gallery.files.read().unwrap_or_else(PoisonError::into_inner);
            files::open(upkeep::yard(gallery, pool), id)?
        };
        let (manifest, site) = (opened.manifest.clone(), Arc::clone(&site));
        let snapshot =
            gallery.store.read(|store| catch_up::snapshot(store, opened, site, &HashSet::new()))?;
        Ok((snapshot, manifest))
    })?;
    if compared {
        compare(gallery, pool, &mut snapshot, manifest.last_key(), go_on)?;
    }
    let what = What::Activate {
        generation: id,
        former: match gallery.current.load().generation {
            GenerationId(0) => manifest::current(&gallery.folder).map_err(StoreError::from)?,
            searched => Some(searched),
        },
        built_as_of: manifest.as_of,
        root: manifest.root().to_owned(),
    };
    let last_key = manifest.last_key();
    // In the writer's own order: everything before this change is in it, and what comes after is added to it.
    gallery.writer.write(actor.clone(), None, move |change| {
        let store = Reading::new(change.connection, change.keys);
        let last_key = last_key.max(snapshot.last_key());
        catch_up::advance(&store, &mut snapshot, last_key, &HashSet::new())?;
        change.set_generation(id)?;
        Ok::<_, RebuildError>(Done { outcome: (), what, deltas: vec![Delta::Generation(Box::new(snapshot))] })
    })?;
    manifest::choose(&gallery.folder, id).map_err(StoreError::from)?;
    tidy(gallery).map_err(StoreError::from)?;
    upkeep::scrub_since(gallery)?; // who was erased while it was built
    Ok(info(&manifest, id))
}

/// Reads again, from a younger state of the record, if somebody was erased while it was read.
fn unless_erased<T>(mut read: impl FnMut() -> Result<T, CatchUpError>) -> Result<T, CatchUpError> {
    loop {
        match read() {
            Err(CatchUpError::Store(StoreError::Erased(_))) => (),
            other => return other,
        }
    }
}

/// Compares what was built with the exact scan; once more if somebody was erased meanwhile.
fn compare(
    gallery: &Gallery,
    pool: &rayon::ThreadPool,
    snapshot: &mut Snapshot,
    last_key: EncounterKey,
    go_on: &mut impl FnMut(Progress) -> bool,
) -> Result<(), RebuildError> {
    loop {
        let told = |done, total| go_on(Progress { stage: Stage::Comparing, done, total });
        let what = match compare::with_the_exact_scan(gallery, pool, snapshot, told) {
            Ok(true) => return Ok(()),
            Ok(false) => return Err(BuildError::Cancelled.into()),
            Err(what) => what,
        };
        let (since, nobody) = (snapshot.as_of, HashSet::new());
        let gone = unless_erased(|| {
            gallery.store.read(|store| {
                let gone = catch_up::gone(store, snapshot, since, &nobody)?;
                catch_up::advance(store, snapshot, last_key.max(snapshot.last_key()), &nobody)?;
                Ok::<_, CatchUpError>(gone)
            })
        })?;
        if gone.is_empty() {
            return Err(RebuildError::Differs { id: snapshot.generation.0, what });
        }
    }
}

/// Deletes generations that are neither searched nor the one before, nor what the next start opens: what builds left that came to no end.
pub(crate) fn tidy(gallery: &Gallery) -> std::io::Result<()> {
    let (current, former) = (manifest::current(&gallery.folder)?, manifest::former(&gallery.folder)?);
    let kept = [current, former, Some(gallery.current.load().generation)];
    for id in manifest::all(&gallery.folder)?.into_iter().filter(|id| !kept.contains(&Some(*id))) {
        // Where none is chosen, that may be forgotten only: what is whole stays.
        if current.is_some() || Manifest::open(&gallery.folder, id, gallery.keys.generations()).is_err() {
            manifest::remove(&gallery.folder, id)?;
        }
    }
    Ok(())
}
