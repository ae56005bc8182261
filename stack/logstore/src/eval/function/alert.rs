//! The functions of Prometheus's alert templates: numbers as people read them, and a few on texts.

use super::text::title;
use super::{Arguments, Outcome};
use crate::clock;
use crate::eval::template::{Value, go_float};
use crate::logql::{compile_regex, parse_duration};

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const LARGE_BINARY: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

/// How many digits the functions show.
const DIGITS: usize = 4;

/// Calls a function of alert templates.
pub(super) fn call(name: &str, a: &Arguments<'_>) -> Option<Outcome> {
    let number = || a.at(0).and_then(to_number);
    let made = match name {
        "humanize" => number().map(humanize),
        "humanize1024" => number().map(humanize_binary),
        "humanizeDuration" => number().map(humanize_duration),
        "humanizePercentage" => number().map(|value| significant(value * 100.0, DIGITS) + "%"),
        "humanizeTimestamp" => number().and_then(humanize_timestamp),
        "title" => a.text(0).map(title),
        "toUpper" => a.text(0).map(str::to_uppercase),
        "toLower" => a.text(0).map(str::to_lowercase),
        "stripPort" => a.text(0).map(|text| split_port(text).map_or(text, |(host, _)| host).to_owned()),
        "stripDomain" => a.text(0).map(strip_domain),
        "externalURL" => a.text(0).map(str::to_owned),
        "pathPrefix" => a.text(0).map(|url| path(url).to_owned()),
        "reReplaceAll" => {
            a.text(2).and_then(|text| Ok(compile_regex(a.text(0)?)?.replace_all(text, a.text(1)?).into_owned()))
        }
        "match" => {
            return Some(a.text(1).and_then(|text| Ok(Value::Bool(compile_regex(a.text(0)?)?.is_match(text)))));
        }
        "parseDuration" => return Some(a.text(0).and_then(duration)),
        _ => return None,
    };
    Some(made.map(Value::Text))
}

/// A number, or a text that is one.
fn to_number(value: &Value) -> Result<f64, String> {
    match value {
        Value::Float(value) => Ok(*value),
        #[expect(clippy::cast_precision_loss, reason = "Prometheus converts as well")]
        Value::Integer(value) => Ok(*value as f64),
        Value::Text(text) => text.parse().map_err(|_| format!("strconv.ParseFloat: parsing {text:?}: invalid syntax")),
        _ => Err("can't convert to float".to_owned()),
    }
}

/// As Go's `%.Ng`: at most `digits` digits, with an exponent below 1e-4 and from 1eN on.
pub(super) fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return go_float(value);
    }
    let text = format!("{value:.*e}", digits.max(1) - 1);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    let limit = i32::try_from(digits.max(1)).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= limit {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim(mantissa), exponent.abs());
    }
    let decimals = usize::try_from(limit - 1 - exponent).unwrap_or(0);
    trim(&format!("{value:.decimals$}"))
}

fn humanize(mut value: f64) -> String {
    let mut prefix = "";
    if value == 0.0 || !value.is_finite() {
        return significant(value, DIGITS);
    }
    if value.abs() >= 1.0 {
        for next in LARGE {
            if value.abs() < 1_000.0 {
                break;
            }
            (prefix, value) = (next, value / 1_000.0);
        }
    } else {
        (prefix, value) = small(value);
    }
    significant(value, DIGITS) + prefix
}

fn small(mut value: f64) -> (&'static str, f64) {
    let mut prefix = "";
    for next in SMALL {
        if value.abs() >= 1.0 {
            break;
        }
        (prefix, value) = (next, value * 1_000.0);
    }
    (prefix, value)
}

fn humanize_binary(mut value: f64) -> String {
    let mut prefix = "";
    if value.abs() > 1.0 && value.is_finite() {
        for next in LARGE_BINARY {
            if value.abs() < 1_024.0 {
                break;
            }
            (prefix, value) = (next, value / 1_024.0);
        }
    }
    significant(value, DIGITS) + prefix
}

#[expect(clippy::cast_possible_truncation, reason = "whole seconds are wanted")]
fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return significant(value, DIGITS);
    }
    if value.abs() < 1.0 && value != 0.0 {
        let (prefix, value) = small(value);
        return format!("{}{prefix}s", significant(value, DIGITS));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let whole = value.abs() as i64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{}s", significant(value, DIGITS)),
        (0, 0, _) => format!("{sign}{minutes}m {seconds}s"),
        (0, _, _) => format!("{sign}{hours}h {minutes}m {seconds}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the bound is checked before")]
fn humanize_timestamp(seconds: f64) -> Result<String, String> {
    if !seconds.is_finite() {
        return Ok(significant(seconds, DIGITS));
    }
    let nanos = seconds * 1e9;
    if nanos.abs() >= 9.2e18 {
        return Err(format!(
            "{} cannot be represented as a nanoseconds timestamp since it overflows int64",
            go_float(seconds)
        ));
    }
    // as Prometheus: milliseconds at most
    Ok(clock::go_time((nanos as i64).div_euclid(1_000_000) * 1_000_000))
}

fn duration(text: &str) -> Outcome {
    let (sign, plain) = text.strip_prefix('-').map_or((1.0, text), |plain| (-1.0, plain));
    let nanos = parse_duration(plain).ok_or_else(|| format!("not a valid duration string: {text:?}"))?;
    #[expect(clippy::cast_precision_loss, reason = "Prometheus converts as well")]
    Ok(Value::Float(sign * nanos as f64 / 1e9))
}

/// Host and port; none if there is no port.
fn split_port(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return rest.strip_prefix(':').map(|port| (host, port));
    }
    text.split_once(':').filter(|(_, port)| !port.contains(':'))
}

fn strip_domain(text: &str) -> String {
    let (host, port) = split_port(text).unwrap_or((text, ""));
    if host.parse::<std::net::IpAddr>().is_ok() {
        return text.to_owned();
    }
    let host = host.split('.').next().unwrap_or_default();
    if port.is_empty() { host.to_owned() } else { format!("{host}:{port}") }
}

/// The path of an address.
fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("", |slash| &rest[slash..])
}

#[cfg(test)]
mod tests {
    use super::super::super::template::{AlertData, render_alert};
    use crate::label::Labels;
    use crate::logql::{Dialect, Template};

    fn rendered(template: &str, value: f64) -> Result<String, String> {
        let labels = Labels::new([("service", "inventory"), ("instance", "api.example.org:8080")]);
        let external_labels = Labels::new([("cluster", "eu")]);
        let data =
            AlertData { labels: &labels, external_labels: &external_labels, external_url: "http://loki/x", value };
        render_alert(&Template::parse_as(Dialect::Alert, "__alert_A", template).unwrap(), data)
    }

    #[test]
    fn numbers_are_shown_as_prometheus_shows_them() {
        for (template, value, expected) in [
            ("{{ $value }}", 0.1, "0.1"),
            ("{{ $value }}", 1e21, "1e+21"),
            ("{{ $value | humanize }}", 0.0, "0"),
            ("{{ humanize .Value }}", 1_234_567.0, "1.235M"),
            ("{{ humanize $value }}", 999.0, "999"),
            ("{{ humanize $value }}", 0.000_012_34, "12.34u"),
            ("{{ humanize $value }}", f64::INFINITY, "+Inf"),
            ("{{ humanize $value }}", f64::NAN, "NaN"),
            ("{{ humanize1024 $value }}", 1_048_576.0, "1Mi"),
            ("{{ humanize1024 $value }}", 0.5, "0.5"),
            ("{{ $value | humanizePercentage }}", 0.061_234, "6.123%"),
            ("{{ $value | humanizePercentage }}", 123.456, "1.235e+04%"),
            ("{{ $value | humanizeDuration }}", 0.0, "0s"),
            ("{{ $value | humanizeDuration }}", 59.4567, "59.46s"),
            ("{{ $value | humanizeDuration }}", 61.0, "1m 1s"),
            ("{{ $value | humanizeDuration }}", -3_600.0, "-1h 0m 0s"),
            ("{{ $value | humanizeDuration }}", 90_061.0, "1d 1h 1m 1s"),
            ("{{ $value | humanizeDuration }}", 0.0123, "12.3ms"),
            ("{{ $value | humanizeTimestamp }}", 1_435_065_584.128, "2015-06-23 13:19:44.128 +0000 UTC"),
            ("{{ printf \"%.2f|%.3g|%5.1f\" $value $value $value }}", 2.345_67, "2.35|2.35|  2.3"),
            ("{{ \"1.5\" | humanize }} {{ humanize 20000 }}", 0.0, "1.5 20k"),
            ("{{ parseDuration \"1h30m\" }}", 0.0, "5400"),
        ] {
            assert_eq!(rendered(template, value).as_deref(), Ok(expected), "{template} of {value}");
        }
    }

    #[test]
    fn labels_and_texts_are_read_as_prometheus_reads_them() {
        for (template, expected) in [
            ("{{ $labels.service }}|{{ .Labels.none }}|{{ $externalLabels.cluster }}", "inventory||eu"),
            (
                "{{ $labels }} {{ len $labels }} {{ index $labels \"service\" }}",
                "map[instance:api.example.org:8080 service:inventory] 2 inventory",
            ),
            ("{{ stripPort $labels.instance }} {{ stripDomain $labels.instance }}", "api.example.org api:8080"),
            (
                "{{ stripDomain \"10.0.0.1:80\" }} {{ stripPort \"[::1]:80\" }} {{ stripPort \"x\" }}",
                "10.0.0.1:80 ::1 x",
            ),
            ("{{ title \"ab\" }}{{ toUpper \"x\" }}{{ toLower \"Y\" }}", "AbXy"),
            ("{{ if match \"^inv\" $labels.service }}y{{ else }}n{{ end }}", "y"),
            ("{{ reReplaceAll \"(i)n\" \"$1-\" $labels.service }}", "i-ventory"),
            ("{{ externalURL }} {{ pathPrefix }} {{ $externalURL }} {{ $.Value }}", "http://loki/x /x http://loki/x 2"),
        ] {
            assert_eq!(rendered(template, 2.0).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn what_cannot_be_rendered_is_an_error() {
        assert!(rendered("{{ .Nope }}", 1.0).unwrap_err().contains("can't evaluate field Nope"));
        assert!(rendered("{{ humanize \"x\" }}", 1.0).unwrap_err().contains("invalid syntax"));
    }

    #[test]
    fn lines_and_alerts_have_functions_of_their_own() {
        let parsed = |dialect, text| Template::parse_as(dialect, "t", text);
        assert!(parsed(Dialect::Alert, "{{ .Labels.a | upper }}").is_err());
        assert!(parsed(Dialect::Line, "{{ .a | humanize }}").is_err());
        let unsupported = |text| parsed(Dialect::Alert, text).unwrap().unsupported();
        assert_eq!(unsupported("{{ query \"up\" }}").as_deref(), Some("template function query"));
        let undefined = |text| parsed(Dialect::Alert, text).unwrap().undefined_variable(&["value"]);
        assert_eq!(undefined("{{ $x := $value }}{{ $x }}{{ $.Value }}"), None);
        assert_eq!(undefined("{{ $vale }}").as_deref(), Some("vale"));
    }
}
