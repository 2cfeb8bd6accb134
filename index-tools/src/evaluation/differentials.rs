//! For whom it errs: rates by demographic group, and their ratios (NIST IR 8429, "Face Recognition Vendor Test Part 8: summarizing demographic
//! differentials").

use super::{
    measures::{Counted, misses, rate, stops},
    outcome::Outcome,
};
use matcher::rates::Rate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// One column of labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Differential {
    pub(crate) column: String,
    /// At the threshold of this FPIR over all.
    pub(crate) fpir: f64,
    pub(crate) threshold: f32,
    pub(crate) groups: Vec<Group>,
    /// Of the groups' FPIR.
    pub(crate) fpir_ratios: Ratios,
    /// Of the groups' FNIR.
    pub(crate) fnir_ratios: Ratios,
}

/// People with the same label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) label: String,
    pub(crate) fpir: Option<Rate>,
    pub(crate) fnir: Option<Rate>,
}

/// How far groups are apart. Absent where a group has no errors, or there is one group only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ratios {
    /// The highest rate to the lowest.
    pub(crate) max_to_min: Option<f64>,
    /// The highest to the geometric mean.
    pub(crate) max_to_geometric_mean: Option<f64>,
}

impl Ratios {
    pub(crate) fn of(rates: &[f64]) -> Self {
        let (least, most) = rates
            .iter()
            .fold((f64::MAX, 0.0), |(low, high): (f64, f64), rate| (low.min(*rate), high.max(*rate)));
        if rates.len() < 2 || least <= 0.0 {
            return Self::default();
        }
        let mean = (rates.iter().map(|rate| rate.ln()).sum::<f64>() / rates.len() as f64).exp();
        Self { max_to_min: Some(most / least), max_to_geometric_mean: Some(most / mean) }
    }
}

/// Of each column.
pub(crate) fn of(counted: &Counted<'_>, columns: &[String]) -> Vec<Differential> {
    let Some((fpir, threshold)) = counted.usual() else { return Vec::new() };
    let column = |(at, name): (usize, &String)| {
        let label = |one: &Outcome| one.labels.get(at).filter(|label| !label.is_empty()).cloned();
        let all = counted.mated.iter().chain(&counted.nonmated);
        let labels: BTreeSet<String> = all.filter_map(|one| label(one)).collect();
        let of = |searches: &[&Outcome], wanted: &str, is: &dyn Fn(&Outcome) -> bool| {
            let those: Vec<&Outcome> =
                searches.iter().copied().filter(|one| label(one).as_deref() == Some(wanted)).collect();
            (!those.is_empty()).then(|| rate(&those, is))
        };
        let group = |label: String| Group {
            fpir: of(&counted.nonmated, &label, &|one| stops(one, threshold)),
            fnir: of(&counted.mated, &label, &|one| misses(one, threshold)),
            label,
        };
        let groups: Vec<Group> = labels.into_iter().map(group).collect();
        let rates = |of: fn(&Group) -> Option<Rate>| {
            Ratios::of(&groups.iter().filter_map(of).map(|rate| rate.rate).collect::<Vec<_>>())
        };
        let (fpir_ratios, fnir_ratios) = (rates(|group| group.fpir), rates(|group| group.fnir));
        Differential { column: name.clone(), fpir, threshold, groups, fpir_ratios, fnir_ratios }
    };
    columns.iter().enumerate().map(column).collect()
}
