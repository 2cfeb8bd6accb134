//! `limen-index merge` and `limen-index move`

use crate::{error::Failure, place::Place, remote::By};
use clap::Args;
use gallery::{
    id::{EncounterId, SubjectId},
    reassign,
};
use serde_json::{Value, json};

/// Merge a subject into another: they are the same person.
///
/// All encounters and entries are the other's from then on; where both stand on a watchlist, the other's entry stays, unless only the first one's is
/// active. The first stays on record, retired, and is erased with the other. The merger is logged.
#[derive(Args)]
pub(crate) struct Merge {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    by: By,
    /// Subject that is another, by Limen's id.
    #[arg(long)]
    from: SubjectId,
    /// Who it is, by Limen's id.
    #[arg(long)]
    into: SubjectId,
}

impl Merge {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let Self { place, by, from, into } = self;
        let leaf = if let Some(node) = by.node()? {
            leaf(&node.post(&format!("/v1/subjects/{from}/merger"), &json!({ "into": into }))?)
        } else {
            reassign::merge(&place.open()?, &by.caller()?, *from, *into, None)?.1.leaf_index()
        };
        println!("{from} is {into} from now on\tleaf {leaf}");
        Ok(())
    }
}

/// Move encounters of a subject to another, whose they are.
///
/// At least one must be left: otherwise merge. A backup from before holds them under the first subject's key still; make another one. The move is
/// logged.
#[derive(Args)]
pub(crate) struct Move {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    by: By,
    /// Whose they are said to be, by Limen's id.
    #[arg(long)]
    from: SubjectId,
    /// Encounter, by Limen's id; may be repeated.
    #[arg(long = "encounter", required = true)]
    encounters: Vec<EncounterId>,
    /// Whose they are, by Limen's id.
    #[arg(long)]
    to: SubjectId,
}

impl Move {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let Self { place, by, from, encounters, to } = self;
        let leaf = if let Some(node) = by.node()? {
            let body = json!({ "encounters": encounters, "to": to });
            leaf(&node.post(&format!("/v1/subjects/{from}/moves"), &body)?)
        } else {
            let (gallery, caller) = (place.open()?, by.caller()?);
            let moved = reassign::move_encounters(&gallery, &caller, *from, encounters.clone(), *to, None)?;
            moved.1.leaf_index()
        };
        println!("{} encounters moved\tleaf {leaf}", encounters.len());
        Ok(())
    }
}

/// Of a node's answer.
fn leaf(answer: &Value) -> u64 {
    answer["receipt"]["leaf_index"].as_u64().unwrap_or(0)
}
