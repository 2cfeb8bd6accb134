//! Limen beside its peers: one table from one run.
#![expect(clippy::print_stdout, reason = "printing is what a bench is for")]

#[path = "../fitted.rs"]
mod fitted;

mod clock;
mod foreign;
mod hnsw;
mod limen;
mod plot;
mod setting;
mod table;

use clap::Parser;
use clock::Floors;
use limen::{Cascade, Machine};
use matcher::plan::Plan;
use setting::Setting;
use std::{io::Write, path::PathBuf};
use table::Entry;

/// Times Limen's searches and those of other libraries on the same people, and counts the true hits they lose.
#[derive(Parser)]
struct Args {
    /// References.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000_000])]
    n: Vec<usize>,
    /// Features of the spectral population.
    #[arg(long, default_value_t = 512)]
    dim: usize,
    /// Numbers of threads.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    threads: Vec<usize>,
    /// Populations: `real` (fitted to real templates), `spectral`.
    #[arg(long, value_delimiter = ',', default_values_t = ["real".to_owned(), "spectral".to_owned()])]
    people: Vec<String>,
    /// False positive identification rate of the threshold.
    #[arg(long, default_value_t = 1e-3)]
    fpir: f64,
    /// Factor model of the real population.
    #[arg(long, default_value = "../shared/data/population/faces512_gen_model.npz")]
    model: PathBuf,
    /// Real templates (npy) instead of drawn people.
    #[arg(long)]
    templates: Option<PathBuf>,
    /// Their labels (csv: row, subject, encounter).
    #[arg(long, requires = "templates")]
    labels: Option<PathBuf>,
    /// This threshold instead of a measured one; 0.45 for real templates if it is not given.
    #[arg(long)]
    threshold: Option<f32>,
    /// Numbers of leading codes to measure beside the one that is chosen.
    #[arg(long, value_delimiter = ',')]
    leads: Vec<usize>,
    /// A Python with `numpy`, `faiss-cpu` and `usearch`: their systems are measured, too. Their indexes are built
    /// once and kept in target/peers.
    #[arg(long)]
    python: Option<PathBuf>,
    /// Measure `hnsw_rs`, too, with at most 100,000 references.
    #[arg(long)]
    hnsw: bool,
    /// A file for a plot of lookups a second against hits lost (SVG).
    #[arg(long)]
    plot: Option<PathBuf>,
    /// A file to which all that was measured is appended, one line of JSON a setting.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let most = args.threads.iter().copied().max().unwrap_or(1);
    if let (Some(templates), Some(labels)) = (&args.templates, &args.labels) {
        return measure(&args, &Setting::real(templates, labels, args.threshold, most)?);
    }
    for people in &args.people {
        let population = match people.as_str() {
            "real" => fitted::fitted(&args.model)?,
            "spectral" => setting::spectral(args.dim),
            _ => anyhow::bail!("no people called {people}"),
        };
        for &n in &args.n {
            let setting = Setting::draw(people, &population, n, args.fpir, args.threshold, most);
            measure(&args, &setting)?;
        }
    }
    Ok(())
}

fn measure(args: &Args, setting: &Setting) -> anyhow::Result<()> {
    let (count, dimension) = (setting.rows.len(), setting.rows.dimension());
    let machine = Machine::new(&args.threads, &setting.rows);
    println!(
        "\n{}: {count} references × {dimension}, {} probes, threshold {:.4}, {} true hits",
        setting.name,
        setting.probes.len(),
        setting.threshold.value(),
        setting.hits()
    );
    for (pool, Floors { read, codes }) in &machine.0 {
        let (threads, read, codes) = (pool.current_num_threads(), read / 1e9, codes / 1e9);
        println!(
            "floors with {threads} threads: {read:.1} GB/s from memory, {codes:.0} G multiply-adds/s of codes"
        );
    }
    let (plan, trials) = limen::fit(setting, &machine);
    println!("leading codes and what a pair should cost under them, in multiply-adds:");
    let cost = |trial: &matcher::index::fit::Trial| format!("{}: {:.0}", trial.lead, trial.cost);
    println!("  {}", trials.iter().map(cost).collect::<Vec<_>>().join(", "));
    let entries = limens(args, setting, &machine, &plan);
    finish(args, setting, &machine, entries)
}

/// Limen's own searches, the chosen plan first.
fn limens(args: &Args, setting: &Setting, machine: &Machine, plan: &Plan) -> Vec<Entry> {
    let chosen = Cascade::new(setting, machine, plan, 0);
    let tally = chosen.check(machine);
    let share = |count: u64| format!("{:.5} %", count as f64 / tally.admitted as f64 * 100.0);
    println!(
        "of {} pairs, {} pass their block, {} their leading codes, {} all codes",
        tally.admitted,
        share(tally.past_block),
        share(tally.past_lead),
        share(tally.exact)
    );
    let mut entries = vec![
        chosen.measure(&format!("Limen cascade, lead {}", plan.lead()), machine, None),
        chosen.measure("  best 20", machine, Some(20)),
    ];
    let overlay = Cascade::new(setting, machine, plan, setting.rows.len() / 10);
    overlay.check(machine);
    for (threads, ratio) in overlay.beside(&chosen, machine) {
        println!("with 10 % in the overlay, {:.0} % as fast, {threads} threads", ratio * 100.0);
    }
    entries.push(overlay.measure("  10 % in the overlay", machine, None));
    drop((chosen, overlay));
    let leads = args.leads.iter().map(|&lead| (format!("  lead {lead}"), Some(lead)));
    for (name, lead) in leads.chain([("Limen full int8".to_owned(), None)]) {
        let other = limen::plan(setting, machine, lead);
        let other = Cascade::new(setting, machine, &other, 0);
        other.check(machine);
        entries.push(other.measure(&name, machine, None));
    }
    entries
}

/// The other systems, and what is shown of all.
fn finish(args: &Args, setting: &Setting, machine: &Machine, mut entries: Vec<Entry>) -> anyhow::Result<()> {
    let (count, dimension) = (setting.rows.len(), setting.rows.dimension());
    entries.push(limen::oracle(setting, machine));
    if count <= hnsw::MOST && args.hnsw {
        entries.extend(hnsw::measure(setting, machine));
    }
    if let Some(python) = &args.python {
        entries.extend(foreign::measure(setting, &args.threads, python)?);
    }
    println!("\n{}", table::table(&entries, &args.threads));
    if let Some(file) = &args.plot {
        let people = if setting.name == "real" { "people fitted to real templates" } else { &setting.name };
        let title =
            format!("{count} references × {dimension}, {people}, threshold {:.3}", setting.threshold.value());
        let most = args.threads.iter().copied().max().unwrap_or(1);
        std::fs::write(file, plot::plot(&title, &entries, most))?;
    }
    if let Some(file) = &args.json {
        let mut lines = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
        let line = serde_json::json!({ "setting": setting.name, "references": count, "entries": entries });
        writeln!(lines, "{line}")?;
    }
    Ok(())
}
