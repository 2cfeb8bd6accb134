//! `limen-index recalibrate`

use super::{calibrate::told, evaluate::read_calibration, model::model_id};
use crate::{error::Failure, place::Place, private, progress::Show, remote::By};
use clap::Args;
use gallery::{calibrate, job::Progress, suspected::Suspected};
use serde_json::json;
use std::path::PathBuf;

/// Measure what scores mean in a gallery, or bring along a calibration that was measured elsewhere: FPIRs become thresholds by it, and certificates name it.
///
/// A serving node does it by itself when a model's references have become a tenth more. References of up to 10,000 subjects, drawn by lot, are compared with those of all
/// others. The calibration is on record, and logged.
#[derive(Args)]
pub(crate) struct Recalibrate {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    show: Show,
    /// Only this model; by default all that have references.
    #[arg(long)]
    model: Option<String>,
    /// A calibration by `limen-index calibrate` (.json): of templates of the same model.
    #[arg(long, conflicts_with = "model")]
    import: Option<PathBuf>,
    /// File for those who may be one person under two names (.csv): pairs of subjects of the caller's nation.
    #[arg(long, conflicts_with = "import")]
    suspects: Option<PathBuf>,
}

impl Recalibrate {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut shown = self.show.begin();
        if let Some(node) = self.by.node()? {
            if self.model.is_some() || self.import.is_some() || self.suspects.is_some() {
                let words =
                    "a running node measures all models, and tells no suspects: leave the other options out";
                return Err(Failure::Argument(words.to_owned()));
            }
            return node.run_job("/v1/calibrations", shown);
        }
        if let Some(path) = &self.import {
            let calibration = read_calibration(path)?;
            let made = calibrate::import(&self.place.open()?, &self.by.caller()?, &calibration)?;
            shown.end(&json!({ "calibration": made.id }), &made.id.to_string());
            return Ok(());
        }
        // Before anything is measured, and on record.
        if let Some(path) = &self.suspects {
            private::write(path, "").map_err(|error| Failure::file(path, error))?;
        }
        let model = self.model.as_deref().map(model_id).transpose()?;
        let gallery = self.place.open_to_search()?;
        let made = calibrate::calibrate(&gallery, &self.by.caller()?, model.as_ref(), |progress| {
            let Progress { stage, done, total } = progress;
            shown.tell(stage.as_str(), done, total);
            true
        })?;
        if let Some(path) = &self.suspects {
            let all: Vec<&Suspected> = made.iter().flat_map(|one| &one.suspected).collect();
            private::write(path, &listed(&all)).map_err(|error| Failure::file(path, error))?;
        }
        let words: Vec<String> = made
            .iter()
            .map(|one| {
                let (of, calibration) = (&one.calibrated, &one.calibrated.calibration);
                format!(
                    "{} of model {}\n{}",
                    of.id,
                    calibration.model,
                    told(calibration, one.suspected.len())
                )
            })
            .collect();
        let ids: Vec<_> = made.iter().map(|one| one.calibrated.id).collect();
        let words = if words.is_empty() { "no model has references".to_owned() } else { words.join("\n") };
        shown.end(&json!({ "calibrations": ids }), &words);
        Ok(())
    }
}

fn listed(all: &[&Suspected]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let line = |one: &&Suspected| {
        let Suspected { subject, reference, other, other_reference, score, probability } = *one;
        let (reference, other_reference) = (quoted(reference.as_str()), quoted(other_reference.as_str()));
        format!("{subject},{reference},{other},{other_reference},{score},{probability:.6}\n")
    };
    let header = "subject,reference,other,other_reference,score,probability\n".to_owned();
    all.iter().map(line).fold(header, |text, line| text + &line)
}
