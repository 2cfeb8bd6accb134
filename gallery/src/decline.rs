//! What is said where an image is not enough to search with: neither a hit nor that there is none. It is in the log.

use crate::{
    authority::{Ground, Permit, Verb},
    digest::salted_image,
    event::What,
    gallery::{Asked, Gallery},
    sample::{Sample, Shortcoming},
    subject::RawFeatures,
    watchlist::Watchlist,
};
use audit::{log::AppendError, receipt::Receipt};
use matcher::quality::{Quality, Shortfall};
use std::sync::Arc;

/// An inconclusive answer for want of a good image.
#[derive(Clone, Debug)]
pub struct Declined {
    /// Why, in a word.
    pub reason: Shortcoming,
    /// What to do, most important first.
    pub advice: Vec<String>,
    /// Where it stands in the log.
    pub receipt: Receipt,
}

/// What keeps a search from being made.
#[derive(Debug)]
pub(crate) enum Decline {
    /// Said, and in the log.
    Said(Box<Declined>),
    /// The log cannot be written.
    Unlogged(AppendError),
}

/// What is missing to the gates of these watchlists, each component once, at its strictest.
pub(crate) fn shortfalls<'a>(
    quality: &Quality,
    gates: impl Iterator<Item = &'a matcher::quality::Gate>,
) -> Vec<Shortfall> {
    let mut missing: Vec<Shortfall> = Vec::new();
    for shortfall in gates.flat_map(|gate| gate.shortfalls(quality)) {
        match missing.iter_mut().find(|other| other.component == shortfall.component) {
            Some(other) if other.wanted >= shortfall.wanted => (),
            Some(other) => *other = shortfall,
            None => missing.push(shortfall),
        }
    }
    missing
}

/// The features of a sample that is good enough for all of the permit's watchlists.
pub(crate) fn usable<V: Verb<Ground = Ground>>(
    gallery: &Gallery,
    permit: &Permit<V>,
    asked: Asked<'_>,
    sample: Sample,
) -> Result<RawFeatures, Decline> {
    let image = sample.image();
    let (reason, advice): (Shortcoming, Vec<String>) = match sample {
        Sample::Raw(features) => return Ok(features),
        Sample::Made { features, quality, .. } => {
            fn gate(list: &Arc<Watchlist>) -> &matcher::quality::Gate {
                &list.policy.gates.lookup
            }
            let missing = shortfalls(&quality, permit.watchlists().iter().map(gate));
            if missing.is_empty() {
                return Ok(features);
            }
            (Shortcoming::Quality, missing.iter().map(ToString::to_string).collect())
        }
        Sample::Unusable { reason, advice, .. } => (reason, advice),
    };
    let (watchlists, subject, ground) = (asked.watchlists.to_vec(), asked.subject, permit.ground().clone());
    let event = |salt: &[u8; 32]| What::Decline {
        attempted: V::NAME,
        watchlists,
        subject,
        ground,
        image: image.map(|image| salted_image(salt, image).to_string()),
        reason,
        advice: advice.clone(),
    };
    let logged = gallery.log_event(permit.actor(), event);
    match logged {
        Ok(receipt) => Err(Decline::Said(Box::new(Declined { reason, advice, receipt }))),
        Err(error) => Err(Decline::Unlogged(error)),
    }
}
