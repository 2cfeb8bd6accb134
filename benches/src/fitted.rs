//! Populations fitted to real templates, as they are kept.

use anyhow::Context;
use matcher::population::{Factors, Population};
use std::{fs::File, io::BufReader, path::Path};

/// A population fitted to real templates: an npz file with `mean`, `between_half` and `within_half`.
pub(crate) fn fitted(file: &Path) -> anyhow::Result<Population> {
    let open = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut archive = zip::ZipArchive::new(BufReader::new(open))?;
    let mut array = |name: &str| -> anyhow::Result<Vec<f32>> {
        Ok(npyz::NpyFile::new(archive.by_name(&format!("{name}.npy"))?)?.into_vec::<f32>()?)
    };
    let model =
        Factors { mean: array("mean")?, between: array("between_half")?, within: array("within_half")? };
    Ok(Population::fitted(&model))
}
