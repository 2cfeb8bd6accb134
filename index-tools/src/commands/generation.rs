//! `limen-index rebuild`, `activate`, `rollback` and `generations`

use crate::{
    error::Failure,
    place::Place,
    progress::Show,
    remote::{self, By, Remote},
};
use clap::Args;
use gallery::{
    id::GenerationId,
    job::Progress,
    rebuild::{self, GenerationInfo},
};
use serde_json::{Value, json};

/// Build what is searched anew from the record, compare it with the exact scan, and put it in place.
///
/// A start opens it sooner than it reads the record. The one before stays, to be gone back to.
#[derive(Args)]
pub(crate) struct Rebuild {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    show: Show,
}

impl Rebuild {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut shown = self.show.begin();
        if let Some(node) = self.by.node()? {
            return node.run_job("/v1/generations", shown);
        }
        let gallery = self.place.open()?;
        let built = rebuild::rebuild(&gallery, &self.by.caller()?, |progress| {
            let Progress { stage, done, total } = progress;
            shown.tell(stage.as_str(), done, total);
            true
        })?;
        shown.end(&described(&built), &format!("generation {}, {} references", built.id.0, built.references));
        Ok(())
    }
}

/// Put a generation that is there in place: the next start opens it.
#[derive(Args)]
pub(crate) struct Activate {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    by: By,
    /// Which, by its number.
    generation: u64,
}

impl Activate {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        if let Some(node) = self.by.node()? {
            tell(&node.ask("POST", &format!("/v1/generations/{}/activation", self.generation))?);
            return Ok(());
        }
        let id = GenerationId(self.generation);
        let placed = rebuild::activate(&self.place.open()?, &self.by.caller()?, id)?;
        println!("generation {}, {} references", placed.id.0, placed.references);
        Ok(())
    }
}

/// Go back to the generation before.
#[derive(Args)]
pub(crate) struct Rollback {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    by: By,
}

impl Rollback {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        if let Some(node) = self.by.node()? {
            tell(&node.ask("POST", "/v1/generations/former/activation")?);
            return Ok(());
        }
        let placed = rebuild::rollback(&self.place.open()?, &self.by.caller()?)?;
        println!("generation {}, {} references", placed.id.0, placed.references);
        Ok(())
    }
}

/// List the generations in a data folder, oldest first.
#[derive(Args)]
pub(crate) struct Generations {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    remote: Remote,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Generations {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let all: Vec<Value> = if let Some(node) = self.remote.node()? {
            remote::read(node.ask("GET", "/v1/generations")?["generations"].take())?
        } else {
            let gallery = self.place.open()?;
            let chosen = rebuild::chosen(&gallery)?;
            let mut all = rebuild::generations(&gallery)?;
            all.iter_mut().for_each(|one| one.current = Some(one.id) == chosen);
            all.iter().map(described).collect()
        };
        if self.json {
            println!("{:#}", Value::Array(all));
            return Ok(());
        }
        for one in all {
            let mark = if one["current"] == true { "*" } else { " " };
            println!(
                "{mark} {}\t{}\t{} references\tup to event {}",
                one["id"],
                one["built_at"].as_str().unwrap_or_default(),
                one["references"],
                one["as_of"]
            );
        }
        Ok(())
    }
}

/// A generation that a node put in place.
fn tell(placed: &Value) {
    println!("generation {}, {} references", placed["id"], placed["references"]);
}

fn described(one: &GenerationInfo) -> Value {
    json!({
        "id": one.id, "as_of": one.as_of, "built_at": one.built_at,
        "references": one.references, "root": one.root, "current": one.current,
    })
}
