//! The functions of templates.

use super::filter::{parse_go_duration, parse_size};
use super::line::Line;
use super::template::{MAX_OUTPUT, Value};
use crate::clock::{self, Nanos, SECOND};
use crate::logql::Dialect;

mod alert;
mod text;

type Outcome = Result<Value, String>;

/// Calls a function with its arguments.
pub(super) fn call(dialect: Dialect, name: &str, arguments: &[Value], line: &Line<'_>) -> Outcome {
    let arguments = Arguments { all: arguments, line };
    let own = || match dialect {
        Dialect::Alert => alert::call(name, &arguments),
        Dialect::Line => {
            text::call(name, &arguments).or_else(|| number(name, &arguments)).or_else(|| time(name, &arguments))
        }
    };
    builtin(name, &arguments)
        .or_else(own)
        .unwrap_or_else(|| Err(format!("logstore does not support the template function {name}")))
}

struct Arguments<'a> {
    all: &'a [Value],
    line: &'a Line<'a>,
}

impl Arguments<'_> {
    fn at(&self, index: usize) -> Result<&Value, String> {
        self.all
            .get(index)
            .ok_or_else(|| format!("wrong number of args: want at least {}, got {}", index + 1, self.all.len()))
    }

    fn text(&self, index: usize) -> Result<&str, String> {
        match self.at(index)? {
            Value::Text(text) => Ok(text),
            other => Err(format!("wrong type for value; expected string; got {}", type_name(other))),
        }
    }

    fn integer(&self, index: usize) -> Result<i64, String> {
        match self.at(index)? {
            Value::Integer(value) => Ok(*value),
            other => Err(format!("wrong type for value; expected int; got {}", type_name(other))),
        }
    }

    fn time(&self, index: usize) -> Result<Nanos, String> {
        match self.at(index)? {
            Value::Time(at) => Ok(*at),
            other => Err(format!("wrong type for value; expected time.Time; got {}", type_name(other))),
        }
    }

    fn shown(&self, index: usize) -> Result<String, String> {
        Ok(self.at(index)?.print(self.line))
    }

    /// All arguments as whole numbers; what is none counts as 0, as sprig does.
    fn integers(&self) -> Vec<i64> {
        self.all.iter().map(to_integer).collect()
    }

    /// All arguments as fractions; what is none counts as 0, as sprig does.
    fn floats(&self) -> Vec<f64> {
        self.all.iter().map(to_float).collect()
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Bool(_) => "bool",
        Value::Integer(_) => "int",
        Value::Float(_) => "float64",
        Value::Text(_) => "string",
        Value::Time(_) => "time.Time",
        Value::Labels | Value::Map(_) => "map[string]string",
        Value::Record(_) => "struct",
    }
}

#[expect(clippy::cast_possible_truncation, reason = "Go truncates as well")]
fn to_integer(value: &Value) -> i64 {
    match value {
        Value::Integer(value) => *value,
        Value::Float(value) => *value as i64,
        Value::Bool(value) => i64::from(*value),
        Value::Text(text) => text.parse().unwrap_or_else(|_| text.parse::<f64>().map_or(0, |value| value as i64)),
        Value::Nil | Value::Time(_) | Value::Labels | Value::Map(_) | Value::Record(_) => 0,
    }
}

#[expect(clippy::cast_precision_loss, reason = "Go converts as well")]
fn to_float(value: &Value) -> f64 {
    match value {
        Value::Float(value) => *value,
        Value::Text(text) => text.parse().unwrap_or(0.0),
        other => to_integer(other) as f64,
    }
}

// ---- Go's own ----

fn builtin(name: &str, a: &Arguments<'_>) -> Option<Outcome> {
    Some(match name {
        "not" => a.at(0).map(|value| Value::Bool(!value.is_true())),
        "eq" => a
            .at(0)
            .and_then(|first| {
                a.at(1)?;
                a.all[1..]
                    .iter()
                    .map(|other| compare(first, other))
                    .try_fold(false, |found, order| Ok(found || order?.is_eq()))
            })
            .map(Value::Bool),
        "ne" | "lt" | "le" | "gt" | "ge" => a.at(0).and_then(|first| {
            let order = compare(first, a.at(1)?)?;
            Ok(Value::Bool(match name {
                "ne" => order.is_ne(),
                "lt" => order.is_lt(),
                "le" => order.is_le(),
                "gt" => order.is_gt(),
                _ => order.is_ge(),
            }))
        }),
        "len" => a.at(0).and_then(|value| match value {
            Value::Text(text) => Ok(Value::Integer(length(text.len()))),
            Value::Labels => Ok(Value::Integer(length(a.line.series().len()))),
            Value::Map(map) => Ok(Value::Integer(length(map.len()))),
            other => Err(format!("len of type {}", type_name(other))),
        }),
        "index" => a.at(0).and_then(|value| match value {
            Value::Labels => a.text(1).map(|name| Value::Text(a.line.value(name).to_owned())),
            Value::Map(map) => a.text(1).map(|name| Value::Text(map.get(name).cloned().unwrap_or_default())),
            other => Err(format!("can't index item of type {}", type_name(other))),
        }),
        "slice" => slice(a),
        "print" => Ok(Value::Text(spaced(a, Spacing::BetweenNonTexts))),
        "println" => Ok(Value::Text(spaced(a, Spacing::Always) + "\n")),
        "printf" => a.text(0).map(|format| Value::Text(printf(format, &a.all[1..], a.line))),
        "urlquery" => a.shown(0).map(|text| Value::Text(text::url_encode(&text))),
        _ => return None,
    })
}

fn length(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "mixed numbers are compared as floats")]
fn compare(left: &Value, right: &Value) -> Result<std::cmp::Ordering, String> {
    match (left, right) {
        (Value::Text(a), Value::Text(b)) => Ok(a.cmp(b)),
        (Value::Integer(a), Value::Integer(b)) => Ok(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => Ok(a.total_cmp(b)),
        (Value::Integer(a), Value::Float(b)) => Ok((*a as f64).total_cmp(b)),
        (Value::Float(a), Value::Integer(b)) => Ok(a.total_cmp(&(*b as f64))),
        (Value::Bool(a), Value::Bool(b)) => Ok(a.cmp(b)),
        (Value::Time(a), Value::Time(b)) => Ok(a.cmp(b)),
        _ => Err("incompatible types for comparison".to_owned()),
    }
}

fn slice(a: &Arguments<'_>) -> Outcome {
    let text = a.text(0)?;
    let bound = |index: usize, default: usize| match a.all.get(index) {
        None => Ok(default),
        Some(_) => {
            a.integer(index).and_then(|value| usize::try_from(value).map_err(|_| "index out of range".to_owned()))
        }
    };
    let (from, to) = (bound(1, 0)?, bound(2, text.len())?);
    let found = text.get(from..to).ok_or("index out of range")?;
    Ok(Value::Text(found.to_owned()))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Spacing {
    Always,
    BetweenNonTexts,
}

fn spaced(a: &Arguments<'_>, spacing: Spacing) -> String {
    let mut out = String::new();
    for (index, value) in a.all.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        let apart = spacing == Spacing::Always || index > 0 && !is_text(value) && !is_text(&a.all[index - 1]);
        if index > 0 && apart {
            out.push(' ');
        }
        out.push_str(&value.print(a.line));
    }
    out
}

/// Go's `Sprintf` for the verbs that templates use.
fn printf(format: &str, arguments: &[Value], line: &Line<'_>) -> String {
    let mut out = String::new();
    let mut next = arguments.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let flags: String = std::iter::from_fn(|| chars.next_if(|c| "+-# 0".contains(*c))).collect();
        let width: String = std::iter::from_fn(|| chars.next_if(char::is_ascii_digit)).collect();
        let precision: Option<String> =
            chars.next_if_eq(&'.').map(|_| std::iter::from_fn(|| chars.next_if(char::is_ascii_digit)).collect());
        let Some(verb) = chars.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        let Some(value) = next.next() else {
            out.push_str(&format!("%!{verb}(MISSING)"));
            continue;
        };
        let precision = precision.map(|text| text.parse().unwrap_or(0));
        let text = formatted(verb, precision, value, line);
        let text = if flags.contains('+') && !text.starts_with('-') && "dfeg".contains(verb) {
            format!("+{text}")
        } else {
            text
        };
        pad(&mut out, &text, &flags, width.parse::<usize>().unwrap_or(0).min(MAX_OUTPUT));
    }
    out
}

fn formatted(verb: char, precision: Option<usize>, value: &Value, line: &Line<'_>) -> String {
    let precision = precision.map(|p| p.min(64));
    match (verb, value) {
        ('d', Value::Integer(value)) => value.to_string(),
        ('x', Value::Integer(value)) => format!("{value:x}"),
        ('f', Value::Float(value)) => format!("{value:.*}", precision.unwrap_or(6)),
        ('t', Value::Bool(value)) => value.to_string(),
        ('q', Value::Text(text)) => format!("{text:?}"),
        ('s', Value::Text(text)) => match precision {
            Some(length) => text.chars().take(length).collect(),
            None => text.clone(),
        },
        ('g', Value::Float(value)) if precision.is_some() => alert::significant(*value, precision.unwrap_or(6)),
        ('v' | 'g', value) => value.print(line),
        (verb, value) => format!("%!{verb}({}={})", type_name(value), value.print(line)),
    }
}

fn pad(out: &mut String, text: &str, flags: &str, width: usize) {
    let missing = width.saturating_sub(text.chars().count());
    match () {
        () if flags.contains('-') => out.extend(text.chars().chain(std::iter::repeat_n(' ', missing))),
        () if flags.contains('0') => {
            let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
            out.push_str(sign);
            out.extend(std::iter::repeat_n('0', missing).chain(digits.chars()));
        }
        () => out.extend(std::iter::repeat_n(' ', missing).chain(text.chars())),
    }
}

// ---- numbers ----

fn number(name: &str, a: &Arguments<'_>) -> Option<Outcome> {
    let integers = || a.integers().into_iter();
    let floats = || a.floats().into_iter();
    if a.all.is_empty() && !matches!(name, "now" | "__timestamp__") {
        return Some(Err("wrong number of args: want at least 1, got 0".to_owned()));
    }
    let whole =
        |value: Option<i64>| value.map(Value::Integer).ok_or_else(|| "integer divide by zero or overflow".to_owned());
    Some(match name {
        "int" => whole(integers().next()),
        "float64" => Ok(Value::Float(floats().next().unwrap_or(0.0))),
        "add" => Ok(Value::Integer(integers().fold(0, i64::wrapping_add))),
        "sub" => whole(integers().reduce(i64::wrapping_sub)),
        "mul" => Ok(Value::Integer(integers().fold(1, i64::wrapping_mul))),
        "div" => whole(integers().map(Some).reduce(|a, b| a?.checked_div(b?)).flatten()),
        "mod" => whole(integers().map(Some).reduce(|a, b| a?.checked_rem(b?)).flatten()),
        "max" => whole(integers().max()),
        "min" => whole(integers().min()),
        "addf" => Ok(Value::Float(floats().sum())),
        "subf" => Ok(Value::Float(floats().reduce(|a, b| a - b).unwrap_or(0.0))),
        "mulf" => Ok(Value::Float(floats().product())),
        "divf" => Ok(Value::Float(floats().reduce(|a, b| a / b).unwrap_or(0.0))),
        "maxf" => Ok(Value::Float(floats().fold(f64::NEG_INFINITY, f64::max))),
        "minf" => Ok(Value::Float(floats().fold(f64::INFINITY, f64::min))),
        "ceil" => Ok(Value::Float(floats().next().unwrap_or(0.0).ceil())),
        "floor" => Ok(Value::Float(floats().next().unwrap_or(0.0).floor())),
        "round" => a.at(1).map(|places| Value::Float(round(to_float(&a.all[0]), to_integer(places)))),
        "bytes" => a
            .text(0)
            .and_then(parse_size)
            .map(|bytes| Value::Float(to_float(&Value::Integer(length(usize::try_from(bytes).unwrap_or(usize::MAX)))))),
        "duration" | "duration_seconds" => {
            a.text(0).and_then(parse_go_duration).map(|nanos| Value::Float(to_float(&Value::Integer(nanos)) / 1e9))
        }
        _ => return None,
    })
}

fn round(value: f64, places: i64) -> f64 {
    let factor = 10f64.powi(i32::try_from(places.clamp(-300, 300)).unwrap_or(0));
    (value * factor).round() / factor
}

// ---- times ----

fn time(name: &str, a: &Arguments<'_>) -> Option<Outcome> {
    let shown = |value: Nanos| Value::Text(value.to_string());
    Some(match name {
        "now" => Ok(Value::Time(clock::wall())),
        "__timestamp__" => Ok(Value::Time(a.line.at)),
        "unixEpoch" => a.time(0).map(|at| shown(at.div_euclid(SECOND))),
        "unixEpochMillis" => a.time(0).map(|at| shown(at.div_euclid(1_000_000))),
        "unixEpochNanos" => a.time(0).map(shown),
        "unixToTime" => a.text(0).and_then(unix_to_time),
        "date" => a.text(0).and_then(|layout| Ok(Value::Text(clock::go_layout(a.time(1)?, layout)))),
        _ => return None,
    })
}

/// Days, seconds, milliseconds, microseconds or nanoseconds since the epoch, told apart by their number of digits.
fn unix_to_time(text: &str) -> Outcome {
    let unable = || format!("unable to parse time '{text}'");
    let value: i64 = text.parse().map_err(|_| unable())?;
    let factor = match text.len() {
        5 => 86_400 * SECOND,
        10 => SECOND,
        13 => 1_000_000,
        16 => 1_000,
        19 => 1,
        _ => return Err(unable()),
    };
    value.checked_mul(factor).map(Value::Time).ok_or_else(unable)
}
