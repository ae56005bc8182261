//! Lengths and points in time as people read them. Scenario time is production time; real time is divided by the scale.

use std::time::Duration;

use crate::clock::Stamp;

/// A length in the unit that fits: `850 ms`, `2.4 s`, `45 s`, `7m 20s`, `2h 5m`.
#[must_use]
pub(in crate::report) fn show(length: Duration) -> String {
    let seconds = length.as_secs_f64();
    if seconds < 0.000_5 {
        "0 s".to_owned()
    } else if seconds < 0.999_5 {
        format!("{:.0} ms", seconds * 1e3)
    } else if seconds < 9.95 {
        trim(format!("{seconds:.1}")) + " s"
    } else if seconds < 59.5 {
        format!("{seconds:.0} s")
    } else {
        long(whole(seconds))
    }
}

fn long(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes, rest) {
        (0, _, 0) => format!("{minutes}m"),
        (0, ..) => format!("{minutes}m {rest}s"),
        (_, 0, _) => format!("{hours}h"),
        _ => format!("{hours}h {minutes}m"),
    }
}

/// A latency given in microseconds: `840 µs`, `2.4 ms`, `45 ms`, `1.2 s`.
#[must_use]
pub(in crate::report) fn micros(micros: u64) -> String {
    if micros < 1000 {
        format!("{micros} µs")
    } else if micros < 10_000 {
        #[expect(clippy::cast_precision_loss, reason = "below ten thousand")]
        let millis = micros as f64 / 1e3;
        trim(format!("{millis:.1}")) + " ms"
    } else {
        show(Duration::from_micros(micros))
    }
}

/// A share of a whole in percent; empty without a whole.
#[must_use]
pub(in crate::report) fn share(part: u64, whole: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a share shown with two digits")]
    let percent = part as f64 / whole as f64 * 100.0;
    match whole {
        0 => String::new(),
        _ if part == 0 => "0 %".to_owned(),
        _ if part == whole => "100 %".to_owned(),
        _ if percent < 0.01 => "< 0.01 %".to_owned(),
        _ if percent > 99.99 => "> 99.99 %".to_owned(),
        _ => format!("{percent:.2} %"),
    }
}

/// A count with thousands set apart: `12 345`.
#[must_use]
pub(in crate::report) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push('\u{202f}');
        }
        shown.push(digit);
    }
    shown
}

/// Memory: `34 MiB`.
#[must_use]
pub(in crate::report) fn bytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a size shown to people")]
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib < 10.0 { format!("{mib:.1} MiB") } else { format!("{mib:.0} MiB") }
}

/// Date and time in UTC: `2026-11-20 10:38:48`.
#[must_use]
pub(in crate::report) fn date(stamp: Stamp) -> String {
    timestamp(stamp).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Time of day in UTC with milliseconds: `10:38:48.123`.
#[must_use]
pub(in crate::report) fn time(stamp: Stamp) -> String {
    timestamp(stamp).strftime("%H:%M:%S.%3f").to_string()
}

/// RFC 3339 in UTC with microseconds, for machines.
#[must_use]
pub(in crate::report) fn rfc3339(stamp: Stamp) -> String {
    timestamp(stamp).strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

fn timestamp(stamp: Stamp) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(stamp.0).unwrap_or_default()
}

/// An origin and a scale: turns stamps into production time from that origin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ruler {
    /// What is called zero.
    pub origin: Stamp,
    /// Production seconds per real second.
    pub scale: f64,
}

impl Ruler {
    /// Production time from the origin, signed: `+3m 20s`, `−45 s`, `0 s`.
    #[must_use]
    pub fn production(&self, stamp: Stamp) -> String {
        signed(stamp.seconds_from(self.origin) * self.scale)
    }

    /// Real time from the origin, signed.
    #[must_use]
    pub fn real(&self, stamp: Stamp) -> String {
        signed(stamp.seconds_from(self.origin))
    }

    /// A real length as production time.
    #[must_use]
    pub fn length(&self, real: Duration) -> String {
        show(seconds(real.as_secs_f64() * self.scale))
    }

    /// Both times and the time of day, for tooltips.
    #[must_use]
    pub fn all(&self, stamp: Stamp) -> String {
        let day = time(stamp);
        if self.is_real() {
            return format!("{} ({day} UTC)", self.production(stamp));
        }
        format!("{} production, {} real ({day} UTC)", self.production(stamp), self.real(stamp))
    }

    /// Whether production time is real time here.
    #[must_use]
    pub fn is_real(&self) -> bool {
        (self.scale - 1.0).abs() < 1e-9
    }
}

/// Signed seconds with their sign: `+3m 20s`, `−45 s`; zero has none.
#[must_use]
pub(in crate::report) fn signed(signed: f64) -> String {
    let length = show(seconds(signed.abs()));
    match length.as_str() {
        "0 s" => length,
        _ if signed < 0.0 => format!("−{length}"),
        _ => format!("+{length}"),
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a length of a run in seconds")]
fn whole(seconds: f64) -> u64 {
    seconds.round() as u64
}

fn trim(number: String) -> String {
    number.strip_suffix(".0").map(str::to_owned).unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_shown_in_the_unit_that_fits() {
        let shown = |seconds: f64| show(Duration::from_secs_f64(seconds));
        assert_eq!(shown(0.0), "0 s");
        assert_eq!(shown(0.85), "850 ms");
        assert_eq!(shown(2.0), "2 s");
        assert_eq!(shown(2.44), "2.4 s");
        assert_eq!(shown(59.4), "59 s");
        assert_eq!(shown(59.9), "1m");
        assert_eq!(shown(440.0), "7m 20s");
        assert_eq!(shown(7500.0), "2h 5m");
    }

    #[test]
    fn production_time_is_real_time_multiplied() {
        let ruler = Ruler { origin: Stamp::from_seconds(100.0), scale: 60.0 };
        assert_eq!(ruler.production(Stamp::from_seconds(103.0)), "+3m");
        assert_eq!(ruler.production(Stamp::from_seconds(99.0)), "−1m");
        assert_eq!(ruler.production(Stamp::from_seconds(100.0)), "0 s");
        assert_eq!(ruler.all(Stamp::from_seconds(103.5)), "+3m 30s production, +3.5 s real (00:01:43.500 UTC)");
    }

    #[test]
    fn counts_and_shares_are_readable() {
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(share(1, 3), "33.33 %");
        assert_eq!(share(1, 1_000_000), "< 0.01 %");
        assert_eq!(share(999_999, 1_000_000), "> 99.99 %");
        assert_eq!(micros(840), "840 µs");
        assert_eq!(micros(2_450), "2.5 ms");
    }
}
