//! The grammar of expressions: selectors, metric expressions, binary operators. Stages are in `pipeline`, aggregations in
//! `aggregation`.

use super::token::{Kind, Token, parse_number, tokenize};
use super::{
    Binary, BinaryOperator, Cardinality, LogQuery, Matcher, MatcherOperator, Matching, MatchingMode, Metric,
    MetricKind, Query, RangeOperator, VectorOperator,
};
use super::{ParseError, re2};

/// How deep parentheses and aggregations may nest.
const MAX_DEPTH: usize = 100;

/// How many operators one query may have.
const MAX_OPERANDS: usize = 1_000;

const NEEDS_MATCHER: &str = "queries require at least one regexp or equality matcher that does not have an \
                             empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but \
                             app=~\".+\" will";

pub(super) type Parsed<T> = Result<T, ParseError>;

pub(super) fn parse(text: &str) -> Parsed<Query> {
    let mut parser = Parser::new(text)?;
    let query = parser.expression(0)?;
    parser.end()?;
    Ok(query)
}

pub(super) fn parse_labels(text: &str) -> Parsed<Vec<(String, String)>> {
    let mut parser = Parser::new(text)?;
    parser.expect("{", "{")?;
    let mut labels = Vec::new();
    while !parser.take("}") {
        let name = parser.identifier("IDENTIFIER or }")?;
        parser.expect("=", "=")?;
        labels.push((name, parser.string("STRING")?));
        if !parser.take(",") {
            parser.expect("}", "} or ,")?;
            break;
        }
    }
    parser.end()?;
    Ok(labels)
}

/// The tokens of a query and a place among them.
pub(super) struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    operands: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parsed<Self> {
        Ok(Self { text, tokens: tokenize(text)?, at: 0, depth: 0, operands: 0 })
    }

    pub(super) fn peek(&self) -> &Kind {
        &self.tokens[self.at].kind
    }

    pub(super) fn peek_second(&self) -> &Kind {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].kind
    }

    /// The byte offset of the next token.
    pub(super) fn offset(&self) -> usize {
        self.tokens[self.at].at
    }

    pub(super) fn advance(&mut self) -> Kind {
        let kind = self.tokens[self.at].kind.clone();
        if kind != Kind::End {
            self.at += 1;
        }
        kind
    }

    pub(super) fn is(&self, symbol: &str) -> bool {
        matches!(self.peek(), Kind::Symbol(s) if *s == symbol)
    }

    pub(super) fn take(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        if found {
            self.at += 1;
        }
        found
    }

    /// "unexpected …" at the next token; `expecting` may be empty.
    pub(super) fn unexpected(&self, expecting: &str) -> ParseError {
        let name = self.peek().name();
        let message = match expecting {
            "" => format!("syntax error: unexpected {name}"),
            _ => format!("syntax error: unexpected {name}, expecting {expecting}"),
        };
        ParseError::positioned(self.text, self.offset(), message)
    }

    pub(super) fn expect(&mut self, symbol: &str, expecting: &str) -> Parsed<()> {
        if self.take(symbol) { Ok(()) } else { Err(self.unexpected(expecting)) }
    }

    pub(super) fn identifier(&mut self, expecting: &str) -> Parsed<String> {
        match self.peek() {
            Kind::Identifier(_) => {}
            _ => return Err(self.unexpected(expecting)),
        }
        let Kind::Identifier(name) = self.advance() else { unreachable!("just peeked") };
        Ok(name)
    }

    pub(super) fn string(&mut self, expecting: &str) -> Parsed<String> {
        match self.peek() {
            Kind::String(_) => {}
            _ => return Err(self.unexpected(expecting)),
        }
        let Kind::String(text) = self.advance() else { unreachable!("just peeked") };
        Ok(text)
    }

    fn end(&self) -> Parsed<()> {
        if *self.peek() == Kind::End { Ok(()) } else { Err(self.unexpected("")) }
    }

    /// Runs `inner` one level deeper.
    pub(super) fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ParseError::positioned(self.text, self.offset(), "expression nested too deeply"));
        }
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// Counts the operands of chains, whose trees are as deep as they are long.
    pub(super) fn count_operand(&mut self) -> Parsed<()> {
        self.operands += 1;
        if self.operands > MAX_OPERANDS {
            return Err(ParseError::positioned(self.text, self.offset(), "too many operators in one query"));
        }
        Ok(())
    }

    // ---- expressions ----

    /// An expression whose operators bind at least as tightly as `minimum`.
    fn expression(&mut self, minimum: u8) -> Parsed<Query> {
        self.nested(|parser| {
            let start = parser.offset();
            let mut left = parser.primary()?;
            while let Some(operator) = parser.binary_operator().filter(|operator| precedence(*operator) >= minimum) {
                parser.count_operand()?;
                parser.advance();
                let (returns_bool, matching) = parser.modifier()?;
                let right_minimum = precedence(operator) + u8::from(operator != BinaryOperator::Power);
                let right = parser.expression(right_minimum)?;
                left = Query::Metric(binary(start, operator, returns_bool, matching, left, right)?);
            }
            Ok(left)
        })
    }

    fn binary_operator(&self) -> Option<BinaryOperator> {
        match self.peek() {
            Kind::Symbol(symbol) => BinaryOperator::from_name(symbol),
            // `a -5m` lexes as a duration; Loki refuses it as well
            _ => None,
        }
    }

    fn primary(&mut self) -> Parsed<Query> {
        let at = self.offset();
        let metric = |kind| Ok(Query::Metric(Metric { at, kind }));
        match self.peek().clone() {
            Kind::Symbol("{") => self.log_query().map(Query::Log),
            Kind::Symbol("(") => {
                self.advance();
                let inner = self.expression(0)?;
                self.expect(")", "")?;
                Ok(inner)
            }
            Kind::Number(_) | Kind::Symbol("+" | "-") => metric(MetricKind::Literal(self.literal("NUMBER")?)),
            Kind::Function("vector") => {
                self.advance();
                self.expect("(", "(")?;
                let value = self.number("NUMBER")?;
                self.expect(")", ")")?;
                metric(MetricKind::VectorLiteral(value))
            }
            Kind::Function("label_replace") => self.label_replace(at).map(Query::Metric),
            Kind::Function(name) => {
                if let Some(operator) = RangeOperator::from_name(name) {
                    return metric(MetricKind::Range(self.range_aggregation(operator)?));
                }
                match VectorOperator::from_name(name) {
                    Some(operator) => metric(MetricKind::Vector(self.vector_aggregation(operator)?)),
                    None => Err(self.unexpected("")),
                }
            }
            _ => Err(self.unexpected("")),
        }
    }

    /// A metric expression; a log query is refused where it ends, as its first stray token.
    pub(super) fn metric(&mut self) -> Parsed<Metric> {
        match self.expression(0)? {
            Query::Metric(metric) => Ok(metric),
            Query::Log(_) => Err(self.unexpected("")),
        }
    }

    fn number(&mut self, expecting: &str) -> Parsed<f64> {
        let at = self.offset();
        match self.peek() {
            Kind::Number(_) => {}
            _ => return Err(self.unexpected(expecting)),
        }
        let Kind::Number(text) = self.advance() else { unreachable!("just peeked") };
        parse_number(&text).ok_or_else(|| {
            let reason = format!("strconv.ParseFloat: parsing {text:?}: invalid syntax");
            ParseError::semantic(at, format!("unable to parse literal as a float: {reason}"))
        })
    }

    /// A number with an optional sign.
    pub(super) fn literal(&mut self, expecting: &str) -> Parsed<f64> {
        let negative = self.is("-");
        if negative || self.is("+") {
            self.advance();
            return self.number("NUMBER").map(|value| if negative { -value } else { value });
        }
        self.number(expecting)
    }

    fn label_replace(&mut self, at: usize) -> Parsed<Metric> {
        self.advance();
        self.expect("(", "(")?;
        let inner = Box::new(self.metric()?);
        let mut texts = Vec::with_capacity(4);
        let mut regex_at = at;
        for _ in 0..4 {
            self.expect(",", ",")?;
            regex_at = self.offset();
            texts.push(self.string("STRING")?);
        }
        self.expect(")", ")")?;
        let [destination, replacement, source, text] =
            <[String; 4]>::try_from(texts).expect("four texts were pushed in the loop above");
        let regex = re2::compile_anchored(&text)
            .map_err(|e| ParseError::semantic(regex_at, format!("invalid regex in label_replace: {e}")))?;
        Ok(Metric { at, kind: MetricKind::LabelReplace { inner, destination, replacement, source, regex, text } })
    }

    // ---- binary operators ----

    fn modifier(&mut self) -> Parsed<(bool, Matching)> {
        let returns_bool = self.take("bool");
        let mut matching = Matching {
            mode: MatchingMode::Ignoring,
            labels: Vec::new(),
            cardinality: Cardinality::OneToOne,
            include: Vec::new(),
        };
        if self.is("on") || self.is("ignoring") {
            matching.mode = if self.is("on") { MatchingMode::On } else { MatchingMode::Ignoring };
            self.advance();
            matching.labels = self.label_names()?;
            matching.cardinality = match self.peek() {
                Kind::Symbol("group_left") => Cardinality::ManyToOne,
                Kind::Symbol("group_right") => Cardinality::OneToMany,
                _ => return Ok((returns_bool, matching)),
            };
            self.advance();
            let names_follow = match self.peek_second() {
                Kind::Identifier(_) | Kind::Symbol(")") => self.is("("),
                _ => false,
            };
            if names_follow {
                matching.include = self.label_names()?;
            }
        }
        Ok((returns_bool, matching))
    }

    // ---- selectors ----

    fn log_query(&mut self) -> Parsed<LogQuery> {
        let selector = self.selector()?;
        let (stages, _) = self.stages(StageLimit::NoUnwrap)?;
        Ok(LogQuery { selector, stages })
    }

    pub(super) fn selector(&mut self) -> Parsed<Vec<Matcher>> {
        let at = self.offset();
        self.expect("{", "{")?;
        let mut matchers = Vec::new();
        if !self.take("}") {
            loop {
                matchers.push(self.matcher(if matchers.is_empty() { "IDENTIFIER or }" } else { "IDENTIFIER" })?);
                if self.take("}") {
                    break;
                }
                self.expect(",", "} or ,")?;
            }
        }
        if matchers.iter().all(|matcher| matcher.matches("")) {
            return Err(ParseError::semantic(at, NEEDS_MATCHER));
        }
        Ok(matchers)
    }

    /// `name="value"` and its like.
    fn matcher(&mut self, expecting: &str) -> Parsed<Matcher> {
        let name = self.identifier(expecting)?;
        let operator = match self.peek() {
            Kind::Symbol("=") => MatcherOperator::Equal,
            Kind::Symbol("!=") => MatcherOperator::NotEqual,
            Kind::Symbol("=~") => MatcherOperator::Regex,
            Kind::Symbol("!~") => MatcherOperator::NotRegex,
            _ => return Err(self.unexpected("")),
        };
        self.advance();
        self.matcher_value(name, operator)
    }

    /// The value after `name=`.
    pub(super) fn matcher_value(&mut self, name: String, operator: MatcherOperator) -> Parsed<Matcher> {
        let at = self.offset();
        let value = self.string("STRING")?;
        let regex = match operator {
            MatcherOperator::Regex | MatcherOperator::NotRegex => {
                Some(re2::compile_anchored(&value).map_err(|e| ParseError::semantic(at, e))?)
            }
            MatcherOperator::Equal | MatcherOperator::NotEqual => None,
        };
        Ok(Matcher { name, operator, value, regex })
    }
}

/// Whether `unwrap` may end a list of stages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum StageLimit {
    Unwrap,
    NoUnwrap,
}

fn precedence(operator: BinaryOperator) -> u8 {
    use BinaryOperator as Op;
    match operator {
        Op::Or => 1,
        Op::And | Op::Unless => 2,
        Op::Equal | Op::NotEqual | Op::Greater | Op::GreaterOrEqual | Op::Less | Op::LessOrEqual => 3,
        Op::Add | Op::Subtract => 4,
        Op::Multiply | Op::Divide | Op::Modulo => 5,
        Op::Power => 6,
    }
}

fn binary(
    at: usize,
    operator: BinaryOperator,
    returns_bool: bool,
    matching: Matching,
    left: Query,
    right: Query,
) -> Parsed<Metric> {
    let leg = |query: Query, side: &str| match query {
        Query::Metric(metric) => Ok(metric),
        Query::Log(query) => {
            let kind = if query.stages.is_empty() { "*syntax.MatchersExpr" } else { "*syntax.PipelineExpr" };
            let name = operator.as_str();
            let message = format!("unexpected type for {side} leg of binary operation ({name}): {kind}");
            Err(ParseError::semantic(at, message))
        }
    };
    let (left, right) = (leg(left, "left")?, leg(right, "right")?);
    for (side, metric) in [("left", &left), ("right", &right)] {
        if let (MetricKind::Literal(value), true) = (&metric.kind, operator.is_set()) {
            let name = operator.as_str();
            let message =
                format!("unexpected literal for {side} leg of logical/set binary operation ({name}): {value:.6}");
            return Err(ParseError::semantic(metric.at, message));
        }
    }
    if let (MetricKind::Literal(a), MetricKind::Literal(b)) = (&left.kind, &right.kind) {
        return Ok(Metric { at, kind: MetricKind::Literal(operator.apply(*a, *b)) });
    }
    let binary = Binary { operator, returns_bool, matching, left: Box::new(left), right: Box::new(right) };
    Ok(Metric { at, kind: MetricKind::Binary(binary) })
}
