//! What Loki adds to entries by default: a `service_name` to the stream and a `detected_level` to the metadata. A drill
//! asked of logstore must see the same labels as one asked of Loki.

use crate::eval::{json_member, logfmt_pairs};
use crate::label::Labels;

/// The labels that `service_name` is taken from, in this order.
const SERVICE_LABELS: [&str; 13] = [
    "service",
    "app",
    "application",
    "app_name",
    "name",
    "app_kubernetes_io_name",
    "container",
    "container_name",
    "k8s_container_name",
    "component",
    "workload",
    "job",
    "k8s_job_name",
];

/// The labels and fields that a level is taken from, in this order.
const LEVEL_FIELDS: [&str; 9] = ["level", "LEVEL", "Level", "severity", "SEVERITY", "Severity", "lvl", "LVL", "Lvl"];

/// The label that a level is stored under.
pub(super) const LEVEL: &str = "detected_level";

/// Spellings of levels.
const SPELLINGS: [(&str, &str); 11] = [
    ("trace", "trace"),
    ("trc", "trace"),
    ("debug", "debug"),
    ("dbg", "debug"),
    ("info", "info"),
    ("inf", "info"),
    ("warn", "warn"),
    ("wrn", "warn"),
    ("warning", "warn"),
    ("error", "error"),
    ("err", "error"),
];

/// Words that give a line's level away, in the order they are looked for.
const WORDS: [(&str, &str); 14] = [
    ("info", "info"),
    ("INFO", "info"),
    ("err:", "error"),
    ("ERR:", "error"),
    ("error", "error"),
    ("ERROR", "error"),
    ("warn:", "warn"),
    ("WARN:", "warn"),
    ("warning", "warn"),
    ("WARNING", "warn"),
    ("CRITICAL:", "critical"),
    ("critical:", "critical"),
    ("debug:", "debug"),
    ("DEBUG:", "debug"),
];

/// The labels with a `service_name`.
pub(super) fn with_service(labels: &Labels) -> Labels {
    if labels.get("service_name").is_some() {
        return labels.clone();
    }
    let found = SERVICE_LABELS.iter().find_map(|name| labels.get(name)).unwrap_or("unknown_service");
    Labels::new(labels.iter().chain([("service_name", found)]))
}

/// The metadata with a `detected_level`.
pub(super) fn with_level(stream: &Labels, metadata: Labels, line: &str) -> Labels {
    if metadata.get(LEVEL).is_some() {
        return metadata;
    }
    let labelled = |labels: &Labels| LEVEL_FIELDS.iter().find_map(|name| labels.get(name).map(str::to_owned));
    let level = labelled(stream).or_else(|| labelled(&metadata)).unwrap_or_else(|| of_line(line).to_owned());
    Labels::with_empty(metadata.iter().chain([(LEVEL, level.as_str())]))
}

fn of_line(line: &str) -> &'static str {
    let trimmed = line.trim();
    let field = if trimmed.starts_with('{') && trimmed.ends_with('}') {
        LEVEL_FIELDS.iter().find_map(|name| json_member(line, name))
    } else if line.contains('=') {
        logfmt_level(line)
    } else {
        None
    };
    field.and_then(|field| spelled(&field)).unwrap_or_else(|| word_of(line))
}

/// The field that comes first in the order of fields.
fn logfmt_level(line: &str) -> Option<String> {
    let rank = |key: &str| LEVEL_FIELDS.iter().position(|name| name.eq_ignore_ascii_case(key));
    let ranked = logfmt_pairs(line).into_iter().filter_map(|(key, value)| rank(&key).map(|rank| (rank, value)));
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, value)| value)
}

fn spelled(value: &str) -> Option<&'static str> {
    let exact = ["critical", "fatal"].into_iter().find(|level| level.eq_ignore_ascii_case(value));
    let known = || SPELLINGS.iter().find(|(spelling, _)| spelling.eq_ignore_ascii_case(value)).map(|(_, level)| *level);
    exact.or_else(known)
}

fn word_of(line: &str) -> &'static str {
    WORDS.iter().find(|(word, _)| line.contains(word)).map_or("unknown", |(_, level)| level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_found_where_loki_finds_them() {
        let none = Labels::default();
        let level =
            |stream: &Labels, line: &str| with_level(stream, Labels::default(), line).get(LEVEL).unwrap().to_owned();
        for (line, expected) in [
            (r#"{"level":"WARN","msg":"x"}"#, "warn"),
            (r#"{"msg":"an error"}"#, "error"),
            ("ts=1 lvl=dbg msg=x", "debug"),
            ("ts=1 level=fatal msg=info", "fatal"),
            ("plain info: text", "info"),
            ("nothing", "unknown"),
        ] {
            assert_eq!(level(&none, line), expected, "{line}");
        }
        assert_eq!(level(&Labels::new([("level", "audit")]), "error"), "audit");
    }

    #[test]
    fn the_service_is_named_by_the_first_known_label() {
        assert_eq!(with_service(&Labels::new([("job", "j"), ("app", "a")])).get("service_name"), Some("a"));
        assert_eq!(with_service(&Labels::new([("x", "y")])).get("service_name"), Some("unknown_service"));
    }
}
