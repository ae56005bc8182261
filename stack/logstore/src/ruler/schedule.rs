//! When a group is evaluated: on a grid of its interval, shifted by a hash of its name so that groups do not start together.

use crate::clock::Nanos;

/// The grid of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    interval: Nanos,
    offset: Nanos,
}

impl Schedule {
    /// The grid of the group `name` of `file`; an interval below a millisecond counts as one.
    pub(super) fn new(file: &str, name: &str, interval: Nanos) -> Self {
        let interval = interval.max(1_000_000);
        let hash = fnv(fnv(0xcbf2_9ce4_8422_2325, file.as_bytes()), name.as_bytes());
        let offset = i64::try_from(hash >> 1).unwrap_or(0) % interval;
        Self { interval, offset }
    }

    /// The first evaluation after `now`.
    pub(super) fn first(self, now: Nanos) -> Nanos {
        now - (now - self.offset).rem_euclid(self.interval) + self.interval
    }

    /// The evaluation after the one at `last`, which ended at `now`, and how many came and went meanwhile.
    pub(super) fn next(self, last: Nanos, now: Nanos) -> (Nanos, u64) {
        let missed = ((now - last) / self.interval - 1).max(0);
        (last + (missed + 1) * self.interval, u64::try_from(missed).unwrap_or(0))
    }
}

fn fnv(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SECOND;

    #[test]
    fn evaluations_lie_on_one_grid_whenever_the_ruler_starts() {
        let schedule = Schedule::new("f.yml", "g", 10 * SECOND);
        let first = schedule.first(1_000 * SECOND);
        assert!(first > 1_000 * SECOND && first <= 1_010 * SECOND);
        assert_eq!((schedule.first(1_234_567_890) - first) % (10 * SECOND), 0);
        assert_eq!(schedule.first(first), first + 10 * SECOND);
        assert_ne!(schedule.offset, Schedule::new("f.yml", "h", 10 * SECOND).offset);
    }

    #[test]
    fn evaluations_that_came_while_one_ran_are_missed_and_counted() {
        let schedule = Schedule { interval: 10, offset: 0 };
        for (ended, next) in
            [(101, (110, 0)), (109, (110, 0)), (110, (110, 0)), (119, (110, 0)), (120, (120, 1)), (135, (130, 2))]
        {
            assert_eq!(schedule.next(100, ended), next, "{ended}");
        }
    }
}
