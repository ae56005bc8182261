//! Whether an expression means the same when the times of its samples are stretched. Stretching by K divides a rate by K
//! and leaves a gauge, a ratio of rates or a quantile alone: the power of "per second" in every value is followed through
//! the tree, as dimensions are. What compares a rate with a constant, or looks at the clock, is sensitive. Read by `replay`,
//! which evaluates production's rules on recordings of scaled runs.

use std::collections::BTreeMap;

use promql_parser::parser::token::{
    T_ADD, T_ATAN2, T_COUNT, T_COUNT_VALUES, T_DIV, T_GROUP, T_LAND, T_LOR, T_LUNLESS, T_MOD, T_MUL, T_POW, T_STDVAR,
    T_SUB,
};
use promql_parser::parser::{BinaryExpr, Call, Expr, VectorSelector};

use super::literal::constant_value;

/// The power of "per second" in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Degree {
    /// Zero and the infinities are the same in every unit.
    Any,
    /// 0 for a gauge, a ratio, a count; 1 for a rate.
    Power(i32),
}

/// Why an expression is sensitive, in words that follow "because it".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Sensitive(pub String);

type Found = Result<Degree, Sensitive>;

fn sensitive<T>(why: impl Into<String>) -> Result<T, Sensitive> {
    Err(Sensitive(why.into()))
}

/// The degree of an expression; `records` holds those of recorded series.
///
/// # Errors
/// When stretching the samples' times changes more than the unit of the result.
pub fn degree(expr: &Expr, records: &BTreeMap<String, Result<Degree, Sensitive>>) -> Found {
    if let Some(value) = constant_value(expr) {
        return Ok(if value == 0.0 || value.is_infinite() { Degree::Any } else { Degree::Power(0) });
    }
    let of = |expr: &Expr| degree(expr, records);
    match expr {
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(Degree::Power(0)),
        Expr::VectorSelector(selector) => stored(selector, records),
        Expr::MatrixSelector(matrix) => stored(&matrix.vs, records),
        Expr::Paren(paren) => of(&paren.expr),
        Expr::Unary(unary) => of(&unary.expr),
        Expr::Subquery(subquery) if subquery.at.is_some() => sensitive("is fixed in time by `@`"),
        Expr::Subquery(subquery) => of(&subquery.expr),
        Expr::Aggregate(aggregate) => {
            let inner = of(&aggregate.expr)?;
            match aggregate.op.id() {
                T_COUNT | T_GROUP => Ok(Degree::Power(0)),
                T_COUNT_VALUES if !is_plain(inner) => sensitive("makes labels of values per second"),
                T_STDVAR => Ok(times(inner, 2)),
                _ => Ok(inner),
            }
        }
        Expr::Binary(binary) => operation(binary, of(&binary.lhs)?, of(&binary.rhs)?),
        Expr::Call(call) => function(call, &of),
        Expr::Extension(_) => sensitive("has a part that is not understood"),
    }
}

fn stored(selector: &VectorSelector, records: &BTreeMap<String, Found>) -> Found {
    if selector.at.is_some() {
        return sensitive("is fixed in time by `@`");
    }
    let recorded = selector.name.as_ref().and_then(|name| records.get(name));
    recorded.cloned().unwrap_or(Ok(Degree::Power(0)))
}

const fn is_plain(degree: Degree) -> bool {
    matches!(degree, Degree::Any | Degree::Power(0))
}

const fn times(degree: Degree, factor: i32) -> Degree {
    match degree {
        Degree::Power(power) => Degree::Power(power * factor),
        Degree::Any => Degree::Any,
    }
}

/// Of two values that are compared, added or put side by side.
fn same(left: Degree, right: Degree, what: &str) -> Found {
    match (left, right) {
        (Degree::Any, other) | (other, Degree::Any) => Ok(other),
        (left, right) if left == right => Ok(left),
        _ => sensitive(format!("{what} a value per second with one that is not")),
    }
}

fn operation(binary: &BinaryExpr, left: Degree, right: Degree) -> Found {
    match binary.op.id() {
        T_MUL => match (left, right) {
            (Degree::Power(left), Degree::Power(right)) => Ok(Degree::Power(left + right)),
            _ => Ok(Degree::Any),
        },
        T_DIV => match (left, right) {
            (Degree::Power(left), Degree::Power(right)) => Ok(Degree::Power(left - right)),
            _ => Ok(Degree::Any),
        },
        T_ADD | T_SUB | T_MOD => same(left, right, "adds"),
        T_POW => match (left, constant_value(&binary.rhs)) {
            (left, _) if is_plain(left) && is_plain(right) => Ok(Degree::Power(0)),
            #[expect(clippy::cast_possible_truncation, reason = "checked to be a small whole number")]
            (left, Some(power)) if power.fract() == 0.0 && power.abs() < 10.0 => Ok(times(left, power as i32)),
            _ => sensitive("raises a value per second to a power"),
        },
        T_ATAN2 if is_plain(left) && is_plain(right) => Ok(Degree::Power(0)),
        T_ATAN2 => same(left, right, "relates").map(|_| Degree::Power(0)),
        T_LAND | T_LUNLESS => Ok(left),
        T_LOR => same(left, right, "puts side by side"),
        _ => {
            let compared = same(left, right, "compares")?;
            let yes_or_no = binary.modifier.as_ref().is_some_and(|modifier| modifier.return_bool);
            Ok(if yes_or_no { Degree::Power(0) } else { compared })
        }
    }
}

fn function(call: &Call, of: &dyn Fn(&Expr) -> Found) -> Found {
    let arguments = &call.args.args;
    let argument = |index: usize| arguments.get(index).map_or(Ok(Degree::Power(0)), |argument| of(argument));
    let plain = |degree: Degree| {
        if is_plain(degree) { Ok(degree) } else { sensitive(format!("`{}` of a value per second", call.func.name)) }
    };
    match call.func.name {
        "rate" | "irate" | "deriv" => Ok(match argument(0)? {
            Degree::Power(power) => Degree::Power(power + 1),
            Degree::Any => Degree::Any,
        }),
        "time" | "timestamp" | "minute" | "hour" | "day_of_week" | "day_of_month" | "day_of_year" | "days_in_month"
        | "month" | "year" => sensitive(format!("looks at the clock with `{}`", call.func.name)),
        "increase"
        | "delta"
        | "idelta"
        | "predict_linear"
        | "holt_winters"
        | "double_exponential_smoothing"
        | "avg_over_time"
        | "min_over_time"
        | "max_over_time"
        | "sum_over_time"
        | "last_over_time"
        | "first_over_time"
        | "stddev_over_time"
        | "mad_over_time"
        | "abs"
        | "scalar"
        | "vector"
        | "sort"
        | "sort_desc"
        | "label_replace"
        | "label_join"
        | "sort_by_label"
        | "sort_by_label_desc"
        | "histogram_count"
        | "histogram_sum" => argument(0),
        "quantile_over_time" => argument(1),
        "stdvar_over_time" => Ok(times(argument(0)?, 2)),
        "count_over_time" | "present_over_time" | "absent_over_time" | "absent" | "changes" | "resets" | "sgn"
        | "histogram_avg" => argument(0).map(|_| Degree::Power(0)),
        // a quantile is a bucket's bound, whatever the unit of the counts
        "histogram_quantile" => argument(1).map(|_| Degree::Power(0)),
        "histogram_fraction" => argument(2).map(|_| Degree::Power(0)),
        "clamp" | "clamp_min" | "clamp_max" => {
            let value = argument(0)?;
            (1..arguments.len()).try_fold(value, |value, index| same(value, argument(index)?, "limits"))
        }
        "pi" => Ok(Degree::Power(0)),
        "ceil" | "floor" | "round" | "exp" | "ln" | "log2" | "log10" | "sqrt" | "acos" | "acosh" | "asin" | "asinh"
        | "atan" | "atanh" | "cos" | "cosh" | "sin" | "sinh" | "tan" | "tanh" | "deg" | "rad" => plain(argument(0)?),
        other => sensitive(format!("uses `{other}`, which is not known here")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Found {
        let records = BTreeMap::from([
            ("job:rate5m".to_owned(), Ok(Degree::Power(1))),
            ("job:age".to_owned(), Err(Sensitive("looks at the clock".into()))),
        ]);
        degree(&super::super::parse(text).unwrap(), &records)
    }

    #[test]
    fn ratios_quantiles_gauges_and_signs_are_indifferent() {
        for text in [
            "up == 0",
            "absent(up{job=\"x\"})",
            "sum(rate(a[5m])) / sum(rate(b[5m])) > 0.05",
            "histogram_quantile(0.95, sum by (le) (rate(x_bucket[5m]))) > 0.25",
            "rate(deadlocks[5m]) > 0",
            "increase(errors[5m]) > 5",
            "process_resident_memory_bytes > 256 * 1024 * 1024",
            "predict_linear(free[6h], 24 * 3600) < 0 and free / size < 0.4",
            "job:rate5m / job:rate5m offset 1h > 2",
            "rate(a[5m]) > 2 * rate(a[1h])",
            "1 - avg(rate(good[1h])) / avg(rate(all[1h])) > 14.4 * 0.001",
            "avg_over_time((sum(rate(a[5m])) / sum(rate(b[5m])))[30m:1m]) > 0.1",
            "changes(process_start_time_seconds[5m]) > 0",
            "vector(1)",
        ] {
            assert!(of(text).is_ok(), "{text}: {:?}", of(text));
        }
    }

    #[test]
    fn absolute_rates_and_the_clock_are_not() {
        for text in [
            "sum(rate(a[5m])) < 1",
            "sum(rate(a[5m])) < 1 and on (job) up == 1",
            "up == 1 and on (job) (sum(rate(a[5m])) > 3)",
            "rate(process_cpu_seconds_total[5m]) > 0.8",
            "job:rate5m > 100",
            "rate(a[5m]) + up > 1",
            "time() - last_success > 3600",
            "job:age > 5",
            "hour() > 8 and up == 0",
            "a @ 1600000000 > 1",
            "ceil(rate(a[5m])) > 0",
            "rate(a[5m]) or up",
        ] {
            assert!(of(text).is_err(), "{text}: {:?}", of(text));
        }
    }

    #[test]
    fn a_rate_of_a_rate_and_products_follow_the_powers() {
        assert_eq!(of("rate(a[5m])"), Ok(Degree::Power(1)));
        assert_eq!(of("deriv(job:rate5m[5m])"), Ok(Degree::Power(2)));
        assert_eq!(of("rate(a[5m]) * rate(b[5m])"), Ok(Degree::Power(2)));
        assert_eq!(of("rate(a[5m]) > bool rate(b[5m])"), Ok(Degree::Power(0)));
        assert_eq!(of("0 < rate(a[5m])"), Ok(Degree::Power(1)));
    }
}
