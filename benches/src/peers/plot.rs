//! The plot for the README: lookups a second against hits lost.

use crate::table::Entry;
use std::fmt::Write;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 470.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 60.0;
const KINDS: [(&str, &str); 6] = [
    ("lossless", "#0b6e4f"),
    ("exact", "#4a4e69"),
    ("int8 exhaustive", "#8d99ae"),
    ("SQ8", "#8d99ae"),
    ("PQ fast-scan", "#c77d0a"),
    ("HNSW", "#b02e0c"),
];

/// All entries, in batches with so many threads.
pub(crate) fn plot(title: &str, entries: &[Entry], threads: usize) -> String {
    let points: Vec<(&Entry, f64, f64)> = entries
        .iter()
        .filter_map(|entry| Some((entry, entry.lost * 100.0, entry.rate(threads, false)?)))
        .collect();
    let most_lost = points.iter().map(|point| point.1).fold(5.0, f64::max) * 1.15;
    let rates = || points.iter().map(|point| point.2.log10());
    let (low, high) = (rates().fold(9.0, f64::min).floor(), rates().fold(0.0, f64::max).ceil());
    let x = |lost: f64| LEFT + 20.0 + lost / most_lost * (WIDTH - LEFT - 190.0);
    let y = |rate: f64| HEIGHT - BOTTOM - (rate.log10() - low) / (high - low) * (HEIGHT - BOTTOM - 50.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\"><rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-size=\"15\">{title}</text>\n"
    );
    let mut power = low;
    while power <= high {
        let at = y(10f64.powf(power));
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1}H{}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - 20.0,
            LEFT - 8.0,
            at + 4.0,
            10f64.powf(power)
        );
        power += 1.0;
    }
    for tenth in 0..=5 {
        let lost = most_lost * f64::from(tenth) / 5.0;
        let (at, foot) = (x(lost), HEIGHT - BOTTOM + 20.0);
        let _ =
            writeln!(svg, "<text x=\"{at:.1}\" y=\"{foot:.1}\" text-anchor=\"middle\">{lost:.0} %</text>");
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">true hits lost at the threshold</text>\
         <text transform=\"translate(16 {}) rotate(-90)\" text-anchor=\"middle\">lookups a second, {threads} threads, batches</text>",
        WIDTH / 2.0,
        HEIGHT - 14.0,
        HEIGHT / 2.0
    );
    // Labels are moved down where they would cover the one above.
    let mut order: Vec<_> = points.iter().collect();
    order.sort_by(|a, b| b.2.total_cmp(&a.2));
    let mut last = f64::NEG_INFINITY;
    for (entry, lost, rate) in order {
        let colour = KINDS.iter().find(|kind| kind.0 == entry.kind).map_or("#333", |kind| kind.1);
        let (cx, cy) = (x(*lost), y(*rate));
        let label = (cy + 4.0).max(last + 13.0);
        last = label;
        let (name, lx) = (entry.system.trim(), cx + 9.0);
        let _ = writeln!(
            svg,
            "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"5\" fill=\"{colour}\"/>\
             <text x=\"{lx:.1}\" y=\"{label:.1}\" fill=\"{colour}\">{name}</text>"
        );
    }
    svg.push_str("</svg>\n");
    svg
}
