//! `limen-index imitate`

use crate::{
    error::Failure,
    evaluation::samples::{Samples, Subjects},
    progress::{Show, Shown},
};
use clap::Args;
use matcher::population::{Imitation, Irregular, Population, Relation, Statistics};
use npyz::WriterBuilder;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use serde_json::json;
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

/// People who are drawn at a time.
const BATCH: u64 = 10_000;

/// Draw synthetic people, like a real set or with stated statistics: what `evaluate` and `calibrate` read, and no person's data.
///
/// With --like, mean, covariances and the hardness of captures are fitted to real templates, and it is told how well they are imitated. The folder gets templates.npy and
/// labels.csv, with --mated or --nonmated probes.npy and `probe_labels.csv`, and relations.csv: who is kin, a twin, or the same person as whom.
#[derive(Args)]
pub(crate) struct Imitate {
    /// Real templates (.npy, f32, N × dimension).
    #[arg(long, requires = "labels")]
    like: Option<PathBuf>,
    /// Whose they are (CSV with row, subject).
    #[arg(long, requires = "like")]
    labels: Option<PathBuf>,
    /// Features, if nothing is imitated.
    #[arg(long, default_value_t = 512, conflicts_with = "like")]
    dimension: usize,
    /// Standard deviation of the cosine of two people.
    #[arg(long, default_value_t = 0.065, conflicts_with = "like")]
    nonmated_sd: f64,
    /// Mean cosine of two captures of a person.
    #[arg(long, default_value_t = 0.65, conflicts_with = "like")]
    mated_mean: f64,
    /// Standard deviation of that cosine.
    #[arg(long, default_value_t = 0.12, conflicts_with = "like")]
    mated_sd: f64,
    /// People, one template each unless --captures says more.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    people: u64,
    /// Templates of each.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    captures: u64,
    /// Probes of people who are there.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=100_000_000))]
    mated: u64,
    /// Probes of others.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=100_000_000))]
    nonmated: u64,
    /// Share of people who have a relative among the others.
    #[arg(long, default_value_t = Irregular::REAL.kin)]
    kin: f64,
    /// Share of people who have a twin.
    #[arg(long, default_value_t = Irregular::REAL.twins)]
    twins: f64,
    /// Share of people who are there under two names.
    #[arg(long, default_value_t = 0.0)]
    duplicates: f64,
    /// Share of captures that are hard.
    #[arg(long, default_value_t = Irregular::REAL.hard)]
    hard: f64,
    /// Seed of all that is drawn.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder to make.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    show: Show,
}

/// Capture of a person.
type Capture = (u64, u64);

impl Imitate {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let irregular =
            Irregular { kin: self.kin, twins: self.twins, duplicates: self.duplicates, hard: self.hard };
        let shares = [self.kin, self.twins, self.duplicates, self.hard];
        if shares.iter().any(|share| !(0.0..=1.0).contains(share)) || shares[..3].iter().sum::<f64>() > 1.0 {
            return Err(Failure::Argument(
                "kin, twins and duplicates are shares of all people, and hard of all captures".to_owned(),
            ));
        }
        if !(1..=matcher::template::DIMENSION_LIMIT).contains(&self.dimension) {
            let most = matcher::template::DIMENSION_LIMIT;
            return Err(Failure::Argument(format!("a template has 1 to {most} features")));
        }
        let (population, imitated) = self.population(irregular)?;
        std::fs::create_dir(&self.out).map_err(|error| Failure::file(&self.out, error))?;
        let mut shown = self.show.begin();
        let people = (0..self.people * self.captures).map(|i| (i / self.captures, i % self.captures));
        self.write(
            &population,
            ("templates.npy", "labels.csv"),
            people,
            self.people * self.captures,
            &mut shown,
        )?;
        if self.mated + self.nonmated > 0 {
            // Evenly among those who are there; strangers have the numbers after them, and no kin there.
            let mate = |i: u64| {
                (
                    u64::try_from(u128::from(i) * u128::from(self.people) / u128::from(self.mated))
                        .expect("below"),
                    self.captures + i,
                )
            };
            let stranger = |i: u64| (2 * self.people + 2 * i, 0);
            let probes = (0..self.mated).map(mate).chain((0..self.nonmated).map(stranger));
            let total = self.mated + self.nonmated;
            self.write(&population, ("probes.npy", "probe_labels.csv"), probes, total, &mut shown)?;
        }
        let related = self.relations(&population)?;
        let words = format!(
            "{} people with {} templates each, {} related pairs, {} mated and {} nonmated probes in {}{imitated}",
            self.people,
            self.captures,
            related,
            self.mated,
            self.nonmated,
            self.out.display()
        );
        shown.end(&json!({ "people": self.people, "related": related }), &words);
        Ok(())
    }

    /// The population, and how well it imitates.
    fn population(&self, irregular: Irregular) -> Result<(Population, String), Failure> {
        let bad = |error: &dyn std::fmt::Display| Failure::Argument(error.to_string());
        let (Some(like), Some(labels)) = (&self.like, &self.labels) else {
            let wanted = Imitation {
                dimension: self.dimension,
                nonmated_sd: self.nonmated_sd,
                mated_mean: self.mated_mean,
                mated_sd: self.mated_sd,
            };
            let made = Population::imitating(&wanted, &mut ChaCha8Rng::seed_from_u64(self.seed));
            return Ok((made.map_err(|error| bad(&error))?.with(irregular), String::new()));
        };
        let samples = Samples::read(like, labels, &mut Subjects::default())?;
        let dimension = samples.dimension()?;
        let (mut features, mut whose) = (Vec::new(), Vec::new());
        for row in samples.features(&samples.all)? {
            let (sample, row) = row?;
            if row.iter().all(|x| x.is_finite()) && row.iter().any(|x| *x != 0.0) {
                features.extend(row);
                whose.push(sample.subject);
            }
        }
        let population = Population::fit(&features, dimension, &whose, self.source())
            .map_err(|error| bad(&error))?
            .with(irregular);
        // As many captures of as many people as are imitated.
        let mut captures = std::collections::HashMap::<u32, u64>::new();
        let who: Vec<Capture> = whose
            .iter()
            .map(|subject| {
                let capture = captures.entry(*subject).or_default();
                *capture += 1;
                (u64::from(*subject), *capture)
            })
            .collect();
        let drawn: Vec<f32> = population.captures(&who, self.source()).into_iter().collect();
        let of =
            |features: &[f32]| Statistics::of(features, dimension, &whose).expect("some were seen twice");
        Ok((population.clone(), compared(&of(&features), &of(&drawn), population.participation())))
    }

    fn source(&self) -> impl Fn(u64, u64) -> ChaCha8Rng + Sync + use<> {
        let seed = self.seed;
        move |person, draw| {
            let mut key = [0; 32];
            for (part, number) in key.as_chunks_mut::<8>().0.iter_mut().zip([seed, person, draw]) {
                *part = number.to_le_bytes();
            }
            ChaCha8Rng::from_seed(key)
        }
    }

    fn write(
        &self,
        population: &Population,
        (matrix, list): (&str, &str),
        mut who: impl Iterator<Item = Capture>,
        total: u64,
        shown: &mut Shown,
    ) -> Result<(), Failure> {
        let (matrix, list) = (self.out.join(matrix), self.out.join(list));
        let failed = |error| Failure::file(&matrix, error);
        let shape = [total, population.dimension() as u64];
        let mut rows = npyz::WriteOptions::new()
            .default_dtype()
            .shape(&shape)
            .writer(BufWriter::new(File::create(&matrix).map_err(failed)?))
            .begin_nd()
            .map_err(failed)?;
        let mut labels = Lines::create(&list, "row,subject,encounter")?;
        let (mut row, source) = (0, self.source());
        while row < total {
            let batch: Vec<Capture> = who.by_ref().take(BATCH as usize).collect();
            let drawn = population.captures(&batch, &source);
            for (features, (person, capture)) in drawn.rows().into_iter().zip(&batch) {
                rows.extend(features.iter().copied()).map_err(failed)?;
                labels.put(&format!("{row},p{person:08},{capture}"))?;
                row += 1;
            }
            shown.tell("drawing", row, total);
        }
        rows.finish().map_err(failed)?;
        labels.finish()
    }

    /// Writes who is related to whom; returns how many pairs are.
    fn relations(&self, population: &Population) -> Result<u64, Failure> {
        let mut lines = Lines::create(&self.out.join("relations.csv"), "subject,other,relation")?;
        let (mut count, source) = (0, self.source());
        for first in (0..self.people.saturating_sub(1)).step_by(2) {
            let relation = match population.relation(first, &source) {
                Relation::Strangers => continue,
                Relation::Kin => "kin",
                Relation::Twins => "twins",
                Relation::Same => "same",
            };
            lines.put(&format!("p{first:08},p{:08},{relation}", first + 1))?;
            count += 1;
        }
        lines.finish()?;
        Ok(count)
    }
}

fn compared(real: &Statistics, drawn: &Statistics, participation: f64) -> String {
    let line = |name: &str, of: &Statistics| {
        let mated: Vec<String> = of.mated.iter().map(|x| format!("{x:.3}")).collect();
        format!(
            "\n{name:<10} {}   {:>7.4} {:.4}  {:.3}",
            mated.join(" "),
            of.nonmated_mean,
            of.nonmated_sd,
            of.nonmated_999
        )
    };
    format!(
        "\nscores     mated 5, 25, 50, 75, 95 %       nonmated mean, sd, 99.9 %{}{}\npeople differ in about {participation:.0} dimensions",
        line("real", real),
        line("synthetic", drawn)
    )
}

/// A list that is being written.
struct Lines {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Lines {
    fn create(path: &Path, header: &str) -> Result<Self, Failure> {
        let file = File::create(path).map_err(|error| Failure::file(path, error))?;
        let mut lines = Self { path: path.to_owned(), file: BufWriter::new(file) };
        lines.put(header)?;
        Ok(lines)
    }

    fn put(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.file, "{line}").map_err(|error| Failure::file(&self.path, error))
    }

    fn finish(mut self) -> Result<(), Failure> {
        self.file.flush().map_err(|error| Failure::file(&self.path, error))
    }
}
