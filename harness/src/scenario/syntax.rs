//! From bytes to a TOML tree with positions, within limits of size and depth. Fed by [`super::load`], read by `check`.

use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use toml_parser::Source;
use toml_parser::lexer::TokenKind;

use super::default::{MAX_DEPTH, MAX_FILE};
use super::diagnostic::{Code, Diagnostic, Finding};

/// Most syntax errors shown for one file.
const MOST_ERRORS: usize = 20;

/// Reads a file's text.
///
/// # Errors
/// When it is missing, a directory, unreadable, too large or not UTF-8.
pub(super) fn read(path: &Path) -> Result<String, Box<Diagnostic>> {
    let name = path.display().to_string();
    let unreadable = |error: &dyn std::fmt::Display| {
        Box::new(Diagnostic::of_file(Code::Unreadable, &name, format!("failed to read the file: {error}")))
    };
    let metadata = fs::metadata(path).map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        let what = if metadata.is_dir() { "it is a directory" } else { "it is not a regular file" };
        return Err(unreadable(&what));
    }
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > MAX_FILE {
        let size = metadata.len().max(MAX_FILE + 1);
        let message = format!("the file has {size} bytes; a scenario has at most {MAX_FILE}");
        return Err(Box::new(Diagnostic::of_file(Code::TooLarge, &name, message)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let message = format!("the file is not UTF-8: invalid byte at offset {offset}");
        Box::new(Finding::error(Code::InvalidUtf8, offset..offset, message).locate(&name, &text))
    })
}

/// Parses a text; several errors in one pass.
///
/// # Errors
/// When it is nested too deeply or no TOML.
pub(super) fn parse(text: &str) -> Result<Spanned<DeTable<'_>>, Vec<Finding>> {
    if text.len() as u64 > MAX_FILE {
        let message = format!("the text has {} bytes; a scenario has at most {MAX_FILE}", text.len());
        return Err(vec![Finding::error(Code::TooLarge, 0..0, message)]);
    }
    check_depth(text).map_err(|finding| vec![finding])?;
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(table);
    }
    let more = errors.len().saturating_sub(MOST_ERRORS);
    let mut findings: Vec<Finding> =
        errors.iter().take(MOST_ERRORS).map(|error| finding(error, text, table.get_ref())).collect();
    findings.dedup();
    if more > 0 {
        let last = findings.pop().map(|last| last.help(format!("and {more} more syntax errors in this file")));
        findings.extend(last);
    }
    Err(findings)
}

/// Brackets within brackets and dots in one key are both nesting, and would be walked recursively.
fn check_depth(text: &str) -> Result<(), Finding> {
    let mut brackets: usize = 0;
    let mut dots: usize = 0;
    for token in Source::new(text).lex() {
        match token.kind() {
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => brackets += 1,
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => brackets = brackets.saturating_sub(1),
            TokenKind::Dot => dots += 1,
            _ => {}
        }
        if !matches!(token.kind(), TokenKind::Dot | TokenKind::Atom | TokenKind::Whitespace)
            && !matches!(token.kind(), TokenKind::BasicString | TokenKind::LiteralString)
        {
            dots = 0;
        }
        if brackets > MAX_DEPTH || dots > MAX_DEPTH {
            let span = token.span().start()..token.span().end();
            let message = format!("nested more than {MAX_DEPTH} levels deep");
            return Err(Finding::error(Code::TooDeep, span, message));
        }
    }
    Ok(())
}

fn finding(error: &toml::de::Error, text: &str, table: &DeTable<'_>) -> Finding {
    let span = error.span().unwrap_or_default();
    if span.is_empty() && error.message().starts_with("string values must be quoted") {
        return Finding::error(Code::Syntax, span, "a value is missing");
    }
    if error.message() != "duplicate key" {
        return Finding::error(Code::Syntax, span, error.message());
    }
    let key = text.get(span.clone()).unwrap_or_default();
    let finding = Finding::error(Code::DuplicateKey, span.clone(), format!("the key `{key}` stands twice"));
    match first_header(text, &span).or_else(|| first_key(table, key, span.start)) {
        Some(first) => finding.label(first, "first here"),
        None => finding,
    }
}

/// The nearest earlier table header with the same text as the one around `second`.
fn first_header(text: &str, second: &Range<usize>) -> Option<Range<usize>> {
    let start = text[..second.start].rfind('\n').map_or(0, |newline| newline + 1);
    let header = text[start..].lines().next()?.trim();
    let header = &header[..=header.find(']')?];
    if !header.starts_with('[') {
        return None;
    }
    let mut from = 0;
    let mut found = None;
    for line in text[..start].split_inclusive('\n') {
        if line.trim_start().starts_with(header) {
            let at = from + line.len() - line.trim_start().len();
            found = Some(at..at + header.len());
        }
        from += line.len();
    }
    found
}

/// The nearest key with this text before `second`.
fn first_key(table: &DeTable<'_>, key: &str, second: usize) -> Option<Range<usize>> {
    let mut found: Option<Range<usize>> = None;
    walk_keys(table, &mut |name, span| {
        let nearer = found.as_ref().is_none_or(|best| span.start > best.start);
        if name == key && span.end <= second && nearer {
            found = Some(span);
        }
    });
    found
}

fn walk_keys(table: &DeTable<'_>, visit: &mut impl FnMut(&str, Range<usize>)) {
    for (key, value) in table {
        visit(key.get_ref(), key.span());
        walk_value(value.get_ref(), visit);
    }
}

fn walk_value(value: &DeValue<'_>, visit: &mut impl FnMut(&str, Range<usize>)) {
    match value {
        DeValue::Table(table) => walk_keys(table, visit),
        DeValue::Array(array) => array.iter().for_each(|item| walk_value(item.get_ref(), visit)),
        _ => {}
    }
}

/// The last byte of a value, tables and arrays below it included.
pub(super) fn end_of(value: &Spanned<DeValue<'_>>) -> usize {
    let below = match value.get_ref() {
        DeValue::Table(table) => table.iter().map(|(key, value)| key.span().end.max(end_of(value))).max(),
        DeValue::Array(array) => array.iter().map(end_of).max(),
        _ => None,
    };
    value.span().end.max(below.unwrap_or(0))
}
