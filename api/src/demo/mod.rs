//! `limen demo`: a gallery made on the spot, a server on loopback, two checkpoints, and a table of what came
//! of their lookups against the truth.

mod cast;

mod stage;

mod play;

mod report;

mod photographs;

use crate::server;
use clap::Args;
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Instant};

/// What to play.
#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Synthetic references.
    #[arg(long, default_value_t = 100_000, conflicts_with_all = ["templates", "images"])]
    references: u64,
    /// Features of a synthetic template.
    #[arg(long, default_value_t = 512, conflicts_with = "templates")]
    dimension: usize,
    /// Standard deviation of the cosine of two synthetic people.
    #[arg(long, default_value_t = 0.065, conflicts_with = "templates")]
    nonmated_sd: f64,
    /// Mean cosine of two captures of a synthetic person.
    #[arg(long, default_value_t = 0.65, conflicts_with = "templates")]
    mated_mean: f64,
    /// Standard deviation of that cosine.
    #[arg(long, default_value_t = 0.12, conflicts_with = "templates")]
    mated_sd: f64,
    /// Your own templates instead (.npy, f32, N × dimension): of each subject one encounter is enrolled and
    /// the others are mated probes; a quarter of the subjects are left out and are nonmated probes.
    #[arg(long, requires = "labels")]
    templates: Option<PathBuf>,
    /// Whose they are: CSV with row, subject, encounter.
    #[arg(long, requires = "templates")]
    labels: Option<PathBuf>,
    /// Population mean of the model's unit vectors (.npy), subtracted before vectors are normalised.
    #[arg(long, requires = "templates")]
    mean: Option<PathBuf>,
    /// Write the split, each answer and the rates into this folder.
    #[arg(long, requires = "templates")]
    export: Option<PathBuf>,
    /// Photographs instead (`anna_1.jpg`, `anna_2.jpg`: of one person): the best of each person is enrolled among 10,000 synthetic people, the others
    /// are looked up over HTTP; who has one photograph only, or is called impostor or stranger, is not on record.
    #[arg(long, conflicts_with = "templates")]
    images: Option<PathBuf>,
    /// Folder of models for them, made by `limen-index model install`.
    #[arg(long, env = "LIMEN_MODELS", default_value = "limen-models")]
    models: PathBuf,
    /// Which of these, if there are several.
    #[arg(long, requires = "images")]
    model: Option<String>,
    /// Lookups to play: 500 with synthetic people, every probe with your own templates.
    #[arg(long)]
    lookups: Option<usize>,
    /// Score from which on a reference is a candidate: 0.33 with synthetic people, 0.45 with your own templates, 0.5 with photographs.
    #[arg(long, allow_negative_numbers = true)]
    threshold: Option<f32>,
    /// Seed of all that is drawn.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Address to listen on; loopback only. Port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// End after the report instead of staying up.
    #[arg(long)]
    exit: bool,
}

/// Plays the demonstration.
pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<()> {
    anyhow::ensure!(args.listen.ip().is_loopback(), "the demo listens on loopback only");
    let began = Instant::now();
    let cast = cast::Cast::assemble(args)?;
    report::introduce(&cast);
    let stage = stage::Stage::build(&cast, args)?;
    report::enrolled(&cast, &stage);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (listener, address) = runtime.block_on(server::listen(args.listen))?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = runtime.spawn(server::accept(listener, Arc::clone(&stage.node), None, async {
        let _ = stopped.await; // sent, or dropped: either way it is time
    }));
    if args.images.is_some() {
        photographs::play(&cast, &stage, address)?;
        return linger(args, &cast, &stage, (address, &runtime), (stop, serving));
    }
    let played = play::play(&cast, &stage, address)?;
    let report = report::Report::new(&cast, &stage, &played);
    report.print(began.elapsed());
    if let Some(folder) = &args.export {
        report.export(folder, &cast, &played)?;
    }
    linger(args, &cast, &stage, (address, &runtime), (stop, serving))
}

/// Stays up until it is told to end.
fn linger(
    args: &DemoArgs,
    cast: &cast::Cast,
    stage: &stage::Stage,
    (address, runtime): (SocketAddr, &tokio::runtime::Runtime),
    (stop, serving): (tokio::sync::oneshot::Sender<()>, tokio::task::JoinHandle<()>),
) -> anyhow::Result<()> {
    if !args.exit {
        stage.leave_request(cast)?;
        report::invite(stage, address);
        runtime.block_on(tokio::signal::ctrl_c())?;
    }
    let _ = stop.send(()); // the server ends with the process at the latest
    runtime.block_on(serving)?;
    Ok(())
}
