//! A running node, asked over HTTP to do what a command would do on a stopped one's folder.

use crate::{error::Failure, place::administrator, progress::Shown};
use clap::Args;
use gallery::{authority::Caller, law::Nation};
use serde_json::{Value, json};
use std::{path::PathBuf, time::Duration};

/// By whom and where it is done: for a nation on a folder, or by a running node for whoever has a token.
#[derive(Args)]
pub(crate) struct By {
    /// Nation for which to act, as three capital letters; with --server, it is the token's.
    #[arg(long, required_unless_present = "server")]
    nation: Option<Nation>,
    /// Address of a running node that is to do it (`http://127.0.0.1:8080`), instead of this command on a folder.
    #[arg(long, env = "LIMEN_SERVER", requires = "token_file")]
    server: Option<String>,
    /// File that holds a token for the node.
    #[arg(long, env = "LIMEN_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl By {
    /// Whoever holds the folder, acting for the nation.
    pub(crate) fn caller(&self) -> Result<Caller, Failure> {
        let missing = || Failure::Argument("--nation is missing".to_owned());
        Ok(administrator(self.nation.clone().ok_or_else(missing)?))
    }

    /// The node that is to do it, if one is.
    pub(crate) fn node(&self) -> Result<Option<Node>, Failure> {
        let (Some(server), Some(path)) = (&self.server, &self.token_file) else { return Ok(None) };
        let token = std::fs::read_to_string(path).map_err(|error| Failure::file(path, error))?;
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
        let agent = config.timeout_global(Some(Duration::from_mins(1))).build().into();
        Ok(Some(Node {
            server: server.trim_end_matches('/').to_owned(),
            token: token.trim().to_owned(),
            agent,
        }))
    }
}

/// A running node.
pub(crate) struct Node {
    server: String,
    token: String,
    agent: ureq::Agent,
}

/// How often a job is asked after.
const EVERY: Duration = Duration::from_millis(200);

impl Node {
    /// What it answers, if it does what is asked.
    pub(crate) fn ask(&self, method: &str, path: &str) -> Result<Value, Failure> {
        let unreachable = |error: ureq::Error| Failure::Unreachable(error.to_string());
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.server));
        let request = request.header("authorization", format!("Bearer {}", self.token));
        let request = request.body(()).map_err(|error| Failure::Argument(format!("--server: {error}")))?;
        let mut response = self.agent.run(request).map_err(unreachable)?;
        let status = response.status().as_u16();
        let body: Value = response.body_mut().read_json().map_err(unreachable)?;
        if status < 400 {
            return Ok(body);
        }
        let detail = body["detail"].as_str().unwrap_or("it does not say why").to_owned();
        Err(Failure::Node { status, detail })
    }

    /// Begins a job and waits for its end, showing how far it is and what came of it.
    pub(crate) fn run_job(&self, path: &str, mut shown: Shown) -> Result<(), Failure> {
        let begun = self.ask("POST", path)?;
        let path = format!("/v1/jobs/{}", begun["job"].as_str().unwrap_or_default());
        loop {
            let job = self.ask("GET", &path)?;
            let outcome = job["outcome"].as_str().unwrap_or_default().to_owned();
            match job["state"].as_str() {
                Some("running") => {
                    let number = |name: &str| job["progress"][name].as_u64().unwrap_or(0);
                    if let Some(stage) = job["progress"]["stage"].as_str() {
                        shown.tell(stage, number("done"), number("total"));
                    }
                    std::thread::sleep(EVERY);
                }
                Some("done") => {
                    shown.end(&json!({ "outcome": outcome }), &outcome);
                    return Ok(());
                }
                _ => return Err(Failure::Job(outcome)),
            }
        }
    }
}
