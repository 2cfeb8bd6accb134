//! A folder of photographs: of each person the best one is enrolled among synthetic people, and the others come to the border.

use super::{
    DemoArgs,
    cast::{Cast, Enrolled, Traveller},
    play,
    stage::{CHECKPOINTS, Stage},
};
use anyhow::{Context, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use extractor::{
    decode::FILE_LIMIT_BYTES,
    extract::{Extraction, Wanted},
    model::Models,
    pool::{Pool, Settings},
};
use matcher::template::ModelId;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::Read,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Instant,
};

/// Pictures that are smaller are crops, not photographs.
const LEAST_SIDE: u32 = 160;
/// People whose names begin so are each somebody else.
const STRANGERS: [&str; 2] = ["impostor", "stranger"];

/// A photograph.
struct Photograph {
    file: String,
    subject: String,
    image: Vec<u8>,
    extraction: Extraction,
}

/// What comes of a folder.
pub(crate) struct Photographs {
    pub(crate) models: PathBuf,
    pub(crate) model: ModelId,
    pub(crate) enrolled: Vec<Enrolled>,
    pub(crate) travellers: Vec<Traveller>,
    /// Of each traveller.
    pub(crate) images: Vec<(String, Vec<u8>)>,
    pub(crate) threshold: Option<f32>,
    /// What was passed over, and why.
    pub(crate) passed_over: Vec<String>,
}

impl Photographs {
    /// Reads a folder, and makes a template of each photograph in it.
    pub(crate) fn read(args: &DemoArgs, folder: &Path) -> anyhow::Result<Self> {
        let model = match &args.model {
            Some(model) => ModelId::new(model)?,
            None => only_model(&args.models)?,
        };
        let pool = Pool::start(Settings::new(args.models.clone(), model.clone()))?;
        let (mut people, mut passed_over) = (BTreeMap::<String, Vec<Photograph>>::new(), Vec::new());
        for (file, image) in files(folder)? {
            let made = pool.extract(image.clone(), Wanted::default());
            let why = match made {
                Ok(extraction) if extraction.size.into_iter().max() < Some(LEAST_SIDE) => "a crop".to_owned(),
                Ok(extraction) => {
                    let subject = subject(&file);
                    let photograph = Photograph { file, subject: subject.clone(), image, extraction };
                    people.entry(subject).or_default().push(photograph);
                    continue;
                }
                Err(error) => error.to_string(),
            };
            passed_over.push(format!("{file}: {why}"));
        }
        let (mut enrolled, mut others) = (Vec::new(), Vec::new());
        for mut photographs in people.into_values() {
            if photographs.len() > 1 {
                // The best one first, of equals the one that comes first.
                photographs.sort_by_key(|it| std::cmp::Reverse(it.extraction.quality.least()));
                let best = photographs.remove(0);
                let features = best.extraction.features;
                enrolled.push(Enrolled { subject: best.subject, encounter: best.file, features });
                others.extend(photographs.into_iter().map(|one| (true, one)));
            } else {
                others.extend(photographs.into_iter().map(|one| (false, one)));
            }
        }
        ensure!(!others.is_empty(), "{}: there is no photograph of a face to look up", folder.display());
        let calibration = pool.profile().embedder.calibration.as_ref();
        let threshold = calibration.map(|calibration| calibration.threshold);
        let (mut travellers, mut images) = (Vec::new(), Vec::new());
        for (row, (on_record, Photograph { file, subject, image, extraction })) in (0..).zip(others) {
            let mate = on_record.then_some(subject);
            travellers.push(Traveller { row, mate, features: extraction.features });
            images.push((file, image));
        }
        Ok(Self { models: args.models.clone(), model, enrolled, travellers, images, threshold, passed_over })
    }
}

fn only_model(folder: &Path) -> anyhow::Result<ModelId> {
    let mut installed = Models::in_folder(folder).list()?.into_iter();
    match (installed.next(), installed.next()) {
        (Some(model), None) => Ok(model?.id),
        (None, _) => bail!("no model is installed in {}: `limen-index model install`", folder.display()),
        _ => bail!("several models are installed in {}: --model says which", folder.display()),
    }
}

/// The files of a folder, by name.
fn files(folder: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
        let known = ["jpg", "jpeg", "png", "bmp", "tif", "tiff", "jp2", "j2k"].contains(&ending.as_str());
        if let (true, Some(name)) = (known, path.file_name()) {
            let mut image = Vec::new();
            let file = std::fs::File::open(&path).with_context(|| path.display().to_string())?;
            file.take(FILE_LIMIT_BYTES as u64 + 1).read_to_end(&mut image)?;
            files.push((name.to_string_lossy().into_owned(), image));
        }
    }
    files.sort();
    Ok(files)
}

/// `anna_2.jpg` is the second photograph of anna; other names are of one person each.
fn subject(file: &str) -> String {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let numbered = stem.rsplit_once('_').filter(|(_, number)| number.parse::<u32>().is_ok());
    match numbered {
        Some((name, _)) if !STRANGERS.iter().any(|stranger| name.starts_with(stranger)) => name.to_owned(),
        _ => stem.to_owned(),
    }
}

/// A lookup's request with a photograph.
pub(crate) fn request(stage: &Stage, (file, image): &(String, Vec<u8>), checkpoint: usize) -> Value {
    let mut request = play::ground(stage, checkpoint, file);
    request["probe"] = json!({ "image": { "base64": STANDARD.encode(image) } });
    request
}

/// What came of one photograph.
struct Shown {
    file: String,
    of: Option<String>,
    answer: Value,
    status: u16,
    ms: f64,
}

/// Sends each photograph over HTTP, and tells what came of it.
#[expect(clippy::print_stdout, reason = "the report is the demo's purpose")]
pub(crate) fn play(cast: &Cast, stage: &Stage, address: SocketAddr) -> anyhow::Result<()> {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
    let bearer = format!("Bearer {}", stage.tokens[0]);
    println!("\nPhotographs at the {}; threshold {}:\n", CHECKPOINTS[0], cast.threshold);
    let mut sample = None;
    for (traveller, photograph) in cast.travellers.iter().zip(&cast.photographs) {
        let body = request(stage, photograph, 0);
        let began = Instant::now();
        let sent = agent.post(format!("http://{address}/v1/lookups")).header("Authorization", &bearer);
        let mut response = sent.send_json(&body)?;
        let (file, of) = (photograph.0.clone(), traveller.mate.clone());
        let (status, answer) = (response.status().as_u16(), response.body_mut().read_json()?);
        let shown = Shown { file, of, answer, status, ms: began.elapsed().as_secs_f64() * 1e3 };
        println!("  {}", line(stage, &shown)?);
        if shown.answer["decision"] == "hit" {
            sample.get_or_insert(shown.answer);
        }
    }
    if let Some(sample) = sample {
        super::report::show(&sample);
    }
    Ok(())
}

fn line(stage: &Stage, shown: &Shown) -> anyhow::Result<String> {
    let Shown { file, of, answer, status, ms } = shown;
    let who = of.as_ref().map_or_else(|| "a stranger".to_owned(), |name| format!("another of {name}"));
    let found = match (status, answer["decision"].as_str()) {
        (200, Some("hit")) => {
            let first = &play::candidates(answer)[0];
            let id = first["subject"].as_str().context("a candidate without a subject")?;
            let name = stage.node.gallery.reference_of(id.parse()?)?.context("who is not on record")?;
            format!("hit on {name}, score {:.3}", first["score"].as_f64().unwrap_or(f64::NAN))
        }
        (200, Some("no_hit")) => "no hit".to_owned(),
        (422, Some("inconclusive")) => {
            format!("inconclusive: {}", answer["detail"].as_str().unwrap_or_default())
        }
        _ => bail!("{file} was not answered: {answer}"),
    };
    Ok(format!("{file:<22}{who:<24}{found:<34}{ms:>6.0} ms"))
}

#[cfg(test)]
mod tests {
    use super::subject;

    #[test]
    fn a_files_name_says_whose_photograph_it_is() {
        for (file, name) in [
            ("anna_2.jpg", "anna"),
            ("person_a_1.png", "person_a"),
            ("person_a_1_aligned.png", "person_a_1_aligned"),
            ("impostor_1.png", "impostor_1"),
            ("astronaut.png", "astronaut"),
            ("x", "x"),
        ] {
            assert_eq!(subject(file), name);
        }
    }
}
