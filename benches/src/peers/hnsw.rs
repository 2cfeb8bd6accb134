//! Limen's approximate index, as `hnsw_rs` builds it.

use crate::{limen::Machine, setting::Setting, table::Entry};
use matcher::{
    index::{
        Query,
        hnsw::{Breadth, Graph},
    },
    kernel::Kernel,
    rows::Rows,
};
use rayon::{ThreadPool, prelude::*};
use std::{hint::black_box, time::Instant};

/// Larger graphs take too long to build.
pub(crate) const MOST: usize = 100_000;

pub(crate) fn measure(setting: &Setting, machine: &Machine) -> Vec<Entry> {
    let began = Instant::now();
    let mut graph = Graph::new(setting.rows.dimension(), Breadth::default());
    for start in (0..setting.rows.len()).step_by(10_000) {
        let mut rows = Rows::new(setting.rows.model().clone(), setting.rows.dimension());
        (start..setting.rows.len().min(start + 10_000)).for_each(|row| rows.push_row(&setting.rows, row));
        graph.extend(machine.widest(), &rows);
    }
    let build_s = began.elapsed().as_secs_f64();
    [64, 256, 1024].map(|near| at(setting, machine, &graph, near, build_s)).into()
}

fn at(setting: &Setting, machine: &Machine, graph: &Graph, near: usize, build_s: f64) -> Entry {
    let one = |query: &Query<'_>| {
        graph.search(Kernel::detect(), &setting.rows, query.probe, query.threshold, near, |_| true).0.len()
    };
    let run = |pool: &ThreadPool, queries: &[Query<'_>]| {
        black_box(pool.install(|| queries.par_iter().map(one).sum::<usize>()));
    };
    let found: usize = setting.queries(&setting.probes, &setting.all, None).iter().map(one).sum();
    Entry {
        system: format!("hnsw_rs f32 ef {near}"),
        kind: "HNSW".to_owned(),
        build_s,
        bytes: f64::NAN,
        lost: 1.0 - found as f64 / setting.hits() as f64,
        speeds: machine.speeds(setting, 0, (&setting.all, None), run),
    }
}
