//! The grammar of aggregations over time and over series, and what may be combined in them.

use super::grammar::{Parsed, Parser, StageLimit};
use super::token::{Kind, parse_number};
use super::{
    Grouping, GroupingMode, LogQuery, Matcher, ParseError, RangeAggregation, RangeOperator, Stage, Unwrap,
    VectorAggregation, VectorOperator,
};
use crate::clock::Nanos;

/// A log query with its window.
struct LogRange {
    query: LogQuery,
    range: Nanos,
    offset: Nanos,
    unwrap: Option<Unwrap>,
}

impl LogRange {
    fn new(selector: Vec<Matcher>, stages: Vec<Stage>, unwrap: Option<Unwrap>) -> Self {
        Self { query: LogQuery { selector, stages }, range: 0, offset: 0, unwrap }
    }
}

impl Parser<'_> {
    pub(super) fn vector_aggregation(&mut self, operator: VectorOperator) -> Parsed<VectorAggregation> {
        let at = self.offset();
        self.advance();
        let mut grouping = self.grouping()?;
        self.expect("(", "(")?;
        let parameter = self.parameter()?;
        let inner = Box::new(self.metric()?);
        self.expect(")", "")?;
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        let parameter = check_vector(at, operator, parameter, grouping.as_ref())?;
        Ok(VectorAggregation { operator, parameter, grouping, inner })
    }

    /// `5,` before the argument.
    fn parameter(&mut self) -> Parsed<Option<String>> {
        if !matches!(self.peek(), Kind::Number(_)) || !matches!(self.peek_second(), Kind::Symbol(",")) {
            return Ok(None);
        }
        let Kind::Number(text) = self.advance() else { unreachable!("just peeked") };
        self.expect(",", ",")?;
        Ok(Some(text))
    }

    fn grouping(&mut self) -> Parsed<Option<Grouping>> {
        let mode = match self.peek() {
            Kind::Symbol("by") => GroupingMode::By,
            Kind::Symbol("without") => GroupingMode::Without,
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some(Grouping { mode, labels: self.label_names()? }))
    }

    /// `(a, b)`
    pub(super) fn label_names(&mut self) -> Parsed<Vec<String>> {
        self.expect("(", "(")?;
        let mut names = Vec::new();
        if self.take(")") {
            return Ok(names);
        }
        loop {
            names.push(self.identifier(if names.is_empty() { "IDENTIFIER or )" } else { "IDENTIFIER" })?);
            if !self.take(",") {
                self.expect(")", ", or )")?;
                return Ok(names);
            }
        }
    }

    pub(super) fn range_aggregation(&mut self, operator: RangeOperator) -> Parsed<RangeAggregation> {
        let at = self.offset();
        self.advance();
        self.expect("(", "(")?;
        let parameter = self.parameter()?;
        if !(self.is("{") || self.is("(")) {
            return Err(self.unexpected(if parameter.is_some() { "{ or (" } else { "NUMBER or { or (" }));
        }
        let range = self.log_range()?;
        self.expect(")", "")?;
        let grouping = self.grouping()?;
        check_range(at, operator, parameter.as_deref(), &range, grouping.as_ref())?;
        let parameter = match parameter {
            Some(text) => Some(parse_number(&text).ok_or_else(|| {
                let reason = format!("strconv.ParseFloat: parsing {text:?}: invalid syntax");
                ParseError::semantic(at, format!("invalid parameter for operation {}: {reason}", operator.as_str()))
            })?),
            None => None,
        };
        let LogRange { query, range, offset, unwrap, .. } = range;
        Ok(RangeAggregation { operator, parameter, query, range, offset, unwrap, grouping })
    }

    /// A selector with a window; stages and `unwrap` may stand before or after the window.
    fn log_range(&mut self) -> Parsed<LogRange> {
        self.nested(|parser| {
            if !parser.take("(") {
                return parser.plain_log_range();
            }
            if parser.is("(") {
                let inner = parser.log_range()?;
                parser.expect(")", "")?;
                return Ok(inner);
            }
            let selector = parser.selector()?;
            let (stages, unwrap) = parser.stages(StageLimit::Unwrap)?;
            if matches!(parser.peek(), Kind::Range(_)) {
                let inner = parser.windowed(selector, stages, unwrap)?;
                parser.expect(")", "")?;
                return Ok(inner);
            }
            parser.expect(")", "")?;
            let plain = stages.is_empty() && unwrap.is_none();
            let mut range = LogRange::new(selector, stages, unwrap);
            parser.window(&mut range)?;
            if plain && parser.is("|") && matches!(parser.peek_second(), Kind::Symbol("unwrap")) {
                range.unwrap = parser.stages(StageLimit::Unwrap)?.1;
            }
            Ok(range)
        })
    }

    fn plain_log_range(&mut self) -> Parsed<LogRange> {
        let selector = self.selector()?;
        let (stages, unwrap) = self.stages(StageLimit::Unwrap)?;
        self.windowed(selector, stages, unwrap)
    }

    fn windowed(&mut self, selector: Vec<Matcher>, stages: Vec<Stage>, unwrap: Option<Unwrap>) -> Parsed<LogRange> {
        let bare = stages.is_empty() && unwrap.is_none();
        let mut range = LogRange::new(selector, stages, unwrap);
        self.window(&mut range)?;
        if bare {
            (range.query.stages, range.unwrap) = self.stages(StageLimit::Unwrap)?;
        }
        Ok(range)
    }

    /// `[5m] offset 1m`
    fn window(&mut self, range: &mut LogRange) -> Parsed<()> {
        let Kind::Range(length) = *self.peek() else { return Err(self.unexpected("")) };
        self.advance();
        range.range = length;
        if self.take("offset") {
            let Kind::Duration(offset) = *self.peek() else { return Err(self.unexpected("DURATION")) };
            self.advance();
            range.offset = offset;
        }
        Ok(())
    }
}

fn check_vector(
    at: usize,
    operator: VectorOperator,
    parameter: Option<String>,
    grouping: Option<&Grouping>,
) -> Parsed<Option<u64>> {
    use VectorOperator::{ApproxTopk, Bottomk, Sort, SortDesc, Topk};
    let name = operator.as_str();
    let fail = |message: String| Err(ParseError::semantic(at, message));
    if matches!(operator, Sort | SortDesc) && grouping.is_some_and(|grouping| !grouping.labels.is_empty()) {
        return fail("sort and sort_desc doesn't allow grouping by ".to_owned());
    }
    match (operator, parameter) {
        (Bottomk | Topk | ApproxTopk, None) => fail(format!("parameter required for operation {name}")),
        (Bottomk | Topk | ApproxTopk, Some(text)) => match text.parse::<u64>() {
            Err(_) => fail(format!("invalid parameter {name}({text},")),
            Ok(0) => fail(format!("invalid parameter (must be greater than 0) {name}({text}")),
            Ok(_) if operator == ApproxTopk && grouping.is_some() => {
                fail(format!("grouping not allowed for {name} aggregation"))
            }
            Ok(k) => Ok(Some(k)),
        },
        (_, Some(text)) => fail(format!("unsupported parameter for operation {name}({text},")),
        (_, None) => Ok(None),
    }
}

fn check_range(
    at: usize,
    operator: RangeOperator,
    parameter: Option<&str>,
    range: &LogRange,
    grouping: Option<&Grouping>,
) -> Parsed<()> {
    use RangeOperator as Op;
    let name = operator.as_str();
    let fail = |message: String| Err(ParseError::semantic(at, message));
    match (operator, parameter) {
        (Op::Quantile, None) => return fail(format!("parameter required for operation {name}")),
        (Op::Quantile, Some(_)) | (_, None) => {}
        (_, Some(text)) => return fail(format!("parameter {text} not supported for operation {name}")),
    }
    let groups =
        matches!(operator, Op::Avg | Op::Stddev | Op::Stdvar | Op::Quantile | Op::Max | Op::Min | Op::First | Op::Last);
    if grouping.is_some() && !groups {
        return fail(format!("grouping not allowed for {name} aggregation"));
    }
    let counts_lines = matches!(operator, Op::Bytes | Op::BytesRate | Op::Count);
    let either = matches!(operator, Op::Rate | Op::Absent);
    match &range.unwrap {
        Some(_) if counts_lines => fail(format!("invalid aggregation {name} with unwrap")),
        None if !counts_lines && !either => fail(format!("invalid aggregation {name} without unwrap")),
        _ => Ok(()),
    }
}
