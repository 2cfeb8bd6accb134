//! A running node, asked over HTTP to do what a command would do on a stopped one's folder.

use crate::{error::Failure, place::administrator, progress::Shown};
use clap::Args;
use gallery::{authority::Caller, id::WatchlistId, law::Nation};
use matcher::template::ModelId;
use rustls::crypto::aws_lc_rs;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig};

/// Which running node is to do it.
#[derive(Args)]
pub(crate) struct Remote {
    /// Address of a running node that is to do it (`https://limen.example:8443`), instead of this command on a folder.
    #[arg(long, env = "LIMEN_SERVER")]
    server: Option<String>,
    /// File that holds a token for the node.
    #[arg(long, env = "LIMEN_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Authority of the node's certificate (PEM).
    #[arg(long, env = "LIMEN_CA")]
    ca: Option<PathBuf>,
    /// Certificate to show to the node (PEM).
    #[arg(long = "client-certificate", env = "LIMEN_CLIENT_CERTIFICATE", requires = "client_key")]
    client_certificate: Option<PathBuf>,
    /// Its key (PEM).
    #[arg(long, env = "LIMEN_CLIENT_KEY")]
    client_key: Option<PathBuf>,
}

impl Remote {
    /// The node that is to do it, if one is.
    pub(crate) fn node(&self) -> Result<Option<Node>, Failure> {
        self.node_with(self.token_file())
    }

    /// The file that holds the token.
    pub(crate) fn token_file(&self) -> Option<&Path> {
        self.token_file.as_deref()
    }

    /// The node that is to do it, if one is, for whoever has the token in this file.
    pub(crate) fn node_with(&self, token_file: Option<&Path>) -> Result<Option<Node>, Failure> {
        let Some(server) = &self.server else { return Ok(None) };
        if token_file.is_none() && self.client_certificate.is_none() {
            let what = "--token-file or --client-certificate is missing: the node must know who asks";
            return Err(Failure::Argument(what.to_owned()));
        }
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
        let config = config.timeout_connect(Some(Duration::from_secs(10))).tls_config(self.tls()?);
        let config = config.https_only(!is_here(server)?).max_redirects(0);
        Ok(Some(Node {
            server: server.trim_end_matches('/').to_owned(),
            token: token_file.map(token).transpose()?,
            agent: config.build().into(),
        }))
    }

    fn tls(&self) -> Result<TlsConfig, Failure> {
        let read = |path: &Path| std::fs::read(path).map_err(|error| Failure::file(path, error));
        let wrong = |path: &Path| {
            let path = path.display().to_string();
            move |error: ureq::Error| Failure::Argument(format!("{path}: {error}"))
        };
        let certificates = |path: &PathBuf| {
            let all =
                ureq::tls::parse_pem(&read(path)?).collect::<Result<Vec<_>, _>>().map_err(wrong(path))?;
            let certificate = |item| match item {
                PemItem::Certificate(certificate) => Some(certificate),
                _ => None,
            };
            Ok::<Vec<Certificate<'static>>, Failure>(all.into_iter().filter_map(certificate).collect())
        };
        let roots = self.ca.as_ref().map(&certificates).transpose()?.unwrap_or_default();
        let client = match (&self.client_certificate, &self.client_key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate)?;
                let key = PrivateKey::from_pem(&read(key)?).map_err(wrong(key))?;
                Some(ClientCert::new_with_certs(&chain, key))
            }
            _ => None,
        };
        Ok(TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .client_cert(client)
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
            .build())
    }
}

/// Is it a node on this machine? Only such a one is asked without TLS: a token is told to nobody in plain.
fn is_here(server: &str) -> Result<bool, Failure> {
    let uri: ureq::http::Uri =
        server.parse().map_err(|error| Failure::Argument(format!("--server: {error}")))?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if here || uri.scheme() == Some(&ureq::http::uri::Scheme::HTTPS) {
        Ok(here)
    } else {
        Err(Failure::Argument(format!("{server}: only a node on this machine is asked without TLS")))
    }
}

/// The token in a file.
pub(crate) fn token(path: &Path) -> Result<String, Failure> {
    let failed = |error| Failure::file(path, error);
    if std::fs::metadata(path).map_err(failed)?.permissions().mode() & 0o077 != 0 {
        let what = "can be read by others, and holds a token: make it private (chmod 600)";
        return Err(Failure::Argument(format!("{} {what}", path.display())));
    }
    Ok(std::fs::read_to_string(path).map_err(failed)?.trim().to_owned())
}

/// By whom and where it is done: for a nation on a folder, or by a running node for whoever has a token.
#[derive(Args)]
pub(crate) struct By {
    /// Nation for which to act, as three capital letters; with --server, it is the token's.
    #[arg(long, required_unless_present = "server")]
    nation: Option<Nation>,
    #[command(flatten)]
    remote: Remote,
}

impl By {
    /// Whoever holds the folder, acting for the nation.
    pub(crate) fn caller(&self) -> Result<Caller, Failure> {
        let missing = || Failure::Argument("--nation is missing".to_owned());
        Ok(administrator(self.nation.clone().ok_or_else(missing)?))
    }

    /// The node that is to do it, if one is.
    pub(crate) fn node(&self) -> Result<Option<Node>, Failure> {
        self.remote.node()
    }
}

/// A running node.
pub(crate) struct Node {
    server: String,
    token: Option<String>,
    agent: ureq::Agent,
}

/// How often a job is asked after.
const EVERY: Duration = Duration::from_millis(200);
/// The longest line of an answer.
const LINE_LIMIT_BYTES: u64 = 64 << 20;

impl Node {
    /// What it answers, if it does what is asked.
    pub(crate) fn ask(&self, method: &str, path: &str) -> Result<Value, Failure> {
        self.tell(method, path, &[])
    }

    /// The same for a request with a body.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.tell("POST", path, body.to_string().as_bytes())
    }

    /// The same to put something in place of something.
    pub(crate) fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.tell("PUT", path, body.to_string().as_bytes())
    }

    fn tell(&self, method: &str, path: &str, body: &[u8]) -> Result<Value, Failure> {
        let mut response = self.send(method, path, body)?;
        response.body_mut().with_config().limit(LINE_LIMIT_BYTES).read_json().map_err(unreachable)
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<ureq::http::Response<ureq::Body>, Failure> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.server));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        let wrong = |error| Failure::Argument(format!("--server: {error}"));
        let sent = if body.is_empty() {
            self.agent.run(request.body(()).map_err(wrong)?)
        } else {
            self.agent.run(request.body(body).map_err(wrong)?)
        };
        let mut response = sent.map_err(unreachable)?;
        let status = response.status().as_u16();
        if status < 400 {
            return Ok(response);
        }
        let body: Value = response.body_mut().read_json().map_err(unreachable)?;
        Err(refused(status, &body))
    }

    /// Asks for an answer of many lines, and gives each to `take`; returns what stands at its end.
    pub(crate) fn lines(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        mut take: impl FnMut(Value) -> Result<(), Failure>,
    ) -> Result<Value, Failure> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let response = self.send(method, path, body.as_bytes())?;
        let mut lines = BufReader::new(response.into_body().into_reader());
        let broken = |why: String| Failure::Unreachable(format!("its answer breaks off: {why}"));
        loop {
            let mut line = Vec::new();
            let read = std::io::Read::take(&mut lines, LINE_LIMIT_BYTES).read_until(b'\n', &mut line);
            if read.map_err(|error| broken(error.to_string()))? == 0 {
                return Err(broken("it has no end".to_owned()));
            }
            let mut line: Value = serde_json::from_slice(&line).map_err(|error| broken(error.to_string()))?;
            if let Some(end) = line.get_mut("end") {
                return Ok(end.take());
            }
            if let Some(problem) = line.get("problem") {
                return Err(refused(problem["status"].as_u64().unwrap_or(500) as u16, problem));
            }
            take(line)?;
        }
    }

    /// The id, the name and the model of a watchlist, by either of the first two.
    pub(crate) fn watchlist(&self, text: &str) -> Result<(WatchlistId, String, ModelId), Failure> {
        let all = self.ask("GET", "/v1/watchlists")?;
        let all = all["watchlists"].as_array().cloned().unwrap_or_default();
        let named = |list: &&Value| list["id"] == text || list["name"] == text;
        let mut found = all.iter().filter(named);
        let unknown = || Failure::Argument(format!("the token reaches no watchlist {text}"));
        let list = found.next().ok_or_else(unknown)?;
        if found.next().is_some() {
            return Err(Failure::Argument(format!(
                "the token reaches several watchlists {text}: give the id"
            )));
        }
        Ok((read(list["id"].clone())?, read(list["name"].clone())?, read(list["model"].clone())?))
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

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreachable(error: ureq::Error) -> Failure {
    Failure::Unreachable(error.to_string())
}

fn refused(status: u16, problem: &Value) -> Failure {
    let detail = problem["detail"].as_str().unwrap_or("it does not say why");
    let field = problem["field"].as_str().map(|field| format!("{field}: ")).unwrap_or_default();
    Failure::Node { status, detail: format!("{field}{detail}") }
}

/// What a node said, as a type.
pub(crate) fn read<T: DeserializeOwned>(value: Value) -> Result<T, Failure> {
    let strange = |error| Failure::Unreachable(format!("it answers what this tool does not know: {error}"));
    serde_json::from_value(value).map_err(strange)
}
