//! The lexer: text in, tokens with byte offsets out. Read by the grammar only.

use super::ParseError;
use super::{unit, unquote};
use crate::clock::Nanos;

/// What a token is. Keywords are case-insensitive; function names are keywords only where `(`, `by (` or `without (`
/// follows, so that labels may be called `rate` or `sum`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Identifier(String),
    String(String),
    Number(String),
    Duration(Nanos),
    Bytes(u64),
    /// `[5m]`
    Range(Nanos),
    /// `--strict`, `--keep-empty`
    Flag(&'static str),
    /// A range, vector or conversion function.
    Function(&'static str),
    /// A keyword or an operator, in lower case.
    Symbol(&'static str),
    End,
}

/// A token and the byte offset it starts at.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) at: usize,
}

impl Kind {
    /// The name Loki's error texts use.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Identifier(_) => "IDENTIFIER".to_owned(),
            Self::String(_) => "STRING".to_owned(),
            Self::Number(_) => "NUMBER".to_owned(),
            Self::Duration(_) => "DURATION".to_owned(),
            Self::Bytes(_) => "BYTES".to_owned(),
            Self::Range(_) => "RANGE".to_owned(),
            Self::Flag(_) => "FUNCTION_FLAG".to_owned(),
            Self::Function(name) => match *name {
                "bytes" => "BYTES_CONV".to_owned(),
                "duration" => "DURATION_CONV".to_owned(),
                "duration_seconds" => "DURATION_SECONDS_CONV".to_owned(),
                "ip" | "label_replace" => (*name).to_owned(),
                other => other.to_ascii_uppercase(),
            },
            Self::Symbol(text) => (*text).to_owned(),
            Self::End => "$end".to_owned(),
        }
    }
}

const OPERATORS: [&str; 27] = [
    "!=", "=~", "!~", "!>", "|=", "|~", "|>", "==", ">=", "<=", ",", ".", "{", "}", "=", "|", "(", ")", "+", "-", "*",
    "/", "%", "^", ">", "<", "]",
];

const KEYWORDS: [&str; 23] = [
    "unwrap",
    "by",
    "without",
    "bool",
    "offset",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "or",
    "and",
    "unless",
    "json",
    "regexp",
    "logfmt",
    "unpack",
    "pattern",
    "label_format",
    "line_format",
    "decolorize",
    "drop",
    "keep",
    "label_replace",
];

const FUNCTIONS: [&str; 33] = [
    "rate",
    "rate_counter",
    "count_over_time",
    "bytes_rate",
    "bytes_over_time",
    "avg_over_time",
    "sum_over_time",
    "min_over_time",
    "max_over_time",
    "stdvar_over_time",
    "stddev_over_time",
    "quantile_over_time",
    "first_over_time",
    "last_over_time",
    "absent_over_time",
    "vector",
    "sum",
    "avg",
    "max",
    "min",
    "count",
    "stddev",
    "stdvar",
    "bottomk",
    "topk",
    "approx_topk",
    "sort",
    "sort_desc",
    "label_replace",
    "bytes",
    "duration",
    "duration_seconds",
    "ip",
];

/// All tokens of `text`, the last one being [`Kind::End`].
pub(super) fn tokenize(text: &str) -> Result<Vec<Token>, ParseError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blank();
        let at = lexer.at;
        let kind = lexer.next()?;
        let end = kind == Kind::End;
        tokens.push(Token { kind, at });
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn error(&self, at: usize, message: impl Into<String>) -> ParseError {
        ParseError::positioned(self.text, at, message)
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
            self.at += blank;
            if !self.rest().starts_with('#') {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    fn next(&mut self) -> Result<Kind, ParseError> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Kind::End) };
        match first {
            '"' => self.interpreted(),
            '`' => self.raw(),
            '[' => self.range(),
            '0'..='9' => Ok(self.number()),
            '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => Ok(self.number()),
            '-' => Ok(self.minus()),
            c if c == '_' || c.is_alphabetic() => Ok(self.word()),
            _ => Ok(self.operator(first)),
        }
    }

    fn interpreted(&mut self) -> Result<Kind, ParseError> {
        let (start, mut escaped) = (self.at, false);
        for (offset, c) in self.rest().char_indices().skip(1) {
            match c {
                '\n' => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    let inside = &self.text[start + 1..start + offset];
                    self.at = start + offset + 1;
                    let value = unquote::interpreted(inside).ok_or_else(|| self.error(start, "invalid char escape"))?;
                    return Ok(Kind::String(value));
                }
                _ => {}
            }
        }
        Err(self.error(start, "literal not terminated"))
    }

    fn raw(&mut self) -> Result<Kind, ParseError> {
        let start = self.at;
        let length = self.rest()[1..].find('`').ok_or_else(|| self.error(start, "literal not terminated"))?;
        self.at = start + length + 2;
        Ok(Kind::String(self.text[start + 1..start + 1 + length].replace('\r', "")))
    }

    fn range(&mut self) -> Result<Kind, ParseError> {
        let start = self.at;
        let Some(length) = self.rest().find(']') else {
            return Err(self.error(start, "missing closing ']' in duration"));
        };
        let range = unit::prometheus_duration(&self.rest()[1..length]).map_err(|e| self.error(start, e))?;
        self.at += length + 1;
        Ok(Kind::Range(range))
    }

    fn number(&mut self) -> Kind {
        let length = number_length(self.rest());
        if let Some(kind) = self.quantity(length) {
            return kind;
        }
        let text = self.rest()[..length].to_owned();
        self.at += length;
        Kind::Number(text)
    }

    /// A number that goes on as a duration or as a size; Loki tries them in this order.
    fn quantity(&mut self, number: usize) -> Option<Kind> {
        let rest = self.rest();
        let extend = |units: &[char]| {
            let more = rest[number..].find(|c: char| !(c.is_numeric() || c == '.' || units.contains(&c)));
            number + more.unwrap_or(rest.len() - number)
        };
        let duration = extend(&['n', 'u', 'µ', 'm', 's', 'h', 'd', 'w', 'y']);
        if duration > number
            && let Some(value) = unit::parse_duration(&rest[..duration])
        {
            self.at += duration;
            return Some(Kind::Duration(value));
        }
        let size = extend(&['B', 'i', 'k', 'K', 'M', 'G', 'T', 'P']);
        if size > number
            && let Some(value) = unit::parse_bytes(&rest[..size])
        {
            self.at += size;
            return Some(Kind::Bytes(value));
        }
        None
    }

    fn minus(&mut self) -> Kind {
        for flag in ["--strict", "--keep-empty"] {
            let tail = self.rest().strip_prefix(flag);
            if tail.is_some_and(|tail| !tail.starts_with(|c: char| c.is_alphabetic() || c == '-')) {
                self.at += flag.len();
                return Kind::Flag(flag);
            }
        }
        self.quantity(1).unwrap_or_else(|| self.operator('-'))
    }

    fn word(&mut self) -> Kind {
        let rest = self.rest();
        let length = rest.find(|c: char| !(c == '_' || c.is_alphanumeric())).unwrap_or(rest.len());
        let word = &rest[..length];
        self.at += length;
        let lower = word.to_ascii_lowercase();
        if let Some(function) = FUNCTIONS.iter().find(|name| **name == lower) {
            if called(self.rest()) {
                return Kind::Function(function);
            }
            if *function != "label_replace" {
                return Kind::Identifier(word.to_owned());
            }
        }
        match KEYWORDS.iter().find(|name| **name == lower) {
            Some(keyword) => Kind::Symbol(keyword),
            None => Kind::Identifier(word.to_owned()),
        }
    }

    fn operator(&mut self, first: char) -> Kind {
        match OPERATORS.iter().find(|operator| self.rest().starts_with(**operator)) {
            Some(operator) => {
                self.at += operator.len();
                Kind::Symbol(operator)
            }
            None => {
                self.at += first.len_utf8();
                Kind::Identifier(first.to_string())
            }
        }
    }
}

/// Whether what follows a function's name makes it a call.
fn called(rest: &str) -> bool {
    let rest = rest.trim_start();
    if rest.starts_with('(') {
        return true;
    }
    let lower = rest.get(..7).unwrap_or(rest).to_ascii_lowercase();
    ["by", "without"].iter().any(|word| lower.starts_with(word) && rest[word.len()..].trim_start().starts_with('('))
}

/// The length of a Go number literal: decimal or hexadecimal with fraction and exponent, `0b…`, `0o…`.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let prefix = bytes.get(..2).unwrap_or_default().to_ascii_lowercase();
    let (start, hex, exponent) = match &prefix[..] {
        b"0x" => (2, true, b'p'),
        b"0b" | b"0o" => (2, false, 0),
        _ => (0, false, b'e'),
    };
    let digit = |b: &&u8| if hex { b.is_ascii_hexdigit() } else { b.is_ascii_digit() };
    let digits = |from: usize| from + bytes[from..].iter().take_while(digit).count();
    let mut at = digits(start);
    if at == start && start > 0 {
        return 1;
    }
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1);
    }
    if exponent != 0 && bytes.get(at).is_some_and(|b| b.to_ascii_lowercase() == exponent) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let from = at + 1 + sign;
        let end = from + bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        if end > from {
            at = end;
        }
    }
    at
}

/// A number as Go's `ParseFloat` reads it: decimal, or hexadecimal with a binary exponent.
pub(super) fn parse_number(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    let Some(hex) = lower.strip_prefix("0x") else { return text.parse().ok() };
    let (mantissa, exponent) = hex.split_once('p')?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut value = 0.0;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let places = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    Some(value * 2f64.powi(exponent.checked_sub(places)?))
}
