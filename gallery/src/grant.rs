//! What officers grant, and by which credentials those are known who hold a grant.

use crate::{
    ambient::Ambient,
    budget::{MOST_SEARCHES_PER_HOUR, SEARCHES_PER_HOUR},
    caller::{Caller, Reach, Rights, VerbName, keeps, searches},
    id::{AgencyId, GrantId, WatchlistId},
    law::{Allowance, Nation, OwnReference, Purpose, Role},
    timestamp::Timestamp,
};
use audit::hash::{Hash, sha256};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, str::FromStr};

/// By what a caller is known. Only digests are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// A bearer token: 256 random bits, so that a plain SHA-256 suffices.
    Token(Hash),
    /// A certificate of a client: SHA-256 over its DER.
    Certificate(Hash),
    /// Whom an issuer of identities knows under a name: SHA-256 over both.
    Subject(Hash),
}

/// What every token begins with, so that one that has leaked is recognised.
const PREFIX: &str = "limen_";

impl Credential {
    /// A new token, and by what its holder is known.
    pub fn draw(ambient: &Ambient) -> (String, Self) {
        let random: [u8; 32] = ambient.random();
        let token = format!("{PREFIX}{}", Hash(random));
        let credential = Self::of_token(&token);
        (token, credential)
    }

    /// Of who holds this token.
    pub fn of_token(token: &str) -> Self {
        Self::Token(sha256(&[token.as_bytes()]))
    }

    /// Of whom this issuer knows as this subject (the claims `iss` and `sub`).
    pub fn of_subject(issuer: &str, subject: &str) -> Self {
        let length = (issuer.len() as u64).to_le_bytes();
        Self::Subject(sha256(&[b"limen/subject/v1\0", &length, issuer.as_bytes(), subject.as_bytes()]))
    }

    /// Of who holds the key of this certificate, in DER.
    pub fn of_certificate(der: &[u8]) -> Self {
        Self::Certificate(sha256(&[der]))
    }
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(digest) => write!(f, "token:{digest}"),
            Self::Certificate(digest) => write!(f, "certificate:{digest}"),
            Self::Subject(digest) => write!(f, "subject:{digest}"),
        }
    }
}

/// Why a text is not a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a credential is written token:, certificate: or subject:, and a SHA-256 in hexadecimal")]
pub struct CredentialError;

impl FromStr for Credential {
    type Err = CredentialError;

    fn from_str(text: &str) -> Result<Self, CredentialError> {
        let (kind, digest) = text.split_once(':').ok_or(CredentialError)?;
        let digest = Hash::from_hex(digest).ok_or(CredentialError)?;
        match kind {
            "token" => Ok(Self::Token(digest)),
            "certificate" => Ok(Self::Certificate(digest)),
            "subject" => Ok(Self::Subject(digest)),
            _ => Err(CredentialError),
        }
    }
}

/// What is granted, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "snake_case")]
pub enum Content {
    /// To a caller of the officers' nation: what it may do.
    Caller(Holder),
    /// To another nation: its officers may grant searches of a watchlist to their callers.
    Nation {
        /// Which nation.
        nation: Nation,
        /// A watchlist of the officers' nation.
        watchlist: WatchlistId,
    },
}

/// A caller, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// Unique among the nation's live grants: nobody holds two.
    pub name: OwnReference,
    /// What it is.
    pub role: Role,
    /// Of an integrator: what of its role's verbs it may do. Of the others none are named: it is their role's.
    #[serde(default)]
    pub verbs: BTreeSet<VerbName>,
    /// Its authority.
    pub agency: AgencyId,
    /// The place or device at which it acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station: Option<OwnReference>,
    /// The person who acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<OwnReference>,
    /// On which watchlists.
    pub watchlists: Reach,
    /// For which purposes, if it searches.
    #[serde(default)]
    pub purposes: BTreeSet<Purpose>,
    /// What it may do beside, if it searches.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub allowances: BTreeSet<Allowance>,
    /// How many searches it may make in an hour, if it searches: 3,600 where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub searches_per_hour: Option<u32>,
}

/// Why nothing is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HolderError {
    /// Verbs for a role that has its own.
    #[error("only an integrator is given verbs one by one")]
    Verbs,
    /// None, or others than an integrator may have.
    #[error("an integrator is given at least one verb, of those that integrators may have")]
    Scope,
    /// Searching and keeping records in one hand.
    #[error("nobody both searches and keeps records")]
    Separation,
    /// A search without a purpose.
    #[error("who searches does so for at least one purpose")]
    Purposes,
    /// A purpose without a search.
    #[error("purposes are for who searches")]
    NoPurposes,
    /// Something that the role cannot be allowed.
    #[error("raw probes are for checkpoints and integrators that search, scores for such integrators")]
    Allowances,
    /// None, too many, or for somebody who does not search.
    #[error("who searches may do so 1 to {MOST_SEARCHES_PER_HOUR} times in an hour")]
    Searches,
}

impl HolderError {
    /// The field that is wrong.
    pub fn field(self) -> &'static str {
        match self {
            Self::Verbs | Self::Scope | Self::Separation => "verbs",
            Self::Purposes | Self::NoPurposes => "purposes",
            Self::Allowances => "allowances",
            Self::Searches => "searches_per_hour",
        }
    }
}

impl Holder {
    /// # Errors
    /// When role, verbs and purposes do not belong together.
    pub fn check(&self) -> Result<(), HolderError> {
        let rights = self.rights();
        let searching = rights.verbs.iter().any(|verb| searches(*verb));
        let keeping = rights.verbs.iter().any(|verb| keeps(*verb));
        if self.role != Role::Integrator && !self.verbs.is_empty() {
            return Err(HolderError::Verbs);
        }
        let allowed = |verb: &VerbName| self.role.verbs().contains(verb);
        if self.role == Role::Integrator && (self.verbs.is_empty() || !self.verbs.iter().all(allowed)) {
            return Err(HolderError::Scope);
        }
        if searching && keeping {
            return Err(HolderError::Separation);
        }
        let may = |allowance| searching && self.role.allowances().contains(allowance);
        if !self.allowances.iter().all(may) {
            return Err(HolderError::Allowances);
        }
        let many = |most| searching && (1..=MOST_SEARCHES_PER_HOUR).contains(&most);
        if !self.searches_per_hour.is_none_or(many) {
            return Err(HolderError::Searches);
        }
        match (searching, self.purposes.is_empty()) {
            (true, true) => Err(HolderError::Purposes),
            (false, false) => Err(HolderError::NoPurposes),
            _ => Ok(()),
        }
    }

    /// What it may do.
    pub fn rights(&self) -> Rights {
        let verbs = match self.role {
            Role::Integrator => self.verbs.clone(),
            role => role.verbs().iter().copied().collect(),
        };
        let (watchlists, purposes) = (self.watchlists.clone(), self.purposes.clone());
        let searches_per_hour = self.searches_per_hour.unwrap_or(SEARCHES_PER_HOUR);
        Rights { verbs, watchlists, purposes, allowances: self.allowances.clone(), searches_per_hour }
    }

    /// Who calls under this grant.
    pub(crate) fn caller(self, grant: GrantId, nation: Nation) -> Caller {
        let rights = self.rights();
        let Self { name, agency, station, operator, .. } = self;
        Caller { name, agency, nation, station, operator, grant: Some(grant), rights }
    }
}

/// A grant on record.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// Which.
    pub id: GrantId,
    /// Whose officers granted it.
    pub nation: Nation,
    /// What, and to whom.
    pub content: Content,
    /// By what a caller is known.
    pub credential: Option<Credential>,
    /// Which officer proposed it; none where a folder's holder appointed the first officers.
    pub proposed_by: Option<GrantId>,
    /// When.
    pub proposed_at: Timestamp,
    /// Which other officer approved it.
    pub approved_by: Option<GrantId>,
    /// When it was approved, if it is.
    pub approved_at: Option<Timestamp>,
    /// Until when it holds.
    pub ends_at: Timestamp,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

impl Grant {
    /// Does it hold now?
    pub fn holds(&self, now: Timestamp) -> bool {
        self.approved_at.is_some() && self.revoked_at.is_none() && now < self.ends_at
    }

    /// Its name among the nation's live grants.
    pub(crate) fn name(&self) -> String {
        match &self.content {
            Content::Caller(holder) => holder.name.to_string(),
            Content::Nation { nation, watchlist } => format!("{watchlist} for {nation}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(role: Role, verbs: &[VerbName], purposes: &[Purpose]) -> Result<(), HolderError> {
        budgeted(role, verbs, purposes, None)
    }

    fn budgeted(
        role: Role,
        verbs: &[VerbName],
        purposes: &[Purpose],
        searches_per_hour: Option<u32>,
    ) -> Result<(), HolderError> {
        Holder {
            name: "x".parse().unwrap(),
            role,
            verbs: verbs.iter().copied().collect(),
            agency: AgencyId::from_bytes([1; 16]),
            station: None,
            operator: None,
            watchlists: Reach::Own,
            purposes: purposes.iter().copied().collect(),
            allowances: BTreeSet::new(),
            searches_per_hour,
        }
        .check()
    }

    #[test]
    fn who_searches_has_a_budget_and_nobody_else() {
        let checkpoint = |searches| budgeted(Role::Checkpoint, &[], &[Purpose::BorderControl], searches);
        assert_eq!((checkpoint(Some(1)), checkpoint(Some(MOST_SEARCHES_PER_HOUR))), (Ok(()), Ok(())));
        for wrong in [0, MOST_SEARCHES_PER_HOUR + 1] {
            assert_eq!(checkpoint(Some(wrong)), Err(HolderError::Searches));
        }
        assert_eq!(budgeted(Role::Enroller, &[], &[], Some(5)), Err(HolderError::Searches));
    }

    #[test]
    fn nobody_holds_two_of_searching_and_keeping() {
        let border = &[Purpose::BorderControl];
        assert_eq!(holder(Role::Checkpoint, &[], border), Ok(()));
        assert_eq!(holder(Role::Checkpoint, &[], &[]), Err(HolderError::Purposes));
        assert_eq!(holder(Role::Checkpoint, &[VerbName::Enrol], border), Err(HolderError::Verbs));
        assert_eq!(holder(Role::Enroller, &[], border), Err(HolderError::NoPurposes));
        assert_eq!(holder(Role::Integrator, &[], border), Err(HolderError::Scope));
        assert_eq!(holder(Role::Integrator, &[VerbName::Administer], &[]), Err(HolderError::Scope));
        let both = [VerbName::Lookup, VerbName::Enrol];
        assert_eq!(holder(Role::Integrator, &both, border), Err(HolderError::Separation));
        assert_eq!(holder(Role::Integrator, &both[1..], &[]), Ok(()));
        for (verb, purposes) in [(VerbName::Lookup, &border[..]), (VerbName::Enrol, &[])] {
            assert_eq!(holder(Role::Integrator, &[verb, VerbName::Extract], purposes), Ok(()));
        }
        assert_eq!(holder(Role::Integrator, &[VerbName::Extract], &[]), Ok(()));
        for role in Role::ALL.iter().filter(|role| **role != Role::Integrator) {
            let verbs = role.verbs();
            assert!(verbs.iter().all(|verb| searches(*verb)) || !verbs.iter().any(|verb| searches(*verb)));
        }
    }

    #[test]
    fn a_credential_has_one_written_form() {
        let (token, credential) = Credential::draw(&Ambient::system());
        assert_eq!(credential, Credential::of_token(&token));
        assert!(token.starts_with(PREFIX) && !credential.to_string().contains(&token[PREFIX.len()..]));
        assert_eq!(credential.to_string().parse(), Ok(credential));
        let other = Credential::of_certificate(token.as_bytes());
        assert!(other.to_string().parse() == Ok(other) && other != credential);
        let subject = Credential::of_subject("https://a", "bc");
        assert!(
            subject.to_string().parse() == Ok(subject)
                && subject != Credential::of_subject("https://ab", "c")
        );
        assert!("token:00".parse::<Credential>().is_err() && "key:00".parse::<Credential>().is_err());
    }
}
