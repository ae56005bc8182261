//! The stages of a pipeline: each takes a line, changes it, and keeps or drops it.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use super::filter;
use super::json::{self, JsonError, Value};
use super::line::{ERROR, ERROR_DETAILS, Line, LineError};
use super::logfmt::{self, Item};
use super::template;
use crate::logql::{Extraction, LabelFormat, LabelFormatSource, NamedMatcher, ParserFlags, PathStep, Stage, StageKind};

/// Whether a line goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Yes,
    No,
}

impl From<bool> for Keep {
    fn from(keep: bool) -> Self {
        if keep { Self::Yes } else { Self::No }
    }
}

/// Whether parsers need to find anything: a sum over all labels that no stage asks for does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsers {
    Run,
    Skip,
}

/// Runs all stages.
pub(super) fn run(stages: &[Stage], line: &mut Line<'_>, parsers: Parsers) -> Keep {
    for stage in stages {
        if apply(&stage.kind, line, parsers) == Keep::No {
            return Keep::No;
        }
    }
    Keep::Yes
}

fn apply(stage: &StageKind, line: &mut Line<'_>, parsers: Parsers) -> Keep {
    match stage {
        StageKind::LineFilter(filter) => return filter::line_filter(filter, &line.text).into(),
        StageKind::LabelFilter(filter) => return filter::label_filter(filter, line).into(),
        StageKind::Json(_) | StageKind::Logfmt(..) | StageKind::Pattern(_) | StageKind::Unpack
            if parsers == Parsers::Skip => {}
        StageKind::Json(extractions) if extractions.is_empty() => parse_json(line),
        StageKind::Json(extractions) => extract_json(extractions, line),
        StageKind::Logfmt(flags, extractions) if extractions.is_empty() => parse_logfmt(*flags, line),
        StageKind::Logfmt(flags, extractions) => extract_logfmt(*flags, extractions, line),
        StageKind::Regexp(regex, _) => parse_regexp(regex, line),
        StageKind::Pattern(pattern) => {
            let text = line.text.clone();
            for (name, value) in pattern.extract(&text) {
                line.extract(name, value);
            }
        }
        StageKind::Unpack => unpack(line),
        StageKind::LineFormat(template) => match template::render(template, line) {
            Ok(text) => line.text = Cow::Owned(text),
            Err(details) => line.fail(LineError::TemplateFormat, details),
        },
        StageKind::LabelFormat(formats) => label_format(formats, line),
        StageKind::Drop(matchers) => matchers.iter().for_each(|matcher| drop_label(matcher, line)),
        StageKind::Keep(matchers) => keep_labels(matchers, line),
        StageKind::Decolorize => {
            if let Cow::Owned(plain) = ANSI.replace_all(&line.text, "") {
                line.text = Cow::Owned(plain);
            }
        }
    }
    Keep::Yes
}

static ANSI: LazyLock<Regex> = LazyLock::new(|| {
    let csi = r"(?:(?:[0-9]{1,4}(?:;[0-9]{0,4})*)?[0-9A-PRZcf-ntqry=><~])";
    let osc = r"(?:(?:[a-zA-Z0-9]*(?:;[a-zA-Z0-9]*)*)?\x07)";
    Regex::new(&format!(r"[\x1B\u{{9B}}][\[\]()#;?]*(?:{osc}|{csi})")).expect("a constant regex that the tests compile")
});

// ---- parsers ----

fn parse_json(line: &mut Line<'_>) {
    let text = line.text.clone();
    let mut prefix = Vec::new();
    if let Err(error) = json_members(&text, &mut prefix, line) {
        line.fail(LineError::Json, error.to_string());
    }
}

fn json_members(text: &str, prefix: &mut Vec<String>, line: &mut Line<'_>) -> Result<(), JsonError> {
    json::each_member(text, &mut |key, value| {
        if let Value::Object(inside) = value {
            prefix.push(key.to_owned());
            let result = json_members(inside, prefix, line);
            prefix.pop();
            return result;
        }
        let Some(value) = scalar(value) else { return Ok(()) };
        let mut name = String::new();
        for part in prefix.iter().map(String::as_str).chain([key]).filter(|part| !part.trim().is_empty()) {
            if !name.is_empty() {
                name.push('_');
            }
            name.push_str(&json::sanitize(part, name.is_empty()));
        }
        if !name.is_empty() {
            line.extract(&name, value);
        }
        Ok(())
    })
}

/// A value as a label's value; `None` for what makes no label.
fn scalar(value: Value<'_>) -> Option<String> {
    match value {
        Value::Text(inside) => Some(json::unescape(inside).unwrap_or_default()),
        Value::Number(number) => Some(number.to_owned()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Object(_) | Value::Array(_) => None,
    }
}

fn extract_json(extractions: &[Extraction<Vec<PathStep>>], line: &mut Line<'_>) {
    let text = line.text.clone();
    if text.is_empty() {
        return;
    }
    if !text.starts_with(['"', '{', '[']) {
        line.fail(LineError::Json, "");
        return;
    }
    for extraction in extractions {
        let value = match json::lookup(&text, &extraction.from) {
            Ok(Some(Value::Object(raw) | Value::Array(raw))) => raw.to_owned(),
            Ok(Some(value)) => scalar(value).unwrap_or_default(),
            Ok(None) => {
                if line.get(&extraction.label).is_none() {
                    line.set(&extraction.label, "");
                }
                continue;
            }
            Err(error) => {
                line.fail(LineError::Json, error.to_string());
                continue;
            }
        };
        let name = line.extraction_name(&extraction.label);
        line.set(&name, value);
    }
}

fn parse_logfmt(flags: ParserFlags, line: &mut Line<'_>) {
    let text = line.text.clone();
    for item in logfmt::items(&text) {
        match item {
            Item::Pair(_, value) if value.is_empty() && !flags.keep_empty => {}
            Item::Pair(key, value) => {
                let name = json::sanitize(&key, true);
                if !name.is_empty() {
                    line.extract(&name, value.replace('\u{fffd}', " "));
                }
            }
            Item::Error(details) if flags.strict => {
                line.fail(LineError::Logfmt, details);
                return;
            }
            Item::Error(_) => {}
        }
    }
}

fn extract_logfmt(flags: ParserFlags, extractions: &[Extraction<String>], line: &mut Line<'_>) {
    let text = line.text.clone();
    for extraction in extractions {
        if !line.is_taken(&extraction.label) {
            line.set(&extraction.label, "");
        }
    }
    for item in logfmt::items(&text) {
        match item {
            Item::Pair(key, value) => {
                let key = json::sanitize(&key, true);
                let Some(extraction) = extractions.iter().find(|extraction| extraction.from == key) else { continue };
                let name = line.extraction_name(&extraction.label);
                line.set(&name, value);
            }
            Item::Error(details) if flags.strict => {
                line.fail(LineError::Logfmt, details);
                return;
            }
            Item::Error(_) => {}
        }
    }
}

fn parse_regexp(regex: &Regex, line: &mut Line<'_>) {
    let text = line.text.clone();
    let Some(captures) = regex.captures(&text) else { return };
    for name in regex.capture_names().flatten() {
        line.extract(&json::sanitize(name, true), captures.name(name).map_or("", |found| found.as_str()));
    }
}

fn unpack(line: &mut Line<'_>) {
    let text = line.text.clone();
    if text.is_empty() {
        return;
    }
    if !text.starts_with('{') {
        line.fail(LineError::Json, "expecting json object(6), but it is not");
        return;
    }
    let (mut entry, mut labels) = (None, Vec::new());
    let result = json::each_member(&text, &mut |key, value| {
        if let Value::Text(inside) = value {
            match key {
                "_entry" => entry = json::unescape(inside),
                _ => labels.push((json::sanitize(key, true), json::unescape(inside).unwrap_or_default())),
            }
        }
        Ok(())
    });
    if let Err(error) = result {
        line.fail(LineError::Json, error.to_string());
        return;
    }
    if let Some(entry) = entry {
        for (name, value) in labels {
            line.extract(&name, value);
        }
        line.text = Cow::Owned(entry);
    }
}

// ---- label stages ----

fn label_format(formats: &[LabelFormat], line: &mut Line<'_>) {
    // all templates of a stage see the labels as they were at the first of them
    let mut seen = None;
    for format in formats {
        match &format.source {
            LabelFormatSource::Rename(from) => {
                if let Some(value) = line.get(from).map(|(value, _)| value.to_owned()) {
                    line.set(&format.name, value);
                    line.remove(from);
                }
            }
            LabelFormatSource::Template(template) => {
                let frozen = seen.get_or_insert_with(|| line.clone());
                match template::render(template, frozen) {
                    Ok(value) => line.set(&format.name, value),
                    Err(details) => line.fail(LineError::TemplateFormat, details),
                }
            }
        }
    }
}

fn drop_label(matcher: &NamedMatcher, line: &mut Line<'_>) {
    let (name, matches) = match matcher {
        NamedMatcher::Name(name) => (name, true),
        NamedMatcher::Matcher(matcher) => (&matcher.name, matcher.matches(line.value(&matcher.name))),
    };
    match name.as_str() {
        _ if !matches => {}
        ERROR => line.clear_error(),
        ERROR_DETAILS => line.clear_details(),
        name => line.remove(name),
    }
}

fn keep_labels(matchers: &[NamedMatcher], line: &mut Line<'_>) {
    let kept = |name: &str, value: &str| {
        matchers.iter().any(|matcher| match matcher {
            NamedMatcher::Name(wanted) => wanted == name,
            NamedMatcher::Matcher(matcher) => matcher.name == name && matcher.matches(value),
        })
    };
    let gone: Vec<String> = line
        .labels()
        .into_iter()
        .filter(|(name, value, _)| !kept(name, value))
        .map(|(name, _, _)| name.to_owned())
        .collect();
    gone.iter().for_each(|name| line.remove(name));
}
