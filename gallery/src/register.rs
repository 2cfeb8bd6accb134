//! The register of callers: who is known by which credential, as the record has granted it, kept at hand.

use crate::{
    caller::Caller,
    grant::{Content, Credential, Grant},
    record::StoreError,
    timestamp::Timestamp,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

/// Who is known by which credential, as the record has it.
#[derive(Debug, Default)]
pub(crate) struct Register {
    known: RwLock<Arc<HashMap<Credential, (Caller, Timestamp)>>>,
    /// Held from reading the record until what was read is known.
    reading: Mutex<()>,
}

impl Register {
    /// Reads the record anew.
    pub(crate) fn refresh(
        &self,
        read: impl FnOnce() -> Result<Vec<Grant>, StoreError>,
    ) -> Result<(), StoreError> {
        let _one_after_the_other = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = HashMap::new();
        for grant in read()? {
            if let (Content::Caller(holder), Some(credential), Some(_)) =
                (grant.content, grant.credential, grant.approved_at)
            {
                known.insert(credential, (holder.caller(grant.id, grant.nation), grant.ends_at));
            }
        }
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
        Ok(())
    }

    /// Who calls with this credential now, if anybody who holds a grant.
    pub(crate) fn find(&self, credential: &Credential, now: Timestamp) -> Option<Caller> {
        self.all().get(credential).filter(|(_, ends_at)| now < *ends_at).map(|(caller, _)| caller.clone())
    }

    /// How many hold a grant now.
    pub(crate) fn count(&self, now: Timestamp) -> usize {
        self.all().values().filter(|(_, ends_at)| now < *ends_at).count()
    }

    fn all(&self) -> Arc<HashMap<Credential, (Caller, Timestamp)>> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }
}
