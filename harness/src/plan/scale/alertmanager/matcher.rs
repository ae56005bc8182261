//! Label matchers, old (`match`, `match_re`) and new (`matchers`). Fed by `alertmanager`; read by routes and inhibition.

use std::collections::BTreeMap;
use std::fmt;

use regex::Regex;

use super::super::source::{ConfigError, SourceFile};
use super::super::yaml::Node;

/// A comparison of one label.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// The label.
    pub name: String,
    /// How it is compared.
    pub operator: MatcherOperator,
    /// With what; for regexes the source, not anchored.
    pub value: String,
    regex: Option<Regex>,
}

/// The operators of a [`Matcher`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatcherOperator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, fully anchored.
    Matches,
    /// `!~`, fully anchored.
    MatchesNot,
}

/// Why a matcher could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatcherError {
    /// Not `label OPERATOR value`.
    #[error("read the matcher `{0}`: write `label=\"value\"`, with `=`, `!=`, `=~` or `!~`")]
    Shape(String),
    /// Not a regular expression.
    #[error("read the regular expression `{0}`: {1}")]
    Regex(String, String),
}

impl Matcher {
    /// A matcher of `name` with `value`.
    ///
    /// # Errors
    /// When the value is to be a regular expression and is none.
    pub fn new(name: &str, operator: MatcherOperator, value: &str) -> Result<Self, MatcherError> {
        let regex = match operator {
            MatcherOperator::Matches | MatcherOperator::MatchesNot => {
                let anchored = Regex::new(&format!("^(?:{value})$"));
                Some(anchored.map_err(|error| MatcherError::Regex(value.to_owned(), error.to_string()))?)
            }
            MatcherOperator::Equal | MatcherOperator::NotEqual => None,
        };
        Ok(Self { name: name.to_owned(), operator, value: value.to_owned(), regex })
    }

    /// Reads `a="b"` or `{a="b", c=~"d|e"}`.
    ///
    /// # Errors
    /// When it has another shape.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, MatcherError> {
        let inner = text.trim();
        let inner = inner.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(inner);
        split(inner).into_iter().filter(|part| !part.trim().is_empty()).map(parse_one).collect()
    }

    /// Whether the labels satisfy it; a label that is missing is empty.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let found = labels.get(&self.name).map_or("", String::as_str);
        let regex = || self.regex.as_ref().is_some_and(|regex| regex.is_match(found));
        match self.operator {
            MatcherOperator::Equal => found == self.value,
            MatcherOperator::NotEqual => found != self.value,
            MatcherOperator::Matches => regex(),
            MatcherOperator::MatchesNot => !regex(),
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.operator {
            MatcherOperator::Equal => "=",
            MatcherOperator::NotEqual => "!=",
            MatcherOperator::Matches => "=~",
            MatcherOperator::MatchesNot => "!~",
        };
        write!(f, "{}{sign}{:?}", self.name, self.value)
    }
}

fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (offset, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                parts.push(&text[start..offset]);
                start = offset + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn parse_one(text: &str) -> Result<Matcher, MatcherError> {
    let shape = || MatcherError::Shape(text.trim().to_owned());
    let trimmed = text.trim();
    let sign = trimmed.find(['=', '!']).ok_or_else(shape)?;
    let (name, rest) = (trimmed[..sign].trim().trim_matches('"'), &trimmed[sign..]);
    let signs = [
        ("=~", MatcherOperator::Matches),
        ("!~", MatcherOperator::MatchesNot),
        ("!=", MatcherOperator::NotEqual),
        ("=", MatcherOperator::Equal),
    ];
    let (operator, value) = signs
        .into_iter()
        .find_map(|(sign, operator)| rest.strip_prefix(sign).map(|value| (operator, value.trim())))
        .ok_or_else(shape)?;
    if name.is_empty() {
        return Err(shape());
    }
    let value = match value.strip_prefix('"') {
        Some(quoted) => unquote(quoted.strip_suffix('"').ok_or_else(shape)?),
        None => value.to_owned(),
    };
    Matcher::new(name, operator, &value)
}

fn unquote(text: &str) -> String {
    let mut value = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, characters.clone().next()) {
            ('\\', Some('n')) => {
                value.push('\n');
                characters.next();
            }
            ('\\', Some(next @ ('"' | '\\'))) => {
                value.push(next);
                characters.next();
            }
            _ => value.push(character),
        }
    }
    value
}

/// The matchers of a route or an inhibition rule, from the three keys they can have.
pub(super) fn of_node(
    file: &SourceFile,
    node: &Node,
    plain: &str,
    regex: &str,
    list: &str,
) -> Result<Vec<Matcher>, ConfigError> {
    let mut found = Vec::new();
    for (key, operator) in [(plain, MatcherOperator::Equal), (regex, MatcherOperator::Matches)] {
        for (name, value) in node.get(key).map(Node::entries).unwrap_or_default() {
            let (Some(label), Some(text)) = (name.text(), value.text()) else {
                return Err(file.error(name, format!("`{key}` maps label names to texts")));
            };
            found.push(Matcher::new(label, operator, text).map_err(|error| file.error(value, error.to_string()))?);
        }
    }
    for entry in node.get(list).map(Node::items).unwrap_or_default() {
        let text = entry.text().ok_or_else(|| file.error(entry, format!("`{list}` is a list of texts")))?;
        found.extend(Matcher::parse_list(text).map_err(|error| file.error(entry, error.to_string()))?);
    }
    Ok(found)
}
