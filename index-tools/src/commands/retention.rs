//! `limen-index retention` and `limen-index clock`

use crate::{
    error::Failure,
    place::{For, Place},
    remote::{self, By},
    target::Target,
};
use clap::{Args, Subcommand};
use gallery::{
    id::WatchlistId,
    retention::{self, Due, Run},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What is due to be looked at or erased, and erasing it.
#[derive(Args)]
pub(crate) struct Retention {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Show what is due on each watchlist of a nation.
    Report {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        by: By,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Erase whose retention is over on every watchlist.
    ///
    /// Where that is more than 1 % of a watchlist's entries, nobody on it is erased without a confirmation: the clock may be wrong.
    Run {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        by: By,
        /// Watchlist, by id or name, and how many erasures are due on it, as in `wanted=120` (may be given several times).
        #[arg(long = "confirm", value_name = "WATCHLIST=COUNT")]
        confirmed: Vec<String>,
    },
}

impl Retention {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match &self.action {
            Action::Report { place, by, json } => {
                let all = match by.node()? {
                    Some(node) => remote::read(node.ask("GET", "/v1/retention")?["watchlists"].take())?,
                    None => retention::report(&place.open()?, &by.caller()?)?.iter().map(described).collect(),
                };
                if *json {
                    println!("{:#}", Value::Array(all));
                } else {
                    all.iter().for_each(tell);
                }
            }
            Action::Run { place, by, confirmed } => {
                let target = Target::of(place, by)?;
                let mut counts = BTreeMap::<WatchlistId, u64>::new();
                for text in confirmed {
                    let parts =
                        text.rsplit_once('=').and_then(|(list, count)| Some((list, count.parse().ok()?)));
                    let wrong = || Failure::Argument(format!("{text} is not WATCHLIST=COUNT"));
                    let (list, count) = parts.ok_or_else(wrong)?;
                    counts.insert(target.watchlist(list)?.0, count);
                }
                let (erased, held_back): (u64, Vec<Value>) = match &target {
                    Target::Node(node) => {
                        let mut done = node.post("/v1/retention/runs", &json!({ "confirmed": counts }))?;
                        (remote::read(done["erased"].take())?, remote::read(done["held_back"].take())?)
                    }
                    Target::Folder(gallery, caller) => {
                        let Run { erased, held_back } = retention::run(gallery, caller, &counts)?;
                        (erased, held_back.iter().map(described).collect())
                    }
                };
                println!("{erased} subjects erased");
                for due in held_back {
                    let (name, of, due) = (text(&due["name"]), &due["entries"], &due["erasure_due"]);
                    println!(
                        "held back: {due} of {of} entries of {name}; --confirm {name}={due} if that is right"
                    );
                }
            }
        }
        Ok(())
    }
}

fn described(due: &Due) -> Value {
    json!({
        "watchlist": due.watchlist.id, "name": due.watchlist.policy.name, "entries": due.entries,
        "active": due.active, "review_due": due.review, "erasure_due": due.erasure,
        "needs_confirmation": due.needs_confirmation(),
    })
}

fn tell(due: &Value) {
    println!(
        "{}: {} entries, {} active, {} of them to be reviewed, {} to be erased{}",
        text(&due["name"]),
        due["entries"],
        due["active"],
        due["review_due"],
        due["erasure_due"],
        if due["needs_confirmation"] == true { " (needs confirmation)" } else { "" }
    );
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Take the clock as it is, after it was ahead: a folder whose clock went back answers nothing.
#[derive(Args)]
pub(crate) struct Clock {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    nation: For,
    /// Yes, the time is right now, and what was seen before was wrong.
    #[arg(long, required = true)]
    accept: bool,
}

impl Clock {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let now = gallery::expire::accept_clock(&self.place.open()?, &self.nation.caller())?;
        println!("it is {now}");
        Ok(())
    }
}
