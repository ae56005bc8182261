//! The generator watching itself: what it cannot send on time or at all says nothing about the service. Fed by `engine`
//! once a second, ends up in `Summary::saturation`.

use std::fmt;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::distribution::Distribution;
use super::ledger::ErrorClass;
use super::recorder::Totals;

/// A second in which the engine's thread used more than this share of a core counts as fully used.
const CPU_LIMIT: f64 = 0.95;
/// Beyond this share of file descriptors or ports the end is near.
const SUPPLY_LIMIT: f64 = 0.95;
/// A gap between the clock that counts suspension and the one that does not, beyond which the machine slept.
const SUSPENSION_LIMIT: Duration = Duration::from_secs(1);

/// What limited the generator.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Saturation {
    /// The limits that were exceeded; at least one.
    pub limits: Vec<Limit>,
}

/// A limit of the generator that was exceeded.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Limit {
    /// Requests were sent too long after their intended start.
    Lag {
        /// The 99th percentile of the lag.
        p99: Duration,
        /// What is allowed.
        limit: Duration,
    },
    /// The engine's thread had no time left in at least one second.
    Cpu {
        /// Seconds in which it had none.
        seconds: u64,
        /// The largest share of a core.
        share: f64,
    },
    /// File descriptors.
    FileDescriptors {
        /// Open in this process.
        used: u64,
        /// Allowed in this process.
        limit: u64,
    },
    /// Local ports.
    Ports {
        /// In use or waiting (`TIME_WAIT`) on this machine.
        used: u64,
        /// In the ephemeral range.
        available: u64,
    },
    /// Requests failed for want of descriptors, ports or memory.
    Refused {
        /// How many.
        requests: u64,
    },
    /// The machine was suspended.
    Suspended {
        /// For how long.
        lasted: Duration,
    },
}

impl fmt::Display for Saturation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, limit) in self.limits.iter().enumerate() {
            write!(f, "{}{limit}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lag { p99, limit } => {
                write!(f, "requests were sent late: 99th percentile of the lag {p99:?}, limit {limit:?}")
            }
            Self::Cpu { seconds, share } => {
                write!(f, "the load thread used up its core in {seconds} s (up to {:.0} %)", share * 100.0)
            }
            Self::FileDescriptors { used, limit } => write!(f, "{used} of {limit} file descriptors in use"),
            Self::Ports { used, available } => write!(f, "{used} of {available} local ports in use"),
            Self::Refused { requests } => {
                write!(f, "{requests} requests failed for want of file descriptors, ports or memory")
            }
            Self::Suspended { lasted } => write!(f, "the machine was suspended for {lasted:?}"),
        }
    }
}

/// Whether the model is paced, so that lag and a full core matter, or goes at full speed on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pacing {
    Paced,
    FullSpeed,
}

/// Raises the soft limit of file descriptors, as far as the hard one allows, if so many connections would not fit: many
/// systems begin with 1,024 and leave it to programs to ask for more.
pub(super) fn make_room(connections: usize) {
    /// For everything else the process has open.
    const OTHERS: u64 = 256;
    let limit = getrlimit(Resource::Nofile);
    let wanted = connections as u64 + open_descriptors() + OTHERS;
    if limit.current.is_some_and(|current| current < wanted) {
        let current = Some(limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)));
        // if it cannot be raised, requests that find no descriptor are counted as the client's fault
        let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum: limit.maximum });
    }
}

/// Lets this thread go before others of the machine, where this user may: what the generator is late, everything is late that it
/// measures. It uses hundredths of a core, so that nobody waits for it.
pub(super) fn go_before() {
    /// In steps of Linux's `nice`, each a quarter more weight.
    const STEPS: i32 = -10;
    // who may not is late when the machine is busy, and says so
    let _ = rustix::process::nice(STEPS);
}

/// Looks at the process once a second.
#[derive(Debug)]
pub(super) struct Watch {
    pacing: Pacing,
    lag_limit: Duration,
    cpu: Duration,
    at: Duration,
    busy_seconds: u64,
    top_share: f64,
    descriptors: Supply,
    ports: Supply,
    clocks_at_start: Clocks,
    asleep: Duration,
}

/// The clock that counts while the machine is suspended beside the one that does not; neither follows the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clocks {
    monotonic: Duration,
    boottime: Duration,
}

impl Clocks {
    fn read() -> Self {
        // in this order, so that what passes between the two readings is never taken for suspension at the start
        let boottime = duration(clock_gettime(ClockId::Boottime));
        Self { boottime, monotonic: duration(clock_gettime(ClockId::Monotonic)) }
    }

    /// For how long the machine was suspended since `earlier`.
    fn suspended_since(self, earlier: Self) -> Duration {
        let all = self.boottime.saturating_sub(earlier.boottime);
        all.saturating_sub(self.monotonic.saturating_sub(earlier.monotonic))
    }
}

/// Something of which there is only so much; the worst that was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Supply {
    used: u64,
    limit: u64,
}

impl Supply {
    fn observe(&mut self, used: u64, limit: Option<u64>) {
        if let Some(limit) = limit.filter(|_| used >= self.used) {
            *self = Self { used, limit };
        }
    }

    fn is_short(self) -> bool {
        self.limit > 0 && self.used as f64 >= self.limit as f64 * SUPPLY_LIMIT
    }
}

impl Watch {
    /// Must be called on the thread it watches.
    pub(super) fn new(pacing: Pacing, lag_limit: Duration) -> Self {
        Self {
            pacing,
            lag_limit,
            cpu: cpu_time(),
            at: Duration::ZERO,
            busy_seconds: 0,
            top_share: 0.0,
            descriptors: Supply::default(),
            ports: Supply::default(),
            clocks_at_start: Clocks::read(),
            asleep: Duration::ZERO,
        }
    }

    /// Looks again; `now` since the load's start.
    pub(super) fn look(&mut self, now: Duration) {
        let (elapsed, cpu) = (now.saturating_sub(self.at), cpu_time());
        if elapsed >= Duration::from_millis(500) {
            let share = cpu.saturating_sub(self.cpu).as_secs_f64() / elapsed.as_secs_f64();
            self.busy_seconds += u64::from(share >= CPU_LIMIT);
            self.top_share = self.top_share.max(share);
        }
        (self.at, self.cpu) = (now, cpu);
        self.descriptors.observe(open_descriptors(), getrlimit(Resource::Nofile).current);
        self.ports.observe(ports_in_use().unwrap_or(0), ports_available());
        self.asleep = Clocks::read().suspended_since(self.clocks_at_start);
    }

    /// What was exceeded so far.
    pub(super) fn judge(&self, totals: &Totals) -> Option<Saturation> {
        let mut limits = Vec::new();
        if self.pacing == Pacing::Paced {
            limits.extend(lag_exceeded(&totals.lag, self.lag_limit));
            let share = self.top_share;
            limits.extend((self.busy_seconds > 0).then_some(Limit::Cpu { seconds: self.busy_seconds, share }));
        }
        let Supply { used, limit } = self.descriptors;
        limits.extend(self.descriptors.is_short().then_some(Limit::FileDescriptors { used, limit }));
        let Supply { used, limit: available } = self.ports;
        limits.extend(self.ports.is_short().then_some(Limit::Ports { used, available }));
        let refused = totals.errors.get(&ErrorClass::Client).copied();
        limits.extend(refused.map(|requests| Limit::Refused { requests }));
        limits.extend((self.asleep >= SUSPENSION_LIMIT).then_some(Limit::Suspended { lasted: self.asleep }));
        (!limits.is_empty()).then_some(Saturation { limits })
    }
}

/// The lag as a limit, if its 99th percentile exceeds it.
#[must_use]
pub fn lag_exceeded(lag: &Distribution, limit: Duration) -> Option<Limit> {
    lag.quantile(0.99).filter(|p99| *p99 > limit).map(|p99| Limit::Lag { p99, limit })
}

fn cpu_time() -> Duration {
    duration(clock_gettime(ClockId::ThreadCPUTime))
}

fn duration(time: rustix::time::Timespec) -> Duration {
    Duration::try_from(time).unwrap_or_default()
}

/// Newer kernels tell the number as the folder's size; counting thousands of entries would make requests late.
fn open_descriptors() -> u64 {
    match std::fs::metadata("/proc/self/fd").map_or(0, |folder| folder.len()) {
        0 => std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64),
        count => count,
    }
}

fn ports_in_use() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/net/sockstat").ok()?;
    let tcp: Vec<&str> = text.lines().find(|line| line.starts_with("TCP:"))?.split_whitespace().collect();
    let value = |name| tcp.iter().skip_while(|word| **word != name).nth(1)?.parse::<u64>().ok();
    // on loopback both ends of a connection are counted as in use, and only one holds an ephemeral port
    Some(value("inuse")? / 2 + value("tw")?)
}

fn ports_available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut bounds = text.split_whitespace().map(str::parse::<u64>);
    let (low, high) = (bounds.next()?.ok()?, bounds.next()?.ok()?);
    Some(high.saturating_sub(low) + 1)
}

#[cfg(test)]
mod tests {
    use super::super::distribution::Precision;
    use super::super::recorder::Recorder;
    use super::*;

    fn recorder(lag: Duration) -> Recorder {
        let mut recorder = Recorder::new(1, 4_096, Duration::ZERO);
        (0..100_u32).for_each(|second| {
            recorder.started(0, Duration::from_secs(1) * second, Duration::from_secs(1) * second + lag)
        });
        recorder
    }

    #[test]
    fn lag_beyond_the_limit_is_saturation_when_paced_and_only_then_l06() {
        let late = recorder(Duration::from_millis(30));
        let judge = |pacing, recorder: &Recorder| Watch::new(pacing, Duration::from_millis(25)).judge(&recorder.totals);
        let saturation = judge(Pacing::Paced, &late).unwrap();
        assert!(matches!(saturation.limits[..], [Limit::Lag { p99, .. }] if p99 >= Duration::from_millis(30)));
        assert_eq!(judge(Pacing::FullSpeed, &late), None);
        assert_eq!(judge(Pacing::Paced, &recorder(Duration::from_millis(20))), None);
    }

    #[test]
    fn a_suspension_of_the_machine_is_saturation_and_a_minute_awake_is_not_l13() {
        let second = Duration::from_secs(1);
        let start = Clocks { monotonic: 100 * second, boottime: 7_100 * second };
        let awake = Clocks { monotonic: 160 * second, boottime: 7_160 * second };
        let slept = Clocks { monotonic: 160 * second, boottime: 7_190 * second };
        assert_eq!((awake.suspended_since(start), slept.suspended_since(start)), (Duration::ZERO, 30 * second));
        let mut watch = Watch::new(Pacing::Paced, Duration::from_millis(25));
        let judge = |watch: &Watch| watch.judge(&recorder(Duration::ZERO).totals);
        watch.asleep = awake.suspended_since(start);
        assert_eq!(judge(&watch), None);
        watch.asleep = slept.suspended_since(start);
        assert_eq!(judge(&watch).unwrap().limits, [Limit::Suspended { lasted: 30 * second }]);
        assert!(Clocks::read().suspended_since(Clocks::read()) < second);
    }

    #[test]
    fn the_machine_can_be_looked_at() {
        let mut watch = Watch::new(Pacing::Paced, Duration::from_millis(25));
        watch.look(Duration::from_secs(1));
        assert!(watch.descriptors.used > 2 && watch.descriptors.limit >= watch.descriptors.used);
        assert!(watch.ports.limit > 1_000);
        assert_eq!(lag_exceeded(&Distribution::new(Precision::Fine), Duration::ZERO), None);
    }
}
