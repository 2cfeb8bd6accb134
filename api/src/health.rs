//! `/livez`, `/readyz`, `/version`: for those who run the node. No token is needed, nothing is told of what
//! is on record.

use crate::{node::Node, problem::Problem};
use axum::{Json, extract::State};
use extractor::{confine::Confinement, pool::Pool};
use matcher::template::ModelId;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// The process runs.
#[derive(Serialize, ToSchema)]
pub(crate) struct Alive {
    alive: bool,
}

/// The node can answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ready {
    /// Which build of the gallery is searched.
    generation: u64,
    /// Up to which event of the record.
    as_of: u64,
    /// The kernel that scans use.
    kernel: &'static str,
    /// Is there anyone who may call?
    has_callers: bool,
    /// What is weaker than it should be: `insecure_dev`.
    insecure: Vec<&'static str>,
    /// Can what is in the log be proven? If not, the next start makes its tiles anew.
    provable: bool,
    /// The workers that make templates of images, if there are to be some.
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<ImagesBody>,
    /// Witnesses of the log, if there are to be some.
    #[serde(skip_serializing_if = "Option::is_none")]
    witnesses: Option<Seen>,
}

/// How the workers fare that make templates of images. Lookups with features do without them.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImagesBody {
    /// The model.
    #[schema(value_type = String)]
    model: ModelId,
    /// Do they run, and load their model?
    ready: bool,
    /// Images that wait or are processed.
    pending: usize,
    /// How far they are confined; all three should be true.
    #[serde(skip_serializing_if = "Option::is_none")]
    confined: Option<ConfinedBody>,
}

/// How far a worker is confined.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConfinedBody {
    /// Landlock keeps it from files and networks: the kernel has it.
    landlock: bool,
    /// seccomp keeps it from all system calls but those that computing needs: the kernel has it.
    seccomp: bool,
    /// It has tried to open a file, make a socket and run a program, and could not.
    tried: bool,
}

fn images(pool: &Pool) -> ImagesBody {
    let health = pool.health();
    let confined = health.confinement.map(|Confinement { landlock, seccomp, tried }| ConfinedBody {
        landlock,
        seccomp,
        tried,
    });
    ImagesBody {
        model: pool.profile().id.clone(),
        ready: confined.is_some(),
        pending: pool.pending(),
        confined,
    }
}

/// How many have seen the log.
#[derive(Serialize, ToSchema)]
pub(crate) struct Seen {
    /// How many there are.
    configured: u64,
    /// How many have cosigned the last checkpoint that they were shown.
    cosigned: u64,
}

/// What runs.
#[derive(Serialize, ToSchema)]
pub(crate) struct Version {
    name: &'static str,
    version: &'static str,
}

/// Does the process run?
#[utoipa::path(get, path = "/livez", tag = "health", extensions(("x-operation" = json!("upkeep"))), responses((status = 200, body = Alive)))]
pub(crate) async fn livez() -> Json<Alive> {
    Json(Alive { alive: true })
}

/// Can the node answer: are its store and its audit log in order?
#[utoipa::path(get, path = "/readyz", tag = "health", extensions(("x-operation" = json!("upkeep"))), responses(
    (status = 200, body = Ready),
    (status = "5XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn readyz(State(node): State<Arc<Node>>) -> Result<Json<Ready>, Problem> {
    if !node.scans() {
        return Err(Problem::fault("the scanning thread has stopped"));
    }
    let state = node.witnesses.as_ref().map(|witnesses| witnesses.state());
    let (generation, as_of) = node.blocking(gallery::Gallery::ready).await?;
    Ok(Json(Ready {
        generation: generation.0,
        as_of: as_of.0,
        kernel: node.gallery.kernel().name(),
        has_callers: node.callers() > 0,
        insecure: node.insecure(),
        provable: gallery::evidence::provable(&node.gallery),
        images: node.images.pool().map(images),
        witnesses: state.map(|(configured, cosigned)| Seen { configured, cosigned }),
    }))
}

/// What runs here?
#[utoipa::path(get, path = "/version", tag = "health", extensions(("x-operation" = json!("upkeep"))), responses((status = 200, body = Version)))]
pub(crate) async fn version() -> Json<Version> {
    Json(Version { name: "limen", version: env!("CARGO_PKG_VERSION") })
}
