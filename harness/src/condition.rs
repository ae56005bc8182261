//! Comparisons as authors write them: `"> 0"`, `"<= 250ms"`, `">= 99%"`. Parsed once, printed back as written.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>=`
    GreaterOrEqual,
    /// `>`
    Greater,
}

/// What kind of number stands behind the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// A bare number.
    Number,
    /// A percentage; the bound is the share (`99%` is 0.99).
    Percent,
    /// A duration; the bound is in seconds.
    Duration,
}

/// A comparison with a constant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// The operator.
    pub operator: Operator,
    /// The constant: a number, a share or seconds, by `unit`. Never NaN.
    pub bound: f64,
    /// How it was written.
    pub unit: Unit,
    text: String,
}

/// Why a condition could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// No operator in front.
    #[error("a condition starts with one of `<`, `<=`, `==`, `!=`, `>=`, `>`, for example `\"> 0\"`")]
    NoOperator,
    /// No finite number behind the operator.
    #[error("`{0}` is not a finite number, percentage or duration")]
    NotANumber(String),
}

impl Condition {
    /// Reads `"<operator> <number>[%|ns|us|ms|s|m|h]"`.
    ///
    /// # Errors
    /// When there is no operator or no finite number.
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        let trimmed = text.trim();
        let (operator, rest) = split_operator(trimmed).ok_or(ConditionError::NoOperator)?;
        let (bound, unit) =
            parse_bound(rest.trim()).ok_or_else(|| ConditionError::NotANumber(rest.trim().to_owned()))?;
        Ok(Self { operator, bound, unit, text: trimmed.to_owned() })
    }

    /// Whether `value` satisfies it. NaN satisfies nothing, not even `!=`.
    #[must_use]
    #[expect(clippy::float_cmp, reason = "the author asked for equality")]
    pub fn holds(&self, value: f64) -> bool {
        if value.is_nan() {
            return false;
        }
        match self.operator {
            Operator::Less => value < self.bound,
            Operator::LessOrEqual => value <= self.bound,
            Operator::Equal => value == self.bound,
            Operator::NotEqual => value != self.bound,
            Operator::GreaterOrEqual => value >= self.bound,
            Operator::Greater => value > self.bound,
        }
    }

    /// Whether a duration satisfies it.
    #[must_use]
    pub fn holds_for(&self, value: Duration) -> bool {
        self.holds(value.as_secs_f64())
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn split_operator(text: &str) -> Option<(Operator, &str)> {
    const OPERATORS: [(&str, Operator); 6] = [
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ];
    OPERATORS.iter().find_map(|(sign, operator)| text.strip_prefix(sign).map(|rest| (*operator, rest)))
}

fn parse_bound(text: &str) -> Option<(f64, Unit)> {
    const SECONDS: [(&str, f64); 6] =
        [("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let finite = |number: &str| number.trim().parse::<f64>().ok().filter(|value| value.is_finite());
    if let Some(number) = text.strip_suffix('%') {
        return finite(number).map(|value| (value / 100.0, Unit::Percent));
    }
    for (suffix, factor) in SECONDS {
        if let Some(number) = text.strip_suffix(suffix).and_then(finite) {
            return Some((number * factor, Unit::Duration));
        }
    }
    finite(text).map(|value| (value, Unit::Number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_shares_and_seconds() {
        let latency = Condition::parse("< 250ms").unwrap();
        assert!(latency.holds_for(Duration::from_millis(249)) && !latency.holds_for(Duration::from_millis(250)));
        assert!((Condition::parse(">= 99%").unwrap().bound - 0.99).abs() < 1e-12);
        assert_eq!(Condition::parse("<=3").unwrap().unit, Unit::Number);
    }

    #[test]
    fn nan_satisfies_nothing_t13() {
        for text in ["< 1", "<= 1", "== 1", "!= 1", ">= 1", "> 1"] {
            assert!(!Condition::parse(text).unwrap().holds(f64::NAN), "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        assert_eq!(Condition::parse("5"), Err(ConditionError::NoOperator));
        for text in ["> nan", "> inf", "> ", "> five", "> 5 parsecs"] {
            assert!(matches!(Condition::parse(text), Err(ConditionError::NotANumber(_))), "{text}");
        }
    }
}
