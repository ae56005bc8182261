//! A line on its way through a pipeline: its text, its labels by category, and what went wrong with it.

use std::borrow::Cow;

use crate::clock::Nanos;
use crate::label::Labels;

/// Where a label of a line comes from. What is parsed hides metadata, which hides the stream's labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Category {
    Stream,
    Metadata,
    Parsed,
}

/// The kinds of `__error__`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineError {
    Json,
    Logfmt,
    SampleExtraction,
    LabelFilter,
    TemplateFormat,
}

impl LineError {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Json => "JSONParserErr",
            Self::Logfmt => "LogfmtParserErr",
            Self::SampleExtraction => "SampleExtractionErr",
            Self::LabelFilter => "LabelFilterErr",
            Self::TemplateFormat => "TemplateFormatErr",
        }
    }
}

/// The label that tells that something went wrong.
pub(super) const ERROR: &str = "__error__";
/// The label that tells what went wrong.
pub(super) const ERROR_DETAILS: &str = "__error_details__";

/// A line and its labels.
#[derive(Clone, Debug)]
pub(super) struct Line<'a> {
    pub(super) at: Nanos,
    pub(super) text: Cow<'a, str>,
    stream: &'a Labels,
    removed: Vec<String>,
    metadata: Vec<(String, String)>,
    parsed: Vec<(String, String)>,
    extracted: Vec<String>,
    error: Option<LineError>,
    details: String,
}

impl<'a> Line<'a> {
    pub(super) fn new(at: Nanos, text: &'a str, stream: &'a Labels, metadata: Option<&Labels>) -> Self {
        let mut line = Self {
            at,
            text: Cow::Borrowed(text),
            stream,
            removed: Vec::new(),
            metadata: Vec::new(),
            parsed: Vec::new(),
            extracted: Vec::new(),
            error: None,
            details: String::new(),
        };
        for (name, value) in metadata.into_iter().flat_map(Labels::iter) {
            let name = if stream.get(name).is_some() { format!("{name}_extracted") } else { name.to_owned() };
            line.metadata.push((name, value.to_owned()));
        }
        line
    }

    /// The value of a label and its category.
    pub(super) fn get(&self, name: &str) -> Option<(&str, Category)> {
        for (labels, category) in [(&self.metadata, Category::Metadata), (&self.parsed, Category::Parsed)] {
            if let Some((_, value)) = labels.iter().find(|(n, _)| n == name) {
                return Some((value, category));
            }
        }
        if self.removed.iter().any(|removed| removed == name) {
            return None;
        }
        self.stream.get(name).map(|value| (value, Category::Stream))
    }

    /// As [`Self::get`]; the error labels read as labels too, and absent labels as empty.
    pub(super) fn value(&self, name: &str) -> &str {
        match name {
            ERROR => self.error.map_or("", LineError::as_str),
            ERROR_DETAILS => &self.details,
            _ => self.get(name).map_or("", |(value, _)| value),
        }
    }

    /// Sets a label that a stage made.
    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.metadata.retain(|(n, _)| n != name);
        let value = value.into();
        match self.parsed.iter_mut().find(|(n, _)| n == name) {
            Some(known) => known.1 = value,
            None => self.parsed.push((name.to_owned(), value)),
        }
        if !self.extracted.iter().any(|known| known == name) {
            self.extracted.push(name.to_owned());
        }
    }

    /// Sets a label that a parser found: a name that the stream or the metadata has gets a suffix, and what an earlier
    /// parser found stays.
    pub(super) fn extract(&mut self, name: &str, value: impl Into<String>) {
        let name = self.extraction_name(name);
        if !self.extracted.contains(&name) {
            self.set(&name, value);
        }
    }

    /// The name under which a parser stores `name`.
    pub(super) fn extraction_name(&self, name: &str) -> String {
        if self.is_taken(name) { format!("{name}_extracted") } else { name.to_owned() }
    }

    /// Whether the stream or the metadata has a label of this name.
    pub(super) fn is_taken(&self, name: &str) -> bool {
        self.stream.get(name).is_some() || self.metadata.iter().any(|(n, _)| n == name)
    }

    /// Removes a label in all categories.
    pub(super) fn remove(&mut self, name: &str) {
        self.metadata.retain(|(n, _)| n != name);
        self.parsed.retain(|(n, _)| n != name);
        self.removed.push(name.to_owned());
    }

    pub(super) fn error(&self) -> Option<LineError> {
        self.error
    }

    pub(super) fn fail(&mut self, error: LineError, details: impl Into<String>) {
        self.error = Some(error);
        let details = details.into();
        if !details.is_empty() {
            self.details = details;
        }
    }

    /// As [`Self::fail`] unless something went wrong before.
    pub(super) fn fail_first(&mut self, error: LineError, details: impl Into<String>) {
        if self.error.is_none() {
            self.fail(error, details);
        }
    }

    pub(super) fn clear_error(&mut self) {
        self.error = None;
    }

    pub(super) fn clear_details(&mut self) {
        self.details.clear();
    }

    /// The labels with their categories, errors excluded.
    pub(super) fn labels(&self) -> Vec<(&str, &str, Category)> {
        let parsed = |name: &str| self.parsed.iter().any(|(n, _)| n == name);
        let metadata = |name: &str| self.metadata.iter().any(|(n, _)| n == name);
        let mut all = Vec::with_capacity(self.stream.len() + self.metadata.len() + self.parsed.len() + 2);
        for (name, value) in self.stream.iter() {
            if !self.removed.iter().any(|removed| removed == name) && !parsed(name) && !metadata(name) {
                all.push((name, value, Category::Stream));
            }
        }
        for (name, value) in self.metadata.iter().filter(|(name, _)| !parsed(name)) {
            all.push((name, value, Category::Metadata));
        }
        all.extend(self.parsed.iter().map(|(name, value)| (name.as_str(), value.as_str(), Category::Parsed)));
        all
    }

    /// Whether no stage and no metadata changed the stream's labels.
    pub(super) fn is_unchanged(&self) -> bool {
        self.removed.is_empty()
            && self.metadata.is_empty()
            && self.parsed.is_empty()
            && self.error.is_none()
            && self.details.is_empty()
    }

    /// The labels that name the line's series, errors included.
    pub(super) fn series(&self) -> Labels {
        if self.is_unchanged() {
            return self.stream.clone();
        }
        Labels::with_empty(self.labels().into_iter().map(|(name, value, _)| (name, value)).chain(self.errors()))
    }

    fn errors(&self) -> impl Iterator<Item = (&str, &str)> {
        [ERROR, ERROR_DETAILS].into_iter().map(|name| (name, self.value(name))).filter(|(_, value)| !value.is_empty())
    }

    /// The labels of one category; errors count as parsed.
    pub(super) fn category(&self, wanted: Category) -> Labels {
        let labels = self.labels().into_iter().filter(|(_, _, category)| *category == wanted);
        let errors = self.errors().filter(|_| wanted == Category::Parsed);
        Labels::with_empty(labels.map(|(name, value, _)| (name, value)).chain(errors))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parsed_label_that_the_stream_has_gets_a_suffix() {
        let stream = Labels::new([("app", "x")]);
        let mut line = Line::new(0, "", &stream, None);
        line.extract("app", "y");
        line.extract("level", "info");
        line.extract("level", "late");
        assert_eq!(line.series().to_string(), r#"{app="x", app_extracted="y", level="info"}"#);
    }

    #[test]
    fn metadata_hides_nothing_and_parsed_labels_hide_metadata() {
        let stream = Labels::new([("app", "x")]);
        let metadata = Labels::new([("trace", "1"), ("app", "z")]);
        let mut line = Line::new(0, "", &stream, Some(&metadata));
        line.set("trace", "2");
        assert_eq!(line.get("trace"), Some(("2", Category::Parsed)));
        assert_eq!(line.category(Category::Metadata).to_string(), r#"{app_extracted="z"}"#);
        line.remove("app");
        assert_eq!(line.series().to_string(), r#"{app_extracted="z", trace="2"}"#);
    }
}
