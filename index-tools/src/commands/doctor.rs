//! `limen-index doctor`

use crate::{error::Failure, place::Place};
use clap::Args;
use gallery::{administer, ambient::Ambient, open::OpenError, room};
use serde_json::json;
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

/// Tell what is wrong, or unwise, about a data folder and the machine that it is on.
///
/// Looks at the folder, its keys, anchor and ledger, the disk, the memory, the processor and the limits of processes; then it opens the folder as a
/// server would, unless its ledger of erasures is not there. What is in the folder is checked by `verify-store`. Ends with 5 if something is wrong.
#[derive(Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Finding {
    Well,
    Unwise,
    Wrong,
}

struct Examination<'a> {
    place: &'a Place,
    ledger_is_there: bool,
    findings: Vec<(Finding, &'static str, String)>,
}

impl Doctor {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut examination =
            Examination { place: &self.place, ledger_is_there: false, findings: Vec::new() };
        examination.folder();
        examination.root_key();
        examination.anchor();
        examination.ledger();
        examination.disk();
        examination.gallery();
        examination.machine();
        let findings = examination.findings;
        let word = |finding| match finding {
            Finding::Well => "ok",
            Finding::Unwise => "unwise",
            Finding::Wrong => "wrong",
        };
        if self.json {
            let line = |(finding, about, what): &(Finding, &str, String)| json!({ "finding": word(*finding), "about": about, "what": what });
            println!("{:#}", json!({ "findings": findings.iter().map(line).collect::<Vec<_>>() }));
        } else {
            findings
                .iter()
                .for_each(|(finding, about, what)| println!("{:8}{about:11}{what}", word(*finding)));
        }
        let wrong = findings.iter().filter(|(finding, ..)| *finding == Finding::Wrong).count();
        if wrong == 0 { Ok(()) } else { Err(Failure::Unwell(wrong)) }
    }
}

impl Examination<'_> {
    fn find(&mut self, finding: Finding, about: &'static str, what: impl Into<String>) {
        self.findings.push((finding, about, what.into()));
    }

    fn folder(&mut self) {
        let folder = self.place.folder();
        match fs::metadata(folder) {
            Err(error) => self.find(Finding::Wrong, "folder", format!("{}: {error}", folder.display())),
            Ok(meta) if meta.permissions().mode() & 0o077 != 0 => {
                self.find(Finding::Wrong, "folder", "others can look into it: chmod 700");
            }
            Ok(_) => self.find(Finding::Well, "folder", folder.display().to_string()),
        }
    }

    fn root_key(&mut self) {
        match self.place.root_key() {
            Ok(_) => self.find(Finding::Well, "root key", "there, and not in the folder"),
            Err(error) => self.find(Finding::Wrong, "root key", error.to_string()),
        }
    }

    /// Is a file on another disk than the folder?
    fn elsewhere(&self, path: &Path) -> bool {
        let device = |path: &Path| fs::metadata(path).map(|meta| meta.dev()).ok();
        device(path).is_some_and(|there| Some(there) != device(self.place.folder()))
    }

    fn anchor(&mut self) {
        match self.place.anchor.as_deref() {
            None => self.find(
                Finding::Unwise,
                "anchor",
                "none: an older copy of the folder would not be found; `limen-index anchor` makes one",
            ),
            Some(path) if !path.is_file() => {
                self.find(Finding::Wrong, "anchor", "it is not there: is its disk?");
            }
            Some(path) if !self.elsewhere(path) => {
                self.find(
                    Finding::Unwise,
                    "anchor",
                    "on the folder's own disk: it would be put back with it",
                );
            }
            Some(_) => self.find(Finding::Well, "anchor", "there, on another disk"),
        }
    }

    fn ledger(&mut self) {
        let folder = self.place.folder();
        let beside = folder
            .with_file_name(format!("{}.erasures", folder.file_name().unwrap_or_default().to_string_lossy()));
        let path = self.place.ledger().map_or(beside, Path::to_owned);
        self.ledger_is_there = path.is_file();
        if !self.ledger_is_there {
            self.find(
                Finding::Unwise,
                "ledger",
                "not there: it is made anew from the store when the folder is opened",
            );
        } else if self.elsewhere(&path) {
            self.find(Finding::Well, "ledger", "there, on another disk");
        } else {
            self.find(Finding::Unwise, "ledger", "on the folder's own disk: keep a copy of it elsewhere");
        }
    }

    fn disk(&mut self) {
        match room::of(self.place.folder(), room::RESERVE_BYTES) {
            Err(error) => self.find(Finding::Wrong, "disk", error.to_string()),
            Ok(room) if room.free_bytes < room.reserve_bytes => self.find(
                Finding::Wrong,
                "disk",
                format!(
                    "{} MiB are free, {} are reserved: nobody is enrolled",
                    room.free_bytes >> 20,
                    room.reserve_bytes >> 20
                ),
            ),
            Ok(room) => self.find(Finding::Well, "disk", format!("{} MiB are free", room.free_bytes >> 20)),
        }
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let folder = self.place.folder().canonicalize().unwrap_or_default();
        let on = mounts.lines().filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            let (at, kind) = (words.next()?, words.next()?);
            folder.starts_with(at).then_some((at.len(), kind))
        });
        match on.max_by_key(|(length, _)| *length).map(|(_, kind)| kind) {
            Some("tmpfs" | "ramfs") => {
                self.find(Finding::Unwise, "disk", "it is memory: all is lost when the machine stops");
            }
            Some(kind @ ("nfs" | "nfs4" | "cifs" | "9p" | "fuse")) => self.find(
                Finding::Unwise,
                "disk",
                format!("{kind} is reached over a network: SQLite's locks and syncs may not hold there"),
            ),
            _ => (),
        }
    }

    fn gallery(&mut self) {
        if !self.ledger_is_there {
            // Another would be made, and whom the right one names not erased.
            return self.find(Finding::Unwise, "gallery", "not looked at, without its ledger");
        }
        let gallery = match self.place.open() {
            Ok(gallery) => gallery,
            Err(Failure::Open(OpenError::Locked)) => {
                return self.find(Finding::Well, "gallery", "a server or another command has it open");
            }
            Err(error) => return self.find(Finding::Wrong, "gallery", error.to_string()),
        };
        match gallery.status() {
            Err(error) => self.find(Finding::Wrong, "gallery", error.to_string()),
            Ok(status) => {
                let (references, events) =
                    (status.active.iter().map(|(_, count)| count).sum::<u64>(), status.as_of.0);
                self.find(
                    Finding::Well,
                    "gallery",
                    format!("{references} active references, {events} events"),
                );
                self.memory(references);
            }
        }
        match administer::count(&gallery) {
            0 => self.find(
                Finding::Unwise,
                "callers",
                "none: nobody can call a server; begin with `limen-index grant officers`",
            ),
            count => self.find(Finding::Well, "callers", format!("{count} hold a grant")),
        }
        if let Err(error) = gallery.ready() {
            self.find(Finding::Wrong, "clock", error.to_string());
        } else {
            self.find(Finding::Well, "clock", Ambient::system().clock.now().to_string());
        }
    }

    /// Codes and rows that are cached of a reference of 512 features.
    fn memory(&mut self, references: u64) {
        const EACH_BYTES: u64 = 2700;
        let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let available = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
        let available = available.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
        let Some(available) = available.map(|kib| kib << 10) else { return };
        let wanted = references * EACH_BYTES;
        let what = format!(
            "{} MiB are available, a server takes up to {} at 512 features",
            available >> 20,
            wanted >> 20
        );
        self.find(if wanted > available { Finding::Unwise } else { Finding::Well }, "memory", what);
    }

    fn machine(&mut self) {
        let kernel = matcher::kernel::Kernel::detect();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let slow = matches!(kernel, matcher::kernel::Kernel::Scalar);
        let what = format!("{cores} threads, {kernel} kernel");
        self.find(if slow { Finding::Unwise } else { Finding::Well }, "processor", what);
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let files = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        let files = files.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        match files {
            Some(files) if files < 2048 => {
                self.find(
                    Finding::Unwise,
                    "limits",
                    format!("{files} open files: fewer than 1024 connections and their files take"),
                );
            }
            _ => self.find(Finding::Well, "limits", "enough open files"),
        }
    }
}
