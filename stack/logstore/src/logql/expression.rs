//! The tree of a metric expression. Built by `grammar` and `aggregation`, read by `eval`.

use regex::Regex;

use super::ast::{Comparison, LabelFilter, LogQuery};
use crate::clock::Nanos;

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
