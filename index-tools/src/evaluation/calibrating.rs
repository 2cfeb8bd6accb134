//! A calibration of templates that are enrolled, with them or with others as probes.

use super::samples::{Enrolled, share};
use crate::error::Failure;
use matcher::{
    calibration::{Calibration, Maxima, Suspect, Whose},
    kernel::Kernel,
    rows::Rows,
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// Rows that are compared between two tellings of progress.
const TILE: usize = 4096;

/// Compares probes with all who are enrolled, and fits.
pub(crate) fn fit(
    enrolled: &Enrolled,
    (probes, whose): (Rows, &[Whose]),
    pool: &rayon::ThreadPool,
    seed: u64,
    mut tell: impl FnMut(u64, u64),
) -> Result<(Calibration, Vec<Suspect>), Failure> {
    let total = enrolled.rows.len();
    let mut maxima = Maxima::begin(Kernel::detect(), probes, whose, seed);
    for start in (0..total).step_by(TILE) {
        let end = total.min(start + TILE);
        let mut rows = Rows::with_room(enrolled.rows.model().clone(), enrolled.rows.dimension(), TILE);
        (start..end).for_each(|row| rows.push_row(&enrolled.rows, row));
        let owners: Vec<Whose> = (start..end).map(|row| owner(enrolled, row)).collect();
        maxima.observe(pool, &rows, &owners);
        tell(end as u64, total as u64);
    }
    let fitted = Calibration::fit(&maxima, &mut ChaCha8Rng::seed_from_u64(seed));
    fitted.map_err(|error| Failure::Argument(error.to_string()))
}

/// Whose a row is.
fn owner(enrolled: &Enrolled, row: usize) -> Whose {
    Whose { subject: enrolled.samples[row].subject.into(), reference: row as u64 }
}

/// Of at most so many subjects, drawn by lot, one reference each, drawn by lot.
pub(crate) fn probes(enrolled: &Enrolled, names: &[String], most: usize, seed: u64) -> (Rows, Vec<Whose>) {
    let mut drawn: Vec<(f64, &Vec<usize>)> =
        enrolled.of.iter().map(|(subject, rows)| (share(&names[*subject as usize], seed), rows)).collect();
    drawn.sort_by(|a, b| a.0.total_cmp(&b.0));
    drawn.truncate(most);
    let mut probes = Rows::with_room(enrolled.rows.model().clone(), enrolled.rows.dimension(), drawn.len());
    let mut whose = Vec::with_capacity(drawn.len());
    for (lot, rows) in drawn {
        // What decided among subjects decides anew among a subject's references.
        #[expect(clippy::cast_sign_loss, reason = "a share is not negative")]
        let row = rows[((lot * 1e6).fract() * rows.len() as f64) as usize];
        probes.push_row(&enrolled.rows, row);
        whose.push(owner(enrolled, row));
    }
    (probes, whose)
}
