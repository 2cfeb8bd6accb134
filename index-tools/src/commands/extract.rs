//! `limen-index extract`

use super::model::{ModelsFolder, model_id};
use crate::{
    error::Failure,
    evaluation::{folder, outcome},
    images::photograph,
    private,
    progress::{Show, Shown},
};
use clap::Args;
use extractor::{
    extract::{Extraction, Wanted},
    pool::{Pool, PoolError, Settings},
};
use serde_json::json;
use std::{
    collections::{HashMap, VecDeque},
    fs::File,
    io::{BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, sync_channel},
};

/// Make templates of photographs, for `evaluate` and `calibrate`: a matrix, and a list with the quality of each.
///
/// --labels is a CSV with the columns file (within --images) and subject; other columns are kept. Or the photographs are those of the manifests of NIST FRTE 1:N. A photograph of which no template
/// can be made has a row that is none, with the reason in the list: it counts as a failure. The folder gets templates.npy and templates.csv, with manifests also probes.npy and probes.csv, and
/// mean.npy if the model has a mean. A command that was interrupted is gone on with by repeating it.
#[derive(Args)]
pub(crate) struct Extract {
    /// Folder of photographs.
    #[arg(long)]
    images: PathBuf,
    /// Who is on them.
    #[arg(long, required_unless_present = "frte_enrol")]
    labels: Option<PathBuf>,
    /// Manifest of those to be enrolled, as NIST FRTE 1:N has it: `id path label`, a line a template of one image; paths are within --images.
    #[arg(long, requires_all = ["frte_search", "truth"], conflicts_with = "labels")]
    frte_enrol: Option<PathBuf>,
    /// Manifest of the searches, in the same form.
    #[arg(long, requires = "frte_enrol")]
    frte_search: Option<PathBuf>,
    /// Who is in the manifests' lines (CSV with id and subject): they do not say so themselves.
    #[arg(long, requires = "frte_enrol")]
    truth: Option<PathBuf>,
    /// The installed model that makes templates.
    #[arg(long)]
    model: String,
    #[command(flatten)]
    models: ModelsFolder,
    /// Folder for the results.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    show: Show,
}

impl Extract {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let model = model_id(&self.model)?;
        let profile = self.models.models().profile(&model)?.template_profile()?;
        let mut parts = Vec::new();
        let mut lists = Vec::new();
        if let (Some(enrol), Some(search), Some(truth)) = (&self.frte_enrol, &self.frte_search, &self.truth) {
            let truths = truths(truth)?;
            let columns = ["row", "subject", "encounter", "id"].map(str::to_owned).to_vec();
            parts.push(("templates", columns.clone(), manifest(enrol, &truths)?));
            parts.push(("probes", columns, manifest(search, &truths)?));
            lists.extend([enrol, search, truth]);
        } else if let Some(labels) = &self.labels {
            let (columns, all) = listed(labels)?;
            parts.push(("templates", columns, all));
            lists.push(labels);
        }
        let images = self.images.canonicalize().map_err(|error| Failure::file(&self.images, error))?;
        let digests = lists.into_iter().map(|list| folder::digest(list)).collect::<Result<Vec<_>, _>>()?;
        folder::begin(
            &self.out,
            "extraction.json",
            &json!({ "extraction": 1, "images": images, "model": model, "sha256": digests }),
        )?;
        let pool = Pool::start(Settings::new(self.models.path.clone(), model))?;
        let studio = Studio { images: &self.images, pool, dimension: profile.dimension(), into: &self.out };
        if let Some(mean) = profile.mean() {
            studio.keep_mean(mean)?;
        }
        let mut shown = self.show.begin();
        let (mut total, mut failed) = (0, 0);
        for (name, columns, pictures) in parts {
            total += pictures.len();
            failed += studio.make(name, &columns, pictures, &mut shown)?;
        }
        let words = format!(
            "{total} photographs, {failed} of which no template could be made, in {}",
            self.out.display()
        );
        shown.end(&json!({ "photographs": total, "failed": failed }), &words);
        Ok(())
    }
}

/// A photograph, and what stands in the list beside it.
struct Picture {
    file: PathBuf,
    /// Row, then the fields of the list's other columns.
    fields: Vec<String>,
}

/// The photographs of a list.
fn listed(path: &Path) -> Result<(Vec<String>, Vec<Picture>), Failure> {
    let bad = |error: csv::Error| Failure::Argument(format!("{}: {error}", path.display()));
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(bad)?;
    let headers = reader.headers().map_err(bad)?.clone();
    let Some(file) = headers.iter().position(|header| header == "file") else {
        return Err(Failure::Argument(format!("{}: it must name a column file", path.display())));
    };
    if headers.iter().any(|header| header == "quality" || header == "row") {
        let words = "rows are numbered and quality is measured here: leave these columns out";
        return Err(Failure::Argument(format!("{}: {words}", path.display())));
    }
    let Some(subject) = headers.iter().position(|header| header == "subject") else {
        return Err(Failure::Argument(format!("{}: it must name a column subject", path.display())));
    };
    let others: Vec<usize> = (0..headers.len()).filter(|at| *at != file).collect();
    let columns = ["row"].into_iter().chain(others.iter().map(|at| &headers[*at])).map(str::to_owned);
    let mut all = Vec::new();
    for (row, record) in reader.into_records().enumerate() {
        let record = record.map_err(bad)?;
        let line = record.position().map_or(0, csv::Position::line);
        if record[subject].is_empty() || record.iter().any(|field| field.contains(char::is_control)) {
            let words = "a subject has a name, and no field holds a line break";
            return Err(Failure::Argument(format!("{} line {line}: {words}", path.display())));
        }
        let fields = others.iter().map(|at| record[*at].to_owned());
        let fields = [row.to_string()].into_iter().chain(fields).collect();
        all.push(Picture { file: record[file].into(), fields });
    }
    Ok((columns.collect(), all))
}

fn truths(path: &Path) -> Result<HashMap<String, String>, Failure> {
    let bad = |error: &dyn std::fmt::Display| Failure::Argument(format!("{}: {error}", path.display()));
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(|error| bad(&error))?;
    let headers = reader.headers().map_err(|error| bad(&error))?.clone();
    let column = |name: &str| headers.iter().position(|header| header == name);
    let (Some(id), Some(subject)) = (column("id"), column("subject")) else {
        return Err(bad(&"it must name the columns id and subject"));
    };
    let mut truths = HashMap::new();
    for record in reader.into_records() {
        let record = record.map_err(|error| bad(&error))?;
        if record[subject].is_empty() || record[subject].contains(char::is_control) {
            return Err(bad(&format!("who is {:?} has no name", &record[id])));
        }
        truths.insert(record[id].to_owned(), record[subject].to_owned());
    }
    Ok(truths)
}

/// The lines of a manifest; a template of several images is not made here.
fn manifest(path: &Path, truth: &HashMap<String, String>) -> Result<Vec<Picture>, Failure> {
    let file = File::open(path).map_err(|error| Failure::file(path, error))?;
    let mut all = Vec::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|error| Failure::file(path, error))?;
        let wrong = |why: &str| Failure::Argument(format!("{} line {}: {why}", path.display(), number + 1));
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (id, file) = match fields[..] {
            [] => continue,
            [id, file, _] => (id, file),
            _ => return Err(wrong("a line is `id path label`, of one image")),
        };
        let subject = truth.get(id).ok_or_else(|| wrong("the truth does not tell who it is"))?;
        let row = all.len().to_string();
        all.push(Picture {
            file: file.into(),
            fields: vec![row, subject.clone(), number.to_string(), id.to_owned()],
        });
    }
    Ok(all)
}

/// What makes templates.
struct Studio<'a> {
    images: &'a Path,
    pool: Pool,
    dimension: usize,
    into: &'a Path,
}

/// A template on its way, or why there is none.
type Awaited = Result<Receiver<Result<Extraction, PoolError>>, String>;

/// A matrix and its list, as long as they are being written.
struct Files {
    matrix: (PathBuf, File),
    list: (PathBuf, File),
    done: usize,
}

impl Studio<'_> {
    /// Makes those that are not there yet; returns of how many of all none could be made.
    fn make(
        &self,
        name: &str,
        columns: &[String],
        pictures: Vec<Picture>,
        shown: &mut Shown,
    ) -> Result<usize, Failure> {
        let total = pictures.len();
        let mut files = self.files(name, columns, total)?;
        let mut awaited = VecDeque::<(Picture, Awaited)>::new();
        let mut left = pictures.into_iter().skip(files.done);
        let most = 2 * std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        loop {
            while awaited.len() < most {
                let Some(picture) = left.next() else { break };
                let begun = self.begin(&picture.file);
                awaited.push_back((picture, begun));
            }
            let Some((picture, begun)) = awaited.pop_front() else { break };
            // What is not the photograph's fault is no failure of it: the command ends, and is repeated when it is mended.
            let ended =
                |why: &dyn std::fmt::Display| Failure::Argument(format!("{}: {why}", picture.file.display()));
            let made =
                begun.map_err(|why| ended(&why))?.recv().map_err(|_| ended(&"the workers are gone"))?;
            let (row, quality, failure) = match made {
                Ok(made) => (made.features, made.quality.least().to_string(), String::new()),
                Err(PoolError::Unusable(why)) => {
                    (vec![f32::NAN; self.dimension], String::new(), why.to_string())
                }
                Err(error @ PoolError::Failed(_)) => return Err(ended(&error)),
            };
            let failure = failure.replace(char::is_control, " ");
            files.put(&row, picture.fields.iter().map(String::as_str).chain([quality.as_str(), &failure]))?;
            shown.tell("extracting", files.done as u64, total as u64);
        }
        for (path, file) in [&files.matrix, &files.list] {
            file.sync_data().map_err(|error| Failure::file(path, error))?;
        }
        let mut reader =
            csv::Reader::from_path(&files.list.0).map_err(|error| Failure::Argument(error.to_string()))?;
        Ok(reader.records().flatten().filter(|record| !record[record.len() - 1].is_empty()).count())
    }

    /// New ones, or those that were begun, cut after the last photograph that stands in both.
    fn files(&self, name: &str, columns: &[String], total: usize) -> Result<Files, Failure> {
        let (matrix, list) = (self.into.join(format!("{name}.npy")), self.into.join(format!("{name}.csv")));
        let (header, width) = (header(total, self.dimension), self.dimension as u64 * 4);
        let ends = outcome::ends(&list, 1)?;
        let rows = std::fs::metadata(&matrix)
            .map_or(0, |file| file.len().saturating_sub(header.len() as u64))
            / width;
        let done = (rows as usize).min(ends.len());
        let open = |path: PathBuf, length: u64| {
            let cut = private::open(&path).and_then(|mut file| {
                file.set_len(length)?;
                file.seek(SeekFrom::End(0))?;
                Ok(file)
            });
            cut.map(|file| (path.clone(), file)).map_err(|error| Failure::file(&path, error))
        };
        let last = done.checked_sub(1).map_or(0, |last| ends[last]);
        let length = if done > 0 { header.len() as u64 + done as u64 * width } else { 0 };
        let mut files = Files { matrix: open(matrix, length)?, list: open(list, last)?, done };
        if done == 0 {
            let begun = files.matrix.1.write_all(&header);
            begun.map_err(|error| Failure::file(&files.matrix.0, error))?;
            files.line(columns.iter().map(String::as_str).chain(["quality", "failure"]))?;
        }
        Ok(files)
    }

    fn begin(&self, file: &Path) -> Awaited {
        let image = photograph(self.images, file)?;
        let (sender, making) = sync_channel(1);
        self.pool.submit(image, Wanted::default(), sender).map_err(|error| error.to_string())?;
        Ok(making)
    }

    fn keep_mean(&self, mean: &[f32]) -> Result<PathBuf, Failure> {
        let path = self.into.join("mean.npy");
        let bytes = header(1, mean.len()).into_iter().chain(mean.iter().flat_map(|x| x.to_le_bytes()));
        std::fs::write(&path, bytes.collect::<Vec<u8>>()).map_err(|error| Failure::file(&path, error))?;
        Ok(path)
    }
}

impl Files {
    fn put<'a>(&mut self, row: &[f32], fields: impl Iterator<Item = &'a str>) -> Result<(), Failure> {
        let bytes: Vec<u8> = row.iter().flat_map(|x| x.to_le_bytes()).collect();
        let (path, file) = &mut self.matrix;
        file.write_all(&bytes).map_err(|error| Failure::file(path, error))?;
        self.done += 1;
        self.line(fields)
    }

    fn line<'a>(&mut self, fields: impl Iterator<Item = &'a str>) -> Result<(), Failure> {
        let (path, file) = &mut self.list;
        outcome::line(fields)
            .and_then(|line| file.write_all(&line))
            .map_err(|error| Failure::file(path, error))
    }
}

/// The header of a matrix, as NumPy writes it (NEP 1): its length is known before its rows are.
fn header(rows: usize, columns: usize) -> Vec<u8> {
    let words = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let mut header = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    header.extend(format!("{words:<117}\n").as_bytes());
    header
}
