//! Quantities as authors write them: shares, sizes, data rates, and comparisons that allow only some units.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::condition::{Condition, Unit};

/// Implements an inlined schema.
macro_rules! schema {
    ($type:ty, $name:literal, $schema:tt) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}
pub(super) use schema;

/// A share between 0 and 1, written `0.3` or `"30%"`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Share(pub f64);

/// A size in bytes, written `"512MiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// A data rate in bytes per second, written `"100KiB/s"` or `"1Mbit/s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DataRate(pub u64);

/// A comparison, written `"> 0"`; derefs to [`Condition`].
#[derive(Clone, Debug, PartialEq)]
pub struct Bound(pub Condition);

/// Only a schema: a [`Bound`] on a latency, with a unit of time.
#[derive(Debug)]
pub struct LatencyBound;

/// Only a schema: a [`Bound`] on a share, such as `"< 0.1%"`.
#[derive(Debug)]
pub struct ShareBound;

/// Only a schema: a [`Bound`] on a count, a whole number.
#[derive(Debug)]
pub struct CountBound;

/// Reads a share.
///
/// # Errors
/// In words, when it is no percentage between 0 and 100.
pub fn parse_share(text: &str) -> Result<f64, String> {
    let percent =
        text.trim().strip_suffix('%').ok_or_else(|| format!("`{text}` is not a percentage such as \"30%\""))?;
    let value: f64 = percent.trim().parse().map_err(|_| format!("`{percent}` is not a number"))?;
    if (0.0..=100.0).contains(&value) { Ok(value / 100.0) } else { Err(format!("`{text}` is not between 0% and 100%")) }
}

/// Reads a size in bytes.
///
/// # Errors
/// In words, when number or unit are missing or the size is zero.
pub fn parse_size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 7] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
    ];
    scaled(text, &UNITS)
        .ok_or_else(|| format!("`{text}` is not a size such as \"512MiB\" (B, kB, KiB, MB, MiB, GB, GiB)"))
}

/// Reads a data rate in bytes per second.
///
/// # Errors
/// In words, when number or unit are missing or the rate is zero.
pub fn parse_data_rate(text: &str) -> Result<u64, String> {
    const BITS: [(&str, u64); 3] = [("kbit", 125), ("Mbit", 125_000), ("Gbit", 125_000_000)];
    let wrong = || format!("`{text}` is not a data rate such as \"100KiB/s\" or \"1Mbit/s\"");
    let amount = text.trim().strip_suffix("/s").ok_or_else(wrong)?;
    scaled(amount, &BITS).or_else(|| parse_size(amount).ok()).ok_or_else(wrong)
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let (number, factor) =
        units.iter().find_map(|(unit, factor)| text.strip_suffix(unit).map(|rest| (rest, *factor)))?;
    let number: u64 = number.trim().parse().ok()?;
    number.checked_mul(factor).filter(|bytes| *bytes > 0)
}

/// Which units a comparison may have, by its form's name in the schema.
///
/// # Errors
/// In words, when the text is no comparison or has a unit that does not fit.
pub fn parse_bound(form: &str, text: &str) -> Result<Condition, String> {
    let condition = Condition::parse(text).map_err(|error| error.to_string())?;
    let complaint = match form {
        "latency-bound" if condition.unit != Unit::Duration => "needs a unit of time, for example \"< 250ms\"",
        "latency-bound" if condition.bound < 0.0 => "compares a duration with a negative one",
        "share-bound" if condition.unit == Unit::Duration => "compares a share with a duration",
        "share-bound" if !(0.0..=1.0).contains(&condition.bound) => "is not between 0% and 100%; write \"< 0.1%\"",
        "count-bound" if condition.unit != Unit::Number => "compares a count with something that has a unit",
        "count-bound" if condition.bound < 0.0 || condition.bound.fract() != 0.0 => {
            "compares a count with no whole number"
        }
        _ => return Ok(condition),
    };
    Err(format!("`{text}` {complaint}"))
}

impl Deref for Bound {
    type Target = Condition;
    fn deref(&self) -> &Condition {
        &self.0
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Condition::parse(&text).map(Self).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_size(&String::deserialize(deserializer)?).map(Self).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for DataRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_data_rate(&String::deserialize(deserializer)?).map(Self).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Share;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a share between 0 and 1, or a percentage")
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Share, E> {
                if (0.0..=1.0).contains(&value) {
                    Ok(Share(value))
                } else {
                    Err(E::custom(format!("{value} is not between 0 and 1")))
                }
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Share, E> {
                let value = i32::try_from(value).map_err(|_| E::custom(format!("{value} is not between 0 and 1")))?;
                self.visit_f64(f64::from(value))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Share, E> {
                parse_share(text).map(Share).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", (self.0 * 1e8).round() / 1e6)
    }
}

schema!(Share, "Share", {
    "anyOf": [
        { "type": "number", "minimum": 0, "maximum": 1 },
        { "type": "string", "x-form": "share", "pattern": "^[0-9.]+ *%$" }
    ],
    "examples": ["30%", 0.3]
});
schema!(Size, "Size", { "type": "string", "x-form": "size", "pattern": "^[0-9]+ *[kKMG]?i?B$", "examples": ["512MiB"] });
schema!(DataRate, "DataRate", {
    "type": "string", "x-form": "data-rate", "pattern": "^[0-9]+ *[kKMG]?(i?B|bit)/s$", "examples": ["100KiB/s", "1Mbit/s"]
});
schema!(Bound, "Bound", { "type": "string", "x-form": "bound", "pattern": "^ *(<|<=|==|!=|>=|>) *[-+0-9.]", "examples": ["> 0"] });
schema!(LatencyBound, "LatencyBound", {
    "type": "string", "x-form": "latency-bound", "pattern": "^ *(<|<=|==|!=|>=|>) *[0-9.]+ *(ns|us|ms|s|m|h)$", "examples": ["< 250ms"]
});
schema!(ShareBound, "ShareBound", {
    "type": "string", "x-form": "share-bound", "pattern": "^ *(<|<=|==|!=|>=|>) *[0-9.]+ *%?$", "examples": ["< 0.1%", ">= 99%"]
});
schema!(CountBound, "CountBound", {
    "type": "string", "x-form": "count-bound", "pattern": "^ *(<|<=|==|!=|>=|>) *[0-9]+$", "examples": ["== 1", ">= 1"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_rates_need_units() {
        assert_eq!(parse_size("512MiB"), Ok(512 << 20));
        assert_eq!(parse_size("1 kB"), Ok(1000));
        assert_eq!(parse_data_rate("1Mbit/s"), Ok(125_000));
        assert_eq!(parse_data_rate("100KiB/s"), Ok(102_400));
        for text in ["512", "MiB", "-1MiB", "0B", "99999999999999999999GiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert!(parse_data_rate("1MiB").is_err());
    }

    #[test]
    fn a_comparison_allows_only_units_that_fit() {
        assert!(parse_bound("latency-bound", "< 250ms").is_ok());
        assert!(parse_bound("latency-bound", "< 250").is_err());
        assert!(parse_bound("share-bound", ">= 99%").is_ok());
        assert!(parse_bound("share-bound", ">= 99").is_err());
        assert!(parse_bound("count-bound", "== 1").is_ok());
        for text in ["== 1.5", "== -1", "== 1%", "> nan", "> inf"] {
            assert!(parse_bound("count-bound", text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_percentages_between_0_and_100() {
        assert_eq!(parse_share("30%"), Ok(0.3));
        for text in ["30", "-1%", "101%", "nan%", "inf%"] {
            assert!(parse_share(text).is_err(), "{text}");
        }
        assert_eq!(Share(0.3).to_string(), "30%");
    }
}
