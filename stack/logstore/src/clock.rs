//! The only place of this crate that reads a clock: the wall clock stamps entries and answers, the monotonic clock
//! measures rates and deadlines.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch, as Loki stamps entries.
pub type Nanos = i64;

/// One second.
pub const SECOND: Nanos = 1_000_000_000;

/// The wall clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that may read the clock")]
pub fn wall() -> Nanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Nanos::try_from(since.as_nanos()).unwrap_or(Nanos::MAX)
}

/// The monotonic clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that may read the clock")]
pub fn instant() -> Instant {
    Instant::now()
}

/// `2024-01-02T03:04:05Z`
#[must_use]
pub fn rfc3339_seconds(at: Nanos) -> String {
    civil(at, "%Y-%m-%dT%H:%M:%SZ")
}

/// `2024-01-02T03:04:05.678Z`, the fraction as long as it has to be.
#[must_use]
pub fn rfc3339(at: Nanos) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at)).map_or_else(|_| at.to_string(), |time| time.to_string())
}

/// `2024-01-02 03:04:05.678 +0000 UTC`, as Go prints a time; the fraction has no trailing zeros.
#[must_use]
pub fn go_time(at: Nanos) -> String {
    let fraction = format!(".{:09}", at.rem_euclid(SECOND));
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    format!("{}{fraction} +0000 UTC", civil(at, "%Y-%m-%d %H:%M:%S"))
}

fn civil(at: Nanos, format: &str) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at))
        .map(|time| time.strftime(format).to_string())
        .unwrap_or_else(|_| at.to_string())
}

/// Reads an RFC 3339 time; `None` if it is none or out of range.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<Nanos> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Nanos::try_from(time.as_nanosecond()).ok()
}

/// What the pieces of Go's reference time stand for, longest first, as `strftime` writes them.
const LAYOUT: [(&str, &str); 27] = [
    ("January", "%B"),
    ("Monday", "%A"),
    ("2006", "%Y"),
    ("Z07:00", "Z"),
    ("-07:00", "+00:00"),
    ("-0700", "+0000"),
    (".000000000", ".%9f"),
    (".000000", ".%6f"),
    (".000", ".%3f"),
    (",000", ",%3f"),
    (".999999999", "%.f"),
    (".999999", "%.f"),
    (".999", "%.f"),
    ("Jan", "%b"),
    ("Mon", "%a"),
    ("MST", "UTC"),
    ("01", "%m"),
    ("02", "%d"),
    ("03", "%I"),
    ("04", "%M"),
    ("05", "%S"),
    ("06", "%y"),
    ("15", "%H"),
    ("PM", "%p"),
    ("_2", "%e"),
    ("2", "%-d"),
    ("3", "%-I"),
];

/// A time in UTC in a layout of Go's `time.Format`.
#[must_use]
pub fn go_layout(at: Nanos, layout: &str) -> String {
    let mut format = String::new();
    let mut rest = layout;
    while let Some(first) = rest.chars().next() {
        if let Some((piece, directive)) = LAYOUT.iter().find(|(piece, _)| rest.starts_with(piece)) {
            format.push_str(directive);
            rest = &rest[piece.len()..];
        } else {
            format.push_str(if first == '%' { "%%" } else { &rest[..first.len_utf8()] });
            rest = &rest[first.len_utf8()..];
        }
    }
    civil(at, &format)
}

/// `722h0m0s`: a duration of whole seconds as Go prints it.
#[must_use]
pub fn go_duration_text(duration: Nanos) -> String {
    let seconds = duration / SECOND;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// `30d1h`: a duration as Prometheus prints it.
#[must_use]
pub fn prometheus_duration_text(duration: Nanos) -> String {
    let mut rest = duration / 1_000_000;
    let mut text = String::new();
    for (unit, millis, exact) in [
        ("y", 31_536_000_000, true),
        ("w", 604_800_000, true),
        ("d", 86_400_000, false),
        ("h", 3_600_000, false),
        ("m", 60_000, false),
        ("s", 1_000, false),
        ("ms", 1, false),
    ] {
        if exact && rest % millis != 0 {
            continue;
        }
        if rest / millis > 0 {
            text.push_str(&format!("{}{unit}", rest / millis));
            rest %= millis;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}
