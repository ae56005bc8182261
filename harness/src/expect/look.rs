//! What judges share: coverage as proof for a negative, and times shown as an author wrote them.

use std::fmt::Write as _;
use std::time::Duration;

use super::Labels;
use crate::clock::Stamp;

/// When something was evaluated or scraped: the proof that "nothing seen" is not "nobody looked".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// The interval at which it should happen.
    pub interval: Duration,
    /// When it did, ascending, without duplicates.
    pub at: Vec<Stamp>,
    /// Restarts of the observed server, which forget state.
    pub restarts: Vec<Stamp>,
}

impl Coverage {
    /// From stamps in any order, with duplicates.
    #[must_use]
    pub fn new(interval: Duration, mut at: Vec<Stamp>) -> Self {
        at.sort_unstable();
        at.dedup();
        Self { interval, at, restarts: Vec::new() }
    }

    /// Closes the holes of a stretch for which the server itself states that it missed nothing.
    pub fn fill(&mut self, from: Stamp, to: Stamp) {
        if self.interval.is_zero() {
            return;
        }
        let mut stated = Vec::new();
        let mut last = from;
        for at in self.at.iter().copied().filter(|at| *at >= from && *at <= to).chain([to]) {
            while at.since(last) > self.interval * 3 / 2 {
                last = last + self.interval;
                stated.push(last);
            }
            last = at;
        }
        self.at.extend(stated);
        self.at.sort_unstable();
        self.at.dedup();
    }

    /// How many there were in a window.
    #[must_use]
    pub fn count(&self, start: Stamp, end: Stamp) -> usize {
        self.at.iter().filter(|at| **at >= start && **at <= end).count()
    }

    /// The first restart of the observed server in a window.
    #[must_use]
    pub fn restarted(&self, start: Stamp, end: Stamp) -> Option<Stamp> {
        self.restarts.iter().copied().find(|at| *at >= start && *at <= end)
    }

    /// The first hole in a window, in words: more than two and a half intervals without an evaluation (one missed, and half
    /// an interval for the phase), or a restart.
    #[must_use]
    pub fn gap(&self, start: Stamp, end: Stamp) -> Option<String> {
        if self.interval.is_zero() || self.at.is_empty() {
            return Some("nothing was evaluated or scraped at all".to_owned());
        }
        if let Some(restart) = self.restarted(start, end) {
            return Some(format!("the server restarted {:.1} s into the window", restart.seconds_from(start)));
        }
        let allowed = self.interval * 5 / 2;
        let mut last = start;
        for at in self.at.iter().copied().filter(|at| *at >= start && *at <= end).chain([end]) {
            if at.since(last) > allowed {
                let missing = at.since(last).as_secs_f64();
                let from = last.seconds_from(start);
                let every = self.interval.as_secs_f64();
                return Some(format!(
                    "there is a hole of {missing:.2} s from {from:.2} s into the window, where one is due every {every} s"
                ));
            }
            last = at;
        }
        None
    }
}

/// Shows real time as production time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaledTime {
    /// Production seconds per real second.
    pub scale: f64,
}

impl ScaledTime {
    /// A length of real time as production time, for example `3m24s`.
    #[must_use]
    pub fn length(self, real: Duration) -> String {
        show_duration(real.as_secs_f64() * self.scale)
    }

    /// When something came, seen from a fault's end: `3m after its end`, `20s before its end was proved`.
    #[must_use]
    pub fn around_end(self, end: Stamp, at: Stamp) -> String {
        if at >= end {
            format!("{} after its end", self.length(at.since(end)))
        } else {
            format!("{} before its end was proved", self.length(end.since(at)))
        }
    }

    /// The time from `origin` to `at` as production time, signed.
    #[must_use]
    pub fn from(self, origin: Stamp, at: Stamp) -> String {
        show_duration(at.seconds_from(origin) * self.scale)
    }
}

/// Seconds as people write them: `1h05m`, `3m24s`, `12.5s`, `250ms`.
#[must_use]
pub fn show_duration(seconds: f64) -> String {
    let sign = if seconds < 0.0 { "-" } else { "" };
    let seconds = seconds.abs();
    if seconds < 1.0 {
        return format!("{sign}{:.0}ms", seconds * 1e3);
    }
    if seconds < 60.0 {
        let text = format!("{seconds:.1}");
        return format!("{sign}{}s", text.strip_suffix(".0").unwrap_or(&text));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "shown to people; positive and small")]
    let whole = seconds.round() as u64;
    match (whole / 3600, whole % 3600 / 60, whole % 60) {
        (0, minutes, 0) => format!("{sign}{minutes}m"),
        (0, minutes, rest) => format!("{sign}{minutes}m{rest:02}s"),
        (hours, 0, 0) => format!("{sign}{hours}h"),
        (hours, minutes, 0) => format!("{sign}{hours}h{minutes:02}m"),
        (hours, minutes, rest) => format!("{sign}{hours}h{minutes:02}m{rest:02}s"),
    }
}

/// Labels as PromQL writes them.
#[must_use]
pub fn show_labels(labels: &Labels) -> String {
    let mut text = String::from("{");
    for (index, (name, value)) in labels.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(text, "{comma}{name}={value:?}").expect("writing to a string cannot fail");
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (seconds, text) in [
            (0.25, "250ms"),
            (12.5, "12.5s"),
            (59.0, "59s"),
            (60.0, "1m"),
            (204.0, "3m24s"),
            (3900.0, "1h05m"),
            (7200.0, "2h"),
            (-90.0, "-1m30s"),
        ] {
            assert_eq!(show_duration(seconds), text);
        }
    }

    #[test]
    fn a_stretch_the_server_vouches_for_has_no_holes_and_nothing_beyond_it_is_touched() {
        let second = |n: i64| Stamp(n * 1_000_000);
        let mut coverage = Coverage::new(Duration::from_secs(1), [1, 2, 8, 9, 20].map(second).to_vec());
        coverage.fill(second(1), second(9));
        assert_eq!(coverage.gap(second(1), second(9)), None);
        assert_eq!(coverage.count(second(1), second(9)), 9);
        assert!(coverage.gap(second(9), second(20)).is_some());
    }

    #[test]
    fn a_missed_evaluation_is_tolerated_and_two_are_a_hole() {
        let second = |n: i64| Stamp(n * 1_000_000);
        let coverage = Coverage::new(Duration::from_secs(1), [1, 2, 4, 5, 8, 9].map(second).to_vec());
        assert_eq!(coverage.gap(second(1), second(5)), None, "3 is missing alone");
        assert!(coverage.gap(second(1), second(9)).is_some(), "6 and 7 are missing");
        assert!(coverage.gap(second(9), second(20)).is_some(), "the end of the window is not covered");
        assert!(Coverage::default().gap(second(0), second(1)).is_some(), "nothing at all is no coverage");
    }
}
