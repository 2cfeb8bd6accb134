//! A data folder opened in this process, and asked as a checkpoint and a clerk would.

use crate::{ROOT_KEY, Site, clients::Person, face};
use gallery::{
    Gallery, Searching, Setup, administer,
    ambient::Ambient,
    authority::{Caller, Ground},
    decision::LookupAnswer,
    grant::Credential,
    inspect::{self, Which},
    keys::root::RootKey,
    law::{LegalBasis, Purpose},
    lookup::{self, LookupError, LookupRequest, Preparation},
    open::OpenError,
    subject::RawFeatures,
};
use matcher::template::ModelId;
use std::{collections::BTreeMap, path::Path};

/// An open gallery and who asks it.
pub struct Opened {
    /// The gallery.
    pub gallery: Gallery,
    guard: Caller,
    clerk: Caller,
}

/// Why it was not opened.
#[derive(Debug)]
pub enum Closed {
    /// The gallery cannot be opened.
    Gallery(OpenError),
    /// A token is not known.
    Unknown,
}

impl Opened {
    /// Opens `data` in a place, with the anchor beside it.
    pub fn at(place: &Path, site: &Site) -> Result<Self, Closed> {
        let folder = place.join("data");
        let root = RootKey::find(&folder, Some(ROOT_KEY), None).unwrap();
        // Unguarded: of a thousand faces with so few features many are alike, and none of these searches is to be refused.
        let searching = Searching::InsecureUnlimited;
        let setup = Setup { anchor: Some(place.join("anchor")), searching, ..Setup::new(root, 1) };
        let gallery = Gallery::open(&folder, setup, Ambient::system()).map_err(Closed::Gallery)?;
        let caller = |token: &str| {
            administer::recognise(&gallery, &Credential::of_token(token)).ok_or(Closed::Unknown)
        };
        let (guard, clerk) = (caller(&site.guard)?, caller(&site.clerk)?);
        Ok(Self { gallery, guard, clerk })
    }

    /// Looks these faces up, all in one pass.
    pub fn look_up<'a>(
        &self,
        list: &str,
        faces: impl IntoIterator<Item = &'a u64>,
    ) -> BTreeMap<u64, Result<LookupAnswer, LookupError>> {
        let (mut answers, mut asked, mut prepared) = (BTreeMap::new(), Vec::new(), Vec::new());
        for &number in faces {
            match lookup::prepare(&self.gallery, &self.guard, request(list, number), None) {
                Err(error) => drop(answers.insert(number, Err(error))),
                Ok(Preparation::Answered(answer, _)) => drop(answers.insert(number, Ok(*answer))),
                Ok(Preparation::Search(one)) => {
                    asked.push(number);
                    prepared.push(one);
                }
            }
        }
        for (number, searched) in asked.into_iter().zip(lookup::search_batch(&self.gallery, prepared)) {
            let answer = lookup::conclude(&self.gallery, searched).map(|(answer, _)| answer);
            answers.insert(number, answer);
        }
        answers
    }

    /// What the record says of everyone and of every watchlist, as text.
    pub fn record(&self, known: &BTreeMap<u64, Person>) -> Vec<String> {
        let ids = known.values().filter_map(|person| person.id.as_ref());
        let read =
            |id: &String| inspect::inspect(&self.gallery, &self.clerk, &Which::Id(id.parse().unwrap()));
        let mut record: Vec<String> =
            ids.map(|id| format!("{:?}", read(id).map(|(subject, _)| subject))).collect();
        record.push(format!("{:?}", inspect::watchlists(&self.gallery, &self.clerk)));
        let status = self.gallery.status();
        record.push(format!("{:?}", status.map(|s| [s.subjects, s.retired, s.erased, s.encounters])));
        record
    }
}

fn request(list: &str, number: u64) -> LookupRequest {
    let ground = Ground {
        purpose: Purpose::BorderControl,
        legal_basis: LegalBasis::SisBorder,
        case_reference: "case 1".parse().unwrap(),
        authorisation: None,
    };
    let probe = RawFeatures { model: ModelId::new("test").unwrap(), features: face(number) };
    LookupRequest {
        watchlists: vec![list.parse().unwrap()],
        ground,
        probe: probe.into(),
        limit: 10,
        stricter: gallery::strictness::Stricter::default(),
    }
}
