//! Intervals and the summands they are made of. Used by `bound`.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The earliest and the latest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Interval {
    /// Not before.
    pub floor: Duration,
    /// Not after.
    pub ceiling: Duration,
}

impl Interval {
    /// Whether a duration lies inside, ends included.
    #[must_use]
    pub fn holds(&self, duration: Duration) -> bool {
        self.floor <= duration && duration <= self.ceiling
    }

    /// Both ends added.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { floor: self.floor + other.floor, ceiling: self.ceiling + other.ceiling }
    }

    /// The smallest interval that holds both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self { floor: self.floor.min(other.floor), ceiling: self.ceiling.max(other.ceiling) }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}..{:.2} s", self.floor.as_secs_f64(), self.ceiling.as_secs_f64())
    }
}

/// A summand of a bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Term {
    /// What is waited for: `scrape`, `window`, `evaluation`, `for`, `group_wait` …
    pub name: String,
    /// At least so long.
    pub floor: Duration,
    /// At most so long.
    pub ceiling: Duration,
    /// Why.
    pub why: String,
}

impl Term {
    pub(super) fn new(name: &str, floor: Duration, ceiling: Duration, why: impl Into<String>) -> Self {
        Self { name: name.to_owned(), floor, ceiling, why: why.into() }
    }

    pub(super) fn exact(name: &str, duration: Duration, why: String) -> Self {
        Self::new(name, duration, duration, why)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.name, Interval { floor: self.floor, ceiling: self.ceiling }, self.why)
    }
}

/// The sum of the terms.
#[must_use]
pub fn sum(terms: &[Term]) -> Interval {
    Interval { floor: terms.iter().map(|term| term.floor).sum(), ceiling: terms.iter().map(|term| term.ceiling).sum() }
}

/// The terms as a sum.
pub(super) fn arithmetic(terms: &[Term]) -> String {
    terms.iter().map(ToString::to_string).collect::<Vec<_>>().join(" + ")
}
