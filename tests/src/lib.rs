//! The house seen from the street: real processes, real sockets, named actors.
#![expect(clippy::unwrap_used, reason = "a test that cannot set its scene has failed")]

use base64::{Engine, engine::general_purpose::STANDARD};
use gallery::ambient::Ambient;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, OnceLock},
    time::Duration,
};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

pub mod clients;
pub mod disk;
pub mod in_process;
pub mod tiny_model;
pub mod trace;

pub mod power;

/// Features of a test template.
pub const DIMENSION: usize = 16;

/// Where the shared test data is, if it is there: `LIMEN_SHARED`, or `../shared` beside the repository.
pub fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = std::env::var_os("LIMEN_SHARED").map_or(beside, PathBuf::from);
    folder.is_dir().then_some(folder)
}

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A binary of the workspace, built for the profile under test.
pub fn binary(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let folder = test.ancestors().nth(2).unwrap().to_owned();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--workspace", "--bins"]).current_dir(root());
        if folder.file_name().is_some_and(|name| name == "release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "the binaries do not build");
        folder
    });
    folder.join(name)
}

/// The root key of all test folders, as text.
pub const ROOT_KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Runs `limen-index` with these arguments on a folder.
pub fn index_output(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary("limen-index"));
    command.args(arguments).env("LIMEN_FOLDER", folder).env("LIMEN_ROOT_KEY", ROOT_KEY);
    command.env("LIMEN_CA", certificates().join("ca.pem")).output().unwrap()
}

/// The folder with the certificates of all servers under test, and of two clients: made once, and kept for the next run.
pub fn certificates() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let tool = binary("limen-index");
        let day = Ambient::system().clock.now().unix_ms() / 86_400_000;
        let folder = tool.with_file_name(format!("certificates-{}", day / 100)); // they hold for 365 days
        if !folder.is_dir() {
            let place = tempfile::tempdir_in(tool.parent().unwrap()).unwrap();
            let to = place.path().join("made");
            let mut make = Command::new(tool);
            make.args(["certificate", "--client", "gate", "--client", "stranger", "--to"]).arg(&to);
            assert!(make.output().unwrap().status.success(), "no certificates are made");
            // Another process may have been first.
            let _ = audit::storage::rename_folder(&to, &folder);
        }
        folder
    })
}

/// The same, expecting success; returns what it printed.
pub fn index(folder: &Path, arguments: &[&str]) -> String {
    let output = index_output(folder, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "limen-index {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A data folder in a place of its own, so that what stands beside it goes with it.
pub struct Home {
    path: PathBuf,
    _place: Option<tempfile::TempDir>,
}

impl Home {
    /// Not made yet.
    pub fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        Self { path: place.path().join("data"), _place: Some(place) }
    }

    /// In a place that another looks after.
    pub fn in_place(place: &Path) -> Self {
        Self { path: place.join("data"), _place: None }
    }

    /// The data folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

/// Events of a site that is founded: a model, a list, officers of two nations, five grants, proposed and approved.
pub const FOUNDED: u64 = 14;

/// A data folder with one watchlist of Utopia and tokens for its people.
pub struct Site {
    /// The data folder.
    pub folder: Home,
    /// Utopia's watchlist.
    pub list: String,
    /// Utopia's enroller.
    pub clerk: String,
    /// Utopia's index administrator.
    pub keeper: String,
    /// A checkpoint that may look up and verify on Utopia's list.
    pub guard: String,
    /// Another nation's enroller.
    pub foreigner: String,
    /// Another nation's checkpoint, which may search its own lists.
    pub foreign_guard: String,
}

impl Site {
    /// Makes the folder with the tools, as an administrator would.
    pub fn found() -> Self {
        Self::found_in(Home::new())
    }

    /// The same in this folder.
    pub fn found_in(folder: Home) -> Self {
        let path = folder.path();
        index(path, &["init", "--model", "test", "--dimension", &DIMENSION.to_string()]);
        let list = index(path, &list_arguments("UTO", "first"));
        ["UTO", "XAA"].into_iter().for_each(|nation| appoint(path, nation));
        let purpose = ["--purpose", "border_control"];
        let clerk = grant(path, "UTO", &["--name", "clerk", "--role", "enroller", "--own"]);
        let keeper = grant(path, "UTO", &["--name", "keeper", "--role", "index_admin", "--own"]);
        let guard = ["--name", "guard", "--role", "checkpoint", "--raw-probes", "--watchlist", &list];
        let often = ["--searches-per-hour", "100000"];
        let guard = grant(path, "UTO", &[guard.as_slice(), &often, &purpose].concat());
        let foreigner = grant(path, "XAA", &["--name", "foreigner", "--role", "enroller", "--own"]);
        let foreign_guard = ["--name", "foreign guard", "--role", "checkpoint", "--raw-probes", "--own"];
        let foreign_guard = grant(path, "XAA", &[foreign_guard.as_slice(), &purpose].concat());
        Self { folder, list, clerk, keeper, guard, foreigner, foreign_guard }
    }

    /// The same in a copy of the folder.
    #[must_use]
    pub fn copied_to(&self, folder: Home) -> Self {
        let Self { list, clerk, keeper, guard, foreigner, foreign_guard, .. } = self;
        let [list, clerk, keeper, guard, foreigner, foreign_guard] =
            [list, clerk, keeper, guard, foreigner, foreign_guard].map(String::clone);
        Self { folder, list, clerk, keeper, guard, foreigner, foreign_guard }
    }

    /// Starts a server on the folder.
    pub fn serve(&self) -> Server {
        Server::start(self.folder.path(), &[])
    }
}

/// Files beside a data folder that hold the tokens of a nation's two officers.
pub fn officers(folder: &Path, nation: &str) -> [PathBuf; 2] {
    ["first", "second"].map(|which| folder.with_file_name(format!("{nation}-{which}-officer")))
}

/// Writes a file that only its owner can read.
pub fn private_file(path: &Path, text: &str) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

/// Appoints a nation's two officers.
pub fn appoint(folder: &Path, nation: &str) {
    let tokens =
        index(folder, &["grant", "officers", "--nation", nation, "--name", "first", "--name", "second"]);
    for (file, token) in officers(folder, nation).iter().zip(tokens.lines()) {
        private_file(file, token);
    }
}

/// Lets them grant something to a caller, and returns its token.
pub fn grant(folder: &Path, nation: &str, arguments: &[&str]) -> String {
    let [first, second] = officers(folder, nation);
    let by = ["--token-file", first.to_str().unwrap(), "--approver", second.to_str().unwrap()];
    let made = index(folder, &[["grant", "add"].as_slice(), &by, arguments].concat());
    made.split_once('\t').unwrap().1.to_owned()
}

/// Arguments that make a watchlist.
pub fn list_arguments<'a>(nation: &'a str, name: &'a str) -> Vec<&'a str> {
    "watchlist add --purpose border_control --legal-basis eu_2018_1861 --handling H1 --category wanted --category missing \
     --model test --threshold 0.8 --retention-days 30"
        .split_whitespace()
        .chain(["--nation", nation, "--name", name])
        .collect()
}

/// A running `limen serve`. Dropping it kills it.
pub struct Server {
    child: Child,
    under: bool,
    /// Its address, as `https://…`.
    pub url: String,
}

impl Server {
    /// Starts one and waits until it listens.
    pub fn start(folder: &Path, environment: &[(&str, &str)]) -> Self {
        Self::start_under(&[], folder, environment, Stdio::inherit())
            .unwrap_or_else(|line| panic!("no server: {line:?}"))
    }

    /// The same, as the child of another command; what it printed instead of its address is the error.
    pub fn start_under(
        under: &[String],
        folder: &Path,
        environment: &[(&str, &str)],
        errors: Stdio,
    ) -> Result<Self, String> {
        let limen = binary("limen");
        let mut words = under.iter().map(std::ffi::OsString::from).chain([limen.into_os_string()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(["serve", "--listen", "127.0.0.1:0", "--folder"]).arg(folder);
        if !environment.iter().any(|(name, _)| *name == "LIMEN_SERVE_INSECURE_DEV") {
            command.env("LIMEN_SERVE_TLS_CERTIFICATE", certificates().join("node.pem"));
            command.env("LIMEN_SERVE_TLS_KEY", certificates().join("node.key"));
        }
        command
            .env("RUST_LOG", "warn")
            .env("LIMEN_ROOT_KEY", ROOT_KEY)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(errors);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(url) = line.trim().strip_prefix("limen listens on ") else {
            let _ = child.wait();
            return Err(line);
        };
        Ok(Self { url: url.to_owned(), child, under: !under.is_empty() })
    }

    /// Its process id.
    pub fn process(&self) -> u32 {
        let id = self.child.id();
        if !self.under {
            return id;
        }
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        children.split_whitespace().next().expect("it has ended").parse().unwrap()
    }

    /// Waits until it has ended, and what it runs under with it.
    pub fn wait(mut self) {
        self.child.wait().unwrap();
    }

    /// `kill -9`, if it still runs.
    pub fn kill(&mut self) {
        let _ = self.child.kill(); // it may be dead already
        self.child.wait().unwrap();
    }

    /// `kill -TERM`, and waits until it has ended; was that in order?
    pub fn terminate(mut self) -> bool {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap().success()
    }

    /// Someone with a token.
    pub fn actor<'a>(&'a self, token: &'a str) -> Actor<'a> {
        self.actor_with(token, None)
    }

    /// The same, with a client's certificate.
    pub fn actor_with<'a>(&'a self, token: &'a str, client: Option<&str>) -> Actor<'a> {
        let read = |name: String| std::fs::read(certificates().join(name)).unwrap();
        let certificate = |name: &str| Certificate::from_pem(&read(format!("{name}.pem"))).unwrap();
        let client = client.map(|name| {
            let key = PrivateKey::from_pem(&read(format!("{name}.key"))).unwrap();
            ClientCert::new_with_certs(&[certificate(name)], key)
        });
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&[certificate("ca")]))
            .client_cert(client)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).tls_config(tls);
        let agent = config.timeout_global(Some(Duration::from_mins(1))).build().into();
        Actor { url: &self.url, token, agent }
    }
}

/// Kills a process as nothing can prevent.
pub fn kill_nine(id: u32) {
    assert!(Command::new("kill").args(["-9", &id.to_string()]).status().unwrap().success());
}

/// Says that something is not tried, past the test runner's capture, so that it is seen.
pub fn skipped(what: &str, why: &str) {
    told(&format!("SKIPPED {what}: {why}"));
}

/// Says something past the test runner's capture.
pub fn told(what: &str) {
    std::io::stderr().write_all(format!("{what}\n").as_bytes()).unwrap();
}

/// A temporary folder that needs no disk, if the machine has one.
pub fn in_memory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// Is this command there?
pub fn has_command(name: &str) -> bool {
    Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

impl Answer {
    /// The body, if the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }
}

/// Someone with a token.
pub struct Actor<'a> {
    url: &'a str,
    token: &'a str,
    agent: ureq::Agent,
}

impl Actor<'_> {
    /// Sends a request; an error when the server cannot be reached or breaks off.
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
        headers: &[(&str, &str)],
    ) -> Result<Answer, ureq::Error> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        if body.is_some() && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = match body {
            Some(body) => self.agent.run(request.body(body)?)?,
            None => self.agent.run(request.body(())?)?,
        };
        let status = response.status().as_u16();
        Ok(Answer { status, body: response.body_mut().read_json()? })
    }

    /// Sends JSON, or nothing, and reads what comes back as text, whatever it is. A server that answers before it has read a body may close the
    /// connection after it: whoever asks next on it asks again.
    pub fn send_text(&self, method: &str, path: &str, body: Option<&str>) -> (u16, String) {
        let send = || {
            let mut request =
                ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
            if !self.token.is_empty() {
                request = request.header("authorization", format!("Bearer {}", self.token));
            }
            match body {
                Some(body) => {
                    self.agent.run(request.header("content-type", "application/json").body(body.to_owned())?)
                }
                None => self.agent.run(request.body(())?),
            }
        };
        let mut response = match send() {
            Err(ureq::Error::Io(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => send(),
            response => response,
        }
        .unwrap();
        let body = response.body_mut().read_to_vec().unwrap();
        (response.status().as_u16(), String::from_utf8_lossy(&body).into_owned())
    }

    /// Reads bytes.
    pub fn get_bytes(&self, path: &str) -> Vec<u8> {
        let request = ureq::http::Request::builder().uri(format!("{}{path}", self.url));
        let request = request.header("authorization", format!("Bearer {}", self.token)).body(()).unwrap();
        let mut response = self.agent.run(request).unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.body_mut().read_to_vec().unwrap()
    }

    /// Sends JSON; once more where the server had closed the connection after its last answer.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        let send = || self.try_send("POST", path, Some(body.to_string().as_bytes()), &[]);
        match send() {
            Err(ureq::Error::Io(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => send(),
            answer => answer,
        }
        .unwrap()
    }

    /// Sends JSON; the status of the answer, and one of its headers.
    pub fn post_for_header(&self, path: &str, body: &str, header: &str) -> (u16, Option<String>) {
        let request = ureq::http::Request::builder().method("POST").uri(format!("{}{path}", self.url));
        let request = request.header("authorization", format!("Bearer {}", self.token));
        let request = request.header("content-type", "application/json").body(body.to_owned()).unwrap();
        let response = self.agent.run(request).unwrap();
        let value = response.headers().get(header).map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), value)
    }

    /// Sends JSON, and files beside it, as `multipart/form-data`.
    pub fn post_files(&self, path: &str, request: &Value, files: &[(&str, &[u8])]) -> Answer {
        let request = request.to_string();
        let parts = [("request", request.as_bytes())].into_iter().chain(files.iter().copied());
        let mut body = Vec::new();
        for (name, content) in parts {
            let head = format!("--limen\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
            body.extend([head.as_bytes(), content, b"\r\n"].concat());
        }
        body.extend(b"--limen--\r\n");
        let headers = [("content-type", "multipart/form-data; boundary=limen")];
        self.try_send("POST", path, Some(&body), &headers).unwrap()
    }

    /// Sends JSON under an idempotency key.
    pub fn post_keyed(&self, path: &str, body: &Value, key: &str) -> Answer {
        let headers = [("idempotency-key", key)];
        self.try_send("POST", path, Some(body.to_string().as_bytes()), &headers).unwrap()
    }

    /// Reads.
    pub fn get(&self, path: &str) -> Answer {
        self.try_send("GET", path, None, &[]).unwrap()
    }

    /// Follows server-sent events to their end.
    pub fn events(&self, path: &str) -> Vec<Value> {
        let request = ureq::http::Request::builder().uri(format!("{}{path}", self.url));
        let request = request.header("authorization", format!("Bearer {}", self.token));
        let request = request.header("accept", "text/event-stream").body(()).unwrap();
        let text = self.agent.run(request).unwrap().body_mut().read_to_string().unwrap();
        text.lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }

    /// Deletes.
    pub fn delete(&self, path: &str) -> Answer {
        self.try_send("DELETE", path, None, &[]).unwrap()
    }

    /// Looks up.
    pub fn look_up(&self, list: &str, face: u64) -> Answer {
        self.post("/v1/lookups", &lookup(list, face))
    }

    /// Enrols a new subject of Utopia and returns its id.
    pub fn enrol(&self, list: &str, reference: &str, face: u64) -> String {
        let body = self.post("/v1/subjects", &subject(list, reference, face)).expect(201);
        body["subject"].as_str().unwrap().to_owned()
    }
}

/// Features of an imagined face: no two are alike.
pub fn face(number: u64) -> Vec<f32> {
    let mut chance = ChaCha8Rng::seed_from_u64(number);
    (0..DIMENSION).map(|_| chance.next_u32() as f32 / u32::MAX as f32 - 0.5).collect()
}

/// Features as base64.
pub fn encode(features: &[f32]) -> String {
    STANDARD.encode(features.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>())
}

/// A lookup on one list.
pub fn lookup(list: &str, number: u64) -> Value {
    json!({
        "watchlists": [list], "purpose": "border_control", "legal_basis": "eu_2018_1861",
        "case_reference": "case 1", "probe": { "model": "test", "features": face(number) },
    })
}

/// A subject with one encounter.
pub fn subject(list: &str, reference: &str, number: u64) -> Value {
    json!({
        "reference": reference, "entries": [{ "watchlist": list, "category": "wanted" }],
        "encounters": [{ "template": { "model": "test", "features": encode(&face(number)) } }],
    })
}

/// The candidates' subjects.
pub fn candidates(body: &Value) -> Vec<&str> {
    body["candidates"].as_array().unwrap().iter().map(|c| c["subject"].as_str().unwrap()).collect()
}
