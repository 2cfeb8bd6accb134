//! `limen-index evaluate`

use crate::{
    error::Failure,
    evaluation::{
        calibrating, candidate_log, folder,
        measures::{self, Counts, Measures},
        outcome, report,
        samples::{Enrolled, Input, Sample, Samples, Split, Subjects},
        search::{Files, Searches},
    },
    progress::{Show, Shown},
};
use clap::Args;
use matcher::{
    calibration::{Calibration, LEAST_PROBES, Whose},
    rows::Rows,
    template::ModelId,
};
use serde_json::json;
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

/// Nonmated probes of which the distribution for other sizes of gallery is made.
const CALIBRATED: usize = 4096;

/// Search with probes whose truth is known, and tell the error rates: FNIR and FPIR, DET, CMC, 1:1 rates, by gallery size, group and quality.
///
/// Of one list of templates the first row of each subject is enrolled and its others are mated probes, but a quarter of the subjects are strangers, all of whose rows are nonmated
/// probes. With --probes, all of --templates is enrolled. The folder gets report.html, report.json, tables as CSV, all searches, and a candidate log in the format of NIST FRTE
/// 1:N; one that was interrupted is gone on with by repeating the command.
#[derive(Args)]
pub(crate) struct Evaluate {
    #[command(flatten)]
    input: Input,
    /// Templates to search with (.npy), if they are not among the others.
    #[arg(long, requires = "probe_labels")]
    probes: Option<PathBuf>,
    /// Whose these are.
    #[arg(long, requires = "probes")]
    probe_labels: Option<PathBuf>,
    /// Share of the subjects who are strangers.
    #[arg(long, default_value_t = 0.25, conflicts_with = "probes")]
    strangers: f64,
    /// Length of a candidate list.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// A threshold of which rates are told, too, and decisions in the candidate log (of the first); may be repeated. Otherwise decisions are at the FPIR nearest to
    /// 0.01 that can be told.
    #[arg(long, allow_negative_numbers = true, value_parser = |text: &str| measures::threshold(text.parse().map_err(|_| "it is no number")?))]
    threshold: Vec<f32>,
    /// A calibration (.json, by `limen-index calibrate`) to be checked on these searches.
    #[arg(long)]
    calibration: Option<PathBuf>,
    /// Folder for the results.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    show: Show,
}

impl Evaluate {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        if !(0.0..1.0).contains(&self.strangers) {
            return Err(Failure::Argument("--strangers is a share from 0 to below 1".to_owned()));
        }
        let checked = self.calibration.as_deref().map(read_calibration).transpose()?;
        let mut subjects = Subjects::default();
        let samples = self.input.read(&mut subjects)?;
        let (probing, split) = self.split(&samples, &mut subjects)?;
        if split.enrolled.is_empty() || split.probes.is_empty() {
            return Err(Failure::Argument("nobody is enrolled, or nobody is searched for".to_owned()));
        }
        let mut shown = self.show.begin();
        let total = split.enrolled.len() as u64;
        let enrolled = Enrolled::read(
            &samples,
            &split.enrolled,
            &self.input.mean,
            ModelId::new("evaluated").expect("an id"),
            |done| {
                shown.tell("enrolling", done, total);
            },
        )?;
        if enrolled.rows.is_empty() {
            return Err(Failure::Argument("no template could be made of any sample".to_owned()));
        }
        self.begin(&samples, probing.as_ref())?;
        let pool =
            rayon::ThreadPoolBuilder::new().build().map_err(|error| Failure::Argument(error.to_string()))?;
        let files = Files::in_folder(&self.out);
        let searches = Searches {
            samples: probing.as_ref().unwrap_or(&samples),
            subjects: &subjects,
            enrolled: &enrolled,
            probes: &split.probes,
            limit: self.limit.into(),
            seed: self.input.seed,
            pool: &pool,
        };
        searches.run(&files, &mut shown)?;
        let own = of_strangers(&searches, &mut shown)?;
        let counts = Counts {
            references: enrolled.rows.len() as u64,
            subjects: enrolled.of.len() as u64,
            failed_enrolments: enrolled.failed,
            ..Counts::default()
        };
        self.report(&files, split.probes.len(), counts, (own.as_ref(), checked.as_ref()), shown)
    }

    /// Who is enrolled and who is searched for; and the second list, if there is one.
    fn split(&self, samples: &Samples, subjects: &mut Subjects) -> Result<(Option<Samples>, Split), Failure> {
        let (Some(probes), Some(labels)) = (&self.probes, &self.probe_labels) else {
            return Ok((None, Split::of(samples, subjects, self.strangers, self.input.seed)));
        };
        let probing = Samples::read(probes, labels, subjects)?;
        let probing = self.input.of_part(probing, subjects);
        if probing.dimension()? != samples.dimension()? {
            return Err(Failure::Argument("probes and templates have different dimensions".to_owned()));
        }
        let split = Split { enrolled: samples.all.clone(), probes: probing.all.clone() };
        Ok((Some(probing), split))
    }

    /// A new folder, or one of the same evaluation.
    fn begin(&self, samples: &Samples, probing: Option<&Samples>) -> Result<(), Failure> {
        let mut digests = Vec::new();
        for list in [Some(samples), probing].into_iter().flatten() {
            digests.push(folder::digest(&list.matrix)?);
            digests.push(folder::digest(&list.list)?);
        }
        if let Some(mean) = &self.input.mean.mean {
            digests.push(folder::digest(mean)?);
        }
        let head = json!({
            "evaluation": 1, "sha256": digests, "own_mean": self.input.mean.own_mean, "strangers": self.strangers,
            "part": self.input.part.map(|part| part.to_string()), "seed": self.input.seed, "limit": self.limit,
        });
        folder::begin(&self.out, "evaluation.json", &head)
    }

    fn report(
        &self,
        files: &Files,
        total: usize,
        counts: Counts,
        calibrations: (Option<&Calibration>, Option<&Calibration>),
        mut shown: Shown,
    ) -> Result<(), Failure> {
        shown.tell("reporting", 0, 1);
        let (columns, outcomes) = outcome::read(&files.searches)?;
        if outcomes.len() != total {
            let (file, count) = (files.searches.display(), outcomes.len());
            return Err(Failure::Argument(format!(
                "{file} holds {count} searches, not {total}: it was changed"
            )));
        }
        let bytes =
            std::fs::read(&files.comparisons).map_err(|error| Failure::file(&files.comparisons, error))?;
        let nonmated: Vec<f32> = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let limit = usize::from(self.limit);
        let told =
            Measures::of((&outcomes, &columns), &nonmated, &self.threshold, limit, counts, calibrations);
        let decided = self.threshold.first().copied();
        let decided =
            decided.or_else(|| measures::Counted::of(&outcomes).usual().map(|(_, threshold)| threshold));
        candidate_log::finish(&files.candidates, &self.out.join("candidates.log"), decided)?;
        report::write(&self.out, "Evaluation", &told)?;
        let words = summary(&told, &self.out);
        shown.end(&serde_json::to_value(&told.at).expect("text keys"), &words);
        Ok(())
    }
}

fn summary(told: &Measures, out: &Path) -> String {
    let mut words = format!(
        "{} references, {} mated and {} nonmated searches\nFPIR asked  threshold  FPIR                         FNIR\n",
        told.counts.references, told.counts.mated, told.counts.nonmated
    );
    for at in &told.at {
        let asked = at.asked.map_or_else(|| "given".to_owned(), |asked| asked.to_string());
        let line = match at.threshold {
            Some(threshold) => {
                format!("{threshold:<9.4}  {:<27}  {}", report::told(at.fpir), report::told(at.fnir))
            }
            None => String::new(),
        };
        let note = at.note.as_deref().unwrap_or_default();
        words += format!("{asked:<10}  {line}  {note}").trim_end();
        words += "\n";
    }
    words + &out.join("report.html").display().to_string()
}

/// A calibration that `limen-index calibrate` wrote.
pub(crate) fn read_calibration(path: &Path) -> Result<Calibration, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, error))?;
    let read: Result<Calibration, _> = serde_json::from_str(&text);
    let bad = |why: &str| Failure::Argument(format!("{} is no calibration: {why}", path.display()));
    match read {
        Ok(calibration) if calibration.is_sound() => Ok(calibration),
        Ok(_) => Err(bad("its numbers are not those of one")),
        Err(error) => Err(bad(&error.to_string())),
    }
}

/// The distribution of the nonmated searches' highest scores, for galleries of other sizes; of each stranger one probe.
fn of_strangers(searches: &Searches<'_>, shown: &mut Shown) -> Result<Option<Calibration>, Failure> {
    let mut seen = HashSet::new();
    let stranger =
        |sample: &&Sample| !searches.enrolled.meant.contains(&sample.subject) && seen.insert(sample.subject);
    let mut strangers: Vec<Sample> = searches.probes.iter().filter(stranger).cloned().collect();
    let every = strangers.len().div_ceil(CALIBRATED).max(1);
    strangers = strangers.into_iter().step_by(every).collect();
    if strangers.len() < LEAST_PROBES {
        return Ok(None);
    }
    let enrolled = searches.enrolled;
    let (mut probes, mut whose) =
        (Rows::new(enrolled.rows.model().clone(), enrolled.rows.dimension()), Vec::new());
    for row in searches.samples.features(&strangers)? {
        let (sample, features) = row?;
        if let Ok(template) = enrolled.profile.template(&features) {
            probes.push(&template);
            whose.push(Whose { subject: sample.subject.into(), reference: u64::MAX - whose.len() as u64 });
        }
    }
    let tell = |done, total| shown.tell("sizes", done, total);
    let fitted = calibrating::fit(enrolled, (probes, &whose), searches.pool, searches.seed, tell);
    Ok(fitted.ok().map(|(calibration, _)| calibration))
}
