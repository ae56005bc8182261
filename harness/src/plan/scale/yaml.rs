//! YAML as the author wrote it: every node knows its bytes in the file, so that a rewrite touches nothing else. Scalars
//! stay text (`0x720`, `yes` and `012` mean what they say), anchors and merge keys are followed. Fed with file texts by
//! `scale::source`; read by the models and the renderer.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use crate::source::Location;

const DEEPEST: usize = 64;
const LARGEST: usize = 8 * 1024 * 1024;
const MOST_NODES: usize = 2_000_000;

/// A value in a YAML file.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where its text stands, in bytes; for an alias, where the *anchored* value stands, so that it is edited once.
    pub span: Range<usize>,
    /// Where it is used; differs from `span` for an alias only.
    pub at: Range<usize>,
    /// The line of `at`, from 1.
    pub line: u32,
    /// What it is.
    pub value: Value,
}

/// What a [`Node`] is.
#[derive(Clone, Debug)]
pub enum Value {
    /// A text, unescaped and unfolded.
    Scalar(Arc<str>, Style),
    /// A list, and whether it is written in brackets.
    Sequence(Arc<[Node]>, Flow),
    /// Keys and values in the order of the file, merge keys included as `<<`.
    Mapping(Arc<[(Node, Node)]>, Flow),
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// In `'`.
    Single,
    /// In `"`.
    Double,
    /// After `|` or `>`.
    Block,
}

/// How a collection is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// By indentation.
    Block,
    /// In brackets.
    Brackets,
}

/// Why a file could not be read as YAML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read {location}: {message}")]
pub struct YamlError {
    /// Where.
    pub location: Location,
    /// Why.
    pub message: String,
}

/// Reads the documents of a file; an empty file has none.
///
/// # Errors
/// When the text is no YAML, too large, nested too deeply, or repeats a key in a mapping.
pub fn parse(file: &str, text: &str) -> Result<Vec<Node>, YamlError> {
    let error =
        |offset, message: &str| YamlError { location: Location::of(file, text, offset), message: message.to_owned() };
    if text.len() > LARGEST {
        return Err(error(0, "the file is larger than 8 MiB"));
    }
    let bytes: Vec<usize> = text.char_indices().map(|(byte, _)| byte).chain([text.len()]).collect();
    let mut builder =
        Builder { file, text, bytes, events: Parser::new_from_str(text), anchors: HashMap::new(), count: 0 };
    let mut documents = Vec::new();
    while let Some((event, span)) = builder.next()? {
        match event {
            Event::StreamEnd => break,
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            other => documents.push(builder.node(other, span, 0)?),
        }
    }
    documents.retain(|node| !node.is_null());
    Ok(documents)
}

impl Node {
    /// The text of a scalar; none for collections and for null.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text, _) if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// Whether it is written as nothing, `~` or `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar(text, Style::Plain) => {
                self.span.is_empty() || matches!(&**text, "~" | "null" | "Null" | "NULL" | "")
            }
            _ => false,
        }
    }

    /// The items of a sequence; empty for anything else.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::Sequence(items, _) => items,
            _ => &[],
        }
    }

    /// The own entries of a mapping, in order, merge keys as `<<`; empty for anything else.
    #[must_use]
    pub fn own_entries(&self) -> &[(Self, Self)] {
        match &self.value {
            Value::Mapping(entries, _) => entries,
            _ => &[],
        }
    }

    /// The entries of a mapping with merged ones behind its own, each key once.
    #[must_use]
    pub fn entries(&self) -> Vec<(&Self, &Self)> {
        let mut found = Vec::new();
        self.collect_entries(&mut found, 0);
        found
    }

    fn collect_entries<'a>(&'a self, found: &mut Vec<(&'a Self, &'a Self)>, depth: usize) {
        for (key, value) in self.own_entries() {
            let name = key.text().unwrap_or_default();
            if name != "<<" && !found.iter().any(|(known, _)| known.text() == Some(name)) {
                found.push((key, value));
            }
        }
        for (_, merged) in self.own_entries().iter().filter(|(key, _)| key.text() == Some("<<") && depth < DEEPEST) {
            merged.collect_entries(found, depth + 1);
            merged.items().iter().for_each(|item| item.collect_entries(found, depth + 1));
        }
    }

    /// The value of `key` in a mapping, its own before a merged one; a null value counts as absent.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries()
            .into_iter()
            .find(|(name, _)| name.text() == Some(key))
            .map(|(_, value)| value)
            .filter(|value| !value.is_null())
    }

    /// The own entry `key` of a mapping, key and value.
    #[must_use]
    pub fn own_entry(&self, key: &str) -> Option<&(Self, Self)> {
        self.own_entries().iter().find(|(name, _)| name.text() == Some(key))
    }

    /// Whether it is a mapping.
    #[must_use]
    pub const fn is_mapping(&self) -> bool {
        matches!(self.value, Value::Mapping(..))
    }
}

type Entries = (Vec<(Node, Node)>, usize, Flow);

struct Builder<'a> {
    file: &'a str,
    text: &'a str,
    bytes: Vec<usize>,
    events: Parser<'a, StrInput<'a>>,
    /// Anchored values, each with how many nodes it holds.
    anchors: HashMap<usize, (Node, usize)>,
    /// Nodes so far, those behind aliases counted again.
    count: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, YamlError> {
        self.events.next().transpose().map_err(|error: ScanError| {
            let offset = self.byte(error.marker().index());
            self.error(offset, error.info())
        })
    }

    fn byte(&self, character: usize) -> usize {
        self.bytes.get(character).copied().unwrap_or(self.text.len())
    }

    fn error(&self, offset: usize, message: &str) -> YamlError {
        YamlError { location: Location::of(self.file, self.text, offset), message: message.to_owned() }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, YamlError> {
        let start = self.byte(span.start.index());
        if depth > DEEPEST {
            return Err(self.error(start, "nested deeper than 64 levels"));
        }
        let range = self.extent(&event, start, self.byte(span.end.index()));
        let start = range.start;
        let line = u32::try_from(span.start.line()).unwrap_or(u32::MAX);
        self.count += 1;
        let before = self.count;
        let (anchor, end, value) = match event {
            Event::Alias(anchor) => return self.alias(anchor, range, line),
            Event::Scalar(text, style, anchor, _) => (anchor, range.end, Value::Scalar(text.into(), style_of(style))),
            Event::SequenceStart(anchor, _) => {
                let (items, end, flow) = self.sequence(start, depth)?;
                (anchor, end, Value::Sequence(items.into(), flow))
            }
            Event::MappingStart(anchor, _) => {
                let (entries, end, flow) = self.mapping(start, depth)?;
                (anchor, end, Value::Mapping(entries.into(), flow))
            }
            _ => return Err(self.error(start, "unexpected end of the document")),
        };
        let node = Node { span: start..end, at: start..end, line, value };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), self.count - before + 1));
        }
        Ok(node)
    }

    /// The parser counts a comment behind a quoted scalar as part of it, and puts a missing value before its colon.
    fn extent(&self, event: &Event<'a>, start: usize, end: usize) -> Range<usize> {
        match event {
            Event::Scalar(_, style @ (ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted), ..) => {
                start..start + quoted_length(&self.text[start..end], *style == ScalarStyle::DoubleQuoted)
            }
            Event::Scalar(..) if start == end && self.text[start..].starts_with(':') => start + 1..start + 1,
            _ => start..end,
        }
    }

    fn alias(&mut self, anchor: usize, at: Range<usize>, line: u32) -> Result<Node, YamlError> {
        let found = self.anchors.get(&anchor).cloned();
        let (known, nodes) = found.ok_or_else(|| self.error(at.start, "an alias inside of its own anchor"))?;
        self.count = self.count.saturating_add(nodes);
        if self.count > MOST_NODES {
            return Err(self.error(at.start, "aliases expand to more than two million values"));
        }
        Ok(Node { at, line, ..known })
    }

    fn sequence(&mut self, start: usize, depth: usize) -> Result<(Vec<Node>, usize, Flow), YamlError> {
        let mut items: Vec<Node> = Vec::new();
        loop {
            let (event, span) = self.next()?.ok_or_else(|| self.error(start, "unexpected end of the file"))?;
            if event == Event::SequenceEnd {
                let (end, flow) = self.end_of(start, span, ('[', ']'), items.last().map(|item| item.at.end));
                return Ok((items, end, flow));
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn mapping(&mut self, start: usize, depth: usize) -> Result<Entries, YamlError> {
        let mut entries: Vec<(Node, Node)> = Vec::new();
        let mut lines = HashMap::new();
        loop {
            let (event, span) = self.next()?.ok_or_else(|| self.error(start, "unexpected end of the file"))?;
            if event == Event::MappingEnd {
                let last = entries.last().map(|(key, value)| value.at.end.max(key.at.end));
                let (end, flow) = self.end_of(start, span, ('{', '}'), last);
                return Ok((entries, end, flow));
            }
            let key = self.node(event, span, depth + 1)?;
            if let Some(name) = key.text()
                && let Some(first) = lines.insert(name.to_owned(), key.line)
            {
                return Err(self.error(key.at.start, &format!("the key `{name}` was already given on line {first}")));
            }
            let (event, span) = self.next()?.ok_or_else(|| self.error(start, "unexpected end of the file"))?;
            let value = self.node(event, span, depth + 1)?;
            entries.push((key, value));
        }
    }

    fn end_of(&self, start: usize, span: Span, brackets: (char, char), last: Option<usize>) -> (usize, Flow) {
        if !self.text[start..].starts_with(brackets.0) {
            return (last.unwrap_or(start), Flow::Block);
        }
        let from = last.unwrap_or(start + 1);
        let mut comment = false;
        for (offset, character) in self.text[from..].char_indices() {
            match character {
                '#' => comment = true,
                '\n' => comment = false,
                _ if character == brackets.1 && !comment => return (from + offset + 1, Flow::Brackets),
                _ => {}
            }
        }
        (self.byte(span.end.index()), Flow::Brackets)
    }
}

fn quoted_length(text: &str, double: bool) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((offset, character)) = characters.next() {
        match character {
            '\\' if double => drop(characters.next()),
            '\'' if !double && characters.next_if(|(_, next)| *next == '\'').is_none() => return offset + 1,
            '"' if double => return offset + 1,
            _ => {}
        }
    }
    text.len()
}

const fn style_of(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::Single,
        ScalarStyle::DoubleQuoted => Style::Double,
        ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        parse("f.yml", text).unwrap().remove(0)
    }

    #[test]
    fn scalars_stay_text() {
        let node = one("values: 0x720\nflag: yes\noctal: 012\nzero: 0m\nnone:\n");
        for (key, text) in [("values", "0x720"), ("flag", "yes"), ("octal", "012"), ("zero", "0m")] {
            assert_eq!(node.get(key).unwrap().text(), Some(text));
        }
        assert!(node.get("none").is_none());
    }

    #[test]
    fn aliases_point_at_the_anchored_text() {
        let text = "a: &wait 5m\nb: *wait\n";
        let node = one(text);
        let aliased = node.get("b").unwrap();
        assert_eq!(&text[aliased.span.clone()], "5m");
        assert_eq!(&text[aliased.at.clone()], "*wait");
    }

    #[test]
    fn the_extent_of_a_value_excludes_comments() {
        let text = "a: 'x''y' # it's\nb: \"q\\\"\" # c\nc: [1] # d\nd: {e: f} # g\ne: 5m # h\n";
        let node = one(text);
        let found: Vec<&str> = node.entries().iter().map(|(_, value)| &text[value.span.clone()]).collect();
        assert_eq!(found, ["'x''y'", "\"q\\\"\"", "[1]", "{e: f}", "5m"]);
    }

    #[test]
    fn merge_keys_come_behind_own_keys() {
        let node = one("base: &b {for: 5m, severity: page}\nrule:\n  <<: *b\n  for: 10m\n");
        let rule = node.get("rule").unwrap();
        assert_eq!(rule.get("for").unwrap().text(), Some("10m"));
        assert_eq!(rule.get("severity").unwrap().text(), Some("page"));
        assert_eq!(rule.entries().len(), 2);
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(parse("f.yml", "a: [1\nb: 2").unwrap_err().location.line, 2);
        let twice = parse("f.yml", "a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!((twice.location.line, twice.message.contains("line 1")), (3, true));
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(parse("f.yml", &deep).is_err());
        let nested: String = (0..100).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        assert!(parse("f.yml", &nested).unwrap_err().message.contains("deeper"));
    }

    #[test]
    fn aliases_cannot_explode() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = level - 1;
            text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 10].join(", ")));
        }
        assert!(parse("f.yml", &text).unwrap_err().message.contains("two million"));
    }

    #[test]
    fn windows_line_ends_and_wide_characters_keep_positions() {
        let text = "ä: 'ö' # ü\r\nb: 5m # 💥\r\nc: 1h\r\n";
        let node = one(text);
        let found: Vec<&str> = node.entries().iter().map(|(_, value)| &text[value.span.clone()]).collect();
        assert_eq!(found, ["'ö'", "5m", "1h"]);
    }

    #[test]
    fn an_empty_file_has_no_document() {
        for text in ["", "# only a comment\n", "---\n"] {
            assert!(parse("f.yml", text).unwrap().is_empty(), "{text:?}");
        }
        assert_eq!(parse("f.yml", "a: 1\n---\nb: 2\n").unwrap().len(), 2);
    }
}
