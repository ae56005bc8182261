//! An expectation as the page shows it.

use crate::outcome::{Fact, Outcome, Reason, Stage};
use crate::report::length::{Ruler, time};
use crate::report::svg;
use crate::report::view::{self, Scenario};

/// A reason code and what it means.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) code: &'static str,
    pub(super) meaning: &'static str,
}

impl From<Reason> for Shown {
    fn from(reason: Reason) -> Self {
        Self { code: reason.code(), meaning: reason.meaning() }
    }
}

pub(super) struct Expectation {
    pub(super) class: String,
    pub(super) icon: &'static str,
    pub(super) word: &'static str,
    pub(super) is_open: bool,
    pub(super) reason: Option<Shown>,
    pub(super) title: String,
    pub(super) seen: String,
    pub(super) stages: Vec<StageRow>,
    pub(super) origin: String,
    pub(super) facts: Vec<Fact>,
    pub(super) during: String,
    pub(super) place: String,
    pub(super) source: String,
}

pub(super) struct StageRow {
    pub(super) name: String,
    pub(super) observed: String,
    pub(super) hint: String,
    pub(super) floor: String,
    pub(super) ceiling: String,
    pub(super) picture: String,
}

/// The expectations, the most urgent first.
pub(super) fn all(scenario: &Scenario) -> Vec<Expectation> {
    let mut sorted: Vec<&view::Expectation> = scenario.expectations.iter().collect();
    sorted.sort_by_key(|expectation| expectation.urgency());
    sorted.into_iter().map(|expectation| one(expectation, scenario)).collect()
}

fn one(expectation: &view::Expectation, scenario: &Scenario) -> Expectation {
    let plan = &expectation.plan;
    let word = expectation.word();
    let (ruler, origin) = origin(scenario, &plan.during);
    let evidence = expectation.outcome.as_ref().map(Outcome::evidence);
    Expectation {
        class: word.replace(' ', "-"),
        icon: icon(word),
        word,
        is_open: expectation.urgency() < 2,
        reason: expectation.outcome.as_ref().and_then(Outcome::reason).map(Shown::from),
        title: plan.title.clone(),
        seen: evidence.map_or("The log stops before this was judged.".to_owned(), |it| it.summary.clone()),
        stages: evidence.map(|it| rows(&it.stages, ruler)).unwrap_or_default(),
        origin,
        facts: evidence.map(|it| it.facts.clone()).unwrap_or_default(),
        during: plan.during.clone(),
        place: format!("{}:{}", plan.location.file, plan.location.line),
        source: plan.source.trim_end().to_owned(),
    }
}

/// Zero for an expectation is the fault it is about, if it is about one.
fn origin(scenario: &Scenario, during: &str) -> (Ruler, String) {
    let fault = scenario.faults.iter().find(|fault| fault.plan.id == during);
    match fault.and_then(|fault| Some((fault.injecting?, &fault.plan.id))) {
        Some((origin, id)) => (Ruler { origin, scale: scenario.scale() }, format!("the moment {id} was injected")),
        None => (scenario.ruler(), scenario.origin().to_owned()),
    }
}

fn rows(stages: &[Stage], ruler: Ruler) -> Vec<StageRow> {
    let pictures = svg::stages(stages, ruler);
    let row = |(stage, picture): (&Stage, String)| StageRow {
        name: stage.name.clone(),
        observed: stage.observed.map_or("never seen".to_owned(), |at| ruler.production(at)),
        hint: stage.observed.map_or_else(String::new, |at| format!("{} real, {} UTC", ruler.real(at), time(at))),
        floor: stage.floor.map_or("–".to_owned(), |at| ruler.production(at)),
        ceiling: stage.ceiling.map_or("–".to_owned(), |at| ruler.production(at)),
        picture,
    };
    stages.iter().zip(pictures).map(row).collect()
}

fn icon(word: &str) -> &'static str {
    match word {
        "passed" => "✓",
        "failed" => "✗",
        "skipped" => "–",
        _ => "?",
    }
}
