//! Who may be on record under two names, as a calibration finds them.

use crate::{
    authority::Actor,
    gallery::Gallery,
    generation::Snapshot,
    id::SubjectId,
    law::OwnReference,
    record::{StoreError, read},
};
use matcher::{calibration::Suspect, template::ModelId};
use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

/// Two subjects of the caller's nation who may be one person.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspected {
    /// One of them.
    pub subject: SubjectId,
    /// Its owner's name for it.
    pub reference: OwnReference,
    /// The other.
    pub other: SubjectId,
    /// Its owner's name for it.
    pub other_reference: OwnReference,
    /// Their score.
    pub score: f32,
    /// The probability that it is one of two captures of one person.
    pub probability: f64,
}

/// Of a subject, as the matcher knows it: the part of its id that is by chance.
pub(crate) fn number(subject: SubjectId) -> u64 {
    u64::from_le_bytes(*subject.bytes().last_chunk().expect("an id is longer"))
}

/// Those pairs of which both are of the actor's nation.
pub(crate) fn of(
    gallery: &Gallery,
    actor: &Actor,
    snapshot: &Snapshot,
    model: &ModelId,
    suspects: &[Suspect],
) -> Result<Vec<Suspected>, StoreError> {
    let wanted: HashSet<u64> = suspects.iter().flat_map(|one| [one.probe.subject, one.other]).collect();
    let mut ids = HashMap::new();
    for piece in snapshot.pieces(model) {
        for row in piece.listed().rows() {
            let slot = matcher::rows::Slot(piece.first().0 + row as u32);
            if let Some((_, subject, _)) =
                piece.reference(slot).filter(|(_, it, _)| wanted.contains(&number(*it)))
            {
                ids.insert(number(subject), subject);
            }
        }
    }
    let told = gallery.store.read::<_, StoreError>(|store| {
        let own = |number: u64| -> Result<Option<(SubjectId, OwnReference)>, StoreError> {
            let Some(subject) = ids.get(&number) else { return Ok(None) };
            Ok(read::own_reference(store, *subject, &actor.nation)?.map(|reference| (*subject, reference)))
        };
        let mut told = Vec::new();
        for one in suspects {
            let (Some((subject, reference)), Some((other, other_reference))) =
                (own(one.probe.subject)?, own(one.other)?)
            else {
                continue;
            };
            let (score, probability) = (one.score, one.probability);
            told.push(Suspected { subject, reference, other, other_reference, score, probability });
        }
        Ok(told)
    })?;
    // Each pair once, the likeliest first.
    let mut seen = HashSet::new();
    let mut told: Vec<Suspected> = told
        .into_iter()
        .filter(|one| seen.insert((one.subject.min(one.other), one.subject.max(one.other))))
        .collect();
    told.sort_by_key(|one| Reverse((one.probability * 1e9) as i64));
    Ok(told)
}
