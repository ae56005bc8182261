//! YAML as far as Loki's configuration and rule files need it: scalars stay text, every value knows its line, anchors and
//! merge keys are followed. Fed by `config` and `file`.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};

const DEEPEST: usize = 64;
const MOST_NODES: usize = 100_000;

/// A value and the line it stands on, from 1.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

/// What a [`Node`] is.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Text(String),
    List(Vec<Node>),
    /// In the order of the file; each key with its line.
    Map(Vec<(String, usize, Node)>),
}

/// The first document of a text; a null where there is none.
///
/// # Errors
/// What is wrong, with its line.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    let mut builder = Builder { events: Parser::new_from_str(text), anchors: HashMap::new(), count: 0 };
    let mut found = None;
    while let Some((event, span)) = builder.next()? {
        match event {
            Event::StreamEnd => break,
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            _ if found.is_some() => return Err(format!("line {}: a second YAML document", span.start.line())),
            other => found = Some(builder.node(other, span, 0)?),
        }
    }
    Ok(found.unwrap_or(Node { line: 1, value: Value::Null }))
}

impl Node {
    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The entries of a mapping, each key once, its own before merged ones.
    ///
    /// # Errors
    /// When it is anything else than a mapping or nothing.
    pub(super) fn entries(&self, what: &str) -> Result<&[(String, usize, Self)], String> {
        match &self.value {
            Value::Map(entries) => Ok(entries),
            Value::Null => Ok(&[]),
            _ => Err(format!("line {}: {what} must be a mapping", self.line)),
        }
    }

    /// The value of a key; a null value counts as absent.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(name, _, _)| name == key).map(|(_, _, node)| node).filter(|node| !node.is_null())
    }

    /// The items of a list.
    ///
    /// # Errors
    /// When it is anything else than a list or nothing.
    pub(super) fn items(&self, what: &str) -> Result<&[Self], String> {
        match &self.value {
            Value::List(items) => Ok(items),
            Value::Null => Ok(&[]),
            _ => Err(format!("line {}: {what} must be a list", self.line)),
        }
    }

    /// The text of a scalar.
    ///
    /// # Errors
    /// When it is a list or a mapping.
    pub(super) fn text(&self, what: &str) -> Result<&str, String> {
        match &self.value {
            Value::Text(text) => Ok(text),
            Value::Null => Ok(""),
            _ => Err(format!("line {}: {what} must be a text", self.line)),
        }
    }
}

struct Builder<'a> {
    events: Parser<'a, StrInput<'a>>,
    /// Anchored values, each with how many nodes it holds.
    anchors: HashMap<usize, (Node, usize)>,
    /// Nodes so far, those behind aliases counted again.
    count: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, String> {
        let event = self.events.next().transpose();
        event.map_err(|error| format!("line {}: {}", error.marker().line(), error.info()))
    }

    fn expect(&mut self, line: usize) -> Result<(Event<'a>, Span), String> {
        self.next()?.ok_or_else(|| format!("line {line}: unexpected end of the file"))
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, String> {
        let line = span.start.line();
        let before = self.count;
        self.count += 1;
        if depth > DEEPEST || self.count > MOST_NODES {
            return Err(format!("line {line}: nested too deeply, or too much"));
        }
        let (anchor, value) = match event {
            Event::Alias(anchor) => {
                let (node, size) =
                    self.anchors.get(&anchor).cloned().ok_or_else(|| format!("line {line}: an unknown alias"))?;
                self.count += size;
                return Ok(node);
            }
            Event::Scalar(text, ScalarStyle::Plain, anchor, _)
                if matches!(&*text, "" | "~" | "null" | "Null" | "NULL") =>
            {
                (anchor, Value::Null)
            }
            Event::Scalar(text, _, anchor, _) => (anchor, Value::Text(text.into_owned())),
            Event::SequenceStart(anchor, _) => (anchor, Value::List(self.list(line, depth)?)),
            Event::MappingStart(anchor, _) => (anchor, Value::Map(self.map(line, depth)?)),
            _ => return Err(format!("line {line}: unexpected end of the document")),
        };
        let node = Node { line, value };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), self.count - before));
        }
        Ok(node)
    }

    fn list(&mut self, line: usize, depth: usize) -> Result<Vec<Node>, String> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.expect(line)?;
            if event == Event::SequenceEnd {
                return Ok(items);
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, line: usize, depth: usize) -> Result<Vec<(String, usize, Node)>, String> {
        let mut entries: Vec<(String, usize, Node)> = Vec::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.expect(line)?;
            if event == Event::MappingEnd {
                break;
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.expect(line)?;
            let value = self.node(event, span, depth + 1)?;
            let name = key.text("a key")?.to_owned();
            match (name.as_str(), value) {
                ("<<", Node { value: Value::Map(inner), .. }) => merged.extend(inner),
                ("<<", Node { value: Value::List(inner), .. }) => {
                    merged.extend(inner.into_iter().flat_map(|node| match node.value {
                        Value::Map(entries) => entries,
                        _ => Vec::new(),
                    }));
                }
                (_, value) if !entries.iter().any(|(known, _, _)| *known == name) => {
                    entries.push((name, key.line, value));
                }
                _ => return Err(format!("line {}: the key `{name}` stands twice", key.line)),
            }
        }
        for (name, line, node) in merged {
            if !entries.iter().any(|(known, _, _)| *known == name) {
                entries.push((name, line, node));
            }
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_stay_text_and_anchors_and_merge_keys_are_followed() {
        let node = parse("base: &b {for: 5m, severity: 012}\nrule:\n  <<: *b\n  for: 10m\n  none: ~\n").unwrap();
        let rule = node.get("rule").unwrap();
        assert_eq!(rule.get("for").unwrap().text("for").unwrap(), "10m");
        assert_eq!(rule.get("severity").unwrap().text("severity").unwrap(), "012");
        assert!(rule.get("none").is_none() && rule.get("nothing").is_none());
    }

    #[test]
    fn errors_name_the_line() {
        for (text, expected) in [
            ("a: 1\nb: [1\nc: 2", "line 3"),
            ("a: 1\na: 2\n", "line 2: the key `a` stands twice"),
            ("a: 1\n---\nb: 2\n", "a second YAML document"),
            ("a: *x\n", "line 1"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(parse("a: 1").unwrap().get("a").unwrap().items("a").unwrap_err().contains("must be a list"));
        assert!(parse("").unwrap().is_null());
    }

    #[test]
    fn aliases_cannot_explode() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", ")));
        }
        assert!(parse(&text).unwrap_err().contains("too much"));
    }
}
