//! The root key: the only one that is not kept in a data folder.

use super::seal::{KEY, KeyBytes, SealingKey};
use crate::ambient::Ambient;
use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Why there is no root key.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// The file cannot be read or written.
    #[error("the root key {path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is not a key.
    #[error("a root key is {} hexadecimal digits", 2 * KEY)]
    Malformed,
    /// Others can read it.
    #[error("the root key {0} can be read by others: chmod 600 it")]
    Open(PathBuf),
    /// It is where it protects nothing.
    #[error("the root key {0} is in the data folder: whoever has the folder would have the key")]
    Inside(PathBuf),
}

/// Where it is if nothing else is said: the folder's name with this after it.
const ENDING: &str = ".key";

/// The root of the keys: under it those of nations are wrapped, under these those of subjects.
#[derive(Clone)]
pub struct RootKey(KeyBytes);

impl RootKey {
    /// The key of a data folder: the one given as text, or in this file, or beside the folder.
    ///
    /// # Errors
    /// When there is none, or it is not kept as a secret.
    pub fn find(folder: &Path, text: Option<&str>, file: Option<&Path>) -> Result<Self, RootKeyError> {
        match (text, file) {
            (Some(text), _) => Self::from_text(text),
            (None, Some(file)) => Self::from_file(file, folder),
            (None, None) => Self::from_file(&super::beside(folder, ENDING), folder),
        }
    }

    /// The same for a folder that is to be made: the file is made with a new key if it is not there. Returns
    /// where, if it was made.
    ///
    /// # Errors
    /// When it cannot be read or written, or would not be kept as a secret.
    pub fn find_or_make(
        folder: &Path,
        text: Option<&str>,
        file: Option<&Path>,
        ambient: &Ambient,
    ) -> Result<(Self, Option<PathBuf>), RootKeyError> {
        if let Some(text) = text {
            return Ok((Self::from_text(text)?, None));
        }
        let path = file.map_or_else(|| super::beside(folder, ENDING), Path::to_owned);
        if path.exists() {
            return Ok((Self::from_file(&path, folder)?, None));
        }
        must_be_outside(&path, folder)?;
        let key = Self::draw(ambient);
        let mut digits = Zeroizing::new(base16ct::lower::encode_string(&*key.0));
        digits.push('\n');
        let failed = |error| RootKeyError::Io { path: path.clone(), error };
        audit::storage::publish(&path, digits.as_bytes()).map_err(failed)?;
        Ok((key, Some(path)))
    }

    /// A new one, for a folder that does not outlive the process.
    pub fn draw(ambient: &Ambient) -> Self {
        Self(Zeroizing::new(ambient.random()))
    }

    fn from_text(text: &str) -> Result<Self, RootKeyError> {
        let mut bytes = Zeroizing::new([0; KEY]);
        let decoded =
            base16ct::mixed::decode(text.trim(), &mut *bytes).map_err(|_| RootKeyError::Malformed)?;
        if decoded.len() == KEY { Ok(Self(bytes)) } else { Err(RootKeyError::Malformed) }
    }

    fn from_file(path: &Path, folder: &Path) -> Result<Self, RootKeyError> {
        must_be_outside(path, folder)?;
        let failed = |error| RootKeyError::Io { path: path.to_owned(), error };
        #[cfg(unix)]
        {
            let metadata = fs::metadata(path).map_err(failed)?;
            if std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0 {
                return Err(RootKeyError::Open(path.to_owned()));
            }
        }
        Self::from_text(&Zeroizing::new(fs::read_to_string(path).map_err(failed)?))
    }

    pub(crate) fn sealing(&self) -> SealingKey {
        SealingKey::new(&self.0)
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey")
    }
}

fn must_be_outside(path: &Path, folder: &Path) -> Result<(), RootKeyError> {
    // A folder that is still to be made is compared by name.
    let within = audit::storage::is_inside(path, folder).unwrap_or_else(|_| path.starts_with(folder));
    if within { Err(RootKeyError::Inside(path.to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_key_is_made_once_beside_the_folder_and_kept_as_a_secret() {
        let (home, ambient) = (tempfile::tempdir().unwrap(), Ambient::system());
        let folder = home.path().join("data/");
        fs::create_dir(&folder).unwrap();
        assert!(matches!(RootKey::find(&folder, None, None), Err(RootKeyError::Io { .. })));
        let (made, path) = RootKey::find_or_make(&folder, None, None, &ambient).unwrap();
        assert_eq!(path.as_deref(), Some(home.path().join("data.key").as_path()));
        let path = path.unwrap();
        let (again, none) = RootKey::find_or_make(&folder, None, None, &ambient).unwrap();
        assert!(none.is_none() && again.0 == made.0);
        let text = fs::read_to_string(&path).unwrap();
        assert!(RootKey::find(&folder, Some(&text), None).unwrap().0 == made.0);
        assert!(RootKey::find(&folder, None, Some(&path)).unwrap().0 == made.0);
        for bad in ["", "00", &text[1..], &text.replace(&text[..1], "g"), &text.replace(&text[..1], "é")] {
            let error = RootKey::find(&folder, Some(bad), None).unwrap_err();
            assert!(!error.to_string().contains(text.trim()), "the error tells the key");
        }
        let inside = folder.join("key");
        fs::copy(&path, &inside).unwrap();
        assert!(matches!(RootKey::find(&folder, None, Some(&inside)), Err(RootKeyError::Inside(_))));
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
            fs::set_permissions(&path, mode).unwrap();
            assert!(matches!(RootKey::find(&folder, None, None), Err(RootKeyError::Open(_))));
        }
        assert_eq!(format!("{made:?}"), "RootKey");
    }
}
