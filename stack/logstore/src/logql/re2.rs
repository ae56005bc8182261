//! Regexes as Go's RE2 reads them, rewritten for the `regex` crate: `\d`, `\w`, `\s` and `\b` are ASCII, `[` inside a
//! class is a literal, `\Q..\E` quotes, `\z` ends the text.

use regex::{Regex, RegexBuilder};

/// How much memory one compiled regex may take.
const SIZE_LIMIT: usize = 4 << 20;

/// Compiles a regex in Go's syntax.
///
/// # Errors
/// The compiler's complaint, on one line.
pub fn compile(text: &str) -> Result<Regex, String> {
    build(&translate(text), text)
}

/// Compiles a label matcher's regex: anchored at both ends, `.` matches newlines too.
pub(super) fn compile_anchored(text: &str) -> Result<Regex, String> {
    build(&format!("^(?s:{})$", translate(text)), text)
}

fn build(translated: &str, text: &str) -> Result<Regex, String> {
    RegexBuilder::new(translated).size_limit(SIZE_LIMIT).build().map_err(|e| {
        let whole = e.to_string();
        let reason = whole.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        format!("error parsing regexp: {}: `{text}`", reason.trim().trim_start_matches("error: "))
    })
}

fn translate(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    let (mut in_class, mut class_start) = (false, false);
    while let Some(c) = chars.next() {
        let starting = std::mem::take(&mut class_start);
        match c {
            '\\' => match chars.next() {
                Some('Q') if !in_class => quote(&mut chars, &mut out),
                Some(escaped) => escape(escaped, in_class, &mut out),
                None => out.push('\\'),
            },
            '[' if !in_class => {
                (in_class, class_start) = (true, true);
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            ']' if in_class && starting => out.push_str(r"\]"),
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '[' if chars.peek() == Some(&':') => {
                out.push('[');
                for c in chars.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            '[' | '&' | '~' if in_class => out.extend(['\\', c]),
            other => out.push(other),
        }
    }
    out
}

fn quote(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    let mut literal = String::new();
    for c in chars.by_ref() {
        literal.push(c);
        if literal.ends_with(r"\E") {
            literal.truncate(literal.len() - 2);
            break;
        }
    }
    out.push_str(&regex::escape(&literal));
}

fn escape(escaped: char, in_class: bool, out: &mut String) {
    match escaped {
        'd' => out.push_str("[0-9]"),
        'D' => out.push_str("[^0-9]"),
        'w' => out.push_str("[0-9A-Za-z_]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        's' => out.push_str(r"[\t\n\x0C\r ]"),
        'S' => out.push_str(r"[^\t\n\x0C\r ]"),
        'b' if !in_class => out.push_str(r"(?-u:\b)"),
        // the `regex` crate refuses a negated ASCII boundary in texts, which may fall inside a character
        'B' if !in_class => out.push_str(r"\B"),
        other => out.extend(['\\', other]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_syntax_keeps_its_meaning() {
        for (regex, text, expected) in [
            (r"^\d+$", "123", true),
            (r"^\d+$", "\u{0661}", false),
            (r"[[a]+$", "a[", true),
            (r#""score":\s*\[3,\s*0\]"#, r#"{"score": [3, 0]}"#, true),
            (r"\Qa.b\E", "a.b", true),
            (r"\Qa.b\E", "axb", false),
            (r"[]a]", "]", true),
            (r"[^]a]", "]", false),
            (r"[[:alpha:]]", "x", true),
            (r"[\d.]+ms", "1.5ms", true),
            (r"(?i)ERROR", "an error", true),
            (r"(?P<x>a)(?<y>b)", "ab", true),
            (r"\bok\b", "is ok now", true),
            (r"[a&&b]", "&", true),
        ] {
            assert_eq!(compile(regex).unwrap().is_match(text), expected, "{regex} on {text}");
        }
    }

    #[test]
    fn anchored_regexes_match_whole_values() {
        let regex = compile_anchored("a|b.*").unwrap();
        assert!(regex.is_match("a") && regex.is_match("b\nc") && !regex.is_match("ab"));
    }

    #[test]
    fn a_bad_regex_is_refused_with_its_text() {
        let error = compile("a(b").unwrap_err();
        assert!(error.starts_with("error parsing regexp: ") && error.ends_with("`a(b`"), "{error}");
    }
}
