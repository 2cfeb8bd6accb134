//! Two checkpoints look up their travellers, over real HTTP.

use super::{
    cast::{Cast, Traveller},
    stage::{CHECKPOINTS, MODEL, Stage},
};
use anyhow::{Context, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use gallery::law::OwnReference;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::{
    collections::{HashMap, hash_map::Entry},
    net::SocketAddr,
    time::{Duration, Instant},
};

/// What came of one traveller.
pub(crate) struct Played {
    /// Position among the travellers.
    pub(crate) traveller: usize,
    pub(crate) answer: Value,
    pub(crate) latency: Duration,
}

/// All of them, in the travellers' order.
pub(crate) struct Play {
    pub(crate) played: Vec<Played>,
    pub(crate) elapsed: Duration,
    /// The owners' references of the candidates' ids.
    pub(crate) names: HashMap<String, OwnReference>,
}

/// A lookup's request body, without the probe.
pub(crate) fn ground(stage: &Stage, checkpoint: usize, of: &str) -> Value {
    json!({
        "watchlists": stage.lists,
        "purpose": "border_control",
        "legal_basis": "eu_2018_1861",
        "case_reference": format!("{} {of}", CHECKPOINTS[checkpoint]),
        "limit": 100,
    })
}

/// The whole of it.
pub(crate) fn request(stage: &Stage, traveller: &Traveller, checkpoint: usize) -> Value {
    let bytes: Vec<u8> = traveller.features.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut request = ground(stage, checkpoint, &traveller.row.to_string());
    request["probe"] = json!({ "model": MODEL, "features": STANDARD.encode(bytes) });
    request
}

pub(crate) fn play(cast: &Cast, stage: &Stage, address: SocketAddr) -> anyhow::Result<Play> {
    let bar = ProgressBar::new(cast.travellers.len() as u64);
    bar.set_style(ProgressStyle::with_template("looking up  {bar:40} {pos}/{len}  {per_sec}  {eta} left")?);
    let began = Instant::now();
    let mut played = std::thread::scope(|scope| {
        let checkpoints: Vec<_> = (0..CHECKPOINTS.len())
            .map(|checkpoint| {
                let bar = &bar;
                scope.spawn(move || one_checkpoint(cast, stage, address, checkpoint, bar))
            })
            .collect();
        let mut played = Vec::new();
        for checkpoint in checkpoints {
            let one = checkpoint.join().map_err(|_| anyhow::anyhow!("a checkpoint has panicked"))?;
            played.extend(one?);
        }
        anyhow::Ok(played)
    })?;
    let elapsed = began.elapsed();
    bar.finish_and_clear();
    played.sort_by_key(|one| one.traveller);
    let names = names(stage, &played)?;
    Ok(Play { played, elapsed, names })
}

fn one_checkpoint(
    cast: &Cast,
    stage: &Stage,
    address: SocketAddr,
    checkpoint: usize,
    bar: &ProgressBar,
) -> anyhow::Result<Vec<Played>> {
    let agent = ureq::Agent::new_with_config(
        ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build(),
    );
    let bearer = format!("Bearer {}", stage.tokens[checkpoint]);
    let url = format!("http://{address}/v1/lookups");
    let own = cast.travellers.iter().enumerate().skip(checkpoint).step_by(CHECKPOINTS.len());
    own.map(|(position, traveller)| {
        let body = request(stage, traveller, checkpoint);
        let began = Instant::now();
        let mut response = agent.post(&url).header("Authorization", &bearer).send_json(&body)?;
        let answer: Value = response.body_mut().read_json()?;
        let latency = began.elapsed();
        ensure!(response.status() == 200, "lookup {position} was not answered: {answer}");
        bar.inc(1);
        Ok(Played { traveller: position, answer, latency })
    })
    .collect()
}

/// The truth speaks of the owners' references, answers of Limen's ids.
fn names(stage: &Stage, played: &[Played]) -> anyhow::Result<HashMap<String, OwnReference>> {
    let mut names = HashMap::new();
    for candidate in played.iter().flat_map(|one| candidates(&one.answer)) {
        let id = candidate["subject"].as_str().context("a candidate without a subject")?.to_owned();
        if let Entry::Vacant(unknown) = names.entry(id) {
            let reference = stage.node.gallery.reference_of(unknown.key().parse()?)?;
            unknown.insert(reference.context("a candidate that is not on record")?);
        }
    }
    Ok(names)
}

pub(crate) fn candidates(answer: &Value) -> &[Value] {
    answer["candidates"].as_array().map_or(&[], Vec::as_slice)
}
