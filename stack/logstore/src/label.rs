//! Label sets: what names a stream, a series or a line's metadata. Sorted by name.

use std::fmt::{Display, Formatter, Result, Write};
use std::sync::Arc;

use crate::logql::Matcher;

/// A sorted, shared set of labels, without empty values unless it is told otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Labels {
    /// From pairs in any order; an empty value means the label is absent, of equal names the last one counts.
    pub fn new<N: Into<Arc<str>>, V: Into<Arc<str>>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut unique = unique(pairs);
        unique.retain(|(_, value)| !value.is_empty());
        Self(unique.into())
    }

    /// As [`Self::new`], but labels with empty values stay: a parser or a sender may have set them, and Loki tells them
    /// from absent ones.
    pub fn with_empty<N: Into<Arc<str>>, V: Into<Arc<str>>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        Self(unique(pairs).into())
    }

    /// The value of a label.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.binary_search_by(|(n, _)| (**n).cmp(name)).ok().map(|at| &*self.0[at].1)
    }

    /// All pairs, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// All pairs, shared.
    pub fn pairs(&self) -> &[(Arc<str>, Arc<str>)] {
        &self.0
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all matchers hold; an absent label counts as an empty value.
    #[must_use]
    pub fn satisfy(&self, matchers: &[Matcher]) -> bool {
        matchers.iter().all(|matcher| matcher.matches(self.get(&matcher.name).unwrap_or_default()))
    }

    /// The bytes of all names and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}

/// Sorted by name, the last of equal names.
fn unique<N: Into<Arc<str>>, V: Into<Arc<str>>>(pairs: impl IntoIterator<Item = (N, V)>) -> Vec<(Arc<str>, Arc<str>)> {
    let mut all: Vec<(Arc<str>, Arc<str>)> = pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let mut unique: Vec<(Arc<str>, Arc<str>)> = Vec::with_capacity(all.len());
    for pair in all {
        match unique.last_mut() {
            Some(last) if last.0 == pair.0 => *last = pair,
            _ => unique.push(pair),
        }
    }
    unique
}

impl Display for Labels {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_char('{')?;
        for (index, (name, value)) in self.iter().enumerate() {
            write!(f, "{}{name}={value:?}", if index > 0 { ", " } else { "" })?;
        }
        f.write_char('}')
    }
}

/// Whether `name` may name a label.
#[must_use]
pub fn is_valid_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b == b'_' || b == b':' || b.is_ascii_alphabetic());
    first && bytes.all(|b| b == b'_' || b == b':' || b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_unique_and_never_empty() {
        let labels = Labels::new([("b", "2"), ("a", "1"), ("c", ""), ("a", "3")]);
        assert_eq!(labels.to_string(), r#"{a="3", b="2"}"#);
        assert_eq!((labels.get("a"), labels.get("c")), (Some("3"), None));
    }
}
