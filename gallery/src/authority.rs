//! Who may do what: the only maker of permits.
//!
//! A caller's grant gives verbs, watchlists and purposes; a watchlist lists the purposes and instruments that it serves, and the nations that it
//! is shared with; records are changed by their own nation only.

pub use crate::caller::{Actor, Caller, Reach, Rights, VerbName};
use crate::{
    budget::Misuse,
    id::WatchlistId,
    law::{Allowance, AuthorisationReference, CaseReference, LegalBasis, PriorAuthorisation, Purpose},
    timestamp::Timestamp,
    watchlist::Watchlist,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    marker::PhantomData,
    sync::Arc,
};

/// Why a search is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ground {
    /// What for.
    pub purpose: Purpose,
    /// Under which instrument.
    pub legal_basis: LegalBasis,
    /// In which case.
    pub case_reference: CaseReference,
    /// By which authorisation, where one is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorisation: Option<AuthorisationReference>,
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
    /// Supply the authorisation of a lookup that was made without.
    Authorise(());
    /// Put subjects and encounters on record.
    Enrol(());
    /// Take subjects out of the search.
    Retire(());
    /// Keep contested subjects out of the search, and put them back.
    Restrict(());
    /// Put right why subjects stand on watchlists, and what is said of them.
    Rectify(());
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
    /// Have templates made of images.
    Extract(());
    /// Read the audit log.
    Audit(());
    /// Grant what others may do, and take it back.
    Administer(());
}

/// Proof that this caller may do this verb, on these watchlists, on this ground. Made only here.
#[derive(Debug)]
pub struct Permit<V: Verb> {
    actor: Actor,
    reach: Reach,
    watchlists: Vec<Arc<Watchlist>>,
    ground: V::Ground,
    allowances: BTreeSet<Allowance>,
    searches_per_hour: u32,
    authorise_by: Option<Timestamp>,
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

    /// Is this allowed?
    pub fn allows(&self, allowance: Allowance) -> bool {
        self.allowances.contains(&allowance)
    }

    /// How many searches in an hour.
    pub fn searches_per_hour(&self) -> u32 {
        self.searches_per_hour
    }

    /// Until when the authorisation is to be supplied, if there is none and one is needed.
    pub fn authorise_by(&self) -> Option<Timestamp> {
        self.authorise_by
    }
}

/// Why a permit is refused. An unknown watchlist and one that is not granted look the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The caller's role does not have the verb.
    #[error("this caller may not {}", .0.as_str())]
    Verb(VerbName),
    /// Unknown, not granted, or of another nation where only the owner may act.
    #[error("watchlist {index} is unknown or not granted to this caller for this")]
    Watchlist {
        /// Position in the request, from 0.
        index: usize,
    },
    /// The grant or the watchlist does not list the purpose.
    #[error("the purpose is not one for which this caller may search watchlist {index}")]
    Purpose {
        /// Position in the request, from 0.
        index: usize,
    },
    /// No such subject of the caller's nation, or not on a watchlist that is granted to the caller.
    #[error("the subject is unknown, or not on a watchlist granted to this caller")]
    Subject,
    /// Two officers grant together: this one proposed it, or gets it, or who proposed it is no officer any more.
    #[error(
        "another officer than who proposed it, and than who gets it, must approve it, while both are officers"
    )]
    Officer,
    /// Features that were not made here of an image are a right of their own.
    #[error("this caller may not search with features of its own (raw_probes)")]
    RawProbe,
    /// A threshold of the caller's own would tell the score.
    #[error("only who may see scores chooses a threshold")]
    Threshold,
    /// Somebody must have authorised the search.
    #[error("watchlist {index} is searched under an authorisation only, and none is given")]
    Authorisation {
        /// Position in the request, from 0.
        index: usize,
    },
    /// The caller searches too often, or learns by searching what it may not know.
    #[error("{misuse}")]
    Misuse {
        /// What it does too often.
        misuse: Misuse,
        /// After how many seconds it may do so again.
        retry_after_s: u32,
    },
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
    if !caller.rights.verbs.contains(&V::NAME) {
        return Err(Refusal::Verb(V::NAME));
    }
    let mut watchlists = Vec::with_capacity(asked.len());
    for (index, id) in asked.iter().enumerate() {
        let watchlist = catalogue.get(id).filter(|watchlist| reaches(caller, watchlist));
        let watchlist = watchlist.ok_or(Refusal::Watchlist { index })?;
        may(index, watchlist)?;
        watchlists.push(Arc::clone(watchlist));
    }
    let reach = caller.rights.watchlists.clone();
    let allowances = caller.rights.allowances.clone();
    Ok(Permit {
        actor: caller.into(),
        reach,
        watchlists,
        ground,
        allowances,
        searches_per_hour: caller.rights.searches_per_hour,
        authorise_by: None,
        verb: PhantomData,
    })
}

/// Does the caller's grant reach this watchlist?
pub(crate) fn reaches(caller: &Caller, watchlist: &Watchlist) -> bool {
    match &caller.rights.watchlists {
        Reach::Own => watchlist.owner == caller.nation,
        Reach::Listed(ids) => ids.contains(&watchlist.id),
    }
}

/// So long results may wait for the authorisation of their search.
const AUTHORISATION_HOURS: i64 = 48;

/// A permit to search now: each watchlist is granted, the nation's own or shared with it, and serves the ground, and the caller's purposes
/// cover it. Who searches with raw features of its own (`raw`) needs a right to that. Where an authorisation may be supplied later, the permit
/// says until when.
///
/// # Errors
/// When it does not.
pub fn permit_search<V: Verb<Ground = Ground>>(
    caller: &Caller,
    catalogue: &Catalogue,
    watchlists: &[WatchlistId],
    ground: Ground,
    raw: bool,
    now: Timestamp,
) -> Result<Permit<V>, Refusal> {
    let Ground { purpose, legal_basis, .. } = ground;
    let authorised = ground.authorisation.is_some();
    let permit = permit(caller, catalogue, watchlists, ground, |index, watchlist| {
        if !watchlist.is_for(&caller.nation, now) {
            return Err(Refusal::Watchlist { index });
        }
        let policy = &watchlist.policy;
        if !policy.purposes.contains(&purpose) || !caller.rights.purposes.contains(&purpose) {
            return Err(Refusal::Purpose { index });
        }
        if !policy.legal_bases.contains(&legal_basis) {
            return Err(Refusal::LegalBasis { index });
        }
        if raw && !caller.rights.allowances.contains(&Allowance::RawProbes) {
            return Err(Refusal::RawProbe);
        }
        if policy.prior_authorisation == PriorAuthorisation::Before && !authorised {
            return Err(Refusal::Authorisation { index });
        }
        Ok(())
    })?;
    let later = |list: &Arc<Watchlist>| list.policy.prior_authorisation == PriorAuthorisation::Within48Hours;
    let waits = !authorised && permit.watchlists.iter().any(later);
    Ok(Permit { authorise_by: waits.then(|| now.plus_hours(AUTHORISATION_HOURS)), ..permit })
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

/// A permit to grant searches of these watchlists: the caller's nation has them, or they are shared with it.
///
/// # Errors
/// When the verb is not granted, or a watchlist is neither.
pub fn permit_for<V: Verb<Ground = ()>>(
    caller: &Caller,
    catalogue: &Catalogue,
    watchlists: &[WatchlistId],
    now: Timestamp,
) -> Result<Permit<V>, Refusal> {
    let permit = permit::<V>(caller, catalogue, &[], (), |_, _| Ok(()))?;
    let list = |(index, id)| {
        let list = catalogue.get(id).filter(|list| list.is_for(&caller.nation, now));
        list.cloned().ok_or(Refusal::Watchlist { index })
    };
    let watchlists = watchlists.iter().enumerate().map(list).collect::<Result<_, _>>()?;
    Ok(Permit { watchlists, ..permit })
}

/// The first watchlist that is named twice.
pub(crate) fn repeated(watchlists: &[WatchlistId]) -> Option<usize> {
    let mut seen = HashSet::new();
    watchlists.iter().position(|id| !seen.insert(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ambient::Ambient,
        handling::{Defaults, Grading, Handling},
        id::AgencyId,
        law::*,
        watchlist::{Gates, Policy},
    };
    use matcher::{score::Threshold, template::ModelId};

    fn watchlist(owner: &str) -> Arc<Watchlist> {
        let policy = Policy {
            name: "list".parse().unwrap(),
            purposes: [Purpose::BorderControl, Purpose::SeriousCrime].into(),
            legal_bases: [LegalBasis::SisBorder].into(),
            defaults: Defaults { handling: Handling::H0, grading: Grading::UNKNOWN, instructions: [].into() },
            prior_authorisation: PriorAuthorisation::NotNeeded,
            categories: [Category::Wanted].into(),
            model: ModelId::new("m").unwrap(),
            threshold: Threshold::new(0.5).unwrap(),
            gates: Gates::default(),
            fpir: None,
            retention_days: 1,
            review_days: 1,
        };
        let created_at = Timestamp::from_unix_ms(0).unwrap();
        let id = WatchlistId::mint(&Ambient::system());
        let shared_with = [].into();
        Arc::new(Watchlist { id, owner: owner.parse().unwrap(), policy, created_at, shared_with })
    }

    fn now() -> Timestamp {
        Timestamp::from_unix_ms(0).unwrap()
    }

    fn caller(watchlists: Reach) -> Caller {
        Caller {
            name: "gate".parse().unwrap(),
            agency: AgencyId::mint(&Ambient::system()),
            nation: "UTO".parse().unwrap(),
            station: None,
            operator: None,
            grant: None,
            rights: Rights {
                verbs: [VerbName::Lookup, VerbName::Enrol].into(),
                watchlists,
                purposes: [Purpose::BorderControl].into(),
                allowances: [Allowance::RawProbes].into(),
                searches_per_hour: 1,
            },
        }
    }

    fn ground(purpose: Purpose, legal_basis: LegalBasis) -> Ground {
        Ground { purpose, legal_basis, case_reference: "c".parse().unwrap(), authorisation: None }
    }

    #[test]
    fn a_search_needs_verb_watchlist_purpose_and_legal_basis() {
        let (own, foreign) = (watchlist("UTO"), watchlist("XAA"));
        let catalogue: Catalogue = [&own, &foreign].map(|w| (w.id, Arc::clone(w))).into();
        let caller = caller(Reach::Listed([own.id].into()));
        let lawful = ground(Purpose::BorderControl, LegalBasis::SisBorder);
        let ask = |ids: &[WatchlistId], ground| {
            permit_search::<Lookup>(&caller, &catalogue, ids, ground, true, now()).map(drop)
        };
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
        let verify = permit_search::<Verify>(&caller, &catalogue, &[own.id], lawful, true, now()).map(drop);
        assert_eq!(verify, Err(Refusal::Verb(VerbName::Verify)));
    }

    #[test]
    fn a_foreign_watchlist_is_searched_only_as_long_as_it_is_shared() {
        let mut foreign = watchlist("XAA");
        let ask = |foreign: &Arc<Watchlist>| {
            let catalogue: Catalogue = [(foreign.id, Arc::clone(foreign))].into();
            let lawful = ground(Purpose::BorderControl, LegalBasis::SisBorder);
            let caller = caller(Reach::Listed([foreign.id].into()));
            permit_search::<Lookup>(&caller, &catalogue, &[foreign.id], lawful, true, now()).map(drop)
        };
        assert_eq!(ask(&foreign), Err(Refusal::Watchlist { index: 0 }));
        let later = Timestamp::from_unix_ms(1).unwrap();
        Arc::make_mut(&mut foreign).shared_with = [("XBB".parse().unwrap(), later)].into();
        assert_eq!(ask(&foreign), Err(Refusal::Watchlist { index: 0 }));
        Arc::make_mut(&mut foreign).shared_with.insert("UTO".parse().unwrap(), later);
        assert_eq!(ask(&foreign), Ok(()));
        Arc::make_mut(&mut foreign).shared_with.insert("UTO".parse().unwrap(), now());
        assert_eq!(ask(&foreign), Err(Refusal::Watchlist { index: 0 }));
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
