//! `limen-index subject-access`

use crate::{error::Failure, place::Place, remote::By};
use clap::{Args, Subcommand};
use gallery::{
    Gallery, access,
    authority::Caller,
    handling::{Grading, Handling, Instruction, Remarks},
    id::{SubjectId, WatchlistId},
    law::{AccessRefusal, Category},
    rectify, restrict,
    subject::{Entry, Listing, Subject},
};
use serde_json::{Value, json};

/// What a person may ask of whoever holds data of them (Directive (EU) 2016/680, Articles 14 to 16). Everything is logged.
#[derive(Args)]
pub(crate) struct SubjectAccess {
    #[command(subcommand)]
    action: Action,
}

#[derive(Args)]
struct Whom {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    by: By,
    /// The subject, as sub_….
    #[arg(long)]
    subject: SubjectId,
}

#[derive(Subcommand)]
enum Action {
    /// Print what is held of the person, and what was done with it and told to whom: JSON.
    Export(Whom),
    /// Put right why the person stands on a watchlist, and what is said of it; all of it is given anew.
    Rectify {
        #[command(flatten)]
        whom: Whom,
        /// The watchlist, as wl_….
        #[arg(long)]
        watchlist: WatchlistId,
        /// Why the person stands there.
        #[arg(long)]
        category: Category,
        /// How the record may be used, if otherwise than the watchlist's records.
        #[arg(long)]
        handling: Option<Handling>,
        /// How good it is, if otherwise.
        #[arg(long)]
        grading: Option<Grading>,
        /// What is to be done, if otherwise.
        #[arg(long)]
        instruction: Option<Instruction>,
    },
    /// Refuse access, with the law's reason: inquiries, prosecution, `public_security`, `national_security`, `rights_of_others`.
    Refuse {
        #[command(flatten)]
        whom: Whom,
        /// Why.
        #[arg(long)]
        reason: AccessRefusal,
        /// What the person was told, or the supervisory authority may be.
        #[arg(long)]
        words: Option<Instruction>,
    },
    /// Keep the person's record, and search it no more, while it is contested.
    Restrict(Whom),
    /// Search it again.
    Lift(Whom),
}

impl Whom {
    fn open(&self) -> Result<(Gallery, Caller), Failure> {
        Ok((self.place.open()?, self.by.caller()?))
    }
}

impl SubjectAccess {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match &self.action {
            Action::Export(whom) => whom.export(),
            Action::Rectify { whom, watchlist, category, handling, grading, instruction } => {
                let (handling, instruction) = (handling.clone(), instruction.clone());
                let remarks = Remarks { handling, grading: *grading, instruction };
                whom.rectify(*watchlist, Listing { category: *category, remarks })
            }
            Action::Refuse { whom, reason, words } => whom.refuse(*reason, words.clone()),
            Action::Restrict(whom) => whom.restrict(true),
            Action::Lift(whom) => whom.restrict(false),
        }
    }
}

impl Whom {
    fn export(&self) -> Result<(), Failure> {
        let held = if let Some(node) = self.by.node()? {
            node.ask("GET", &format!("/v1/subjects/{}/access", self.subject))?
        } else {
            let (gallery, caller) = self.open()?;
            let (access, _) = access::give(&gallery, &caller, self.subject)?;
            json!({ "subject": subject(&access.subject), "processing": access.processing })
        };
        println!("{held:#}");
        Ok(())
    }

    fn rectify(&self, watchlist: WatchlistId, listing: Listing) -> Result<(), Failure> {
        let leaf = if let Some(node) = self.by.node()? {
            let path = format!("/v1/subjects/{}/entries/{watchlist}", self.subject);
            leaf(&node.put(&path, &json!(listing))?)
        } else {
            let (gallery, caller) = self.open()?;
            let (_, receipt) = rectify::rectify(&gallery, &caller, self.subject, watchlist, listing, None)?;
            receipt.leaf_index()
        };
        println!("{}\trectified\tleaf {leaf}", self.subject);
        Ok(())
    }

    fn refuse(&self, reason: AccessRefusal, words: Option<Instruction>) -> Result<(), Failure> {
        let leaf = if let Some(node) = self.by.node()? {
            let path = format!("/v1/subjects/{}/access-refusals", self.subject);
            leaf(&node.post(&path, &json!({ "reason": reason, "words": words }))?)
        } else {
            let (gallery, caller) = self.open()?;
            access::refuse(&gallery, &caller, self.subject, reason, words)?.leaf_index()
        };
        println!("{}\trefused\tleaf {leaf}", self.subject);
        Ok(())
    }

    fn restrict(&self, contested: bool) -> Result<(), Failure> {
        let leaf = if let Some(node) = self.by.node()? {
            let method = if contested { "PUT" } else { "DELETE" };
            leaf(&node.ask(method, &format!("/v1/subjects/{}/restriction", self.subject))?)
        } else {
            let (gallery, caller) = self.open()?;
            let change = if contested { restrict::restrict } else { restrict::lift };
            change(&gallery, &caller, self.subject, None)?.1.leaf_index()
        };
        println!("{}\t{}\tleaf {leaf}", self.subject, if contested { "restricted" } else { "lifted" });
        Ok(())
    }
}

fn leaf(answer: &Value) -> u64 {
    answer["receipt"]["leaf_index"].as_u64().unwrap_or(0)
}

/// A record as a person reads it.
fn subject(subject: &Subject) -> Value {
    let entry = |entry: &Entry| {
        let mut told = json!(entry.listing);
        told["watchlist"] = json!(entry.watchlist);
        told["listed_at"] = json!(entry.listed_at);
        told["retain_until"] = json!(entry.retain_until);
        told["review_by"] = json!(entry.review_by);
        told["state"] = json!(entry.state);
        told
    };
    let encounters: Vec<Value> = subject
        .encounters
        .iter()
        .map(|one| {
            json!({ "id": one.id, "reference": one.reference, "model": one.model, "captured_at": one.captured_at,
                "enrolled_at": one.enrolled_at })
        })
        .collect();
    json!({
        "id": subject.id, "owner": subject.owner, "reference": subject.reference, "enrolled_at": subject.enrolled_at,
        "retired_at": subject.retired_at, "restricted_at": subject.restricted_at,
        "entries": subject.entries.iter().map(entry).collect::<Vec<_>>(), "encounters": encounters,
    })
}
