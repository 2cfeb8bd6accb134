//! `limen-index inspect` and `verify-store`

use crate::{error::Failure, place::Place};
use clap::Args;
use gallery::status::Status;

/// Show how much is in a data folder.
#[derive(Args)]
pub(crate) struct Inspect {
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        tell(&self.place.open_to_search()?.status()?, self.json, false);
        Ok(())
    }
}

/// Check everything in a data folder: checksums, keys, counts, generations, and the audit log against the record.
///
/// Every row of the record is compared with its checksum; every template is opened with its subject's key, and whoever was erased has none;
/// every file of the generations is compared with its manifest; every leaf of the audit log is hashed, and every event of the record has its
/// own.
#[derive(Args)]
pub(crate) struct VerifyStore {
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl VerifyStore {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let gallery = self.place.open_to_search()?;
        gallery.check()?;
        tell(&gallery.status()?, self.json, true);
        Ok(())
    }
}

fn tell(status: &Status, json: bool, checked: bool) {
    let active: Vec<_> = status.active.iter().map(|(id, n)| (id.to_string(), *n)).collect();
    if json {
        let active: serde_json::Map<_, _> = active.into_iter().map(|(id, n)| (id, n.into())).collect();
        let report = serde_json::json!({
            "subjects": status.subjects, "retired": status.retired, "erased": status.erased, "encounters": status.encounters,
            "as_of": status.as_of, "generation": status.generation, "active_references": active,
            "memory_bytes": status.memory_bytes, "log_size": status.log_size,
            "log_root": status.log_root.to_string(), "log_cut_bytes": status.log_cut_bytes, "checked": checked,
        });
        println!("{report:#}");
        return;
    }
    println!("subjects      {}, {} retired and {} erased", status.subjects, status.retired, status.erased);
    println!("encounters    {}", status.encounters);
    println!("record        up to event {}", status.as_of.0);
    println!("audit log     {} leaves, root {}", status.log_size, status.log_root);
    println!("in memory     {:.1} MiB", status.memory_bytes as f64 / f64::from(1 << 20));
    for (id, count) in active {
        println!("watchlist     {id}: {count} active references");
    }
    if status.log_cut_bytes > 0 {
        let cut = status.log_cut_bytes;
        println!("cut off       {cut} bytes of an unfinished batch at the end of the audit log");
    }
    if checked {
        println!(
            "check         every encounter and every event that is there is as it was written, and none of the record's is missing"
        );
    }
}
