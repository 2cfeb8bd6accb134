//! The log, read: checkpoints, tiles and proofs of it, and what its events say.

use crate::{
    authority::{self, Audit, Caller, Catalogue, Permit, Refusal},
    event::{Event, What},
    findings::{Reached, Results},
    gallery::{Asked, Gallery},
    handling::Visibility,
    id::{SubjectId, WatchlistId},
    keys::log::{LogKeys, Opened, Unread},
    record::{StoreError, WriteError},
    timestamp::Timestamp,
};
use audit::{
    checkpoint::Checkpoint,
    hash::{self, Hash},
    log_proof::LogProof,
    note::VerifierKey,
    proof,
    receipt::Receipt,
    segment::{Head, Leaf},
    storage::Disk,
    tile::Tiles,
    verify::{self, VerifyError},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, io, ops::ControlFlow, path::Path, str::FromStr};

/// Why something of the log is not told.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// No authority; it is in the log.
    #[error(transparent)]
    Refused(Refusal),
    /// The log has no such leaf, or no such tile.
    #[error("the log has none of this number")]
    Unknown,
    /// The event's legal time is over: its key was destroyed.
    #[error("the event was erased after its legal time; its place in the log can still be proven")]
    Erased,
    /// Events are forgotten up to this month at most.
    #[error("only the events of past months are forgotten")]
    Future,
    /// The event is another nation's, or names people of another nation's who were not shown.
    #[error("the event is not one that this nation's auditors read")]
    Foreign,
    /// The tiles could not be written; a start makes them anew.
    #[error("the log's tiles cannot be read: {0}; the next start makes them anew")]
    Tiles(io::Error),
    /// The log is not what it was.
    #[error(transparent)]
    Log(#[from] VerifyError),
    /// The node is at fault.
    #[error(transparent)]
    Node(#[from] WriteError),
}

crate::fault::faults!(EvidenceError);

impl EvidenceError {
    pub(crate) fn of(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound { Self::Unknown } else { Self::Tiles(error) }
    }
}

/// An event with all that shows that it is in the log, for whoever has nothing else: the payload's commitment is in the leaf of the proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The event, exactly as it was logged: JSON as text.
    pub event: String,
    /// What hid it behind its commitment, in hexadecimal digits.
    pub salt: String,
    /// The leaf's place in the log, and a checkpoint (c2sp.org/tlog-proof).
    pub proof: String,
    /// By which the log's signature is known (c2sp.org/signed-note).
    pub log_key: String,
}

/// The key by which the log's checkpoints are known.
pub fn log_key(gallery: &Gallery) -> &VerifierKey {
    gallery.keys.log().signing().verifier()
}

/// The log as it is now, signed; cosigned, if it was by a witness.
pub fn checkpoint(gallery: &Gallery) -> String {
    let head = gallery.log.head();
    match gallery.cosigned.last() {
        Some((size, note)) if size == head.tree.size() => note.to_string(),
        _ => sign(gallery.keys.log(), &head),
    }
}

pub(crate) fn sign(keys: &LogKeys, head: &Head) -> String {
    let origin = keys.signing().verifier().name().to_owned();
    let text = Checkpoint { origin, size: head.tree.size(), root: head.tree.root() }.to_string();
    format!("{text}\n{}", keys.signing().line(&text, 0))
}

pub(crate) fn tiles(gallery: &Gallery) -> Result<&Tiles, EvidenceError> {
    gallery.log.tiles().ok_or(EvidenceError::Unknown)
}

/// Can what is in the log be proven? If not, the next start makes its tiles anew.
pub fn provable(gallery: &Gallery) -> bool {
    gallery.log.tiles().is_some_and(|tiles| !tiles.broken())
}

/// The first `width` hashes of a tile.
///
/// # Errors
/// When there are not so many, or they cannot be read.
pub fn tile(gallery: &Gallery, level: u32, index: u64, width: u64) -> Result<Vec<u8>, EvidenceError> {
    let size = gallery.log.head().tree.size();
    tiles(gallery)?.tile(size, level, index, width).map_err(EvidenceError::of)
}

/// The first `width` entries of a bundle: commitments, each after its length.
///
/// # Errors
/// When there are not so many, or they cannot be read.
pub fn bundle(gallery: &Gallery, index: u64, width: u64) -> Result<Vec<u8>, EvidenceError> {
    let size = gallery.log.head().tree.size();
    tiles(gallery)?.bundle(size, index, width).map_err(EvidenceError::of)
}

/// The proof that a leaf is in the log as it is now, or as a witness saw it, if that reaches. It tells nothing of the event.
///
/// # Errors
/// When there is no such leaf, or the tiles cannot be read.
pub fn prove(gallery: &Gallery, index: u64) -> Result<LogProof, EvidenceError> {
    let head = gallery.log.head();
    let tiles = tiles(gallery)?;
    if index >= head.tree.size() {
        return Err(EvidenceError::Unknown);
    }
    let cosigned = gallery.cosigned.last().filter(|(size, _)| (index + 1..=head.tree.size()).contains(size));
    let (size, checkpoint) = cosigned.unwrap_or_else(|| {
        let signed = sign(gallery.keys.log(), &head);
        (head.tree.size(), signed.parse().expect("a checkpoint is a signed note"))
    });
    let path = proof::inclusion(tiles, index, size).map_err(EvidenceError::of)?;
    let leaf = tiles.tile(size, 0, index / 256, index % 256 + 1).map_err(EvidenceError::of)?;
    let leaf = leaf.last_chunk().map(|hash| Hash(*hash)).ok_or(EvidenceError::Unknown)?;
    // Signed by us, also where a witness has signed it, too.
    let signed = Checkpoint::of(&checkpoint, log_key(gallery));
    if !signed.is_ok_and(|signed| proof::includes(signed.root, size, index, leaf, &path)) {
        tiles.distrust();
        return Err(EvidenceError::Tiles(io::Error::other("they do not fit the log")));
    }
    Ok(LogProof { index, path, checkpoint })
}

/// What a leaf says, with its proof. Reading is logged.
///
/// # Errors
/// When the caller may not, there is no such leaf, or it was erased.
pub fn read_event(
    gallery: &Gallery,
    caller: &Caller,
    index: u64,
) -> Result<(Evidence, Receipt), EvidenceError> {
    let permit = authority::permit_own::<Audit>(caller, &gallery.current.load().catalogue, &[]);
    let permit = gallery.logged(caller, Asked::default(), permit)?;
    let disk = Disk::open(&log_folder(&gallery.folder)).map_err(VerifyError::Io)?;
    let leaf = verify::leaf(&disk, index)?.ok_or(EvidenceError::Unknown)?;
    let opened = gallery.keys.log().open_leaf(&leaf);
    if let Ok(opened) = &opened {
        let event: Event = serde_json::from_slice(&opened.payload).map_err(|_| EvidenceError::Foreign)?;
        if !concerns_only(&permit, &gallery.current.load().catalogue, &event) {
            gallery.missed::<Audit>(caller, Asked::default())?;
            return Err(EvidenceError::Foreign);
        }
    }
    let evidence = proven(gallery, index, opened)?;
    let receipt = gallery.log_event(permit.actor(), |_| What::ReadLog { leaf: index })?;
    Ok((evidence, receipt))
}

/// May the permit's nation read it: is it an act of its own, in which nobody of another nation's was found who was not shown?
fn concerns_only(permit: &Permit<Audit>, catalogue: &Catalogue, event: &Event) -> bool {
    let nation = &permit.actor().nation;
    let findings = match &event.what {
        What::Lookup { results: Results::Told(findings), .. } | What::Authorise { findings, .. } => findings,
        What::Verify { visibility, .. } if *visibility < Visibility::Full => return false,
        _ => return event.actor.nation == *nation,
    };
    let seen = findings.answer.candidates.iter().filter_map(|one| Some(one.seen.as_ref()?.subject));
    let seen: BTreeSet<SubjectId> = seen.collect();
    let own = |list: &WatchlistId| catalogue.get(list).is_some_and(|list| list.owner == *nation);
    let told = |one: &Reached| seen.contains(&one.subject) || one.watchlists.iter().all(own);
    event.actor.nation == *nation && findings.found.iter().all(told)
}

/// The first event for which `wanted` says yes, with its proof. Reading is logged.
///
/// # Errors
/// When the caller may not, or there is none.
pub fn read_first(
    gallery: &Gallery,
    caller: &Caller,
    wanted: impl Fn(&Event) -> bool,
) -> Result<(Evidence, Receipt), EvidenceError> {
    let permit = authority::permit_own::<Audit>(caller, &gallery.current.load().catalogue, &[]);
    let permit = gallery.logged(caller, Asked::default(), permit)?;
    let (index, evidence) = evidence(gallery, |_, event| event.is_some_and(&wanted))?;
    let receipt = gallery.log_event(permit.actor(), |_| What::ReadLog { leaf: index })?;
    Ok((evidence, receipt))
}

fn evidence(
    gallery: &Gallery,
    mut wanted: impl FnMut(u64, Option<&Event>) -> bool,
) -> Result<(u64, Evidence), EvidenceError> {
    let mut found = None;
    each_leaf(gallery, |index, leaf| {
        let opened = gallery.keys.log().open_leaf(leaf);
        let event = opened.as_ref().ok().and_then(|opened| serde_json::from_slice(&opened.payload).ok());
        if wanted(index, event.as_ref()) {
            found = Some((index, opened));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    let (index, opened) = found.ok_or(EvidenceError::Unknown)?;
    Ok((index, proven(gallery, index, opened)?))
}

fn proven(gallery: &Gallery, index: u64, opened: Result<Opened, Unread>) -> Result<Evidence, EvidenceError> {
    let opened = opened.map_err(|unread| match unread {
        Unread::Erased => EvidenceError::Erased,
        Unread::Damaged => EvidenceError::Unknown,
    })?;
    Ok(Evidence {
        event: String::from_utf8(opened.payload).map_err(|_| EvidenceError::Unknown)?,
        salt: Hash(opened.salt).to_string(),
        proof: prove(gallery, index)?.to_string(),
        log_key: log_key(gallery).to_string(),
    })
}

/// Every event that can be read, in order, with its leaf's index.
///
/// # Errors
/// When the log cannot be read.
pub fn each_event(gallery: &Gallery, mut visit: impl FnMut(u64, Event)) -> Result<(), EvidenceError> {
    each_leaf(gallery, |index, leaf| {
        if let Some(event) = event(gallery.keys.log(), leaf) {
            visit(index, event);
        }
        ControlFlow::Continue(())
    })
}

/// What a leaf says, if it can be read.
pub(crate) fn event(keys: &LogKeys, leaf: &Leaf) -> Option<Event> {
    serde_json::from_slice(&keys.open_leaf(leaf).ok()?.payload).ok()
}

fn each_leaf(
    gallery: &Gallery,
    visit: impl FnMut(u64, &Leaf) -> ControlFlow<()>,
) -> Result<(), EvidenceError> {
    let disk = Disk::open(&log_folder(&gallery.folder)).map_err(VerifyError::Io)?;
    Ok(verify::walk(&disk, visit)?)
}

/// Destroys the keys of the events of all months before this one (`2026-11`), whose legal time is over: they cannot be read any more, wherever they were
/// copied to without keys, and every proof holds. Which months; it is an event before it is done.
///
/// # Errors
/// When log or keys cannot be written.
pub fn forget_before(gallery: &Gallery, caller: &Caller, month: Month) -> Result<Vec<String>, EvidenceError> {
    if month.0 > gallery.ambient.clock.now().month() {
        return Err(EvidenceError::Future);
    }
    let keys = gallery.keys.log();
    let months = keys.before(month.0);
    if !months.is_empty() {
        gallery.log_event(&caller.into(), |_| What::ForgetEvents { months: months.clone() })?;
        keys.forget_before(month.0).map_err(StoreError::from)?;
    }
    Ok(months)
}

/// A month, written `2026-11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month(u32);

/// Why a text is not a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a month is written as in 2026-11")]
pub struct MonthError;

impl FromStr for Month {
    type Err = MonthError;

    fn from_str(text: &str) -> Result<Self, MonthError> {
        let first = format!("{text}-01T00:00:00Z").parse::<Timestamp>().map_err(|_| MonthError)?;
        Ok(Self(first.month()))
    }
}

/// Where a data folder has its log.
pub fn log_folder(folder: &Path) -> std::path::PathBuf {
    folder.join(crate::gallery::LOG_FOLDER)
}

impl Evidence {
    /// Does it hold, by itself: is the event in the log of a key that the reader trusts, under a checkpoint that so many of the witnesses saw?
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(
        &self,
        log: &VerifierKey,
        witnesses: &[VerifierKey],
        quorum: usize,
    ) -> Result<Checkpoint, String> {
        let salt = Hash::from_hex(&self.salt).ok_or("the salt is not 64 hexadecimal digits")?;
        let leaf = hash::leaf(hash::commitment(&salt.0, self.event.as_bytes()));
        let proof: LogProof = self.proof.parse().map_err(|error| format!("the proof: {error}"))?;
        proof.check(leaf, log, witnesses, quorum).map_err(|error| error.to_string())
    }
}
