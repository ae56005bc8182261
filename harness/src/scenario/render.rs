//! How a diagnostic looks to people: its headline, the author's lines with the place marked, and what to try.

use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::diagnostic::{Diagnostic, Severity};
use crate::source::Location;

/// Whether escape sequences are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// For terminals.
    On,
    /// For files, pipes and `NO_COLOR`.
    Off,
}

/// One diagnostic; `text` is the text of its file (empty if it could not be read). The first line is its headline.
#[must_use]
pub fn render(diagnostic: &Diagnostic, text: &str, colour: Colour) -> String {
    let mut rendered = headline(diagnostic, colour);
    if !text.is_empty() {
        let snippet = snippet(diagnostic, text, colour);
        rendered.push('\n');
        rendered.push_str(snippet.trim_end());
    }
    for label in diagnostic.labels.iter().filter(|label| label.location.file != diagnostic.location.file) {
        let _ = write!(rendered, "\n  = {}: {}", label.message, label.location);
    }
    if let Some(help) = &diagnostic.help {
        let _ = write!(rendered, "\n  = help: {}", visible(help));
    }
    rendered.push('\n');
    rendered
}

/// Something to say about a place in a file that is no scenario.
pub struct Note<'a> {
    /// Where it begins; it reaches to the end of the line.
    pub location: &'a Location,
    /// `error`, `warning` or `note`.
    pub word: &'a str,
    /// Which kind.
    pub code: &'a str,
    /// What is wrong.
    pub message: &'a str,
    /// What to try.
    pub help: &'a str,
}

/// A note as [`render`] shows a diagnostic; the first line is its headline.
#[must_use]
pub fn render_note(note: &Note<'_>, text: &str, colour: Colour) -> String {
    let (level, paint) = match note.word {
        "error" => (Level::ERROR, "\u{1b}[1;31m"),
        "warning" => (Level::WARNING, "\u{1b}[1;33m"),
        _ => (Level::NOTE, "\u{1b}[1;36m"),
    };
    let (paint, bold, end) = if colour == Colour::On { (paint, "\u{1b}[1m", "\u{1b}[0m") } else { ("", "", "") };
    let place = visible(&note.location.to_string());
    let mut rendered =
        format!("{bold}{place}{end}: {paint}{}[{}]{end}: {bold}{}{end}", note.word, note.code, visible(note.message));
    if let Some(span) = rest_of_line(note.location, text) {
        let snippet = Snippet::source(text).annotation(AnnotationKind::Primary.span(span));
        let renderer = if colour == Colour::On { Renderer::styled() } else { Renderer::plain() };
        let _ = write!(rendered, "\n{}", renderer.render(&[Group::with_level(level).element(snippet)]).trim_end());
    }
    let _ = write!(rendered, "\n  = help: {}\n", visible(note.help));
    rendered
}

/// The bytes from a place to the end of its line.
fn rest_of_line(location: &Location, text: &str) -> Option<std::ops::Range<usize>> {
    let index = usize::try_from(location.line).ok()?.checked_sub(1)?;
    let line = text.split_inclusive('\n').nth(index)?;
    let start: usize = text.split_inclusive('\n').take(index).map(str::len).sum();
    let column = usize::try_from(location.column).ok()?.checked_sub(1)?;
    let before = line.char_indices().nth(column).map_or(line.trim_end().len(), |(at, _)| at);
    Some(start + before..start + line.trim_end().len().max(before))
}

fn headline(diagnostic: &Diagnostic, colour: Colour) -> String {
    let (start, bold, end) = match (colour, diagnostic.severity) {
        (Colour::Off, _) => ("", "", ""),
        (Colour::On, Severity::Error) => ("\u{1b}[1;31m", "\u{1b}[1m", "\u{1b}[0m"),
        (Colour::On, Severity::Warning) => ("\u{1b}[1;33m", "\u{1b}[1m", "\u{1b}[0m"),
    };
    format!(
        "{bold}{}{end}: {start}{}[{}]{end}: {bold}{}{end}",
        visible(&diagnostic.location.to_string()),
        diagnostic.severity.word(),
        diagnostic.code,
        visible(&diagnostic.message)
    )
}

/// An author's text can hold escape sequences that would move the cursor or change the reader's terminal.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn snippet(diagnostic: &Diagnostic, text: &str, colour: Colour) -> String {
    // who only knows the line and the column marks the rest of the line
    let known = if diagnostic.span == (0..0) { rest_of_line(&diagnostic.location, text) } else { None };
    let span = known.unwrap_or_else(|| inside(diagnostic.span.clone(), text));
    let here = diagnostic.labels.iter().filter(|label| label.location.file == diagnostic.location.file);
    let labels =
        here.map(|label| AnnotationKind::Context.span(inside(label.span.clone(), text)).label(visible(&label.message)));
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let snippet = Snippet::source(text).annotation(AnnotationKind::Primary.span(span)).annotations(labels);
    let renderer = match colour {
        Colour::On => Renderer::styled(),
        Colour::Off => Renderer::plain(),
    };
    renderer.render(&[Group::with_level(level).element(snippet)])
}

/// The bytes, cut to the text and to whole characters.
fn inside(span: std::ops::Range<usize>, text: &str) -> std::ops::Range<usize> {
    let boundary =
        |offset: usize| (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let start = boundary(span.start);
    start..boundary(span.end).max(start)
}
