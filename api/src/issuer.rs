//! Tokens of an issuer of identities: JSON Web Tokens (RFC 7519, as `OpenID` Connect has them), under keys that the issuer publishes (RFC 7517).

use crate::config::Config;
use anyhow::{Context, bail};
use gallery::grant::Credential;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse},
};
use rustls::crypto::aws_lc_rs;
use serde::Deserialize;
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};

/// How often the keys are read anew, so that one that the issuer has withdrawn is believed no longer.
const READ_EVERY: Duration = Duration::from_mins(5);
/// How soon again when a token names a key that is not known, or they could not be read.
const READ_AGAIN: Duration = Duration::from_secs(10);
/// Keys that could not be read anew for so long are not believed.
const BELIEVED: Duration = Duration::from_hours(1);
/// The issuer's and our clock may differ by so much.
const LEEWAY_S: u64 = 30;
/// Longest answer of an issuer.
const LIMIT_BYTES: u64 = 1 << 20;

/// Whom the node believes, and what it has read of its keys.
pub(crate) struct Issuer {
    name: String,
    audience: String,
    source: Source,
    state: Mutex<State>,
}

enum Source {
    File(PathBuf),
    Url(String, Box<ureq::Agent>),
}

struct State {
    keys: Arc<HashMap<String, Key>>,
    tried: Instant,
    read: Option<Instant>,
}

/// A key, and how it may sign.
struct Key {
    key: DecodingKey,
    algorithms: Vec<Algorithm>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

impl Issuer {
    /// The configured one, if there is one.
    pub(crate) fn open(config: &Config) -> anyhow::Result<Option<Self>> {
        let (Some(name), Some(audience), Some(keys)) =
            (&config.jwt_issuer, &config.jwt_audience, &config.jwt_keys)
        else {
            return Ok(None);
        };
        let source = if keys.contains("://") {
            Source::Url(keys.clone(), Box::new(agent(config)?))
        } else {
            Source::File(PathBuf::from(keys))
        };
        let (name, audience) = (name.clone(), audience.clone());
        let (keys, now) = (source.read().context("the keys of jwt_issuer"), Instant::now());
        let state = match (keys, &source) {
            (Ok(keys), _) => State { keys: Arc::new(keys), tried: now, read: Some(now) },
            // The node does not depend on it to start.
            (Err(error), Source::Url(..)) => {
                tracing::warn!(error = format!("{error:#}"), "nobody is known by a JSON Web Token yet");
                State { keys: Arc::default(), tried: now, read: None }
            }
            (Err(error), Source::File(_)) => return Err(error),
        };
        Ok(Some(Self { name, audience, source, state: Mutex::new(state) }))
    }

    /// Who holds this token, if it is one of the issuer's for this node, now. It may read keys: not for an async thread.
    pub(crate) fn credential(&self, token: &str) -> Option<Credential> {
        let header = decode_header(token).ok()?;
        let id = header.kid?;
        let mut keys = self.keys(READ_EVERY);
        if !keys.contains_key(&id) {
            keys = self.keys(READ_AGAIN);
        }
        let key = keys.get(&id)?;
        if !key.algorithms.contains(&header.alg) {
            return None;
        }
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[&self.name]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY_S;
        let claims = decode::<Claims>(token, &key.key, &validation).ok()?.claims;
        Some(Credential::of_subject(&self.name, &claims.sub))
    }

    /// The keys, read anew if that was longer ago; one reads, the others have what there is.
    fn keys(&self, every: Duration) -> Arc<HashMap<String, Key>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since = if state.read.is_none_or(|read| read < state.tried) { READ_AGAIN } else { every };
        if state.tried.elapsed() >= since {
            state.tried = Instant::now();
            drop(state);
            let read = self.source.read();
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            match read {
                Ok(keys) => (state.keys, state.read) = (Arc::new(keys), Some(Instant::now())),
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "the keys of jwt_issuer cannot be read");
                }
            }
        }
        match state.read {
            Some(read) if read.elapsed() < BELIEVED => Arc::clone(&state.keys),
            _ => Arc::default(),
        }
    }
}

impl Source {
    fn read(&self) -> anyhow::Result<HashMap<String, Key>> {
        let text = match self {
            Self::File(path) => std::fs::read_to_string(path).with_context(|| path.display().to_string())?,
            Self::Url(url, agent) => {
                let mut response = agent.get(url).call().with_context(|| url.clone())?;
                response.body_mut().with_config().limit(LIMIT_BYTES).read_to_string()?
            }
        };
        let set: JwkSet = serde_json::from_str(&text).context("it is not a set of JSON Web Keys")?;
        let mut keys = HashMap::new();
        for jwk in set.keys.iter().filter(|jwk| jwk.common.public_key_use.as_ref().is_none_or(signs)) {
            let (Some(id), algorithms) = (&jwk.common.key_id, algorithms(jwk)) else { continue };
            if let (false, Ok(key)) = (algorithms.is_empty(), DecodingKey::from_jwk(jwk)) {
                keys.insert(id.clone(), Key { key, algorithms });
            }
        }
        if keys.is_empty() {
            bail!("it holds no key with an id that signs by RSA, ECDSA or Ed25519");
        }
        Ok(keys)
    }
}

fn signs(purpose: &PublicKeyUse) -> bool {
    *purpose == PublicKeyUse::Signature
}

/// How a key may sign: as its kind does, and as it says, if it does. A shared secret may not.
fn algorithms(jwk: &Jwk) -> Vec<Algorithm> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    let mut all = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => vec![RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => vec![ES256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => vec![ES384],
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => vec![EdDSA],
        _ => Vec::new(),
    };
    if let Some(said) = &jwk.common.key_algorithm {
        all.retain(|algorithm| said.to_string().parse() == Ok(*algorithm));
    }
    all
}

fn agent(config: &Config) -> anyhow::Result<ureq::Agent> {
    let mut roots = Vec::new();
    if let Some(path) = &config.jwt_keys_ca {
        let pem = std::fs::read(path).with_context(|| path.display().to_string())?;
        for item in ureq::tls::parse_pem(&pem) {
            if let PemItem::Certificate(certificate) = item.with_context(|| path.display().to_string())? {
                roots.push(certificate);
            }
        }
    }
    let roots: Vec<Certificate<'static>> = roots;
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
        .build();
    let config = ureq::Agent::config_builder().tls_config(tls).https_only(true).max_redirects(0);
    Ok(config.timeout_global(Some(Duration::from_secs(10))).build().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::{Value, json};
    use std::path::Path;

    const ISSUER: &str = "https://identity.example";

    fn config(folder: &Path) -> Config {
        Config {
            jwt_issuer: Some(ISSUER.to_owned()),
            jwt_audience: Some("limen".to_owned()),
            jwt_keys: Some(folder.join("keys.json").to_str().unwrap().to_owned()),
            ..Config::of_folder(folder)
        }
    }

    /// A key, as who signs has it, and as the issuer publishes it.
    fn key(id: &str) -> (EncodingKey, Jwk) {
        let pair = rcgen::KeyPair::generate().unwrap();
        let key = EncodingKey::from_ec_der(&pair.serialize_der());
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(id.to_owned());
        (key, jwk)
    }

    fn publish(folder: &Path, keys: &[&Jwk]) {
        std::fs::write(folder.join("keys.json"), json!({ "keys": keys }).to_string()).unwrap();
    }

    fn claims() -> Value {
        let now = jsonwebtoken::get_current_timestamp();
        json!({ "iss": ISSUER, "aud": "limen", "sub": "anna", "exp": now + 60, "nbf": now - 60 })
    }

    fn signed(key: &EncodingKey, id: &str, claims: &Value) -> String {
        let header = Header { kid: Some(id.to_owned()), ..Header::new(Algorithm::ES256) };
        encode(&header, claims, key).unwrap()
    }

    #[test]
    fn a_token_names_its_subject_only_while_everything_about_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let ((key, jwk), (other, _)) = (key("one"), key("one"));
        publish(folder.path(), &[&jwk]);
        let issuer = Issuer::open(&config(folder.path())).unwrap().unwrap();
        let anna = Some(Credential::of_subject(ISSUER, "anna"));
        let ask = |claims: &Value| issuer.credential(&signed(&key, "one", claims));
        assert_eq!(ask(&claims()), anna);
        assert_eq!(issuer.credential(&signed(&other, "one", &claims())), None, "another key");
        assert_eq!(issuer.credential(&signed(&key, "two", &claims())), None, "an unknown key");
        let now = jsonwebtoken::get_current_timestamp();
        for (claim, value) in [
            ("iss", json!("https://other.example")),
            ("aud", json!("another node")),
            ("exp", json!(now - LEEWAY_S - 5)),
            ("nbf", json!(now + LEEWAY_S + 60)),
            ("iss", Value::Null),
            ("aud", Value::Null),
            ("exp", Value::Null),
            ("sub", Value::Null),
        ] {
            let mut wrong = claims();
            match value {
                Value::Null => drop(wrong.as_object_mut().unwrap().remove(claim)),
                value => wrong[claim] = value,
            }
            assert_eq!(ask(&wrong), None, "{claim}");
        }
        // Neither unsigned, nor signed by what is public.
        let token = signed(&key, "one", &claims());
        let mut parts = token.split('.');
        let (_, payload) = (parts.next(), parts.next().unwrap());
        let none = format!("eyJhbGciOiJub25lIiwia2lkIjoib25lIn0.{payload}.");
        assert_eq!(issuer.credential(&none), None);
        let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::HS256) };
        let public = serde_json::to_vec(&jwk).unwrap();
        let confused = encode(&header, &claims(), &EncodingKey::from_secret(&public)).unwrap();
        assert_eq!(issuer.credential(&confused), None);
        for length in 0..token.len() {
            assert_eq!(issuer.credential(&token[..length]), None);
        }
    }

    #[test]
    fn keys_are_read_anew_and_keys_that_cannot_sign_are_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Issuer::open(&config(folder.path())).is_err(), "no file");
        let ((_, first), (second, published)) = (key("one"), key("two"));
        let secret = json!({ "keys": [{ "kty": "oct", "kid": "s", "k": "c2VjcmV0" }] }).to_string();
        for bad in ["", "{}", "{ \"keys\": [] }", &secret] {
            std::fs::write(folder.path().join("keys.json"), bad).unwrap();
            assert!(Issuer::open(&config(folder.path())).is_err(), "{bad}");
        }
        publish(folder.path(), &[&first]);
        let issuer = Issuer::open(&config(folder.path())).unwrap().unwrap();
        let token = signed(&second, "two", &claims());
        publish(folder.path(), &[&published]);
        assert_eq!(issuer.credential(&token), None, "it was read a moment ago");
        let long_ago = Instant::now().checked_sub(READ_AGAIN).unwrap();
        *issuer.state.lock().unwrap() =
            State { keys: issuer.keys(READ_EVERY), tried: long_ago, read: Some(long_ago) };
        assert!(issuer.credential(&token).is_some());
        // What could not be read for an hour is not believed.
        std::fs::remove_file(folder.path().join("keys.json")).unwrap();
        let Some(long_ago) = Instant::now().checked_sub(BELIEVED) else { return };
        issuer.state.lock().unwrap().read = Some(long_ago);
        assert_eq!(issuer.credential(&token), None);
    }
}
