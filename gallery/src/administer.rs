//! Granting what callers may do, and taking it back: one officer proposes, another approves.

use crate::{
    authority::{self, Actor, Administer, Caller, Permit, Reach, Refusal},
    event::What,
    gallery::{Asked, Gallery},
    generation::Delta,
    grant::{Content, Credential, Grant, Holder, HolderError},
    id::{AgencyId, GrantId, WatchlistId},
    law::{OwnReference, Role},
    record::{
        StoreError, WriteError,
        change::{Change, Done},
        grants as table,
    },
    timestamp::Timestamp,
};
use audit::receipt::Receipt;
use std::{collections::BTreeSet, sync::Arc};

/// The longest that a grant holds, in days: then somebody looks whether it is still needed.
pub const LONGEST_DAYS: u32 = 1096;

/// Why nothing was granted or taken back.
#[derive(Debug, thiserror::Error)]
pub enum AdministerError {
    /// No authority; it is in the log.
    #[error(transparent)]
    Refused(Refusal),
    /// Role, verbs and purposes do not belong together.
    #[error(transparent)]
    Holder(#[from] HolderError),
    /// For no time, or too long.
    #[error("a grant holds for 1 to {LONGEST_DAYS} days")]
    Days,
    /// A watchlist is shared with its own nation.
    #[error("the watchlist is that nation's own")]
    Own,
    /// A token would be known to the officer who proposes: with it, one would be two.
    #[error(
        "an officer is known by a certificate, or by an issuer of identities: a token is known to who proposes it"
    )]
    OfficersToken,
    /// A live grant has this name or this credential.
    #[error("there is a live grant of this name, or with this credential")]
    Exists,
    /// No such grant of the caller's nation.
    #[error("no such grant")]
    Unknown,
    /// It was approved or taken back.
    #[error("the grant was approved already, or taken back")]
    Decided,
    /// The nation has its officers.
    #[error("the nation has two officers: they grant what is to be granted")]
    HasOfficers,
    /// The node is at fault.
    #[error(transparent)]
    Node(#[from] WriteError),
}

crate::fault::faults!(AdministerError);

/// Who calls with this credential, if anybody who holds a grant.
pub fn recognise(gallery: &Gallery, credential: &Credential) -> Option<Caller> {
    gallery.callers.find(credential, gallery.ambient.clock.now())
}

/// How many callers hold a grant.
pub fn count(gallery: &Gallery) -> usize {
    gallery.callers.count(gallery.ambient.clock.now())
}

/// What an officer proposes.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// What, and to whom.
    pub content: Content,
    /// By what the caller will be known; none for another nation.
    pub credential: Option<Credential>,
    /// For how long from now, in days.
    pub days: u32,
}

/// Appoints a nation's first two officers; only whoever holds the folder can, and only where there are not two.
///
/// # Errors
/// When the nation has two officers, or the node cannot.
pub fn appoint_officers(
    gallery: &Gallery,
    caller: &Caller,
    officers: [(OwnReference, Credential); 2],
    days: u32,
) -> Result<Receipt, AdministerError> {
    if caller.grant.is_some() {
        return Err(AdministerError::Refused(Refusal::Verb(authority::VerbName::Administer)));
    }
    let (nation, ends_in) = (caller.nation.clone(), lifetime_ms(days)?);
    let agency = AgencyId::mint(&gallery.ambient);
    let ids = [(); 2].map(|()| GrantId::mint(&gallery.ambient));
    let written = gallery.writer.write(caller.into(), None, move |change| {
        let officer = |grant: &Grant| {
            grant.holds(change.now)
                && matches!(&grant.content, Content::Caller(holder) if holder.role == Role::SecurityOfficer)
        };
        if table::live(change.connection, Some(&nation))?.iter().filter(|grant| officer(grant)).count() > 1 {
            return Err(AdministerError::HasOfficers);
        }
        for (id, (name, credential)) in ids.into_iter().zip(officers) {
            let holder = Holder {
                name,
                role: Role::SecurityOfficer,
                verbs: BTreeSet::new(),
                agency,
                station: None,
                operator: None,
                watchlists: Reach::Own,
                purposes: BTreeSet::new(),
                allowances: BTreeSet::new(),
                searches_per_hour: None,
            };
            let grant = Grant {
                id,
                nation: nation.clone(),
                content: Content::Caller(holder),
                credential: Some(credential),
                proposed_by: None,
                proposed_at: change.now,
                approved_by: None,
                approved_at: Some(change.now),
                ends_at: after(change.now, ends_in)?,
                revoked_at: None,
            };
            if !change.insert_grant(&grant)? {
                return Err(AdministerError::Exists);
            }
        }
        let what = What::AppointOfficers { nation, grants: ids.to_vec() };
        Ok(Done { outcome: (), what, deltas: Vec::new() })
    });
    known(gallery)?;
    Ok(written?.1)
}

/// Proposes a grant. It holds once another officer of the nation has approved it.
///
/// # Errors
/// When the caller is no officer, what is proposed cannot be granted, or the node cannot.
pub fn propose(
    gallery: &Gallery,
    caller: &Caller,
    proposal: Proposal,
) -> Result<(GrantId, Receipt), AdministerError> {
    let Proposal { content, credential, days } = proposal;
    let (permit, by) = permitted(gallery, caller, &named(&content))?;
    check(&permit, &content)?;
    if let (Content::Caller(holder), Some(Credential::Token(_))) = (&content, credential)
        && holder.role == Role::SecurityOfficer
    {
        return Err(AdministerError::OfficersToken);
    }
    let (nation, ends_in) = (permit.actor().nation.clone(), lifetime_ms(days)?);
    let id = GrantId::mint(&gallery.ambient);
    gallery.writer.write(permit.actor().clone(), None, move |change| {
        still(change, by)?;
        let grant = Grant {
            id,
            nation,
            content,
            credential,
            proposed_by: Some(by),
            proposed_at: change.now,
            approved_by: None,
            approved_at: None,
            ends_at: after(change.now, ends_in)?,
            revoked_at: None,
        };
        if !change.insert_grant(&grant)? {
            return Err(AdministerError::Exists);
        }
        let what = What::ProposeGrant {
            grant: id,
            known_by: grant.credential.map(|credential| credential.to_string()),
            content: grant.content,
            ends_at: grant.ends_at,
        };
        Ok(Done { outcome: id, what, deltas: Vec::new() })
    })
}

/// Approves what another officer has proposed: from now on it holds.
///
/// # Errors
/// When the caller is no officer, there is nothing to approve, the caller proposed it or gets it, or the node cannot.
pub fn approve(gallery: &Gallery, caller: &Caller, id: GrantId) -> Result<Receipt, AdministerError> {
    let (permit, by) = permitted(gallery, caller, &[])?;
    let name = caller.name.clone();
    let written = gallery.writer.write(permit.actor().clone(), None, move |change| {
        still(change, by)?;
        let grant = find(change, &permit, id)?;
        if grant.approved_at.is_some() || grant.revoked_at.is_some() || change.now >= grant.ends_at {
            return Err(AdministerError::Decided);
        }
        let own = matches!(&grant.content, Content::Caller(holder) if holder.name == name);
        // An officer's grant may have had a successor since: nobody is two by that.
        let proposer = grant.proposed_by.map(|id| table::find(change.connection, id)).transpose()?.flatten();
        let other = |proposer: &Grant| {
            proposer.id != by && proposer.name() != name.as_str() && proposer.holds(change.now)
        };
        if own || !proposer.as_ref().is_some_and(other) {
            return Err(AdministerError::Refused(Refusal::Officer));
        }
        change.approve_grant(id, by)?;
        let what = What::ApproveGrant { grant: id };
        Ok(Done { outcome: (), what, deltas: shared(change, &grant.content)? })
    });
    known(gallery)?;
    // That somebody tried to be two is told.
    if let Err(AdministerError::Refused(refusal)) = &written {
        gallery.logged::<Administer>(caller, Asked::default(), Err(refusal.clone()))?;
    }
    Ok(written?.1)
}

/// Takes a grant back, or a proposal: one officer suffices.
///
/// # Errors
/// When the caller is no officer, there is none, or the node cannot.
pub fn revoke(gallery: &Gallery, caller: &Caller, id: GrantId) -> Result<Receipt, AdministerError> {
    let (permit, by) = permitted(gallery, caller, &[])?;
    let written = gallery.writer.write(permit.actor().clone(), None, move |change| {
        still(change, by)?;
        let grant = find(change, &permit, id)?;
        if grant.revoked_at.is_some() {
            return Err(AdministerError::Decided);
        }
        take_back(change, &grant)
    });
    // Whatever became of its event: what the record says counts.
    known(gallery)?;
    Ok(written?.1)
}

/// Takes grants back again that a restored record still has.
pub(crate) fn revoke_again(gallery: &Gallery, revoked: &BTreeSet<GrantId>) -> Result<(), WriteError> {
    for id in revoked.iter().copied() {
        let written = gallery.writer.write(Actor::node(), None, move |change| {
            match table::find(change.connection, id)? {
                Some(grant) if grant.revoked_at.is_none() => take_back(change, &grant),
                _ => Err(AdministerError::Unknown),
            }
        });
        match written {
            Ok(_) | Err(AdministerError::Unknown) => (),
            Err(AdministerError::Node(error)) => return Err(error),
            Err(error) => return Err(StoreError::Damaged(error.to_string()).into()),
        }
    }
    Ok(())
}

/// Is the officer still one, now that it is the change's turn?
fn still(change: &Change<'_>, by: GrantId) -> Result<(), AdministerError> {
    let own = table::find(change.connection, by)?;
    let refused = || AdministerError::Refused(Refusal::Verb(authority::VerbName::Administer));
    own.filter(|grant| grant.holds(change.now)).map(drop).ok_or_else(refused)
}

fn take_back(change: &Change<'_>, grant: &Grant) -> Result<Done<()>, AdministerError> {
    change.revoke_grant(grant.id)?;
    let what = What::RevokeGrant { grant: grant.id };
    Ok(Done { outcome: (), what, deltas: shared(change, &grant.content)? })
}

/// The live grants of the caller's nation, oldest first.
///
/// # Errors
/// When the caller is no officer, or the node cannot.
pub fn list(gallery: &Gallery, caller: &Caller) -> Result<Vec<Grant>, AdministerError> {
    let (permit, _) = permitted(gallery, caller, &[])?;
    let grants = gallery.store.read(|store| table::live(store, Some(&permit.actor().nation)))?;
    Ok(grants)
}

fn permitted(
    gallery: &Gallery,
    caller: &Caller,
    watchlists: &[WatchlistId],
) -> Result<(Permit<Administer>, GrantId), AdministerError> {
    let (asked, now) = (Asked { watchlists, ..Asked::default() }, gallery.ambient.clock.now());
    let permit =
        authority::permit_for::<Administer>(caller, &gallery.current.load().catalogue, watchlists, now);
    let permit = gallery.logged(caller, asked, permit)?;
    let by = caller.grant.ok_or(AdministerError::Refused(Refusal::Verb(authority::VerbName::Administer)))?;
    Ok((permit, by))
}

/// The watchlists that are named: the officer's nation must have them, or be one that they are shared with.
fn named(content: &Content) -> Vec<WatchlistId> {
    match content {
        Content::Caller(Holder { watchlists: Reach::Listed(ids), .. }) => ids.iter().copied().collect(),
        Content::Caller(_) => Vec::new(),
        Content::Nation { watchlist, .. } => vec![*watchlist],
    }
}

fn check(permit: &Permit<Administer>, content: &Content) -> Result<(), AdministerError> {
    match content {
        Content::Caller(holder) => Ok(holder.check()?),
        Content::Nation { nation, .. } if *nation == permit.actor().nation => Err(AdministerError::Own),
        Content::Nation { .. } => {
            let own = permit.watchlists().iter().all(|list| list.owner == permit.actor().nation);
            if own { Ok(()) } else { Err(AdministerError::Refused(Refusal::Watchlist { index: 0 })) }
        }
    }
}

fn find(change: &Change<'_>, permit: &Permit<Administer>, id: GrantId) -> Result<Grant, AdministerError> {
    let found = table::find(change.connection, id)?;
    found.filter(|grant| grant.nation == permit.actor().nation).ok_or(AdministerError::Unknown)
}

/// What the search learns: with whom a watchlist is shared.
fn shared(change: &Change<'_>, content: &Content) -> Result<Vec<Delta>, StoreError> {
    let Content::Nation { watchlist, .. } = content else { return Ok(Vec::new()) };
    let mut catalogue = crate::record::catalogue::catalogue(change.connection)?;
    let changed = catalogue.remove(watchlist).map(Arc::unwrap_or_clone);
    Ok(changed.map(|list| Delta::Watchlist(Box::new(list))).into_iter().collect())
}

/// What was granted or taken back counts from now on.
fn known(gallery: &Gallery) -> Result<(), AdministerError> {
    Ok(gallery.callers.refresh(|| gallery.store.read(|store| table::live(store, None)))?)
}

fn lifetime_ms(days: u32) -> Result<i64, AdministerError> {
    if (1..=LONGEST_DAYS).contains(&days) {
        Ok(i64::from(days) * 86_400_000)
    } else {
        Err(AdministerError::Days)
    }
}

fn after(now: Timestamp, ms: i64) -> Result<Timestamp, AdministerError> {
    Timestamp::from_unix_ms(now.unix_ms() + ms).ok_or(AdministerError::Days)
}
