//! Judges `that.log` from the lines, or the numbers, that a LogQL query answered with.

use super::{Log, Mode};
use crate::condition::Condition;
use crate::expect::metric::Point;
use crate::outcome::{Evidence, Outcome, Reason};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Matching lines, oldest first.
    pub lines: Vec<String>,
    /// Lines that match the stream selector but not the rest: the nearest misses, a few.
    pub near: Vec<String>,
    /// How many lines the stream selector alone has in the window: the proof that logs flow.
    pub flowing: u64,
    /// A metric query's answers.
    pub points: Vec<Point>,
}

/// Shows at most this many lines in a report.
const SHOWN: usize = 8;

/// Judges a log expectation.
#[must_use]
pub fn judge(spec: &Log, mode: Mode, found: &Found) -> Outcome {
    let evidence = describe(spec, found);
    if let Some(condition) = &spec.value {
        return judge_value(condition, mode, found, evidence);
    }
    if mode == Mode::Never {
        return judge_silence(found, evidence);
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of log lines is far below 2^52")]
    let count = found.lines.len() as f64;
    let default = Condition::parse(">= 1").expect("a constant condition parses");
    let condition = spec.count.as_ref().unwrap_or(&default);
    if !condition.holds(count) {
        let summary =
            format!("{} lines match, expected {condition}; {} lines in the stream", found.lines.len(), found.flowing);
        return Outcome::Failed(Reason::LogMissing, Evidence { summary, ..evidence });
    }
    if let Some((line, field)) = found.lines.iter().find_map(|line| Some((line, missing_field(line, &spec.fields)?))) {
        let summary = format!("a matching line lacks {field}");
        return Outcome::Failed(Reason::LogField, Evidence { summary, ..evidence.with_code("line", line.clone()) });
    }
    let summary = format!("{} lines match ({condition})", found.lines.len());
    Outcome::Passed(Evidence { summary, ..evidence })
}

fn judge_silence(found: &Found, evidence: Evidence) -> Outcome {
    if !found.lines.is_empty() {
        let summary = format!("{} lines match, and none may", found.lines.len());
        return Outcome::Failed(Reason::WrongValue, Evidence { summary, ..evidence });
    }
    if found.flowing == 0 {
        let summary = "no line matches, but the stream has no line at all, so nothing is proved".to_owned();
        return Outcome::Inconclusive(Reason::NoCoverage, Evidence { summary, ..evidence });
    }
    let summary = format!("none of {} lines matches", found.flowing);
    Outcome::Passed(Evidence { summary, ..evidence })
}

fn judge_value(condition: &Condition, mode: Mode, found: &Found, evidence: Evidence) -> Outcome {
    let values: Vec<f64> = found.points.iter().flat_map(|point| point.series.iter().map(|(_, value)| *value)).collect();
    if values.is_empty() {
        let summary = "the query answered with no series at any time".to_owned();
        return Outcome::Inconclusive(Reason::NoData, Evidence { summary, ..evidence });
    }
    let holding = values.iter().filter(|value| condition.holds(**value)).count();
    let good = match mode {
        Mode::Eventually => holding > 0,
        Mode::Throughout => holding == values.len(),
        Mode::Never => holding == 0,
    };
    let summary = format!("{holding} of {} values are {condition}", values.len());
    if good {
        return Outcome::Passed(Evidence { summary, ..evidence });
    }
    Outcome::Failed(Reason::WrongValue, Evidence { summary, ..evidence })
}

fn missing_field(line: &str, fields: &[String]) -> Option<String> {
    if fields.is_empty() {
        return None;
    }
    let Ok(serde_json::Value::Object(object)) = serde_json::from_str(line) else {
        return Some("JSON: it is not an object".to_owned());
    };
    fields
        .iter()
        .find(|field| match object.get(*field) {
            None | Some(serde_json::Value::Null) => true,
            Some(serde_json::Value::String(text)) => text.is_empty(),
            Some(_) => false,
        })
        .map(|field| format!("the field \"{field}\""))
}

fn describe(spec: &Log, found: &Found) -> Evidence {
    let evidence = Evidence::default()
        .with_code("query", spec.query.clone())
        .with("lines in the stream", found.flowing.to_string());
    if !found.lines.is_empty() {
        return evidence.with_list("matching lines", found.lines.iter().take(SHOWN).cloned().collect());
    }
    evidence.with_list("nearest lines (selector only)", found.near.iter().take(SHOWN).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect::LogAnswer;

    fn spec(count: Option<&str>, fields: &[&str]) -> Log {
        Log {
            query: "{service=\"inventory\"}".into(),
            answer: LogAnswer::Lines,
            count: count.map(|text| Condition::parse(text).unwrap()),
            value: None,
            fields: fields.iter().map(ToString::to_string).collect(),
        }
    }

    fn found(lines: &[&str], flowing: u64) -> Found {
        Found { lines: lines.iter().map(ToString::to_string).collect(), flowing, ..Found::default() }
    }

    fn reason(spec: &Log, mode: Mode, found: &Found) -> Option<Reason> {
        judge(spec, mode, found).reason()
    }

    #[test]
    fn a_line_is_expected_unless_a_count_is_given() {
        assert_eq!(reason(&spec(None, &[]), Mode::Eventually, &found(&["{}"], 5)), None);
        assert_eq!(reason(&spec(None, &[]), Mode::Eventually, &found(&[], 5)), Some(Reason::LogMissing));
        assert_eq!(reason(&spec(Some("== 2"), &[]), Mode::Eventually, &found(&["{}"], 5)), Some(Reason::LogMissing));
        assert_eq!(reason(&spec(Some("== 0"), &[]), Mode::Eventually, &found(&[], 5)), None);
    }

    #[test]
    fn every_line_must_have_every_field() {
        let good = r#"{"request_id":"r1","status":503}"#;
        for bad in [r#"{"status":503}"#, r#"{"request_id":""}"#, r#"{"request_id":null}"#, "plain text"] {
            let seen = found(&[good, bad], 2);
            assert_eq!(reason(&spec(None, &["request_id"]), Mode::Eventually, &seen), Some(Reason::LogField), "{bad}");
        }
        assert_eq!(reason(&spec(None, &["request_id", "status"]), Mode::Eventually, &found(&[good], 2)), None);
    }

    #[test]
    fn silence_counts_only_while_logs_flow() {
        assert_eq!(reason(&spec(None, &[]), Mode::Never, &found(&[], 5)), None);
        assert_eq!(reason(&spec(None, &[]), Mode::Never, &found(&[], 0)), Some(Reason::NoCoverage));
        assert_eq!(reason(&spec(None, &[]), Mode::Never, &found(&["{}"], 5)), Some(Reason::WrongValue));
    }
}
