//! The report for people: one page that needs no script, no network and no second file. The words come from templates that
//! escape everything; the pictures from `svg`, which escapes itself. Fed by the event log, read in a browser or on paper.

mod expectation;
mod link;
mod message;
mod page;
mod section;
#[cfg(test)]
mod tests;

use askama::Template as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::event::Event;
use crate::report::view;

/// The page's only style sheet.
const STYLE: &str = include_str!("../../../templates/report.css");

/// The page.
#[must_use]
pub fn page(events: &[Event]) -> String {
    let view = view::of(events);
    page::Page::new(&view).render().expect("the templates write into a string and call nothing that fails")
}

/// Nothing may be loaded, run, sent or framed; the one style sheet is known by its hash.
fn policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!("default-src 'none'; style-src 'sha256-{hash}'; img-src data:; base-uri 'none'; form-action 'none'")
}
