//! Durations and sizes as LogQL and Loki's HTTP parameters write them.

use crate::clock::Nanos;

const UNITS: [(&str, i64); 8] = [
    ("y", 365 * 86_400 * 1_000_000_000),
    ("w", 7 * 86_400 * 1_000_000_000),
    ("d", 86_400 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("", 0),
];

/// A Prometheus duration (`1h30m`, `250ms`, `1d`; whole numbers, units in falling order, `0` alone) in nanoseconds.
///
/// # Errors
/// Prometheus's text for what is wrong.
pub(crate) fn prometheus_duration(text: &str) -> Result<Nanos, String> {
    match text {
        "0" => return Ok(0),
        "" => return Err("empty duration string".to_owned()),
        _ => {}
    }
    let (mut rest, mut total, mut last) = (text, 0i64, None);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Err(format!("not a valid duration string: {text:?}"));
        }
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(|b| *b != b'.' && !b.is_ascii_digit()).count();
        let (unit, tail) = tail.split_at(letters);
        if unit.is_empty() {
            return Err(format!("not a valid duration string: {text:?}"));
        }
        let position = UNITS.iter().position(|(name, _)| *name == unit);
        let Some(position) = position else { return Err(format!("unknown unit {unit:?} in duration {text:?}")) };
        if last.is_some_and(|last| position <= last) {
            return Err(format!("not a valid duration string: {text:?}"));
        }
        let part = number.parse::<i64>().ok().and_then(|n| n.checked_mul(UNITS[position].1));
        total = part.and_then(|part| total.checked_add(part)).ok_or("duration out of range")?;
        (last, rest) = (Some(position), tail);
    }
    Ok(total)
}

/// A Go duration (`1.5h`, `-10us`) in nanoseconds; `None` if it is none.
#[must_use]
pub(crate) fn go_duration(text: &str) -> Option<Nanos> {
    let (sign, mut rest) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let number = rest[..digits].parse::<f64>().ok()?;
        let tail = &rest[digits..];
        let letters = tail.bytes().take_while(|b| *b != b'.' && !b.is_ascii_digit()).count();
        let factor = match &tail[..letters] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        total += number * factor;
        rest = &tail[letters..];
    }
    #[expect(clippy::cast_possible_truncation, reason = "the bound is checked in the same expression")]
    (total < 9.2e18).then(|| (sign * total).round() as i64)
}

/// A duration in a query or in a label value: Prometheus's form first, then Go's.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Nanos> {
    prometheus_duration(text).ok().or_else(|| go_duration(text))
}

/// A size (`5KB`, `1.5GiB`, `20 mb`, `7`) in bytes: decimal units are powers of 1000, binary ones of 1024.
#[must_use]
pub fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(|b| b.is_ascii_digit() || matches!(b, b'.' | b',')).count();
    let number = text[..digits].replace(',', "").parse::<f64>().ok()?;
    let factor = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" | "k" => 1e3,
        "mb" | "m" => 1e6,
        "gb" | "g" => 1e9,
        "tb" | "t" => 1e12,
        "pb" | "p" => 1e15,
        "eb" | "e" => 1e18,
        "kib" | "ki" => 1024f64,
        "mib" | "mi" => 1024f64.powi(2),
        "gib" | "gi" => 1024f64.powi(3),
        "tib" | "ti" => 1024f64.powi(4),
        "pib" | "pi" => 1024f64.powi(5),
        "eib" | "ei" => 1024f64.powi(6),
        _ => return None,
    };
    let value = number * factor;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the bound is checked; it is positive")]
    (value < 1.8e19).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_prometheus_and_go_write_them() {
        for (text, expected) in [
            ("5m", Some(300_000_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            ("-5m", Some(-300_000_000_000)),
            ("250µs", Some(250_000)),
            ("1d", Some(86_400_000_000_000)),
            ("0", Some(0)),
            ("5", None),
            ("m", None),
            ("5minutes", None),
            ("30m1h", Some(5_400_000_000_000)),
            ("", None),
            ("99999999999999y", None),
        ] {
            assert_eq!(parse_duration(text), expected, "{text}");
        }
        assert_eq!(prometheus_duration("5minutes").unwrap_err(), r#"unknown unit "minutes" in duration "5minutes""#);
    }

    #[test]
    fn sizes_read_with_decimal_and_binary_units() {
        for (text, expected) in [
            ("5B", Some(5)),
            ("5KB", Some(5_000)),
            ("5KiB", Some(5_120)),
            ("1.5GiB", Some(1_610_612_736)),
            ("20 mb", Some(20_000_000)),
            ("7", Some(7)),
            ("x", None),
            ("5XB", None),
        ] {
            assert_eq!(parse_bytes(text), expected, "{text}");
        }
    }
}
