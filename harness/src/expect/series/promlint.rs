//! The rules of `promtool check metrics`, with its words, over an exposition that was read. Pure; used by the series judge.

use crate::telemetry::exposition::{ExposedSample, Exposition, Family};

/// Something that `promtool check metrics` would say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The family.
    pub family: String,
    /// Its words.
    pub text: String,
}

/// Words in a name that are a unit, and the base unit to use instead.
const UNITS: [(&str, &str); 20] = [
    ("nanoseconds", "seconds"),
    ("microseconds", "seconds"),
    ("milliseconds", "seconds"),
    ("minutes", "seconds"),
    ("hours", "seconds"),
    ("days", "seconds"),
    ("weeks", "seconds"),
    ("bits", "bytes"),
    ("kilobits", "bytes"),
    ("megabits", "bytes"),
    ("kilobytes", "bytes"),
    ("megabytes", "bytes"),
    ("gigabytes", "bytes"),
    ("terabytes", "bytes"),
    ("kibibytes", "bytes"),
    ("mebibytes", "bytes"),
    ("gibibytes", "bytes"),
    ("tebibytes", "bytes"),
    ("fahrenheit", "celsius"),
    ("millivolts", "volts"),
];

const ABBREVIATIONS: [&str; 14] = ["s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"];

/// Everything that is wrong, in the order served.
#[must_use]
pub fn check(exposition: &Exposition) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, family) in &exposition.families {
        let mut say = |text: String| problems.push(Problem { family: name.clone(), text });
        if family.help.is_empty() {
            say("no help text".to_owned());
        }
        name_rules(name, &family.kind, &mut say);
        type_rules(name, family, &mut say);
        if twice(&family.samples) {
            say("metric not unique".to_owned());
        }
    }
    problems
}

fn name_rules(name: &str, kind: &str, say: &mut impl FnMut(String)) {
    let parts: Vec<&str> = name.split('_').collect();
    for (unit, base) in UNITS.iter().filter(|(unit, _)| parts.contains(unit)) {
        say(format!("use base unit \"{base}\" instead of \"{unit}\""));
    }
    if parts.iter().any(|part| *part == kind && ["counter", "gauge", "histogram", "summary"].contains(&kind)) {
        say(format!("metric name should not include type '{kind}'"));
    }
    if name.contains(':') {
        say("metric names should not contain ':'".to_owned());
    }
    if camel_case(name) {
        say("metric names should be written in 'snake_case' not 'camelCase'".to_owned());
    }
    let lower = name.to_ascii_lowercase();
    // the first word is a namespace, whatever it is called
    if lower.split('_').skip(1).any(|part| ABBREVIATIONS.contains(&part)) {
        say("metric names should not contain abbreviated units".to_owned());
    }
}

fn type_rules(name: &str, family: &Family, say: &mut impl FnMut(String)) {
    let kind = family.kind.as_str();
    let has_label = |label: &str| family.samples.iter().any(|sample| sample.labels.contains_key(label));
    // OpenMetrics leaves the suffix out of the family's name
    let suffixed = name.ends_with("_total")
        || family.samples.iter().all(|it| it.name == format!("{name}_total") || it.name == format!("{name}_created"));
    let suffixed = if kind == "counter" { suffixed } else { name.ends_with("_total") };
    match (kind, suffixed) {
        ("counter", false) => say("counter metrics should have \"_total\" suffix".to_owned()),
        ("gauge" | "histogram" | "summary", true) => {
            say("non-counter metrics should not have \"_total\" suffix".to_owned());
        }
        _ => {}
    }
    let untyped = matches!(kind, "untyped" | "unknown" | "");
    if kind != "histogram" && !untyped {
        if name.ends_with("_bucket") {
            say("non-histogram metrics should not have \"_bucket\" suffix".to_owned());
        }
        if has_label("le") {
            say("non-histogram metrics should not have \"le\" label".to_owned());
        }
    }
    if !matches!(kind, "histogram" | "summary") && !untyped {
        for suffix in ["_count", "_sum"].iter().filter(|suffix| name.ends_with(**suffix)) {
            say(format!("non-histogram and non-summary metrics should not have \"{suffix}\" suffix"));
        }
    }
    if kind != "summary" && !untyped && has_label("quantile") {
        say("non-summary metrics should not have \"quantile\" label".to_owned());
    }
    let labels = family.samples.iter().flat_map(|sample| sample.labels.keys());
    if labels.into_iter().any(|label| camel_case(label)) {
        say("label names should be written in 'snake_case' not 'camelCase'".to_owned());
    }
}

fn camel_case(name: &str) -> bool {
    name.as_bytes().windows(2).any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
}

fn twice(samples: &[ExposedSample]) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    !samples.iter().all(|sample| seen.insert((&sample.name, &sample.labels)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &str) -> Vec<String> {
        let exposition = Exposition::parse(text).unwrap();
        check(&exposition).into_iter().map(|problem| format!("{} {}", problem.family, problem.text)).collect()
    }

    #[test]
    fn what_promtool_says_is_said_in_its_words() {
        for (text, words) in [
            ("# TYPE a_total counter\na_total 1\n", "a_total no help text"),
            ("# HELP a A\n# TYPE a counter\na 1\n", "a counter metrics should have \"_total\" suffix"),
            (
                "# HELP a_total A\n# TYPE a_total gauge\na_total 1\n",
                "a_total non-counter metrics should not have \"_total\" suffix",
            ),
            (
                "# HELP a_milliseconds A\n# TYPE a_milliseconds gauge\na_milliseconds 1\n",
                "a_milliseconds use base unit \"seconds\" instead of \"milliseconds\"",
            ),
            (
                "# HELP a_gauge A\n# TYPE a_gauge gauge\na_gauge 1\n",
                "a_gauge metric name should not include type 'gauge'",
            ),
            (
                "# HELP aB A\n# TYPE aB gauge\naB 1\n",
                "aB metric names should be written in 'snake_case' not 'camelCase'",
            ),
            (
                "# HELP a A\n# TYPE a gauge\na{bC=\"1\"} 1\n",
                "a label names should be written in 'snake_case' not 'camelCase'",
            ),
            ("# HELP a:b A\n# TYPE a:b gauge\na:b 1\n", "a:b metric names should not contain ':'"),
            ("# HELP a_ms A\n# TYPE a_ms gauge\na_ms 1\n", "a_ms metric names should not contain abbreviated units"),
            ("# HELP a A\n# TYPE a gauge\na{le=\"1\"} 1\n", "a non-histogram metrics should not have \"le\" label"),
            (
                "# HELP a_sum A\n# TYPE a_sum gauge\na_sum 1\n",
                "a_sum non-histogram and non-summary metrics should not have \"_sum\" suffix",
            ),
            ("# HELP a A\n# TYPE a gauge\na{x=\"1\"} 1\na{x=\"1\"} 2\n", "a metric not unique"),
        ] {
            assert_eq!(says(text), [words], "{text}");
        }
    }

    #[test]
    fn open_metrics_names_its_counters_without_the_suffix() {
        assert_eq!(says("# HELP a A\n# TYPE a counter\na_total 1\na_created 1\n# EOF\n"), Vec::<String>::new());
    }

    #[test]
    fn a_clean_exposition_is_clean() {
        let text = "# HELP a_total A\n# TYPE a_total counter\na_total{x=\"1\"} 1\n# HELP b_seconds B\n# TYPE b_seconds histogram\n\
                    b_seconds_bucket{le=\"1\"} 1\nb_seconds_bucket{le=\"+Inf\"} 1\nb_seconds_sum 1\nb_seconds_count 1\n";
        assert_eq!(says(text), Vec::<String>::new());
    }
}
