//! `limen-index certificate`

use crate::error::Failure;
use clap::Args;
use gallery::ambient::Ambient;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};
use time::{Duration, OffsetDateTime};

/// Make certificates for a node and its clients, where there is no authority that does.
///
/// In the folder are then ca.pem, node.pem and node.key, and NAME.pem and NAME.key of each client. The authority's own key is thrown away: who needs
/// more certificates makes all of them anew, or uses an authority of their own.
#[derive(Args)]
pub(crate) struct Certificate {
    /// Folder to make them in; must not exist.
    #[arg(long)]
    to: PathBuf,
    /// Name or address of the node, as clients write it (may be given several times).
    #[arg(long = "host", default_values = ["localhost", "127.0.0.1"])]
    hosts: Vec<String>,
    /// Name of a client (may be given several times).
    #[arg(long = "client")]
    clients: Vec<String>,
    /// For how many days.
    #[arg(long, default_value_t = 365)]
    days: u16,
}

impl Certificate {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let plain = |name: &&String| {
            let reserved = ["ca", "node"].contains(&name.as_str());
            !reserved
                && !name.is_empty()
                && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c))
        };
        if let Some(name) = self.clients.iter().find(|name| !plain(name)) {
            return Err(Failure::Argument(format!(
                "{name:?} is not a client's name: letters, digits, - and _"
            )));
        }
        std::fs::create_dir(&self.to).map_err(|error| Failure::file(&self.to, error))?;
        let mut authority = self.lasting(CertificateParams::default(), "limen-index certificate")?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(|error| failed(&error))?;
        let ca = authority.self_signed(&key).map_err(|error| failed(&error))?;
        put(&self.to.join("ca.pem"), &ca.pem())?;
        let issuer = Issuer::new(authority, key);
        let node = CertificateParams::new(self.hosts.clone()).map_err(|error| failed(&error))?;
        self.make("node", node, ExtendedKeyUsagePurpose::ServerAuth, &issuer)?;
        for name in &self.clients {
            self.make(name, CertificateParams::default(), ExtendedKeyUsagePurpose::ClientAuth, &issuer)?;
        }
        println!("{}", self.to.display());
        Ok(())
    }

    fn make(
        &self,
        name: &str,
        params: CertificateParams,
        purpose: ExtendedKeyUsagePurpose,
        issuer: &Issuer<'_, KeyPair>,
    ) -> Result<(), Failure> {
        let mut params = self.lasting(params, name)?;
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().map_err(|error| failed(&error))?;
        let made = params.signed_by(&key, issuer).map_err(|error| failed(&error))?;
        put(&self.to.join(format!("{name}.pem")), &made.pem())?;
        put(&self.to.join(format!("{name}.key")), &key.serialize_pem())
    }

    /// With a name, from a minute ago for so many days.
    fn lasting(&self, mut params: CertificateParams, name: &str) -> Result<CertificateParams, Failure> {
        let now = Ambient::system().clock.now().unix_ms() / 1000;
        let now = OffsetDateTime::from_unix_timestamp(now)
            .map_err(|error| Failure::Argument(format!("the clock: {error}")))?;
        params.not_before = now - Duration::minutes(1);
        params.not_after = now + Duration::days(i64::from(self.days));
        params.distinguished_name.push(DnType::CommonName, name);
        Ok(params)
    }
}

fn failed(error: &rcgen::Error) -> Failure {
    Failure::Argument(format!("no certificate can be made: {error}"))
}

/// A new file that only its owner can read.
fn put(path: &Path, text: &str) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| Failure::file(path, error))
}
