//! A folder for results: made once for one purpose, and gone on with for no other.

use crate::{error::Failure, private};
use audit::hash::sha256;
use serde_json::Value;
use std::{io::Read, path::Path};

/// A new folder, or one that was begun for the same; `head` says what for.
pub(crate) fn begin(folder: &Path, name: &str, head: &Value) -> Result<(), Failure> {
    let (path, text) = (folder.join(name), format!("{head:#}\n"));
    let failed = |error| Failure::file(&path, error);
    match std::fs::read_to_string(&path) {
        Ok(begun) if begun == text => Ok(()),
        Ok(_) => Err(Failure::Argument(format!(
            "{} was begun with other input, or with other options: take another folder",
            folder.display()
        ))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let entries = private::folder(folder).and_then(|()| std::fs::read_dir(folder));
            // Of one that was stopped at once there is a draft.
            let draft = audit::storage::temporary(&path);
            let others = entries.map_err(failed)?.flatten().filter(|entry| entry.path() != draft);
            if others.count() > 0 {
                let words = format!("{} is not empty, and was not begun by this command", folder.display());
                return Err(Failure::Argument(words));
            }
            audit::storage::publish(&path, text.as_bytes()).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Of a file: that of the digests of its pieces, so that a large one need not be in memory.
pub(crate) fn digest(path: &Path) -> Result<String, Failure> {
    const PIECE: usize = 1 << 20;
    let failed = |error| Failure::file(path, error);
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let (mut piece, mut leaves) = (vec![0; PIECE], Vec::new());
    loop {
        let mut length = 0;
        while length < PIECE {
            match file.read(&mut piece[length..]).map_err(failed)? {
                0 => break,
                more => length += more,
            }
        }
        if length == 0 {
            return Ok(sha256(&[b"limen/file/v1\0", &leaves]).to_string());
        }
        leaves.extend(sha256(&[&piece[..length]]).0);
    }
}
