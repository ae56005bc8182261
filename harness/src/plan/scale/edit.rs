//! Edits of a text by byte ranges, and the way from a position inside an unescaped YAML scalar back to the file. Fed by
//! `scale::render`; what is not edited stays byte for byte.

use std::ops::Range;

use super::yaml::{Flow, Node, Style, Value};

/// A set of replacements in one text.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    edits: Vec<(Range<usize>, String)>,
}

/// Two edits want different things of the same bytes, or a scalar cannot be edited where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// An anchored value is used where it would have to become two different things.
    #[error("rewrite bytes {start}..{end} both as `{first}` and as `{second}`: write the shared YAML anchor out")]
    Conflict {
        /// First byte.
        start: usize,
        /// Byte after the last.
        end: usize,
        /// One replacement.
        first: String,
        /// The other.
        second: String,
    },
    /// The text of a scalar could not be found again in its source.
    #[error("find `{0}` again in the file: write the value on one line")]
    Unaligned(String),
}

impl Edits {
    /// Replaces a range; an empty range inserts.
    pub fn replace(&mut self, range: Range<usize>, text: impl Into<String>) {
        self.edits.push((range, text.into()));
    }

    /// Replaces the whole value of a scalar; quotes stay. `text` must need no escaping.
    pub fn set(&mut self, node: &Node, text: &str) {
        match &node.value {
            Value::Scalar(_, Style::Single | Style::Double) => {
                self.replace(node.span.start + 1..node.span.end - 1, text)
            }
            Value::Scalar(_, Style::Block) => self.replace(node.span.clone(), format!("{text}\n")),
            _ if node.span.is_empty() => self.replace(node.span.clone(), format!(" {text}")),
            _ => self.replace(node.span.clone(), text),
        }
    }

    /// Removes an entry of a mapping together with its line or its comma.
    pub fn remove_entry(&mut self, source: &str, mapping: &Node, key: &Node, value: &Node) {
        let range = match &mapping.value {
            Value::Mapping(_, Flow::Brackets) => flow_entry(source, key.at.start, value.at.end.max(key.at.end)),
            _ => block_entry(source, key, value),
        };
        self.replace(range, "");
    }

    /// Adds an entry as the first of a mapping.
    pub fn add_first(&mut self, source: &str, mapping: &Node, entry: &str) {
        match &mapping.value {
            Value::Mapping(_, Flow::Brackets) => {
                self.replace(mapping.span.start + 1..mapping.span.start + 1, format!("{entry}, "))
            }
            _ => {
                let at = mapping.span.start;
                let indent = " ".repeat(column(source, at));
                self.replace(at..at, format!("{entry}\n{indent}"));
            }
        }
    }

    /// Adds an entry as the last of a mapping, on its own line; in brackets, where the last may be removed, as the first.
    pub fn add_last(&mut self, source: &str, mapping: &Node, entry: &str) {
        match &mapping.value {
            Value::Mapping(_, Flow::Brackets) => self.add_first(source, mapping, entry),
            _ => {
                let indent = " ".repeat(column(source, mapping.span.start));
                self.add_line(source, end_of_block(source, mapping), &format!("{indent}{entry}"));
            }
        }
    }

    /// Inserts a whole line at `at`, which is the start of a line or the end of the text.
    pub fn add_line(&mut self, source: &str, at: usize, line: &str) {
        let open = at > 0 && !source[..at].ends_with('\n');
        self.replace(at..at, format!("{}{line}\n", if open { "\n" } else { "" }));
    }

    /// The text with all edits made. Edits inside a removed range are dropped; equal edits count once.
    ///
    /// # Errors
    /// When two different edits overlap.
    pub fn apply(&self, source: &str) -> Result<String, EditError> {
        let mut edits: Vec<&(Range<usize>, String)> = Vec::new();
        for edit in &self.edits {
            let repeated = !edit.0.is_empty() && edits.contains(&edit);
            if !repeated && !self.swallowed(edit) {
                edits.push(edit);
            }
        }
        edits.sort_by_key(|(range, _)| (range.start, range.end));
        let mut text = String::with_capacity(source.len() + 256);
        let mut done = 0;
        let mut last: Option<&(Range<usize>, String)> = None;
        for edit in edits {
            if edit.0.start < done && edit.1.is_empty() && last.is_some_and(|(_, text)| text.is_empty()) {
                // two removals share a comma
                done = done.max(edit.0.end);
                continue;
            }
            if edit.0.start < done {
                let first = last.map_or_else(String::new, |(_, text)| text.clone());
                return Err(EditError::Conflict {
                    start: edit.0.start,
                    end: edit.0.end,
                    first,
                    second: edit.1.clone(),
                });
            }
            text.push_str(&source[done..edit.0.start]);
            text.push_str(&edit.1);
            done = edit.0.end;
            last = Some(edit);
        }
        text.push_str(&source[done..]);
        Ok(text)
    }

    fn swallowed(&self, edit: &(Range<usize>, String)) -> bool {
        self.edits.iter().any(|(range, text)| {
            text.is_empty() && range.len() > edit.0.len() && range.start <= edit.0.start && edit.0.end <= range.end && {
                // an insertion at the edge of a removed range is no part of it
                !(edit.0.is_empty() && (edit.0.start == range.end || edit.0.start == range.start))
            }
        })
    }
}

/// Characters before `at` on its line, as spaces would be counted.
#[must_use]
pub fn column(source: &str, at: usize) -> usize {
    let line = source[..at].rfind('\n').map_or(0, |newline| newline + 1);
    source[line..at].chars().count()
}

/// The start of the line after the last byte of a block collection (or the end of the text).
#[must_use]
pub fn end_of_block(source: &str, node: &Node) -> usize {
    end_of_line(source, last_byte(node))
}

fn last_byte(node: &Node) -> usize {
    node.at.end
}

fn end_of_line(source: &str, at: usize) -> usize {
    // a block scalar ends where the next token begins: behind that line's indentation
    let before = source[..at].trim_end_matches(' ');
    if before.ends_with('\n') {
        return before.len();
    }
    source[at..].find('\n').map_or(source.len(), |newline| at + newline + 1)
}

fn block_entry(source: &str, key: &Node, value: &Node) -> Range<usize> {
    let line = source[..key.at.start].rfind('\n').map_or(0, |newline| newline + 1);
    let end = end_of_line(source, value.at.end.max(key.at.end));
    if source[line..key.at.start].trim().is_empty() {
        line..end
    } else {
        // the first key of a list item: the dash stays alone on its line
        let last = source[..end].trim_end_matches('\n').len();
        key.at.start..last.max(key.at.start)
    }
}

fn flow_entry(source: &str, start: usize, end: usize) -> Range<usize> {
    let after = &source[end..];
    let trimmed = after.trim_start();
    if let Some(rest) = trimmed.strip_prefix(',') {
        let skipped = after.len() - rest.trim_start().len();
        return start..end + skipped;
    }
    let before = source[..start].trim_end();
    before.strip_suffix(',').map_or(start, str::len)..end
}

/// The way back from an unescaped scalar to the file: for each character of the value that is no white space, its bytes.
#[derive(Clone, Debug)]
pub struct Alignment {
    places: Vec<(usize, Range<usize>)>,
}

impl Alignment {
    /// Aligns the value of a scalar with its source.
    ///
    /// # Errors
    /// When the value's characters do not stand in the source in this order.
    pub fn of(source: &str, node: &Node) -> Result<Self, EditError> {
        let Value::Scalar(value, style) = &node.value else { return Ok(Self { places: Vec::new() }) };
        let raw = match style {
            Style::Single | Style::Double => node.span.start + 1..node.span.end - 1,
            Style::Plain | Style::Block => node.span.clone(),
        };
        let mut units = units(source, raw, *style).into_iter().filter(|(character, _)| !character.is_whitespace());
        let mut places = Vec::new();
        for (offset, character) in value.char_indices().filter(|(_, character)| !character.is_whitespace()) {
            match units.next() {
                Some((found, range)) if found == character => places.push((offset, range)),
                _ => return Err(EditError::Unaligned(value.to_string())),
            }
        }
        Ok(Self { places })
    }

    /// The bytes in the file of a range of the value that holds no white space at its ends.
    #[must_use]
    pub fn source_range(&self, value: &Range<usize>) -> Option<Range<usize>> {
        let first = self.places.binary_search_by_key(&value.start, |(offset, _)| *offset).ok()?;
        let last = self.places.partition_point(|(offset, _)| *offset < value.end).checked_sub(1)?;
        Some(self.places[first].1.start..self.places[last].1.end)
    }
}

fn units(source: &str, raw: Range<usize>, style: Style) -> Vec<(char, Range<usize>)> {
    let text = &source[raw.clone()];
    let mut characters = text.char_indices().peekable();
    let mut found = Vec::new();
    while let Some((offset, character)) = characters.next() {
        let start = raw.start + offset;
        let mut length = character.len_utf8();
        let mut meant = character;
        match (style, character) {
            (Style::Single, '\'') if characters.next_if(|(_, next)| *next == '\'').is_some() => length += 1,
            (Style::Double, '\\') => {
                if let Some((_, escaped)) = characters.next() {
                    length += escaped.len_utf8();
                    let digits = match escaped {
                        'x' => 2,
                        'u' => 4,
                        'U' => 8,
                        _ => 0,
                    };
                    let code: String = (0..digits).filter_map(|_| characters.next().map(|(_, digit)| digit)).collect();
                    length += code.len();
                    meant = unescape(escaped, &code);
                }
            }
            _ => {}
        }
        found.push((meant, start..start + length));
    }
    found
}

fn unescape(escaped: char, code: &str) -> char {
    match escaped {
        'n' | 't' | 'r' | '\n' | ' ' | '\t' | 'v' | 'f' | 'N' | '_' | 'L' | 'P' => ' ',
        'x' | 'u' | 'U' => u32::from_str_radix(code, 16).ok().and_then(char::from_u32).unwrap_or('\u{fffd}'),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::yaml;
    use super::*;

    fn one(text: &str) -> Node {
        yaml::parse("f.yml", text).unwrap().remove(0)
    }

    fn edit_inside(text: &str, word: &str, new: &str) -> String {
        let node = one(text);
        let expr = node.get("expr").unwrap();
        let at = expr.text().unwrap().find(word).unwrap();
        let range = Alignment::of(text, expr).unwrap().source_range(&(at..at + word.len())).unwrap();
        let mut edits = Edits::default();
        edits.replace(range, new);
        edits.apply(text).unwrap()
    }

    #[test]
    fn a_word_inside_a_scalar_of_any_style_is_edited_in_place() {
        for text in [
            "expr: rate(a[5m]) > 1 # why\n",
            "expr: 'rate(a{x=''y''}[5m]) > 1'\n",
            "expr: \"rate(a{x=\\\"y\\\"}[5m]) > 1\"\n",
            "expr: |\n  # 5 minutes\n  rate(\n    a[5m]\n  ) > 1\nfor: 5m\n",
            "expr: >-\n  rate(a[5m])\n  > 1\n\nfor: 5m\n",
            "expr: rate(a[5m])\n  > 1\n",
        ] {
            assert_eq!(edit_inside(text, "5m]", "5s]"), text.replacen("5m]", "5s]", 1));
        }
    }

    #[test]
    fn quotes_and_comments_stay_when_a_value_is_set() {
        let text = "a: '5m' # five\nb: 5m\nc:\n";
        let node = one(text);
        let mut edits = Edits::default();
        edits.set(node.get("a").unwrap(), "5s");
        edits.set(node.get("b").unwrap(), "5s");
        edits.set(&node.own_entry("c").unwrap().1, "5s");
        assert_eq!(edits.apply(text).unwrap(), "a: '5s' # five\nb: 5s\nc: 5s\n");
    }

    #[test]
    fn an_anchored_value_is_edited_once_and_never_in_two_ways() {
        let text = "a: &x 5m\nb: *x\n";
        let node = one(text);
        let mut edits = Edits::default();
        edits.set(node.get("a").unwrap(), "5s");
        edits.set(node.get("b").unwrap(), "5s");
        assert_eq!(edits.apply(text).unwrap(), "a: &x 5s\nb: *x\n");
        edits.set(node.get("b").unwrap(), "7s");
        assert!(matches!(edits.apply(text), Err(EditError::Conflict { .. })));
    }

    #[test]
    fn entries_are_added_and_removed_in_both_styles() {
        let text = "a:\n  - x: 1\n    y: 2 # two\n    z: 3\n  - {x: 1, y: 2}\n";
        let node = one(text);
        let items = node.get("a").unwrap().items();
        for (key, expected) in
            [("x", "a:\n  - \n    y: 2 # two\n    z: 3\n  - {y: 2}\n"), ("y", "a:\n  - x: 1\n    z: 3\n  - {x: 1}\n")]
        {
            let mut edits = Edits::default();
            for item in items {
                let (name, value) = item.own_entry(key).unwrap();
                edits.remove_entry(text, item, name, value);
            }
            assert_eq!(edits.apply(text).unwrap(), expected);
        }
        let mut edits = Edits::default();
        for (name, value) in items[1].own_entries() {
            edits.remove_entry(text, &items[1], name, value);
        }
        assert_eq!(edits.apply(text).unwrap(), "a:\n  - x: 1\n    y: 2 # two\n    z: 3\n  - {}\n");
        let mut edits = Edits::default();
        items.iter().for_each(|item| edits.add_first(text, item, "n: 0"));
        items.iter().for_each(|item| edits.add_last(text, item, "m: 9"));
        let expected = "a:\n  - n: 0\n    x: 1\n    y: 2 # two\n    z: 3\n    m: 9\n  - {n: 0, m: 9, x: 1, y: 2}\n";
        assert_eq!(edits.apply(text).unwrap(), expected);
    }
}
