//! `/metrics` as text: OpenMetrics as the registry writes it, or Prometheus text 0.0.4 made from that. `admin` chooses by the
//! `Accept` header.

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0, with exemplars.
    OpenMetrics,
    /// Prometheus text format 0.0.4; it has no exemplars.
    Text,
}

impl Format {
    /// What an `Accept` header asks for: OpenMetrics when named with at least the weight of the text format.
    #[must_use]
    pub fn accepted(accept: Option<&str>) -> Self {
        let weight = |wanted: &str| {
            let ranges = accept.unwrap_or_default().split(',');
            let matching = ranges.filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let matches = parts.next()?.eq_ignore_ascii_case(wanted);
                let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f64>().ok());
                matches.then(|| quality.unwrap_or(1.0))
            });
            matching.fold(0.0, f64::max)
        };
        let open = weight("application/openmetrics-text");
        if open > 0.0 && open >= weight("text/plain") { Self::OpenMetrics } else { Self::Text }
    }

    /// The `Content-Type` of an answer.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Renders the registry.
#[must_use]
pub fn render(registry: &Registry, format: Format) -> String {
    let mut open = String::with_capacity(64 * 1024);
    text::encode(&mut open, registry).expect("writing to a String cannot fail");
    match format {
        Format::OpenMetrics => open,
        Format::Text => to_text(&open),
    }
}

/// OpenMetrics to text 0.0.4: counters carry `_total` in their metadata too, and there are neither units, exemplars nor an
/// end mark.
fn to_text(open: &str) -> String {
    let mut text = String::with_capacity(open.len());
    let mut help: Option<(&str, &str)> = None;
    for line in open.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "unknown"));
            write_metadata(&mut text, name, kind, help.take());
        } else if !line.starts_with("# ") {
            text.push_str(without_exemplar(line));
            text.push('\n');
        }
    }
    text
}

fn write_metadata(text: &mut String, name: &str, kind: &str, help: Option<(&str, &str)>) {
    let suffix = if kind == "counter" { "_total" } else { "" };
    let kind = if kind == "unknown" { "untyped" } else { kind };
    let parts = match help {
        Some((_, help)) => ["# HELP ", name, suffix, " ", help, "\n"],
        None => ["", "", "", "", "", ""],
    };
    text.extend(parts);
    text.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
}

/// A sample without its exemplar; a `#` inside a label's value is not one.
fn without_exemplar(line: &str) -> &str {
    let labels_end = end_of_labels(line);
    line[labels_end..].find(" # ").map_or(line, |at| &line[..labels_end + at])
}

fn end_of_labels(line: &str) -> usize {
    let Some(start) = line.find('{') else { return 0 };
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in line.bytes().enumerate().skip(start) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return at,
            _ => {}
        }
    }
    line.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_follows_the_accept_header() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted(Some(prometheus)), Format::OpenMetrics);
        assert_eq!(Format::accepted(Some("text/plain;version=0.0.4")), Format::Text);
        assert_eq!(Format::accepted(Some("application/openmetrics-text;q=0.1,text/plain;q=0.9")), Format::Text);
        assert_eq!(Format::accepted(Some("*/*")), Format::Text);
        assert_eq!(Format::accepted(None), Format::Text);
    }

    #[test]
    fn counters_are_named_in_full_and_nothing_of_open_metrics_remains() {
        let open = "# HELP a A.\n# TYPE a counter\n# UNIT a x\na_total{b=\"} # c\"} 1 # {t=\"1\"} 1.0 2.0\n# HELP g G.\n# TYPE g gauge\ng 3\n# EOF\n";
        let text =
            "# HELP a_total A.\n# TYPE a_total counter\na_total{b=\"} # c\"} 1\n# HELP g G.\n# TYPE g gauge\ng 3\n";
        assert_eq!(to_text(open), text);
    }
}
