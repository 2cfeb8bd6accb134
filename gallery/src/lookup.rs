//! Lookup: which references on these watchlists reach the threshold?
//!
//! In three steps, so that the scans of many lookups can share one pass over the references:
//! [`prepare`] each, [`search_batch`] all together, [`conclude`] each.

use crate::{
    authority::{self, Actor, Caller, Ground, Lookup, Permit, Refusal, Verb},
    decision::{Candidate, Certificate, Decision, LookupAnswer, Reason},
    decline::{self, Decline, Declined},
    digest::ProbeDigest,
    disclosure::{Disclosure, Reaching, Searcher},
    event::What,
    expire::{self, ExpireError},
    findings::{Findings, Reached, Results},
    gallery::{Asked, Gallery, Turn},
    generation::Snapshot,
    id::{LookupId, WatchlistId},
    idempotency::{Idempotency, KeyError},
    law::Allowance,
    notice::{Notice, Search},
    record::{
        WriteError,
        kept::{Kept, Pending},
    },
    sample::Sample,
    strictness::{InForce, Stricter, StrictnessError},
    timestamp::Timestamp,
    watchlist::Watchlist,
};
use audit::{
    hash::{Hash, sha256},
    receipt::Receipt,
};
use matcher::{
    score::Threshold,
    template::{ModelId, Probe, TemplateError},
};
use std::sync::Arc;

pub use crate::scan::{Concluding, Prepared, search_batch};

/// Watchlists that one lookup may name.
pub const WATCHLIST_LIMIT: usize = 64;
/// Candidates that one lookup may ask for.
pub const CANDIDATE_LIMIT: u32 = 100;

/// What a caller asks.
#[derive(Clone, Debug)]
pub struct LookupRequest {
    /// Where to search.
    pub watchlists: Vec<WatchlistId>,
    /// Why.
    pub ground: Ground,
    /// With what.
    pub probe: Sample,
    /// How many candidates to list at most.
    pub limit: u32,
    /// Something stricter than the watchlists' own policies, for who may see scores.
    pub stricter: Stricter,
}

/// Why a lookup is not answered.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// No authority; it is in the log.
    #[error(transparent)]
    Refused(Refusal),
    /// No watchlist, or too many.
    #[error("a lookup names 1 to {WATCHLIST_LIMIT} watchlists")]
    WatchlistCount,
    /// A watchlist is named twice.
    #[error("this watchlist is named twice")]
    WatchlistRepeated {
        /// Position in the request, from 0.
        index: usize,
    },
    /// A watchlist holds templates of another model than the probe's.
    #[error("watchlist {index} holds templates of model {expected}, the probe is of another")]
    Model {
        /// Position in the request, from 0.
        index: usize,
        /// The watchlist's model.
        expected: ModelId,
    },
    /// The probe is not a template of its model.
    #[error(transparent)]
    Probe(#[from] TemplateError),
    /// The caller's threshold is looser than a watchlist's own.
    #[error("the threshold may only be stricter than that of watchlist {index}, which is {policy}")]
    Looser {
        /// Position in the request, from 0.
        index: usize,
        /// The watchlist's threshold.
        policy: f32,
    },
    /// The caller or a watchlist names an FPIR, and the node's calibration does not tell of it.
    #[error("no threshold can be told for this FPIR: {0}")]
    Uncalibrated(String),
    /// The caller asks for an FPIR of which the calibration does not tell.
    #[error("no threshold can be told for this FPIR: {0}")]
    Beyond(String),
    /// No candidates, or too many.
    #[error("a lookup asks for 1 to {CANDIDATE_LIMIT} candidates")]
    Limit,
    /// The image is not enough to search with: inconclusive. It is in the log.
    #[error("{}", .0.advice.join("; "))]
    Declined(Box<Declined>),
    /// The idempotency key cannot be used.
    #[error(transparent)]
    Key(KeyError),
    /// The node is at fault.
    #[error(transparent)]
    Node(#[from] WriteError),
}

crate::fault::faults!(LookupError);
crate::fault::turn_faults!(LookupError);

impl From<Decline> for LookupError {
    fn from(decline: Decline) -> Self {
        match decline {
            Decline::Said(declined) => Self::Declined(declined),
            Decline::Unlogged(error) => error.into(),
        }
    }
}

impl From<StrictnessError> for LookupError {
    fn from(error: StrictnessError) -> Self {
        match error {
            StrictnessError::Uncalibrated(why) => Self::Uncalibrated(why),
            StrictnessError::Beyond(why) => Self::Beyond(why),
            StrictnessError::Looser { index, policy } => Self::Looser { index, policy },
        }
    }
}

impl From<ExpireError> for LookupError {
    fn from(ExpireError(error): ExpireError) -> Self {
        Self::Node(error)
    }
}

/// What comes of preparing a lookup.
#[derive(Debug)]
pub enum Preparation {
    /// It is to be searched.
    Search(Box<Prepared>),
    /// It was answered before, under the same idempotency key.
    Answered(Box<LookupAnswer>, Receipt),
}

/// Asked before an image is looked at: may this caller search so, and was this answered before? The search itself asks again.
///
/// # Errors
/// When it may not.
pub fn ahead(
    gallery: &Gallery,
    caller: &Caller,
    (watchlists, ground): (&[WatchlistId], &Ground),
    stricter: Stricter,
    idempotency: Option<Idempotency>,
) -> Result<Option<(LookupAnswer, Receipt)>, LookupError> {
    check_bounds(watchlists, 1)?;
    let (snapshot, now) = (gallery.current.load(), gallery.ambient.clock.now());
    let catalogue = &snapshot.catalogue;
    let permit =
        authority::permit_search::<Lookup>(caller, catalogue, watchlists, ground.clone(), false, now);
    let asked = Asked { watchlists, ground: Some(ground), ..Asked::default() };
    gallery.logged(caller, asked, permit.and_then(|permit| may_choose(permit, stricter)))?;
    Ok(gallery.answered(caller, idempotency)?)
}

/// Authority and probe: what can be refused is refused here, before anything is searched.
///
/// # Errors
/// When the caller may not, the request is malformed, or the node cannot.
pub fn prepare(
    gallery: &Gallery,
    caller: &Caller,
    request: LookupRequest,
    idempotency: Option<Idempotency>,
) -> Result<Preparation, LookupError> {
    expire::due(gallery)?;
    let snapshot = gallery.current.load();
    let LookupRequest { watchlists, ground, probe, limit, stricter } = request;
    let now = gallery.ambient.clock.now();
    check_bounds(&watchlists, limit)?;
    let (raw, image) = (probe.is_raw(), probe.image());
    let permit = authority::permit_search::<Lookup>(
        caller,
        &snapshot.catalogue,
        &watchlists,
        ground.clone(),
        raw,
        now,
    );
    let asked = Asked { watchlists: &watchlists, ground: Some(&ground), ..Asked::default() };
    let permit = gallery.logged(caller, asked, permit.and_then(|permit| may_choose(permit, stricter)))?;
    let claim = match gallery.turn(caller, idempotency)? {
        Turn::Again(answer, receipt) => return Ok(Preparation::Answered(Box::new(answer), receipt)),
        Turn::First(claim) => claim,
    };
    let probe = decline::usable(gallery, &permit, asked, probe)?;
    let thresholds = thresholds(&snapshot, permit.watchlists(), &probe.model, stricter)?;
    let profile = snapshot.models.get(&probe.model).ok_or_else(|| unknown_model(&permit))?;
    let template = Probe::new(&profile.template(&probe.features)?);
    let budget = permit.searches_per_hour();
    let admission =
        gallery.guard.admit(permit.actor(), budget, (&template, asked_for(&thresholds, stricter)), None);
    let admission = gallery.guarded(&permit, None, admission)?;
    Ok(Preparation::Search(Box::new(Prepared {
        id: LookupId::mint(&gallery.ambient),
        permit,
        thresholds,
        calibrated: snapshot.calibrated(&probe.model).cloned(),
        probe: template,
        features: probe.features,
        image,
        limit,
        claim,
        admission,
    })))
}

/// Who sees no scores chooses no threshold: a few would tell the score.
pub(crate) fn may_choose<V: Verb>(permit: Permit<V>, stricter: Stricter) -> Result<Permit<V>, Refusal> {
    if stricter.is_none() || permit.allows(Allowance::Scores) { Ok(permit) } else { Err(Refusal::Threshold) }
}

/// With another threshold it is another question.
fn asked_for(thresholds: &[InForce], stricter: Stricter) -> Option<Threshold> {
    let loosest = thresholds.iter().map(|it| it.asked).reduce(Threshold::looser);
    loosest.filter(|_| !stricter.is_none())
}

fn check_bounds(watchlists: &[WatchlistId], limit: u32) -> Result<(), LookupError> {
    if !(1..=WATCHLIST_LIMIT).contains(&watchlists.len()) {
        return Err(LookupError::WatchlistCount);
    }
    if let Some(index) = authority::repeated(watchlists) {
        return Err(LookupError::WatchlistRepeated { index });
    }
    if (1..=CANDIDATE_LIMIT).contains(&limit) { Ok(()) } else { Err(LookupError::Limit) }
}

fn unknown_model(permit: &Permit<Lookup>) -> LookupError {
    LookupError::Model { index: 0, expected: permit.watchlists()[0].policy.model.clone() }
}

/// The threshold of each watchlist for a probe of this model: its own, or the caller's stricter one.
pub(crate) fn thresholds(
    snapshot: &Snapshot,
    lists: &[Arc<Watchlist>],
    model: &ModelId,
    stricter: Stricter,
) -> Result<Vec<InForce>, LookupError> {
    if let Some((index, list)) = lists.iter().enumerate().find(|(_, list)| list.policy.model != *model) {
        return Err(LookupError::Model { index, expected: list.policy.model.clone() });
    }
    Ok(snapshot.in_force(lists, model, stricter)?)
}

/// Decision, event, receipt: the answer, and proof that it is in the log.
///
/// # Errors
/// When the node cannot write the event; the lookup then has no answer.
pub fn conclude(gallery: &Gallery, concluding: Concluding) -> Result<(LookupAnswer, Receipt), LookupError> {
    let Concluding { prepared, reaching, certificate, whole } = concluding;
    let search = Search::Lookup(prepared.id);
    let calibrated = prepared.calibrated.as_deref();
    let searcher = Searcher {
        permit: &prepared.permit,
        search,
        at: certificate.searched_at,
        thresholds: &prepared.thresholds,
        calibration: calibrated.map(|calibrated| &calibrated.calibration),
    };
    let disclosure = gallery.store.read(|store| searcher.disclose(store, &reaching, prepared.limit))?;
    let Disclosure { candidates, shown, notices } = disclosure;
    let total = shown.len() as u64;
    gallery.guarded(&prepared.permit, None, prepared.admission.meet(&shown))?;
    let (decision, reason) = decide(&candidates, &certificate, whole);
    let found = reaching.iter().map(|one| reached(&prepared.permit, one)).collect();
    let answer = LookupAnswer {
        lookup: prepared.id,
        decision,
        reason,
        truncated: total > candidates.len() as u64,
        candidates,
        total,
        authorise_by: prepared.permit.authorise_by(),
        certificate,
    };
    record(gallery, *prepared, Findings { salt: None, answer, found }, notices)
}

fn reached(permit: &Permit<Lookup>, one: &Reaching) -> Reached {
    let watchlists = one.lists.iter().map(|at| permit.watchlists()[*at].id).collect();
    Reached { subject: one.subject, score: one.score.value(), watchlists }
}

/// A `no_hit` only when everything was searched that the record holds.
fn decide(candidates: &[Candidate], certificate: &Certificate, whole: bool) -> (Decision, Option<Reason>) {
    if !candidates.is_empty() {
        (Decision::Hit, None)
    } else if certificate.complete() {
        (Decision::NoHit, None)
    } else if certificate.exhaustive || !whole {
        (Decision::Inconclusive, Some(Reason::Incomplete))
    } else {
        (Decision::Inconclusive, Some(Reason::Approximate))
    }
}

/// Whoever searches another nation's watchlists, or without an authorisation that is needed, does so by way of the record, whatever is
/// found: how long it takes does not tell.
fn record(
    gallery: &Gallery,
    prepared: Prepared,
    findings: Findings,
    notices: Vec<Notice>,
) -> Result<(LookupAnswer, Receipt), LookupError> {
    let Prepared { permit, probe, features, image, limit, claim, admission, .. } = prepared;
    let actor: Actor = permit.actor().clone();
    let ground = permit.ground().clone();
    let answer = findings.answer.clone();
    // What could not be said now may be asked again under the same key.
    let claim = claim.filter(|_| answer.decision != Decision::Inconclusive);
    let (results, pending) = match permit.authorise_by() {
        None => (Results::Told(findings), None),
        Some(authorise_by) => {
            let salt = Hash(gallery.ambient.random()).to_string();
            let findings = Findings { salt: Some(salt), ..findings };
            let caller = actor.identity();
            let results = withheld(&findings, authorise_by);
            let lookup = findings.answer.lookup;
            (results, Some(Pending { lookup, caller, authorise_by, findings }))
        }
    };
    let foreign = permit.watchlists().iter().any(|list| list.owner != actor.nation);
    let awaited = pending.is_some();
    let kept = (foreign || awaited).then_some(Kept { notices, pending });
    let event = move |salt: &[u8; 32], _: &LookupAnswer| What::Lookup {
        ground,
        probe: ProbeDigest::new(salt, probe.model().clone(), &features, image),
        limit,
        results,
    };
    if claim.is_some() || awaited {
        admission.answered(); // also where it comes too late: it can be had later
    }
    let told = gallery.answer(actor, claim.as_ref(), kept, answer, event)?;
    admission.answered();
    Ok(told)
}

/// What the log is told of results that are erased if they are not authorised.
fn withheld(findings: &Findings, authorise_by: Timestamp) -> Results {
    let json = serde_json::to_vec(findings).expect("text keys");
    Results::Awaiting {
        lookup: findings.answer.lookup,
        authorise_by,
        certificate: findings.answer.certificate.clone(),
        salted_sha256: sha256(&[&json]).to_string(),
    }
}
