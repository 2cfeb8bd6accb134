//! `limen-index merge` and `limen-index move`

use crate::{
    error::Failure,
    place::{For, Place},
};
use clap::Args;
use gallery::{
    id::{EncounterId, SubjectId},
    reassign,
};

/// Merge a subject into another: they are the same person.
///
/// All encounters and entries are the other's from then on; where both stand on a watchlist, the other's entry stays, unless only the first one's is
/// active. The first stays on record, retired, and is erased with the other. The merger is logged.
#[derive(Args)]
pub(crate) struct Merge {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    nation: For,
    /// Subject that is another, by Limen's id.
    #[arg(long)]
    from: SubjectId,
    /// Who it is, by Limen's id.
    #[arg(long)]
    into: SubjectId,
}

impl Merge {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let gallery = self.place.open()?;
        let (_, receipt) = reassign::merge(&gallery, &self.nation.caller(), self.from, self.into, None)?;
        println!("{} is {} from now on\tleaf {}", self.from, self.into, receipt.leaf_index());
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
    nation: For,
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
        let gallery = self.place.open()?;
        let (caller, encounters) = (self.nation.caller(), self.encounters.clone());
        let (_, receipt) =
            reassign::move_encounters(&gallery, &caller, self.from, encounters, self.to, None)?;
        println!("{} encounters moved\tleaf {}", self.encounters.len(), receipt.leaf_index());
        Ok(())
    }
}
