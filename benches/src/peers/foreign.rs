//! Systems that are measured by another process, on the same files.

use crate::{setting::Setting, table::Entry};
use anyhow::{Context, ensure};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Runs `benches/peers.py`.
pub(crate) fn measure(setting: &Setting, threads: &[usize], python: &Path) -> anyhow::Result<Vec<Entry>> {
    let (count, dimension) = (setting.rows.len(), setting.rows.dimension());
    let folder =
        PathBuf::from(format!("target/peers/{}-{count}x{dimension}", setting.name.replace(' ', "-")));
    setting.write(&folder)?;
    let threads: Vec<String> = threads.iter().map(ToString::to_string).collect();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers.py");
    let output = Command::new(python)
        .arg(script)
        .arg(&folder)
        .args(["--threads", &threads.join(",")])
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", python.display()))?;
    ensure!(output.status.success(), "{script} failed");
    let lines = String::from_utf8(output.stdout)?;
    lines.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}
