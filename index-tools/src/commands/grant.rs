//! `limen-index grant`

use crate::{
    error::Failure,
    place::{For, Place},
    remote::{self, Node, Remote},
};
use clap::{ArgGroup, Args, Subcommand};
use gallery::{
    Gallery,
    administer::{self, Proposal},
    ambient::Ambient,
    authority::{Caller, Reach, VerbName},
    grant::{Content, Credential, Grant as Granted, Holder},
    id::{AgencyId, GrantId, WatchlistId},
    law::{Allowance, Nation, OwnReference, Purpose, Role},
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Who may call, and for what: one security officer proposes, another approves.
///
/// There is nobody by default. Whoever holds the folder appoints a nation's first two officers; they grant everything else, on the folder or, with --server, on a
/// running node. Each step is in the audit log.
#[derive(Args)]
pub(crate) struct Grant {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Appoint a nation's first two officers, and print their tokens: the only time that they are seen.
    Officers(Officers),
    /// Propose a grant to a caller, and print its id and its token: the only time that it is seen.
    Add(Box<Add>),
    /// Propose that another nation's officers may grant searches of a watchlist.
    Share(Share),
    /// Approve what another officer has proposed.
    Approve(Decide),
    /// Take grants or proposals back: one officer suffices.
    Revoke(Decide),
    /// List the nation's grants, oldest first.
    List {
        #[command(flatten)]
        desk: Desk,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Where officers act; --token-file holds the officer's token.
#[derive(Args)]
struct Desk {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args)]
struct Officers {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    nation: For,
    /// Name of an officer; to be given twice.
    #[arg(long = "name", required = true)]
    names: Vec<OwnReference>,
    /// For how many days.
    #[arg(long, default_value_t = 365)]
    days: u32,
}

/// How a proposal is made.
#[derive(Args)]
struct Terms {
    #[command(flatten)]
    desk: Desk,
    /// File that holds the token of another officer, who approves it at once.
    #[arg(long)]
    approver: Option<PathBuf>,
    /// For how many days.
    #[arg(long, default_value_t = 365)]
    days: u32,
}

#[derive(Args)]
#[command(group(ArgGroup::new("reach").required(true).args(["own", "watchlists"])))]
struct Add {
    #[command(flatten)]
    terms: Terms,
    /// Name of the caller, unique among the nation's live grants.
    #[arg(long)]
    name: OwnReference,
    /// What it is: checkpoint, adjudicator, enroller, `index_admin`, auditor, integrator, `security_officer`.
    #[arg(long)]
    role: Role,
    /// Of an integrator: what it may do (may be given several times).
    #[arg(long = "verb", value_parser = verb)]
    verbs: Vec<VerbName>,
    /// Its agency, as agy_…; a new one if absent.
    #[arg(long)]
    agency: Option<AgencyId>,
    /// The place or device at which it acts.
    #[arg(long)]
    station: Option<OwnReference>,
    /// The person who acts.
    #[arg(long)]
    operator: Option<OwnReference>,
    /// It reaches all watchlists of its nation, also those made later.
    #[arg(long)]
    own: bool,
    /// It reaches this watchlist, as wl_… (may be given several times).
    #[arg(long = "watchlist")]
    watchlists: Vec<WatchlistId>,
    /// Purpose for which it may search (may be given several times).
    #[arg(long = "purpose")]
    purposes: Vec<Purpose>,
    /// It may search with features of its own, not only with images.
    #[arg(long)]
    raw_probes: bool,
    /// It sees scores instead of bands (integrators that search).
    #[arg(long)]
    scores: bool,
    /// How many searches it may make in an hour, if not 3,600.
    #[arg(long)]
    searches_per_hour: Option<u32>,
    /// Certificate (PEM) by which it is known, instead of a token.
    #[arg(long, conflicts_with = "subject")]
    certificate: Option<PathBuf>,
    /// Issuer of identities (`iss`) that knows it, instead of a token.
    #[arg(long, requires = "subject")]
    issuer: Option<String>,
    /// Subject (`sub`) as whom the issuer knows it.
    #[arg(long, requires = "issuer")]
    subject: Option<String>,
}

#[derive(Args)]
struct Share {
    #[command(flatten)]
    terms: Terms,
    /// Watchlist, as wl_….
    #[arg(long)]
    watchlist: WatchlistId,
    /// With which nation.
    #[arg(long = "with")]
    nation: Nation,
}

#[derive(Args)]
struct Decide {
    #[command(flatten)]
    desk: Desk,
    /// Grants, as grt_….
    #[arg(required = true)]
    grants: Vec<GrantId>,
}

fn verb(text: &str) -> Result<VerbName, String> {
    let known: Vec<&str> = Role::Integrator.verbs().iter().map(|verb| verb.as_str()).collect();
    let found = Role::Integrator.verbs().iter().find(|verb| verb.as_str() == text);
    found.copied().ok_or_else(|| format!("known are: {}", known.join(", ")))
}

impl Grant {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match &self.action {
            Action::Officers(officers) => officers.run(),
            Action::Add(add) => add.run(),
            Action::Share(Share { terms, watchlist, nation }) => {
                let content = Content::Nation { nation: nation.clone(), watchlist: *watchlist };
                terms.propose(content, None)
            }
            Action::Approve(Decide { desk, grants }) => {
                let officer = desk.officer()?;
                grants.iter().try_for_each(|id| officer.approve(*id))
            }
            Action::Revoke(Decide { desk, grants }) => {
                let officer = desk.officer()?;
                grants.iter().try_for_each(|id| officer.revoke(*id))
            }
            Action::List { desk, json } => list(&desk.officer()?, *json),
        }
    }
}

impl Officers {
    fn run(&self) -> Result<(), Failure> {
        let two = || Failure::Argument("--name is given twice: two officers grant together".to_owned());
        let [one, other]: &[OwnReference; 2] = self.names.as_slice().try_into().map_err(|_| two())?;
        let [(token, known), (other_token, other_known)] =
            [(); 2].map(|()| Credential::draw(&Ambient::system()));
        let both = [(one.clone(), known), (other.clone(), other_known)];
        administer::appoint_officers(&self.place.open()?, &self.nation.caller(), both, self.days)?;
        println!("{token}\n{other_token}");
        Ok(())
    }
}

impl Add {
    fn run(&self) -> Result<(), Failure> {
        let reach =
            if self.own { Reach::Own } else { Reach::Listed(self.watchlists.iter().copied().collect()) };
        let given = [(self.raw_probes, Allowance::RawProbes), (self.scores, Allowance::Scores)];
        let holder = Holder {
            name: self.name.clone(),
            role: self.role,
            verbs: self.verbs.iter().copied().collect::<BTreeSet<_>>(),
            agency: self.agency.unwrap_or_else(|| AgencyId::mint(&Ambient::system())),
            station: self.station.clone(),
            operator: self.operator.clone(),
            watchlists: reach,
            purposes: self.purposes.iter().copied().collect(),
            allowances: given
                .into_iter()
                .filter_map(|(given, allowance)| given.then_some(allowance))
                .collect(),
            searches_per_hour: self.searches_per_hour,
        };
        let known = match (&self.issuer, &self.subject) {
            (Some(issuer), Some(subject)) => Some(Credential::of_subject(issuer, subject)),
            _ => self.certificate.as_deref().map(known_by).transpose()?,
        };
        self.terms.propose(Content::Caller(holder), known)
    }
}

/// By what the holder of a certificate is known.
fn known_by(path: &Path) -> Result<Credential, Failure> {
    let wrong = |error| Failure::Argument(format!("{}: {error}", path.display()));
    Ok(Credential::of_certificate(&CertificateDer::from_pem_file(path).map_err(wrong)?))
}

impl Terms {
    /// Proposes, tells the id, and the token, if one was made, and lets the other officer approve it, if one is there.
    fn propose(&self, content: Content, known: Option<Credential>) -> Result<(), Failure> {
        let Desk { place, remote } = &self.desk;
        let first = Officer::of(remote.token_file(), remote, || place.open())?;
        if let Some(approver) = &self.approver {
            remote::token(approver)?; // before anything is proposed
        }
        let (id, token) = first.propose(content, known, self.days)?;
        println!("{id}{}", token.map(|token| format!("\t{token}")).unwrap_or_default());
        if let Some(approver) = &self.approver {
            // The folder is open once.
            let other = Officer::of(Some(approver), remote, || first.into_gallery())?;
            other.approve(id)?;
        }
        Ok(())
    }
}

impl Desk {
    fn officer(&self) -> Result<Officer, Failure> {
        Officer::of(self.remote.token_file(), &self.remote, || self.place.open())
    }
}

/// An officer, at a folder or at a running node.
enum Officer {
    AtFolder(Box<Gallery>, Caller),
    AtNode(Node),
}

impl Officer {
    fn of(
        token_file: Option<&Path>,
        remote: &Remote,
        open: impl FnOnce() -> Result<Gallery, Failure>,
    ) -> Result<Self, Failure> {
        if let Some(node) = remote.node_with(token_file)? {
            return Ok(Self::AtNode(node));
        }
        let missing =
            || Failure::Argument("--token-file is missing: it holds the officer's token".to_owned());
        let token_file = token_file.ok_or_else(missing)?;
        let token = remote::token(token_file)?;
        let gallery = open()?;
        let caller = administer::recognise(&gallery, &Credential::of_token(&token));
        let unknown = || Failure::Argument(format!("{}: nobody here has this token", token_file.display()));
        Ok(Self::AtFolder(Box::new(gallery), caller.ok_or_else(unknown)?))
    }

    fn into_gallery(self) -> Result<Gallery, Failure> {
        match self {
            Self::AtFolder(gallery, _) => Ok(*gallery),
            Self::AtNode(_) => Err(Failure::Argument("a node is not a folder".to_owned())),
        }
    }

    fn propose(
        &self,
        content: Content,
        known: Option<Credential>,
        days: u32,
    ) -> Result<(GrantId, Option<String>), Failure> {
        match self {
            Self::AtFolder(gallery, caller) => {
                let drawn = match (&content, known) {
                    (Content::Caller(_), None) => Some(Credential::draw(&Ambient::system())),
                    _ => None,
                };
                let (token, drawn) = drawn.unzip();
                let proposal = Proposal { content, credential: known.or(drawn), days };
                let (id, _) = administer::propose(gallery, caller, proposal)?;
                Ok((id, token))
            }
            Self::AtNode(node) => {
                let mut body = json!({ "content": content, "days": days });
                if let Some(known) = known {
                    body["known_by"] = known.to_string().into();
                }
                let mut made = node.post("/v1/grants", &body)?;
                Ok((remote::read(made["grant"].take())?, made["token"].as_str().map(str::to_owned)))
            }
        }
    }

    fn approve(&self, id: GrantId) -> Result<(), Failure> {
        match self {
            Self::AtFolder(gallery, caller) => drop(administer::approve(gallery, caller, id)?),
            Self::AtNode(node) => drop(node.ask("POST", &format!("/v1/grants/{id}/approval"))?),
        }
        Ok(())
    }

    fn revoke(&self, id: GrantId) -> Result<(), Failure> {
        match self {
            Self::AtFolder(gallery, caller) => drop(administer::revoke(gallery, caller, id)?),
            Self::AtNode(node) => drop(node.ask("DELETE", &format!("/v1/grants/{id}"))?),
        }
        Ok(())
    }
}

fn list(officer: &Officer, json: bool) -> Result<(), Failure> {
    let grants: Vec<Value> = match officer {
        Officer::AtNode(node) => remote::read(node.ask("GET", "/v1/grants")?["grants"].take())?,
        Officer::AtFolder(gallery, caller) => {
            administer::list(gallery, caller)?.iter().map(described).collect()
        }
    };
    if json {
        println!("{:#}", Value::Array(grants));
        return Ok(());
    }
    for grant in &grants {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let content = &grant["content"];
        let what = if content["to"] == "nation" {
            format!("{} for {}", text(&content["watchlist"]), text(&content["nation"]))
        } else {
            format!("{}, {}", text(&content["name"]), text(&content["role"]))
        };
        let state = if grant["approved_at"].is_string() { "until" } else { "proposed, until" };
        println!("{}\t{what}\t{state} {}", text(&grant["id"]), text(&grant["ends_at"]));
    }
    Ok(())
}

fn described(grant: &Granted) -> Value {
    json!({
        "id": grant.id, "content": grant.content, "proposed_by": grant.proposed_by, "proposed_at": grant.proposed_at,
        "approved_by": grant.approved_by, "approved_at": grant.approved_at, "ends_at": grant.ends_at,
        "known_by": grant.credential.map(|credential| credential.to_string()),
    })
}
