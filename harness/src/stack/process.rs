//! Processes as `/proc` shows them. A process is known by its pid *and* its start time, so that a pid that was given to
//! somebody else is never signalled; members of a run also carry its mark in their environment.
//!
//! Fed by `/proc`; read by the local provider, the journal, the reaper and the sweep.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use crate::clock;

/// The environment variable that marks every process of a run; its value is the run's id.
pub const RUN_MARK: &str = "HARNESS_RUN";
/// The environment variable that marks every process of one component; its value is `<run>/<scenario>/<component>`.
pub const PART_MARK: &str = "HARNESS_PART";

/// One process: its pid and the clock tick it was started at, unique until the next boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The process id.
    pub pid: u32,
    /// Clock ticks from boot to its start.
    pub start: u64,
}

/// What `/proc/<pid>/stat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Which process.
    pub identity: Identity,
    /// `R`, `S`, `T`, `Z` …
    pub state: char,
    /// Who started it, or who took it over when that process ended.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// Clock ticks in user mode and in the kernel.
    pub cpu_ticks: u64,
}

impl Stat {
    /// Whether it still runs: neither dead nor waiting to be collected.
    #[must_use]
    pub fn runs(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Reads one process; none when it is gone.
#[must_use]
pub fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name may contain spaces and brackets, so fields are counted from the last bracket.
fn parse_stat(text: &str) -> Option<Stat> {
    let (head, tail) = text.rsplit_once(')')?;
    let pid = head.split_once(' ')?.0.parse().ok()?;
    let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        identity: Identity { pid, start: number(19)? },
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        cpu_ticks: number(11)? + number(12)?,
    })
}

/// All processes.
#[must_use]
pub fn all() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| stat(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// This process.
#[must_use]
pub fn own() -> Identity {
    let pid = std::process::id();
    Identity { pid, start: stat(pid).map_or(0, |stat| stat.identity.start) }
}

/// Whether this very process is still there and runs.
#[must_use]
pub fn alive(identity: Identity) -> bool {
    stat(identity.pid).is_some_and(|stat| stat.identity == identity && stat.runs())
}

/// The id of this boot; empty where the kernel does not tell.
#[must_use]
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// The namespace that this process's pids belong to; empty where the kernel does not tell.
#[must_use]
pub fn pid_namespace() -> String {
    fs::read_link("/proc/self/ns/pid").map(|link| link.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Whether the process was started with `name=value` in its environment. False for other users' processes.
#[must_use]
pub fn carries(pid: u32, name: &str, value: &str) -> bool {
    let mark = format!("{name}={value}");
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|text| text.split(|b| *b == 0).any(|entry| entry == mark.as_bytes()))
}

/// The running processes that belong to the given groups (while their leader is the one that was recorded) or that carry
/// the mark, and whatever they started. Never this process itself.
#[must_use]
pub fn members(groups: &[Identity], mark: (&str, &str)) -> Vec<Stat> {
    let processes = all();
    let led = |group: u32| groups.iter().any(|g| g.pid == group && processes.iter().any(|p| p.identity == *g));
    let own = std::process::id();
    let belongs = |p: &&Stat| led(p.group) || carries(p.identity.pid, mark.0, mark.1);
    let first: Vec<Stat> = processes.iter().filter(|p| p.identity.pid != own).filter(belongs).copied().collect();
    let family = with_descendants(&processes, first);
    family.into_iter().filter(|p| p.runs() && p.identity.pid != own).collect()
}

/// Processes with all that they started, directly or not: PostgreSQL's servers are in sessions of their own and write over
/// their environment, so that neither a group nor a mark shows whose they are.
fn with_descendants(processes: &[Stat], mut family: Vec<Stat>) -> Vec<Stat> {
    let mut known: BTreeSet<Identity> = family.iter().map(|p| p.identity).collect();
    let mut at = 0;
    while let Some(parent) = family.get(at).map(|p| p.identity) {
        // nobody is older than who started him: a younger parent has a pid that was given away
        let children = processes.iter().filter(|p| p.parent == parent.pid && p.identity.start >= parent.start);
        family.extend(children.filter(|p| known.insert(p.identity)));
        at += 1;
    }
    family
}

/// What a process started, directly or not, without its own group.
fn beyond_group(leader: Identity) -> Vec<Stat> {
    let processes = all();
    let first = processes.iter().filter(|p| p.identity == leader).copied().collect();
    with_descendants(&processes, first).into_iter().filter(|p| p.runs() && p.group != leader.pid).collect()
}

/// Clock ticks a second, the same for every Linux that reports to programs.
const TICKS: f64 = 100.0;

/// What a component uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time, to 10 ms, of the processes that are there now, since each began.
    pub cpu: Duration,
    /// Resident bytes; what its processes share is counted once, as much of it as one of them has.
    pub memory: u64,
    /// How many processes.
    pub processes: u32,
}

/// When a process was started, in seconds since 1970; none when the kernel does not tell its own start.
#[must_use]
pub fn started(identity: Identity) -> Option<f64> {
    let kernel = fs::read_to_string("/proc/stat").ok()?;
    let booted: f64 = kernel.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "a machine is not up for 2^53 ticks")]
    let ticks = identity.start as f64;
    Some(booted + ticks / TICKS)
}

/// What groups of processes, and what they started, use, by their leaders, from a look at all processes. Zero for those that
/// are gone.
#[must_use]
pub fn usage(processes: &[Stat], leaders: &[Identity]) -> Vec<Usage> {
    let of = |leader: &Identity| {
        let there = processes.iter().any(|process| process.identity == *leader);
        let group = processes.iter().filter(|process| there && process.group == leader.pid).copied().collect();
        let members = with_descendants(processes, group).into_iter().filter(Stat::runs);
        let mut shared = 0;
        let mut usage = members.fold(Usage::default(), |sum, process| {
            let memory = Resident::of(process.identity.pid);
            shared = shared.max(memory.shared);
            Usage {
                cpu: sum.cpu + Duration::from_millis(process.cpu_ticks * 10),
                memory: sum.memory + memory.own,
                processes: sum.processes + 1,
            }
        });
        usage.memory += shared;
        usage
    };
    leaders.iter().map(of).collect()
}

/// One look at all processes (some 2 ms), shared by those who want one at about the same time.
#[derive(Debug, Default)]
pub struct Census(Mutex<Option<(Instant, Arc<Vec<Stat>>)>>);

impl Census {
    /// All processes, at most half a second ago.
    #[must_use]
    pub fn take(&self) -> Arc<Vec<Stat>> {
        const FRESH: Duration = Duration::from_millis(500);
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::instant();
        match &*last {
            Some((at, processes)) if now.duration_since(*at) < FRESH => Arc::clone(processes),
            _ => {
                let processes = Arc::new(all());
                *last = Some((now, Arc::clone(&processes)));
                processes
            }
        }
    }
}

/// Resident bytes of one process.
struct Resident {
    /// What is its own.
    own: u64,
    /// Files and shared memory, which others of its component may have in memory as well: a hundred of PostgreSQL's servers
    /// share one cache.
    shared: u64,
}

impl Resident {
    fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let bytes = |name: &str| {
            let kib = status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse().ok());
            kib.unwrap_or(0_u64) * 1024
        };
        Self { own: bytes("RssAnon:"), shared: bytes("RssFile:") + bytes("RssShmem:") }
    }
}

/// Sends a signal to this very process; nothing happens when it is gone or its pid belongs to somebody else now.
///
/// # Errors
/// When the kernel refuses, for example for lack of rights.
pub fn signal(identity: Identity, signal: Signal) -> io::Result<()> {
    let Some(pid) = i32::try_from(identity.pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
    let gone = |error: rustix::io::Errno| if error == rustix::io::Errno::SRCH { Ok(()) } else { Err(error.into()) };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) if alive(identity) => pidfd_send_signal(handle, signal).or_else(gone),
        Err(rustix::io::Errno::NOSYS) if alive(identity) => rustix::process::kill_process(pid, signal).or_else(gone),
        Err(error) if error != rustix::io::Errno::NOSYS => gone(error),
        _ => Ok(()),
    }
}

/// Sends a signal to the whole group of a leader that is still there.
///
/// # Errors
/// When the kernel refuses.
pub fn signal_group(leader: Identity, signal: Signal) -> io::Result<()> {
    let Some(pid) = i32::try_from(leader.pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
    if stat(leader.pid).is_none_or(|stat| stat.identity != leader) {
        return Ok(());
    }
    match rustix::process::kill_process_group(pid, signal) {
        Err(error) if error != rustix::io::Errno::SRCH => Err(error.into()),
        _ => Ok(()),
    }
}

/// Stops a leader's group and what it started, or lets them go on.
///
/// # Errors
/// When the kernel refuses.
pub fn halt(leader: Identity, halt: Signal) -> io::Result<()> {
    // the leader stands still before the others are listed, so that it starts no more; and goes on after them
    if halt == Signal::STOP {
        signal_group(leader, halt)?;
    }
    beyond_group(leader).iter().try_for_each(|process| signal(process.identity, halt))?;
    if halt == Signal::STOP { Ok(()) } else { signal_group(leader, halt) }
}

/// Processes that belong together, known also when those that started them are gone.
#[derive(Clone, Debug)]
pub struct Family {
    groups: Vec<Identity>,
    mark: (String, String),
    known: BTreeSet<Identity>,
}

impl Family {
    /// The members as they are now; see [`members`].
    #[must_use]
    pub fn of(groups: &[Identity], (name, value): (&str, &str)) -> Self {
        let mark = (name.to_owned(), value.to_owned());
        let mut family = Self { groups: groups.to_vec(), mark, known: BTreeSet::new() };
        family.living();
        family
    }

    /// Those that run: the members of now, and those of before.
    fn living(&mut self) -> Vec<Stat> {
        let now = members(&self.groups, (&self.mark.0, &self.mark.1));
        self.known.extend(now.iter().map(|member| member.identity));
        let there = |identity: &Identity| stat(identity.pid).filter(|stat| stat.identity == *identity && stat.runs());
        self.known.iter().filter_map(there).collect()
    }

    /// Ends every member: continues and asks it to stop, then, after `grace`, kills. Blocks for at most `grace` and 5 s
    /// more. Returns those that are still there.
    #[must_use]
    pub fn end(&mut self, grace: Duration) -> Vec<Stat> {
        let asked = self.living();
        for member in &asked {
            // a refusal shows as a survivor below
            let _ = signal(member.identity, Signal::TERM);
            let _ = signal(member.identity, Signal::CONT);
        }
        if !asked.is_empty() && !grace.is_zero() {
            poll(grace, || self.living().is_empty());
        }
        let mut left = Vec::new();
        poll(Duration::from_secs(5), || {
            left = self.living();
            for member in &left {
                let _ = signal(member.identity, Signal::KILL);
            }
            left.is_empty()
        });
        left
    }
}

/// Ends every member; see [`Family::end`].
#[must_use]
pub fn end(groups: &[Identity], mark: (&str, &str), grace: Duration) -> Vec<Stat> {
    Family::of(groups, mark).end(grace)
}

/// Asks every 20 ms until `done` or the time is over; at least once.
fn poll(limit: Duration, mut done: impl FnMut() -> bool) {
    let end = clock::instant() + limit;
    while !done() && clock::instant() < end {
        clock::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};

    fn shell(script: &str, mark: &str) -> (Child, Identity) {
        let mut command = Command::new("sh");
        command.args(["-c", script]).env(RUN_MARK, mark).process_group(0).stdout(Stdio::null());
        let child = command.spawn().unwrap();
        let identity = stat(child.id()).unwrap().identity;
        (child, identity)
    }

    fn unique(name: &str) -> String {
        format!("test-{name}-{}", std::process::id())
    }

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let text = "7 (a) b) S 1 5 5 0 -1 4194304 0 0 0 0 3 4 0 0 20 0 1 0 12345 100 42 18446744073709551615";
        let stat = parse_stat(text).unwrap();
        assert_eq!(stat.identity, Identity { pid: 7, start: 12345 });
        assert_eq!((stat.parent, stat.group, stat.cpu_ticks), (1, 5, 7));
    }

    #[test]
    fn this_process_is_alive_and_its_predecessor_is_not() {
        assert!(alive(own()));
        assert!(!alive(Identity { start: own().start - 1, ..own() }));
    }

    #[test]
    fn a_reused_pid_is_not_signalled_c49() {
        let mark = unique("reused");
        let (mut child, identity) = shell("exec sleep 600", "somebody else's");
        let recorded = Identity { start: identity.start - 1, ..identity };
        signal(recorded, Signal::KILL).unwrap();
        signal_group(recorded, Signal::KILL).unwrap();
        assert!(end(&[recorded], (RUN_MARK, &mark), Duration::ZERO).is_empty());
        assert!(alive(identity));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn grandchildren_end_with_the_group_also_when_they_ignore_the_request() {
        let mark = unique("grandchildren");
        let (mut child, identity) =
            shell("trap '' TERM; sh -c 'trap \"\" TERM; sleep 600; :' & wait; sleep 600", &mark);
        poll(Duration::from_secs(5), || members(&[identity], (RUN_MARK, &mark)).len() >= 3);
        let survivors = end(&[identity], ("NO_SUCH_MARK", "x"), Duration::from_millis(100));
        assert!(survivors.is_empty(), "{survivors:?}");
        child.wait().unwrap();
        assert!(members(&[], (RUN_MARK, &mark)).is_empty());
    }

    #[test]
    fn a_member_whose_leader_is_gone_is_found_by_its_mark() {
        let mark = unique("orphan");
        let (mut child, identity) = shell("sleep 600 & exit 0", &mark);
        child.wait().unwrap();
        let orphans = members(&[identity], (RUN_MARK, &mark));
        assert_eq!(orphans.len(), 1, "{orphans:?}");
        assert!(end(&[identity], (RUN_MARK, &mark), Duration::from_secs(2)).is_empty());
        assert!(!alive(orphans[0].identity));
    }

    #[test]
    fn a_groups_usage_counts_all_its_processes() {
        let mark = unique("usage");
        let (mut child, identity) = shell("sleep 600 & exec sleep 600", &mark);
        let names = || members(&[identity], (RUN_MARK, &mark)).len();
        poll(Duration::from_secs(5), || names() == 2);
        let gone = Identity { start: identity.start - 1, ..identity };
        let used = usage(&all(), &[identity, gone]);
        assert_eq!((used[0].processes, used[1]), (2, Usage::default()));
        assert!(used[0].memory > 100_000);
        assert!(end(&[identity], (RUN_MARK, &mark), Duration::from_secs(2)).is_empty());
        child.wait().unwrap();
    }

    /// A shell whose child has a session of its own and nothing of its environment, as PostgreSQL's servers have.
    fn with_a_stranger(mark: &str) -> (Child, Identity, Identity) {
        let (child, leader) = shell("setsid env -i sleep 600 & wait", mark);
        let mut stranger = None;
        poll(Duration::from_secs(5), || {
            let name = |pid: u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            stranger = beyond_group(leader).iter().map(|p| p.identity).find(|it| name(it.pid) == "sleep\n");
            stranger.is_some()
        });
        (child, leader, stranger.unwrap())
    }

    #[test]
    fn who_left_the_group_and_lost_the_mark_ends_with_those_that_started_it() {
        let mark = unique("stranger");
        let (mut child, leader, stranger) = with_a_stranger(&mark);
        assert!(!carries(stranger.pid, RUN_MARK, &mark));
        assert_ne!(stat(stranger.pid).unwrap().group, leader.pid);
        assert_eq!(usage(&all(), &[leader])[0].processes, 2);
        assert!(end(&[leader], (RUN_MARK, &mark), Duration::ZERO).is_empty());
        assert!(!alive(stranger));
        child.wait().unwrap();
    }

    #[test]
    fn who_was_known_ends_also_after_those_that_started_it_are_gone() {
        let mark = unique("orphaned-stranger");
        let (mut child, leader, stranger) = with_a_stranger(&mark);
        let mut family = Family::of(&[leader], (RUN_MARK, &mark));
        signal_group(leader, Signal::KILL).unwrap();
        child.wait().unwrap();
        assert!(alive(stranger) && members(&[leader], (RUN_MARK, &mark)).is_empty());
        assert!(family.end(Duration::ZERO).is_empty());
        assert!(!alive(stranger));
    }

    #[test]
    fn a_halt_reaches_who_left_the_group() {
        let mark = unique("halted-stranger");
        let (mut child, leader, stranger) = with_a_stranger(&mark);
        let state = |identity: Identity| stat(identity.pid).map(|stat| stat.state);
        halt(leader, Signal::STOP).unwrap();
        poll(Duration::from_secs(5), || state(stranger) == Some('T') && state(leader) == Some('T'));
        assert_eq!((state(stranger), state(leader)), (Some('T'), Some('T')));
        halt(leader, Signal::CONT).unwrap();
        poll(Duration::from_secs(5), || state(stranger) == Some('S') && state(leader) == Some('S'));
        assert_eq!((state(stranger), state(leader)), (Some('S'), Some('S')));
        assert!(end(&[leader], (RUN_MARK, &mark), Duration::ZERO).is_empty());
        child.wait().unwrap();
    }

    #[test]
    fn a_stopped_process_ends_too() {
        let mark = unique("stopped");
        let (mut child, identity) = shell("exec sleep 600", &mark);
        signal_group(identity, Signal::STOP).unwrap();
        poll(Duration::from_secs(5), || stat(identity.pid).is_some_and(|stat| stat.state == 'T'));
        assert!(end(&[identity], (RUN_MARK, &mark), Duration::from_secs(2)).is_empty());
        child.wait().unwrap();
    }
}
