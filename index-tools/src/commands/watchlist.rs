//! `limen-index watchlist`

use crate::{
    error::Failure,
    place::{For, Place},
};
use clap::{Args, Subcommand};
use gallery::{
    handling::{Defaults, Grading, Handling, Instruction},
    inspect,
    law::{Category, LegalBasis, PriorAuthorisation, Purpose, WatchlistName},
    publish,
    watchlist::{Gates, Policy},
};
use matcher::{
    quality::{Component, Gate},
    rates::Fpir,
    score::Threshold,
    template::ModelId,
};

/// Watchlists: lawful selections of the gallery.
#[derive(Args)]
pub(crate) struct Watchlist {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make a watchlist and print its id.
    Add {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        nation: For,
        #[command(flatten)]
        policy: Box<PolicyArgs>,
    },
    /// List a nation's watchlists.
    List {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        nation: For,
    },
}

#[derive(Args)]
struct PolicyArgs {
    /// Name, unique within the nation.
    #[arg(long)]
    name: WatchlistName,
    /// Purpose for which it may be searched (may be given several times).
    #[arg(long = "purpose", required = true)]
    purposes: Vec<Purpose>,
    /// Instrument under which it may be searched (may be given several times).
    #[arg(long = "legal-basis", required = true)]
    legal_bases: Vec<LegalBasis>,
    /// How its records may be used: H0, H1, H2, or "H3: " and the restriction.
    #[arg(long)]
    handling: Handling,
    /// How good its records are: A, B, C or X for the source, 1 to 4 for the information.
    #[arg(long, default_value_t = Grading::UNKNOWN)]
    grading: Grading,
    /// What is to be done when somebody of a category is found, as `missing=Take into care` (may be given several times).
    #[arg(long = "instruction", value_parser = instruction)]
    instructions: Vec<(Category, Instruction)>,
    /// Must somebody have authorised a search: `not_needed`, `before`, or `within_48_hours`, after which the results are erased.
    #[arg(long, default_value_t = PriorAuthorisation::NotNeeded)]
    prior_authorisation: PriorAuthorisation,
    /// Category of persons who may stand on it (may be given several times).
    #[arg(long = "category", required = true)]
    categories: Vec<Category>,
    /// Model whose templates it holds.
    #[arg(long)]
    model: String,
    /// Score from which on a reference is a candidate.
    #[arg(long, allow_negative_numbers = true, required_unless_present = "fpir")]
    threshold: Option<f32>,
    /// At most such a share of strangers' lookups is to propose somebody, between 0 and 1: where the calibration of the model asks for a higher threshold, it is taken. Without a
    /// calibration nothing is searched.
    #[arg(long)]
    fpir: Option<f64>,
    /// Least quality of an image to search with, as `inter_eye_distance=38`, 0 to 100 (docs/quality.md; may be given several times).
    #[arg(long = "lookup-quality", value_parser = least)]
    lookup_quality: Vec<(Component, u8)>,
    /// Least quality of an image to enrol; at least as much as for lookups, which it follows where it is not given (may be given several times).
    #[arg(long = "enrolment-quality", value_parser = least)]
    enrolment_quality: Vec<(Component, u8)>,
    /// Ask for no quality but what is given here; otherwise it is asked for beside the usual.
    #[arg(long)]
    only_this_quality: bool,
    /// Days after listing for which an entry may be searched.
    #[arg(long)]
    retention_days: u32,
    /// Days after listing by which a person is to look whether an entry is still needed [default: the retention].
    #[arg(long)]
    review_days: Option<u32>,
}

fn least(text: &str) -> Result<(Component, u8), String> {
    let (component, value) = text.split_once('=').ok_or("a least quality is written component=value")?;
    let value = value.parse().ok().filter(|value| *value <= 100).ok_or("a quality is from 0 to 100")?;
    Ok((component.parse::<Component>().map_err(|error| error.to_string())?, value))
}

fn instruction(text: &str) -> Result<(Category, Instruction), String> {
    let (category, instruction) = text.split_once('=').ok_or("an instruction is written category=text")?;
    let category = category.parse::<Category>().map_err(|error| error.to_string())?;
    Ok((category, instruction.parse::<Instruction>().map_err(|error| error.to_string())?))
}

impl PolicyArgs {
    fn gates(&self) -> Gates {
        let mut gates = Gates::default();
        if self.only_this_quality {
            gates = Gates { lookup: Gate::default(), enrolment: Gate::default() };
        }
        gates.lookup.0.extend(self.lookup_quality.iter().copied());
        gates.enrolment.0.extend(self.enrolment_quality.iter().copied());
        // Where only the first is given, the second follows.
        for (component, least) in &gates.lookup.0 {
            let said = self.enrolment_quality.iter().any(|(other, _)| other == component);
            let own = gates.enrolment.0.entry(*component).or_default();
            *own = if said { *own } else { (*own).max(*least) };
        }
        gates
    }

    fn policy(&self) -> Result<Policy, Failure> {
        let argument = |error: &dyn std::fmt::Display| Failure::Argument(error.to_string());
        Ok(Policy {
            name: self.name.clone(),
            purposes: self.purposes.iter().copied().collect(),
            legal_bases: self.legal_bases.iter().copied().collect(),
            defaults: Defaults {
                handling: self.handling.clone(),
                grading: self.grading,
                instructions: self.instructions.iter().cloned().collect(),
            },
            prior_authorisation: self.prior_authorisation,
            categories: self.categories.iter().copied().collect(),
            model: ModelId::new(&self.model).map_err(|error| argument(&error))?,
            threshold: self
                .threshold
                .map_or(Ok(Threshold::LOWEST), Threshold::new)
                .map_err(|error| argument(&error))?,
            fpir: self.fpir.map(Fpir::new).transpose().map_err(|error| argument(&error))?,
            gates: self.gates(),
            retention_days: self.retention_days,
            review_days: self.review_days.unwrap_or(self.retention_days),
        })
    }
}

impl Watchlist {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match &self.action {
            Action::Add { place, nation, policy } => {
                let policy = policy.policy()?;
                let (made, _) = publish::create_watchlist(&place.open()?, &nation.caller(), policy, None)?;
                println!("{}", made.id);
            }
            Action::List { place, nation } => {
                for list in inspect::watchlists(&place.open()?, &nation.caller()) {
                    let policy = &list.policy;
                    let fpir = policy.fpir.map(|fpir| format!("\tFPIR {}", fpir.value())).unwrap_or_default();
                    let threshold = policy.threshold.value();
                    println!("{}\t{}\t{}\t{threshold}{fpir}", list.id, policy.name, policy.model);
                }
            }
        }
        Ok(())
    }
}
