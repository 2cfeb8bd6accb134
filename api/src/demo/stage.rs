//! The gallery on disk, filled, with the tokens of two checkpoints.

use super::{DemoArgs, cast::Cast};
use crate::{config::Config, node::Node};
use anyhow::Context;
use gallery::{
    Gallery, Setup,
    administer::{self, Proposal},
    ambient::Ambient,
    authority::{Caller, Reach, VerbName},
    enrol_batch::{self, BulkRow, RowOutcome},
    grant::{Content, Credential, Holder},
    handling::{Defaults, Grading, Handling},
    id::{AgencyId, WatchlistId},
    keys::root::RootKey,
    law::{Allowance, Category, LegalBasis, PriorAuthorisation, Purpose, Role},
    publish,
    subject::Listing,
    watchlist::{Gates, Policy},
};
use indicatif::{ProgressBar, ProgressStyle};
use matcher::{
    score::Threshold,
    template::{ModelId, ModelProfile},
};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

/// ICAO's Utopia and two of the codes that ISO 3166 leaves to users.
const NATIONS: [&str; 3] = ["UTO", "XAA", "XBB"];
pub(crate) const CHECKPOINTS: [&str; 2] = ["airport gate", "harbour gate"];
pub(crate) const MODEL: &str = "demo";

pub(crate) struct Stage {
    pub(crate) node: Arc<Node>,
    pub(crate) lists: Vec<WatchlistId>,
    pub(crate) tokens: Vec<String>,
    pub(crate) enrolling: Duration,
    folder: tempfile::TempDir,
}

impl Stage {
    pub(crate) fn build(cast: &Cast, args: &DemoArgs) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("limen-demo-").tempdir()?;
        let path = &folder.path().join("data");
        let ambient = Ambient::system();
        let root = RootKey::draw(&ambient);
        Gallery::create(path, &root, &ambient)?;
        let setup = Setup::new(root.clone(), 1);
        let (lists, tokens) = {
            let gallery = Gallery::open(path, setup, ambient.clone())?;
            let lists = furnish(&gallery, cast)?;
            let tokens = hand_out(&gallery, &ambient, &lists)?;
            (lists, tokens)
        };
        // As many lookups, with as many pictures of one person, as are to be counted.
        let (listen, insecure_unlimited_searches) = (args.listen, true);
        let mut config = Config { listen, insecure_unlimited_searches, ..Config::of_folder(path) };
        if let Some(models) = &cast.models {
            config = Config {
                models_folder: models.clone(),
                image_model: Some(ModelId::new(&cast.model)?),
                ..config
            };
        }
        let node = Arc::new(Node::open(&config, root)?);
        let began = Instant::now();
        fill(&node.gallery, cast, &lists)?;
        Ok(Self { node, lists, tokens, enrolling: began.elapsed(), folder })
    }
}

impl Stage {
    /// Where the request of the line to paste is.
    pub(crate) fn request_file(&self) -> PathBuf {
        self.folder.path().join("lookup.json")
    }

    /// Writes the first traveller's request there.
    pub(crate) fn leave_request(&self, cast: &Cast) -> std::io::Result<()> {
        let request = match cast.photographs.first() {
            Some(photograph) => super::photographs::request(self, photograph, 0),
            None => super::play::request(self, &cast.travellers[0], 0),
        };
        std::fs::write(self.request_file(), request.to_string())
    }
}

fn administrator(nation: &str) -> anyhow::Result<Caller> {
    Ok(Caller::administrator("demo".parse()?, nation.parse()?))
}

/// A model and a watchlist a nation.
fn furnish(gallery: &Gallery, cast: &Cast) -> anyhow::Result<Vec<WatchlistId>> {
    let model = ModelId::new(&cast.model)?;
    let profile = ModelProfile::new(model.clone(), cast.dimension, cast.mean.clone())?;
    publish::add_model(gallery, &administrator(NATIONS[0])?, profile)?;
    let policy = Policy {
        name: "wanted and missing".parse()?,
        purposes: [Purpose::BorderControl].into(),
        legal_bases: [LegalBasis::SisBorder, LegalBasis::NationalLaw].into(),
        defaults: Defaults {
            handling: Handling::H1,
            grading: Grading::UNKNOWN,
            instructions: [(Category::Missing, "Not a suspect: take into care and ask the owner.".parse()?)]
                .into(),
        },
        prior_authorisation: PriorAuthorisation::NotNeeded,
        categories: [Category::Wanted, Category::Missing].into(),
        model,
        threshold: Threshold::new(cast.threshold)?,
        gates: Gates::default(),
        fpir: None,
        retention_days: 365,
        review_days: 365,
    };
    let list = |nation: &str| {
        let (list, _) = publish::create_watchlist(gallery, &administrator(nation)?, policy.clone(), None)?;
        Ok(list.id)
    };
    NATIONS.into_iter().map(list).collect()
}

/// Each checkpoint may search all three lists: their owners share them. Officers of each nation grant it, two by two.
fn hand_out(gallery: &Gallery, ambient: &Ambient, lists: &[WatchlistId]) -> anyhow::Result<Vec<String>> {
    const DAYS: u32 = 1;
    let officers = NATIONS.map(|nation| appoint(gallery, ambient, nation));
    let officers = officers.into_iter().collect::<anyhow::Result<Vec<[Caller; 2]>>>()?;
    let grant = |[one, other]: &[Caller; 2], content, credential| {
        let proposal = Proposal { content, credential, days: DAYS };
        let (id, _) = administer::propose(gallery, one, proposal)?;
        administer::approve(gallery, other, id)?;
        anyhow::Ok(())
    };
    for (at, both) in officers.iter().enumerate() {
        for nation in NATIONS.into_iter().take(CHECKPOINTS.len()).filter(|nation| *nation != NATIONS[at]) {
            let content = Content::Nation { nation: nation.parse()?, watchlist: lists[at] };
            grant(both, content, None)?;
        }
    }
    let mut handed = Vec::new();
    for (name, both) in CHECKPOINTS.into_iter().zip(&officers) {
        let (token, credential) = Credential::draw(ambient);
        let holder = Holder {
            name: name.parse()?,
            // A checkpoint that sees scores, so that they can be checked by other means.
            role: Role::Integrator,
            verbs: [VerbName::Lookup].into(),
            agency: AgencyId::mint(ambient),
            station: Some(name.parse()?),
            operator: None,
            watchlists: Reach::Listed(lists.iter().copied().collect()),
            purposes: [Purpose::BorderControl].into(),
            allowances: [Allowance::RawProbes, Allowance::Scores].into(),
            searches_per_hour: None,
        };
        grant(both, Content::Caller(holder), Some(credential))?;
        handed.push(token);
    }
    Ok(handed)
}

/// Two officers of a nation.
fn appoint(gallery: &Gallery, ambient: &Ambient, nation: &str) -> anyhow::Result<[Caller; 2]> {
    let known = [(); 2].map(|()| Credential::draw(ambient).1);
    let both = [("first officer".parse()?, known[0]), ("second officer".parse()?, known[1])];
    administer::appoint_officers(gallery, &administrator(nation)?, both, 1)?;
    let officer = |credential| administer::recognise(gallery, credential).context("the officer is not known");
    Ok([officer(&known[0])?, officer(&known[1])?])
}

/// Subjects go to the nations in turn; one in ten is missing, not wanted.
fn fill(gallery: &Gallery, cast: &Cast, lists: &[WatchlistId]) -> anyhow::Result<()> {
    const PART: u64 = 3000;
    let bar = ProgressBar::new(cast.references);
    bar.set_style(ProgressStyle::with_template("enrolling   {bar:40} {pos}/{len}  {per_sec}  {eta} left")?);
    for start in (0..cast.references).step_by(PART as usize) {
        let part = start..cast.references.min(start + PART);
        let mut rows: Vec<Vec<BulkRow>> = vec![Vec::new(); NATIONS.len()];
        for person in cast.enrolled(part.clone()) {
            let turn = person.subject.bytes().map(usize::from).sum::<usize>();
            let at = turn % NATIONS.len();
            rows[at].push(BulkRow {
                subject: person.subject.parse()?,
                encounter: person.encounter.parse()?,
                watchlist: lists[at],
                listing: Listing::plain(if turn % 10 == 0 { Category::Missing } else { Category::Wanted }),
                features: person.features,
                quality: None,
            });
        }
        for (nation, rows) in NATIONS.into_iter().zip(rows) {
            let (outcomes, _) = enrol_batch::enrol_batch(gallery, &administrator(nation)?, rows)?;
            for outcome in outcomes {
                anyhow::ensure!(
                    !matches!(outcome, RowOutcome::Refused(_)),
                    "a template was refused: {outcome:?}"
                );
            }
        }
        bar.inc(part.end - part.start);
    }
    bar.finish_and_clear();
    Ok(())
}
