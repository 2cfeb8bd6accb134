//! `limen-index compare`

use crate::{
    error::Failure,
    evaluation::{
        differentials::MOST,
        measures::{Counted, FPIRS, USUAL, misses, rate, stops},
        outcome::{self, Outcome},
        report::{self, page_of, rows},
    },
    private,
};
use clap::Args;
use matcher::rates::Rate;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// Compare two evaluations of the same searches, as of two models or two settings: what changes, and for whom.
///
/// Both are folders that `evaluate` wrote, of probes with the same rows and subjects. At each FPIR, each has the threshold of its own scores. A mate that one finds and the other does not is
/// counted; and how likely chance alone is to tip as many people to one side (a sign test, which is the exact test of `McNemar` where everybody is searched for once). The folder gets
/// compare.html, compare.json and changes.csv.
#[derive(Args)]
pub(crate) struct Compare {
    /// The evaluation before.
    before: PathBuf,
    /// The one after.
    after: PathBuf,
    /// Folder for the results.
    #[arg(long)]
    out: PathBuf,
}

/// What changes at one FPIR.
struct Change {
    fpir: f64,
    thresholds: [f32; 2],
    fnir: [Rate; 2],
    /// Mates that only the first finds, and only the second.
    only: [u64; 2],
    /// People of whom it finds more in one: the first, and the second. Searches of one person are not independent.
    people: [u64; 2],
}

impl Compare {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let read = |folder: &Path| outcome::read(&folder.join("searches.csv"));
        let ((columns, before), (others, after)) = (read(&self.before)?, read(&self.after)?);
        let same = |(a, b): (&Outcome, &Outcome)| {
            (a.row, &a.subject, a.mated, &a.labels) == (b.row, &b.subject, b.mated, &b.labels)
        };
        if columns != others || before.len() != after.len() || !before.iter().zip(&after).all(same) {
            let words = "these are evaluations of different searches: take the same probes with the same labels, and enrol the same subjects";
            return Err(Failure::Argument(words.to_owned()));
        }
        let counted = [Counted::of(&before), Counted::of(&after)];
        let all = |_: &Outcome| true;
        let changes: Vec<Change> =
            FPIRS.into_iter().filter_map(|fpir| change(&counted, fpir, &all)).collect();
        if counted[0].mated.is_empty() {
            return Err(Failure::Argument(
                "nobody who is searched for is enrolled: there is nothing to miss".to_owned(),
            ));
        }
        let Some(usual) = changes.iter().rfind(|change| change.fpir >= USUAL) else {
            return Err(Failure::Argument("the searches are too few to tell an FPIR of 0.1".to_owned()));
        };
        let mut groups = Vec::new();
        for (at, column) in columns.iter().enumerate() {
            let labels: BTreeSet<&str> =
                before.iter().filter_map(|one| one.labels.get(at)).map(String::as_str).collect();
            if labels.len() > MOST {
                continue; // these are no groups
            }
            for label in labels.into_iter().filter(|label| !label.is_empty()) {
                let inside = |one: &Outcome| one.labels.get(at).is_some_and(|own| own == label);
                let [first, second] = [0, 1].map(|i| stopped(&counted[i], usual.thresholds[i], &inside));
                if let Some(change) = change(&counted, usual.fpir, &inside) {
                    groups.push((format!("{column}: {label}"), change, [first, second]));
                }
            }
        }
        self.write(&changes, &groups, usual, &before, &after)
    }

    fn write(
        &self,
        changes: &[Change],
        groups: &[(String, Change, [Rate; 2])],
        usual: &Change,
        before: &[Outcome],
        after: &[Outcome],
    ) -> Result<(), Failure> {
        let header =
            ["", "threshold before", "after", "FNIR before", "after", "found only before", "only after", "p"];
        let line = |name: String, change: &Change| -> Vec<String> {
            let thresholds = change.thresholds.map(|threshold| format!("{threshold:.4}"));
            let fnir = change.fnir.map(|rate| report::told(Some(rate)));
            let only = change.only.map(|count| count.to_string());
            let p = format!("{:.3}", change.chance());
            [name].into_iter().chain(thresholds).chain(fnir).chain(only).chain([p]).collect()
        };
        let mut page = page_of("Comparison");
        rows(&mut page, &header, changes.iter().map(|change| line(format!("FPIR {}", change.fpir), change)));
        if !groups.is_empty() {
            rows(&mut page, &header, groups.iter().map(|(name, change, _)| line(name.clone(), change)));
            let stops = |(name, _, rates): &(String, Change, [Rate; 2])| {
                let [a, b] = rates.map(|rate| report::told(Some(rate)));
                vec![name.clone(), a, b]
            };
            rows(&mut page, &["", "FPIR before", "after"], groups.iter().map(stops));
        }
        page.push_str("</body></html>\n");
        let told = |change: &Change| {
            json!({
                "fpir": change.fpir, "thresholds": change.thresholds, "fnir": change.fnir, "only": change.only, "people": change.people, "p": change.chance(),
            })
        };
        let by_group: BTreeMap<&str, _> = groups
            .iter()
            .map(|(name, change, rates)| (name.as_str(), json!({ "change": told(change), "fpir": rates })))
            .collect();
        let all = json!({ "changes": changes.iter().map(told).collect::<Vec<_>>(), "groups": by_group });
        private::folder(&self.out).map_err(|error| Failure::file(&self.out, error))?;
        let put = |name: &str, text: String| {
            let path = self.out.join(name);
            private::write(&path, &text).map_err(|error| Failure::file(&path, error))
        };
        put("compare.html", page)?;
        put("compare.json", format!("{all:#}\n"))?;
        put("changes.csv", changed(usual, before, after))?;
        for change in changes {
            let [a, b] = change.fnir.map(|rate| report::told(Some(rate)));
            let ([only, other], p) = (change.only, change.chance());
            println!(
                "FPIR {:<6} FNIR {a} -> {b}; {only} found only before, {other} only after; p {p:.3}",
                change.fpir
            );
        }
        Ok(())
    }
}

fn change(counted: &[Counted<'_>; 2], fpir: f64, which: &dyn Fn(&Outcome) -> bool) -> Option<Change> {
    let thresholds = [counted[0].threshold(fpir)?, counted[1].threshold(fpir)?];
    let those =
        |at: usize| -> Vec<&Outcome> { counted[at].mated.iter().copied().filter(|one| which(one)).collect() };
    let (before, after) = (those(0), those(1));
    if before.is_empty() {
        return None;
    }
    let (mut only, mut tipped) = ([0, 0], BTreeMap::<&str, i64>::new());
    for (a, b) in before.iter().zip(&after) {
        match (misses(a, thresholds[0]), misses(b, thresholds[1])) {
            (false, true) => {
                only[0] += 1;
                *tipped.entry(&a.subject).or_default() -= 1;
            }
            (true, false) => {
                only[1] += 1;
                *tipped.entry(&a.subject).or_default() += 1;
            }
            _ => (),
        }
    }
    let people = [-1, 1].map(|side| tipped.values().filter(|tip| tip.signum() == side).count() as u64);
    let fnir =
        [rate(&before, |one| misses(one, thresholds[0])), rate(&after, |one| misses(one, thresholds[1]))];
    Some(Change { fpir, thresholds, fnir, only, people })
}

fn stopped(counted: &Counted<'_>, threshold: f32, which: &dyn Fn(&Outcome) -> bool) -> Rate {
    let those: Vec<&Outcome> = counted.nonmated.iter().copied().filter(|one| which(one)).collect();
    rate(&those, |one| stops(one, threshold))
}

impl Change {
    /// How likely it is that chance alone tips as many people to one side: two-sided, of a fair coin.
    fn chance(&self) -> f64 {
        let (few, all) = (self.people[0].min(self.people[1]), self.people[0] + self.people[1]);
        let (mut term, mut sum) = (-(all as f64) * std::f64::consts::LN_2, 0.0);
        for k in 0..=few {
            sum += term.exp();
            term += ((all - k) as f64).ln() - ((k + 1) as f64).ln();
        }
        (2.0 * sum).min(1.0)
    }
}

/// The searches that end otherwise.
fn changed(usual: &Change, before: &[Outcome], after: &[Outcome]) -> String {
    let score = |score: Option<f32>| score.map_or_else(String::new, |score| score.to_string());
    let line = |(a, b): (&Outcome, &Outcome)| {
        let [first, second] = usual.thresholds;
        let ends = if a.mated {
            [!misses(a, first), !misses(b, second)]
        } else {
            [stops(a, first), stops(b, second)]
        };
        let (kind, scores) =
            if a.mated { ("mated", [a.mate, b.mate]) } else { ("nonmated", [a.other, b.other]) };
        let [one, other] = scores.map(score);
        (ends[0] != ends[1]).then(|| format!("{},{kind},{},{},{one},{other}\n", a.row, ends[0], ends[1]))
    };
    let header = "row,kind,hit_before,hit_after,score_before,score_after\n".to_owned();
    before.iter().zip(after).filter_map(line).fold(header, |text, line| text + &line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_that_of_a_fair_coin() {
        let change = |only| Change {
            fpir: 0.1,
            thresholds: [0.0; 2],
            fnir: [Rate::of(0, 1); 2],
            only: [0; 2],
            people: only,
        };
        for (only, p) in
            [([0, 0], 1.0), ([0, 5], 0.0625), ([3, 3], 1.0), ([2, 8], 0.109_375), ([8, 2], 0.109_375)]
        {
            assert!((change(only).chance() - p).abs() < 1e-12, "{only:?}");
        }
        // A normal deviate of 2, nearly.
        assert!((change([4900, 5100]).chance() - 0.0466).abs() < 1e-3);
    }
}
