//! The tree of a query: selectors and stages. Built by `grammar`, `pipeline` and `label_filter`, read by `eval` and by whoever
//! rewrites or lints queries. Metric expressions are in `expression`.
//! Regexes, templates and patterns are compiled while parsing, so that a tree never holds an invalid one.

use regex::Regex;

use super::expression::Metric;
use super::path::PathStep;
use super::pattern::Pattern;
use super::template::Template;
use crate::clock::Nanos;

/// A parsed query.
#[derive(Clone, Debug)]
pub enum Query {
    /// Answers with lines.
    Log(LogQuery),
    /// Answers with numbers.
    Metric(Metric),
}

/// A stream selector and the stages its lines pass through.
#[derive(Clone, Debug)]
pub struct LogQuery {
    /// All must match.
    pub selector: Vec<Matcher>,
    /// In order.
    pub stages: Vec<Stage>,
}

/// One comparison of a label with a text.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// The label.
    pub name: String,
    /// How it is compared.
    pub operator: MatcherOperator,
    /// As written.
    pub value: String,
    /// Anchored at both ends; present for the regex operators.
    pub regex: Option<Regex>,
}

/// `=`, `!=`, `=~`, `!~`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatcherOperator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl Matcher {
    /// Whether `value` (empty for an absent label) satisfies the matcher.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let found = self.regex.as_ref().is_some_and(|regex| regex.is_match(value));
        match self.operator {
            MatcherOperator::Equal => value == self.value,
            MatcherOperator::NotEqual => value != self.value,
            MatcherOperator::Regex => found,
            MatcherOperator::NotRegex => !found,
        }
    }
}

/// One stage of a pipeline and the byte offset it starts at.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Byte offset in the query.
    pub at: usize,
    /// What it does.
    pub kind: StageKind,
}

/// What a stage does.
#[derive(Clone, Debug)]
pub enum StageKind {
    /// `|= "a" or "b"`
    LineFilter(LineFilter),
    /// `json`, with the expressions if any
    Json(Vec<Extraction<Vec<PathStep>>>),
    /// `logfmt`, with flags and expressions if any
    Logfmt(ParserFlags, Vec<Extraction<String>>),
    /// `regexp "(?P<a>..)"`, with its text as written
    Regexp(Regex, String),
    /// `pattern "<a> <_>"`
    Pattern(Pattern),
    /// `unpack`
    Unpack,
    /// `| status >= 500 and method = "GET"`
    LabelFilter(LabelFilter),
    /// `line_format "{{.a}}"`
    LineFormat(Template),
    /// `label_format a=b, c="{{.d}}"`
    LabelFormat(Vec<LabelFormat>),
    /// `drop a, b="c"`
    Drop(Vec<NamedMatcher>),
    /// `keep a, b="c"`
    Keep(Vec<NamedMatcher>),
    /// `decolorize`
    Decolorize,
}

/// A line filter; the needles are alternatives for the positive kinds and all excluded by the negative ones.
#[derive(Clone, Debug)]
pub struct LineFilter {
    /// How.
    pub kind: LineMatch,
    /// What, at least one.
    pub needles: Vec<LineNeedle>,
}

/// `|=`, `!=`, `|~`, `!~`, `|>`, `!>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineMatch {
    /// `|=`
    Contains,
    /// `!=`
    NotContains,
    /// `|~`
    Regex,
    /// `!~`
    NotRegex,
    /// `|>`
    Pattern,
    /// `!>`
    NotPattern,
}

impl LineMatch {
    /// Whether a match drops the line.
    #[must_use]
    pub fn is_negative(self) -> bool {
        matches!(self, Self::NotContains | Self::NotRegex | Self::NotPattern)
    }
}

/// What a line filter looks for.
#[derive(Clone, Debug)]
pub enum LineNeedle {
    /// A substring.
    Text(String),
    /// A regex, not anchored; with its text as written.
    Regex(Regex, String),
    /// A line pattern; with its text as written.
    Pattern(Pattern, String),
    /// `ip("10.0.0.0/8")`
    Ip(IpRange),
}

/// Addresses: one, a range or a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpRange {
    /// As written.
    pub text: String,
    /// The lowest address.
    pub first: std::net::IpAddr,
    /// The highest address.
    pub last: std::net::IpAddr,
}

/// `label="expression"` of a parser stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extraction<T> {
    /// The label to set.
    pub label: String,
    /// As written.
    pub text: String,
    /// Where from.
    pub from: T,
}

/// `--strict` and `--keep-empty`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParserFlags {
    /// Stop at the first malformed pair and set `__error__`.
    pub strict: bool,
    /// Keep keys without a value.
    pub keep_empty: bool,
}

/// A condition on labels.
#[derive(Clone, Debug)]
pub enum LabelFilter {
    /// A text comparison.
    Text(Matcher),
    /// A comparison with a number, a duration or a size.
    Quantity {
        /// The label.
        name: String,
        /// How.
        comparison: Comparison,
        /// With what.
        quantity: Quantity,
    },
    /// `addr = ip("..")`, `addr != ip("..")`
    Ip {
        /// The label.
        name: String,
        /// `Equal` or `NotEqual`.
        comparison: Comparison,
        /// With what.
        range: IpRange,
    },
    /// Both.
    And(Box<LabelFilter>, Box<LabelFilter>),
    /// One of them.
    Or(Box<LabelFilter>, Box<LabelFilter>),
}

/// What a label is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantity {
    /// A plain number.
    Number(f64),
    /// Nanoseconds.
    Duration(Nanos),
    /// Bytes.
    Bytes(u64),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
}

impl Comparison {
    /// Whether `left <comparison> right` holds.
    #[must_use]
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            #[expect(clippy::float_cmp, reason = "LogQL compares floats exactly")]
            Self::Equal => left == right,
            #[expect(clippy::float_cmp, reason = "LogQL compares floats exactly")]
            Self::NotEqual => left != right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
        }
    }
}

/// One assignment of `label_format`.
#[derive(Clone, Debug)]
pub struct LabelFormat {
    /// The label to set.
    pub name: String,
    /// From what.
    pub source: LabelFormatSource,
}

/// What `label_format` sets a label from.
#[derive(Clone, Debug)]
pub enum LabelFormatSource {
    /// Another label, which is renamed.
    Rename(String),
    /// A template.
    Template(Template),
}

/// An item of `drop` and `keep`.
#[derive(Clone, Debug)]
pub enum NamedMatcher {
    /// The label, whatever its value.
    Name(String),
    /// The label if its value matches.
    Matcher(Matcher),
}

/// Something that Loki evaluates and logstore does not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("logstore does not support {what} (at offset {offset} of the query)")]
pub struct Unsupported {
    /// Byte offset in the query.
    pub offset: usize,
    /// What it is.
    pub what: String,
}
