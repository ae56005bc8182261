//! What an expression's values are measured in, inferred from the metrics' names (they end in their base unit) and from the
//! functions around them, and whether that is the unit of a panel's axis. What cannot be inferred is never wrong. Pure.

use promql_parser::parser::{Expr, token};

use super::scale::promql;

/// Exponents of the base units; counts have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Dimension {
    seconds: i8,
    bytes: i8,
}

/// Says what is wrong with a panel's unit, if anything is known to be.
#[must_use]
pub fn mismatch(expression: &str, unit: &str) -> Option<String> {
    let axis = axis(unit)?;
    let parsed = promql::parse(expression).ok()?;
    let found = dimension(&parsed)?;
    (found != axis).then(|| format!("`{expression}` is {}, and its axis is in `{unit}`", words(found)))
}

/// The dimension of Grafana's unit; none for units that fit anything.
fn axis(unit: &str) -> Option<Dimension> {
    let of = |seconds, bytes| Some(Dimension { seconds, bytes });
    match unit {
        "s" | "ms" | "µs" | "ns" | "m" | "h" | "d" | "dtdurations" | "dtdurationms" => of(1, 0),
        "bytes" | "decbytes" | "kbytes" | "mbytes" | "gbytes" | "bits" => of(0, 1),
        "Bps" | "binBps" | "KBs" | "MBs" | "GBs" | "bps" => of(-1, 1),
        "reqps" | "ops" | "rps" | "wps" | "cps" | "iops" | "eps" | "mps" | "recps" | "rowsps" => of(-1, 0),
        "percent" | "percentunit" => of(0, 0),
        _ => None,
    }
}

fn words(dimension: Dimension) -> String {
    match (dimension.seconds, dimension.bytes) {
        (0, 0) => "a count or a ratio".to_owned(),
        (1, 0) => "seconds".to_owned(),
        (-1, 0) => "events a second".to_owned(),
        (0, 1) => "bytes".to_owned(),
        (-1, 1) => "bytes a second".to_owned(),
        (seconds, bytes) => format!("seconds^{seconds} bytes^{bytes}"),
    }
}

fn dimension(expr: &Expr) -> Option<Dimension> {
    match expr {
        Expr::VectorSelector(selector) => of_name(selector.name.as_deref()?),
        Expr::MatrixSelector(matrix) => of_name(matrix.vs.name.as_deref()?),
        Expr::Paren(inner) => dimension(&inner.expr),
        Expr::Unary(inner) => dimension(&inner.expr),
        Expr::Subquery(inner) => dimension(&inner.expr),
        Expr::Aggregate(aggregate) => {
            let counts = [token::T_COUNT, token::T_COUNT_VALUES, token::T_GROUP];
            if counts.contains(&aggregate.op.id()) { Some(Dimension::default()) } else { dimension(&aggregate.expr) }
        }
        Expr::Call(call) => of_call(call.func.name, &call.args.args),
        Expr::Binary(binary) => {
            let (left, right) = (&binary.lhs, &binary.rhs);
            let numbers = (is_number(left), is_number(right));
            match (binary.op.id(), numbers) {
                (token::T_DIV, (false, false)) => {
                    let (left, right) = (dimension(left)?, dimension(right)?);
                    Some(Dimension { seconds: left.seconds - right.seconds, bytes: left.bytes - right.bytes })
                }
                // a constant may be a conversion, or a threshold of the same unit
                (token::T_MUL | token::T_DIV, _) => None,
                (_, (true, false)) => dimension(right),
                _ => dimension(left),
            }
        }
        _ => None,
    }
}

fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::NumberLiteral(_) => true,
        Expr::Paren(inner) => is_number(&inner.expr),
        Expr::Unary(inner) => is_number(&inner.expr),
        _ => false,
    }
}

/// By the name's ending; recorded series and names without a known unit say nothing.
fn of_name(name: &str) -> Option<Dimension> {
    if name.contains(':') {
        return None;
    }
    let counter = name.ends_with("_total");
    let stem = name.trim_end_matches("_total");
    if stem.ends_with("_count") || stem.ends_with("_seconds_bucket") || stem.ends_with("_bytes_bucket") {
        // buckets hold counts; `histogram_quantile` reads their bounds
        return Some(Dimension::default());
    }
    let stem = stem.strip_suffix("_sum").unwrap_or(stem);
    if stem.ends_with("_time_seconds") || stem.ends_with("_timestamp_seconds") {
        return None;
    }
    match stem.rsplit('_').next() {
        Some("seconds") => Some(Dimension { seconds: 1, bytes: 0 }),
        Some("bytes") => Some(Dimension { seconds: 0, bytes: 1 }),
        Some("ratio") => Some(Dimension::default()),
        _ => counter.then(Dimension::default),
    }
}

fn of_call(function: &str, arguments: &[Box<Expr>]) -> Option<Dimension> {
    let of = |index: usize| arguments.get(index).and_then(|argument| dimension(argument));
    match function {
        "rate" | "irate" | "deriv" => of(0).map(|it| Dimension { seconds: it.seconds - 1, ..it }),
        "increase" | "delta" | "idelta" | "abs" | "ceil" | "floor" | "round" | "sort" | "sort_desc"
        | "max_over_time" | "min_over_time" | "avg_over_time" | "sum_over_time" | "last_over_time" => of(0),
        "histogram_quantile" => arguments.get(1).and_then(|argument| bounds(argument)),
        "changes" | "resets" | "absent" | "absent_over_time" | "count_over_time" | "present_over_time" => {
            Some(Dimension::default())
        }
        _ => None,
    }
}

/// What the bounds of the buckets in an expression are.
fn bounds(expr: &Expr) -> Option<Dimension> {
    let selectors = promql::selectors(expr);
    let name = selectors.iter().find_map(|(selector, _)| selector.name.as_deref()?.strip_suffix("_bucket"))?;
    of_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_panels_are_right() {
        for (expression, unit) in [
            ("histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[1m])))", "s"),
            ("sum by (route) (rate(http_requests_total[1m]))", "reqps"),
            ("sum(rate(a_total[1m])) / sum(rate(b_total[1m]))", "percentunit"),
            ("rate(process_cpu_seconds_total[1m])", "percentunit"),
            ("process_resident_memory_bytes", "bytes"),
            ("1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", "percentunit"),
            ("rate(node_network_receive_bytes_total[1m])", "Bps"),
            ("sum(rate(d_seconds_sum[1m])) / sum(rate(d_seconds_count[1m]))", "s"),
            ("count(up)", "short"),
            ("sum(up) / count(up)", "percentunit"),
            ("job:http_requests_errors:ratio_rate6h", "percentunit"),
        ] {
            assert_eq!(mismatch(expression, unit), None, "{expression} in {unit}");
        }
    }

    #[test]
    fn a_value_on_another_axis_is_found() {
        for (expression, unit) in [
            ("histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[1m])))", "bytes"),
            ("sum(rate(http_requests_total[1m]))", "percentunit"),
            ("increase(http_requests_total[1h])", "reqps"),
            ("http_requests_total", "reqps"),
            ("process_resident_memory_bytes", "s"),
            ("sum(rate(a_total[1m])) / sum(rate(b_total[1m]))", "ops"),
        ] {
            assert!(mismatch(expression, unit).is_some(), "{expression} in {unit}");
        }
    }

    #[test]
    fn what_cannot_be_known_is_never_wrong() {
        for (expression, unit) in [
            ("up", "s"),
            ("x * 1000", "ms"),
            ("time() - process_start_time_seconds", "s"),
            ("http_requests_total", "short"),
            ("not promql (", "s"),
        ] {
            assert_eq!(mismatch(expression, unit), None, "{expression} in {unit}");
        }
    }
}
