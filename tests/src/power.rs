//! A place on a disk, as a recorded process changes it. Whatever it does besides plain writes and syncs is refused: what that
//! leaves after a power loss could not be tried.

use crate::{
    disk::{Change, Disk, Naming, Node},
    trace::{Call, Moment, Trace},
};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

struct Open {
    node: Node,
    at: usize,
}

/// A folder with all that is in it, as the disk and as the process see it.
pub struct Place {
    path: PathBuf,
    /// As it is now.
    pub disk: Disk,
    open: HashMap<i64, Open>,
    /// Syncs under way: how many changes each will make durable.
    syncs: HashMap<usize, (Node, usize)>,
}

impl Place {
    /// What is there is durable. The process that will change it is not running yet.
    pub fn settled(path: &Path) -> Self {
        Self { path: path.to_owned(), disk: Disk::of(path), open: HashMap::new(), syncs: HashMap::new() }
    }

    /// Replays what one process did, from its start to its end. Before each thing that it did, `before` is told when that
    /// was.
    pub fn replay(&mut self, trace: &Trace, mut before: impl FnMut(&Disk, f64)) {
        self.open.clear();
        self.syncs.clear();
        for (at, moment) in &trace.moments {
            before(&self.disk, *at);
            match *moment {
                Moment::Begins(number) => self.begin(&trace.calls[number], number),
                Moment::Ends(number) => self.end(&trace.calls[number], number),
            }
        }
    }

    /// Each path among a call's arguments: its folder and its last name, if it is in the place; no name for the place itself.
    fn paths(&self, call: &Call) -> Vec<Option<(Node, String)>> {
        let paths = (0..call.arguments.len()).filter(|index| call.arguments[*index].starts_with('"'));
        let find = |index: usize| {
            let path = String::from_utf8(call.bytes(index)).unwrap();
            let beside = index.checked_sub(1).and_then(|before| call.arguments[before].parse().ok());
            let (from, path) = match beside.and_then(|folder: i64| self.open.get(&folder)) {
                Some(open) if !path.starts_with('/') => (open.node, Path::new(&path)),
                _ => (0, Path::new(&path).strip_prefix(&self.path).ok()?),
            };
            let names = path.components().map(|name| name.as_os_str().to_str().unwrap().to_owned());
            let mut names: Vec<String> = names.collect();
            let last = names.pop().unwrap_or_default();
            let folder = names.iter().try_fold(from, |node, name| self.disk.step(node, name))?;
            Some((folder, last))
        };
        paths.map(find).collect()
    }

    /// Changes count from when the call begins: nobody knows how far it came.
    fn begin(&mut self, call: &Call, number: usize) {
        let name = call.name.as_str();
        match name {
            "openat" | "lseek" | "dup" | "dup2" | "dup3" => return, // when they end
            "close" => {
                self.open.remove(&call.number(0));
                return;
            }
            "rename" | "renameat" | "renameat2" if call.result.is_some() => return self.rename(call),
            "unlink" | "unlinkat" | "rmdir" if call.result.is_some() => return self.remove(call),
            "mkdir" | "mkdirat" if call.result.is_some() => return self.make_folder(call),
            "link" | "linkat" | "truncate" | "open" | "creat" if call.result.is_some() => {
                assert!(
                    self.paths(call).iter().all(Option::is_none),
                    "{name} changes a file: it cannot be tried"
                );
                return;
            }
            _ => (),
        }
        let descriptor = if name == "mmap" { 4 } else { 0 };
        let Some(open) = call.arguments.get(descriptor).and_then(|text| text.parse().ok()) else { return };
        let Some(&Open { node, at }) = self.open.get(&open) else { return };
        match name {
            "write" => {
                let bytes = call.bytes(1);
                self.open.get_mut(&open).unwrap().at += bytes.len();
                self.disk.change(node, Change::Write(at, bytes.into()));
            }
            "pwrite64" => {
                let at = usize::try_from(call.number(3)).unwrap();
                let bytes = call.bytes(1).into();
                self.disk.change(node, Change::Write(at, bytes));
            }
            "ftruncate" => {
                let length = usize::try_from(call.number(1)).unwrap();
                self.disk.change(node, Change::Length(length));
            }
            "fsync" | "fdatasync" => {
                self.syncs.insert(number, (node, self.disk.changes(node)));
            }
            "fcntl" => {
                assert!(!call.arguments[1].starts_with("F_DUPFD"), "a file is opened twice by {call:?}");
            }
            "mmap" => {
                let writes = call.arguments[3].contains("MAP_SHARED") && call.arguments[2].contains("WRITE");
                assert!(
                    !writes || self.disk.is_shared_memory(node),
                    "a file is written through memory: {call:?}"
                );
            }
            _ => panic!("a file is changed by {name}, which cannot be tried"),
        }
    }

    fn end(&mut self, call: &Call, number: usize) {
        match (call.name.as_str(), call.result) {
            ("openat", Some(descriptor)) => self.opened(call, descriptor),
            ("lseek", Some(at)) => {
                if let Some(open) = self.open.get_mut(&call.number(0)) {
                    open.at = usize::try_from(at).unwrap();
                }
            }
            ("dup" | "dup2" | "dup3", Some(_)) => {
                assert!(!self.open.contains_key(&call.number(0)), "a file is opened twice by {call:?}");
            }
            ("fsync" | "fdatasync", Some(_)) => {
                if let Some((node, upto)) = self.syncs.remove(&number) {
                    self.disk.make_durable(node, upto);
                }
            }
            _ => (),
        }
    }

    fn opened(&mut self, call: &Call, descriptor: i64) {
        self.open.remove(&descriptor);
        let flags: Vec<&str> = call.arguments[2].split('|').collect();
        if flags.contains(&"O_TMPFILE") {
            return; // it has no name, and is gone with the process
        }
        let Some((folder, name)) = self.paths(call).remove(0) else { return };
        let node = match self.disk.step(folder, &name) {
            Some(node) => node,
            None if flags.contains(&"O_CREAT") => {
                let node = self.disk.new_file();
                self.disk.name(folder, Naming::Put(name, node));
                node
            }
            None => return,
        };
        assert!(!flags.contains(&"O_APPEND"), "{call:?}");
        if flags.contains(&"O_TRUNC") && self.disk.length(node) > 0 {
            self.disk.change(node, Change::Length(0));
        }
        self.open.insert(descriptor, Open { node, at: 0 });
    }

    fn rename(&mut self, call: &Call) {
        if let [Some((from, old)), Some((to, new))] = &self.paths(call)[..] {
            assert_eq!(from, to, "a file goes to another folder: {call:?}");
            self.disk.name(*from, Naming::Move(old.clone(), new.clone()));
        }
    }

    fn remove(&mut self, call: &Call) {
        if let Some((folder, name)) = self.paths(call).remove(0) {
            self.disk.name(folder, Naming::Take(name));
        }
    }

    fn make_folder(&mut self, call: &Call) {
        if let Some((folder, name)) = self.paths(call).remove(0) {
            let node = self.disk.new_folder();
            self.disk.name(folder, Naming::Put(name, node));
        }
    }
}
