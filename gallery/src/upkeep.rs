//! Checking the generations of a gallery, and taking out of them who was erased.

use crate::{
    gallery::Gallery,
    generation::{
        files::Yard,
        manifest::{self, GenerationError, Manifest},
        upkeep,
    },
    id::EncounterKey,
    record::{Reading, StoreError, WriteError, catch_up},
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

/// Takes out of the current generation's files whom the record erased since it was built.
pub(crate) fn scrub_since(gallery: &Gallery) -> Result<(), WriteError> {
    let snapshot = gallery.current.load();
    let Ok(manifest) = Manifest::open(&gallery.folder, snapshot.generation, gallery.keys.generations())
    else {
        return Ok(()); // what is searched was made from the record
    };
    let gone = |store: &Reading<'_>| catch_up::gone(store, &snapshot, manifest.as_of, &HashSet::new());
    scrub(gallery, &gallery.store.read(gone)?)
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
