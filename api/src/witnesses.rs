//! Witnesses: other machines that are shown the log's checkpoints, and cosign them (c2sp.org/tlog-witness).

use crate::config::Config;
use anyhow::{Context, bail};
use gallery::{
    Gallery,
    submission::{Kind, Submission, VerifierKey},
};
use rustls::crypto::aws_lc_rs;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};

/// Longest answer that is read.
const LIMIT_BYTES: u64 = 64 << 10;

/// The witnesses of a node's log.
pub(crate) struct Witnesses {
    all: Vec<Witness>,
    agent: ureq::Agent,
    interval: Duration,
    cosigned: AtomicU64,
}

/// One of them.
#[derive(Debug)]
struct Witness {
    url: String,
    key: VerifierKey,
    /// How much it has seen, as far as is known.
    seen: AtomicU64,
}

/// What is configured: an address and a key, separated by a space; more of them separated by commas.
pub(crate) fn parse(text: &str) -> anyhow::Result<Vec<(String, VerifierKey)>> {
    let one = |one: &str| {
        let (url, key) =
            one.trim().split_once(' ').with_context(|| format!("{one}: an address and a key"))?;
        if !url.starts_with("http://") && !url.starts_with("https://") {
            bail!("{url}: a witness's address begins with http:// or https://");
        }
        let key: VerifierKey = key.trim().parse().with_context(|| format!("the key of {url}"))?;
        if key.kind() != Kind::Cosignature {
            bail!("the key of {url} is not one of a witness");
        }
        Ok((url.trim_end_matches('/').to_owned(), key))
    };
    text.split(',').map(one).collect()
}

impl Witnesses {
    /// Those that are configured.
    pub(crate) fn open(config: &Config) -> anyhow::Result<Option<Self>> {
        let Some(text) = &config.witnesses else { return Ok(None) };
        let witness = |(url, key)| Witness { url, key, seen: AtomicU64::new(0) };
        let mut roots: Vec<Certificate<'static>> = Vec::new();
        if let Some(path) = &config.witnesses_ca {
            let pem = std::fs::read(path).with_context(|| path.display().to_string())?;
            for item in ureq::tls::parse_pem(&pem) {
                if let PemItem::Certificate(certificate) = item? {
                    roots.push(certificate);
                }
            }
        }
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
            .build();
        let agent = ureq::Agent::config_builder().tls_config(tls).http_status_as_error(false).proxy(None);
        let agent = agent.max_redirects(0).timeout_global(Some(Duration::from_secs(10))).build().into();
        let interval = Duration::from_secs(config.witness_interval_s);
        let all = parse(text)?.into_iter().map(witness).collect();
        Ok(Some(Self { all, agent, interval, cosigned: AtomicU64::new(0) }))
    }

    /// How many there are, and how many have cosigned the last checkpoint that they were shown.
    pub(crate) fn state(&self) -> (u64, u64) {
        (self.all.len() as u64, self.cosigned.load(Ordering::Acquire))
    }

    /// Shows them the log, again and again; not for an async thread.
    pub(crate) fn follow(&self, gallery: &Gallery) {
        loop {
            if let Err(error) = self.show(gallery) {
                tracing::error!(error = format!("{error:#}"), "the log cannot be shown to witnesses");
            }
            std::thread::sleep(self.interval);
        }
    }

    fn show(&self, gallery: &Gallery) -> anyhow::Result<()> {
        let mut submission = Submission::of(gallery)?;
        let mut cosigned = 0;
        for witness in &self.all {
            match self.ask(gallery, witness, &mut submission) {
                Ok(()) => cosigned += 1,
                Err(error) => {
                    tracing::error!(
                        witness = witness.key.name(),
                        error = format!("{error:#}"),
                        "not cosigned"
                    );
                }
            }
        }
        self.cosigned.store(cosigned, Ordering::Release);
        if cosigned > 0 {
            submission.keep(gallery)?;
        }
        Ok(())
    }

    fn ask(&self, gallery: &Gallery, witness: &Witness, submission: &mut Submission) -> anyhow::Result<()> {
        // What it has seen it tells once if that is another than we know.
        for _ in 0..2 {
            let request = submission.request(gallery, witness.seen.load(Ordering::Acquire))?;
            let mut response = self.agent.post(format!("{}/add-checkpoint", witness.url)).send(request)?;
            let status = response.status().as_u16();
            let answer = response.body_mut().with_config().limit(LIMIT_BYTES).read_to_string()?;
            match status {
                200 => {
                    submission.take(&answer, &witness.key)?;
                    witness.seen.store(submission.size(), Ordering::Release);
                    return Ok(());
                }
                409 => {
                    let seen: u64 = answer.trim().parse().context("what it has seen is no number")?;
                    if seen > submission.size() {
                        bail!(
                            "it has seen {seen} leaves, the log has {}: it was rolled back",
                            submission.size()
                        );
                    }
                    witness.seen.store(seen, Ordering::Release);
                }
                _ => bail!("it answers {status}: {}", answer.trim()),
            }
        }
        bail!("somebody else shows it this log")
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_witness_is_an_address_and_its_key() {
        let log = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
        for bad in
            ["", "http://w", "w key", "http://w key", &format!("http://w {log}"), &format!("ftp://w {log}")]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
