//! The page's model: strings in reading order. No decisions here but how to say things.

use askama::Template;

use super::section::Section;
use super::{STYLE, policy};
use crate::event::Verdict;
use crate::outcome::FactValue;
use crate::report::length;
use crate::report::view::{self, Ending, Run, View};

#[derive(Template)]
#[template(path = "report.html")]
pub(super) struct Page {
    policy: String,
    style: &'static str,
    run: String,
    word: &'static str,
    icon: &'static str,
    line: String,
    meaning: &'static str,
    exit_code: u8,
    incomplete: Option<String>,
    facts: Vec<(String, String)>,
    leftovers: Vec<(String, String)>,
    warnings: Vec<String>,
    scenarios: Vec<Section>,
    colophon: String,
}

impl Page {
    pub(super) fn new(view: &View) -> Self {
        Self {
            policy: policy(),
            style: STYLE,
            run: view.run.id.clone(),
            word: view::word(view.verdict),
            icon: icon(view.verdict),
            line: line(view),
            meaning: view::meaning(view.verdict),
            exit_code: view.exit_code,
            incomplete: incomplete(view),
            facts: facts(view),
            leftovers: view.leftovers.clone(),
            warnings: view.warnings.clone(),
            scenarios: view.scenarios.iter().map(Section::new).collect(),
            colophon: colophon(view),
        }
    }
}

pub(super) const fn icon(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✓",
        Verdict::Fail | Verdict::Invalid | Verdict::Bug => "✗",
        Verdict::Skipped => "–",
        Verdict::Inconclusive | Verdict::Environment | Verdict::Leftovers | Verdict::Interrupted => "?",
    }
}

fn line(view: &View) -> String {
    let passed = view.scenarios.iter().filter(|it| it.judgement.verdict == Verdict::Pass).count();
    let tally = view.tally();
    format!(
        "{passed} of {} scenarios passed, {} of {} expectations held.",
        view.scenarios.len(),
        tally.passed,
        tally.total()
    )
}

fn incomplete(view: &View) -> Option<String> {
    let signal = view.signal.as_ref().map(|signal| format!("{signal} ended the run early"));
    match (view.ending, signal) {
        (Ending::Complete, None) => None,
        (Ending::Complete, Some(signal)) => Some(format!("{signal}; faults were undone and the stack was removed.")),
        (Ending::Incomplete, signal) => {
            let why = signal.unwrap_or("the harness ended without a word, or is still running".to_owned());
            Some(format!("The event log stops half-way ({why}). What was recorded until then is shown; it is no pass."))
        }
    }
}

fn facts(view: &View) -> Vec<(String, String)> {
    let run = &view.run;
    let scale = if (run.time_scale - 1.0).abs() < 1e-9 {
        "1 (real time)".to_owned()
    } else {
        format!("{}: one real second is {}", run.time_scale, length::show(duration(run.time_scale)))
    };
    let own = [
        ("began", format!("{} UTC", length::date(run.began))),
        ("took", length::show(view.took())),
        ("time scale", scale),
        ("harness", run.harness.clone()),
        ("stack", provider(run)),
    ];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
    own.chain(run.machine.iter().map(|(name, value)| (name.clone(), value.clone()))).collect()
}

fn provider(run: &Run) -> String {
    let Run { provider, provider_because: because, .. } = run;
    if because.is_empty() { provider.clone() } else { format!("{provider}: {because}") }
}

fn duration(seconds: f64) -> std::time::Duration {
    std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn colophon(view: &View) -> String {
    format!(
        "Rendered by harness {} from events.jsonl of run {}. Scenario time is production time; latencies and request rates are real. \
         To render it again: harness report {}",
        env!("CARGO_PKG_VERSION"),
        view.run.id,
        view.run.id
    )
}
