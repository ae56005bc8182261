//! LogQL as text and as a tree. `parse` is fed by the HTTP API and by the harness's lint; `eval` reads the tree.
//!
//! The accepted language, its precedences and its error texts are Loki's. Everything that Loki accepts parses here; what
//! logstore cannot evaluate is found by [`Query::unsupported`], so that a linter never calls a valid query wrong.

mod aggregation;
mod ast;
mod display;
mod expression;
mod grammar;
mod label_filter;
mod path;
mod pattern;
mod pipeline;
mod re2;
mod template;
mod token;
mod unit;
mod unquote;

pub use ast::{
    Comparison, Extraction, IpRange, LabelFilter, LabelFormat, LabelFormatSource, LineFilter, LineMatch, LineNeedle,
    LogQuery, Matcher, MatcherOperator, NamedMatcher, ParserFlags, Quantity, Query, Stage, StageKind, Unsupported,
};
pub use expression::{
    Binary, BinaryOperator, Cardinality, Grouping, GroupingMode, Matching, MatchingMode, Metric, MetricKind,
    RangeAggregation, RangeOperator, Unwrap, UnwrapConversion, VectorAggregation, VectorOperator,
};
pub use path::PathStep;
pub use pattern::{Pattern, PatternPart};
pub use re2::compile as compile_regex;
pub use template::{Call, Dialect, Node, Operand, Pipeline, Template, TemplateError};
pub(crate) use unit::{go_duration, prometheus_duration};
pub use unit::{parse_bytes, parse_duration};

/// Why a text is no LogQL query. `Display` is Loki's text: `parse error at line 1, col 12: …`, or `parse error : …` for
/// errors about the meaning rather than the syntax, where Loki names no position; `offset` is known for both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Byte offset in the query.
    pub offset: usize,
    /// Loki's message without the position.
    pub message: String,
    /// Line and column (in characters, from 1) for syntax errors.
    position: Option<(usize, usize)>,
}

impl ParseError {
    /// A syntax error at a byte offset of `text`.
    fn positioned(text: &str, offset: usize, message: impl Into<String>) -> Self {
        let before = &text[..offset.min(text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        Self { offset, message: message.into(), position: Some((line, column)) }
    }

    /// An error about the meaning.
    fn semantic(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into(), position: None }
    }
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.position {
            Some((line, column)) => write!(f, "parse error at line {line}, col {column}: {}", self.message),
            None => write!(f, "parse error : {}", self.message),
        }
    }
}

impl std::error::Error for ParseError {}

/// The longest query in bytes.
pub const MAX_QUERY_BYTES: usize = 131_072;

/// Parses a query.
///
/// # Errors
/// The first problem, with its position and Loki's text.
pub fn parse(text: &str) -> Result<Query, ParseError> {
    if text.len() >= MAX_QUERY_BYTES {
        let message = format!("input size too long ({} > {MAX_QUERY_BYTES})", text.len());
        return Err(ParseError::semantic(0, message));
    }
    grammar::parse(text)
}

/// Parses a stream selector alone, as `match[]` of `/series` and `query` of `/index/stats` take it.
///
/// # Errors
/// As [`parse`]; also if anything else than a selector is given.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    match parse(text)? {
        Query::Log(LogQuery { selector, stages }) if stages.is_empty() => Ok(selector),
        _ => Err(ParseError::semantic(0, "only label matchers are supported")),
    }
}

/// Parses the label set of a pushed stream, `{a="b", c="d"}`.
///
/// # Errors
/// As [`parse`].
pub fn parse_labels(text: &str) -> Result<Vec<(String, String)>, ParseError> {
    grammar::parse_labels(text)
}

impl Query {
    /// The first thing in the query that Loki evaluates and logstore does not.
    #[must_use]
    pub fn unsupported(&self) -> Option<Unsupported> {
        match self {
            Self::Log(query) => query.unsupported(),
            Self::Metric(metric) => metric.unsupported(),
        }
    }
}

impl LogQuery {
    fn unsupported(&self) -> Option<Unsupported> {
        self.stages.iter().find_map(|stage| {
            let what = match &stage.kind {
                StageKind::LineFormat(template) => template.unsupported(),
                StageKind::LabelFormat(formats) => formats.iter().find_map(|format| match &format.source {
                    LabelFormatSource::Template(template) => template.unsupported(),
                    LabelFormatSource::Rename(_) => None,
                }),
                _ => None,
            };
            what.map(|what| Unsupported { offset: stage.at, what })
        })
    }
}

impl Metric {
    fn unsupported(&self) -> Option<Unsupported> {
        match &self.kind {
            MetricKind::Range(aggregation) => aggregation.query.unsupported(),
            MetricKind::Vector(VectorAggregation { operator: VectorOperator::ApproxTopk, .. }) => {
                Some(Unsupported { offset: self.at, what: "approx_topk".to_owned() })
            }
            MetricKind::Vector(aggregation) => aggregation.inner.unsupported(),
            MetricKind::Binary(binary) => binary.left.unsupported().or_else(|| binary.right.unsupported()),
            MetricKind::Literal(_) | MetricKind::VectorLiteral(_) => None,
            MetricKind::LabelReplace { inner, .. } => inner.unsupported(),
        }
    }
}
