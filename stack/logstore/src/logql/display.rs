//! A query as text again, in one canonical form; what it prints parses to the same tree.

use std::fmt::{Display, Formatter, Result, Write};

use super::{
    Binary, Cardinality, Comparison, Grouping, GroupingMode, LabelFilter, LabelFormatSource, LineFilter, LineMatch,
    LineNeedle, LogQuery, Matcher, MatcherOperator, Matching, MatchingMode, Metric, MetricKind, NamedMatcher, Quantity,
    Query, RangeAggregation, Stage, StageKind, Unwrap, UnwrapConversion, VectorAggregation,
};

/// A text in Go's quotes.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

fn list<T: Display>(f: &mut Formatter<'_>, items: &[T], separator: &str) -> Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Log(query) => write!(f, "{query}"),
            Self::Metric(metric) => write!(f, "{metric}"),
        }
    }
}

impl Display for LogQuery {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_char('{')?;
        list(f, &self.selector, ", ")?;
        f.write_char('}')?;
        for stage in &self.stages {
            write!(f, " {stage}")?;
        }
        Ok(())
    }
}

impl Display for Matcher {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let operator = match self.operator {
            MatcherOperator::Equal => "=",
            MatcherOperator::NotEqual => "!=",
            MatcherOperator::Regex => "=~",
            MatcherOperator::NotRegex => "!~",
        };
        write!(f, "{}{operator}{}", self.name, Quoted(&self.value))
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match &self.kind {
            StageKind::LineFilter(filter) => write!(f, "{filter}"),
            StageKind::Json(extractions) => {
                f.write_str("| json")?;
                assignments(f, extractions.iter().map(|e| (&e.label, &e.text)))
            }
            StageKind::Logfmt(flags, extractions) => {
                f.write_str("| logfmt")?;
                f.write_str(if flags.strict { " --strict" } else { "" })?;
                f.write_str(if flags.keep_empty { " --keep-empty" } else { "" })?;
                assignments(f, extractions.iter().map(|e| (&e.label, &e.text)))
            }
            StageKind::Regexp(_, text) => write!(f, "| regexp {}", Quoted(text)),
            StageKind::Pattern(pattern) => write!(f, "| pattern {}", Quoted(&pattern.text)),
            StageKind::Unpack => f.write_str("| unpack"),
            StageKind::LabelFilter(filter) => write!(f, "| {filter}"),
            StageKind::LineFormat(template) => write!(f, "| line_format {}", Quoted(&template.text)),
            StageKind::LabelFormat(formats) => {
                f.write_str("| label_format ")?;
                for (index, format) in formats.iter().enumerate() {
                    f.write_str(if index > 0 { ", " } else { "" })?;
                    match &format.source {
                        LabelFormatSource::Rename(from) => write!(f, "{}={from}", format.name)?,
                        LabelFormatSource::Template(template) => {
                            write!(f, "{}={}", format.name, Quoted(&template.text))?;
                        }
                    }
                }
                Ok(())
            }
            StageKind::Drop(matchers) => {
                f.write_str("| drop ")?;
                list(f, matchers, ", ")
            }
            StageKind::Keep(matchers) => {
                f.write_str("| keep ")?;
                list(f, matchers, ", ")
            }
            StageKind::Decolorize => f.write_str("| decolorize"),
        }
    }
}

fn assignments<'a>(f: &mut Formatter<'_>, items: impl Iterator<Item = (&'a String, &'a String)>) -> Result {
    for (index, (label, text)) in items.enumerate() {
        write!(f, "{} {label}={}", if index > 0 { "," } else { "" }, Quoted(text))?;
    }
    Ok(())
}

impl Display for NamedMatcher {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Matcher(matcher) => write!(f, "{matcher}"),
        }
    }
}

impl Display for LineFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self.kind {
            LineMatch::Contains => "|= ",
            LineMatch::NotContains => "!= ",
            LineMatch::Regex => "|~ ",
            LineMatch::NotRegex => "!~ ",
            LineMatch::Pattern => "|> ",
            LineMatch::NotPattern => "!> ",
        })?;
        list(f, &self.needles, " or ")
    }
}

impl Display for LineNeedle {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Text(text) | Self::Regex(_, text) | Self::Pattern(_, text) => write!(f, "{}", Quoted(text)),
            Self::Ip(range) => write!(f, "ip({})", Quoted(&range.text)),
        }
    }
}

impl Comparison {
    fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
        }
    }
}

impl Display for LabelFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Text(matcher) => write!(f, "{matcher}"),
            Self::Quantity { name, comparison, quantity } => write!(f, "{name}{}{quantity}", comparison.as_str()),
            Self::Ip { name, comparison, range } => {
                let operator = if *comparison == Comparison::Equal { "=" } else { "!=" };
                write!(f, "{name}{operator}ip({})", Quoted(&range.text))
            }
            Self::And(left, right) => write!(f, "( {left} and {right} )"),
            Self::Or(left, right) => write!(f, "( {left} or {right} )"),
        }
    }
}

impl Display for Quantity {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Duration(nanos) => write!(f, "{nanos}ns"),
            Self::Bytes(bytes) => write!(f, "{bytes}B"),
        }
    }
}

impl Display for Metric {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match &self.kind {
            MetricKind::Range(aggregation) => write!(f, "{aggregation}"),
            MetricKind::Vector(aggregation) => write!(f, "{aggregation}"),
            MetricKind::Binary(binary) => write!(f, "{binary}"),
            MetricKind::Literal(value) => write!(f, "{value}"),
            MetricKind::VectorLiteral(value) => write!(f, "vector({value})"),
            MetricKind::LabelReplace { inner, destination, replacement, source, text, .. } => write!(
                f,
                "label_replace({inner},{},{},{},{})",
                Quoted(destination),
                Quoted(replacement),
                Quoted(source),
                Quoted(text)
            ),
        }
    }
}

impl Display for RangeAggregation {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}(", self.operator.as_str())?;
        if let Some(parameter) = self.parameter {
            write!(f, "{parameter},")?;
        }
        write!(f, "{}", self.query)?;
        if let Some(unwrap) = &self.unwrap {
            write!(f, " {unwrap}")?;
        }
        write!(f, "[{}ms]", self.range / 1_000_000)?;
        if self.offset != 0 {
            write!(f, " offset {}ns", self.offset)?;
        }
        f.write_char(')')?;
        self.grouping.as_ref().map_or(Ok(()), |grouping| write!(f, " {grouping}"))
    }
}

impl Display for Unwrap {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.conversion {
            None => write!(f, "| unwrap {}", self.label)?,
            Some(conversion) => {
                let name = match conversion {
                    UnwrapConversion::Bytes => "bytes",
                    UnwrapConversion::Duration => "duration",
                    UnwrapConversion::DurationSeconds => "duration_seconds",
                };
                write!(f, "| unwrap {name}({})", self.label)?;
            }
        }
        self.filters.iter().try_for_each(|filter| write!(f, " | {filter}"))
    }
}

impl Display for Grouping {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(if self.mode == GroupingMode::By { "by (" } else { "without (" })?;
        list(f, &self.labels, ", ")?;
        f.write_char(')')
    }
}

impl Display for VectorAggregation {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(self.operator.as_str())?;
        if let Some(grouping) = &self.grouping {
            write!(f, " {grouping} ")?;
        }
        f.write_char('(')?;
        if let Some(parameter) = self.parameter {
            write!(f, "{parameter},")?;
        }
        write!(f, "{})", self.inner)
    }
}

impl Display for Binary {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let bool = if self.returns_bool { " bool" } else { "" };
        write!(f, "({} {}{bool}{} {})", self.left, self.operator.as_str(), self.matching, self.right)
    }
}

impl Display for Matching {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.mode == MatchingMode::Ignoring && self.labels.is_empty() && self.cardinality == Cardinality::OneToOne {
            return Ok(());
        }
        f.write_str(if self.mode == MatchingMode::On { " on (" } else { " ignoring (" })?;
        list(f, &self.labels, ", ")?;
        f.write_char(')')?;
        match self.cardinality {
            Cardinality::OneToOne => return Ok(()),
            Cardinality::ManyToOne => f.write_str(" group_left (")?,
            Cardinality::OneToMany => f.write_str(" group_right (")?,
        }
        list(f, &self.include, ", ")?;
        f.write_char(')')
    }
}
