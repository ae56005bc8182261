//! LogQL under a time scale: ranges and offsets are divided, and nothing inside of strings, nor the durations that label
//! filters compare with (`| duration > 10s` is a latency, and latencies stay real). Fed with scenario queries.

use super::duration::{self, Rounding, Scale};

/// `text` with its range windows and offsets divided by the scale.
#[must_use]
pub fn scale(text: &str, scale: Scale) -> String {
    if scale.is_identity() {
        return text.to_owned();
    }
    let mut scaled = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = match character {
            '"' | '\'' | '`' => quoted(rest),
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '[' => rest.find(']').map_or(1, |end| end + 1),
            _ if rest.starts_with("offset") && starts_word(text, at) => offset_length(rest),
            _ => character.len_utf8(),
        };
        let part = &rest[..length];
        match character {
            '[' => scaled.push_str(&range(part, scale)),
            'o' if length > 1 => scaled.push_str(&last_duration(part, scale)),
            _ => scaled.push_str(part),
        }
        at += length;
    }
    scaled
}

fn quoted(rest: &str) -> usize {
    let quote = rest.chars().next().unwrap_or('"');
    let mut escaped = false;
    for (offset, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            _ if character == quote => return offset + 1,
            _ => {}
        }
    }
    rest.len()
}

fn starts_word(text: &str, at: usize) -> bool {
    !text[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
}

/// `offset` with the duration behind it; just the word when none follows.
fn offset_length(rest: &str) -> usize {
    let word = "offset".len();
    let tail = &rest[word..];
    let blank = tail.len() - tail.trim_start().len();
    let sign = usize::from(tail[blank..].starts_with('-'));
    let digits = tail[blank + sign..].bytes().take_while(u8::is_ascii_alphanumeric).count();
    if blank > 0 && digits > 0 { word + blank + sign + digits } else { word }
}

fn range(part: &str, scale: Scale) -> String {
    match part.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => {
            let pieces: Vec<String> = inner.split(':').map(|piece| shortened(piece, scale)).collect();
            format!("[{}]", pieces.join(":"))
        }
        None => part.to_owned(),
    }
}

fn last_duration(part: &str, scale: Scale) -> String {
    let start = part.rfind(|character: char| !character.is_ascii_alphanumeric()).map_or(0, |found| found + 1);
    format!("{}{}", &part[..start], shortened(&part[start..], scale))
}

fn shortened(piece: &str, scale: Scale) -> String {
    let word = piece.trim();
    match duration::parse(word) {
        Some(written) => piece.replace(word, &duration::print(scale.shorten(written, Rounding::Down).duration)),
        None => piece.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_offsets_are_divided_and_strings_and_filters_are_not() {
        for (text, expected) in [
            (
                r#"sum by (x) (count_over_time({a="b"} |= "[5m]" [5m])) > 5"#,
                r#"sum by (x) (count_over_time({a="b"} |= "[5m]" [5s])) > 5"#,
            ),
            (
                r#"rate({a="b"} |~ `"score":\s*\[3,\s*0\]` [1m] offset 1h)"#,
                r#"rate({a="b"} |~ `"score":\s*\[3,\s*0\]` [1s] offset 1m)"#,
            ),
            (r#"{a="b"} | json | duration > 10s"#, r#"{a="b"} | json | duration > 10s"#),
            (
                r#"{a="b"} | pattern "<_> [<time>] <_>" | x = "[1h]""#,
                r#"{a="b"} | pattern "<_> [<time>] <_>" | x = "[1h]""#,
            ),
            ("rate({a='b'} # [5m]\n [5m])", "rate({a='b'} # [5m]\n [5s])"),
            ("{a=\"\\\"[5m]\"} [5m", "{a=\"\\\"[5m]\"} [5m"),
        ] {
            assert_eq!(scale(text, Scale::new(60.0).unwrap()), expected);
        }
    }

    #[test]
    fn the_identity_changes_no_byte() {
        assert_eq!(scale("rate({a='b'}[ 5m ])", Scale::ONE), "rate({a='b'}[ 5m ])");
    }
}
