//! Who is on the watchlists, and who comes to the border.

use super::{DemoArgs, photographs::Photographs, stage::MODEL};
use anyhow::{Context, bail, ensure};
use extractor::model::Models;
use gallery::npy;
use matcher::population::{Imitation, Population};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
};

/// Someone to be enrolled.
#[derive(Clone)]
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
    /// The model's id.
    pub(crate) model: String,
    pub(crate) dimension: usize,
    pub(crate) mean: Option<Vec<f32>>,
    pub(crate) threshold: f32,
    /// How many are to be enrolled.
    pub(crate) references: u64,
    pub(crate) travellers: Vec<Traveller>,
    /// Of each traveller, with its file's name, where there are some.
    pub(crate) photographs: Vec<(String, Vec<u8>)>,
    /// The folder of models that makes templates of them.
    pub(crate) models: Option<PathBuf>,
    source: Source,
}

enum Source {
    Synthetic {
        population: Population,
        people: u64,
        seed: u64,
    },
    /// Some people, and synthetic ones.
    Among {
        given: Vec<Enrolled>,
        population: Population,
        seed: u64,
    },
    Given {
        rows: Vec<Vec<f32>>,
        enrolled: Vec<(u64, Label)>,
    },
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
        if let Some(folder) = &args.images {
            return Self::photographed(args, folder);
        }
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
            model: MODEL.to_owned(),
            photographs: Vec::new(),
            models: None,
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
            model: MODEL.to_owned(),
            photographs: Vec::new(),
            models: None,
            dimension,
            mean: args.mean.as_ref().map(read).transpose()?,
            threshold: args.threshold.unwrap_or(0.45),
            references: enrolled.len() as u64,
            travellers,
            source: Source::Given { rows, enrolled },
        })
    }

    fn photographed(args: &DemoArgs, folder: &Path) -> anyhow::Result<Self> {
        const SYNTHETIC: u64 = 10_000;
        let read = Photographs::read(args, folder)?;
        let Photographs { models, model, enrolled, travellers, images, threshold, passed_over } = read;
        let dimension = travellers[0].features.len();
        let imitation = Imitation { dimension, nonmated_sd: 0.089, mated_mean: 0.66, mated_sd: 0.11 };
        let population = Population::imitating(&imitation, &mut draws(args.seed, u64::MAX, 0))?;
        let mut title = format!("{}, model {model}, among {SYNTHETIC} synthetic people", folder.display());
        if let Some(threshold) = threshold {
            title = format!("{title} (its makers compare two pictures at {threshold}; a gallery needs more)");
        }
        title.extend(passed_over.iter().map(|passed_over| format!("\n  passed over: {passed_over}")));
        Ok(Self {
            title,
            model: model.to_string(),
            dimension,
            mean: Models::in_folder(&models).profile(&model)?.mean,
            threshold: args.threshold.unwrap_or(0.5),
            references: SYNTHETIC + enrolled.len() as u64,
            travellers,
            photographs: images,
            models: Some(models),
            source: Source::Among { given: enrolled, population, seed: args.seed },
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
            Source::Among { given, population, seed } => {
                let count = given.len() as u64;
                let first = part.start.min(count)..part.end.min(count);
                let mut people = given[first.start as usize..first.end as usize].to_vec();
                let who: Vec<(u64, u64)> =
                    (part.start.max(count)..part.end.max(count)).map(|i| (i, 0)).collect();
                let features = population.captures(&who, |person, draw| draws(*seed, person, draw));
                people.extend(who.iter().zip(features.rows()).map(|((person, _), features)| Enrolled {
                    subject: name(*person),
                    encounter: "e0".to_owned(),
                    features: features.to_vec(),
                }));
                people
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
            Source::Synthetic { .. } | Source::Among { .. } => Vec::new(),
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
