//! `limen-index calibrate`

use super::model::model_id;
use crate::{
    error::Failure,
    evaluation::{
        calibrating,
        samples::{Enrolled, Input, Subjects},
    },
    private,
    progress::Show,
};
use clap::Args;
use matcher::{
    calibration::{Calibration, Suspect},
    rates::Fpir,
};
use serde_json::json;
use std::{fmt::Write, path::PathBuf};

/// Error rates that are told, and sizes of galleries.
const FPIRS: [f64; 4] = [1e-1, 1e-2, 1e-3, 1e-4];
const SIZES: [u64; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// Fit what scores of a model mean: the threshold at which a given share of strangers would be stopped, in galleries of any size up to ten times these templates.
///
/// Each subject's template is compared with those of all others. Who may be on the list under two names is told, and counts so much less as that is likely.
#[derive(Args)]
pub(crate) struct Calibrate {
    #[command(flatten)]
    input: Input,
    /// The model's id.
    #[arg(long)]
    model: String,
    /// Subjects that are compared with all others, at most.
    #[arg(long, default_value_t = 10_000)]
    probes: usize,
    /// File for the calibration (.json).
    #[arg(long)]
    out: PathBuf,
    /// File for those who may be one person under two names (.csv).
    #[arg(long)]
    suspects: Option<PathBuf>,
    #[command(flatten)]
    show: Show,
}

impl Calibrate {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut subjects = Subjects::default();
        let samples = self.input.read(&mut subjects)?;
        let write = |path: &PathBuf, text: &str| {
            private::write(path, text).map_err(|error| Failure::file(path, error))
        };
        // Before anything is compared.
        [Some(&self.out), self.suspects.as_ref()]
            .into_iter()
            .flatten()
            .try_for_each(|path| write(path, ""))?;
        let mut shown = self.show.begin();
        let total = samples.all.len() as u64;
        let enrolled =
            Enrolled::read(&samples, &samples.all, &self.input.mean, model_id(&self.model)?, |done| {
                shown.tell("reading", done, total);
            })?;
        let pool =
            rayon::ThreadPoolBuilder::new().build().map_err(|error| Failure::Argument(error.to_string()))?;
        let (probes, whose) = calibrating::probes(&enrolled, &subjects.names, self.probes, self.input.seed);
        let tell = |done, total| shown.tell("comparing", done, total);
        let (calibration, suspects) =
            calibrating::fit(&enrolled, (probes, &whose), &pool, self.input.seed, tell)?;
        write(&self.out, &serde_json::to_string(&calibration).expect("text keys"))?;
        if let Some(path) = &self.suspects {
            write(path, &listed(&suspects, &subjects))?;
        }
        let words = told(&calibration, suspects.len());
        let result = json!({
            "references": calibration.references, "probes": calibration.probes, "excluded": calibration.excluded,
            "suspects": suspects.len(), "mated_pairs": calibration.mated_pairs(),
        });
        shown.end(&result, &words);
        Ok(())
    }
}

fn listed(suspects: &[Suspect], subjects: &Subjects) -> String {
    let name = |subject: u64| format!("\"{}\"", subjects.names[subject as usize].replace('"', "\"\""));
    let line = |one: &Suspect| {
        format!("{},{},{},{:.6}\n", name(one.probe.subject), name(one.other), one.score, one.probability)
    };
    let header = "subject,other,score,probability\n".to_owned();
    suspects.iter().map(line).fold(header, |text, line| text + &line)
}

/// The thresholds at some rates and sizes.
pub(super) fn told(calibration: &Calibration, suspects: usize) -> String {
    let mut words = format!(
        "{} references, {} subjects compared with all others, {} pairs of one person\n{} pairs may be one person under two names ({} not counted)\n\
         references  FPIR    threshold  95 % interval of the FPIR\n",
        calibration.references,
        calibration.probes,
        calibration.mated_pairs(),
        suspects,
        calibration.excluded
    );
    let sizes = SIZES.into_iter().chain([calibration.references]);
    let mut sizes: Vec<u64> = sizes.filter(|size| *size <= 10 * calibration.references).collect();
    sizes.sort_unstable();
    sizes.dedup();
    for size in sizes {
        for fpir in FPIRS {
            let told = match calibration.threshold(Fpir::new(fpir).expect("a rate"), size) {
                Ok(it) => {
                    let beyond = if it.extrapolated { "  extrapolated" } else { "" };
                    format!("{:<9.4}  {:.1e} to {:.1e}{beyond}", it.threshold, it.low, it.high)
                }
                Err(error) => error.to_string(),
            };
            let _ = writeln!(words, "{size:<10}  {fpir:<6.0e}  {told}");
        }
    }
    words.trim_end().to_owned()
}
