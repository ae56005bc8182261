//! Texts with gaps: the literal bytes of a request and the places of its values, each with the escaping its place needs.
//! Made and written by `workload`.

use std::fmt::Write as _;

/// A piece of a compiled text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Bytes(Vec<u8>),
    Value(usize, Escape),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    Percent,
    Json,
    Nothing,
}

/// Joins neighbouring literals and drops empty ones.
pub(super) fn merged(parts: Vec<Part>) -> Vec<Part> {
    let mut merged: Vec<Part> = Vec::with_capacity(parts.len());
    for part in parts {
        match (merged.last_mut(), part) {
            (Some(Part::Bytes(before)), Part::Bytes(bytes)) => before.extend(bytes),
            (_, Part::Bytes(bytes)) if bytes.is_empty() => {}
            (_, part) => merged.push(part),
        }
    }
    merged
}

pub(super) fn json_literal(part: Part) -> Part {
    match part {
        Part::Bytes(bytes) => {
            let mut escaped = Vec::new();
            push_json(&String::from_utf8_lossy(&bytes), &mut escaped);
            Part::Bytes(escaped)
        }
        value @ Part::Value(..) => value,
    }
}

pub(super) fn write_parts(parts: &[Part], values: &[String], out: &mut Vec<u8>) {
    for part in parts {
        match part {
            Part::Bytes(bytes) => out.extend_from_slice(bytes),
            Part::Value(index, Escape::Percent) => push_percent(&values[*index], out),
            Part::Value(index, Escape::Json) => push_json(&values[*index], out),
            Part::Value(index, Escape::Nothing) => {
                out.extend(values[*index].bytes().filter(|byte| !byte.is_ascii_control()));
            }
        }
    }
}

/// Encodes all but RFC 3986's unreserved characters.
fn push_percent(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

/// The text as the inside of a JSON string.
fn push_json(text: &str, out: &mut Vec<u8>) {
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            control if control < ' ' => {
                let mut escaped = String::new();
                write!(escaped, "\\u{:04x}", u32::from(control)).expect("a String takes every write");
                out.extend_from_slice(escaped.as_bytes());
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

pub(super) fn push_number(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut rest = number;
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
