//! What is searched when a folder is opened: a generation from disk, or what the record gives.

use super::{
    Reading, StoreError, calibrations,
    catch_up::{self, CatchUpError},
    read::{self, Without},
    recover::RecoverError,
    standing,
};
use crate::{
    generation::{
        Index, Site, Snapshot,
        files::{self, Yard},
        manifest::{self, GenerationError},
    },
    id::{EncounterKey, GenerationId, SubjectId},
    keys::{Keys, KeysError, ledger::Ledger},
};
use rusqlite::Connection;
use std::{
    collections::{HashMap, HashSet},
    io,
    path::Path,
    sync::Arc,
};

/// What is searched: the generation that was chosen, brought up to the record; or, if there is none or it cannot be used, what
/// the record itself gives, and why.
pub(crate) fn searched(
    connection: &mut Connection,
    keys: &Keys,
    ledger: &Ledger,
    yard: Yard<'_>,
    site: &Arc<Site>,
) -> Result<(Snapshot, Option<GenerationError>), RecoverError> {
    let erased = erased_since(connection, ledger)?;
    let mut unused = None;
    let chosen = match manifest::current(yard.data) {
        Ok(chosen) => chosen.filter(|_| site.index != Index::Unsearched),
        Err(error) => {
            unused = Some(GenerationError::Unknown(error));
            None
        }
    };
    if let Some(id) = chosen {
        let opened = files::open(yard, id).map_err(CatchUpError::from);
        let store = Reading::new(connection, keys);
        match opened.and_then(|opened| catch_up::snapshot(&store, opened, Arc::clone(site), &erased)) {
            Ok(snapshot) => return Ok((snapshot, None)),
            Err(CatchUpError::Store(error)) => return Err(error.into()),
            Err(CatchUpError::Generation(error)) => unused = Some(error),
        }
    }
    let generation = match site.index {
        Index::Unsearched => GenerationId(0), // none
        _ => next_generation(connection)?,
    };
    let store = Reading::new(connection, keys);
    let snapshot = load(&store, &erased, generation, Arc::clone(site))?;
    Ok((snapshot, unused))
}

/// Begins a new generation.
fn next_generation(connection: &mut Connection) -> Result<GenerationId, StoreError> {
    let transaction = connection.transaction()?;
    transaction.execute("UPDATE meta SET value = value + 1 WHERE name = 'generation'", [])?;
    let generation = read::last_generation(&transaction)?;
    transaction.commit()?;
    Ok(generation)
}

/// Opens the ledger of erasures. One that is lost, or lacks what the store knows, is written anew from the store.
pub(crate) fn open_ledger(connection: &Connection, path: &Path) -> Result<Ledger, RecoverError> {
    let known = standing::erased_count(connection)?;
    match Ledger::open(path)? {
        Some(ledger) if ledger.lines() >= known => Ok(ledger),
        _ => {
            Ledger::write(path, &standing::erasures(connection)?).map_err(KeysError::Io)?;
            let written = Ledger::open(path)?;
            Ok(written.ok_or_else(|| KeysError::from(io::Error::from(io::ErrorKind::NotFound)))?)
        }
    }
}

/// Whom the ledger names and the store, an older copy, does not know to be erased. Asked by id, line by line: how many lines a store has
/// carried out says nothing about which.
pub(crate) fn erased_since(
    connection: &Connection,
    ledger: &Ledger,
) -> Result<HashSet<SubjectId>, StoreError> {
    let mut erased = HashSet::new();
    for number in 0..ledger.lines() {
        let subject = ledger.line(number)?.subject;
        if standing::is_there(connection, subject)? {
            erased.insert(subject);
        }
    }
    Ok(erased)
}

/// Makes what is searched from the record, without whom the ledger names.
fn load(
    store: &Reading<'_>,
    erased: &HashSet<SubjectId>,
    generation: GenerationId,
    site: Arc<Site>,
) -> Result<Snapshot, RecoverError> {
    let expected = read::counted(store)?;
    if expected != read::recounted(store)? {
        return Err(RecoverError::Counts);
    }
    let mut snapshot = Snapshot {
        generation,
        as_of: read::sequence(store)?,
        catalogue: Arc::new(read::catalogue(store)?),
        models: Arc::new(read::models(store)?),
        calibrations: Arc::new(calibrations::newest(store)?),
        pieces: HashMap::new(),
        codings: HashMap::new(),
        site,
        expected,
        next_expiry: read::next_expiry(store)?,
    };
    if snapshot.site.index == Index::Unsearched {
        return Ok(snapshot);
    }
    const AT_ONCE: usize = 4096;
    let mut deltas = Vec::with_capacity(AT_ONCE);
    read::each_reference(store, EncounterKey(0), Without::These(erased), |stored| {
        deltas.push(read::delta(&snapshot.models, stored)?);
        if deltas.len() == AT_ONCE {
            snapshot.apply(std::mem::take(&mut deltas));
        }
        Ok(())
    })?;
    snapshot.apply(deltas);
    Ok(snapshot)
}
