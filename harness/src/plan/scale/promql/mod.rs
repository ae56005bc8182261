//! PromQL under a time scale: durations are divided in the author's own text, constants that are compared with elapsed
//! time too, and the result is proved against the syntax tree. What cannot keep its meaning is said, not hidden. Fed by the
//! renderer with rules and by the planner with scenario queries. The reasons are in `docs/design/time-scale.md`.

mod caveat;
mod degree;
mod literal;
mod oracle;
pub mod token;
mod window;

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use promql_parser::parser::Expr;

use super::duration::{self, Rounding, Scale};
use token::{Kind, Token};

pub use caveat::{Doubt, DoubtKind};
pub use degree::{Degree, Sensitive, degree};
pub use literal::{constant_value, is_elapsed_time, walk};
pub use window::{Window, selectors, windows};

/// A replacement inside an expression's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// Bytes of the original expression.
    pub span: Range<usize>,
    /// What stands there instead.
    pub text: String,
}

/// An expression under a scale.
#[derive(Clone, Debug)]
pub struct ScaledExpr {
    /// The author's text with the replacements made.
    pub text: String,
    /// What was replaced, in order.
    pub replacements: Vec<Replacement>,
    /// What does not keep its meaning, in words.
    pub doubts: Vec<Doubt>,
}

/// Why an expression could not be scaled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PromqlError {
    /// It is no PromQL.
    #[error("parse the expression: {0}")]
    Syntax(String),
    /// The rewritten text does not mean the original with durations divided: an invariant of the rewriter is broken.
    #[error(
        "prove the rewritten expression `{0}` equal to the original with its durations divided; run it at time scale 1"
    )]
    Unproved(String),
}

/// What is known of the rule files as one set.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Names of recorded series that hold an elapsed time in seconds.
    pub elapsed: BTreeSet<String>,
}

/// More tokens or deeper brackets than this are no expression a person wrote, and would exhaust the stack.
const MOST_TOKENS: usize = 5_000;
const DEEPEST: usize = 200;

/// Parses an expression.
///
/// # Errors
/// With the parser's words, or when it is far too long or too deep.
pub fn parse(text: &str) -> Result<Expr, PromqlError> {
    let tokens = token::tokens(text);
    if tokens.len() > MOST_TOKENS || deepest(text, &tokens) > DEEPEST {
        return Err(PromqlError::Syntax(format!("more than {MOST_TOKENS} tokens or {DEEPEST} nested brackets")));
    }
    promql_parser::parser::parse(text).map_err(PromqlError::Syntax)
}

fn deepest(text: &str, tokens: &[Token]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for token in tokens.iter().filter(|token| token.kind == Kind::Sign) {
        match &text[token.span.clone()] {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Divides every duration of `text` by the scale. Numbers are touched only where they are compared with elapsed time or
/// are the horizon of a prediction.
///
/// # Errors
/// When the text is no PromQL, or the rewriting cannot be proved.
pub fn scale(text: &str, scale: Scale, context: &Context) -> Result<ScaledExpr, PromqlError> {
    let original = parse(text)?;
    if scale.is_identity() {
        return Ok(ScaledExpr { text: text.to_owned(), replacements: Vec::new(), doubts: Vec::new() });
    }
    let tokens = token::tokens(text);
    let mut doubts = caveat::doubts(&original, scale, context);
    let temporal = literal::temporal(&original, context);
    let numbers = literal::number_tokens(text, &tokens, &original);
    if numbers.is_none() && !temporal.is_empty() {
        doubts.push(Doubt::new(
            DoubtKind::Constant,
            "a constant compared with elapsed time could not be found in the text and is unchanged",
        ));
    }
    let wanted = if numbers.is_some() { temporal } else { BTreeSet::new() };
    let mut replacements = durations(text, &tokens, scale);
    let chosen = numbers.iter().flatten().enumerate().filter(|(index, _)| wanted.contains(index));
    replacements.extend(chosen.map(|(_, token)| shorten_number(text, token, scale)));
    replacements.sort_by_key(|replacement| replacement.span.start);
    let scaled = apply(text, &replacements);
    if !oracle::proves(&original, &scaled, scale, &wanted) {
        return Err(PromqlError::Unproved(scaled));
    }
    Ok(ScaledExpr { text: scaled, replacements, doubts })
}

fn durations(text: &str, tokens: &[Token], scale: Scale) -> Vec<Replacement> {
    let temporal = tokens.iter().filter(|token| matches!(token.kind, Kind::Duration | Kind::Seconds));
    temporal
        .filter_map(|token| {
            let written = read(&text[token.span.clone()])?;
            let shortened = scale.shorten(written, Rounding::Down).duration;
            Some(Replacement { span: token.span.clone(), text: duration::print(shortened) })
        })
        .collect()
}

/// A duration with or without units; bare numbers are seconds.
fn read(text: &str) -> Option<Duration> {
    duration::parse(text).filter(|_| text != "0").or_else(|| {
        let seconds = number(text)?;
        Duration::try_from_secs_f64(seconds).ok()
    })
}

/// A PromQL number.
fn number(text: &str) -> Option<f64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        #[expect(clippy::cast_precision_loss, reason = "as PromQL reads it")]
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(|value| value as f64),
        None => text.parse().ok(),
    }
}

fn shorten_number(text: &str, token: &Token, scale: Scale) -> Replacement {
    let written = &text[token.span.clone()];
    let seconds = number(written).or_else(|| duration::parse(written).map(|duration| duration.as_secs_f64()));
    let shortened = seconds.unwrap_or(f64::NAN) / scale.factor();
    Replacement { span: token.span.clone(), text: format!("{shortened}") }
}

fn apply(text: &str, replacements: &[Replacement]) -> String {
    let mut scaled = String::with_capacity(text.len());
    let mut done = 0;
    for replacement in replacements {
        scaled.push_str(&text[done..replacement.span.start]);
        scaled.push_str(&replacement.text);
        done = replacement.span.end;
    }
    scaled.push_str(&text[done..]);
    scaled
}

#[cfg(test)]
mod tests;
