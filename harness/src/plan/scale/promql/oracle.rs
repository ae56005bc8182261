//! The proof of a rewriting: the syntax tree of the new text must be the original tree with its durations divided and the
//! chosen constants divided, and nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use promql_parser::parser::{Expr, Offset};

use crate::plan::scale::duration::{Rounding, Scale};

/// Whether `rewritten` parses to `original` with every duration and the numbers `divided` (by index) divided by `scale`.
pub(super) fn proves(original: &Expr, rewritten: &str, scale: Scale, divided: &BTreeSet<usize>) -> bool {
    let mut expected = original.clone();
    let mut index = 0;
    divide(&mut expected, scale, divided, &mut index);
    super::parse(rewritten).is_ok_and(|found| found == expected)
}

fn shorten(duration: &mut Duration, scale: Scale) {
    *duration = scale.shorten(*duration, Rounding::Down).duration;
}

fn shorten_offset(offset: Option<&mut Offset>, scale: Scale) {
    if let Some(Offset::Pos(duration) | Offset::Neg(duration)) = offset {
        shorten(duration, scale);
    }
}

fn divide(expr: &mut Expr, scale: Scale, divided: &BTreeSet<usize>, index: &mut usize) {
    match expr {
        Expr::NumberLiteral(literal) if literal.val.is_finite() => {
            if divided.contains(index) {
                literal.val /= scale.factor();
            }
            *index += 1;
        }
        Expr::VectorSelector(selector) => shorten_offset(selector.offset.as_mut(), scale),
        Expr::MatrixSelector(matrix) => {
            shorten(&mut matrix.range, scale);
            shorten_offset(matrix.vs.offset.as_mut(), scale);
        }
        Expr::Subquery(subquery) => {
            shorten(&mut subquery.range, scale);
            subquery.step.iter_mut().for_each(|step| shorten(step, scale));
            shorten_offset(subquery.offset.as_mut(), scale);
            divide(&mut subquery.expr, scale, divided, index);
        }
        Expr::Aggregate(aggregate) => {
            if let Some(param) = &mut aggregate.param {
                divide(param, scale, divided, index);
            }
            divide(&mut aggregate.expr, scale, divided, index);
        }
        Expr::Unary(unary) => divide(&mut unary.expr, scale, divided, index),
        Expr::Binary(binary) => {
            divide(&mut binary.lhs, scale, divided, index);
            divide(&mut binary.rhs, scale, divided, index);
        }
        Expr::Paren(paren) => divide(&mut paren.expr, scale, divided, index),
        Expr::Call(call) => call.args.args.iter_mut().for_each(|argument| divide(argument, scale, divided, index)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_rewriting_is_not_proved() {
        let original = super::super::parse("rate(a{b=\"c\"}[5m] offset 1m) > 3600").unwrap();
        let scale = Scale::new(60.0).unwrap();
        let proved = |text: &str, divided: &[usize]| proves(&original, text, scale, &divided.iter().copied().collect());
        assert!(proved("rate(a{b=\"c\"}[5s] offset 1s) > 3600", &[]));
        assert!(proved("rate(a{b=\"c\"}[5s] offset 1s) > 60", &[0]));
        for wrong in [
            "rate(a{b=\"c\"}[5m] offset 1s) > 3600",
            "rate(a{b=\"c\"}[5s] offset 1m) > 3600",
            "rate(a{b=\"d\"}[5s] offset 1s) > 3600",
            "rate(a{b=\"c\"}[5s] offset 1s) > 60",
            "rate(a{b=\"c\"}[5s] offset 1s) >= 3600",
            "rate(a{b=\"c\"}[5s offset 1s) > 3600",
        ] {
            assert!(!proved(wrong, &[]), "{wrong}");
        }
    }
}
