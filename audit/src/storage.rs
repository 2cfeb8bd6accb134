//! Where the log's bytes go: a seam small enough to be replaced by one that fails on purpose.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// A folder with one file open for appending. Nothing is durable before a `sync`.
pub trait Storage: Send + 'static {
    /// The names of the files, in any order.
    fn names(&self) -> io::Result<Vec<String>>;
    /// A whole file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// Makes or replaces a file with this content, durably and as a whole or not at all, and opens it for
    /// appending.
    fn create(&mut self, name: &str, content: &[u8]) -> io::Result<()>;
    /// Appends to the open file.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Cuts the open file to `length` bytes.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
    /// Makes what was appended durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// A real folder. Writes are plain `write` and `fdatasync`, so that they can be watched and failed from
/// outside.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    file: Option<File>,
}

impl Disk {
    /// The folder is made if it is not there.
    pub fn open(folder: &Path) -> io::Result<Self> {
        if !folder.is_dir() {
            fs::create_dir_all(folder)?;
            folder.parent().map_or(Ok(()), sync_folder)?;
        }
        Ok(Self { folder: folder.to_owned(), file: None })
    }

    /// A folder that is there, to be read.
    pub fn open_existing(folder: &Path) -> io::Result<Self> {
        fs::read_dir(folder)?;
        Ok(Self { folder: folder.to_owned(), file: None })
    }

    fn file(&mut self) -> io::Result<&mut File> {
        self.file.as_mut().ok_or_else(|| io::Error::other("no file is open for appending"))
    }
}

impl Storage for Disk {
    fn names(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.folder)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        names.filter_map(Result::transpose).collect()
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.folder.join(name))?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn create(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let path = self.folder.join(name);
        publish(&path, content)?;
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.seek(SeekFrom::End(0))?;
        self.file = Some(file);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file()?.write_all(bytes)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let file = self.file()?;
        file.set_len(length)?;
        file.seek(SeekFrom::Start(length)).map(drop)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file()?.sync_data()
    }
}

/// Writes a file that only its owner can read: under a temporary name, synced, renamed into place, the folder
/// synced. After a crash it is there whole or not at all.
pub fn publish(path: &Path, content: &[u8]) -> io::Result<()> {
    write_beside(path, content)?;
    take_place(path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Writes a file that is to take the place of another, beside it and synced; it can be written on.
///
/// # Errors
/// When it cannot be written.
pub fn write_beside(path: &Path, content: &[u8]) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(temporary(path))?;
    file.write_all(content)?;
    file.sync_all()?;
    Ok(file)
}

/// Puts what was written beside a file in its place: durable when the folder is synced.
///
/// # Errors
/// When it cannot be renamed.
pub fn take_place(path: &Path) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "this is the rename's home: synced before")]
    fs::rename(temporary(path), path)
}

/// The name of what is to take a file's place.
pub fn temporary(path: &Path) -> PathBuf {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    temporary.into()
}

/// Gives a folder another name beside its own, durably.
///
/// # Errors
/// When it cannot be renamed, or the folder around it cannot be synced.
pub fn rename_folder(from: &Path, to: &Path) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "what is in the folder is synced already")]
    fs::rename(from, to)?;
    to.parent().map_or(Ok(()), sync_folder)
}

/// Is the folder of this file the other folder, or within it?
///
/// # Errors
/// When one of them cannot be found.
pub fn is_inside(path: &Path, folder: &Path) -> io::Result<bool> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(parent.canonicalize()?.starts_with(folder.canonicalize()?))
}

/// Makes the names in a folder durable.
///
/// # Errors
/// When it cannot be opened or synced.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })?.sync_all()
}
