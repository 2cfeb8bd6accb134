//! `limen-index quality`

use crate::{
    error::Failure,
    evaluation::{
        measures::{Counted, discarding, misses, rate},
        outcome::{self, Outcome},
        plot::{Axis, Curve, Scale, plot},
        report::{page_of, rows, told},
    },
};
use clap::Args;
use std::{fmt::Write, path::PathBuf};

/// Width of a band of quality.
const BAND: u8 = 10;

/// The quality of an evaluation's probes, and what it has to do with misses: FNIR by quality, and how it falls when the worst probes are discarded.
///
/// The folder is one that `evaluate` wrote, of probes whose list has a column quality. It gets quality.html and quality.csv.
#[derive(Args)]
pub(crate) struct Quality {
    /// The evaluation.
    folder: PathBuf,
}

impl Quality {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let (_, outcomes) = outcome::read(&self.folder.join("searches.csv"))?;
        let counted = Counted::of(&outcomes);
        let discarded = discarding(&counted);
        let (Some((fpir, threshold)), false) = (counted.usual(), discarded.is_empty()) else {
            let words = "no mated probe has a quality, or the searches are too few: the labels want a column quality, 0 to 100";
            return Err(Failure::Argument(words.to_owned()));
        };
        let band = |low: u8| {
            let inside = |one: &&Outcome| one.quality.is_some_and(|q| (q / BAND).min(9) == low / BAND);
            let those: Vec<&Outcome> = counted.mated.iter().copied().filter(inside).collect();
            let strangers = counted.nonmated.iter().copied().filter(|one| inside(one)).count();
            (low, those.len(), strangers, rate(&those, |one| misses(one, threshold)))
        };
        let bands: Vec<_> = (0..10).map(|i| band(i * BAND)).filter(|band| band.1 + band.2 > 0).collect();
        let mut page = page_of("Quality");
        let _ = writeln!(page, "<p>At the threshold {threshold:.4}, of FPIR {fpir}.</p>");
        let header = ["quality from", "mated probes", "nonmated probes", "FNIR"];
        let line = |(low, mated, strangers, fnir): &(u8, usize, usize, matcher::rates::Rate)| {
            let fnir = told((*mated > 0).then_some(*fnir));
            vec![low.to_string(), mated.to_string(), strangers.to_string(), fnir]
        };
        rows(&mut page, &header, bands.iter().map(line));
        let axis = |name| Axis { name, scale: Scale::Linear };
        let points = discarded.iter().map(|one| (one.share, one.fnir.rate)).collect();
        let curve = Curve { name: "FNIR".to_owned(), points, marked: true };
        page.push_str(&plot(
            "error against discard",
            &axis("share discarded, worst first"),
            &axis("FNIR of the rest"),
            &[curve],
        ));
        page.push_str("</body></html>\n");
        let mut csv = "quality,discarded,fnir,low,high\n".to_owned();
        for one in &discarded {
            let fnir = one.fnir;
            let _ = writeln!(csv, "{},{},{},{},{}", one.quality, one.share, fnir.rate, fnir.low, fnir.high);
        }
        for (name, text) in [("quality.html", page), ("quality.csv", csv)] {
            let path = self.folder.join(name);
            std::fs::write(&path, text).map_err(|error| Failure::file(&path, error))?;
        }
        println!("FPIR {fpir}, threshold {threshold:.4}");
        for band in &bands {
            println!("{}", line(band).join("\t"));
        }
        Ok(())
    }
}
