//! `limen-index erase`

use crate::{
    error::Failure,
    place::{For, Place},
};
use clap::{ArgGroup, Args};
use gallery::{
    erase,
    id::SubjectId,
    inspect::{self, Which},
    law::OwnReference,
};

/// Erase subjects: their keys are destroyed, and with them their templates in every copy, in backups too.
///
/// There is no way back. Each erasure is logged, and stands in the ledger of erasures, by which an older copy of the
/// folder is told whom it may not bring back.
#[derive(Args)]
#[command(group(ArgGroup::new("whom").required(true).multiple(true).args(["subjects", "references"])))]
pub(crate) struct Erase {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    nation: For,
    /// Subject, by Limen's id (may be given several times).
    #[arg(long = "subject")]
    subjects: Vec<SubjectId>,
    /// Subject, by the owner's reference, if it is not retired (may be given several times).
    #[arg(long = "reference")]
    references: Vec<OwnReference>,
}

impl Erase {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let gallery = self.place.open()?;
        let caller = self.nation.caller();
        let mut subjects = self.subjects.clone();
        for reference in &self.references {
            let (subject, _) = inspect::inspect(&gallery, &caller, &Which::Reference(reference.clone()))?;
            subjects.push(subject.id);
        }
        for subject in subjects {
            let erased = erase::erase(&gallery, &caller, subject, None)?;
            let state =
                if erased.complete { "erased" } else { "not found any more; to be erased at the next start" };
            println!("{subject}\t{state}\tleaf {}", erased.receipt.leaf_index());
        }
        Ok(())
    }
}
