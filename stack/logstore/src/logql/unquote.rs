//! Go string literals: what stands between quotes in a query.

/// The value of a Go interpreted string's inside (the text between `"` and `"`); `None` on an invalid escape.
pub(super) fn interpreted(inside: &str) -> Option<String> {
    if !inside.contains('\\') {
        return Some(inside.to_owned());
    }
    let mut bytes = Vec::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        match chars.next()? {
            'a' => bytes.push(7),
            'b' => bytes.push(8),
            'f' => bytes.push(12),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'v' => bytes.push(11),
            '\\' => bytes.push(b'\\'),
            '"' => bytes.push(b'"'),
            'x' => bytes.push(u8::try_from(digits(&mut chars, 2, 16, 0)?).ok()?),
            'u' => push(&mut bytes, digits(&mut chars, 4, 16, 0)?)?,
            'U' => push(&mut bytes, digits(&mut chars, 8, 16, 0)?)?,
            octal @ '0'..='7' => {
                let value = digits(&mut chars, 2, 8, octal.to_digit(8)?)?;
                bytes.push(u8::try_from(value).ok()?);
            }
            _ => return None,
        }
    }
    Some(String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
}

fn digits(chars: &mut std::str::Chars<'_>, count: usize, radix: u32, start: u32) -> Option<u32> {
    let mut value = start;
    for _ in 0..count {
        value = value.checked_mul(radix)?.checked_add(chars.next()?.to_digit(radix)?)?;
    }
    Some(value)
}

fn push(bytes: &mut Vec<u8>, code: u32) -> Option<()> {
    bytes.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::interpreted;

    #[test]
    fn escapes_have_their_go_values() {
        assert_eq!(interpreted(r#"a\n\"\x41\101\u00e9\\d"#).as_deref(), Some("a\n\"AA\u{e9}\\d"));
        assert_eq!(interpreted(r"\q"), None);
        assert_eq!(interpreted(r"\d+"), None);
        assert_eq!(interpreted("\\"), None);
    }
}
