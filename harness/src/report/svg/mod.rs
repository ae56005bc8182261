//! A small SVG writer and the pictures of a report. Everything a picture says is escaped here; colours and fonts are
//! classes of the page's one style sheet, so that light, dark and print need no second picture. Fed by `view`, read by
//! `html`.

mod axis;
mod chart;
mod lane;
mod stage;
#[cfg(test)]
mod tests;
mod timeline;

use std::fmt::Write as _;

pub(super) use stage::stages;
pub(super) use timeline::timeline;

/// Where a text is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Anchor {
    Start,
    Middle,
    End,
}

/// An SVG element under construction.
#[derive(Debug)]
struct Svg {
    text: String,
}

/// A rectangle: x, y, width, height.
#[derive(Clone, Copy, Debug)]
struct Area {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl Svg {
    /// A picture of this size in its own units, with its content in words for those who do not see it.
    fn new(width: f64, height: f64, class: &str, label: &str) -> Self {
        let mut text = String::new();
        let _ = write!(
            text,
            r#"<svg class="{class}" viewBox="0 0 {} {}" role="img" aria-label="{}" xmlns="http://www.w3.org/2000/svg">"#,
            number(width),
            number(height),
            escape(label)
        );
        Self { text }
    }

    fn rect(&mut self, class: &str, area: Area, title: &str) {
        let _ = write!(
            self.text,
            r#"<rect class="{class}" x="{}" y="{}" width="{}" height="{}""#,
            number(area.x),
            number(area.y),
            number(area.width.max(0.0)),
            number(area.height.max(0.0))
        );
        self.end("rect", title);
    }

    fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let _ = write!(
            self.text,
            r#"<line class="{class}" x1="{}" y1="{}" x2="{}" y2="{}"/>"#,
            number(from.0),
            number(from.1),
            number(to.0),
            number(to.1)
        );
    }

    fn path(&mut self, class: &str, data: &str, title: &str) {
        let _ = write!(self.text, r#"<path class="{class}" d="{data}""#);
        self.end("path", title);
    }

    fn text(&mut self, class: &str, at: (f64, f64), anchor: Anchor, words: &str, title: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let (x, y) = (number(at.0), number(at.1));
        let _ = write!(self.text, r#"<text class="{class}" x="{x}" y="{y}" text-anchor="{anchor}">"#);
        if !title.is_empty() {
            let _ = write!(self.text, "<title>{}</title>", escape(title));
        }
        let _ = write!(self.text, "{}</text>", escape(words));
    }

    /// Closes an element, with a tooltip if there is something to say.
    fn end(&mut self, element: &str, title: &str) {
        if title.is_empty() {
            self.text.push_str("/>");
        } else {
            let _ = write!(self.text, "><title>{}</title></{element}>", escape(title));
        }
    }

    fn finish(mut self) -> String {
        self.text.push_str("</svg>");
        self.text
    }
}

/// A coordinate with one digit; nothing that is no number.
fn number(value: f64) -> String {
    if !value.is_finite() {
        return "0".to_owned();
    }
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// Text as SVG (and HTML) may hold it, in elements and in attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&#60;"),
            '>' => escaped.push_str("&#62;"),
            '&' => escaped.push_str("&#38;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// At most `room` characters, the last one an ellipsis if something is cut off.
fn shorten(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

/// How many characters of a small text fit into a width.
fn room(width: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few hundred at most, never negative"
    )]
    let letters = (width / 6.3).max(0.0) as usize;
    letters
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests and rows of a picture")]
const fn float(count: u64) -> f64 {
    count as f64
}
