//! Positions in the author's files, kept from the parser to the report, so that a failed expectation points at its line.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A place in a file, as people count: from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Location {
    /// The file, as given on the command line.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Location {
    /// The location of a byte offset in `text`; an offset beyond the end is the end.
    #[must_use]
    pub fn of(file: &str, text: &str, offset: usize) -> Self {
        let mut end = offset.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &text[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        Self {
            file: file.to_owned(),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
        }
    }
}

/// A text with its line starts, for many locations in one text; [`Location::of`] reads the text from its start each time.
#[derive(Clone, Debug)]
pub struct LineIndex<'t> {
    file: &'t str,
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> LineIndex<'t> {
    /// Reads the text once.
    #[must_use]
    pub fn new(file: &'t str, text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file, text, starts }
    }

    /// The location of a byte offset; an offset beyond the end is the end.
    #[must_use]
    pub fn locate(&self, offset: usize) -> Location {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        let mut end = offset;
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let column = self.text[start..end].chars().count() + 1;
        Location {
            file: self.file.to_owned(),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_counts_lines_and_characters_from_one() {
        let text = "a = 1\nü = 2\n";
        assert_eq!(Location::of("f", text, 0).to_string(), "f:1:1");
        assert_eq!(Location::of("f", text, text.find('=').unwrap()).to_string(), "f:1:3");
        assert_eq!(Location::of("f", text, text.rfind('=').unwrap()).to_string(), "f:2:3");
        assert_eq!(Location::of("f", text, 999).to_string(), "f:3:1");
    }

    #[test]
    fn an_index_finds_the_same_places() {
        for text in ["", "a = 1\nü = 2\n", "\n\n", "ü\r\nü"] {
            let index = LineIndex::new("f", text);
            for offset in 0..text.len() + 2 {
                assert_eq!(index.locate(offset), Location::of("f", text, offset), "{text:?} at {offset}");
            }
        }
    }
}
