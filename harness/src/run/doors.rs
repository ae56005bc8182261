//! What a scenario passes before it begins: a place among those that run, the turn to start a stack, and, with containers, room
//! on this machine. A stack that starts where there is none takes the time of those under drill, and a starved drill proves
//! nothing.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use crate::stack::provider::Provider;

/// What a stack needs to start, in cores.
const NEEDED: f64 = 0.5;
/// The time over which the machine is watched.
const OVER: Duration = Duration::from_secs(1);

/// Processor time since the machine's start, in ticks of whatever length, over all cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticks {
    all: u64,
    /// Without a process that runs.
    free: u64,
}

impl Ticks {
    /// The first line of `/proc/stat`: `cpu user nice system idle iowait irq softirq steal …`. What guests use is counted
    /// as `user` already.
    fn read(stat: &str) -> Option<Self> {
        let words = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
        let numbers: Vec<u64> = words.take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
        let [_, _, _, idle, waiting, ..] = numbers[..] else { return None };
        Some(Self { all: numbers.iter().sum(), free: idle + waiting })
    }

    fn now() -> Option<Self> {
        Self::read(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// How much of the time between the two was free, 0 to 1; none without time between them.
    fn free_since(self, earlier: Self) -> Option<f64> {
        let (all, free) = (self.all.checked_sub(earlier.all)?, self.free.checked_sub(earlier.free)?);
        #[expect(clippy::cast_precision_loss, reason = "ticks of a second are few")]
        (all > 0).then(|| free as f64 / all as f64)
    }
}

/// Waits until half a core was free for a second; where the machine does not say, not at all.
async fn room(cores: usize) {
    #[expect(clippy::cast_precision_loss, reason = "cores are few")]
    let cores = cores as f64;
    let Some(mut before) = Ticks::now() else { return };
    loop {
        sleep(OVER).await;
        let Some(now) = Ticks::now() else { return };
        match now.free_since(before) {
            Some(free) if free * cores < NEEDED => before = now,
            _ => return,
        }
    }
}

/// The doors of one run.
pub(super) struct Doors {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    inside: Arc<()>,
    cores: usize,
    /// Containers start in bursts of processes that belong to nobody's limits.
    bursts: bool,
}

/// A place inside; its end makes room for another.
pub(super) struct Inside {
    _place: OwnedSemaphorePermit,
    _inside: Arc<()>,
}

impl Doors {
    /// For `jobs` scenarios at a time. Stacks in containers start one after the other for every two cores, for they are ready
    /// sooner than all together.
    pub(super) fn new(jobs: usize, provider: &Provider) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let bursts = matches!(provider, Provider::Docker(_));
        let turns = if bursts { cores.div_ceil(2) } else { jobs.max(1) };
        let [places, turns] = [jobs.max(1), turns].map(|permits| Arc::new(Semaphore::new(permits)));
        Self { places, turns, inside: Arc::default(), cores, bursts }
    }

    /// Waits for a place, for the turn to start a stack, and for room to do so, which whoever is alone has. The turn is to be
    /// given back when the stack has started.
    pub(super) async fn pass(&self) -> (Inside, OwnedSemaphorePermit) {
        let closed = "the semaphore is never closed";
        let place = Arc::clone(&self.places).acquire_owned().await.expect(closed);
        let turn = Arc::clone(&self.turns).acquire_owned().await.expect(closed);
        if self.bursts && Arc::strong_count(&self.inside) > 1 {
            room(self.cores).await;
        }
        (Inside { _place: place, _inside: Arc::clone(&self.inside) }, turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(line: &str) -> Ticks {
        Ticks::read(line).unwrap()
    }

    #[test]
    fn idle_and_waiting_time_is_free_stolen_time_is_not() {
        let before = ticks("cpu  100 10 50 800 40 0 0 0 7 7\ncpu0 1 2 3 4 5 6 7 8 9 10\n");
        let after = ticks("cpu  130 20 60 820 50 5 5 10 9 9\n");
        assert_eq!(before, Ticks { all: 1000, free: 840 });
        // 30 user, 10 nice, 10 system, 20 idle, 10 waiting, 5 + 5 interrupts, 10 stolen
        assert_eq!(after.free_since(before), Some(0.3));
    }

    #[test]
    fn without_time_or_with_a_counter_that_went_back_nothing_is_known() {
        let one = ticks("cpu  100 10 50 800 40 0 0 0 0 0");
        assert_eq!(one.free_since(one), None);
        assert_eq!(ticks("cpu  1 1 1 1 1 0 0 0").free_since(one), None);
        assert_eq!(Ticks::read("intr 1 2 3"), None);
        assert_eq!(Ticks::read("cpu  1 2"), None);
    }
}
