//! A JSON reader that takes what it can of a broken line, keeps numbers as they are written and makes no tree.

/// A value met on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// With its escapes.
    Text(&'a str),
    /// As written.
    Number(&'a str),
    Bool(bool),
    Null,
    /// As written.
    Object(&'a str),
    /// As written.
    Array(&'a str),
}

/// What a broken line is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum JsonError {
    #[error("Value looks like object, but can't find closing '}}' symbol")]
    Object,
    #[error("Value is array, but can't find closing ']' symbol")]
    Array,
    #[error("Value is string, but can't find closing '\"' symbol")]
    Text,
    #[error("Malformed JSON error")]
    Malformed,
    #[error("Unknown value type")]
    Unknown,
}

/// How deep values may nest.
const MAX_DEPTH: usize = 128;

/// Calls `visit` with each key (escapes resolved) and value of the object that `text` begins with.
pub(super) fn each_member<'a>(
    text: &'a str,
    visit: &mut dyn FnMut(&str, Value<'a>) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    let mut rest = text.trim_start().strip_prefix('{').ok_or(JsonError::Object)?.trim_start();
    if rest.starts_with('}') {
        return Ok(());
    }
    loop {
        rest = rest.trim_start();
        if !rest.starts_with('"') {
            return Err(JsonError::Malformed);
        }
        let (key, tail) = text_value(rest)?;
        let tail = tail.trim_start().strip_prefix(':').ok_or(JsonError::Malformed)?;
        let (value, tail) = value(tail.trim_start())?;
        visit(&unescape(key).unwrap_or_default(), value)?;
        let tail = tail.trim_start();
        if tail.starts_with('}') {
            return Ok(());
        }
        rest = tail.strip_prefix(',').ok_or(JsonError::Malformed)?;
    }
}

/// The items of the array that `text` begins with.
fn items(text: &str) -> Result<Vec<Value<'_>>, JsonError> {
    let mut found = Vec::new();
    let mut rest = text.trim_start().strip_prefix('[').ok_or(JsonError::Array)?.trim_start();
    if rest.starts_with(']') {
        return Ok(found);
    }
    loop {
        let (item, tail) = value(rest.trim_start())?;
        found.push(item);
        let tail = tail.trim_start();
        if tail.starts_with(']') {
            return Ok(found);
        }
        rest = tail.strip_prefix(',').ok_or(JsonError::Array)?;
    }
}

fn value(text: &str) -> Result<(Value<'_>, &str), JsonError> {
    match text.as_bytes().first().ok_or(JsonError::Malformed)? {
        b'"' => text_value(text).map(|(inside, rest)| (Value::Text(inside), rest)),
        b'{' => {
            let end = block_end(text).ok_or(JsonError::Object)?;
            Ok((Value::Object(&text[..end]), &text[end..]))
        }
        b'[' => {
            let end = block_end(text).ok_or(JsonError::Array)?;
            Ok((Value::Array(&text[..end]), &text[end..]))
        }
        _ => {
            let end = text.find(|c: char| c.is_whitespace() || matches!(c, ',' | '}' | ']')).unwrap_or(text.len());
            let (word, rest) = text.split_at(end);
            let value = match word {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" => Value::Null,
                _ if word.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => Value::Number(word),
                _ => return Err(JsonError::Unknown),
            };
            Ok((value, rest))
        }
    }
}

/// The inside of the string that `text` begins with, and what follows.
fn text_value(text: &str) -> Result<(&str, &str), JsonError> {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'"' => return Ok((&text[1..at], &text[at + 1..])),
            _ => {}
        }
        at += 1;
    }
    Err(JsonError::Text)
}

/// The end of the object or array that `text` begins with.
fn block_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut quoted) = (0, 0usize, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return None;
                }
            }
            b'}' | b']' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The value at a path; `None` if it is not there.
pub(super) fn lookup<'a>(text: &'a str, path: &[crate::logql::PathStep]) -> Result<Option<Value<'a>>, JsonError> {
    use crate::logql::PathStep;
    let mut current = value(text.trim_start())?.0;
    for step in path {
        let found = match (step, current) {
            (PathStep::Key(wanted), Value::Object(inside)) => {
                let mut found = None;
                each_member(inside, &mut |key, value| {
                    if key == wanted && found.is_none() {
                        found = Some(value);
                    }
                    Ok(())
                })?;
                found
            }
            (PathStep::Index(index), Value::Array(inside)) => items(inside)?.get(*index).copied(),
            _ => None,
        };
        match found {
            Some(value) => current = value,
            None => return Ok(None),
        }
    }
    Ok(Some(current))
}

/// The text of a member of the object that `text` begins with; numbers and the like as written.
pub(crate) fn member(text: &str, name: &str) -> Option<String> {
    match lookup(text, &[crate::logql::PathStep::Key(name.to_owned())]).ok()?? {
        Value::Text(raw) | Value::Number(raw) | Value::Object(raw) | Value::Array(raw) => Some(raw.to_owned()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null => Some("null".to_owned()),
    }
}

/// A string's value; `None` on an invalid escape. What cannot be a character becomes a space.
pub(super) fn unescape(inside: &str) -> Option<String> {
    if !inside.contains('\\') {
        return Some(if inside.contains('\u{fffd}') { inside.replace('\u{fffd}', " ") } else { inside.to_owned() });
    }
    let mut out = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(if c == '\u{fffd}' { ' ' } else { c });
            continue;
        }
        match chars.next()? {
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            c @ ('"' | '\\' | '/') => out.push(c),
            'u' => {
                let first = hex(&mut chars)?;
                let code = if (0xd800..0xdc00).contains(&first) {
                    let mut ahead = chars.clone();
                    let second = (ahead.next() == Some('\\') && ahead.next() == Some('u')).then(|| hex(&mut ahead));
                    let second = second.flatten().filter(|second| (0xdc00..0xe000).contains(second))?;
                    chars = ahead;
                    0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                } else {
                    first
                };
                out.push(char::from_u32(code).filter(|c| *c != '\u{fffd}').unwrap_or(' '));
            }
            _ => return None,
        }
    }
    Some(out)
}

fn hex(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    let mut code = 0;
    for _ in 0..4 {
        code = code * 16 + chars.next()?.to_digit(16)?;
    }
    Some(code)
}

/// `label` as a label's name: blanks at the ends gone, a digit in front prefixed, all else an underscore. `first` tells
/// whether it begins the name.
pub(super) fn sanitize(label: &str, first: bool) -> String {
    let label = label.trim();
    let prefix = if first && label.starts_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
    let rest = label.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    prefix.chars().chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logql::PathStep;

    fn members(text: &str) -> (Vec<String>, Result<(), JsonError>) {
        let mut found = Vec::new();
        let result = each_member(text, &mut |key, value| {
            found.push(format!("{key}={value:?}"));
            Ok(())
        });
        (found, result)
    }

    #[test]
    fn members_come_in_order_and_numbers_as_written() {
        let (found, result) = members(r#" {"a":1.0,"b":"x\"y","c":{"d":[1,2]},"e":true,"f":null,"g":[]} tail"#);
        assert_eq!(result, Ok(()));
        let expected = [
            r#"a=Number("1.0")"#,
            r#"b=Text("x\\\"y")"#,
            r#"c=Object("{\"d\":[1,2]}")"#,
            "e=Bool(true)",
            "f=Null",
            r#"g=Array("[]")"#,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_broken_line_gives_what_stands_before_the_break() {
        let (found, result) = members(r#"{"a":1,"b":"#);
        assert_eq!((found.len(), result), (1, Err(JsonError::Malformed)));
        assert_eq!(members("plain text").1, Err(JsonError::Object));
        assert_eq!(members(r#"{"a":"x"#).1, Err(JsonError::Text));
        assert_eq!(members(&"{\"a\":".repeat(100_000)).1, Err(JsonError::Object));
    }

    #[test]
    fn paths_find_values() {
        let text = r#"{"a":{"b":[{"c":"x"},2]}}"#;
        let key = |k: &str| PathStep::Key(k.to_owned());
        let found = |path: &[PathStep]| lookup(text, path).unwrap();
        assert_eq!(found(&[key("a"), key("b"), PathStep::Index(0), key("c")]), Some(Value::Text("x")));
        assert_eq!(found(&[key("a"), key("b"), PathStep::Index(1)]), Some(Value::Number("2")));
        assert_eq!(found(&[key("a"), key("z")]), None);
    }

    #[test]
    fn escapes_resolve_and_names_are_sanitized() {
        assert_eq!(unescape(r"a\u00e9\ud83d\ude00\n").as_deref(), Some("aé😀\n"));
        assert_eq!(unescape(r"\ud83d"), None);
        assert_eq!(sanitize(" 1st.key-x ", true), "_1st_key_x");
        assert_eq!(sanitize("9", false), "9");
    }
}
