//! For whom it errs: rates by demographic group, and their ratios (NIST IR 8429, "Face Recognition Vendor Test Part 8: summarizing demographic
//! differentials").

use super::{
    measures::{Counted, misses, rate, stops},
    outcome::Outcome,
};
use matcher::rates::Rate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A column with more values is not one of groups.
pub(crate) const MOST: usize = 100;

/// One column of labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Differential {
    pub(crate) column: String,
    /// At the threshold of this FPIR over all.
    pub(crate) fpir: f64,
    pub(crate) threshold: f32,
    pub(crate) groups: Vec<Group>,
    /// Why there are none.
    pub(crate) note: Option<String>,
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
        let mut by_label = BTreeMap::<&str, [Vec<&Outcome>; 2]>::new();
        for (which, searches) in [&counted.nonmated, &counted.mated].into_iter().enumerate() {
            for one in searches {
                if let Some(label) = one.labels.get(at).filter(|label| !label.is_empty()) {
                    by_label.entry(label).or_default()[which].push(one);
                }
            }
        }
        let too_many = by_label.len() > MOST;
        let note = too_many.then(|| format!("{} values: these are no groups", by_label.len()));
        let of =
            |those: &[&Outcome], is: &dyn Fn(&Outcome) -> bool| (!those.is_empty()).then(|| rate(those, is));
        let group = |(label, [nonmated, mated]): (&str, [Vec<&Outcome>; 2])| Group {
            fpir: of(&nonmated, &|one| stops(one, threshold)),
            fnir: of(&mated, &|one| misses(one, threshold)),
            label: label.to_owned(),
        };
        let groups: Vec<Group> = by_label.into_iter().filter(|_| !too_many).map(group).collect();
        let rates = |of: fn(&Group) -> Option<Rate>| {
            Ratios::of(&groups.iter().filter_map(of).map(|rate| rate.rate).collect::<Vec<_>>())
        };
        let (fpir_ratios, fnir_ratios) = (rates(|group| group.fpir), rates(|group| group.fnir));
        Differential { column: name.clone(), fpir, threshold, groups, note, fpir_ratios, fnir_ratios }
    };
    columns.iter().enumerate().map(column).collect()
}
