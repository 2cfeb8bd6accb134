//! Who calls: verbs, roles, and what a caller may do.

use crate::{
    budget::MOST_SEARCHES_PER_HOUR,
    id::{AgencyId, GrantId, WatchlistId},
    law::{Allowance, Nation, OwnReference, Purpose, Role},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A thing that can be done, as it stands in grants and events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerbName {
    /// Search watchlists with a probe.
    Lookup,
    /// Compare a probe with one subject.
    Verify,
    /// Supply the authorisation of a lookup that was made without.
    Authorise,
    /// Put subjects and encounters on record.
    Enrol,
    /// Take subjects out of the search.
    Retire,
    /// Keep contested subjects out of the search, and put them back.
    Restrict,
    /// Put right why subjects stand on watchlists, and what is said of them.
    Rectify,
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
    /// Have templates made of images, and be given them.
    Extract,
    /// Read the audit log.
    Audit,
    /// Grant what others may do, and take it back.
    Administer,
}

impl VerbName {
    /// Every verb.
    pub const ALL: &'static [Self] = &[
        Self::Lookup,
        Self::Verify,
        Self::Authorise,
        Self::Enrol,
        Self::Retire,
        Self::Restrict,
        Self::Rectify,
        Self::Erase,
        Self::Reassign,
        Self::Inspect,
        Self::Publish,
        Self::Rebuild,
        Self::Extract,
        Self::Audit,
        Self::Administer,
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Verify => "verify",
            Self::Authorise => "authorise",
            Self::Enrol => "enrol",
            Self::Retire => "retire",
            Self::Restrict => "restrict",
            Self::Rectify => "rectify",
            Self::Erase => "erase",
            Self::Reassign => "reassign",
            Self::Inspect => "inspect",
            Self::Publish => "publish",
            Self::Rebuild => "rebuild",
            Self::Extract => "extract",
            Self::Audit => "audit",
            Self::Administer => "administer",
        }
    }
}

impl Role {
    /// What it may do; of an integrator, what it may be given.
    pub fn verbs(self) -> &'static [VerbName] {
        use VerbName::{
            Administer, Audit, Authorise, Enrol, Erase, Extract, Inspect, Lookup, Publish, Reassign, Rebuild,
            Rectify, Restrict, Retire, Verify,
        };
        match self {
            Self::Checkpoint => &[Lookup, Verify, Authorise],
            Self::Adjudicator => &[],
            Self::Auditor => &[Audit],
            Self::Enroller => &[Enrol, Retire, Restrict, Rectify, Erase, Reassign, Inspect, Publish],
            Self::IndexAdmin => &[Rebuild],
            Self::Integrator => {
                &[Lookup, Verify, Authorise, Enrol, Retire, Restrict, Rectify, Erase, Inspect, Extract]
            }
            Self::SecurityOfficer => &[Administer],
        }
    }

    /// What it may be allowed beside.
    pub fn allowances(self) -> &'static [Allowance] {
        match self {
            Self::Checkpoint => &[Allowance::RawProbes],
            Self::Integrator => &[Allowance::RawProbes, Allowance::Scores],
            Self::Adjudicator | Self::Enroller | Self::IndexAdmin | Self::Auditor | Self::SecurityOfficer => {
                &[]
            }
        }
    }
}

/// Does it search?
pub(crate) fn searches(verb: VerbName) -> bool {
    matches!(verb, VerbName::Lookup | VerbName::Verify | VerbName::Authorise)
}

/// Does it keep records? Extraction does neither: it may go with both.
pub(crate) fn keeps(verb: VerbName) -> bool {
    !searches(verb) && verb != VerbName::Extract
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Which verbs.
    pub verbs: BTreeSet<VerbName>,
    /// On which watchlists.
    pub watchlists: Reach,
    /// For which purposes.
    pub purposes: BTreeSet<Purpose>,
    /// What beside.
    pub allowances: BTreeSet<Allowance>,
    /// How many searches in an hour.
    pub searches_per_hour: u32,
}

/// Who calls. Made where a credential is recognised, and by the administrator's tools on a stopped node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub(crate) name: OwnReference,
    pub(crate) agency: AgencyId,
    pub(crate) nation: Nation,
    pub(crate) station: Option<OwnReference>,
    pub(crate) operator: Option<OwnReference>,
    pub(crate) grant: Option<GrantId>,
    pub(crate) rights: Rights,
}

impl Caller {
    /// Whoever holds a stopped node's folder and acts for a nation: every verb but granting on that nation's watchlists,
    /// for every purpose. For the administrator's tools; no request over the network is made by one.
    pub fn administrator(name: OwnReference, nation: Nation) -> Self {
        let others = |verb: &VerbName| *verb != VerbName::Administer;
        let rights = Rights {
            verbs: VerbName::ALL.iter().copied().filter(others).collect(),
            watchlists: Reach::Own,
            purposes: Purpose::ALL.iter().copied().collect(),
            allowances: Allowance::ALL.iter().copied().collect(),
            searches_per_hour: MOST_SEARCHES_PER_HOUR,
        };
        let agency = AgencyId::from_bytes([0; 16]);
        Self { name, agency, nation, station: None, operator: None, grant: None, rights }
    }

    /// The caller's name.
    pub fn name(&self) -> &OwnReference {
        &self.name
    }

    /// The same caller's, whatever it asks.
    pub(crate) fn identity(&self) -> String {
        Actor::from(self).identity()
    }

    /// May it do something for which an image is brought?
    pub fn brings_images(&self) -> bool {
        use VerbName::{Enrol, Extract, Lookup, Verify};
        [Lookup, Verify, Enrol, Extract].iter().any(|verb| self.rights.verbs.contains(verb))
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
    /// The place or device at which it acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station: Option<OwnReference>,
    /// The person who acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<OwnReference>,
    /// Under which grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantId>,
}

impl Actor {
    /// The grant: another holder may have the same name later. Of who holds the folder, agency, nation and name.
    pub(crate) fn identity(&self) -> String {
        match self.grant {
            Some(grant) => grant.to_string(),
            None => format!("{}/{}/{}", self.agency, self.nation, self.name),
        }
    }

    /// Who acts when the clock does, or a restart.
    pub(crate) fn node() -> Self {
        Self {
            name: "limen".parse().expect("a plain name"),
            agency: AgencyId::from_bytes([0; 16]),
            nation: Nation::unspecified(),
            station: None,
            operator: None,
            grant: None,
        }
    }
}

impl From<&Caller> for Actor {
    fn from(caller: &Caller) -> Self {
        Self {
            name: caller.name.clone(),
            agency: caller.agency,
            nation: caller.nation.clone(),
            station: caller.station.clone(),
            operator: caller.operator.clone(),
            grant: caller.grant,
        }
    }
}
