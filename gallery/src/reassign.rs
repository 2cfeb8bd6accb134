//! Corrections of who is who: an encounter is moved to the subject whose it is; a subject that is another is merged into it. The machine
//! proposes nothing of this: people have judged.

use crate::{
    authority::{Caller, Permit, Reassign},
    event::What,
    gallery::Gallery,
    generation::Delta,
    id::{EncounterId, EncounterKey, SubjectId},
    idempotency::Idempotency,
    record::{
        StoreError,
        change::{Change, Found, SubjectRow},
    },
    subject_change::{self, SubjectChangeError},
    timestamp::Timestamp,
    upkeep,
};
use audit::receipt::Receipt;
use matcher::template::ModelId;
use std::sync::{Arc, Mutex, PoisonError};

/// Moves encounters of one subject to another of the caller's nation: with their ids, sealed under the other's key, searched on the other's
/// watchlists. A backup from before still holds them under the first subject's key: who is to be erased everywhere is erased in backups made
/// since.
///
/// # Errors
/// When the caller may not, one of them is unknown, retired or contested, an encounter is not the first one's or cannot be the other's, none
/// would be left, or the node cannot.
pub fn move_encounters(
    gallery: &Gallery,
    caller: &Caller,
    from: SubjectId,
    encounters: Vec<EncounterId>,
    to: SubjectId,
    idempotency: Option<Idempotency>,
) -> Result<(Timestamp, Receipt), SubjectChangeError> {
    reassign(gallery, caller, from, to, idempotency, move |change, from_row, to_row| {
        let mut left = change.encounters_of(from_row)?;
        left.retain(|id| !encounters.contains(id));
        if left.is_empty() {
            return Err(SubjectChangeError::State("would be left without encounters: merge it"));
        }
        let deltas = give(change, from_row, to_row, &encounters)?;
        for delta in &deltas {
            if let Delta::Forget { model, .. } = delta
                && change.active_lists(to_row, model)?.is_empty()
            {
                let what = "has an encounter of a model of none of the other's watchlists";
                return Err(SubjectChangeError::State(what));
            }
        }
        Ok((What::Move { from, to, encounters }, deltas))
    })
}

/// Merges a subject into another of the caller's nation: all its encounters and entries are the other's from now on. It stays on record, retired,
/// and is erased with the other.
///
/// # Errors
/// As with [`move_encounters`].
pub fn merge(
    gallery: &Gallery,
    caller: &Caller,
    from: SubjectId,
    into: SubjectId,
    idempotency: Option<Idempotency>,
) -> Result<(Timestamp, Receipt), SubjectChangeError> {
    reassign(gallery, caller, from, into, idempotency, move |change, from_row, into_row| {
        change.take_entries(from_row, into_row)?;
        let encounters = change.encounters_of(from_row)?;
        let deltas = give(change, from_row, into_row, &encounters)?;
        change.retire_subject(from_row)?;
        change.note_merger(from_row, into_row)?;
        Ok((What::Merge { from, into, encounters }, deltas))
    })
}

fn give(
    change: &Change<'_>,
    from: SubjectRow,
    to: SubjectRow,
    encounters: &[EncounterId],
) -> Result<Vec<Delta>, SubjectChangeError> {
    let mut deltas = Vec::with_capacity(encounters.len());
    for id in encounters {
        let forget = change.move_encounter(from, to, *id)?;
        let forget = forget.ok_or(SubjectChangeError::State("has no such encounter"))?;
        deltas.push(forget);
    }
    Ok(deltas)
}

/// Changes two subjects; then the places that encounters had are taken out of the files of generations.
fn reassign(
    gallery: &Gallery,
    caller: &Caller,
    from: SubjectId,
    to: SubjectId,
    idempotency: Option<Idempotency>,
    work: impl FnOnce(&Change<'_>, SubjectRow, SubjectRow) -> Result<(What, Vec<Delta>), SubjectChangeError>
    + Send
    + 'static,
) -> Result<(Timestamp, Receipt), SubjectChangeError> {
    let left = Arc::new(Mutex::new(Vec::<(ModelId, EncounterKey)>::new()));
    let keep = Arc::clone(&left);
    let both = move |change: &Change<'_>, permit: &Permit<Reassign>, found: Found| {
        let other = change.find_permitted(permit, to)?.ok_or(SubjectChangeError::Unknown)?;
        if from == to {
            return Err(SubjectChangeError::State("is the other"));
        }
        for one in [&found, &other] {
            if one.retired_at.is_some() || one.restricted_at.is_some() {
                return Err(SubjectChangeError::State("or the other is retired or contested"));
            }
        }
        let (what, mut deltas) = work(change, found.row, other.row)?;
        let (What::Move { encounters, .. } | What::Merge { encounters, .. }) = &what else {
            return Err(StoreError::Damaged("another event than a move".to_owned()).into());
        };
        let moved = deltas.iter().filter_map(|delta| match delta {
            Delta::Forget { key, model } => Some((model.clone(), *key)),
            _ => None,
        });
        keep.lock().unwrap_or_else(PoisonError::into_inner).extend(moved);
        deltas.extend(change.lists_of(to)?);
        deltas.extend(change.arrived(to, encounters)?);
        Ok((what, deltas))
    };
    let changed = subject_change::change_with::<Reassign>(gallery, caller, from, idempotency, both)?;
    let left = std::mem::take(&mut *left.lock().unwrap_or_else(PoisonError::into_inner));
    // What cannot be taken out now is taken out at the next start.
    let _ = upkeep::scrub(gallery, &left);
    Ok(changed)
}
