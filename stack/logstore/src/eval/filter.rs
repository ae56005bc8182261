//! Line filters, label filters, and how label values are read as quantities.

use std::net::IpAddr;

use super::line::{Line, LineError};
use crate::clock::Nanos;
use crate::logql::{Comparison, IpRange, LabelFilter, LineFilter, LineNeedle, Quantity, parse_bytes};

/// Whether a line passes.
pub(super) fn line_filter(filter: &LineFilter, text: &str) -> bool {
    let found = filter.needles.iter().any(|needle| match needle {
        LineNeedle::Text(wanted) => text.contains(wanted.as_str()),
        LineNeedle::Regex(regex, _) => regex.is_match(text),
        LineNeedle::Pattern(pattern, _) => pattern.matches(text),
        LineNeedle::Ip(range) => contains_ip(range, text),
    });
    found != filter.kind.is_negative()
}

/// Whether an address of `range` stands anywhere in `text`.
fn contains_ip(range: &IpRange, text: &str) -> bool {
    let within = |address: &IpAddr| {
        address.is_ipv4() == range.first.is_ipv4() && *address >= range.first && *address <= range.last
    };
    let part = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':');
    let mut rest = text;
    while let Some(start) = rest.find(part) {
        rest = &rest[start..];
        let length = rest.find(|c| !part(c)).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(length);
        // an address may be followed by a port or by the end of a sentence, or a word may end where it begins
        let v4 = word.split(|c: char| !(c.is_ascii_digit() || c == '.')).map(|w| w.trim_matches('.'));
        let candidates = std::iter::once(word).chain(std::iter::once(word.trim_matches(['.', ':']))).chain(v4);
        if candidates.filter_map(|word| word.parse().ok()).any(|address| within(&address)) {
            return true;
        }
        rest = tail;
    }
    false
}

/// Whether a line's labels pass; what cannot be compared sets `__error__` and passes.
pub(super) fn label_filter(filter: &LabelFilter, line: &mut Line<'_>) -> bool {
    match filter {
        LabelFilter::Text(matcher) => matcher.matches(line.value(&matcher.name)),
        LabelFilter::Quantity { name, comparison, quantity } => compare(name, *comparison, *quantity, line),
        LabelFilter::Ip { name, comparison, range } => match line.get(name) {
            _ if line.error().is_some() => true,
            Some((value, _)) => contains_ip(range, value) == (*comparison == Comparison::Equal),
            None => false,
        },
        // Loki runs both sides of an `and`, whose errors show
        LabelFilter::And(left, right) => {
            let left = label_filter(left, line);
            label_filter(right, line) && left
        }
        LabelFilter::Or(left, right) => label_filter(left, line) || label_filter(right, line),
    }
}

fn compare(name: &str, comparison: Comparison, quantity: Quantity, line: &mut Line<'_>) -> bool {
    let Some((text, _)) = line.get(name) else { return false };
    let compared = match quantity {
        Quantity::Number(wanted) => parse_float(text).map(|value| comparison.holds(value, wanted)),
        Quantity::Duration(wanted) => parse_go_duration(text).map(|value| exact(comparison, &value, &wanted)),
        Quantity::Bytes(wanted) => parse_size(text).map(|value| exact(comparison, &value, &wanted)),
    };
    match compared {
        Ok(holds) => holds,
        Err(details) => {
            line.fail_first(LineError::LabelFilter, details);
            true
        }
    }
}

fn exact<T: Ord>(comparison: Comparison, left: &T, right: &T) -> bool {
    match comparison {
        Comparison::Equal => left == right,
        Comparison::NotEqual => left != right,
        Comparison::Greater => left > right,
        Comparison::GreaterOrEqual => left >= right,
        Comparison::Less => left < right,
        Comparison::LessOrEqual => left <= right,
    }
}

pub(super) fn parse_float(text: &str) -> Result<f64, String> {
    let plain = !text.is_empty() && !text.contains(char::is_whitespace);
    text.parse().ok().filter(|_| plain).ok_or_else(|| format!("strconv.ParseFloat: parsing {text:?}: invalid syntax"))
}

pub(super) fn parse_go_duration(text: &str) -> Result<Nanos, String> {
    crate::logql::go_duration(text).ok_or_else(|| {
        let number = |c: char| c.is_ascii_digit() || c == '.';
        let rest = text.trim_start_matches(['-', '+']).trim_start_matches(number);
        let unit = &rest[..rest.find(number).unwrap_or(rest.len())];
        let begins = text.trim_start_matches(['-', '+']).starts_with(number);
        match unit {
            _ if !begins => format!("time: invalid duration {text:?}"),
            "" => format!("time: missing unit in duration {text:?}"),
            unit => format!("time: unknown unit {unit:?} in duration {text:?}"),
        }
    })
}

pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    parse_bytes(text).ok_or_else(|| {
        let (number, unit) =
            text.split_at(text.bytes().take_while(|b| b.is_ascii_digit() || matches!(b, b'.' | b',')).count());
        match number.replace(',', "").parse::<f64>() {
            Err(_) => format!("strconv.ParseFloat: parsing {number:?}: invalid syntax"),
            Ok(_) => format!("unhandled size name: {}", unit.trim().to_lowercase()),
        }
    })
}
