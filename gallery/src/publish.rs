//! Making model profiles and watchlists.

use crate::{
    authority::{self, Caller, Permit, Publish, Refusal},
    event::What,
    gallery::{Asked, Gallery, Turn},
    generation::Delta,
    id::WatchlistId,
    idempotency::{Idempotency, KeyError},
    record::{WriteError, change::Done},
    room,
    timestamp::Timestamp,
    watchlist::{Policy, PolicyError, Watchlist},
};
use audit::receipt::Receipt;
use matcher::template::{ModelId, ModelProfile};

/// Why nothing is made.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// No authority; it is in the log.
    #[error(transparent)]
    Refused(Refusal),
    /// The policy is out of bounds.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// No profile of the watchlist's model.
    #[error("no model {0} is known here")]
    Model(ModelId),
    /// The owner has a watchlist of this name, or there is a model of this id with another profile.
    #[error("there is one of this name already")]
    Exists,
    /// The idempotency key cannot be used.
    #[error(transparent)]
    Key(KeyError),
    /// The node is at fault.
    #[error(transparent)]
    Node(#[from] WriteError),
}

crate::fault::faults!(PublishError);
crate::fault::turn_faults!(PublishError);

/// Makes a watchlist of the caller's nation.
///
/// # Errors
/// When the caller may not, the policy is out of bounds, the name is taken, or the node cannot.
pub fn create_watchlist(
    gallery: &Gallery,
    caller: &Caller,
    policy: Policy,
    idempotency: Option<Idempotency>,
) -> Result<(Watchlist, Receipt), PublishError> {
    policy.check()?;
    let permit = permit(gallery, caller)?;
    let claim = match gallery.turn::<(WatchlistId, Timestamp)>(caller, idempotency)? {
        Turn::Again((id, created_at), receipt) => {
            let (owner, shared_with) = (caller.nation.clone(), [].into());
            return Ok((Watchlist { id, owner, policy, created_at, shared_with }, receipt));
        }
        Turn::First(claim) => claim,
    };
    room::must_be_there(gallery, 0)?;
    if !gallery.current.load().models.contains_key(&policy.model) {
        return Err(PublishError::Model(policy.model));
    }
    let (id, owner) = (WatchlistId::mint(&gallery.ambient), caller.nation.clone());
    let (kept, owner_kept) = (policy.clone(), owner.clone());
    let written = gallery.writer.write(permit.actor().clone(), claim.as_ref(), move |change| {
        let watchlist = Watchlist { id, owner, policy, created_at: change.now, shared_with: [].into() };
        if !change.insert_watchlist(&watchlist)? {
            return Err(PublishError::Exists);
        }
        let what = What::Publish { watchlist: id, name: watchlist.policy.name.to_string() };
        Ok(Done { outcome: (id, change.now), what, deltas: vec![Delta::Watchlist(Box::new(watchlist))] })
    });
    let ((id, created_at), receipt) = written?;
    let shared_with = [].into();
    Ok((Watchlist { id, owner: owner_kept, policy: kept, created_at, shared_with }, receipt))
}

/// Brings a model profile into use. The same profile again changes nothing.
///
/// # Errors
/// When the caller may not, another profile has this id, or the node cannot.
pub fn add_model(gallery: &Gallery, caller: &Caller, profile: ModelProfile) -> Result<(), PublishError> {
    let permit = permit(gallery, caller)?;
    match gallery.current.load().models.get(profile.id()) {
        Some(held) if *held == profile => return Ok(()),
        Some(_) => return Err(PublishError::Exists),
        None => (),
    }
    let written = gallery.writer.write(permit.actor().clone(), None, move |change| {
        change.insert_model(&profile)?;
        let (model, dimension) = (profile.id().clone(), profile.dimension() as u32);
        let what = What::AddModel { model, dimension, has_mean: profile.mean().is_some() };
        Ok::<_, PublishError>(Done { outcome: (), what, deltas: vec![Delta::Model(profile)] })
    });
    written.map(drop)
}

/// The model profiles in use, by id.
pub fn models(gallery: &Gallery) -> Vec<ModelProfile> {
    let mut models: Vec<_> = gallery.current.load().models.values().cloned().collect();
    models.sort_by(|a, b| a.id().cmp(b.id()));
    models
}

fn permit(gallery: &Gallery, caller: &Caller) -> Result<Permit<Publish>, PublishError> {
    let permit = authority::permit_own(caller, &gallery.current.load().catalogue, &[]);
    Ok(gallery.logged(caller, Asked::default(), permit)?)
}
