//! The gallery on disk, filled, with the tokens of two checkpoints.

use super::{DemoArgs, cast::Cast};
use crate::{config::Config, node::Node};
use gallery::{
    Gallery, Setup,
    ambient::Ambient,
    authority::{Caller, Grant, Reach, VerbName},
    enrol_batch::{self, BulkRow, RowOutcome},
    id::{AgencyId, WatchlistId},
    keys::root::RootKey,
    law::{Category, HandlingCode, LegalBasis, Nation, Purpose},
    publish,
    token::Tokens,
    watchlist::Policy,
};
use indicatif::{ProgressBar, ProgressStyle};
use matcher::{
    score::Threshold,
    template::{ModelId, ModelProfile},
};
use std::{
    path::{Path, PathBuf},
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
        let lists = furnish(&Gallery::open(path, setup, ambient.clone())?, cast)?;
        let tokens = hand_out(path, &ambient, &lists)?;
        let node = Arc::new(Node::open(&Config { listen: args.listen, ..Config::of_folder(path) }, root)?);
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
        std::fs::write(self.request_file(), super::play::request(self, &cast.travellers[0], 0).to_string())
    }
}

fn administrator(nation: &str) -> anyhow::Result<Caller> {
    Ok(Caller::administrator("demo".parse()?, nation.parse()?))
}

/// A model and a watchlist a nation.
fn furnish(gallery: &Gallery, cast: &Cast) -> anyhow::Result<Vec<WatchlistId>> {
    let model = ModelId::new(MODEL)?;
    let profile = ModelProfile::new(model.clone(), cast.dimension, cast.mean.clone())?;
    publish::add_model(gallery, &administrator(NATIONS[0])?, profile)?;
    let policy = Policy {
        name: "wanted and missing".parse()?,
        purposes: [Purpose::BorderControl].into(),
        legal_bases: [LegalBasis::SisBorder, LegalBasis::NationalLaw].into(),
        handling: HandlingCode::H1,
        categories: [Category::Wanted, Category::Missing].into(),
        model,
        threshold: Threshold::new(cast.threshold)?,
        retention_days: 365,
        review_days: 365,
    };
    let list = |nation: &str| {
        let (list, _) = publish::create_watchlist(gallery, &administrator(nation)?, policy.clone(), None)?;
        Ok(list.id)
    };
    NATIONS.into_iter().map(list).collect()
}

/// Each checkpoint may search all three lists: they are shared.
fn hand_out(folder: &Path, ambient: &Ambient, lists: &[WatchlistId]) -> anyhow::Result<Vec<String>> {
    let mut tokens = Tokens::default();
    let grant = Grant {
        verbs: [VerbName::Lookup, VerbName::Verify].into(),
        watchlists: Reach::Listed(lists.iter().copied().collect()),
        purposes: [Purpose::BorderControl].into(),
    };
    let mut handed = Vec::new();
    for (name, nation) in CHECKPOINTS.into_iter().zip(NATIONS) {
        let nation: Nation = nation.parse()?;
        handed.push(tokens.add(ambient, name.parse()?, AgencyId::mint(ambient), nation, grant.clone())?);
    }
    tokens.save(&folder.join(gallery::token::FILE_NAME))?;
    Ok(handed)
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
                category: if turn % 10 == 0 { Category::Missing } else { Category::Wanted },
                features: person.features,
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
