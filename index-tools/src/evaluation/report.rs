//! The report of an evaluation: one page that needs nothing else, tables as CSV, everything as JSON.

use super::{
    measures::{Checked, FEW, Measures, USUAL},
    plot::{Axis, Curve, Scale, escaped, plot},
};
use crate::{error::Failure, private};
use matcher::rates::Rate;
use std::{fmt::Write, path::Path};

const STYLE: &str = "body{font-family:sans-serif;max-width:60em;margin:2em auto;padding:0 1em;line-height:1.4}\
table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #999;padding:.2em .6em;text-align:right}\
th{background:#eee}td:first-child,th:first-child,td.t{text-align:left}figure{margin:1.5em 0}";

/// Writes `report.html`, `report.json`, `rates.csv`, `det.csv`, `cmc.csv` and `scores.csv`.
pub(crate) fn write(folder: &Path, title: &str, measures: &Measures) -> Result<(), Failure> {
    let put = |name: &str, content: String| {
        let path = folder.join(name);
        private::write(&path, &content).map_err(|error| Failure::file(&path, error))
    };
    put("report.json", serde_json::to_string_pretty(measures).expect("text keys"))?;
    put("rates.csv", rates(measures))?;
    put(
        "det.csv",
        table(
            "threshold,fpir,fnir",
            measures.det.iter().map(|p| format!("{},{},{}", p.threshold, p.fpir, p.fnir)),
        ),
    )?;
    put(
        "cmc.csv",
        table("rank,identified", measures.cmc.iter().zip(1..).map(|(share, rank)| format!("{rank},{share}"))),
    )?;
    put(
        "scores.csv",
        table(
            "from,mated,highest_nonmated,nonmated",
            measures.bins.iter().map(|b| format!("{:.2},{},{},{}", b.from, b.mated, b.highest, b.nonmated)),
        ),
    )?;
    put("report.html", page(title, measures))
}

fn table(header: &str, lines: impl Iterator<Item = String>) -> String {
    std::iter::once(header.to_owned()).chain(lines).fold(String::new(), |text, line| text + &line + "\n")
}

fn rates(measures: &Measures) -> String {
    let text = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let of = |rate: &Option<Rate>| {
        let part = |of: fn(&Rate) -> f64| text(rate.as_ref().map(of));
        format!("{},{},{}", part(|rate| rate.rate), part(|rate| rate.low), part(|rate| rate.high))
    };
    table(
        "asked_fpir,threshold,fpir,fpir_low,fpir_high,fnir,fnir_low,fnir_high",
        measures.at.iter().map(|at| {
            let threshold = at.threshold.map_or_else(String::new, |threshold| threshold.to_string());
            format!("{},{threshold},{},{}", text(at.asked), of(&at.fpir), of(&at.fnir))
        }),
    )
}

/// A share with its interval, as people read it.
pub(crate) fn told(rate: Option<Rate>) -> String {
    rate.map_or_else(
        || "–".to_owned(),
        |rate| {
            let digits = if rate.high < 0.01 { 3 } else { 1 };
            let percent = |share: f64| format!("{:.digits$}", 100.0 * share);
            format!("{} % ({} to {})", percent(rate.rate), percent(rate.low), percent(rate.high))
        },
    )
}

pub(crate) fn rows(page: &mut String, header: &[&str], lines: impl Iterator<Item = Vec<String>>) {
    page.push_str("<table><tr>");
    header.iter().for_each(|cell| page.extend(["<th>", cell, "</th>"]));
    page.push_str("</tr>\n");
    for line in lines {
        page.push_str("<tr>");
        line.iter().for_each(|cell| page.extend(["<td>", &escaped(cell), "</td>"]));
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
}

/// The beginning of a page.
pub(crate) fn page_of(title: &str) -> String {
    let title = escaped(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    )
}

fn page(title: &str, measures: &Measures) -> String {
    let counts = &measures.counts;
    let mut page = page_of(title);
    let _ = writeln!(
        page,
        "<p>{} references of {} subjects; {} mated searches of {} people, {} nonmated searches of {} people. No template could be made of {} samples \
         to be enrolled and of {} probes (failures count as misses). Intervals hold 95 %, by the number of people. The threshold at an FPIR is the lowest at which \
         at most that share of these nonmated searches stops somebody; what another sample of people would have given for a threshold is in the interval of the FPIR.</p>",
        counts.references,
        counts.subjects,
        counts.mated,
        counts.mated_people,
        counts.nonmated,
        counts.nonmated_people,
        counts.failed_enrolments,
        counts.failed_searches
    );
    page.push_str("<h2>Identification</h2>\n");
    let header = ["FPIR asked", "threshold", "FPIR", "FNIR", "note"];
    rows(
        &mut page,
        &header,
        measures.at.iter().map(|at| {
            vec![
                at.asked.map_or_else(|| "given".to_owned(), |asked| asked.to_string()),
                number(at.threshold),
                told(at.fpir),
                told(at.fnir),
                at.note.clone().unwrap_or_default(),
            ]
        }),
    );
    curves(&mut page, measures);
    checked(&mut page, &measures.calibration);
    page.push_str("<h2>One comparison at a time</h2>\n");
    rows(
        &mut page,
        &["FMR asked", "threshold", "FMR", "FNMR"],
        measures
            .one_to_one
            .iter()
            .map(|one| vec![one.asked.to_string(), number(one.threshold), told(one.fmr), told(one.fnmr)]),
    );
    groups(&mut page, measures);
    discarding(&mut page, measures);
    page.push_str("</body></html>\n");
    page
}

fn number(threshold: Option<f32>) -> String {
    threshold.map_or_else(|| "–".to_owned(), |threshold| format!("{threshold:.4}"))
}

fn curves(page: &mut String, measures: &Measures) {
    let mut figure = |svg: String, words: &str| {
        page.extend(["<figure>", &svg, "<figcaption>", words, "</figcaption></figure>\n"]);
    };
    let curve =
        |name: &str, points: Vec<(f64, f64)>, marked: bool| Curve { name: name.to_owned(), points, marked };
    let axis = |name, scale| Axis { name, scale };
    let det = measures.det.iter().map(|point| (point.fpir, point.fnir)).collect();
    figure(
        plot("DET", &axis("FPIR", Scale::Log), &axis("FNIR", Scale::Log), &[curve("FNIR", det, false)]),
        "Detection error trade-off: misses against false positives, as the threshold falls.",
    );
    let cmc = measures.cmc.iter().zip(1..).map(|(share, rank)| (f64::from(rank), *share)).collect();
    figure(
        plot(
            "CMC",
            &axis("rank", Scale::Linear),
            &axis("mates found", Scale::Linear),
            &[curve("at any score", cmc, true)],
        ),
        "Cumulative match characteristic: share of mated searches whose mate is among the first so many.",
    );
    let share = |of: fn(&super::measures::Bin) -> u64| {
        let all = measures.bins.iter().map(of).sum::<u64>().max(1) as f64;
        measures.bins.iter().map(|bin| (bin.from + 0.01, of(bin) as f64 / all)).collect::<Vec<_>>()
    };
    let scores = [
        curve("mated", share(|bin| bin.mated), false),
        curve("highest", share(|bin| bin.highest), false),
        curve("nonmated", share(|bin| bin.nonmated), false),
    ];
    figure(
        plot("scores", &axis("score", Scale::Linear), &axis("share of 0.02", Scale::Linear), &scores),
        "Scores: of mates, the highest of each nonmated search, and with somebody drawn by lot.",
    );
    if !measures.sizes.is_empty() {
        let sizes = measures.sizes.iter().map(|one| (one.references as f64, one.fnir)).collect();
        figure(
            plot(
                "size",
                &axis("references", Scale::Log),
                &axis("FNIR", Scale::Linear),
                &[curve(&format!("at FPIR {USUAL}"), sizes, true)],
            ),
            "Misses as the gallery grows, at the threshold that keeps the FPIR; from the calibration of these nonmated searches, beyond the gallery by its tail.",
        );
    }
}

fn checked(page: &mut String, checked: &[Checked]) {
    if checked.is_empty() {
        return;
    }
    page.push_str("<h2>The calibration on these searches</h2>\n");
    let header = ["FPIR asked", "threshold", "it says", "realised", "FNIR", "agrees", "note"];
    rows(
        page,
        &header,
        checked.iter().map(|one| {
            let says = one
                .low
                .zip(one.high)
                .map(|(low, high)| format!("{:.3} to {:.3} %", 100.0 * low, 100.0 * high));
            let beyond = if one.extrapolated { "extrapolated" } else { "" };
            vec![
                one.asked.to_string(),
                number(one.threshold),
                says.unwrap_or_default(),
                told(one.realised),
                told(one.fnir),
                one.agrees.map_or("", |agrees| if agrees { "yes" } else { "no" }).to_owned(),
                one.note.clone().unwrap_or_else(|| beyond.to_owned()),
            ]
        }),
    );
}

fn groups(page: &mut String, measures: &Measures) {
    for it in &measures.differentials {
        let _ = writeln!(
            page,
            "<h2>By {}</h2><p>At the threshold {:.4}, of FPIR {} over all.</p>",
            escaped(&it.column),
            it.threshold,
            it.fpir
        );
        if let Some(note) = &it.note {
            let _ = writeln!(page, "<p>{}.</p>", escaped(note));
            continue;
        }
        rows(
            page,
            &["group", "FPIR", "FNIR"],
            it.groups.iter().map(|group| vec![group.label.clone(), told(group.fpir), told(group.fnir)]),
        );
        let ratio = |ratio: Option<f64>| {
            ratio.map_or_else(
                || "not told: a group has no errors, or there is one group".to_owned(),
                |ratio| format!("{ratio:.2}"),
            )
        };
        rows(
            page,
            &["ratio", "FPIR", "FNIR"],
            [
                vec![
                    "highest to lowest".to_owned(),
                    ratio(it.fpir_ratios.max_to_min),
                    ratio(it.fnir_ratios.max_to_min),
                ],
                vec![
                    "highest to geometric mean".to_owned(),
                    ratio(it.fpir_ratios.max_to_geometric_mean),
                    ratio(it.fnir_ratios.max_to_geometric_mean),
                ],
            ]
            .into_iter(),
        );
        if it.groups.iter().any(|group| group.fpir.is_some_and(|rate| rate.count < FEW)) {
            let _ = writeln!(
                page,
                "<p>Groups with fewer than {FEW} errors are told by their order of magnitude.</p>"
            );
        }
    }
}

fn discarding(page: &mut String, measures: &Measures) {
    if measures.discarding.is_empty() {
        return;
    }
    page.push_str("<h2>Error against discarded probes</h2>\n");
    let points = measures.discarding.iter().map(|one| (one.share, one.fnir.rate)).collect();
    let curve = Curve { name: "FNIR".to_owned(), points, marked: true };
    let axis = |name| Axis { name, scale: Scale::Linear };
    page.push_str(&plot(
        "error against discard",
        &axis("share discarded, worst first"),
        &axis("FNIR of the rest"),
        &[curve],
    ));
}
