//! What can be set: a file, then the environment, then the command line. Each knob stands in
//! `docs/configuration.md`.

use crate::images;
use anyhow::{Context, bail};
use clap::Args;
use gallery::{
    Index,
    keys::root::{RootKey, RootKeyError},
};
use matcher::template::ModelId;
use serde::Deserialize;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// How to serve.
#[derive(Args)]
pub(crate) struct ServeArgs {
    /// Configuration file (TOML).
    #[arg(long)]
    config: Option<PathBuf>,
    /// Data folder, made by `limen-index init`.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Address to listen on; without TLS, loopback only. Port 0 takes any free one and prints it.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Serve loopback without TLS, and at most 1,000 encounters: for development.
    #[arg(long)]
    insecure_dev: bool,
}

/// The server's settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Data folder.
    pub(crate) folder: PathBuf,
    /// Address to listen on.
    pub(crate) listen: SocketAddr,
    /// The node's certificate and those above it (PEM).
    pub(crate) tls_certificate: Option<PathBuf>,
    /// Its key (PEM), readable by its owner alone.
    pub(crate) tls_key: Option<PathBuf>,
    /// The authorities of clients' certificates (PEM): then no call is answered without one.
    pub(crate) client_ca: Option<PathBuf>,
    /// Who issues the JSON Web Tokens that name callers (`iss`).
    pub(crate) jwt_issuer: Option<String>,
    /// As whom they name this node (`aud`).
    pub(crate) jwt_audience: Option<String>,
    /// The issuer's keys: a file, or an address that begins with `https://`.
    pub(crate) jwt_keys: Option<String>,
    /// Authorities of that address's certificate (PEM).
    pub(crate) jwt_keys_ca: Option<PathBuf>,
    /// Witnesses of the log: addresses and keys.
    pub(crate) witnesses: Option<String>,
    /// Authorities of their certificates (PEM).
    pub(crate) witnesses_ca: Option<PathBuf>,
    /// How often the log is shown to them.
    pub(crate) witness_interval_s: u64,
    /// Serve loopback without TLS, and at most 1,000 encounters: for development.
    pub(crate) insecure_dev: bool,
    /// Callers search as often, and with probes as alike, as they like: for measurements.
    pub(crate) insecure_unlimited_searches: bool,
    /// Threads that scan; 0 takes every core.
    pub(crate) scan_threads: usize,
    /// How references are searched.
    pub(crate) index: Index,
    /// The file outside of the data folder that knows the audit log's head, made by `limen-index anchor`.
    pub(crate) anchor: Option<PathBuf>,
    /// The file of the root key; by default beside the data folder.
    pub(crate) root_key: Option<PathBuf>,
    /// The ledger of erasures; by default beside the data folder.
    pub(crate) erasure_ledger: Option<PathBuf>,
    /// The folder in which backups are made that are asked for over HTTP; without it there are none.
    pub(crate) backup_folder: Option<PathBuf>,
    /// The folder for their keys; without it keys are not copied.
    pub(crate) backup_keys_folder: Option<PathBuf>,
    /// While less than this is free on the data folder's disk, nobody is enrolled and nothing is built.
    pub(crate) reserve_mib: u64,
    /// Lookups that may wait for a scan.
    pub(crate) lookup_queue: usize,
    /// Longest request body.
    pub(crate) body_limit_bytes: usize,
    /// Folder of models, made by `limen-index model install` or `import`.
    pub(crate) models_folder: PathBuf,
    /// The model that makes templates of images; without it no image is taken.
    pub(crate) image_model: Option<ModelId>,
    /// Processes that do so; 0 takes one a core.
    pub(crate) image_workers: usize,
    /// Images that may wait for them.
    pub(crate) image_queue: usize,
    /// How long one image may take.
    pub(crate) image_timeout_s: u64,
    /// Memory for requests longer than `body_limit_bytes` that arrive at a time.
    pub(crate) image_room_mib: u64,
    /// Connections at a time.
    pub(crate) connection_limit: usize,
    /// How long a client may take to send a request's head, and again its body.
    pub(crate) receive_timeout_s: u64,
    /// How long requests may take to finish after a signal to stop.
    pub(crate) drain_timeout_s: u64,
}

impl Config {
    /// The settings for a folder, all others by default.
    pub(crate) fn of_folder(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls_certificate: None,
            tls_key: None,
            client_ca: None,
            jwt_issuer: None,
            jwt_audience: None,
            jwt_keys: None,
            jwt_keys_ca: None,
            witnesses: None,
            witnesses_ca: None,
            witness_interval_s: 10,
            insecure_dev: false,
            insecure_unlimited_searches: false,
            scan_threads: 0,
            index: Index::Exhaustive,
            anchor: None,
            root_key: None,
            erasure_ledger: None,
            backup_folder: None,
            backup_keys_folder: None,
            reserve_mib: gallery::room::RESERVE_BYTES >> 20,
            lookup_queue: 1024,
            body_limit_bytes: 1 << 20,
            models_folder: PathBuf::from("limen-models"),
            image_model: None,
            image_workers: 0,
            image_queue: 64,
            image_timeout_s: 10,
            image_room_mib: 192,
            connection_limit: 1024,
            receive_timeout_s: 10,
            drain_timeout_s: 30,
        }
    }

    /// Reads file, environment (`LIMEN_SERVE_…`) and command line.
    pub(crate) fn load(args: &ServeArgs) -> anyhow::Result<Self> {
        let base = Self::of_folder(Path::new("limen-data"));
        let text = |path: &Path| path.to_str().map(str::to_owned).context("a path is not valid UTF-8");
        let mut builder = config::Config::builder()
            .set_default("folder", text(&base.folder)?)?
            .set_default("listen", base.listen.to_string())?
            .set_default("insecure_dev", false)?
            .set_default("insecure_unlimited_searches", false)?
            .set_default("scan_threads", 0)?
            .set_default("index", "exhaustive")?
            .set_default("witness_interval_s", base.witness_interval_s)?
            .set_default("reserve_mib", base.reserve_mib)?
            .set_default("lookup_queue", base.lookup_queue as u64)?
            .set_default("body_limit_bytes", base.body_limit_bytes as u64)?
            .set_default("models_folder", text(&base.models_folder)?)?
            .set_default("image_workers", 0)?
            .set_default("image_queue", base.image_queue as u64)?
            .set_default("image_timeout_s", base.image_timeout_s)?
            .set_default("image_room_mib", base.image_room_mib)?
            .set_default("connection_limit", base.connection_limit as u64)?
            .set_default("receive_timeout_s", base.receive_timeout_s)?
            .set_default("drain_timeout_s", base.drain_timeout_s)?;
        if let Some(path) = &args.config {
            builder = builder.add_source(config::File::from(path.as_path()).format(config::FileFormat::Toml));
        }
        builder = builder
            .add_source(
                config::Environment::with_prefix("LIMEN_SERVE").prefix_separator("_").try_parsing(true),
            )
            .set_override_option("folder", args.folder.as_deref().map(text).transpose()?)?
            .set_override_option("insecure_dev", args.insecure_dev.then_some(true))?
            .set_override_option("listen", args.listen.map(|listen| listen.to_string()))?;
        let config: Self = builder.build()?.try_deserialize().context("the configuration is not valid")?;
        config.check()
    }

    fn check(self) -> anyhow::Result<Self> {
        let tls = self.tls_certificate.is_some();
        if tls != self.tls_key.is_some() {
            bail!("tls_certificate and tls_key belong together: one of them is set");
        }
        if self.client_ca.is_some() && !tls {
            bail!("client_ca is set, and tls_certificate is not: certificates are shown over TLS only");
        }
        let issuer = [&self.jwt_issuer, &self.jwt_audience, &self.jwt_keys].map(Option::is_some);
        if issuer.contains(&true) && issuer.contains(&false) {
            bail!("jwt_issuer, jwt_audience and jwt_keys belong together: one of them is missing");
        }
        let url = self.jwt_keys.as_deref().filter(|keys| keys.contains("://"));
        if url.is_some_and(|url| !url.starts_with("https://")) {
            bail!("jwt_keys is not read in plain: a file, or an address that begins with https://");
        }
        if url.is_some() != self.jwt_keys_ca.is_some() {
            bail!("jwt_keys_ca belongs to an address in jwt_keys: nobody else's authorities are believed");
        }
        if self.witnesses_ca.is_some() && self.witnesses.is_none() {
            bail!("witnesses_ca is set, and witnesses is not");
        }
        if self.insecure_dev && tls {
            bail!("insecure_dev is set beside tls_certificate: it is one or the other");
        }
        if !tls && !self.listen.ip().is_loopback() {
            bail!("{} is not a loopback address: without TLS, limen serves loopback only", self.listen);
        }
        if !tls && !self.insecure_dev {
            bail!(
                "there is no TLS: set tls_certificate and tls_key (`limen-index certificate` makes some), or insecure_dev to serve few references on loopback in plain"
            );
        }
        if self.backup_keys_folder.is_some() && self.backup_folder.is_none() {
            bail!("backup_keys_folder is set, and backup_folder is not");
        }
        if let (Some(to), Some(keys)) = (&self.backup_folder, &self.backup_keys_folder) {
            let there = |path: &Path| path.canonicalize().with_context(|| path.display().to_string());
            let (to, keys) = (there(to)?, there(keys)?);
            if to.starts_with(&keys) || keys.starts_with(&to) {
                bail!("the keys would lie beside what they open: backup_keys_folder must be elsewhere");
            }
        }
        let positive = [
            ("witness_interval_s", self.witness_interval_s),
            ("lookup_queue", self.lookup_queue as u64),
            ("body_limit_bytes", self.body_limit_bytes as u64),
            ("image_queue", self.image_queue as u64),
            ("image_timeout_s", self.image_timeout_s),
            ("connection_limit", self.connection_limit as u64),
            ("receive_timeout_s", self.receive_timeout_s),
            ("drain_timeout_s", self.drain_timeout_s),
        ];
        let most = images::ROOM_A_REQUEST >> 20;
        if self.image_room_mib < most {
            bail!("image_room_mib is too little for one image: it must be at least {most}");
        }
        match positive.iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => bail!("{name} is 0: it must be at least 1"),
            None => Ok(self),
        }
    }

    /// The root key: in the environment, or a file.
    pub(crate) fn root_key(&self) -> Result<RootKey, RootKeyError> {
        let text = std::env::var("LIMEN_ROOT_KEY").ok();
        RootKey::find(&self.folder, text.as_deref(), self.root_key.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str) -> anyhow::Result<Config> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("limen.toml");
        std::fs::write(&path, file).unwrap();
        Config::load(&ServeArgs { config: Some(path), folder: None, listen: None, insecure_dev: false })
    }

    #[test]
    fn what_is_weaker_or_unknown_is_refused_unless_its_name_says_so() {
        assert_eq!(load("insecure_dev = true\nlookup_queue = 5").unwrap().lookup_queue, 5);
        let tls = "tls_certificate = 'c'\ntls_key = 'k'\n";
        assert!(load(&format!("{tls}listen = '0.0.0.0:8080'\nclient_ca = 'a'")).is_ok());
        for bad in [
            "",
            "listen = '0.0.0.0:8080'",
            "insecure_dev = true\nlisten = '0.0.0.0:8080'",
            "insecure_dev = true\nlisten = '[::]:8080'",
            &format!("{tls}insecure_dev = true"),
            "tls_certificate = 'c'",
            "tls_key = 'k'",
            "insecure_dev = true\nclient_ca = 'a'",
            "insecure_dev = true\nlookup_que = 5",
            "insecure_dev = true\nlookup_queue = 0",
            "insecure_dev = true\nbody_limit_bytes = 0",
            "insecure_dev = true\nconnection_limit = 0",
            "insecure_dev = true\nreceive_timeout_s = 0",
            "insecure_dev = true\ndrain_timeout_s = 0",
            "insecure_dev = true\nreceive_timeout_s = -1",
            "insecure = true",
            "tls = false\ninsecure_dev = true",
            &format!("{tls}witnesses_ca = 'c'"),
            "listen = '0.0.0.0:8080'\ntls_certificate = 'c'",
            "insecure_dev = true\nindex = 'ivf'",
            "insecure_dev = true\nimage_model = 'A model'",
            "insecure_dev = true\nimage_queue = 0",
            "insecure_dev = true\nimage_room_mib = 10",
            "insecure_dev = true\nlookup_queue = 'x'",
            "insecure_dev = true\nbackup_keys_folder = 'k'",
            "insecure_dev = true\nwitnesses_ca = 'c'",
            "insecure_dev = true\nwitness_interval_s = 0",
            "insecure_dev = true\njwt_issuer = 'i'",
            "insecure_dev = true\njwt_issuer = 'i'\njwt_keys = 'k'",
            "insecure_dev = true\njwt_issuer = 'i'\njwt_audience = 'a'\njwt_keys = 'http://k'",
            "insecure_dev = true\njwt_issuer = 'i'\njwt_audience = 'a'\njwt_keys = 'https://k'",
        ] {
            assert!(load(bad).is_err(), "{bad}");
        }
    }
}
