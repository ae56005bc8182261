//! A scenario AS WRITTEN: the model with source positions, the reader, the checks, and their diagnostics.
//!
//! Fed by the author's TOML file; read by `plan`, which turns it into times, ids and bounds. Nothing here starts anything.
//!
//! ```text
//! bytes ─ syntax ─► tree with positions ─ check (against schema) ─► model ─ lint (with surroundings) ─► plan
//! ```
//!
//! * [`model`] is the language; its doc comments are the schema's descriptions, and the schema is what `check` compares with.
//! * [`diagnostic`] and [`render`] are how a problem looks; every code is listed in `docs/scenarios.md`.
//! * [`default`] holds every value that applies where the author says nothing.

mod check;
pub mod default;
pub mod diagnostic;
pub mod duration;
mod form;
pub mod lint;
pub mod model;
pub mod quantity;
pub mod render;
pub mod schema;
pub mod spanned;
mod suggest;
pub mod surroundings;
mod syntax;
pub mod template;
pub mod text;

pub use diagnostic::{Code, Diagnostic, Severity, has_errors};
pub use lint::{deny_warnings, lint, lint_suite};
pub use model::Scenario;
pub use schema::schema;
pub use spanned::Spanned;
pub use suggest::help as suggest;
pub use surroundings::Surroundings;
pub use template::template;

use std::path::Path;

use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use crate::source::{LineIndex, Location};
use diagnostic::{Finding, locate_all};

/// A scenario together with the text it was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What it says.
    pub scenario: Scenario,
    /// The file's name, as given.
    pub file: String,
    /// The file's text.
    pub text: String,
}

impl Loaded {
    /// Where a value begins.
    #[must_use]
    pub fn location<T>(&self, value: &Spanned<T>) -> Location {
        Location::of(&self.file, &self.text, value.span().start)
    }
}

/// Reads a scenario file.
///
/// # Errors
/// Everything that is wrong with its form: unreadable, no TOML, unknown or missing keys, wrong types, units or texts.
/// What it refers to is checked by [`lint()`].
pub fn load(path: &Path) -> Result<Loaded, Vec<Diagnostic>> {
    let text = syntax::read(path).map_err(|diagnostic| vec![*diagnostic])?;
    load_text(&path.display().to_string(), &text)
}

/// Reads a scenario from a text, as [`load`] does; `name` stands for the file in diagnostics.
///
/// # Errors
/// See [`load`].
pub fn load_text(name: &str, text: &str) -> Result<Loaded, Vec<Diagnostic>> {
    match read_text(name, text) {
        Ok(scenario) => Ok(Loaded { scenario, file: name.to_owned(), text: text.to_owned() }),
        Err(findings) => Err(locate_all(findings, name, text)),
    }
}

fn read_text(name: &str, text: &str) -> Result<Scenario, Vec<Finding>> {
    let table = syntax::parse(text)?;
    if table.get_ref().is_empty() {
        let message = "the file is empty: no expectations, so that nothing can fail";
        return Err(vec![
            Finding::error(Code::Vacuous, 0..0, message).help("`harness new NAME` writes a scenario to start from"),
        ]);
    }
    let findings = check::check(schema(), &table);
    if !findings.is_empty() {
        return Err(findings);
    }
    let expectations = places(table.get_ref(), "expect");
    let faults = places(table.get_ref(), "fault");
    let mut scenario = Scenario::deserialize(toml::de::Deserializer::from(table))
        .map_err(|error| vec![Finding::error(Code::InvalidValue, error.span().unwrap_or_default(), error.message())])?;
    let index = LineIndex::new(name, text);
    for (expectation, (start, end)) in scenario.expect.iter_mut().zip(expectations) {
        expectation.location = index.locate(start);
        expectation.source = lines(text, start, end);
    }
    for (fault, (start, _)) in scenario.fault.iter_mut().zip(faults) {
        fault.location = index.locate(start);
    }
    Ok(scenario)
}

/// First and last byte of each table in an array of tables.
fn places(table: &DeTable<'_>, key: &str) -> Vec<(usize, usize)> {
    let array = table.get(key).and_then(|value| match value.get_ref() {
        DeValue::Array(array) => Some(array),
        _ => None,
    });
    array.into_iter().flat_map(|array| array.iter().map(|item| (item.span().start, syntax::end_of(item)))).collect()
}

/// The whole lines from one byte to another.
fn lines(text: &str, start: usize, end: usize) -> String {
    let first = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let last = text[end..].find('\n').map_or(text.len(), |newline| end + newline);
    text[first..last].trim_end().to_owned()
}

#[cfg(test)]
mod tests;
