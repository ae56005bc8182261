//! Variables in a panel's query, replaced as Grafana replaces them: `$__interval` from the range and the panel's width,
//! `$__rate_interval` from the data source's scrape interval (T57), `$__range`, and the dashboard's own variables.

use std::collections::BTreeMap;
use std::time::Duration;

use super::board::{Board, Panel, Query, Several, Shape, Source, Variable};

/// Points of a panel that does not say how many; about the width of a panel that spans half a screen.
const POINTS: u32 = 1000;
/// What a data source is told nothing of is scraped so often.
const SCRAPE: Duration = Duration::from_secs(15);

/// The lengths that a query's variables stand for, in production time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// `$__interval`
    pub interval: Duration,
    /// `$__rate_interval`
    pub rate: Duration,
    /// `$__range`
    pub range: Duration,
    /// `$__auto` of Loki.
    pub auto: Duration,
}

/// Computes them for a query.
#[must_use]
pub fn lengths(board: &Board, panel: &Panel, query: &Query, source: &Source) -> Lengths {
    let range = panel.range.unwrap_or(board.range);
    let least = query.min_step.or(panel.min_interval).or(source.scrape);
    // without a setting of its own only a Prometheus source has a least interval
    let least = least.or_else(|| (source.kind == "prometheus").then_some(SCRAPE)).unwrap_or(Duration::from_millis(1));
    let interval = round(range / panel.points.unwrap_or(POINTS).max(1)).max(least);
    let scrape = query.min_step.or(panel.min_interval).or(source.scrape).unwrap_or(SCRAPE);
    Lengths {
        interval,
        rate: (interval + scrape).max(scrape * 4),
        range,
        auto: if query.shape == Shape::Instant { range } else { interval },
    }
}

/// The steps between points that Grafana rounds to: below the first number of milliseconds the second.
const STEPS: [(u64, u64); 30] = [
    (10, 1),
    (15, 10),
    (35, 20),
    (75, 50),
    (150, 100),
    (350, 200),
    (750, 500),
    (1_500, 1_000),
    (3_500, 2_000),
    (7_500, 5_000),
    (12_500, 10_000),
    (17_500, 15_000),
    (25_000, 20_000),
    (45_000, 30_000),
    (90_000, 60_000),
    (210_000, 120_000),
    (450_000, 300_000),
    (750_000, 600_000),
    (1_050_000, 900_000),
    (1_500_000, 1_200_000),
    (2_700_000, 1_800_000),
    (5_400_000, 3_600_000),
    (9_000_000, 7_200_000),
    (16_200_000, 10_800_000),
    (32_400_000, 21_600_000),
    (86_400_000, 43_200_000),
    (604_800_000, 86_400_000),
    (1_814_400_000, 604_800_000),
    (3_628_800_000, 2_592_000_000),
    (u64::MAX, 31_536_000_000),
];

/// Rounds a step as Grafana does.
#[must_use]
pub fn round(step: Duration) -> Duration {
    let millis = u64::try_from(step.as_millis()).unwrap_or(u64::MAX - 1);
    let found = STEPS.iter().find(|(below, _)| millis < *below).map_or(1, |(_, step)| *step);
    Duration::from_millis(found)
}

/// The values that variables stand for.
pub type Values = BTreeMap<String, Value>;

/// What one variable stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// One or several.
    pub values: Vec<String>,
    /// Whether it may be several, which makes it a regular expression.
    pub several: Several,
    /// Written instead of the values, as it is.
    pub verbatim: Option<String>,
}

/// What is selected of a variable's options: what the dashboard was saved with where it still exists, else the first.
#[must_use]
pub fn select(variable: &Variable, options: &[String]) -> Value {
    let all = variable.current.iter().any(|value| value == "$__all");
    let kept: Vec<String> = variable.current.iter().filter(|value| options.contains(value)).cloned().collect();
    let values = match (all, kept.is_empty()) {
        (true, _) => options.to_vec(),
        (false, false) => kept,
        (false, true) => options.first().cloned().into_iter().collect(),
    };
    let verbatim = variable.all_value.clone().filter(|_| all);
    Value { values, several: variable.several, verbatim }
}

/// Replaces every variable of `text`; what is unknown stays, as in Grafana.
#[must_use]
pub fn interpolate(text: &str, lengths: Option<Lengths>, values: &Values) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(['$', '[']) {
        filled.push_str(&rest[..start]);
        let at = &rest[start..];
        match reference(at) {
            Some((name, format, length)) => {
                let value = built_in(name, lengths).or_else(|| values.get(name).map(|it| written(it, format)));
                filled.push_str(value.as_deref().unwrap_or(&at[..length]));
                rest = &at[length..];
            }
            None => {
                filled.push_str(&at[..1]);
                rest = &at[1..];
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// `$name`, `${name}`, `${name:format}` or `[[name]]` at the begin of `text`: name, format, length.
fn reference(text: &str) -> Option<(&str, &str, usize)> {
    let word = |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    for (open, close) in [("${", "}"), ("[[", "]]")] {
        if let Some(inner) = text.strip_prefix(open) {
            let end = inner.find(close)?;
            let (name, format) = inner[..end].split_once(':').unwrap_or((&inner[..end], ""));
            let plain = !name.is_empty() && word(name) == name.len();
            return plain.then_some((name, format, open.len() + end + close.len()));
        }
    }
    let name = text.strip_prefix('$')?;
    let length = word(name);
    (length > 0).then(|| (&name[..length], "", 1 + length))
}

fn built_in(name: &str, lengths: Option<Lengths>) -> Option<String> {
    let lengths = lengths?;
    let (name, unit) = match name {
        "__interval_ms" | "__range_ms" | "__rate_interval_ms" => (name.trim_end_matches("_ms"), "ms"),
        "__range_s" => ("__range", "s"),
        other => (other, ""),
    };
    let length = match name {
        "__interval" => lengths.interval,
        "__rate_interval" => lengths.rate,
        "__range" => lengths.range,
        "__auto" => lengths.auto,
        _ => return None,
    };
    Some(match unit {
        "ms" => length.as_millis().to_string(),
        "s" => length.as_secs().to_string(),
        _ => duration(length),
    })
}

/// A length as PromQL and LogQL write it.
#[must_use]
pub fn duration(length: Duration) -> String {
    match length.as_millis() {
        millis if millis % 1000 == 0 => format!("{}s", millis / 1000),
        millis => format!("{millis}ms"),
    }
}

/// A value in a format; without one as PromQL and LogQL need it.
fn written(value: &Value, format: &str) -> String {
    if let Some(verbatim) = &value.verbatim {
        return verbatim.clone();
    }
    let join = |each: fn(&str) -> String, with: &str| {
        value.values.iter().map(|value| each(value)).collect::<Vec<_>>().join(with)
    };
    match (format, value.several, value.values.as_slice()) {
        ("raw" | "text", ..) => join(str::to_owned, ","),
        ("csv", ..) => join(str::to_owned, ","),
        ("pipe", ..) => join(str::to_owned, "|"),
        ("doublequote", ..) => join(|value| format!("{value:?}"), ","),
        ("regex", _, [one]) | (_, Several::Possible, [one]) => escaped(one),
        ("regex", ..) | (_, Several::Possible, _) => format!("({})", join(escaped, "|")),
        (_, Several::No, _) => join(|value| value.replace('\\', "\\\\").replace('"', "\\\""), ","),
    }
}

/// Escaped for a regular expression inside a quoted string.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        if "\\^$.*+?()[]{}|/".contains(character) {
            escaped.push_str("\\\\");
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect::dashboard::board::SourceRole;

    fn prometheus(scrape: Option<u64>) -> Source {
        Source {
            uid: "p".into(),
            name: "P".into(),
            kind: "prometheus".into(),
            role: SourceRole::Default,
            scrape: scrape.map(Duration::from_secs),
        }
    }

    fn hours(hours: u64) -> Board {
        Board { range: Duration::from_secs(3600 * hours), ..Board::default() }
    }

    #[test]
    fn intervals_are_those_of_grafana_t57() {
        let of = |board: &Board, panel: &Panel, source: &Source| {
            let lengths = lengths(board, panel, &Query::default(), source);
            (lengths.interval.as_secs(), lengths.rate.as_secs())
        };
        let panel = Panel::default();
        assert_eq!(of(&hours(1), &panel, &prometheus(Some(15))), (15, 60), "the scrape interval is the least");
        assert_eq!(of(&hours(1), &panel, &prometheus(None)), (15, 60), "15 s where nothing is said");
        assert_eq!(of(&hours(1), &panel, &prometheus(Some(5))), (5, 20));
        assert_eq!(of(&hours(24), &panel, &prometheus(Some(15))), (60, 75), "86.4 s are rounded to a minute");
        assert_eq!(of(&hours(24 * 7), &panel, &prometheus(Some(15))), (600, 615));
        let coarse = Panel { min_interval: Some(Duration::from_secs(60)), ..Panel::default() };
        assert_eq!(of(&hours(1), &coarse, &prometheus(Some(15))), (60, 240), "the panel's own");
        let few = Panel { points: Some(100), ..Panel::default() };
        assert_eq!(of(&hours(1), &few, &prometheus(Some(15))), (30, 60));
        let own = Panel { range: Some(Duration::from_secs(60)), ..Panel::default() };
        assert_eq!(of(&hours(24), &own, &prometheus(Some(15))), (15, 60), "timeFrom");
    }

    #[test]
    fn steps_are_rounded_at_the_edges_grafana_has() {
        for (millis, rounded) in [(9, 1), (10, 10), (1_499, 1_000), (1_500, 2_000), (44_999, 30_000), (45_000, 60_000)]
        {
            assert_eq!(round(Duration::from_millis(millis)), Duration::from_millis(rounded), "{millis}");
        }
        assert_eq!(round(Duration::from_secs(4_000_000)), Duration::from_secs(31_536_000));
    }

    fn values() -> Values {
        let one = |values: &[&str], several| Value {
            values: values.iter().map(ToString::to_string).collect(),
            several,
            verbatim: None,
        };
        Values::from([
            ("job".into(), one(&["inventory"], Several::No)),
            ("route".into(), one(&["/api/items", "/a.b"], Several::Possible)),
            ("dotted".into(), one(&["a.b"], Several::Possible)),
        ])
    }

    #[test]
    fn variables_are_replaced_in_all_their_spellings_and_formats() {
        let lengths = Lengths {
            interval: Duration::from_secs(15),
            rate: Duration::from_secs(60),
            range: Duration::from_secs(3600),
            auto: Duration::from_millis(1500),
        };
        for (text, expected) in [
            ("rate(x{job=~\"$job\"}[$__rate_interval])", "rate(x{job=~\"inventory\"}[60s])"),
            ("${job} [[job]] ${job:raw}", "inventory inventory inventory"),
            ("[$__interval] $__interval_ms", "[15s] 15000"),
            ("increase(x[$__range]) $__range_s $__range_ms", "increase(x[3600s]) 3600 3600000"),
            ("rate({a=\"b\"}[$__auto])", "rate({a=\"b\"}[1500ms])"),
            ("$route", "(\\\\/api\\\\/items|\\\\/a\\\\.b)"),
            ("$dotted ${dotted:raw}", "a\\\\.b a.b"),
            ("${route:pipe} ${route:csv}", "/api/items|/a.b /api/items,/a.b"),
            ("$unknown ${unknown:regex} x[5m] $ [", "$unknown ${unknown:regex} x[5m] $ ["),
            ("$jobs", "$jobs"),
        ] {
            assert_eq!(interpolate(text, Some(lengths), &values()), expected);
        }
    }

    #[test]
    fn a_saved_selection_counts_while_it_exists_else_the_first() {
        let options = ["a".to_owned(), "b".to_owned()];
        let saved = |current: &[&str]| Variable {
            current: current.iter().map(ToString::to_string).collect(),
            several: Several::Possible,
            ..Variable::default()
        };
        assert_eq!(select(&saved(&["b"]), &options).values, ["b"]);
        assert_eq!(select(&saved(&["gone"]), &options).values, ["a"]);
        assert_eq!(select(&saved(&["$__all"]), &options).values, ["a", "b"]);
        let all = Variable { all_value: Some(".+".into()), ..saved(&["$__all"]) };
        assert_eq!(written(&select(&all, &options), ""), ".+");
        assert_eq!(select(&saved(&["b"]), &[]).values, Vec::<String>::new());
    }
}
