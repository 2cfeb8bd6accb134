//! TLS: the node's certificate, and those of its clients.

use crate::config::Config;
use anyhow::{Context, bail};
use gallery::grant::Credential;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{path::Path, sync::Arc};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// Of the certificate that the client showed, if it did and its authority is the configured one.
    pub(crate) certificate: Option<Credential>,
}

/// What accepts TLS, if it is configured.
pub(crate) fn acceptor(config: &Config) -> anyhow::Result<Option<TlsAcceptor>> {
    let (Some(certificate), Some(key)) = (&config.tls_certificate, &config.tls_key) else { return Ok(None) };
    must_be_private(key)?;
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_file(key).with_context(|| key.display().to_string())?;
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    let builder = match &config.client_ca {
        Some(path) => builder.with_client_cert_verifier(verifier(path)?),
        None => builder.with_no_client_auth(),
    };
    let mut tls = builder.with_single_cert(chain, key).context("the certificate and its key")?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(tls))))
}

/// A certificate is asked for; health is told without one, everything else is not.
fn verifier(path: &Path) -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for root in certificates(path)? {
        roots.add(root).with_context(|| path.display().to_string())?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    Ok(verifier.allow_unauthenticated().build()?)
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.with_context(|| path.display().to_string())?;
    if read.is_empty() {
        bail!("{} holds no certificate", path.display());
    }
    Ok(read)
}

fn must_be_private(key: &Path) -> anyhow::Result<()> {
    let meta = std::fs::metadata(key).with_context(|| key.display().to_string())?;
    if std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o077 != 0 {
        bail!("{} can be read by others: make it private (chmod 600)", key.display());
    }
    Ok(())
}

/// Who is at the other end of a connection that is made.
pub(crate) fn peer<T>(stream: &TlsStream<T>) -> Peer {
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    Peer { certificate: shown.map(|certificate| Credential::of_certificate(certificate)) }
}
