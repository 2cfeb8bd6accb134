//! Where references go: into a stopped node's folder, or to a running node.

use crate::{
    error::Failure,
    place::{self, Place},
    records,
    remote::{self, By, Node},
};
use gallery::{
    Gallery,
    authority::Caller,
    enrol_batch::{self, BulkRow, RowOutcome},
    id::WatchlistId,
    subject::Listing,
};
use matcher::template::ModelId;
use serde::Deserialize;
use serde_json::{Value, json};

/// Where.
pub(crate) enum Target {
    /// A folder, for whoever holds it.
    Folder(Box<Gallery>, Caller),
    /// A node.
    Node(Node),
}

/// What became of a row.
#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It came onto the record.
    Enrolled,
    /// It was on record.
    Already,
    /// It was refused.
    Refused {
        /// Why.
        reason: String,
    },
}

impl From<RowOutcome> for Outcome {
    fn from(outcome: RowOutcome) -> Self {
        match outcome {
            RowOutcome::Enrolled => Self::Enrolled,
            RowOutcome::Already => Self::Already,
            RowOutcome::Refused(error) => Self::Refused { reason: error.to_string() },
        }
    }
}

/// A request has at most so many bytes: a node takes 1 MiB unless it is told otherwise.
const REQUEST_BYTES: usize = 900 << 10;

impl Target {
    /// The folder or the node that is meant.
    pub(crate) fn of(place: &Place, by: &By) -> Result<Self, Failure> {
        match by.node()? {
            Some(node) => Ok(Self::Node(node)),
            None => Ok(Self::Folder(Box::new(place.open()?), by.caller()?)),
        }
    }

    /// A watchlist, by id or name, and its model.
    pub(crate) fn watchlist(&self, text: &str) -> Result<(WatchlistId, ModelId), Failure> {
        match self {
            Self::Folder(gallery, caller) => {
                let list = place::watchlist(gallery, caller, text)?;
                Ok((list.id, list.policy.model.clone()))
            }
            Self::Node(node) => {
                let (id, _, model) = node.watchlist(text)?;
                Ok((id, model))
            }
        }
    }

    /// Enrols rows; what became of each.
    pub(crate) fn enrol(&self, rows: Vec<BulkRow>) -> Result<Vec<Outcome>, Failure> {
        match self {
            Self::Folder(gallery, caller) => {
                let (outcomes, _) = enrol_batch::enrol_batch(gallery, caller, rows)?;
                Ok(outcomes.into_iter().map(Into::into).collect())
            }
            Self::Node(node) => {
                let (mut outcomes, mut request, mut bytes) = (Vec::with_capacity(rows.len()), Vec::new(), 0);
                for row in rows {
                    let row = body(&row);
                    let more = row.to_string().len() + 1;
                    if bytes + more > REQUEST_BYTES && !request.is_empty() {
                        outcomes.extend(put(node, &std::mem::take(&mut request))?);
                        bytes = 0;
                    }
                    bytes += more;
                    request.push(row);
                }
                outcomes.extend(put(node, &request)?);
                Ok(outcomes)
            }
        }
    }
}

fn body(row: &BulkRow) -> Value {
    let BulkRow { subject, encounter, watchlist, listing: Listing { category, remarks }, features, quality } =
        row;
    json!({
        "subject": subject, "encounter": encounter, "watchlist": watchlist, "category": category,
        "handling": remarks.handling, "grading": remarks.grading, "instruction": remarks.instruction,
        "features": records::encode(features), "quality": quality,
    })
}

fn put(node: &Node, rows: &[Value]) -> Result<Vec<Outcome>, Failure> {
    let count = rows.len();
    let mut answer = node.post("/v1/enrolments", &json!({ "rows": rows }))?;
    let outcomes: Vec<Outcome> = remote::read(answer["outcomes"].take())?;
    if outcomes.len() != count {
        return Err(Failure::Unreachable("it does not tell what became of each row".to_owned()));
    }
    Ok(outcomes)
}
