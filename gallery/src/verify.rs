//! Verification: does the probe resemble this one subject?
//!
//! The subject's references are read from the record itself, so the answer is as of its last event.

use crate::{
    authority::{self, Caller, Catalogue, Ground, Permit, Refusal, Verb, Verify},
    calibrated::{Calibrated, Meaning},
    decision::{Certificate, Decision, Likeness, Reason, Searched, VerificationAnswer},
    decline,
    digest::ProbeDigest,
    disclosure::{Place, Searcher},
    event::What,
    expire,
    gallery::{Asked, Gallery, Turn},
    handling::Visibility,
    id::{EncounterId, SubjectId, VerificationId, WatchlistId},
    idempotency::Idempotency,
    lookup::{self, LookupError},
    misuse::Admission,
    notice::Search,
    record::{StoreError, kept::Kept, read},
    sample::Sample,
    strictness::Stricter,
    subject::EntryState,
    timestamp::Timestamp,
    watchlist::Watchlist,
};
use audit::receipt::Receipt;
use matcher::{
    rows::Rows,
    score::{Score, Threshold},
    template::{ModelId, ModelProfile, Probe},
};
use std::sync::Arc;

/// What a caller asks.
#[derive(Clone, Debug)]
pub struct VerificationRequest {
    /// The watchlist under which the comparison is made.
    pub watchlist: WatchlistId,
    /// Who the person may be.
    pub subject: SubjectId,
    /// Why.
    pub ground: Ground,
    /// With what.
    pub probe: Sample,
    /// A stricter threshold than the watchlist's own.
    pub threshold: Option<Threshold>,
}

/// Why a verification is not answered.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The subject is unknown, or not on this watchlist: the two look the same.
    #[error("the subject is unknown or not searched on this watchlist")]
    Subject,
    /// As with a lookup on this one watchlist.
    #[error(transparent)]
    Lookup(#[from] LookupError),
}

impl From<StoreError> for VerifyError {
    fn from(error: StoreError) -> Self {
        Self::Lookup(error.into())
    }
}

/// Asked before an image is looked at: may this caller compare so, and was this answered before? The comparison itself asks again.
///
/// # Errors
/// When it may not.
pub fn ahead(
    gallery: &Gallery,
    caller: &Caller,
    (watchlist, subject, ground): (WatchlistId, SubjectId, &Ground),
    threshold: Option<Threshold>,
    idempotency: Option<Idempotency>,
) -> Result<Option<(VerificationAnswer, Receipt)>, VerifyError> {
    let (snapshot, now) = (gallery.current.load(), gallery.ambient.clock.now());
    let asked = Asked { watchlists: &[watchlist], subject: Some(subject), ground: Some(ground) };
    let permit = permitted(caller, &snapshot.catalogue, (watchlist, ground), (false, threshold), now);
    gallery.logged(caller, asked, permit).map_err(LookupError::from)?;
    Ok(gallery.answered(caller, idempotency).map_err(LookupError::from)?)
}

/// Compares the probe with each reference of the subject.
///
/// # Errors
/// When the caller may not, the request is malformed, or the node cannot.
pub fn verify(
    gallery: &Gallery,
    caller: &Caller,
    request: VerificationRequest,
    idempotency: Option<Idempotency>,
) -> Result<(VerificationAnswer, Receipt), VerifyError> {
    expire::due(gallery).map_err(LookupError::from)?;
    let snapshot = gallery.current.load();
    let VerificationRequest { watchlist, subject, ground, probe, threshold: stricter } = request;
    let asked = Asked { watchlists: &[watchlist], subject: Some(subject), ground: Some(&ground) };
    let now = gallery.ambient.clock.now();
    let (raw, image) = (probe.is_raw(), probe.image());
    let permit = permitted(caller, &snapshot.catalogue, (watchlist, &ground), (raw, stricter), now);
    let permit = gallery.logged(caller, asked, permit).map_err(LookupError::from)?;
    let claim = match gallery.turn(caller, idempotency).map_err(LookupError::from)? {
        Turn::Again(answer, receipt) => return Ok((answer, receipt)),
        Turn::First(claim) => claim,
    };
    let probe = decline::usable(gallery, &permit, asked, probe).map_err(LookupError::from)?;
    let list = Arc::clone(&permit.watchlists()[0]);
    let policy = &list.policy;
    let stricter = Stricter { threshold: stricter, fpir: None };
    let thresholds = lookup::thresholds(&snapshot, permit.watchlists(), &probe.model, stricter)?;
    let threshold = thresholds[0].asked;
    let unknown_model = || LookupError::Model { index: 0, expected: policy.model.clone() };
    let profile = snapshot.models.get(&probe.model).ok_or_else(unknown_model)?;
    let template = profile.template(&probe.features).map_err(LookupError::from)?;
    let probed = Probe::new(&template);
    let budget = permit.searches_per_hour();
    let admission = gallery.guard.admit(permit.actor(), budget, (&probed, stricter.threshold), Some(subject));
    let admission = gallery.guarded(&permit, Some(subject), admission).map_err(LookupError::from)?;
    let verification = VerificationId::mint(&gallery.ambient);
    let calibrated = snapshot.calibrated(&probe.model).cloned();
    let searcher = Searcher {
        permit: &permit,
        search: Search::Verification(verification),
        at: now,
        thresholds: &thresholds,
        calibration: calibrated.as_deref().map(|calibrated| &calibrated.calibration),
    };
    let comparison = compare(gallery, profile, &probed, subject, &searcher)?;
    // By way of the record, whatever is found: how long it takes does not tell.
    let foreign = (list.owner != permit.actor().nation).then(Kept::default);
    let Some(comparison) = comparison else {
        let asked = Asked { watchlists: &[watchlist], subject: Some(subject), ground: Some(&ground) };
        return Err(not_there(gallery, &permit, asked, foreign, &admission)?);
    };
    let (visibility, score) = (comparison.place.visibility, comparison.best.0);
    let hidden = visibility < Visibility::Full;
    let told = (hidden && threshold.admits(score)).then(|| searcher.notice(subject, &comparison.place));
    let kept = foreign.map(|kept| Kept { notices: told.into_iter().collect(), ..kept });
    let likeness = searcher.likeness(score, comparison.place.threshold);
    let model = probe.model.clone();
    let meaning = searcher.meaning(score);
    let answer = answer(&list, (verification, subject), threshold, model, likeness, comparison, now);
    let answer = explained(answer, meaning, calibrated.as_deref());
    let actor = permit.actor().clone();
    let event = move |salt: &[u8; 32], answer: &VerificationAnswer| {
        let probe = ProbeDigest::new(salt, probe.model, &probe.features, image);
        What::Verify { ground, probe, answer: answer.clone(), score: score.value(), visibility }
    };
    let claim = claim.filter(|_| answer.decision != Decision::Inconclusive && !hidden);
    if claim.is_some() {
        admission.answered(); // also where it comes too late: it can be had later
    }
    let told = gallery.answer(actor, claim.as_ref(), kept, answer, event).map_err(LookupError::from)?;
    admission.answered();
    // Who may not be seen looks like one who is not there.
    if hidden { Err(VerifyError::Subject) } else { Ok(told) }
}

/// Puts into the log that somebody was asked for who is not there.
fn not_there(
    gallery: &Gallery,
    permit: &Permit<Verify>,
    asked: Asked<'_>,
    foreign: Option<Kept>,
    admission: &Admission,
) -> Result<VerifyError, LookupError> {
    let what = What::Refused {
        attempted: Verify::NAME,
        watchlists: asked.watchlists.to_vec(),
        subject: asked.subject,
        ground: asked.ground.cloned(),
        why: Refusal::Subject.to_string(),
        misuse: None,
    };
    gallery.answer(permit.actor().clone(), None, foreign, (), |_, ()| what)?;
    admission.answered();
    Ok(VerifyError::Subject)
}

fn permitted(
    caller: &Caller,
    catalogue: &Catalogue,
    (watchlist, ground): (WatchlistId, &Ground),
    (raw, stricter): (bool, Option<Threshold>),
    now: Timestamp,
) -> Result<Permit<Verify>, Refusal> {
    let permit = authority::permit_search(caller, catalogue, &[watchlist], ground.clone(), raw, now)?;
    match permit.authorise_by() {
        // One person is not looked for in such haste.
        Some(_) => Err(Refusal::Authorisation { index: 0 }),
        None => lookup::may_choose(permit, Stricter { threshold: stricter, fpir: None }),
    }
}

fn answer(
    list: &Watchlist,
    (verification, subject): (VerificationId, SubjectId),
    threshold: Threshold,
    model: ModelId,
    likeness: Likeness,
    comparison: Comparison<'_>,
    searched_at: Timestamp,
) -> VerificationAnswer {
    let Comparison { best: (score, encounter), place, compared, expected, as_of } = comparison;
    let searched =
        Searched { watchlist: list.id, threshold: threshold.value(), fpir: None, compared, expected };
    let (decision, reason) = match threshold.admits(score) {
        true => (Decision::Hit, None),
        false if compared == expected => (Decision::NoHit, None),
        false => (Decision::Inconclusive, Some(Reason::Incomplete)),
    };
    let shown = matches!(likeness, Likeness::Score(_)) || decision == Decision::Hit;
    VerificationAnswer {
        verification,
        decision,
        reason,
        subject,
        encounter,
        likeness: shown.then_some(likeness),
        meaning: None,
        told: place.told,
        certificate: Certificate {
            model,
            compared,
            expected,
            exhaustive: true,
            miss_rate: None,
            generation: None,
            calibration: None,
            as_of,
            searched_at,
            watchlists: vec![searched],
        },
    }
}

/// With what the score means, by this calibration.
fn explained(
    answer: VerificationAnswer,
    meaning: Option<Meaning>,
    calibrated: Option<&Calibrated>,
) -> VerificationAnswer {
    let certificate = Certificate { calibration: calibrated.map(|it| it.id), ..answer.certificate };
    VerificationAnswer { meaning, certificate, ..answer }
}

struct Comparison<'a> {
    best: (Score, EncounterId),
    place: Place<'a>,
    compared: u64,
    expected: u64,
    as_of: crate::id::RecordSequence,
}

/// `None` when the subject is unknown, not active on the watchlist, or has no reference of its model.
fn compare<'a>(
    gallery: &Gallery,
    profile: &ModelProfile,
    probe: &Probe,
    subject: SubjectId,
    searcher: &'a Searcher<'a, Verify>,
) -> Result<Option<Comparison<'a>>, StoreError> {
    let list = &searcher.permit.watchlists()[0];
    let watchlist = list.id;
    let compared = gallery.store.read(|store| {
        let Some((_, EntryState::Active)) = read::entry(store, subject, watchlist)? else {
            return Ok(None);
        };
        let Some(place) = searcher.place(store, subject, 0)? else { return Ok(None) };
        let as_of = read::sequence(store)?;
        let mut rows = Rows::new(profile.id().clone(), profile.dimension());
        let mut encounters = Vec::new();
        for reference in read::references_of(store, subject)? {
            if reference.sample.model != *profile.id() {
                continue;
            }
            let bad =
                |_| StoreError::Damaged(format!("encounter {} is not a template of its model", reference.id));
            rows.push(&profile.template(&reference.sample.features).map_err(bad)?);
            encounters.push(reference.id);
        }
        let mut scores = vec![0.0; rows.len()];
        gallery.kernel.scores(probe.blocks(), rows.blocks(0, rows.len()), &mut scores);
        let scores = scores.into_iter().map(|s| Score::new(s).expect("the score of two templates is finite"));
        let best = scores.zip(encounters).max_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        let (compared, expected) = (rows.len() as u64, read::count_of(store, subject, watchlist)?);
        Ok(best.map(|best| Comparison { best, place, compared, expected, as_of }))
    });
    match compared {
        Err(StoreError::Erased(_)) => Ok(None), // a moment ago
        compared => compared,
    }
}
