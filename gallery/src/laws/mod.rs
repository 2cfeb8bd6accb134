//! The gallery's laws, each as a test; here the house that they are tried in.

mod backup;
mod calibration;
mod device;
mod disaster;
mod erasure;
mod generation;
mod grants;
mod handling;
mod log;
mod misuse;
mod reassign;
mod record;
mod sample;
mod search;

use crate::{
    Gallery,
    ambient::{Ambient, Clock},
    authority::{Caller, Ground},
    decision::{Candidate, Likeness, LookupAnswer, Seen},
    enrol::{self, EnrolError},
    event::Event,
    evidence,
    generation::Snapshot,
    handling::{Defaults, Grading, Handling},
    id::{EncounterId, SubjectId, WatchlistId},
    idempotency::{Idempotency, IdempotencyKey},
    keys::root::RootKey,
    law::{Category, LegalBasis, PriorAuthorisation, Purpose},
    lookup::{self, LookupError, LookupRequest, Preparation},
    open::{OpenError, Searching, Setup},
    publish,
    strictness::Stricter,
    subject::{Listing, NewEncounter, NewSubject, RawFeatures},
    timestamp::Timestamp,
    watchlist::{Gates, Policy},
};
use audit::receipt::Receipt;
use matcher::{
    score::Threshold,
    template::{ModelId, ModelProfile},
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

pub(super) struct Hand(pub(super) AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

/// A data folder in a place of its own, so that what stands beside it goes with it.
pub(super) struct Home(tempfile::TempDir, std::path::PathBuf);

impl Home {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("data");
        Self(place, path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.1
    }

    /// The data folder with what stands beside it.
    pub(super) fn place(&self) -> &Path {
        self.0.path()
    }
}

/// A gallery on disk with a watchlist of Utopia and a clock that stands still.
pub(super) struct House {
    pub(super) gallery: Gallery,
    pub(super) clock: Arc<Hand>,
    pub(super) list: WatchlistId,
    pub(super) folder: Home,
}

pub(super) const DIMENSION: usize = 8;

pub(super) fn model() -> ModelId {
    ModelId::new("test").unwrap()
}

pub(super) fn utopia() -> Caller {
    Caller::administrator("admin".parse().unwrap(), "UTO".parse().unwrap())
}

pub(super) fn root() -> RootKey {
    RootKey::find(Path::new(""), Some(&"17".repeat(32)), None).unwrap()
}

/// Without the guard against misuse: of faces with eight features many are alike.
pub(super) fn setup() -> Setup {
    Setup { searching: Searching::InsecureUnlimited, ..Setup::new(root(), 1) }
}

pub(super) fn open(folder: &Path, clock: &Arc<Hand>) -> Result<Gallery, OpenError> {
    Gallery::open(folder, setup(), Ambient { clock: Arc::clone(clock) as _, ..Ambient::system() })
}

pub(super) fn policy(name: &str) -> Policy {
    Policy {
        name: name.parse().unwrap(),
        purposes: [Purpose::BorderControl].into(),
        legal_bases: [LegalBasis::SisBorder].into(),
        defaults: Defaults { handling: Handling::H0, grading: Grading::UNKNOWN, instructions: [].into() },
        prior_authorisation: PriorAuthorisation::NotNeeded,
        categories: [Category::Wanted, Category::Missing].into(),
        model: model(),
        threshold: Threshold::new(0.9).unwrap(),
        gates: Gates::default(),
        fpir: None,
        retention_days: 10,
        review_days: 10,
    }
}

impl House {
    pub(super) fn build() -> Self {
        let folder = Home::new();
        Gallery::create(folder.path(), &root(), &Ambient::system()).unwrap();
        let clock = Arc::new(Hand(AtomicI64::new(1_800_000_000_000)));
        let gallery = open(folder.path(), &clock).unwrap();
        publish::add_model(&gallery, &utopia(), ModelProfile::new(model(), DIMENSION, None).unwrap())
            .unwrap();
        let (list, _) = publish::create_watchlist(&gallery, &utopia(), policy("first"), None).unwrap();
        Self { gallery, clock, list: list.id, folder }
    }

    pub(super) fn reopen(self) -> Self {
        self.opened_by(|folder, ambient| Gallery::open(folder, setup(), ambient))
    }

    /// Opened again, to be searched like this.
    pub(super) fn searched_by(self, index: crate::Index) -> Self {
        let setup = Setup { index, threads: 2, ..setup() };
        self.opened_by(|folder, ambient| Gallery::open(folder, setup, ambient))
    }

    /// Closed, and opened in this way.
    pub(super) fn opened_by(self, open: impl FnOnce(&Path, Ambient) -> Result<Gallery, OpenError>) -> Self {
        let Self { gallery, clock, list, folder } = self;
        drop(gallery);
        let ambient = Ambient { clock: Arc::clone(&clock) as _, ..Ambient::system() };
        Self { gallery: open(folder.path(), ambient).unwrap(), clock, list, folder }
    }

    /// Waits until the background has coded the references anew.
    pub(super) fn wait_for_codes(&self) {
        let began = std::time::Instant::now();
        while self.gallery.current.load().codings[&model()].fitted_on == 0 {
            assert!(began.elapsed().as_secs() < 60, "nothing was coded anew");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    pub(super) fn request(&self, features: [f32; DIMENSION]) -> LookupRequest {
        let case_reference = "case".parse().unwrap();
        LookupRequest {
            watchlists: vec![self.list],
            ground: Ground {
                purpose: Purpose::BorderControl,
                legal_basis: LegalBasis::SisBorder,
                case_reference,
                authorisation: None,
            },
            probe: sample(features).into(),
            limit: 10,
            stricter: Stricter::default(),
        }
    }

    pub(super) fn look(&self, features: [f32; DIMENSION]) -> LookupAnswer {
        self.ask(&utopia(), self.request(features), None).unwrap().0
    }

    pub(super) fn ask(
        &self,
        caller: &Caller,
        request: LookupRequest,
        idempotency: Option<Idempotency>,
    ) -> Result<(LookupAnswer, Receipt), LookupError> {
        match lookup::prepare(&self.gallery, caller, request, idempotency)? {
            Preparation::Answered(answer, receipt) => Ok((*answer, receipt)),
            Preparation::Search(prepared) => {
                let searched = lookup::search_batch(&self.gallery, vec![prepared]).pop().unwrap();
                lookup::conclude(&self.gallery, searched)
            }
        }
    }

    pub(super) fn enrol(&self, name: &str, features: [f32; DIMENSION]) -> Result<SubjectId, EnrolError> {
        self.enrol_under(name, features, None).map(|(id, _)| id)
    }

    pub(super) fn enrol_under(
        &self,
        name: &str,
        features: [f32; DIMENSION],
        key: Option<Idempotency>,
    ) -> Result<(SubjectId, Receipt), EnrolError> {
        let encounter =
            NewEncounter { reference: None, captured_at: None, sample: sample(features), quality: None };
        let new = NewSubject {
            reference: name.parse().unwrap(),
            entries: vec![(self.list, Listing::plain(Category::Wanted))],
            encounters: vec![encounter],
        };
        enrol::enrol_subject(&self.gallery, &utopia(), new, key)
            .map(|(done, receipt)| (done.subject, receipt))
    }

    pub(super) fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        evidence::each_event(&self.gallery, |_, event| events.push(event)).unwrap();
        events
    }

    pub(super) fn break_snapshot(&self, breaking: impl FnOnce(&mut Snapshot)) {
        let mut snapshot = Snapshot::clone(&self.gallery.current.load());
        breaking(&mut snapshot);
        self.gallery.current.replace(snapshot);
    }
}

/// What is shown in full: who, the encounter, and the score.
pub(super) fn seen(candidate: &Candidate) -> (SubjectId, EncounterId, f32) {
    match candidate.seen.as_ref().unwrap() {
        Seen { subject, encounter, likeness: Likeness::Score(score), .. } => (*subject, *encounter, *score),
        seen => panic!("no score: {seen:?}"),
    }
}

pub(super) fn sample(features: [f32; DIMENSION]) -> RawFeatures {
    RawFeatures { model: model(), features: features.to_vec() }
}

/// Unit vectors along axes: far from each other.
pub(super) fn axis(n: usize) -> [f32; DIMENSION] {
    std::array::from_fn(|i| f32::from(u8::from(i == n)))
}

#[expect(clippy::unnecessary_wraps, reason = "what verbs take")]
pub(super) fn key(text: &str, request: u8) -> Option<Idempotency> {
    Some(Idempotency { key: IdempotencyKey::new(text).unwrap(), request: [request; 32] })
}

/// Says something past the test runner's capture.
pub(super) fn told(what: &str) {
    std::io::Write::write_all(&mut std::io::stderr(), format!("{what}\n").as_bytes()).unwrap();
}
