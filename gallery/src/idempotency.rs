//! A request that is repeated under its key gets the stored answer, and leaves no second event.

use crate::authority::Caller;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

/// How long answers are kept under their keys.
pub const KEPT_HOURS: i64 = 24;

/// What a caller sends along to be able to repeat a request: 1 to 128 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

/// Why a text is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key is 1 to 128 printable ASCII characters")]
pub struct IdempotencyKeyError;

impl IdempotencyKey {
    /// # Errors
    /// When the text has another form.
    pub fn new(text: &str) -> Result<Self, IdempotencyKeyError> {
        let good = (1..=128).contains(&text.len()) && text.bytes().all(|c| (b' '..=b'~').contains(&c));
        if good { Ok(Self(text.to_owned())) } else { Err(IdempotencyKeyError) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A key and the request that came with it.
#[derive(Clone, Debug)]
pub struct Idempotency {
    /// The caller's key.
    pub key: IdempotencyKey,
    /// SHA-256 of the route and the request.
    pub request: [u8; 32],
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The first request with this key is not answered yet.
    #[error("a request with this idempotency key is being answered")]
    InProgress,
    /// The key came with another request before.
    #[error("this idempotency key was used for another request")]
    Reused,
}

type Claimed = (String, String);

/// The keys of requests that are being answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims(Arc<Mutex<HashSet<Claimed>>>);

impl Claims {
    /// Claims a key until the claim is dropped.
    pub(crate) fn claim(&self, caller: &Caller, with: Idempotency) -> Result<Claim, KeyError> {
        let caller = caller.identity();
        let claimed = (caller.clone(), with.key.0.clone());
        let mut claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !claims.insert(claimed.clone()) {
            return Err(KeyError::InProgress);
        }
        Ok(Claim { claims: self.clone(), caller, with })
    }
}

/// The right to answer under a key, held by one request at a time.
#[derive(Debug)]
pub(crate) struct Claim {
    claims: Claims,
    /// Agency, nation and name.
    pub(crate) caller: String,
    pub(crate) with: Idempotency,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let claimed = (self.caller.clone(), self.with.key.0.clone());
        self.claims.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&claimed);
    }
}
