//! The tree of a query. Built by `grammar` and `pipeline`, read by `eval` and by whoever rewrites or lints queries.
//! Regexes, templates and patterns are compiled while parsing, so that a tree never holds an invalid one.

use regex::Regex;

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

/// A metric expression and the byte offset it starts at.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Byte offset in the query.
    pub at: usize,
    /// What it is.
    pub kind: MetricKind,
}

/// What a metric expression is.
#[derive(Clone, Debug)]
pub enum MetricKind {
    /// `rate({..}[5m])`
    Range(RangeAggregation),
    /// `sum by (a) (..)`
    Vector(VectorAggregation),
    /// `a + b`
    Binary(Binary),
    /// `5`
    Literal(f64),
    /// `vector(5)`
    VectorLiteral(f64),
    /// `label_replace(x, "dst", "replacement", "src", "regex")`
    LabelReplace {
        /// `x`
        inner: Box<Metric>,
        /// `dst`
        destination: String,
        /// `replacement`
        replacement: String,
        /// `src`
        source: String,
        /// `regex`, anchored.
        regex: Regex,
        /// `regex` as written.
        text: String,
    },
}

/// An aggregation over a window of lines.
#[derive(Clone, Debug)]
pub struct RangeAggregation {
    /// Which.
    pub operator: RangeOperator,
    /// The quantile.
    pub parameter: Option<f64>,
    /// The lines.
    pub query: LogQuery,
    /// The window's length in nanoseconds.
    pub range: Nanos,
    /// How far back the window ends, in nanoseconds.
    pub offset: Nanos,
    /// The label the numbers come from.
    pub unwrap: Option<Unwrap>,
    /// `by` or `without`.
    pub grouping: Option<Grouping>,
}

/// `unwrap label`, with a conversion and filters after it.
#[derive(Clone, Debug)]
pub struct Unwrap {
    /// Byte offset in the query.
    pub at: usize,
    /// The label.
    pub label: String,
    /// How it is read.
    pub conversion: Option<UnwrapConversion>,
    /// Conditions on labels and on `__error__`, applied after the conversion.
    pub filters: Vec<LabelFilter>,
}

/// How `unwrap` reads a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnwrapConversion {
    /// `bytes(x)`
    Bytes,
    /// `duration(x)`: seconds
    Duration,
    /// `duration_seconds(x)`: seconds
    DurationSeconds,
}

macro_rules! names {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_meta])* $variant,)* }
        impl $name {
            /// As LogQL writes it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
            /// From its name in LogQL.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

names! {
    /// An aggregation over time.
    RangeOperator {
        /// Lines a second, or the sum of the unwrapped values a second.
        Rate = "rate",
        /// The rate of an unwrapped counter.
        RateCounter = "rate_counter",
        /// Lines.
        Count = "count_over_time",
        /// Bytes a second.
        BytesRate = "bytes_rate",
        /// Bytes.
        Bytes = "bytes_over_time",
        /// Mean of the unwrapped values.
        Avg = "avg_over_time",
        /// Sum of the unwrapped values.
        Sum = "sum_over_time",
        /// Least unwrapped value.
        Min = "min_over_time",
        /// Greatest unwrapped value.
        Max = "max_over_time",
        /// Population variance of the unwrapped values.
        Stdvar = "stdvar_over_time",
        /// Population standard deviation of the unwrapped values.
        Stddev = "stddev_over_time",
        /// A quantile of the unwrapped values.
        Quantile = "quantile_over_time",
        /// First unwrapped value.
        First = "first_over_time",
        /// Last unwrapped value.
        Last = "last_over_time",
        /// 1 where there is no line.
        Absent = "absent_over_time",
    }
}

names! {
    /// An aggregation over series.
    VectorOperator {
        /// Sum.
        Sum = "sum",
        /// Mean.
        Avg = "avg",
        /// Number of series.
        Count = "count",
        /// Greatest.
        Max = "max",
        /// Least.
        Min = "min",
        /// Population standard deviation.
        Stddev = "stddev",
        /// Population variance.
        Stdvar = "stdvar",
        /// The k least.
        Bottomk = "bottomk",
        /// The k greatest.
        Topk = "topk",
        /// The k greatest, estimated.
        ApproxTopk = "approx_topk",
        /// Ascending by value.
        Sort = "sort",
        /// Descending by value.
        SortDesc = "sort_desc",
    }
}

names! {
    /// An operator between two metric expressions.
    BinaryOperator {
        /// Union.
        Or = "or",
        /// Intersection.
        And = "and",
        /// Complement.
        Unless = "unless",
        /// Sum.
        Add = "+",
        /// Difference.
        Subtract = "-",
        /// Product.
        Multiply = "*",
        /// Quotient.
        Divide = "/",
        /// Remainder.
        Modulo = "%",
        /// Power.
        Power = "^",
        /// Equal.
        Equal = "==",
        /// Not equal.
        NotEqual = "!=",
        /// Greater.
        Greater = ">",
        /// Greater or equal.
        GreaterOrEqual = ">=",
        /// Less.
        Less = "<",
        /// Less or equal.
        LessOrEqual = "<=",
    }
}

impl BinaryOperator {
    /// Whether it works on whole sets of series.
    #[must_use]
    pub fn is_set(self) -> bool {
        matches!(self, Self::Or | Self::And | Self::Unless)
    }

    /// The comparison it makes, if it is one.
    #[must_use]
    pub fn comparison(self) -> Option<Comparison> {
        Some(match self {
            Self::Equal => Comparison::Equal,
            Self::NotEqual => Comparison::NotEqual,
            Self::Greater => Comparison::Greater,
            Self::GreaterOrEqual => Comparison::GreaterOrEqual,
            Self::Less => Comparison::Less,
            Self::LessOrEqual => Comparison::LessOrEqual,
            _ => return None,
        })
    }
}

/// `by (..)` or `without (..)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// Which of the two.
    pub mode: GroupingMode,
    /// The labels, in the order written.
    pub labels: Vec<String>,
}

/// Which of the two groupings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupingMode {
    /// Keep these labels.
    By,
    /// Remove these labels.
    Without,
}

/// An aggregation over series.
#[derive(Clone, Debug)]
pub struct VectorAggregation {
    /// Which.
    pub operator: VectorOperator,
    /// The k of `topk` and its like.
    pub parameter: Option<u64>,
    /// `by` or `without`.
    pub grouping: Option<Grouping>,
    /// Of what.
    pub inner: Box<Metric>,
}

/// A binary operation.
#[derive(Clone, Debug)]
pub struct Binary {
    /// Which.
    pub operator: BinaryOperator,
    /// `bool`: comparisons answer 0 or 1 instead of filtering.
    pub returns_bool: bool,
    /// How the series of both sides find each other.
    pub matching: Matching,
    /// Left side.
    pub left: Box<Metric>,
    /// Right side.
    pub right: Box<Metric>,
}

/// How the series of both sides find each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matching {
    /// On which labels.
    pub mode: MatchingMode,
    /// The labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// How many on which side.
    pub cardinality: Cardinality,
    /// The labels of `group_left(..)` or `group_right(..)`.
    pub include: Vec<String>,
}

/// Which labels must be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchingMode {
    /// These.
    On,
    /// All but these.
    Ignoring,
}

/// How many series may match how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cardinality {
    /// One on each side.
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
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

impl BinaryOperator {
    /// The number `left <operator> right`; comparisons answer 1 or 0, set operators answer `left`. Division and remainder
    /// by zero are NaN, as in Loki.
    #[must_use]
    pub fn apply(self, left: f64, right: f64) -> f64 {
        if let Some(comparison) = self.comparison() {
            return f64::from(u8::from(comparison.holds(left, right)));
        }
        match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide | Self::Modulo if right == 0.0 => f64::NAN,
            Self::Divide => left / right,
            Self::Modulo => left % right,
            Self::Power => left.powf(right),
            _ => left,
        }
    }
}
