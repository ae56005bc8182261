//! The grammar of label filters.

use super::grammar::{Parsed, Parser};
use super::token::Kind;
use super::{Comparison, LabelFilter, MatcherOperator, Quantity};

impl Parser<'_> {
    /// Label filters joined by `and`, `or`, a comma or nothing, with the precedences of Loki's grammar: `and` binds
    /// tighter than `or`, while a comma and juxtaposition have none and so take all that follows to their right.
    pub(super) fn label_filter(&mut self) -> Parsed<LabelFilter> {
        self.nested(|parser| {
            let mut operands = vec![parser.label_filter_primary()?];
            let mut joints: Vec<Joint> = Vec::new();
            while let Some(joint) = parser.joint() {
                parser.count_operand()?;
                if joint != Joint::Beside {
                    parser.advance();
                }
                while joints.last().is_some_and(|top| top.reduces_before(joint)) {
                    reduce(&mut operands, &mut joints);
                }
                joints.push(joint);
                operands.push(parser.label_filter_primary()?);
            }
            while !joints.is_empty() {
                reduce(&mut operands, &mut joints);
            }
            Ok(operands.pop().expect("reducing leaves one operand"))
        })
    }

    fn joint(&self) -> Option<Joint> {
        match self.peek() {
            Kind::Symbol("and") => Some(Joint::And),
            Kind::Symbol("or") => Some(Joint::Or),
            Kind::Symbol(",") => Some(Joint::Comma),
            Kind::Symbol("(") | Kind::Identifier(_) => Some(Joint::Beside),
            _ => None,
        }
    }

    fn label_filter_primary(&mut self) -> Parsed<LabelFilter> {
        if self.take("(") {
            let inner = self.label_filter()?;
            self.expect(")", "")?;
            return Ok(inner);
        }
        let name = self.identifier("")?;
        let symbol = match self.peek() {
            Kind::Symbol(symbol) => *symbol,
            _ => return Err(self.unexpected("")),
        };
        let text = match symbol {
            "=" => Some(MatcherOperator::Equal),
            "!=" => Some(MatcherOperator::NotEqual),
            "=~" => Some(MatcherOperator::Regex),
            "!~" => Some(MatcherOperator::NotRegex),
            _ => None,
        };
        let comparison = match symbol {
            "=" | "==" => Some(Comparison::Equal),
            "!=" => Some(Comparison::NotEqual),
            ">" => Some(Comparison::Greater),
            ">=" => Some(Comparison::GreaterOrEqual),
            "<" => Some(Comparison::Less),
            "<=" => Some(Comparison::LessOrEqual),
            _ => None,
        };
        if text.is_none() && comparison.is_none() {
            return Err(self.unexpected(""));
        }
        self.advance();
        match (text, comparison) {
            (Some(operator), _) if matches!(self.peek(), Kind::String(_)) => {
                self.matcher_value(name, operator).map(LabelFilter::Text)
            }
            (Some(_), Some(comparison)) if matches!(self.peek(), Kind::Function("ip")) => {
                Ok(LabelFilter::Ip { name, comparison, range: self.ip()? })
            }
            (_, Some(comparison)) => Ok(LabelFilter::Quantity { name, comparison, quantity: self.quantity()? }),
            (_, None) => Err(self.unexpected("STRING")),
        }
    }

    fn quantity(&mut self) -> Parsed<Quantity> {
        let quantity = match self.peek() {
            Kind::Duration(value) => Quantity::Duration(*value),
            Kind::Bytes(value) => Quantity::Bytes(*value),
            _ => return self.literal("").map(Quantity::Number),
        };
        self.advance();
        Ok(quantity)
    }
}

/// What stands between two label filters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Joint {
    And,
    Or,
    Comma,
    Beside,
}

impl Joint {
    /// Whether `self` on the stack is applied before `next` is read: only among `and` and `or`, which have precedences.
    fn reduces_before(self, next: Self) -> bool {
        match (self, next) {
            (Self::And, Self::And | Self::Or) | (Self::Or, Self::Or) => true,
            (Self::Or, Self::And) | (Self::Comma | Self::Beside, _) | (_, Self::Comma | Self::Beside) => false,
        }
    }
}

fn reduce(operands: &mut Vec<LabelFilter>, joints: &mut Vec<Joint>) {
    let joint = joints.pop().expect("the caller saw a joint");
    let right = Box::new(operands.pop().expect("every joint has a right side"));
    let left = Box::new(operands.pop().expect("every joint has a left side"));
    operands.push(match joint {
        Joint::Or => LabelFilter::Or(left, right),
        Joint::And | Joint::Comma | Joint::Beside => LabelFilter::And(left, right),
    });
}
