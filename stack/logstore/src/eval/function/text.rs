//! The functions that work on texts.

use super::{Arguments, Outcome, length};
use crate::eval::template::{MAX_OUTPUT, Value};
use crate::logql::compile_regex;

/// Calls a function that works on texts.
pub(super) fn call(name: &str, a: &Arguments<'_>) -> Option<Outcome> {
    let made = match name {
        "__line__" => Ok(a.line.text.clone().into_owned()),
        "lower" | "ToLower" => a.text(0).map(str::to_lowercase),
        "upper" | "ToUpper" => a.text(0).map(str::to_uppercase),
        "title" => a.text(0).map(title),
        "trim" | "TrimSpace" => a.text(0).map(|text| text.trim().to_owned()),
        "Trim" => a.text(0).and_then(|text| Ok(text.trim_matches(cutset(a.text(1)?)).to_owned())),
        "trimAll" => a.text(1).and_then(|text| Ok(text.trim_matches(cutset(a.text(0)?)).to_owned())),
        "TrimLeft" => a.text(0).and_then(|text| Ok(text.trim_start_matches(cutset(a.text(1)?)).to_owned())),
        "TrimRight" => a.text(0).and_then(|text| Ok(text.trim_end_matches(cutset(a.text(1)?)).to_owned())),
        "TrimPrefix" => a.text(0).and_then(|text| Ok(text.strip_prefix(a.text(1)?).unwrap_or(text).to_owned())),
        "TrimSuffix" => a.text(0).and_then(|text| Ok(text.strip_suffix(a.text(1)?).unwrap_or(text).to_owned())),
        "trimPrefix" => a.text(1).and_then(|text| Ok(text.strip_prefix(a.text(0)?).unwrap_or(text).to_owned())),
        "trimSuffix" => a.text(1).and_then(|text| Ok(text.strip_suffix(a.text(0)?).unwrap_or(text).to_owned())),
        "replace" => a.text(2).and_then(|text| Ok(text.replace(a.text(0)?, a.text(1)?))),
        "Replace" => replace_counted(a),
        "trunc" => a.integer(0).and_then(|count| Ok(truncate(count, a.text(1)?))),
        "substr" => a.text(2).and_then(|text| Ok(substring(a.integer(0)?, a.integer(1)?, text))),
        "repeat" => a.integer(0).and_then(|count| repeat(count, a.text(1)?)),
        "indent" => a.integer(0).and_then(|count| indent(count, a.text(1)?)),
        "nindent" => a.integer(0).and_then(|count| Ok(format!("\n{}", indent(count, a.text(1)?)?))),
        "alignLeft" => a.integer(0).and_then(|count| align(count, a.text(1)?, Side::Left)),
        "alignRight" => a.integer(0).and_then(|count| align(count, a.text(1)?, Side::Right)),
        "regexReplaceAll" => {
            a.text(1).and_then(|text| Ok(compile_regex(a.text(0)?)?.replace_all(text, a.text(2)?).into_owned()))
        }
        "regexReplaceAllLiteral" => a.text(1).and_then(|text| {
            Ok(compile_regex(a.text(0)?)?.replace_all(text, regex::NoExpand(a.text(2)?)).into_owned())
        }),
        "urlencode" => a.text(0).map(url_encode),
        "urldecode" => a.text(0).and_then(url_decode),
        "b64enc" => a.text(0).map(|text| base64_encode(text.as_bytes())),
        "b64dec" => a.text(0).map(|text| base64_decode(text).unwrap_or_else(|e| e)),
        _ => return truth(name, a),
    };
    Some(made.map(Value::Text))
}

fn truth(name: &str, a: &Arguments<'_>) -> Option<Outcome> {
    Some(match name {
        "contains" => a.text(1).and_then(|text| Ok(Value::Bool(text.contains(a.text(0)?)))),
        "hasPrefix" => a.text(1).and_then(|text| Ok(Value::Bool(text.starts_with(a.text(0)?)))),
        "hasSuffix" => a.text(1).and_then(|text| Ok(Value::Bool(text.ends_with(a.text(0)?)))),
        "count" => {
            a.text(1).and_then(|text| Ok(Value::Integer(length(compile_regex(a.text(0)?)?.find_iter(text).count()))))
        }
        "default" => a.at(0).map(|fallback| match a.all.get(1) {
            Some(value) if value.is_true() => value.clone(),
            _ => fallback.clone(),
        }),
        _ => return None,
    })
}

fn cutset(characters: &str) -> impl Fn(char) -> bool + '_ {
    move |c| characters.contains(c)
}

pub(super) fn title(text: &str) -> String {
    let mut start = true;
    let upper = |c: char, start: bool| if start { c.to_uppercase().collect::<String>() } else { c.to_string() };
    text.chars()
        .map(|c| {
            let made = upper(c, start);
            start = !(c.is_alphanumeric() || c == '_' || c == '\'');
            made
        })
        .collect()
}

fn replace_counted(a: &Arguments<'_>) -> Result<String, String> {
    let (text, from, to) = (a.text(0)?, a.text(1)?, a.text(2)?);
    Ok(match usize::try_from(a.integer(3)?) {
        Ok(count) => text.replacen(from, to, count),
        Err(_) => text.replace(from, to),
    })
}

fn truncate(count: i64, text: &str) -> String {
    let size = length(text.chars().count());
    let whole = |value: i64| usize::try_from(value).unwrap_or(usize::MAX);
    if count < 0 && size + count > 0 {
        text.chars().skip(whole(size + count)).collect()
    } else if count >= 0 {
        text.chars().take(whole(count)).collect()
    } else {
        text.to_owned()
    }
}

fn substring(from: i64, to: i64, text: &str) -> String {
    let size = length(text.chars().count());
    let (from, to) = (from.clamp(0, size), if to < 0 { size } else { to.min(size) });
    let whole = |value: i64| usize::try_from(value).unwrap_or(0);
    text.chars().take(whole(to)).skip(whole(from)).collect()
}

fn bounded(count: i64, each: usize) -> Result<usize, String> {
    let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
    let fits = count.checked_mul(each.max(1)).is_some_and(|total| total <= MAX_OUTPUT);
    if fits { Ok(count) } else { Err(format!("the template makes more than {MAX_OUTPUT} bytes")) }
}

fn repeat(count: i64, text: &str) -> Result<String, String> {
    Ok(text.repeat(bounded(count, text.len())?))
}

fn indent(count: i64, text: &str) -> Result<String, String> {
    let blank = " ".repeat(bounded(count, text.lines().count() + 1)?);
    Ok(format!("{blank}{}", text.replace('\n', &format!("\n{blank}"))))
}

enum Side {
    Left,
    Right,
}

fn align(count: i64, text: &str, side: Side) -> Result<String, String> {
    if count < 0 {
        return Ok(text.to_owned());
    }
    let (count, size) = (bounded(count, 1)?, text.chars().count());
    let blank = " ".repeat(count.saturating_sub(size));
    Ok(match side {
        Side::Left => text.chars().take(count).collect::<String>() + &blank,
        Side::Right => blank + &text.chars().skip(size.saturating_sub(count)).collect::<String>(),
    })
}

pub(super) fn url_encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => out.push(char::from(b)),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

fn url_decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next(), rest.next()].map(|digit| digit.and_then(|b| char::from(b).to_digit(16)));
                let [Some(high), Some(low)] = digits else { return Err("invalid URL escape".to_owned()) };
                bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
            }
            b => bytes.push(b),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64_encode(bytes: &[u8]) -> String {
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let value = group.iter().fold(0u32, |value, b| value << 8 | u32::from(*b)) << (8 * (3 - group.len()));
        for index in 0..4 {
            let sextet = (value >> (18 - 6 * index)) as usize & 63;
            out.push(if index <= group.len() { char::from(BASE64[sextet]) } else { '=' });
        }
    }
    out
}

fn base64_decode(text: &str) -> Result<String, String> {
    let (mut bytes, mut value, mut bits) = (Vec::new(), 0u32, 0);
    for (offset, byte) in text.trim_end_matches('=').bytes().enumerate() {
        let sextet = BASE64.iter().position(|known| *known == byte);
        let sextet = sextet.ok_or_else(|| format!("illegal base64 data at input byte {offset}"))?;
        value = value << 6 | u32::try_from(sextet).unwrap_or(0);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(value >> bits & 255).unwrap_or(0));
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
