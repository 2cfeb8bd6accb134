//! Bearer tokens: who holds one, and what it grants. Only hashes are kept.

use crate::{
    ambient::Ambient,
    authority::{Caller, Grant},
    id::AgencyId,
    law::{Nation, OwnReference},
};
use serde::{Deserialize, Serialize};
use std::{io, path::Path};

/// What every token begins with, so that one that has leaked is recognised.
const PREFIX: &str = "limen_";

/// The file's name in a data folder, unless configured otherwise.
pub const FILE_NAME: &str = "tokens.json";

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: OwnReference,
    /// SHA-256 of the token, in hexadecimal. A token holds 256 random bits, so a plain hash suffices.
    sha256: String,
    agency: AgencyId,
    nation: Nation,
    grant: Grant,
}

/// The tokens that a node accepts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    tokens: Vec<Entry>,
    /// SHA-256 of the tokens as JSON, in hexadecimal: a grant in which a bit has rotted is nobody's.
    checksum: String,
}

/// Why a token file is not used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read or written.
    #[error("the token file cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// It does not hold tokens.
    #[error("the token file is not valid: {0}")]
    Format(#[from] serde_json::Error),
    /// It is not what was written.
    #[error("the token file is damaged, or was changed by hand: only `limen-index token` may change it")]
    Damaged,
    /// Others than its owner can read it.
    #[error("the token file can be read by others: make it private (chmod 600)")]
    Exposed,
    /// There is a token of this name.
    #[error("there is a token named {0} already")]
    Exists(OwnReference),
}

impl Tokens {
    /// Reads a token file; a file that is not there holds no tokens.
    ///
    /// # Errors
    /// When it cannot be read, is malformed or damaged, or can be read by others.
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        let text = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            text => text?,
        };
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            if std::fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
                return Err(TokenError::Exposed);
            }
        }
        let tokens: Self = serde_json::from_slice(&text)?;
        if tokens.checksum == tokens.sum()? { Ok(tokens) } else { Err(TokenError::Damaged) }
    }

    fn sum(&self) -> Result<String, TokenError> {
        Ok(audit::hash::sha256(&[&serde_json::to_vec(&self.tokens)?]).to_string())
    }

    /// Adds a token and returns it: the only time that it is seen.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn add(
        &mut self,
        ambient: &Ambient,
        name: OwnReference,
        agency: AgencyId,
        nation: Nation,
        grant: Grant,
    ) -> Result<String, TokenError> {
        if self.tokens.iter().any(|entry| entry.name == name) {
            return Err(TokenError::Exists(name));
        }
        let random: [u8; 32] = ambient.random();
        let token = format!("{PREFIX}{}", audit::hash::Hash(random));
        self.tokens.push(Entry { name, sha256: digest(&token), agency, nation, grant });
        Ok(token)
    }

    /// Takes a token back; is there one of this name?
    pub fn revoke(&mut self, name: &OwnReference) -> bool {
        let before = self.tokens.len();
        self.tokens.retain(|entry| entry.name != *name);
        self.tokens.len() < before
    }

    /// Holds the file for a change, until what is returned is dropped: two changes at once would lose one.
    ///
    /// # Errors
    /// When the lock beside the file cannot be made.
    pub fn hold(path: &Path) -> Result<std::fs::File, TokenError> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".lock");
        let lock = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(beside)?;
        lock.lock()?;
        Ok(lock)
    }

    /// Writes the file, readable by its owner only.
    ///
    /// # Errors
    /// When it cannot be written; the old file is then still there.
    pub fn save(&self, path: &Path) -> Result<(), TokenError> {
        let mut text = serde_json::to_vec_pretty(&Self { checksum: self.sum()?, ..self.clone() })?;
        text.push(b'\n');
        Ok(audit::storage::publish(path, &text)?)
    }

    /// Whose token is it?
    pub fn caller(&self, token: &str) -> Option<Caller> {
        let digest = digest(token);
        let entry = self.tokens.iter().find(|entry| entry.sha256 == digest)?;
        Some(Caller {
            name: entry.name.clone(),
            agency: entry.agency,
            nation: entry.nation.clone(),
            grant: entry.grant.clone(),
        })
    }

    /// The names of all tokens.
    pub fn names(&self) -> impl Iterator<Item = &OwnReference> {
        self.tokens.iter().map(|entry| &entry.name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// None?
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }
}

fn digest(token: &str) -> String {
    audit::hash::sha256(&[token.as_bytes()]).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{Reach, VerbName};

    #[test]
    fn a_token_is_recognised_until_it_is_revoked_and_the_file_does_not_hold_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let ambient = Ambient::system();
        let name: OwnReference = "gate 1".parse().unwrap();
        let grant = Grant { verbs: [VerbName::Lookup].into(), watchlists: Reach::Own, purposes: [].into() };
        let mut tokens = Tokens::load(&path).unwrap();
        let add = |tokens: &mut Tokens| {
            let agency = AgencyId::mint(&ambient);
            tokens.add(&ambient, name.clone(), agency, "UTO".parse().unwrap(), grant.clone())
        };
        let token = add(&mut tokens).unwrap();
        assert!(matches!(add(&mut tokens), Err(TokenError::Exists(_))));
        tokens.save(&path).unwrap();
        assert!(!std::fs::read_to_string(&path).unwrap().contains(&token["limen_".len()..]));
        let mut tokens = Tokens::load(&path).unwrap();
        assert_eq!(tokens.caller(&token).unwrap().name, name);
        assert_eq!(tokens.caller("limen_other"), None);
        assert!(tokens.revoke(&name) && !tokens.revoke(&name));
        assert_eq!(tokens.caller(&token), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_token_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        Tokens::default().save(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Tokens::load(&path), Err(TokenError::Exposed)));
    }

    #[test]
    fn a_grant_that_was_changed_by_hand_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let (mut tokens, ambient) = (Tokens::default(), Ambient::system());
        let grant = Grant { verbs: [VerbName::Lookup].into(), watchlists: Reach::Own, purposes: [].into() };
        let (name, agency) = ("gate".parse().unwrap(), AgencyId::mint(&ambient));
        tokens.add(&ambient, name, agency, "UTO".parse().unwrap(), grant).unwrap();
        tokens.save(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("UTO", "UTN")).unwrap();
        assert!(matches!(Tokens::load(&path), Err(TokenError::Damaged)));
    }
}
