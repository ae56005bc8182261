//! LogQL under a time scale: ranges and offsets are divided, and nothing inside of strings, nor the durations that label
//! filters compare with (`| duration > 10s` is a latency, and latencies stay real). Fed with scenario queries.

use std::time::Duration;

use logstore::logql::{self, Metric, MetricKind, Query, RangeAggregation, RangeOperator};

use super::duration::{self, Rounding, Scale};
use super::promql::Replacement;

/// `text` with its range windows and offsets divided by the scale.
#[must_use]
pub fn scale(text: &str, scale: Scale) -> String {
    let mut scaled = String::with_capacity(text.len());
    let mut at = 0;
    for replacement in replacements(text, scale) {
        scaled.push_str(&text[at..replacement.span.start]);
        scaled.push_str(&replacement.text);
        at = replacement.span.end;
    }
    scaled.push_str(&text[at..]);
    scaled
}

/// What has to be replaced in `text` so that its range windows and offsets are divided by the scale, in order.
#[must_use]
pub fn replacements(text: &str, scale: Scale) -> Vec<Replacement> {
    if scale.is_identity() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = match character {
            '"' | '\'' | '`' => quoted(rest),
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '[' => rest.find(']').map_or(1, |end| end + 1),
            _ if rest.starts_with("offset") && starts_word(text, at) => offset_length(rest),
            _ => character.len_utf8(),
        };
        let part = &rest[..length];
        let shortened = match character {
            '[' => range(part, scale),
            'o' if length > 1 => last_duration(part, scale),
            _ => part.to_owned(),
        };
        if shortened != part {
            found.push(Replacement { span: at..at + length, text: shortened });
        }
        at += length;
    }
    found
}

/// The windows and offsets of a metric query, in the order of its tree: what [`scale`] must have divided.
///
/// # Errors
/// The parser's words when the text is no LogQL, or gives lines and no numbers.
pub fn windows(text: &str) -> Result<Vec<(Duration, i64)>, String> {
    let query = logql::parse(text).map_err(|error| error.to_string())?;
    let Query::Metric(metric) = query else {
        return Err("the expression gives lines, not numbers: wrap it, as in `count_over_time(… [5m]) > 0`".to_owned());
    };
    let mut found = Vec::new();
    collect(&metric, &mut found);
    Ok(found)
}

fn collect(metric: &Metric, found: &mut Vec<(Duration, i64)>) {
    each_range(metric, &mut |range| found.push((Duration::from_nanos(range.range.unsigned_abs()), range.offset)));
}

fn each_range(metric: &Metric, visit: &mut impl FnMut(&RangeAggregation)) {
    match &metric.kind {
        MetricKind::Range(range) => visit(range),
        MetricKind::Vector(vector) => each_range(&vector.inner, visit),
        MetricKind::Binary(binary) => {
            each_range(&binary.left, visit);
            each_range(&binary.right, visit);
        }
        MetricKind::LabelReplace { inner, .. } => each_range(inner, visit),
        MetricKind::Literal(_) | MetricKind::VectorLiteral(_) => {}
    }
}

/// Whether a metric query is true because there are no lines: all it reads is `absent_over_time`.
#[must_use]
pub fn waits_for_silence(text: &str) -> bool {
    let Ok(Query::Metric(metric)) = logql::parse(text) else { return false };
    let (mut all, mut silent) = (0, 0);
    each_range(&metric, &mut |range| {
        all += 1;
        silent += usize::from(range.operator == RangeOperator::Absent);
    });
    all > 0 && all == silent
}

fn quoted(rest: &str) -> usize {
    let quote = rest.chars().next().unwrap_or('"');
    let mut escaped = false;
    for (offset, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            _ if character == quote => return offset + 1,
            _ => {}
        }
    }
    rest.len()
}

fn starts_word(text: &str, at: usize) -> bool {
    !text[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
}

/// `offset` with the duration behind it; just the word when none follows.
fn offset_length(rest: &str) -> usize {
    let word = "offset".len();
    let tail = &rest[word..];
    let blank = tail.len() - tail.trim_start().len();
    let sign = usize::from(tail[blank..].starts_with('-'));
    let digits = tail[blank + sign..].bytes().take_while(u8::is_ascii_alphanumeric).count();
    if blank > 0 && digits > 0 { word + blank + sign + digits } else { word }
}

fn range(part: &str, scale: Scale) -> String {
    match part.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => {
            let pieces: Vec<String> = inner.split(':').map(|piece| shortened(piece, scale)).collect();
            format!("[{}]", pieces.join(":"))
        }
        None => part.to_owned(),
    }
}

fn last_duration(part: &str, scale: Scale) -> String {
    let start = part.rfind(|character: char| !character.is_ascii_alphanumeric()).map_or(0, |found| found + 1);
    format!("{}{}", &part[..start], shortened(&part[start..], scale))
}

fn shortened(piece: &str, scale: Scale) -> String {
    let word = piece.trim();
    match duration::parse(word) {
        Some(written) => piece.replace(word, &duration::print(scale.shorten(written, Rounding::Down).duration)),
        None => piece.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_offsets_are_divided_and_strings_and_filters_are_not() {
        for (text, expected) in [
            (
                r#"sum by (x) (count_over_time({a="b"} |= "[5m]" [5m])) > 5"#,
                r#"sum by (x) (count_over_time({a="b"} |= "[5m]" [5s])) > 5"#,
            ),
            (
                r#"rate({a="b"} |~ `"score":\s*\[3,\s*0\]` [1m] offset 1h)"#,
                r#"rate({a="b"} |~ `"score":\s*\[3,\s*0\]` [1s] offset 1m)"#,
            ),
            (r#"{a="b"} | json | duration > 10s"#, r#"{a="b"} | json | duration > 10s"#),
            (
                r#"{a="b"} | pattern "<_> [<time>] <_>" | x = "[1h]""#,
                r#"{a="b"} | pattern "<_> [<time>] <_>" | x = "[1h]""#,
            ),
            ("rate({a='b'} # [5m]\n [5m])", "rate({a='b'} # [5m]\n [5s])"),
            ("{a=\"\\\"[5m]\"} [5m", "{a=\"\\\"[5m]\"} [5m"),
        ] {
            assert_eq!(scale(text, Scale::new(60.0).unwrap()), expected);
        }
    }

    #[test]
    fn the_windows_of_a_query_are_read_from_its_tree() {
        let seconds = |text: &str| -> Result<Vec<(f64, f64)>, String> {
            let found = windows(text)?;
            Ok(found
                .into_iter()
                .map(|(window, offset)| (window.as_secs_f64(), offset as f64 / 1e9))
                .collect::<Vec<_>>())
        };
        let text =
            r#"sum(rate({a="[1h]"}[5m] offset 1h)) / sum(count_over_time({a="b"} | json | x > 10s [90s])) > 0.05"#;
        assert_eq!(seconds(text), Ok(vec![(300.0, 3600.0), (90.0, 0.0)]));
        assert_eq!(seconds(&scale(text, Scale::new(60.0).unwrap())), Ok(vec![(5.0, 60.0), (1.5, 0.0)]));
        assert!(windows(r#"{a="b"}"#).unwrap_err().contains("lines"));
        assert!(windows("rate(").is_err());
    }

    #[test]
    fn only_a_query_that_asks_for_nothing_else_waits_for_silence() {
        assert!(waits_for_silence(r#"absent_over_time({a="b"}[10m])"#));
        assert!(waits_for_silence(r#"sum(absent_over_time({a="b"}[10m])) > 0"#));
        assert!(!waits_for_silence(r#"absent_over_time({a="b"}[10m]) or rate({a="b"}[1m]) < 1"#));
        assert!(!waits_for_silence(r#"rate({a="b"}[1m]) < 1"#));
    }

    #[test]
    fn the_identity_changes_no_byte() {
        assert_eq!(scale("rate({a='b'}[ 5m ])", Scale::ONE), "rate({a='b'}[ 5m ])");
    }
}
