//! Who is on the watchlists, and who comes to the border.

use super::DemoArgs;
use anyhow::{Context, bail, ensure};
use gallery::npy;
use matcher::population::{Imitation, Population};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

/// Someone to be enrolled.
pub(crate) struct Enrolled {
    pub(crate) subject: String,
    pub(crate) encounter: String,
    pub(crate) features: Vec<f32>,
}

/// Someone who comes to the border.
pub(crate) struct Traveller {
    /// Row of the given templates; a running number of synthetic ones.
    pub(crate) row: u64,
    /// The subject on record whose next encounter this is, if it is one.
    pub(crate) mate: Option<String>,
    pub(crate) features: Vec<f32>,
}

/// Both.
pub(crate) struct Cast {
    pub(crate) title: String,
    pub(crate) dimension: usize,
    pub(crate) mean: Option<Vec<f32>>,
    pub(crate) threshold: f32,
    /// How many are to be enrolled.
    pub(crate) references: u64,
    pub(crate) travellers: Vec<Traveller>,
    source: Source,
}

enum Source {
    Synthetic { population: Population, people: u64, seed: u64 },
    Given { rows: Vec<Vec<f32>>, enrolled: Vec<(u64, Label)> },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Label {
    row: u64,
    subject: String,
    encounter: String,
}

impl Cast {
    pub(crate) fn assemble(args: &DemoArgs) -> anyhow::Result<Self> {
        match (&args.templates, &args.labels) {
            (Some(templates), Some(labels)) => Self::given(args, templates, labels),
            _ => Self::synthetic(args),
        }
    }

    /// One reference in ten is a second encounter of a subject; every other traveller is on record.
    fn synthetic(args: &DemoArgs) -> anyhow::Result<Self> {
        ensure!((10..=10_000_000).contains(&args.references), "--references is from 10 to 10000000");
        let &DemoArgs { dimension, nonmated_sd, mated_mean, mated_sd, seed, .. } = args;
        let imitation = Imitation { dimension, nonmated_sd, mated_mean, mated_sd };
        let population = Population::imitating(&imitation, &mut draws(seed, u64::MAX, 0))?;
        let people = args.references - args.references / 10;
        let lookups = args.lookups.unwrap_or(500) as u64;
        const PROBE: u64 = 1000; // a capture that nobody is enrolled with
        // Those on record are spread over the whole of it; strangers are numbered beyond it.
        let who: Vec<(u64, u64)> = (0..lookups)
            .map(|i| if i % 2 == 0 { ((i / 2 * 7919) % people, PROBE + i) } else { (people + i, 0) })
            .collect();
        let features = population.captures(&who, |person, draw| draws(seed, person, draw));
        let travellers = who.iter().zip(features.rows()).zip(0..).map(|((&(person, _), features), row)| {
            let mate = (person < people).then(|| name(person));
            Traveller { row, mate, features: features.to_vec() }
        });
        let title = format!(
            "synthetic people, {dimension} features: nonmated cosine 0 ± {nonmated_sd}, mated {mated_mean} ± {mated_sd}"
        );
        Ok(Self {
            title,
            dimension,
            mean: None,
            threshold: args.threshold.unwrap_or(0.33),
            references: args.references,
            travellers: travellers.collect(),
            source: Source::Synthetic { population, people, seed },
        })
    }

    /// Of each subject the first encounter is enrolled; every fourth subject, by the seed, is left out.
    fn given(args: &DemoArgs, templates: &Path, labels: &Path) -> anyhow::Result<Self> {
        let matrix = npy::Matrix::open(templates).with_context(|| templates.display().to_string())?;
        let dimension = matrix.dimension();
        let rows: Vec<Vec<f32>> = matrix.collect::<Result<_, _>>()?;
        let mut encounters: BTreeMap<String, Vec<Label>> = BTreeMap::new();
        let mut seen = HashSet::new();
        let mut reader = csv::Reader::from_path(labels).with_context(|| labels.display().to_string())?;
        for label in reader.deserialize() {
            let label: Label = label.with_context(|| labels.display().to_string())?;
            if label.row >= rows.len() as u64 {
                bail!("{}: row {} is beyond the {} templates", labels.display(), label.row, rows.len());
            }
            ensure!(seen.insert(label.row), "{}: row {} stands twice", labels.display(), label.row);
            encounters.entry(label.subject.clone()).or_default().push(label);
        }
        let (mut enrolled, mut travellers) = (Vec::new(), Vec::new());
        for (number, (subject, labels)) in (0..).zip(encounters) {
            use rand_chacha::rand_core::Rng;
            let left_out = draws(args.seed, number, 0).next_u32().is_multiple_of(4);
            let mut labels = labels.into_iter();
            if !left_out {
                enrolled.extend(labels.next().map(|label| (label.row, label)));
            }
            travellers.extend(labels.map(|label| Traveller {
                row: label.row,
                mate: (!left_out).then(|| subject.clone()),
                features: rows[label.row as usize].clone(),
            }));
        }
        travellers.sort_by_key(|traveller| traveller.row);
        travellers.truncate(args.lookups.unwrap_or(usize::MAX));
        ensure!(
            !enrolled.is_empty() && !travellers.is_empty(),
            "too few labels: nobody to enrol or to look up"
        );
        let read =
            |path: &std::path::PathBuf| npy::read_vector(path).with_context(|| path.display().to_string());
        Ok(Self {
            title: format!("{}, {dimension} features", templates.display()),
            dimension,
            mean: args.mean.as_ref().map(read).transpose()?,
            threshold: args.threshold.unwrap_or(0.45),
            references: enrolled.len() as u64,
            travellers,
            source: Source::Given { rows, enrolled },
        })
    }

    /// Those to be enrolled, a part at a time.
    pub(crate) fn enrolled(&self, part: std::ops::Range<u64>) -> Vec<Enrolled> {
        match &self.source {
            Source::Synthetic { population, people, seed } => {
                let who: Vec<(u64, u64)> = part.map(|i| (i % people, i / people)).collect();
                let features = population.captures(&who, |person, draw| draws(*seed, person, draw));
                let one =
                    |(&(person, capture), features): (&(u64, u64), ndarray::ArrayView1<'_, f32>)| Enrolled {
                        subject: name(person),
                        encounter: format!("e{capture}"),
                        features: features.to_vec(),
                    };
                who.iter().zip(features.rows()).map(one).collect()
            }
            Source::Given { rows, enrolled } => {
                let part = &enrolled[part.start as usize..part.end as usize];
                let one = |(row, label): &(u64, Label)| Enrolled {
                    subject: label.subject.clone(),
                    encounter: label.encounter.clone(),
                    features: rows[*row as usize].clone(),
                };
                part.iter().map(one).collect()
            }
        }
    }

    /// The rows that are enrolled, where templates were given.
    pub(crate) fn enrolled_rows(&self) -> Vec<(u64, &str)> {
        match &self.source {
            Source::Synthetic { .. } => Vec::new(),
            Source::Given { enrolled, .. } => {
                enrolled.iter().map(|(row, label)| (*row, label.subject.as_str())).collect()
            }
        }
    }
}

fn name(person: u64) -> String {
    format!("p{person:07}")
}

/// Random numbers of one person's one draw.
fn draws(seed: u64, person: u64, draw: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (part, value) in key.chunks_exact_mut(8).zip([seed, person, draw]) {
        part.copy_from_slice(&value.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}
