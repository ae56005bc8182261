//! PromQL as tokens with byte positions, just fine enough to find durations and numbers in the author's own text
//! (`promql-parser` knows no positions). Fed with expressions; read by `promql`.

use std::ops::Range;

/// What a token is, as far as scaling must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A duration inside of `[…]`, or behind `offset`.
    Duration,
    /// Seconds without a unit inside of `[…]` or behind `offset` (Prometheus 3).
    Seconds,
    /// A number in an expression.
    Number,
    /// A duration used as a number in an expression (Prometheus 3).
    DurationNumber,
    /// A name, keyword or function.
    Word,
    /// A quoted string.
    Text,
    /// Anything else, one character.
    Sign,
}

/// A token of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Its bytes.
    pub span: Range<usize>,
}

/// The tokens of an expression; comments and white space are skipped. Never fails: what is no PromQL becomes signs.
#[must_use]
pub fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { text, at: 0, brackets: 0, braces: 0, found: Vec::new() };
    while let Some(character) = lexer.text[lexer.at..].chars().next() {
        lexer.step(character);
    }
    lexer.found
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    brackets: usize,
    braces: usize,
    found: Vec<Token>,
}

impl Lexer<'_> {
    fn step(&mut self, character: char) {
        let rest = &self.text[self.at..];
        match character {
            '#' => self.at += rest.find('\n').unwrap_or(rest.len()),
            _ if character.is_whitespace() => self.at += character.len_utf8(),
            '"' | '\'' | '`' => self.push(Kind::Text, quoted(rest)),
            '0'..='9' => self.number(rest),
            '.' if rest[1..].starts_with(|next: char| next.is_ascii_digit()) => self.number(rest),
            _ if is_word_start(character) => {
                let length =
                    rest.find(|next| !is_word(next) || (next == ':' && self.brackets > 0)).unwrap_or(rest.len());
                self.push(Kind::Word, length);
            }
            _ => {
                match character {
                    '[' => self.brackets += 1,
                    ']' => self.brackets = self.brackets.saturating_sub(1),
                    '{' => self.braces += 1,
                    '}' => self.braces = self.braces.saturating_sub(1),
                    _ => {}
                }
                self.push(Kind::Sign, character.len_utf8());
            }
        }
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let start = self.at;
        self.at += length.max(1);
        self.found.push(Token { kind, span: start..self.at });
    }

    fn number(&mut self, rest: &str) {
        let duration = duration_length(rest);
        let temporal = self.brackets > 0 || self.behind_offset();
        let (kind, length) = match (duration, temporal) {
            (Some(length), true) => (Kind::Duration, length),
            (Some(length), false) => (Kind::DurationNumber, length),
            (None, true) => (Kind::Seconds, number_length(rest)),
            (None, false) if self.behind_at() || self.behind_fill() || self.braces > 0 => {
                (Kind::Sign, number_length(rest))
            }
            (None, false) => (Kind::Number, number_length(rest)),
        };
        self.push(kind, length);
    }

    fn back(&self, steps: usize) -> Option<&str> {
        let index = self.found.len().checked_sub(steps)?;
        self.found.get(index).map(|token| &self.text[token.span.clone()])
    }

    fn behind_offset(&self) -> bool {
        let signed = matches!(self.back(1), Some("-" | "+"));
        self.back(if signed { 2 } else { 1 }).is_some_and(|word| word.eq_ignore_ascii_case("offset"))
    }

    fn behind_at(&self) -> bool {
        let signed = matches!(self.back(1), Some("-" | "+"));
        self.back(if signed { 2 } else { 1 }) == Some("@")
    }

    fn behind_fill(&self) -> bool {
        let signed = matches!(self.back(1), Some("-" | "+"));
        let steps = if signed { 2 } else { 1 };
        self.back(steps) == Some("(") && matches!(self.back(steps + 1), Some("fill" | "fill_left" | "fill_right"))
    }
}

fn is_word_start(character: char) -> bool {
    character.is_alphabetic() || character == '_' || character == ':'
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == ':'
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

fn duration_length(rest: &str) -> Option<usize> {
    let mut length = 0;
    loop {
        let tail = &rest[length..];
        let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
        let unit = ["ms", "s", "m", "h", "d", "w", "y"].into_iter().find(|unit| tail[digits..].starts_with(unit));
        match unit {
            Some(unit) if digits > 0 => length += digits + unit.len(),
            _ => break,
        }
    }
    let ends = !rest[length..].starts_with(|next: char| next.is_alphanumeric() || next == '_');
    (length > 0 && ends).then_some(length)
}

fn number_length(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    if bytes.len() > 2 && bytes[0] == b'0' && matches!(bytes[1], b'x' | b'X') {
        return 2 + bytes[2..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    }
    let mut length = bytes.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        let digits =
            bytes[(length + 1 + sign).min(bytes.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 0 {
            length += 1 + sign + digits;
        }
    }
    length.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, kind: Kind) -> Vec<&str> {
        tokens(text).into_iter().filter(|token| token.kind == kind).map(|token| &text[token.span]).collect()
    }

    #[test]
    fn durations_stand_in_brackets_and_behind_offset_only() {
        let text = r#"sum(rate(a{p="[5m]", q='1h'}[5m] offset -1h30m)) # [2m]
            > 5 and b[1d:5m] offset 1w > 1h"#;
        assert_eq!(found(text, Kind::Duration), ["5m", "1h30m", "1d", "5m", "1w"]);
        assert_eq!(found(text, Kind::DurationNumber), ["1h"]);
        assert_eq!(found(text, Kind::Number), ["5"]);
    }

    #[test]
    fn numbers_are_told_from_names_times_and_seconds() {
        let text = "x5m_1 > 1.5e3 + 0x1F + .5 and y @ 1609746000 offset 300 > 2 or z[300] > 3";
        assert_eq!(found(text, Kind::Number), ["1.5e3", "0x1F", ".5", "2", "3"]);
        assert_eq!(found(text, Kind::Seconds), ["300", "300"]);
    }

    #[test]
    fn nothing_makes_it_panic() {
        for text in ["", "\"", "`\\`", "[", "5", "a[", "ü > ü5", "1e", "0x", "'\\", "[5m", "1.2.3", "💥[1m]"] {
            let _ = tokens(text);
        }
    }
}
