//! Whom the contestants search for, and among whom.

use anyhow::ensure;
use matcher::{
    candidate::Hit,
    coded::Coded,
    filter::SlotFilter,
    index::{
        Query, cascade,
        oracle::{self, Segment},
    },
    kernel::Kernel,
    plan::Plan,
    population::{Imitation, Population},
    rows::{Rows, Slot},
    score::Threshold,
    template::{ModelId, ModelProfile, Probe},
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::{
    fs::File,
    io::{BufReader, BufWriter, Write},
    path::Path,
    sync::Arc,
};

/// A gallery, probes, a threshold, and every true hit.
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) rows: Rows,
    pub(crate) probes: Vec<Probe>,
    pub(crate) threshold: Threshold,
    /// One filter, for one segment.
    pub(crate) all: [SlotFilter; 1],
    pub(crate) truth: Vec<Vec<Hit>>,
}

/// Probes in a setting: every other one is of somebody in the gallery.
pub(crate) const PROBES: usize = 512;
/// Strangers on whom the threshold is measured.
const STRANGERS: u64 = 4000;

fn source(person: u64, draw: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(person.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ draw)
}

/// A decaying spectrum with the statistics of a good modern model.
pub(crate) fn spectral(dimension: usize) -> Population {
    let imitation = Imitation {
        dimension,
        nonmated_sd: 0.065_f64.max(1.2 / (dimension as f64).sqrt()),
        ..Imitation::default()
    };
    Population::imitating(&imitation, &mut ChaCha8Rng::seed_from_u64(1)).expect("a population")
}

impl Setting {
    /// `n` people of a population, one reference each, and probes of some of them and of others.
    pub(crate) fn draw(
        name: &str,
        population: &Population,
        n: usize,
        fpir: f64,
        threshold: Option<f32>,
        threads: usize,
    ) -> Self {
        let profile = profile(population.dimension());
        let pool = pool(threads);
        let mut rows = Rows::with_room(profile.id().clone(), profile.dimension(), n);
        for start in (0..n).step_by(20_000) {
            let who: Vec<_> = (start..n.min(start + 20_000)).map(|i| (i as u64, 0)).collect();
            let features = pool.install(|| population.captures(&who, source));
            for row in features.rows() {
                rows.push(&profile.template(&row.to_vec()).expect("a template"));
            }
        }
        let who = |i: usize| if i.is_multiple_of(2) { (i * n / PROBES) as u64 } else { (n + i) as u64 };
        let who: Vec<_> = (0..PROBES).map(|i| (who(i), 1)).collect();
        let features = pool.install(|| population.captures(&who, source));
        let probe = |row: &[f32]| Probe::new(&profile.template(row).expect("a template"));
        let probes: Vec<Probe> = features.rows().into_iter().map(|row| probe(&row.to_vec())).collect();
        let threshold = if let Some(value) = threshold {
            Threshold::new(value).expect("a cosine")
        } else {
            let who: Vec<_> = (0..STRANGERS).map(|i| (2 * n as u64 + i, 1)).collect();
            let features = pool.install(|| population.captures(&who, source));
            let strangers: Vec<Probe> = features.rows().into_iter().map(|row| probe(&row.to_vec())).collect();
            threshold_at(&rows, &strangers, fpir, &pool)
        };
        Self::with_truth(name, rows, probes, threshold, &pool)
    }

    /// Real templates: the first encounter of each subject is enrolled, the others are probes.
    pub(crate) fn real(
        templates: &Path,
        labels: &Path,
        threshold: Option<f32>,
        threads: usize,
    ) -> anyhow::Result<Self> {
        let file = npyz::NpyFile::new(BufReader::new(File::open(templates)?))?;
        let [count, dimension] = *file.shape() else { anyhow::bail!("templates are a matrix") };
        let (count, dimension) = (usize::try_from(count)?, usize::try_from(dimension)?);
        let features = file.into_vec::<f32>()?;
        let labels = std::fs::read_to_string(labels)?;
        let subjects: Vec<&str> = labels.lines().skip(1).filter_map(|line| line.split(',').nth(1)).collect();
        ensure!(subjects.len() == count, "{} labels for {count} templates", subjects.len());
        let profile = profile(dimension);
        let (mut rows, mut probes) = (Rows::new(profile.id().clone(), dimension), Vec::new());
        let mut seen = std::collections::HashSet::new();
        for (subject, features) in subjects.iter().zip(features.chunks_exact(dimension)) {
            let template = profile.template(features)?;
            if seen.insert(*subject) { rows.push(&template) } else { probes.push(Probe::new(&template)) }
        }
        let threshold = Threshold::new(threshold.unwrap_or(0.45))?;
        Ok(Self::with_truth("real templates", rows, probes, threshold, &pool(threads)))
    }

    fn with_truth(
        name: &str,
        rows: Rows,
        probes: Vec<Probe>,
        threshold: Threshold,
        pool: &rayon::ThreadPool,
    ) -> Self {
        let all = [SlotFilter::all(rows.len())];
        let mut setting = Self { all, name: name.to_owned(), rows, probes, threshold, truth: Vec::new() };
        let mut truth = Vec::new();
        for probes in setting.probes.chunks(64) {
            let queries = setting.queries(probes, &setting.all, None);
            let segment = Segment { first: Slot(0), rows: &setting.rows };
            let found = oracle::search(pool, Kernel::detect(), &[segment], &queries);
            truth.extend(found.into_iter().map(|found| found.hits));
        }
        setting.truth = truth;
        setting
    }

    /// Searches with these filters: at the threshold, or for the best without one.
    pub(crate) fn queries<'a>(
        &self,
        probes: &'a [Probe],
        filters: &'a [SlotFilter],
        best: Option<usize>,
    ) -> Vec<Query<'a>> {
        let lowest = Threshold::new(-1.0).expect("a cosine");
        let threshold = if best.is_some() { lowest } else { self.threshold };
        let query = |probe| Query { probe, threshold, best, filters: filters.iter().collect() };
        probes.iter().map(query).collect()
    }

    /// Writes rows, probes and true hits for contestants in other processes.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        let dimension = self.rows.dimension();
        let mut file = BufWriter::new(File::create(folder.join("rows.f32"))?);
        for row in 0..self.rows.len() {
            let bytes: Vec<u8> = self.rows.features(row).flat_map(f32::to_le_bytes).collect();
            file.write_all(&bytes)?;
        }
        file.flush()?;
        let probe = |probe: &Probe| -> Vec<f32> {
            probe.blocks().iter().flat_map(|block| block.0).take(dimension).collect()
        };
        let bytes: Vec<u8> = self.probes.iter().flat_map(probe).flat_map(f32::to_le_bytes).collect();
        std::fs::write(folder.join("probes.f32"), bytes)?;
        let truth: Vec<Vec<u32>> =
            self.truth.iter().map(|hits| hits.iter().map(|hit| hit.slot.0).collect()).collect();
        let setting = serde_json::json!({ "dimension": dimension, "threshold": self.threshold.value(), "truth": truth });
        Ok(std::fs::write(folder.join("setting.json"), serde_json::to_vec(&setting)?)?)
    }

    /// Rows to fit a plan on.
    pub(crate) fn sample(&self, count: usize) -> Rows {
        let count = count.min(self.rows.len());
        let mut sample = Rows::new(self.rows.model().clone(), self.rows.dimension());
        (0..count).for_each(|i| sample.push_row(&self.rows, i * self.rows.len() / count));
        sample
    }

    /// Number of true hits.
    pub(crate) fn hits(&self) -> usize {
        self.truth.iter().map(Vec::len).sum()
    }
}

fn profile(dimension: usize) -> ModelProfile {
    ModelProfile::new(ModelId::new("bench").expect("an id"), dimension, None).expect("a profile")
}

pub(crate) fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool")
}

/// The score that one in `1 / fpir` strangers reaches somewhere in the gallery, measured on all of them.
fn threshold_at(rows: &Rows, strangers: &[Probe], fpir: f64, pool: &rayon::ThreadPool) -> Threshold {
    let coded = pool.install(|| {
        Coded::of(Arc::new(Plan::unfitted(rows.dimension())), Kernel::detect(), rows, 0..rows.len())
    });
    let segment = cascade::Segment { first: Slot(0), coded: &coded, exact: rows };
    let all = SlotFilter::all(rows.len());
    let lowest = Threshold::new(-1.0).expect("a cosine");
    let mut best: Vec<f32> = Vec::new();
    for strangers in strangers.chunks(64) {
        let query = |probe| Query { probe, threshold: lowest, best: Some(1), filters: vec![&all] };
        let queries: Vec<Query<'_>> = strangers.iter().map(query).collect();
        let (found, _) = cascade::search(pool, Kernel::detect(), &[segment], &queries);
        best.extend(found.iter().flat_map(|found| &found.hits).map(|hit| hit.score.value()));
    }
    best.sort_by(|a, b| b.total_cmp(a));
    #[expect(clippy::cast_sign_loss, reason = "a share of a count")]
    let above = ((fpir * best.len() as f64) as usize).min(best.len() - 1);
    Threshold::new(best[above].next_up().clamp(-1.0, 1.0)).expect("a cosine")
}
