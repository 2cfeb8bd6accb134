//! `limen-index inspect`

use crate::{error::Failure, place::Place};
use clap::Args;

/// Show how much is in a data folder, and check it.
#[derive(Args)]
pub(crate) struct Inspect {
    #[command(flatten)]
    place: Place,
    /// Read all encounters and all events, and compare each with its checksum and the log with the store.
    #[arg(long)]
    check: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let gallery = self.place.open_to_search()?;
        let status = gallery.status()?;
        if self.check {
            gallery.check()?;
        }
        let active: Vec<_> = status.active.iter().map(|(id, n)| (id.to_string(), *n)).collect();
        if self.json {
            let active: serde_json::Map<_, _> = active.into_iter().map(|(id, n)| (id, n.into())).collect();
            let report = serde_json::json!({
                "subjects": status.subjects, "retired": status.retired, "erased": status.erased, "encounters": status.encounters,
                "as_of": status.as_of, "generation": status.generation, "active_references": active,
                "memory_bytes": status.memory_bytes, "log_size": status.log_size,
                "log_root": status.log_root.to_string(), "log_cut_bytes": status.log_cut_bytes, "checked": self.check,
            });
            println!("{report:#}");
            return Ok(());
        }
        println!(
            "subjects      {}, {} retired and {} erased",
            status.subjects, status.retired, status.erased
        );
        println!("encounters    {}", status.encounters);
        println!("record        up to event {}", status.as_of.0);
        println!("audit log     {} leaves, root {}", status.log_size, status.log_root);
        println!("in memory     {:.1} MiB", status.memory_bytes as f64 / f64::from(1 << 20));
        for (id, count) in active {
            println!("watchlist     {id}: {count} active references");
        }
        if status.log_cut_bytes > 0 {
            println!(
                "cut off       {} bytes of an unfinished batch at the end of the audit log",
                status.log_cut_bytes
            );
        }
        if self.check {
            println!(
                "check         every encounter and every event that is there is as it was written, and none of the record's is missing"
            );
        }
        Ok(())
    }
}
