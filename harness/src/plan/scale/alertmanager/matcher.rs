//! Label matchers, old (`match`, `match_re`) and new (`matchers`). Fed by `alertmanager`; read by routes and inhibition.

mod classic;
mod utf8;

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

    /// Reads `a="b"` or `{a="b", c=~"d|e"}` as Alertmanager reads it: what the classic reader takes means what it always
    /// meant, and only the rest is read by the newer rules, in which names may be any text in quotes.
    ///
    /// # Errors
    /// When neither reader takes it.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, MatcherError> {
        match classic::list(text) {
            Err(error @ MatcherError::Shape(_)) => utf8::list(text).map_err(|_| error),
            read => read,
        }
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
