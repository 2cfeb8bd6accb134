//! `limen-index retention` and `limen-index clock`

use crate::{
    error::Failure,
    place::{self, For, Place},
};
use clap::{Args, Subcommand};
use gallery::{
    id::WatchlistId,
    retention::{self, Due, Run},
};
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
        nation: For,
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
        nation: For,
        /// Watchlist, by id or name, and how many erasures are due on it, as in `wanted=120` (may be given several times).
        #[arg(long = "confirm", value_name = "WATCHLIST=COUNT")]
        confirmed: Vec<String>,
    },
}

impl Retention {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match &self.action {
            Action::Report { place, nation, json } => {
                let all = retention::report(&place.open()?, &nation.caller())?;
                if *json {
                    println!("{:#}", serde_json::Value::Array(all.iter().map(described).collect()));
                } else {
                    all.iter().for_each(tell);
                }
            }
            Action::Run { place, nation, confirmed } => {
                let (gallery, caller) = (place.open()?, nation.caller());
                let mut counts = BTreeMap::<WatchlistId, u64>::new();
                for text in confirmed {
                    let parts =
                        text.rsplit_once('=').and_then(|(list, count)| Some((list, count.parse().ok()?)));
                    let wrong = || Failure::Argument(format!("{text} is not WATCHLIST=COUNT"));
                    let (list, count) = parts.ok_or_else(wrong)?;
                    counts.insert(place::watchlist(&gallery, &caller, list)?.id, count);
                }
                let Run { erased, held_back } = retention::run(&gallery, &caller, &counts)?;
                println!("{erased} subjects erased");
                for due in held_back {
                    let (name, due, of) = (&due.watchlist.policy.name, due.erasure, due.entries);
                    println!(
                        "held back: {due} of {of} entries of {name}; --confirm {name}={due} if that is right"
                    );
                }
            }
        }
        Ok(())
    }
}

fn described(due: &Due) -> serde_json::Value {
    serde_json::json!({
        "watchlist": due.watchlist.id, "name": due.watchlist.policy.name, "entries": due.entries,
        "active": due.active, "review_due": due.review, "erasure_due": due.erasure,
        "needs_confirmation": due.needs_confirmation(),
    })
}

fn tell(due: &Due) {
    let Due { watchlist, entries, active, review, erasure } = due;
    println!(
        "{}: {entries} entries, {active} active, {review} of them to be reviewed, {erasure} to be erased{}",
        watchlist.policy.name,
        if due.needs_confirmation() { " (needs confirmation)" } else { "" }
    );
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
