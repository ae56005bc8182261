//! Durations as authors write them: `90s`, `1h30m`, `250ms`. A unit is required, nothing is negative.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// The units, longest first, with their nanoseconds.
const UNITS: [(&str, u128); 8] = [
    ("w", 604_800_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// The longest duration a scenario may name: four weeks.
pub const LONGEST: Duration = Duration::from_hours(24 * 28);

/// A duration as written; derefs to [`Duration`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// Nothing there.
    #[error("an empty text is no duration")]
    Empty,
    /// A minus sign.
    #[error("a duration cannot be negative")]
    Negative,
    /// A number without a unit.
    #[error("`{0}` has no unit")]
    NoUnit(String),
    /// A unit that does not exist.
    #[error("`{0}` is no unit of time")]
    UnknownUnit(String),
    /// Something that is neither a number nor a unit.
    #[error("`{0}` is not a number with a unit")]
    NotANumber(String),
    /// Units twice or in rising order.
    #[error("units go from long to short, each once: `{0}` stands in the wrong place")]
    Order(String),
    /// Longer than [`LONGEST`].
    #[error("longer than four weeks")]
    TooLong,
}

/// Reads a duration such as `1h30m`, `90s` or `1.5s`.
///
/// # Errors
/// When a unit is missing, unknown, repeated or out of order, a number is negative or malformed, or it is too long.
pub fn parse(text: &str) -> Result<Duration, PeriodError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(PeriodError::Empty);
    }
    let mut nanos: u128 = 0;
    let mut next_unit = 0;
    while !rest.is_empty() {
        if rest.starts_with(['-', '\u{2212}']) {
            return Err(PeriodError::Negative);
        }
        let (part, unit, after) = split_part(rest)?;
        if unit < next_unit {
            return Err(PeriodError::Order(UNITS[unit].0.to_owned()));
        }
        next_unit = unit + 1;
        nanos = nanos.saturating_add(part);
        rest = after;
    }
    if nanos > LONGEST.as_nanos() {
        return Err(PeriodError::TooLong);
    }
    let nanos = u64::try_from(nanos).map_err(|_| PeriodError::TooLong)?;
    Ok(Duration::from_nanos(nanos))
}

/// One `<number><unit>`: its nanoseconds, the unit's index, and what follows.
fn split_part(text: &str) -> Result<(u128, usize, &str), PeriodError> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    if number.is_empty() {
        return Err(PeriodError::NotANumber(text.to_owned()));
    }
    let letters = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let (unit, after) = rest.split_at(letters);
    if unit.is_empty() {
        return Err(PeriodError::NoUnit(text.to_owned()));
    }
    let index =
        UNITS.iter().position(|(name, _)| *name == unit).ok_or_else(|| PeriodError::UnknownUnit(unit.to_owned()))?;
    Ok((scaled(number, UNITS[index].1)?, index, after))
}

/// A decimal number times the nanoseconds of a unit, without floating point.
fn scaled(number: &str, unit: u128) -> Result<u128, PeriodError> {
    let malformed = || PeriodError::NotANumber(number.to_owned());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') || fraction.len() > 9 {
        return Err(malformed());
    }
    if whole.len() > 20 {
        return Err(PeriodError::TooLong);
    }
    let whole: u128 = whole.parse().map_err(|_| malformed())?;
    let tenths = 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| malformed())?);
    let fraction: u128 = fraction.parse().map_err(|_| malformed())?;
    Ok(whole.saturating_mul(unit).saturating_add(fraction * unit / tenths))
}

/// A duration as people read it: `1h30m`, `7m`, `250ms`, `0s`; exact, and [`parse`] reads it back.
#[must_use]
pub fn human(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    let mut text = String::new();
    for (unit, nanos) in UNITS.into_iter().skip(1) {
        let count = rest / nanos;
        rest %= nanos;
        if count > 0 {
            text.push_str(&count.to_string());
            text.push_str(unit);
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

impl Deref for Period {
    type Target = Duration;
    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&human(self.0))
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).map(Self).map_err(de::Error::custom)
    }
}

/// What a duration looks like, for editors; the reader itself is [`parse`].
const PATTERN: &str = r"^([0-9.]+w)?([0-9.]+d)?([0-9.]+h)?([0-9.]+m)?([0-9.]+s)?([0-9.]+ms)?([0-9.]+us)?([0-9.]+ns)?$";

impl JsonSchema for Period {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "x-form": "duration", "pattern": PATTERN, "examples": ["1h30m", "90s", "250ms"] })
    }
}

/// Only a schema: a [`Period`] that must be longer than zero.
#[derive(Debug)]
pub struct LongerThanZero;

impl JsonSchema for LongerThanZero {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PositiveDuration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "x-form": "positive-duration", "pattern": PATTERN, "examples": ["10m", "1h30m"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up() {
        assert_eq!(parse("1h30m").unwrap(), Duration::from_mins(90));
        assert_eq!(parse(" 250ms ").unwrap(), Duration::from_millis(250));
        assert_eq!(parse("1.5s").unwrap(), Duration::from_millis(1500));
        assert_eq!(parse("1d2h").unwrap(), Duration::from_hours(26));
        assert_eq!(parse("0s").unwrap(), Duration::ZERO);
    }

    #[test]
    fn a_duration_without_unit_or_with_a_sign_is_refused_b06_b07() {
        assert_eq!(parse("5"), Err(PeriodError::NoUnit("5".to_owned())));
        assert_eq!(parse("1h30"), Err(PeriodError::NoUnit("30".to_owned())));
        assert_eq!(parse("-5s"), Err(PeriodError::Negative));
        assert_eq!(parse("1h-3m"), Err(PeriodError::Negative));
        assert_eq!(parse("5 s"), Err(PeriodError::NoUnit("5 s".to_owned())));
        assert_eq!(parse("3parsecs"), Err(PeriodError::UnknownUnit("parsecs".to_owned())));
        assert_eq!(parse("3m2h"), Err(PeriodError::Order("h".to_owned())));
        assert_eq!(parse("5w"), Err(PeriodError::TooLong));
        assert_eq!(parse(&format!("{}s", "9".repeat(400))), Err(PeriodError::TooLong));
        assert_eq!(parse(""), Err(PeriodError::Empty));
        for text in ["s", "1.s", ".5s", "1.2.3s", "nan", "inf", "١s"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_printed_reads_back_the_same() {
        for text in ["0s", "1h30m", "7m", "250ms", "1d", "1s500ms", "3us", "42ns"] {
            assert_eq!(human(parse(text).unwrap()), text);
        }
    }
}
