//! Prometheus durations (`1h30m`, `250ms`, `0`) and how a time scale shortens them. Fed by every parser and rewriter of
//! `plan::scale`; read by `plan::bound`.

use std::fmt;
use std::time::Duration;

/// The shortest scrape or evaluation interval at which Prometheus still keeps timestamps on the grid (measured).
pub const SHORTEST_TICK: Duration = Duration::from_millis(250);

const UNITS: [(&str, u64); 7] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
    ("y", 31_536_000_000),
];

/// Production seconds per real second; 1 runs everything as written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale(f64);

/// A factor that is no time scale.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("use the time scale {0}: it must be a finite number of at least 1, for example 60")]
pub struct NotAScale(f64);

/// Which way a shortened duration that is no whole millisecond goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Down, as ranges do: the same samples of a whole-millisecond grid stay inside.
    Down,
    /// Up, as `for` does: the same number of evaluations is waited for.
    Up,
}

/// A duration after division by the scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortened {
    /// Whole milliseconds, at least one unless it was zero.
    pub duration: Duration,
    /// Whether the division had no remainder.
    pub exact: bool,
}

impl Scale {
    /// The identity: production time.
    pub const ONE: Self = Self(1.0);

    /// A scale of `factor` production seconds per real second.
    ///
    /// # Errors
    /// When the factor is below 1 or not finite.
    pub fn new(factor: f64) -> Result<Self, NotAScale> {
        if factor.is_finite() && factor >= 1.0 { Ok(Self(factor)) } else { Err(NotAScale(factor)) }
    }

    /// Production seconds per real second.
    #[must_use]
    pub const fn factor(self) -> f64 {
        self.0
    }

    /// Whether everything runs as written.
    #[must_use]
    #[expect(clippy::float_cmp, reason = "the identity is exactly one")]
    pub fn is_identity(self) -> bool {
        self.0 == 1.0
    }

    /// `duration` divided by the scale, in whole milliseconds.
    #[must_use]
    pub fn shorten(self, duration: Duration, rounding: Rounding) -> Shortened {
        if self.is_identity() || duration.is_zero() {
            return Shortened { duration, exact: true };
        }
        let millis = duration.as_secs_f64() * 1000.0 / self.0;
        let nearest = millis.round();
        let exact = (millis - nearest).abs() < 1e-6 && nearest >= 1.0;
        let whole = match (exact, rounding) {
            (true, _) => nearest,
            (false, Rounding::Down) => millis.floor(),
            (false, Rounding::Up) => millis.ceil(),
        };
        Shortened { duration: millis_to_duration(whole.max(1.0)), exact }
    }

    /// The largest whole scale at which `interval` stays at least [`SHORTEST_TICK`] and a whole number of milliseconds.
    #[must_use]
    pub fn largest_for(interval: Duration) -> u64 {
        let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        let highest = millis / 250;
        (1..=highest).rev().find(|scale| millis.is_multiple_of(*scale)).unwrap_or(1)
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, positive and far below 2^53")]
fn millis_to_duration(millis: f64) -> Duration {
    Duration::from_millis(millis as u64)
}

/// Reads a Prometheus duration: descending units without repetition, or `0`. None for anything else.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total: u64 = 0;
    let mut last_unit = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let value: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (_, unit) = *UNITS.iter().find(|(name, _)| *name == &rest[..letters])?;
        if unit >= last_unit {
            return None;
        }
        last_unit = unit;
        total = total.checked_add(value.checked_mul(unit)?)?;
        rest = &rest[letters..];
    }
    (!text.is_empty()).then(|| Duration::from_millis(total))
}

/// Writes a duration in the largest single unit that is exact (`90s`, `1500ms`, `5m`), in several where that would be five
/// digits or more; days and more are never used.
#[must_use]
pub fn print(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    let (name, unit) =
        UNITS[..4].iter().rev().find(|(_, unit)| millis.is_multiple_of(u128::from(*unit))).unwrap_or(&UNITS[0]);
    if millis / u128::from(*unit) < 10_000 || *unit == UNITS[3].1 {
        return format!("{}{name}", millis / u128::from(*unit));
    }
    let parts = [(UNITS[3], u128::MAX), (UNITS[2], 60), (UNITS[1], 60), (UNITS[0], 1000)];
    let counts = parts.map(|((name, unit), modulus)| (name, millis / u128::from(unit) % modulus));
    counts.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count}{name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_prometheus_reads_them() {
        let seconds = |text: &str| parse(text).map(|duration| duration.as_secs_f64());
        assert_eq!(seconds("1h30m"), Some(5400.0));
        assert_eq!(seconds("250ms"), Some(0.25));
        assert_eq!(seconds("0"), Some(0.0));
        assert_eq!(seconds("0m"), Some(0.0));
        assert_eq!(seconds("1y2w3d"), Some(31_536_000.0 + 1_209_600.0 + 259_200.0));
        for text in ["", "5", "m", "1m1h", "5m5m", "-5s", "1.5h", "5 m", "99999999999999999999s", "18446744073709551y"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn printing_uses_one_exact_unit() {
        for (millis, text) in [
            (5_000, "5s"),
            (1_500, "1500ms"),
            (0, "0s"),
            (90_000, "90s"),
            (4_332_342_857, "1203h25m42s857ms"),
            (86_400_000, "24h"),
        ] {
            assert_eq!(print(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn shortening_rounds_for_up_and_ranges_down() {
        let scale = Scale::new(60.0).unwrap();
        let ten = Duration::from_secs(10);
        assert_eq!(scale.shorten(ten, Rounding::Up).duration, Duration::from_millis(167));
        assert_eq!(scale.shorten(ten, Rounding::Down).duration, Duration::from_millis(166));
        let five = scale.shorten(Duration::from_secs(300), Rounding::Up);
        assert_eq!(five, Shortened { duration: Duration::from_secs(5), exact: true });
        assert_eq!(scale.shorten(Duration::from_millis(1), Rounding::Down).duration, Duration::from_millis(1));
        assert!(Scale::ONE.shorten(ten, Rounding::Up).exact);
    }

    #[test]
    fn a_scale_below_one_is_refused() {
        for factor in [0.0, 0.5, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Scale::new(factor).is_err());
        }
        assert_eq!(Scale::largest_for(Duration::from_secs(15)), 60);
        assert_eq!(Scale::largest_for(Duration::from_secs(10)), 40);
    }
}
