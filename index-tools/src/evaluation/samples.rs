//! Templates and who is on them: a matrix (.npy), and a list (.csv) with a line a row.

use crate::error::Failure;
use clap::Args;
use gallery::npy::{self, Matrix};
use matcher::{
    rows::Rows,
    template::{ModelId, ModelProfile, Template},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
};

/// How raw features become templates.
#[derive(Args)]
pub(crate) struct Mean {
    /// Population mean of the model's unit vectors (.npy), subtracted before vectors are normalised.
    #[arg(long, conflicts_with = "own_mean")]
    pub(crate) mean: Option<PathBuf>,
    /// Subtract the mean of the unit vectors of those who are enrolled.
    #[arg(long)]
    pub(crate) own_mean: bool,
}

/// Columns that have a meaning; all others are demographic labels.
const ROW: &str = "row";
const SUBJECT: &str = "subject";
const ENCOUNTER: &str = "encounter";
const QUALITY: &str = "quality";
/// What a candidate log is to call it.
const ID: &str = "id";
/// Why no template could be made.
const FAILURE: &str = "failure";

/// Names of columns of the results.
const RESERVED: [&str; 5] = ["mated", "failed", "mate_score", "mate_rank", "highest_nonmated"];

/// A row of the matrix.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) row: u64,
    /// A number of the subject.
    pub(crate) subject: u32,
    /// What a candidate log calls it, if not by its row.
    pub(crate) id: Option<String>,
    /// Of the image, 0 to 100.
    pub(crate) quality: Option<u8>,
    /// The values of the demographic columns.
    pub(crate) labels: Vec<String>,
}

/// Who is on each row of a matrix, in the order of rows.
#[derive(Debug)]
pub(crate) struct Samples {
    pub(crate) matrix: PathBuf,
    pub(crate) list: PathBuf,
    pub(crate) all: Vec<Sample>,
    /// Demographic columns.
    pub(crate) columns: Vec<String>,
}

/// Numbers of subjects by name, shared by lists.
#[derive(Debug, Default)]
pub(crate) struct Subjects {
    numbers: HashMap<String, u32>,
    pub(crate) names: Vec<String>,
}

impl Subjects {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).expect("fewer subjects than lines");
        self.numbers.insert(name.to_owned(), number);
        self.names.push(name.to_owned());
        number
    }
}

impl Sample {
    /// Its name in a candidate log.
    pub(crate) fn name(&self) -> String {
        self.id.clone().unwrap_or_else(|| self.row.to_string())
    }
}

impl Samples {
    /// Reads a list, and checks that its rows are the matrix's.
    pub(crate) fn read(matrix: &Path, list: &Path, subjects: &mut Subjects) -> Result<Self, Failure> {
        let opened = open(matrix)?;
        let wrong =
            |line: u64, why: &str| Failure::Argument(format!("{} line {line}: {why}", list.display()));
        let bad = |error: csv::Error| Failure::Argument(format!("{}: {error}", list.display()));
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(list).map_err(bad)?;
        let headers = reader.headers().map_err(bad)?.clone();
        let column = |name: &str| headers.iter().position(|header| header == name);
        let (Some(row), Some(subject)) = (column(ROW), column(SUBJECT)) else {
            return Err(wrong(1, "it must name the columns row and subject"));
        };
        let (quality, id) = (column(QUALITY), column(ID));
        let known = [ROW, SUBJECT, ENCOUNTER, QUALITY, ID, FAILURE];
        let others: Vec<usize> = (0..headers.len()).filter(|at| !known.contains(&&headers[*at])).collect();
        for (at, name) in headers.iter().enumerate() {
            let reserved = others.contains(&at) && RESERVED.contains(&name);
            let twice = headers.iter().take(at).any(|other| other == name);
            if reserved || twice || name.contains(char::is_control) {
                return Err(wrong(1, &format!("a column may not be named {name:?}, or not twice")));
            }
        }
        let (mut samples, mut seen) = (Vec::new(), HashSet::new());
        for record in reader.into_records() {
            let record = record.map_err(bad)?;
            let line = record.position().map_or(0, csv::Position::line);
            if record.iter().any(|field| field.contains(char::is_control)) {
                return Err(wrong(line, "a field holds a line break, or another control character"));
            }
            let number: u64 = record[row].parse().map_err(|_| wrong(line, "row is a number"))?;
            if number >= opened.rows() {
                return Err(wrong(line, &format!("the matrix has {} rows", opened.rows())));
            }
            if !seen.insert(number) {
                return Err(wrong(line, "this row was there before"));
            }
            if id.is_some_and(|at| record[at].is_empty() || record[at].contains(char::is_whitespace)) {
                return Err(wrong(line, "an id is a word"));
            }
            if record[subject].is_empty() {
                return Err(wrong(line, "a subject has a name"));
            }
            let quality = quality.map(|at| &record[at]).filter(|text| !text.is_empty());
            let quality = quality
                .map(|text| text.parse().ok().filter(|q| *q <= 100))
                .map(|q| q.ok_or_else(|| wrong(line, "quality is a whole number from 0 to 100, or empty")));
            samples.push(Sample {
                row: number,
                subject: subjects.number(&record[subject]),
                id: id.map(|at| record[at].to_owned()),
                quality: quality.transpose()?,
                labels: others.iter().map(|at| record[*at].to_owned()).collect(),
            });
        }
        samples.sort_by_key(|sample| sample.row);
        let columns = others.iter().map(|at| headers[*at].to_owned()).collect();
        Ok(Self { matrix: matrix.to_owned(), list: list.to_owned(), all: samples, columns })
    }

    /// The features of these samples, which stand in the order of rows.
    pub(crate) fn features<'a>(
        &self,
        samples: &'a [Sample],
    ) -> Result<impl Iterator<Item = Result<(&'a Sample, Vec<f32>), Failure>> + use<'a>, Failure> {
        let mut matrix = open(&self.matrix)?;
        let path = self.matrix.clone();
        Ok(samples.iter().map(move |sample| {
            let failed = |error| Failure::file(&path, error);
            matrix.skip_to(sample.row).map_err(failed)?;
            let row = matrix.next().expect("the list's rows are the matrix's").map_err(failed)?;
            Ok((sample, row))
        }))
    }

    /// Features of a row.
    pub(crate) fn dimension(&self) -> Result<usize, Failure> {
        Ok(open(&self.matrix)?.dimension())
    }
}

fn open(path: &Path) -> Result<Matrix, Failure> {
    Matrix::open(path).map_err(|error| Failure::Matrix { path: path.to_owned(), error })
}

/// Those who can be found, and those who are looked for.
#[derive(Debug)]
pub(crate) struct Split {
    pub(crate) enrolled: Vec<Sample>,
    pub(crate) probes: Vec<Sample>,
}

impl Split {
    /// Of one list: of each subject the first row is enrolled and the others are mated probes; but such a share of the subjects are strangers, whose rows
    /// are all nonmated probes. Which these are follows from a seed and their names.
    pub(crate) fn of(samples: &Samples, subjects: &Subjects, strangers: f64, seed: u64) -> Self {
        let mut split = Self { enrolled: Vec::new(), probes: Vec::new() };
        let mut seen = HashSet::new();
        for sample in &samples.all {
            let stranger = share(&subjects.names[sample.subject as usize], seed) < strangers;
            let to = if !stranger && seen.insert(sample.subject) {
                &mut split.enrolled
            } else {
                &mut split.probes
            };
            to.push(sample.clone());
        }
        split
    }
}

/// A number from 0 to 1 that follows from a name and a seed.
pub(crate) fn share(name: &str, seed: u64) -> f64 {
    let digest = audit::hash::sha256(&[b"limen/split/v1\0", &seed.to_le_bytes(), name.as_bytes()]);
    let number = u64::from_le_bytes(*digest.0.first_chunk().expect("a hash is longer"));
    (number >> 11) as f64 / (1_u64 << 53) as f64
}

/// Templates of enrolled samples, and whose they are.
pub(crate) struct Enrolled {
    pub(crate) profile: ModelProfile,
    pub(crate) rows: Rows,
    /// Of each row.
    pub(crate) samples: Vec<Sample>,
    /// Rows of each subject.
    pub(crate) of: BTreeMap<u32, Vec<usize>>,
    /// Subjects who were to be enrolled, also those of whom no template could be made.
    pub(crate) meant: HashSet<u32>,
    /// Samples of which no template could be made.
    pub(crate) failed: u64,
}

impl Enrolled {
    /// Reads them.
    pub(crate) fn read(
        from: &Samples,
        samples: &[Sample],
        mean: &Mean,
        model: ModelId,
        mut tell: impl FnMut(u64),
    ) -> Result<Self, Failure> {
        let vector = match &mean.mean {
            Some(path) => {
                let read = npy::read_vector(path);
                Some(read.map_err(|error| Failure::Matrix { path: path.clone(), error })?)
            }
            None if mean.own_mean => Some(mean_of_units(from, samples)?),
            None => None,
        };
        let profile = ModelProfile::new(model, from.dimension()?, vector);
        let profile = profile.map_err(|error| Failure::Argument(error.to_string()))?;
        let rows = Rows::with_room(profile.id().clone(), profile.dimension(), samples.len());
        let mut enrolled = Self {
            profile,
            rows,
            samples: Vec::with_capacity(samples.len()),
            of: BTreeMap::new(),
            meant: samples.iter().map(|sample| sample.subject).collect(),
            failed: 0,
        };
        for (at, row) in from.features(samples)?.enumerate() {
            let (sample, features) = row?;
            match enrolled.profile.template(&features) {
                Ok(template) => enrolled.push(sample, &template),
                Err(_) => enrolled.failed += 1,
            }
            tell(at as u64 + 1);
        }
        Ok(enrolled)
    }

    fn push(&mut self, sample: &Sample, template: &Template) {
        self.of.entry(sample.subject).or_default().push(self.rows.len());
        self.rows.push(template);
        self.samples.push(sample.clone());
    }
}

fn mean_of_units(from: &Samples, samples: &[Sample]) -> Result<Vec<f32>, Failure> {
    let mut sum = vec![0.0_f64; from.dimension()?];
    let mut count = 0_u64;
    for row in from.features(samples)? {
        let (_, features) = row?;
        let norm = features.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        if norm > 0.0 && norm.is_finite() {
            sum.iter_mut().zip(&features).for_each(|(sum, x)| *sum += f64::from(*x) / norm);
            count += 1;
        }
    }
    Ok(sum.into_iter().map(|sum| (sum / count.max(1) as f64) as f32).collect())
}

/// Where templates are, and who is on them.
#[derive(Args)]
pub(crate) struct Input {
    /// Templates (.npy, f32, N × dimension).
    #[arg(long)]
    pub(crate) templates: PathBuf,
    /// Whose they are: CSV with row, subject and, if you like, encounter, quality (0 to 100) and id (for the candidate log); every other column but failure is a demographic label.
    #[arg(long)]
    pub(crate) labels: PathBuf,
    #[command(flatten)]
    pub(crate) mean: Mean,
    /// Only a part of the subjects, as in 1/2 and 2/2: which one a subject is in follows from its name.
    #[arg(long, value_parser = Part::parse)]
    pub(crate) part: Option<Part>,
    /// Seed of all that is drawn.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// One of so many parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Part {
    number: u32,
    of: u32,
}

impl Part {
    fn parse(text: &str) -> Result<Self, String> {
        let parts =
            text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err("a part is written as 1/2".to_owned()),
        }
    }

    fn holds(self, name: &str) -> bool {
        // Another seed than that of strangers: the parts are not to differ in their share.
        let place = share(name, u64::MAX) * f64::from(self.of);
        (f64::from(self.number - 1)..f64::from(self.number)).contains(&place)
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl Input {
    /// Reads the list; of the part, if one was asked for.
    pub(crate) fn read(&self, subjects: &mut Subjects) -> Result<Samples, Failure> {
        let samples = Samples::read(&self.templates, &self.labels, subjects)?;
        Ok(self.of_part(samples, subjects))
    }

    pub(crate) fn of_part(&self, mut samples: Samples, subjects: &Subjects) -> Samples {
        if let Some(part) = self.part {
            samples.all.retain(|sample| part.holds(&subjects.names[sample.subject as usize]));
        }
        samples
    }
}
