//! Checking the generations of a gallery, and taking out of them who was erased.

use crate::{
    gallery::Gallery,
    generation::{
        files::Yard,
        manifest::{self, GenerationError, Manifest},
        upkeep,
    },
    id::EncounterKey,
    record::{Reading, StoreError, WriteError, catch_up, moves},
};
use matcher::template::ModelId;
use std::{collections::HashSet, sync::PoisonError};

/// Where and with what a gallery's generations are written and opened.
pub(crate) fn yard<'a>(gallery: &'a Gallery, pool: &'a rayon::ThreadPool) -> Yard<'a> {
    let (root, ambient, kernel) = (gallery.keys.generations(), &gallery.ambient, gallery.kernel);
    Yard { data: &gallery.folder, root, ambient, kernel, pool }
}

/// Reads every file of every generation and compares it with its manifest.
pub(crate) fn check(gallery: &Gallery) -> Result<(), GenerationError> {
    let _unchanged = gallery.files.read().unwrap_or_else(PoisonError::into_inner);
    let (data, check) = (&gallery.folder, |id| upkeep::check(yard(gallery, &gallery.pool), id));
    let unknown = GenerationError::Unknown;
    manifest::current(data).map_err(unknown)?.map_or(Ok(()), check)?;
    match manifest::former(data).map_err(unknown)?.map_or(Ok(()), check) {
        Err(GenerationError::Missing(_)) => Ok(()), // it was deleted, where somebody could not be erased from it
        checked => checked,
    }
}

/// Takes out of the generations' files whom the record erased, and what was moved to another subject, since they were built.
pub(crate) fn scrub_since(gallery: &Gallery) -> Result<(), WriteError> {
    let (data, root) = (&gallery.folder, gallery.keys.generations());
    let all = manifest::all(data).map_err(StoreError::from)?;
    let Some(oldest) =
        all.iter().filter_map(|id| Manifest::open(data, *id, root).ok()).map(|it| it.as_of).min()
    else {
        return Ok(());
    };
    let snapshot = gallery.current.load();
    let searched = Manifest::open(data, snapshot.generation, root).ok(); // not so if it was made from the record
    let gone = |store: &Reading<'_>| {
        let mut gone = moves::since(store, oldest)?;
        if let Some(manifest) = searched {
            gone.extend(catch_up::gone(store, &snapshot, manifest.as_of, &HashSet::new())?);
        }
        Ok::<_, StoreError>(gone)
    };
    match gallery.store.read(gone)?.as_slice() {
        [] => Ok(()),
        gone => scrub(gallery, gone),
    }
}

/// Takes references out of the files of every generation. One that cannot be changed is deleted, unless it is the one that the next
/// start opens.
///
/// # Errors
/// When that one cannot be changed.
pub(crate) fn scrub(gallery: &Gallery, erased: &[(ModelId, EncounterKey)]) -> Result<(), WriteError> {
    let _alone = gallery.files.write().unwrap_or_else(PoisonError::into_inner);
    let current = manifest::current(&gallery.folder).map_err(StoreError::from)?;
    for id in manifest::all(&gallery.folder).map_err(StoreError::from)? {
        match upkeep::scrub(yard(gallery, &gallery.pool), id, erased) {
            Ok(()) | Err(GenerationError::Missing(_)) => (), // a build that is not finished does it itself
            Err(GenerationError::Io { error, .. }) if Some(id) == current => {
                return Err(StoreError::from(error).into());
            }
            Err(_) => manifest::remove(&gallery.folder, id).map_err(StoreError::from)?,
        }
    }
    Ok(())
}
