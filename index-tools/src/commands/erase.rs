//! `limen-index erase`

use crate::{
    error::Failure,
    place::Place,
    remote::{By, Node},
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
    by: By,
    /// Subject, by Limen's id (may be given several times).
    #[arg(long = "subject")]
    subjects: Vec<SubjectId>,
    /// Subject, by the owner's reference, if it is not retired (may be given several times).
    #[arg(long = "reference")]
    references: Vec<OwnReference>,
}

impl Erase {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        if let Some(node) = self.by.node()? {
            return self.by_node(&node);
        }
        let gallery = self.place.open()?;
        let caller = self.by.caller()?;
        let mut subjects = self.subjects.clone();
        for reference in &self.references {
            let (subject, _) = inspect::inspect(&gallery, &caller, &Which::Reference(reference.clone()))?;
            subjects.push(subject.id);
        }
        for subject in subjects {
            let erased = erase::erase(&gallery, &caller, subject, None)?;
            tell(&subject.to_string(), erased.complete, erased.receipt.leaf_index());
        }
        Ok(())
    }

    fn by_node(&self, node: &Node) -> Result<(), Failure> {
        let mut subjects: Vec<String> = self.subjects.iter().map(ToString::to_string).collect();
        for reference in &self.references {
            let found =
                node.ask("GET", &format!("/v1/subjects?reference={}", escaped(reference.as_str())))?;
            subjects.extend(found["id"].as_str().map(str::to_owned));
        }
        for subject in subjects {
            let erased = node.ask("POST", &format!("/v1/subjects/{subject}/erasure"))?;
            let leaf = erased["receipt"]["leaf_index"].as_u64().unwrap_or(0);
            tell(&subject, erased["complete"] == true, leaf);
        }
        Ok(())
    }
}

fn tell(subject: &str, complete: bool, leaf: u64) {
    let state = if complete { "erased" } else { "not found any more; to be erased at the next start" };
    println!("{subject}\t{state}\tleaf {leaf}");
}

/// As it stands in a query.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
