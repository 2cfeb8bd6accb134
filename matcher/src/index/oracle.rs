//! The exhaustive scan in f32: every admitted reference is compared with every probe.
//!
//! Many probes share one pass over the rows: a group of rows is read from memory once and scored with each
//! probe while it is in cache.

use super::{Found, Query, keep_best};
use crate::{
    candidate::Hit,
    filter::ones,
    kernel::Kernel,
    rows::{Rows, Slot},
    score::Score,
};
use rayon::prelude::*;

/// Consecutive rows of the gallery: row `r` has slot `first + r`.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The slot of row 0.
    pub first: Slot,
    /// The references.
    pub rows: &'a Rows,
}

/// Rows that one filter word covers, and that are scored together.
const GROUP: usize = 64;
/// Groups that one thread takes at a time.
const GROUPS_A_TASK: usize = 16;

/// Compares every probe with every reference that its filters admit. The answer does not depend on the
/// kernel, the number of threads or the other queries.
///
/// # Panics
/// When a probe is of another model than the rows, or a query has not one filter a segment.
pub fn search(
    pool: &rayon::ThreadPool,
    kernel: Kernel,
    segments: &[Segment<'_>],
    queries: &[Query<'_>],
) -> Vec<Found> {
    for query in queries {
        assert_eq!(query.filters.len(), segments.len(), "a query has one filter a segment");
        let same = segments.iter().all(|segment| segment.rows.model() == query.probe.model());
        assert!(same, "templates of two models are never compared");
    }
    let tasks: Vec<(usize, usize)> = segments
        .iter()
        .enumerate()
        .flat_map(|(index, segment)| {
            (0..segment.rows.len()).step_by(GROUP * GROUPS_A_TASK).map(move |start| (index, start))
        })
        .collect();
    let parts: Vec<Vec<Found>> = pool.install(|| {
        tasks
            .par_iter()
            .map(|&(index, start)| search_part(kernel, &segments[index], index, start, queries))
            .collect()
    });
    let mut found = vec![Found::default(); queries.len()];
    for part in parts {
        for (whole, part) in found.iter_mut().zip(part) {
            whole.hits.extend(part.hits);
            whole.compared += part.compared;
        }
    }
    for (query, found) in queries.iter().zip(&mut found) {
        if let Some(best) = query.best {
            keep_best(&mut found.hits, best);
        }
    }
    found
}

fn search_part(
    kernel: Kernel,
    segment: &Segment<'_>,
    index: usize,
    start: usize,
    queries: &[Query<'_>],
) -> Vec<Found> {
    let mut found = vec![Found::default(); queries.len()];
    let end = segment.rows.len().min(start + GROUP * GROUPS_A_TASK);
    for first_row in (start..end).step_by(GROUP) {
        for (query, found) in queries.iter().zip(&mut found) {
            let admitted = query.filters[index].words().get(first_row / GROUP).copied().unwrap_or(0);
            if admitted != 0 {
                search_group(kernel, segment, first_row, admitted, query, found);
            }
        }
    }
    found
}

fn search_group(
    kernel: Kernel,
    segment: &Segment<'_>,
    first_row: usize,
    admitted: u64,
    query: &Query<'_>,
    found: &mut Found,
) {
    let rows = segment.rows;
    let count = GROUP.min(rows.len() - first_row);
    let mut scores = [0.0; GROUP];
    if admitted.count_ones() as usize * 2 >= count {
        kernel.scores(query.probe.blocks(), rows.blocks(first_row, count), &mut scores[..count]);
    } else {
        for bit in ones(admitted) {
            let row = rows.blocks(first_row + bit, 1);
            kernel.scores(query.probe.blocks(), row, &mut scores[bit..=bit]);
        }
    }
    for bit in ones(admitted) {
        let score = Score::new(scores[bit]).expect("the score of two templates is finite");
        found.compared += 1;
        if query.threshold.admits(score) {
            let slot = Slot(segment.first.0 + (first_row + bit) as u32);
            found.hits.push(Hit { slot, score });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        filter::SlotFilter,
        score::Threshold,
        template::{ModelId, ModelProfile, Probe, Template},
    };
    use proptest::prelude::*;

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
    }

    fn templates(dimension: usize, features: &[Vec<f32>]) -> Vec<Template> {
        let profile = ModelProfile::new(ModelId::new("m").unwrap(), dimension, None).unwrap();
        features.iter().filter_map(|f| profile.template(f).ok()).collect()
    }

    /// One row at a time, one probe at a time, nothing shared.
    fn plainly(segments: &[Segment<'_>], query: &Query<'_>) -> Found {
        let mut found = Found::default();
        for (segment, filter) in segments.iter().zip(&query.filters) {
            for row in filter.rows() {
                let mut score = [0.0];
                Kernel::Scalar.scores(query.probe.blocks(), segment.rows.blocks(row, 1), &mut score);
                let score = Score::new(score[0]).unwrap();
                found.compared += 1;
                if query.threshold.admits(score) {
                    found.hits.push(Hit { slot: Slot(segment.first.0 + row as u32), score });
                }
            }
        }
        found
    }

    fn features() -> impl Strategy<Value = (usize, Vec<Vec<f32>>)> {
        (1usize..=600).prop_flat_map(|dimension| {
            let feature = prop_oneof![6 => -1.0f32..1.0, 1 => Just(0.0), 1 => Just(1e-45), 1 => Just(3e38)];
            (Just(dimension), prop::collection::vec(prop::collection::vec(feature, dimension), 3..40))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn the_scan_is_bit_for_bit_the_same_with_every_kernel_and_number_of_threads(
            (dimension, features) in features(),
            repeat in 1usize..60,
            cut in 0usize..2000,
            admit in any::<[u64; 4]>(),
            threshold in -1.0f32..1.0,
            on_score in any::<bool>(),
        ) {
            let templates = templates(dimension, &features);
            prop_assume!(templates.len() >= 2);
            let count = templates.len() * repeat;
            let cut = cut.min(count);
            let mut pieces = [(); 2].map(|()| Rows::new(ModelId::new("m").unwrap(), dimension));
            let mut filters = vec![SlotFilter::default(); 2];
            for i in 0..count {
                let piece = usize::from(i >= cut);
                let row = pieces[piece].len();
                pieces[piece].push(&templates[i % templates.len()]);
                if admit[i / 64 % 4] >> (i % 64) & 1 == 1 { filters[piece].set(row); }
            }
            let segments = [
                Segment { first: Slot(5), rows: &pieces[0] },
                Segment { first: Slot(5 + cut as u32), rows: &pieces[1] },
            ];
            let probes: Vec<Probe> = templates.iter().take(3).map(Probe::new).collect();
            // A threshold placed exactly on a score that occurs.
            let mut exact = [0.0];
            Kernel::Scalar.scores(probes[0].blocks(), probes[1].blocks(), &mut exact);
            let threshold = if on_score { exact[0].clamp(-1.0, 1.0) } else { threshold };
            let threshold = Threshold::new(threshold).unwrap();
            let queries: Vec<Query<'_>> =
                probes.iter().map(|probe| Query { probe, threshold, best: None, filters: filters.iter().collect() }).collect();
            let expected: Vec<Found> = queries.iter().map(|query| plainly(&segments, query)).collect();
            for kernel in Kernel::available() {
                for threads in [1, 2] {
                    let found = search(&pool(threads), kernel, &segments, &queries);
                    prop_assert_eq!(&found, &expected, "{} with {} threads", kernel.name(), threads);
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "templates of two models are never compared")]
    fn templates_of_two_models_are_never_compared() {
        let rows = Rows::new(ModelId::new("other").unwrap(), 2);
        let template = &templates(2, &[vec![1.0, 0.0]])[0];
        let none = SlotFilter::default();
        let query = Query {
            probe: &Probe::new(template),
            threshold: Threshold::new(0.0).unwrap(),
            best: None,
            filters: vec![&none],
        };
        search(&pool(1), Kernel::Scalar, &[Segment { first: Slot(0), rows: &rows }], &[query]);
    }
}
