//! A disk whose power may fail: what was written and not synced is lost, torn or reordered.
//!
//! The model is the strictest that the interfaces allow: without a sync of the file, each 512-byte sector of a write and
//! each change of length may be there or not; without a sync of the folder, each name may be there or not.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::{collections::BTreeMap, fs, os::unix::fs::OpenOptionsExt, path::Path, rc::Rc};

const SECTOR: usize = 512;

/// The number of a file or folder. The first is the folder with all the others.
pub type Node = usize;

/// What is done to a file.
pub enum Change {
    /// These bytes, from this one on.
    Write(usize, Rc<[u8]>),
    /// So long from now on.
    Length(usize),
}

/// What is done to the names in a folder.
pub enum Naming {
    /// A name for a new file or folder.
    Put(String, Node),
    /// A name less.
    Take(String),
    /// Another name for the same.
    Move(String, String),
}

#[derive(Default)]
struct FileState {
    durable: Vec<u8>,
    /// Since the last sync; the number that the first has in all changes.
    pending: Vec<Change>,
    first: usize,
}

#[derive(Default)]
struct FolderState {
    durable: BTreeMap<String, Node>,
    pending: Vec<Naming>,
    first: usize,
}

enum State {
    File(FileState),
    Folder(FolderState),
}

/// Files and folders, as the process and as the disk see them.
#[derive(Default)]
pub struct Disk {
    nodes: Vec<State>,
}

/// Files and folders as they may be after a power loss.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Image {
    folders: Vec<String>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Image {
    /// The files, by their paths.
    pub fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// The files that are not alike in both.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let names: std::collections::BTreeSet<_> = self.files.keys().chain(other.files.keys()).collect();
        let unlike = names.into_iter().filter(|name| self.files.get(*name) != other.files.get(*name));
        let length = |image: &Self, name: &String| image.files.get(name).map(Vec::len);
        unlike.map(|name| format!("{name} {:?} {:?}", length(self, name), length(other, name))).collect()
    }

    /// Writes it into a folder.
    pub fn write(&self, to: &Path) {
        for folder in &self.folders {
            fs::create_dir(to.join(folder)).unwrap();
        }
        for (name, bytes) in &self.files {
            let mut options = fs::OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(to.join(name)).unwrap();
            std::io::Write::write_all(&mut file, bytes).unwrap();
        }
    }
}

/// What becomes of what was not synced.
enum Luck<'a> {
    Kept,
    Lost,
    Chance(&'a mut ChaCha8Rng),
}

impl Disk {
    /// What is in this folder, durable.
    pub fn of(path: &Path) -> Self {
        let mut disk = Self::default();
        disk.take_in(path);
        disk
    }

    fn take_in(&mut self, path: &Path) -> Node {
        let node = self.nodes.len();
        if path.is_file() {
            let durable = fs::read(path).unwrap();
            self.nodes.push(State::File(FileState { durable, ..FileState::default() }));
            return node;
        }
        self.nodes.push(State::Folder(FolderState::default()));
        for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
            let child = self.take_in(&entry.path());
            self.folder(node).durable.insert(entry.file_name().into_string().unwrap(), child);
        }
        node
    }

    /// A new file, which has no name yet.
    pub fn new_file(&mut self) -> Node {
        self.nodes.push(State::File(FileState::default()));
        self.nodes.len() - 1
    }

    /// A new folder, which has no name yet.
    pub fn new_folder(&mut self) -> Node {
        self.nodes.push(State::Folder(FolderState::default()));
        self.nodes.len() - 1
    }

    /// Changes a file.
    pub fn change(&mut self, file: Node, change: Change) {
        self.file(file).pending.push(change);
    }

    /// Changes a name in a folder.
    pub fn name(&mut self, folder: Node, naming: Naming) {
        self.folder(folder).pending.push(naming);
    }

    /// How many changes a file or folder has had: what a sync that begins now will make durable.
    pub fn changes(&self, node: Node) -> usize {
        match &self.nodes[node] {
            State::File(file) => file.first + file.pending.len(),
            State::Folder(folder) => folder.first + folder.pending.len(),
        }
    }

    fn folder(&mut self, node: Node) -> &mut FolderState {
        match &mut self.nodes[node] {
            State::Folder(folder) => folder,
            State::File(_) => panic!("node {node} is a file"),
        }
    }

    fn file(&mut self, node: Node) -> &mut FileState {
        match &mut self.nodes[node] {
            State::File(file) => file,
            State::Folder(_) => panic!("node {node} is a folder"),
        }
    }

    /// The first so many changes are durable.
    pub fn make_durable(&mut self, node: Node, upto: usize) {
        match &mut self.nodes[node] {
            State::File(file) => {
                let done = upto.saturating_sub(file.first);
                for change in file.pending.drain(..done) {
                    apply(&mut file.durable, &change, &mut Luck::Kept);
                }
                file.first += done;
            }
            State::Folder(folder) => {
                let done = upto.saturating_sub(folder.first);
                for naming in folder.pending.drain(..done) {
                    name(&mut folder.durable, &naming);
                }
                folder.first += done;
            }
        }
    }

    /// The file or folder of this name in a folder; no name is the folder itself.
    pub fn step(&self, folder: Node, name: &str) -> Option<Node> {
        if name.is_empty() {
            return Some(folder);
        }
        self.names(folder, &mut Luck::Kept).get(name).copied()
    }

    /// How long a file is.
    pub fn length(&self, node: Node) -> usize {
        self.content(node, &mut Luck::Kept).len()
    }

    /// Is it the memory that SQLite shares between connections?
    pub fn is_shared_memory(&self, node: Node) -> bool {
        (0..self.nodes.len()).any(|folder| match &self.nodes[folder] {
            State::Folder(_) => {
                let names = self.names(folder, &mut Luck::Kept);
                names.iter().any(|(name, named)| *named == node && name.ends_with("-shm"))
            }
            State::File(_) => false,
        })
    }

    fn content(&self, node: Node, luck: &mut Luck<'_>) -> Vec<u8> {
        let State::File(file) = &self.nodes[node] else { panic!("node {node} is a folder") };
        let mut content = file.durable.clone();
        let upto = luck.prefix(file.pending.len());
        for change in &file.pending[..upto] {
            apply(&mut content, change, luck);
        }
        content
    }

    fn names(&self, node: Node, luck: &mut Luck<'_>) -> BTreeMap<String, Node> {
        let State::Folder(folder) = &self.nodes[node] else { panic!("node {node} is a file") };
        let mut names = folder.durable.clone();
        let upto = luck.prefix(folder.pending.len());
        for naming in &folder.pending[..upto] {
            if luck.keeps() {
                name(&mut names, naming);
            }
        }
        names
    }

    /// What the process sees.
    pub fn live(&self) -> Image {
        self.image_with(&mut Luck::Kept)
    }

    /// What a power loss at this moment may leave.
    pub fn image(&self, seed: u64) -> Image {
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        match chance.next_u32() % 4 {
            0 => self.image_with(&mut Luck::Lost),
            _ => self.image_with(&mut Luck::Chance(&mut chance)),
        }
    }

    fn image_with(&self, luck: &mut Luck<'_>) -> Image {
        let mut image = Image { folders: Vec::new(), files: BTreeMap::new() };
        self.gather(0, "", luck, &mut image);
        image
    }

    /// SQLite's shared memory is no part of it: it is made anew.
    fn gather(&self, folder: Node, path: &str, luck: &mut Luck<'_>, image: &mut Image) {
        for (name, node) in self.names(folder, luck) {
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            match &self.nodes[node] {
                State::Folder(_) => {
                    image.folders.push(path.clone());
                    self.gather(node, &path, luck, image);
                }
                State::File(_) if name.ends_with("-shm") => (),
                State::File(_) => drop(image.files.insert(path, self.content(node, luck))),
            }
        }
    }
}

impl Luck<'_> {
    /// How many of these are looked at: half of the time only the first few.
    fn prefix(&mut self, count: usize) -> usize {
        match self {
            Self::Kept => count,
            Self::Lost => 0,
            Self::Chance(chance) => match chance.next_u32() % 2 {
                0 => count,
                _ => chance.next_u32() as usize % (count + 1),
            },
        }
    }

    fn keeps(&mut self) -> bool {
        match self {
            Self::Kept => true,
            Self::Lost => false,
            Self::Chance(chance) => !chance.next_u32().is_multiple_of(4),
        }
    }
}

fn name(names: &mut BTreeMap<String, Node>, naming: &Naming) {
    match naming {
        Naming::Put(name, node) => drop(names.insert(name.clone(), *node)),
        Naming::Take(name) => drop(names.remove(name)),
        Naming::Move(from, to) => {
            if let Some(node) = names.remove(from) {
                names.insert(to.clone(), node);
            }
        }
    }
}

fn apply(content: &mut Vec<u8>, change: &Change, luck: &mut Luck<'_>) {
    match change {
        Change::Length(length) if luck.keeps() => content.resize(*length, 0),
        Change::Length(_) => (),
        Change::Write(at, bytes) => {
            let mut begin = 0;
            while begin < bytes.len() {
                let end = ((at + begin) / SECTOR + 1) * SECTOR - at;
                let end = end.min(bytes.len());
                if luck.keeps() {
                    content.resize(content.len().max(at + end), 0);
                    content[at + begin..at + end].copy_from_slice(&bytes[begin..end]);
                }
                begin = end;
            }
        }
    }
}
