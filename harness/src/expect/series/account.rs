//! What a series expectation saw, as a reader needs it: what is served, which labels there are, with how many values.

use std::collections::{BTreeMap, BTreeSet};

use super::{Seen, Series, family, promlint};
use crate::outcome::Evidence;
use crate::telemetry::prometheus;

/// Shows at most this many values in a report.
const SHOWN: usize = 12;

/// The values of each label.
pub(super) fn values_by_label<'a>(series: &[&'a prometheus::Series]) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (label, value) in series.iter().flat_map(|series| &series.labels).filter(|(label, _)| *label != "__name__") {
        values.entry(label).or_default().insert(value);
    }
    values
}

/// The evidence.
pub(super) fn describe(spec: &Series, seen: &Seen) -> Evidence {
    let mut evidence = Evidence::default().with_code("metric", spec.metric.clone());
    for served in &seen.served {
        let open = served.open_metrics.as_ref().and_then(|it| family(it, &spec.metric));
        if let Some((name, own)) = open.or_else(|| family(&served.text, &spec.metric)) {
            let facts = [("TYPE", &own.kind), ("UNIT", &own.unit), ("HELP", &own.help)];
            let lines = facts.iter().filter(|(_, text)| !text.is_empty());
            let text: Vec<String> = lines.map(|(word, text)| format!("# {word} {name} {text}")).collect();
            evidence = evidence.with_code(format!("served by {}", served.url), text.join("\n"));
        }
        let problems = promlint::check(&served.text);
        if !problems.is_empty() {
            let list = problems.iter().map(|it| format!("{}: {}", it.family, it.text)).collect();
            evidence = evidence.with_list("promtool check metrics", list);
        }
    }
    if seen.served.is_empty() {
        evidence =
            evidence.with("served", "no target could be asked directly; type and unit are Prometheus's metadata");
    }
    let by_label = values_by_label(&seen.series.iter().collect::<Vec<_>>());
    let rows = by_label
        .into_iter()
        .map(|(label, values)| {
            let shown: Vec<&str> = values.iter().copied().take(SHOWN).collect();
            let more = if values.len() > SHOWN { " …" } else { "" };
            vec![label.to_owned(), values.len().to_string(), format!("{}{more}", shown.join(" "))]
        })
        .collect();
    evidence.with("series", seen.series.len().to_string()).with_table("labels", &["label", "values", "such as"], rows)
}
