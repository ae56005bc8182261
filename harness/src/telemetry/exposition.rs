//! Reads what a `/metrics` endpoint serves: the Prometheus text format 0.0.4 and OpenMetrics text.
//!
//! Fed by [`super::http`], read by the watchers' own counters, by series checks and by reports. A line that cannot be read
//! is an error with its number: a target that serves nonsense is a finding, not an empty list.

use indexmap::IndexMap;

use super::{Labels, parse_number};
use crate::clock::Stamp;

/// Why a text is no exposition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read line {line} of the exposition: {message}: `{text}`")]
pub struct ExpositionError {
    /// From 1.
    pub line: usize,
    /// What is wrong.
    pub message: &'static str,
    /// The line, cut off.
    pub text: String,
}

/// Everything one scrape served.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exposition {
    /// By family name, in the order served. Samples whose family was not announced form one of type `untyped`.
    pub families: IndexMap<String, Family>,
}

/// A metric family.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Family {
    /// `counter`, `gauge`, `histogram`, `summary`, `untyped`, `unknown`, `info`, `stateset`, `gaugehistogram`.
    pub kind: String,
    /// Unescaped help text.
    pub help: String,
    /// OpenMetrics unit.
    pub unit: String,
    /// In the order served.
    pub samples: Vec<ExposedSample>,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct ExposedSample {
    /// With its suffix (`_total`, `_bucket` …).
    pub name: String,
    /// Without the name.
    pub labels: Labels,
    /// The value.
    pub value: f64,
    /// Only if the exporter sets it itself, which switches stale markers off (T01).
    pub at: Option<Stamp>,
}

impl Exposition {
    /// Reads a text.
    ///
    /// # Errors
    /// At the first line that fits neither format.
    pub fn parse(text: &str) -> Result<Self, ExpositionError> {
        let open_metrics = text.trim_end().ends_with("# EOF");
        let mut exposition = Self::default();
        for (index, line) in text.lines().enumerate() {
            exposition.read_line(line.trim(), open_metrics).map_err(|message| ExpositionError {
                line: index + 1,
                message,
                text: super::document::excerpt(line, 120),
            })?;
        }
        Ok(exposition)
    }

    /// The sum of all samples with this name whose labels contain `labels`; `None` if there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let fits = |sample: &&ExposedSample| {
            sample.name == name && labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|v| v == value))
        };
        let mut values = self.samples().filter(fits).map(|sample| sample.value).peekable();
        values.peek()?;
        Some(values.sum())
    }

    /// All samples in the order served, family by family.
    pub fn samples(&self) -> impl Iterator<Item = &ExposedSample> {
        self.families.values().flat_map(|family| &family.samples)
    }

    fn read_line(&mut self, line: &str, open_metrics: bool) -> Result<(), &'static str> {
        match line.strip_prefix('#') {
            Some(comment) => self.read_comment(comment.trim_start()),
            None if line.is_empty() => Ok(()),
            None => self.read_sample(line, open_metrics),
        }
    }

    fn read_comment(&mut self, comment: &str) -> Result<(), &'static str> {
        let Some((keyword, rest)) = comment.split_once([' ', '\t']) else { return Ok(()) };
        if !matches!(keyword, "HELP" | "TYPE" | "UNIT") {
            return Ok(());
        }
        let (name, rest) = family_name(rest.trim_start())?;
        let family = self.families.entry(name).or_default();
        match keyword {
            "HELP" => family.help = unescape(rest),
            "UNIT" => rest.clone_into(&mut family.unit),
            _ if !family.samples.is_empty() => return Err("TYPE comes after samples of its family"),
            _ => rest.clone_into(&mut family.kind),
        }
        Ok(())
    }

    fn read_sample(&mut self, line: &str, open_metrics: bool) -> Result<(), &'static str> {
        let sample = read_sample(line, open_metrics)?;
        let family = self.family_of(&sample.name);
        let family =
            self.families.entry(family).or_insert_with(|| Family { kind: "untyped".to_owned(), ..Family::default() });
        family.samples.push(sample);
        Ok(())
    }

    /// The announced family a sample belongs to, else its own name.
    fn family_of(&self, name: &str) -> String {
        const SUFFIXES: [&str; 7] = ["_total", "_bucket", "_count", "_sum", "_created", "_info", "_gsum"];
        let typed = |family: &str| self.families.get(family).is_some_and(|family| !family.kind.is_empty());
        if typed(name) {
            return name.to_owned();
        }
        let stems = SUFFIXES.iter().filter_map(|suffix| name.strip_suffix(suffix));
        stems.into_iter().find(|stem| typed(stem)).unwrap_or(name).to_owned()
    }
}

/// A metric name, plain or quoted, and what follows it.
fn family_name(text: &str) -> Result<(String, &str), &'static str> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (name, rest) = read_quoted(quoted)?;
        return Ok((name, rest.trim_start()));
    }
    let (name, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    if name.is_empty() { Err("a family name is missing") } else { Ok((name.to_owned(), rest.trim_start())) }
}

fn read_sample(line: &str, open_metrics: bool) -> Result<ExposedSample, &'static str> {
    let name_end = line.find(['{', ' ', '\t']).ok_or("a value is missing")?;
    let (mut name, rest) = (line[..name_end].to_owned(), &line[name_end..]);
    let mut labels = Labels::new();
    let rest = match rest.trim_start().strip_prefix('{') {
        Some(inside) => read_labels(inside, &mut name, &mut labels)?,
        None => rest,
    };
    if name.is_empty() {
        return Err("a metric name is missing");
    }
    let rest = rest.split_once(" # ").map_or(rest, |(before_exemplar, _)| before_exemplar);
    let mut words = rest.split_ascii_whitespace();
    let value = words.next().and_then(parse_number).ok_or("the value is no number")?;
    let at = words.next().map(|word| read_timestamp(word, open_metrics)).transpose()?;
    if words.next().is_some() {
        return Err("something follows the timestamp");
    }
    Ok(ExposedSample { name, labels, value, at })
}

fn read_timestamp(word: &str, open_metrics: bool) -> Result<Stamp, &'static str> {
    let number = parse_number(word).filter(|number| number.is_finite()).ok_or("the timestamp is no number")?;
    Ok(Stamp::from_seconds(if open_metrics { number } else { number / 1000.0 }))
}

/// Reads `a="b",c="d"}` and answers what follows; a lone quoted string is the metric's name.
fn read_labels<'a>(mut text: &'a str, name: &mut String, labels: &mut Labels) -> Result<&'a str, &'static str> {
    loop {
        text = text.trim_start_matches([' ', '\t', ',']);
        if let Some(rest) = text.strip_prefix('}') {
            return Ok(rest);
        }
        let (key, rest) = match text.strip_prefix('"') {
            Some(quoted) => read_quoted(quoted)?,
            None => {
                text.split_at_checked(text.find(['=', ' ']).ok_or("a label has no value")?).map(own).ok_or("a label")?
            }
        };
        let rest = rest.trim_start();
        let Some(value) = rest.strip_prefix('=') else {
            if !name.is_empty() || key.is_empty() {
                return Err("a label has no value");
            }
            *name = key;
            text = rest;
            continue;
        };
        let quoted = value.trim_start().strip_prefix('"').ok_or("a label value is not quoted")?;
        let (value, rest) = read_quoted(quoted)?;
        if labels.insert(key, value).is_some() {
            return Err("a label appears twice");
        }
        text = rest;
    }
}

fn own<'a>((key, rest): (&str, &'a str)) -> (String, &'a str) {
    (key.to_owned(), rest)
}

/// Reads up to the closing quote and answers what follows it.
fn read_quoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut escaped = false;
    for (index, character) in text.char_indices() {
        match character {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return Ok((unescape(&text[..index]), &text[index + 1..])),
            _ => escaped = false,
        }
    }
    Err("a quote is not closed")
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, true) => match characters.next() {
                Some('n') => plain.push('\n'),
                Some(other @ ('\\' | '"')) => plain.push(other),
                Some(other) => plain.extend(['\\', other]),
                None => plain.push('\\'),
            },
            (other, false) => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP http_requests_total Requests, by "route".\nAnd \\ more.
# TYPE http_requests_total counter
http_requests_total{route="/api/items/{sku}",status="200"} 12 1795168810375
http_requests_total{route="a\"b\\c\nd",} +Inf
# TYPE lat histogram
lat_bucket{le="0.1"} 3 # {trace="x"} 0.05
lat_count 3
lat_sum NaN
loose -1.5e-3
{"quoted name","label ü"="x"} 1
"#;

    #[test]
    fn families_carry_type_help_and_their_samples() {
        let exposition = Exposition::parse(TEXT).unwrap();
        let requests = &exposition.families["http_requests_total"];
        assert_eq!(
            (requests.kind.as_str(), requests.help.as_str()),
            ("counter", "Requests, by \"route\".\nAnd \\ more.")
        );
        assert_eq!(requests.samples[0].at, Some(Stamp(1_795_168_810_375_000)));
        assert_eq!(requests.samples[0].labels["route"], "/api/items/{sku}");
        assert_eq!(requests.samples[1].labels["route"], "a\"b\\c\nd");
        assert_eq!(exposition.families["lat"].samples.len(), 3);
        assert!(exposition.families["lat"].samples[2].value.is_nan());
        assert_eq!(exposition.families["loose"].kind, "untyped");
        assert_eq!(exposition.families["quoted name"].samples[0].labels["label ü"], "x");
    }

    #[test]
    fn a_sum_over_nothing_is_nothing_not_zero() {
        let exposition = Exposition::parse("a{x=\"1\"} 2\na{x=\"2\"} 3\n").unwrap();
        assert_eq!(exposition.sum("a", &[]), Some(5.0));
        assert_eq!(exposition.sum("a", &[("x", "2")]), Some(3.0));
        assert_eq!(exposition.sum("a", &[("x", "3")]), None);
    }

    #[test]
    fn open_metrics_counts_seconds_and_knows_units() {
        let text = "# TYPE up_seconds gauge\n# UNIT up_seconds seconds\nup_seconds 1 1795168810.375\n# EOF\n";
        let family = &Exposition::parse(text).unwrap().families["up_seconds"];
        assert_eq!((family.unit.as_str(), family.samples[0].at), ("seconds", Some(Stamp(1_795_168_810_375_000))));
    }

    #[test]
    fn nonsense_is_an_error_with_its_line() {
        for (text, message) in [
            ("a 1\n<html>\n", "a value is missing"),
            ("a 1\na{x=\"1\n", "a quote is not closed"),
            ("a 1\na{x=1} 1\n", "a label value is not quoted"),
            ("a 1\na{x=\"1\",x=\"2\"} 1\n", "a label appears twice"),
            ("a 1\na one\n", "the value is no number"),
            ("a 1\na 1 2 3\n", "something follows the timestamp"),
            ("a 1\n{x=\"1\"} 1\n", "a metric name is missing"),
        ] {
            let error = Exposition::parse(text).unwrap_err();
            assert_eq!((error.line, error.message), (2, message), "{text:?}");
        }
    }

    #[test]
    fn real_watchers_are_readable() {
        for text in [include_str!("golden/prometheus-metrics.txt"), include_str!("golden/alertmanager-metrics.txt")] {
            let exposition = Exposition::parse(text).unwrap();
            assert!(exposition.families.values().all(|family| !family.kind.is_empty() && !family.samples.is_empty()));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(a|\\{|\\}|\"|=|,|\\\\|#|HELP|TYPE| |\n|1|NaN|ü){0,40}") {
            let _ = Exposition::parse(&text);
        }

        #[test]
        fn any_label_value_is_read_back_as_it_was_written(value in "\\PC*|(\\\\|\"|\n|n|#|\\}| ){0,12}", number in proptest::num::f64::ANY) {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let text = format!("m{{a=\"{escaped}\",b=\"x\"}} {number}\n");
            let exposition = Exposition::parse(&text).unwrap();
            let sample = exposition.samples().next().unwrap();
            proptest::prop_assert_eq!(&sample.labels["a"], &value);
            proptest::prop_assert!(sample.value == number || sample.value.is_nan() && number.is_nan());
        }
    }
}
