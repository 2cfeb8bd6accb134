//! Who may do what: the only maker of permits.
//!
//! The rules are small so far: a caller's token lists verbs, watchlists and purposes; a watchlist lists the
//! purposes and instruments that it serves; records are changed by their own nation only.

use crate::{
    id::{AgencyId, WatchlistId},
    law::{CaseReference, LegalBasis, Nation, OwnReference, Purpose},
    watchlist::Watchlist,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    marker::PhantomData,
    sync::Arc,
};

/// A thing that can be done, as it stands in grants and events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerbName {
    /// Search watchlists with a probe.
    Lookup,
    /// Compare a probe with one subject.
    Verify,
    /// Put subjects and encounters on record.
    Enrol,
    /// Take subjects out of the search.
    Retire,
    /// Keep contested subjects out of the search, and put them back.
    Restrict,
    /// Erase subjects.
    Erase,
    /// Move encounters between subjects, and merge subjects.
    Reassign,
    /// Read subjects.
    Inspect,
    /// Make watchlists.
    Publish,
    /// Build what is searched anew, and put it in place.
    Rebuild,
}

impl VerbName {
    /// Every verb.
    pub const ALL: &'static [Self] = &[
        Self::Lookup,
        Self::Verify,
        Self::Enrol,
        Self::Retire,
        Self::Restrict,
        Self::Erase,
        Self::Reassign,
        Self::Inspect,
        Self::Publish,
        Self::Rebuild,
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Verify => "verify",
            Self::Enrol => "enrol",
            Self::Retire => "retire",
            Self::Restrict => "restrict",
            Self::Erase => "erase",
            Self::Reassign => "reassign",
            Self::Inspect => "inspect",
            Self::Publish => "publish",
            Self::Rebuild => "rebuild",
        }
    }
}

/// Why a search is made. Each search has all three.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ground {
    /// What for.
    pub purpose: Purpose,
    /// Under which instrument.
    pub legal_basis: LegalBasis,
    /// In which case.
    pub case_reference: CaseReference,
}

/// A verb as a type, so that a permit for one is not a permit for another.
pub trait Verb: Send + Sync + 'static {
    /// Its name.
    const NAME: VerbName;
    /// What a caller must state beside the watchlists.
    type Ground;
}

macro_rules! verbs {
    ($($(#[$doc:meta])* $name:ident($ground:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}

        impl Verb for $name {
            const NAME: VerbName = VerbName::$name;
            type Ground = $ground;
        }
    )*};
}

verbs! {
    /// Search watchlists with a probe.
    Lookup(Ground);
    /// Compare a probe with one subject.
    Verify(Ground);
    /// Put subjects and encounters on record.
    Enrol(());
    /// Take subjects out of the search.
    Retire(());
    /// Keep contested subjects out of the search, and put them back.
    Restrict(());
    /// Erase subjects.
    Erase(());
    /// Move encounters between subjects, and merge subjects.
    Reassign(());
    /// Read subjects.
    Inspect(());
    /// Make watchlists.
    Publish(());
    /// Build what is searched anew, and put it in place.
    Rebuild(());
}

/// The watchlists that a grant reaches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Those of the caller's own nation, also those made later.
    Own,
    /// These.
    Listed(BTreeSet<WatchlistId>),
}

/// What a caller may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Which verbs.
    pub verbs: BTreeSet<VerbName>,
    /// On which watchlists.
    pub watchlists: Reach,
    /// For which purposes.
    pub purposes: BTreeSet<Purpose>,
}

/// Who calls. Made where a token is recognised, and by the administrator's tools on a stopped node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub(crate) name: OwnReference,
    pub(crate) agency: AgencyId,
    pub(crate) nation: Nation,
    pub(crate) grant: Grant,
}

impl Caller {
    /// Whoever holds a stopped node's folder and acts for a nation: every verb on that nation's watchlists,
    /// for every purpose. For the administrator's tools; no request over the network is made by one.
    pub fn administrator(name: OwnReference, nation: Nation) -> Self {
        let grant = Grant {
            verbs: VerbName::ALL.iter().copied().collect(),
            watchlists: Reach::Own,
            purposes: Purpose::ALL.iter().copied().collect(),
        };
        Self { name, agency: AgencyId::from_bytes([0; 16]), nation, grant }
    }

    /// The name of the caller's token.
    pub fn name(&self) -> &OwnReference {
        &self.name
    }

    /// Agency, nation and name: a token of another holder may have the same name later.
    pub(crate) fn identity(&self) -> String {
        format!("{}/{}/{}", self.agency, self.nation, self.name)
    }

    /// The nation for which the caller acts.
    pub fn nation(&self) -> &Nation {
        &self.nation
    }
}

/// Who acted, as events name them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The caller's name.
    pub name: OwnReference,
    /// The caller's authority.
    pub agency: AgencyId,
    /// The caller's nation.
    pub nation: Nation,
}

impl Actor {
    /// Who acts when the clock does, or a restart.
    pub(crate) fn node() -> Self {
        Self {
            name: "limen".parse().expect("a plain name"),
            agency: AgencyId::from_bytes([0; 16]),
            nation: Nation::unspecified(),
        }
    }
}

impl From<&Caller> for Actor {
    fn from(caller: &Caller) -> Self {
        Self { name: caller.name.clone(), agency: caller.agency, nation: caller.nation.clone() }
    }
}

/// Proof that this caller may do this verb, on these watchlists, on this ground. Made only here.
#[derive(Debug)]
pub struct Permit<V: Verb> {
    actor: Actor,
    reach: Reach,
    watchlists: Vec<Arc<Watchlist>>,
    ground: V::Ground,
    verb: PhantomData<V>,
}

impl<V: Verb> Permit<V> {
    /// Who acts.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// On which watchlists, in the order in which they were asked for.
    pub fn watchlists(&self) -> &[Arc<Watchlist>] {
        &self.watchlists
    }

    /// Does the grant reach this watchlist of the caller's own nation?
    pub fn reaches_own(&self, watchlist: WatchlistId) -> bool {
        match &self.reach {
            Reach::Own => true,
            Reach::Listed(ids) => ids.contains(&watchlist),
        }
    }

    /// On which ground.
    pub fn ground(&self) -> &V::Ground {
        &self.ground
    }
}

/// Why a permit is refused. An unknown watchlist and one that is not granted look the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The token does not list the verb.
    #[error("this token may not {}", .0.as_str())]
    Verb(VerbName),
    /// Unknown, not granted, or of another nation where only the owner may act.
    #[error("watchlist {index} is unknown or not granted to this caller for this")]
    Watchlist {
        /// Position in the request, from 0.
        index: usize,
    },
    /// The token or the watchlist does not list the purpose.
    #[error("the purpose is not one for which this caller may search watchlist {index}")]
    Purpose {
        /// Position in the request, from 0.
        index: usize,
    },
    /// No such subject of the caller's nation, or not on a watchlist that is granted to the caller.
    #[error("the subject is unknown, or not on a watchlist granted to this caller")]
    Subject,
    /// The watchlist does not list the instrument.
    #[error("the legal basis is not one under which watchlist {index} may be searched")]
    LegalBasis {
        /// Position in the request, from 0.
        index: usize,
    },
}

/// The watchlists that exist.
pub type Catalogue = HashMap<WatchlistId, Arc<Watchlist>>;

fn permit<V: Verb>(
    caller: &Caller,
    catalogue: &Catalogue,
    asked: &[WatchlistId],
    ground: V::Ground,
    may: impl Fn(usize, &Watchlist) -> Result<(), Refusal>,
) -> Result<Permit<V>, Refusal> {
    if !caller.grant.verbs.contains(&V::NAME) {
        return Err(Refusal::Verb(V::NAME));
    }
    let mut watchlists = Vec::with_capacity(asked.len());
    for (index, id) in asked.iter().enumerate() {
        let watchlist = catalogue.get(id).filter(|watchlist| reaches(caller, watchlist));
        let watchlist = watchlist.ok_or(Refusal::Watchlist { index })?;
        may(index, watchlist)?;
        watchlists.push(Arc::clone(watchlist));
    }
    let reach = caller.grant.watchlists.clone();
    Ok(Permit { actor: caller.into(), reach, watchlists, ground, verb: PhantomData })
}

/// Does the caller's grant reach this watchlist?
pub(crate) fn reaches(caller: &Caller, watchlist: &Watchlist) -> bool {
    match &caller.grant.watchlists {
        Reach::Own => watchlist.owner == caller.nation,
        Reach::Listed(ids) => ids.contains(&watchlist.id),
    }
}

/// A permit to search: each watchlist is granted and serves the ground, and the caller's purposes cover it.
///
/// # Errors
/// When it does not.
pub fn permit_search<V: Verb<Ground = Ground>>(
    caller: &Caller,
    catalogue: &Catalogue,
    watchlists: &[WatchlistId],
    ground: Ground,
) -> Result<Permit<V>, Refusal> {
    let Ground { purpose, legal_basis, .. } = ground;
    permit(caller, catalogue, watchlists, ground, |index, watchlist| {
        let policy = &watchlist.policy;
        if !policy.purposes.contains(&purpose) || !caller.grant.purposes.contains(&purpose) {
            return Err(Refusal::Purpose { index });
        }
        if !policy.legal_bases.contains(&legal_basis) {
            return Err(Refusal::LegalBasis { index });
        }
        Ok(())
    })
}

/// A permit to act on the caller's own nation's records, and on these watchlists of that nation.
///
/// # Errors
/// When the verb or a watchlist is not granted, or a watchlist is another nation's.
pub fn permit_own<V: Verb<Ground = ()>>(
    caller: &Caller,
    catalogue: &Catalogue,
    watchlists: &[WatchlistId],
) -> Result<Permit<V>, Refusal> {
    permit(caller, catalogue, watchlists, (), |index, watchlist| {
        if watchlist.owner == caller.nation { Ok(()) } else { Err(Refusal::Watchlist { index }) }
    })
}

/// The first watchlist that is named twice.
pub(crate) fn repeated(watchlists: &[WatchlistId]) -> Option<usize> {
    let mut seen = HashSet::new();
    watchlists.iter().position(|id| !seen.insert(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ambient::Ambient, law::*, timestamp::Timestamp, watchlist::Policy};
    use matcher::{score::Threshold, template::ModelId};

    fn watchlist(owner: &str) -> Arc<Watchlist> {
        let policy = Policy {
            name: "list".parse().unwrap(),
            purposes: [Purpose::BorderControl, Purpose::SeriousCrime].into(),
            legal_bases: [LegalBasis::SisBorder].into(),
            handling: HandlingCode::H0,
            categories: [Category::Wanted].into(),
            model: ModelId::new("m").unwrap(),
            threshold: Threshold::new(0.5).unwrap(),
            retention_days: 1,
            review_days: 1,
        };
        let created_at = Timestamp::from_unix_ms(0).unwrap();
        let id = WatchlistId::mint(&Ambient::system());
        Arc::new(Watchlist { id, owner: owner.parse().unwrap(), policy, created_at })
    }

    fn caller(watchlists: Reach) -> Caller {
        Caller {
            name: "gate".parse().unwrap(),
            agency: AgencyId::mint(&Ambient::system()),
            nation: "UTO".parse().unwrap(),
            grant: Grant {
                verbs: [VerbName::Lookup, VerbName::Enrol].into(),
                watchlists,
                purposes: [Purpose::BorderControl].into(),
            },
        }
    }

    fn ground(purpose: Purpose, legal_basis: LegalBasis) -> Ground {
        Ground { purpose, legal_basis, case_reference: "c".parse().unwrap() }
    }

    #[test]
    fn a_search_needs_verb_watchlist_purpose_and_legal_basis() {
        let (own, foreign) = (watchlist("UTO"), watchlist("XAA"));
        let catalogue: Catalogue = [&own, &foreign].map(|w| (w.id, Arc::clone(w))).into();
        let caller = caller(Reach::Listed([own.id].into()));
        let lawful = ground(Purpose::BorderControl, LegalBasis::SisBorder);
        let ask =
            |ids: &[WatchlistId], ground| permit_search::<Lookup>(&caller, &catalogue, ids, ground).map(drop);
        assert_eq!(ask(&[own.id], lawful.clone()), Ok(()));
        let unknown = WatchlistId::mint(&Ambient::system());
        let refused = Err(Refusal::Watchlist { index: 1 });
        assert_eq!(ask(&[own.id, foreign.id], lawful.clone()), refused);
        assert_eq!(ask(&[own.id, unknown], lawful.clone()), refused);
        // Listed by the watchlist but not by the token, and the other way round.
        let refused = Err(Refusal::Purpose { index: 0 });
        assert_eq!(ask(&[own.id], ground(Purpose::SeriousCrime, LegalBasis::SisBorder)), refused);
        let refused = Err(Refusal::LegalBasis { index: 0 });
        assert_eq!(ask(&[own.id], ground(Purpose::BorderControl, LegalBasis::Prum)), refused);
        let verify = permit_search::<Verify>(&caller, &catalogue, &[own.id], lawful).map(drop);
        assert_eq!(verify, Err(Refusal::Verb(VerbName::Verify)));
    }

    #[test]
    fn records_are_changed_by_their_own_nation_only() {
        let (own, foreign) = (watchlist("UTO"), watchlist("XAA"));
        let catalogue: Catalogue = [&own, &foreign].map(|w| (w.id, Arc::clone(w))).into();
        for reach in [Reach::Own, Reach::Listed([own.id, foreign.id].into())] {
            let caller = caller(reach);
            assert!(permit_own::<Enrol>(&caller, &catalogue, &[own.id]).is_ok());
            let refused = permit_own::<Enrol>(&caller, &catalogue, &[foreign.id]).map(drop);
            assert_eq!(refused, Err(Refusal::Watchlist { index: 0 }));
        }
    }
}
