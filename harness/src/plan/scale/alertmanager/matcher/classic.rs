//! Matchers as every Alertmanager reads them: names of letters, digits, `_` and `:`, values with or without quotes.

use super::{Matcher, MatcherError, MatcherOperator};

/// The signs, longer ones first.
pub(super) const SIGNS: [(&str, MatcherOperator); 4] = [
    ("=~", MatcherOperator::Matches),
    ("!~", MatcherOperator::MatchesNot),
    ("!=", MatcherOperator::NotEqual),
    ("=", MatcherOperator::Equal),
];

/// A list, in braces or not; every comma outside of quotes separates.
pub(super) fn list(text: &str) -> Result<Vec<Matcher>, MatcherError> {
    let inner = text.strip_prefix('{').unwrap_or(text);
    let inner = inner.strip_suffix('}').unwrap_or(inner);
    let mut parts = split(inner);
    if parts.last().is_some_and(|last| last.trim().is_empty()) {
        parts.pop();
    }
    parts.into_iter().map(one).collect()
}

fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (offset, character) in text.char_indices() {
        match character {
            ',' if !quoted => {
                parts.push(&text[start..offset]);
                start = offset + 1;
            }
            '"' if escaped => escaped = false,
            '"' => quoted = !quoted,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    parts.push(&text[start..]);
    parts
}

fn one(text: &str) -> Result<Matcher, MatcherError> {
    let shape = || MatcherError::Shape(text.trim().to_owned());
    let trimmed = text.trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let end = trimmed.find(|c| !is_name(c)).ok_or_else(shape)?;
    let (name, rest) = trimmed.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(shape());
    }
    let rest = rest.trim_start();
    let (operator, value) =
        SIGNS.iter().find_map(|(sign, operator)| Some((*operator, rest.strip_prefix(sign)?))).ok_or_else(shape)?;
    Matcher::new(name, operator, &unescape(value.trim()).ok_or_else(shape)?)
}

/// The value without quotes and escapes; none where a quote stands alone. A backslash before anything but `n`, `"` and
/// itself is a backslash.
fn unescape(written: &str) -> Option<String> {
    let inner = written.strip_prefix('"');
    let mut open = inner.is_some();
    let inner = inner.unwrap_or(written);
    let mut value = String::new();
    let mut escaped = false;
    for (offset, character) in inner.char_indices() {
        let last = offset + character.len_utf8() == inner.len();
        match character {
            'n' if escaped => value.push('\n'),
            '"' | '\\' if escaped => value.push(character),
            _ if escaped => value.extend(['\\', character]),
            '\\' if !last => {
                escaped = true;
                continue;
            }
            '"' if open && last => open = false,
            '"' => return None,
            _ => value.push(character),
        }
        escaped = false;
    }
    (!open).then_some(value)
}
