//! A process confines itself: from then on it computes, on memory and time that are counted, and does nothing else.

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus, Scope,
};
use rustix::process::{Resource, Rlimit, setpriority_process, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, io};

/// How far a worker is confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// Landlock: no file, no network (Linux 5.13 and later; 6.7 for the network).
    pub landlock: bool,
    /// seccomp: no system call but those that computing needs.
    pub seccomp: bool,
    /// Tried after confining: no file can be opened, no socket made, no program run.
    pub tried: bool,
}

/// Address space, over what may be written to: programs, stacks, and what allocators keep for later.
const ADDRESS_ROOM_BYTES: u64 = 2 << 30;
/// Workers run behind whoever answers lookups.
const NICENESS: i32 = 19;

/// Confines this process, which must not have started a thread: no file or socket can be opened any more, no program run, and no
/// more memory be had than said. What the kernel does not know is left out, and told.
///
/// # Errors
/// When a limit is refused.
pub(crate) fn confine(memory_bytes: u64, cpu_s: u64) -> io::Result<Confinement> {
    let _ = setpriority_process(None, NICENESS); // worth a try
    let limit =
        |resource, most: u64| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    limit(Resource::Data, memory_bytes)?;
    limit(Resource::As, memory_bytes + ADDRESS_ROOM_BYTES)?;
    limit(Resource::Cpu, cpu_s)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    let landlock = restrict_files();
    limit(Resource::Nofile, 0)?; // what is open stays so
    let seccomp = restrict_calls().is_ok();
    let tried =
        [Attempt::Open, Attempt::Socket, Attempt::Exec].into_iter().all(|attempt| !attempt.succeeds());
    Ok(Confinement { landlock, seccomp, tried })
}

/// Has this kernel Landlock, and may it be used?
pub fn landlock_is_here() -> bool {
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    ruleset.handle_access(AccessFs::Execute).and_then(Ruleset::create).is_ok()
}

/// Without an exception: what is read has been opened before.
fn restrict_files() -> bool {
    let restrict = || {
        let ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
        let ruleset = ruleset.handle_access(AccessFs::from_all(ABI::V5))?;
        let ruleset = ruleset.handle_access(AccessNet::from_all(ABI::V5))?;
        ruleset.scope(Scope::from_all(ABI::V6))?.create()?.restrict_self()
    };
    restrict().is_ok_and(|status: landlock::RestrictionStatus| status.ruleset != RulesetStatus::NotEnforced)
}

/// The calls that computing, memory, threads, reading and writing need. All others are as if the kernel did not have them.
const CALLS: [libc::c_long; 33] = [
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_membarrier,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_seccomp, // to forbid more
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_getrusage,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_prctl,
];

fn restrict_calls() -> Result<(), seccompiler::Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = CALLS.iter().map(|call| (*call, Vec::new())).collect();
    let masked = |argument: u8, mask: u64, value: u64| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(mask), value)
    };
    // Threads, no processes. `clone3` hides its flags behind a pointer; without it the C library takes `clone`.
    let thread = libc::CLONE_THREAD as u64;
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![masked(0, thread, thread)?])?]);
    // Signals to nobody but itself, as when it gives up.
    let own = u64::from(std::process::id());
    let itself = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, own)?;
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![itself])?]);
    // Memory of its own, which the limits count, none of it to be executed.
    let executable = libc::PROT_EXEC as u64;
    let uncounted = (libc::MAP_SHARED | libc::MAP_GROWSDOWN) as u64;
    rules.insert(libc::SYS_mprotect, vec![SeccompRule::new(vec![masked(2, executable, 0)?])?]);
    let own = vec![masked(2, executable, 0)?, masked(3, uncounted, 0)?];
    rules.insert(libc::SYS_mmap, vec![SeccompRule::new(own)?]);
    let filter = SeccompFilter::new(rules, absent(), SeccompAction::Allow, arch()?)?;
    seccompiler::apply_filter(&BpfProgram::try_from(filter)?)
}

/// As if the kernel did not have the call.
fn absent() -> SeccompAction {
    SeccompAction::Errno(libc::ENOSYS as u32)
}

fn arch() -> Result<seccompiler::TargetArch, seccompiler::Error> {
    Ok(std::env::consts::ARCH.try_into()?)
}

/// From now on no thread of this process starts another: those that are needed run.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn start_no_more_threads() -> io::Result<()> {
    let forbid = || {
        let rules = [(libc::SYS_clone, Vec::new()), (libc::SYS_seccomp, Vec::new())].into();
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, absent(), arch()?)?;
        seccompiler::apply_filter_all_threads(&BpfProgram::try_from(filter)?)
    };
    forbid().map_err(|error: seccompiler::Error| io::Error::other(error.to_string()))
}

/// What a confined process is not to achieve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attempt {
    /// Open a file.
    Open,
    /// Make a socket, and reach out.
    Socket,
    /// Run a program.
    Exec,
    /// Have 4 GiB of memory.
    Allocate,
}

impl Attempt {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Open, Self::Socket, Self::Exec, Self::Allocate];

    /// Tries it.
    pub(crate) fn succeeds(self) -> bool {
        match self {
            Self::Open => {
                std::fs::File::open("/etc/passwd").is_ok()
                    || std::fs::File::create("/tmp/limen-worker").is_ok()
            }
            Self::Socket => {
                std::net::UdpSocket::bind("127.0.0.1:0").is_ok()
                    || std::net::TcpListener::bind("127.0.0.1:0").is_ok()
                    || std::os::unix::net::UnixDatagram::unbound().is_ok()
            }
            Self::Exec => std::process::Command::new("/bin/true").env_clear().status().is_ok(),
            Self::Allocate => {
                let mut memory: Vec<u8> = Vec::new();
                let had = memory.try_reserve_exact(4 << 30).is_ok();
                if had {
                    memory.resize(4 << 30, 1);
                }
                had && memory.last() == Some(&1)
            }
        }
    }
}
