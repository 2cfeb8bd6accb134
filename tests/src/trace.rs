//! What a server does to files, seen from outside by `strace`.

use std::{collections::HashMap, fs, path::Path};

/// Every system call by which a file or its name can be changed.
const CALLS: &str = "?open,openat,?creat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate,\
     fsync,fdatasync,sync_file_range,?rename,?renameat,renameat2,?unlink,unlinkat,?mkdir,mkdirat,?rmdir,?link,linkat,\
     close,dup,?dup2,dup3,fcntl,lseek,copy_file_range,sendfile,mmap,msync";

/// The command that a server is started under, so that this file tells what it does.
pub fn recorder(file: &Path) -> Vec<String> {
    let words = "strace -f --seccomp-bpf -qq -ttt -xx -s 16777216 -e signal=none";
    let mut command: Vec<String> = words.split(' ').map(str::to_owned).collect();
    command.extend(["-e".to_owned(), format!("trace={CALLS}"), "-o".to_owned()]);
    command.push(file.to_str().unwrap().to_owned());
    command
}

/// One system call.
#[derive(Debug)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// The thread that made it.
    pub thread: u32,
    /// Its arguments, as they are printed.
    pub arguments: Vec<String>,
    /// What it returned; `None` if it failed, or never did.
    pub result: Option<i64>,
}

impl Call {
    /// A number among the arguments.
    pub fn number(&self, index: usize) -> i64 {
        let text = &self.arguments[index];
        text.parse().unwrap_or_else(|_| panic!("argument {index} of {self:?}"))
    }

    /// Bytes among the arguments: a path, or what is written.
    pub fn bytes(&self, index: usize) -> Vec<u8> {
        let text = self.arguments[index].strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let text = text.unwrap_or_else(|| panic!("argument {index} of {self:?} is no whole text"));
        let byte = |hex: &str| u8::from_str_radix(hex, 16).unwrap();
        text.split("\\x").skip(1).map(byte).collect()
    }
}

/// A call begins or ends; its number among the calls.
#[derive(Clone, Copy, Debug)]
pub enum Moment {
    /// The process is held before it.
    Begins(usize),
    /// The process is held after it.
    Ends(usize),
}

/// What was recorded: calls, and in order when each begins and ends, in seconds since the epoch.
#[derive(Debug, Default)]
pub struct Trace {
    /// The calls.
    pub calls: Vec<Call>,
    /// When.
    pub moments: Vec<(f64, Moment)>,
}

impl Trace {
    /// Reads what `strace` wrote.
    pub fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap();
        let mut trace = Self::default();
        let mut unfinished = HashMap::new();
        for line in text.lines() {
            let (thread, line) = line.trim_start().split_once(' ').unwrap();
            let Some((at, line)) = line.trim_start().split_once(' ') else { continue };
            let at: f64 = at.parse().unwrap();
            if line.starts_with("+++") || line.starts_with("---") {
                continue;
            }
            if let Some(resumed) = line.strip_prefix("<... ") {
                let Some(number) = unfinished.remove(thread) else { continue };
                let result = result(resumed);
                let call: &mut Call = &mut trace.calls[number];
                call.result = result;
                trace.moments.push((at, Moment::Ends(number)));
                continue;
            }
            let number = trace.calls.len();
            trace.moments.push((at, Moment::Begins(number)));
            if let Some(begun) = line.strip_suffix(" <unfinished ...>") {
                trace.calls.push(call(begun, None, thread));
                unfinished.insert(thread.to_owned(), number);
            } else {
                trace.calls.push(call(line, result(line), thread));
                trace.moments.push((at, Moment::Ends(number)));
            }
        }
        trace
    }
}

fn result(line: &str) -> Option<i64> {
    let (_, after) = line.rsplit_once("= ")?;
    let word = after.split(' ').next()?;
    // `mmap` returns an address.
    let hex = word.strip_prefix("0x").map(|word| i64::from_str_radix(word, 16).ok());
    hex.unwrap_or_else(|| word.parse().ok()).filter(|result| *result >= 0)
}

fn call(line: &str, result: Option<i64>, thread: &str) -> Call {
    let (name, after) = line.split_once('(').unwrap_or_else(|| panic!("no call: {line}"));
    let inner = after.rsplit_once(')').map_or(after, |(inner, _)| inner);
    let arguments = inner.split(", ").map(|argument| argument.trim_end().trim_end_matches(',').to_owned());
    Call { name: name.to_owned(), thread: thread.parse().unwrap(), arguments: arguments.collect(), result }
}
