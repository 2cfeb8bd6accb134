//! How the gallery was used in a time: what a data protection authority asks for, and Regulation (EU) 2024/1689 (AI Act), Article 26(10), each year.

use crate::{
    decision::{Decision, LookupAnswer},
    event::{Event, What},
    evidence::{self, EvidenceError},
    findings::{Findings, Results},
    gallery::Gallery,
    operation::Operation,
    timestamp::Timestamp,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Counts of events from one time to before another. No person can be told from them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Events that could be read.
    pub events: u64,
    /// Events by what was done.
    pub by_verb: BTreeMap<String, u64>,
    /// Events, by the kind of processing that they are (Article 25 of Directive (EU) 2016/680).
    pub by_operation: BTreeMap<String, u64>,
    /// Searches (lookups and verifications) by the searching nation.
    pub searches_by_nation: BTreeMap<String, u64>,
    /// By purpose.
    pub searches_by_purpose: BTreeMap<String, u64>,
    /// By legal basis.
    pub searches_by_legal_basis: BTreeMap<String, u64>,
    /// By the machine's answer; `awaiting` where results wait for an authorisation, or were erased for want of one.
    pub searches_by_decision: BTreeMap<String, u64>,
    /// Subjects who reached a threshold in lookups, shown or not.
    pub found: u64,
    /// Candidates that were shown.
    pub shown: u64,
    /// Searches by an approximate index.
    pub approximate: u64,
    /// Attempts that were refused, by what was attempted.
    pub refused_by_verb: BTreeMap<String, u64>,
    /// Searches that were not made for want of a good image, by what is wrong with it; they count as inconclusive.
    pub declined_by_reason: BTreeMap<String, u64>,
    /// Searches that were not made, or not answered, because the caller had searched too often, by what it was stopped for.
    pub stopped_by_misuse: BTreeMap<String, u64>,
    /// Grants, or holders of a folder, that acted.
    pub actors: u64,
}

/// Reads the log.
///
/// # Errors
/// When it cannot be read.
pub fn report(gallery: &Gallery, from: Timestamp, to: Timestamp) -> Result<Report, EvidenceError> {
    let (mut report, mut actors) = (Report::default(), BTreeSet::new());
    evidence::each_event(gallery, |_, event| {
        if (from..to).contains(&event.at) {
            actors.insert(event.actor.identity());
            report.count(&event);
        }
    })?;
    report.actors = actors.len() as u64;
    Ok(report)
}

fn add(counts: &mut BTreeMap<String, u64>, what: impl Into<String>) {
    *counts.entry(what.into()).or_default() += 1;
}

fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Hit => "hit",
        Decision::NoHit => "no_hit",
        Decision::Inconclusive => "inconclusive",
    }
}

impl Report {
    fn count(&mut self, event: &Event) {
        self.events += 1;
        let verb =
            serde_json::to_value(&event.what).ok().and_then(|what| what["verb"].as_str().map(str::to_owned));
        add(&mut self.by_verb, verb.unwrap_or_default());
        add(&mut self.by_operation, Operation::of(&event.what).as_str());
        match &event.what {
            What::Lookup { ground, results, .. } => {
                self.searched(event, ground);
                match results {
                    Results::Told(findings) => self.answered(findings),
                    Results::Awaiting { .. } => add(&mut self.searches_by_decision, "awaiting"),
                }
            }
            What::Authorise { findings, .. } => {
                if let Some(awaiting) = self.searches_by_decision.get_mut("awaiting") {
                    *awaiting -= 1; // of this time, or of one before
                }
                self.answered(findings);
            }
            What::Verify { ground, answer, .. } => {
                self.searched(event, ground);
                add(&mut self.searches_by_decision, word(answer.decision));
            }
            What::Decline { ground, reason, .. } => {
                self.searched(event, ground);
                add(&mut self.searches_by_decision, word(Decision::Inconclusive));
                add(&mut self.declined_by_reason, reason.as_str());
            }
            What::Refused { attempted, misuse, .. } => {
                add(&mut self.refused_by_verb, attempted.as_str());
                misuse.iter().for_each(|misuse| add(&mut self.stopped_by_misuse, misuse.as_str()));
            }
            _ => (),
        }
    }

    fn searched(&mut self, event: &Event, ground: &crate::authority::Ground) {
        add(&mut self.searches_by_nation, event.actor.nation.to_string());
        add(&mut self.searches_by_purpose, ground.purpose.as_str());
        add(&mut self.searches_by_legal_basis, ground.legal_basis.as_str());
    }

    fn answered(&mut self, Findings { answer, found, .. }: &Findings) {
        let LookupAnswer { decision, candidates, certificate, .. } = answer;
        add(&mut self.searches_by_decision, word(*decision));
        self.found += found.len() as u64;
        self.shown += candidates.len() as u64;
        self.approximate += u64::from(!certificate.exhaustive);
    }
}
