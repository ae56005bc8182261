//! The table at the end of a run, and below it what a reader needs of everything that did not pass. Lines fit 80 columns
//! as far as they are ours. Fed by the event log, printed by `cli`.

use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Padding, Style, Width};

use super::Palette;
use super::length;
use super::view::{self, Ending, Expectation, Scenario, View};
use crate::event::{Event, Verdict};
use crate::outcome::Outcome;

const WIDTH: usize = 78;
/// How many log lines of a component are shown.
const LINES: usize = 12;

/// The table and the details.
#[must_use]
pub fn table(events: &[Event], palette: Palette) -> String {
    let view = view::of(events);
    let mut text = summary(&view, palette);
    for scenario in &view.scenarios {
        text.push_str(&details(scenario, palette));
    }
    for (resource, why) in &view.leftovers {
        text.push_str(&format!("\nleft behind: {resource}: {why}\n"));
    }
    for warning in &view.warnings {
        text.push_str(&format!("\nwarning: {warning}\n"));
    }
    text.push('\n');
    text.push_str(&conclusion(&view, palette));
    text
}

fn summary(view: &View, palette: Palette) -> String {
    let mut builder = Builder::default();
    builder.push_record(["scenario", "verdict", "held", "took", "reasons"]);
    for scenario in &view.scenarios {
        let tally = scenario.tally();
        let reasons: Vec<&str> = scenario.judgement.reasons.iter().map(|reason| reason.code()).collect();
        builder.push_record([
            scenario.name.clone(),
            view::word(scenario.judgement.verdict).to_owned(),
            format!("{}/{}", tally.passed, tally.total()),
            scenario.took().map_or("–".to_owned(), length::show),
            reasons.join(" "),
        ]);
    }
    let mut table = builder.build();
    table
        .with(Style::blank())
        .with(Padding::new(0, 1, 0, 0))
        .modify(Columns::one(0), Width::wrap(26))
        .modify(Columns::one(4), Width::wrap(24).keep_words(true));
    let plain = table.to_string();
    let mut lines = plain.lines();
    let header = lines.next().unwrap_or_default();
    let column = header.find("verdict").unwrap_or_default();
    let mut text = paint(header.trim_end(), "1", palette) + "\n";
    for line in lines {
        text.push_str(&paint_verdict(line.trim_end(), column, palette));
        text.push('\n');
    }
    text
}

/// Colours the verdict of a line of the table; cells stay free of escape sequences, so widths are right.
fn paint_verdict(line: &str, column: usize, palette: Palette) -> String {
    let at = line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
    let (before, rest) = line.split_at(at);
    let end = rest.find(' ').unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    format!("{before}{}{after}", paint(word, colour_of(word), palette))
}

fn details(scenario: &Scenario, palette: Palette) -> String {
    if scenario.judgement.verdict == Verdict::Pass {
        return String::new();
    }
    let word = view::word(scenario.judgement.verdict);
    let mut text = format!("\n{} {}\n", paint(word, colour_of(word), palette), paint(&scenario.name, "1", palette));
    if let Some((reason, message)) = &scenario.skipped {
        text.push_str(&wrapped(&format!("{reason}: {message}"), 2));
    }
    for trouble in &scenario.troubles {
        let code = paint(trouble.reason.code(), colour_of(view::word(trouble.verdict)), palette);
        text.push_str(&format!("  {code}  {}\n", trouble.title));
        text.push_str(&wrapped(&trouble.message, 4));
        let skipped = trouble.last_lines.len().saturating_sub(LINES);
        for line in &trouble.last_lines[skipped..] {
            text.push_str(&format!("    | {line}\n"));
        }
    }
    let mut sorted: Vec<&Expectation> = scenario.expectations.iter().filter(|it| it.urgency() < 2).collect();
    sorted.sort_by_key(|expectation| expectation.urgency());
    for expectation in sorted {
        text.push_str(&failed(expectation, palette));
    }
    match scenario.tally().open {
        0 => {}
        1 => text.push_str("  1 expectation was never judged\n"),
        open => text.push_str(&format!("  {open} expectations were never judged\n")),
    }
    for warning in &scenario.warnings {
        text.push_str(&wrapped(&format!("warning: {warning}"), 2));
    }
    text
}

fn failed(expectation: &Expectation, palette: Palette) -> String {
    let plan = &expectation.plan;
    let place = format!("{}:{}", plan.location.file, plan.location.line);
    let Some(outcome) = &expectation.outcome else { return String::new() };
    let code = outcome.reason().map_or(outcome.word(), crate::outcome::Reason::code);
    let colour = if matches!(outcome, Outcome::Failed(..)) { colour_of("FAIL") } else { colour_of("INCONCLUSIVE") };
    let title = wrapped(&plan.title, 4);
    let summary = wrapped(&format!("→ {}", outcome.evidence().summary), 4);
    format!("  {}  {place}\n{title}{summary}", paint(code, colour, palette))
}

/// The run's verdict in words, on the last line.
fn conclusion(view: &View, palette: Palette) -> String {
    let word = view::word(view.verdict);
    let passed = view.scenarios.iter().filter(|it| it.judgement.verdict == Verdict::Pass).count();
    let tally = view.tally();
    let incomplete = if view.ending == Ending::Incomplete { " (incomplete)" } else { "" };
    format!(
        "{}{incomplete}: {passed} of {} scenarios passed, {} of {} expectations held{}",
        paint(word, colour_of(word), palette),
        view.scenarios.len(),
        tally.passed,
        tally.total(),
        if incomplete.is_empty() { format!(", {}", length::show(view.took())) } else { String::new() }
    )
}

/// Words wrapped and indented; a word that does not fit stands on a line of its own.
fn wrapped(text: &str, indent: usize) -> String {
    let mut shown = String::new();
    for line in text.lines() {
        let mut length = 0;
        for word in line.split_whitespace() {
            let letters = word.chars().count();
            if length == 0 || length + 1 + letters > WIDTH - indent {
                let newline = if shown.is_empty() || shown.ends_with('\n') { "" } else { "\n" };
                shown.push_str(newline);
                shown.push_str(&" ".repeat(indent));
                length = 0;
            } else {
                shown.push(' ');
                length += 1;
            }
            shown.push_str(word);
            length += letters;
        }
        shown.push('\n');
    }
    shown
}

/// The parameters of an escape sequence for a verdict.
fn colour_of(word: &str) -> &'static str {
    match word {
        "PASS" => "1;32",
        "FAIL" | "BUG" | "INVALID" => "1;31",
        "SKIPPED" => "2",
        "ENVIRONMENT" => "1;35",
        "INCONCLUSIVE" | "LEFTOVERS" | "INTERRUPTED" => "1;33",
        _ => "",
    }
}

fn paint(text: &str, colour: &str, palette: Palette) -> String {
    match palette {
        Palette::Coloured if !colour.is_empty() => format!("\u{1b}[{colour}m{text}\u{1b}[0m"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing;

    #[test]
    fn a_pass_is_a_table_and_one_line() {
        insta::assert_snapshot!(table(&testing::pass(), Palette::Plain));
    }

    #[test]
    fn a_failure_names_the_place_the_code_and_what_was_seen() {
        insta::assert_snapshot!(table(&testing::fail(), Palette::Plain));
    }

    #[test]
    fn an_inconclusive_run_says_what_was_missing() {
        insta::assert_snapshot!(table(&testing::inconclusive(), Palette::Plain));
    }

    #[test]
    fn a_stack_failure_shows_the_components_own_last_lines() {
        insta::assert_snapshot!(table(&testing::stack_failure(), Palette::Plain));
    }

    #[test]
    fn an_incomplete_log_says_so() {
        insta::assert_snapshot!(table(&testing::incomplete(), Palette::Plain));
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let pattern = regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
        for log in [testing::pass(), testing::fail(), testing::stack_failure()] {
            let coloured = table(&log, Palette::Coloured);
            let plain = table(&log, Palette::Plain);
            assert!(coloured.contains("\u{1b}[1;3") && !plain.contains('\u{1b}'));
            assert_eq!(pattern.replace_all(&coloured, ""), plain);
        }
    }

    #[test]
    fn our_own_lines_fit_80_columns() {
        for log in [testing::pass(), testing::fail(), testing::inconclusive(), testing::incomplete()] {
            for line in table(&log, Palette::Plain).lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }
}
