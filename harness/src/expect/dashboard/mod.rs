//! Judges `that.dashboard` from what every query of its panels answered with: data, nothing, more or less than before the
//! fault. A wrong data source or an empty variable is an empty panel in the browser; here it has a name (T58).

pub mod board;
pub mod interpolate;
mod motion;

use super::look::{Coverage, ScaledTime};
use super::{Labels, Mode, Window};
use crate::clock::Stamp;
use crate::outcome::{Evidence, Outcome, Reason};
use board::{Board, Source};
use motion::{extremes, moves};

/// `that.dashboard`
#[derive(Clone, Debug, PartialEq)]
pub struct Dashboard {
    /// Its uid.
    pub uid: String,
    /// Panels by title; none means all.
    pub panels: Vec<String>,
    /// What they must show.
    pub shows: Shows,
    /// It as it is provisioned in files, or why it is not.
    pub provisioned: Result<Board, String>,
    /// The data sources that are provisioned in files.
    pub sources: Vec<Source>,
}

/// What panels must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// Every query has a number.
    Data,
    /// No query has one, at any time.
    Nothing,
    /// A series goes higher than it ever did in the baseline.
    Rises,
    /// A series goes lower than it ever did in the baseline.
    Falls,
}

impl Shows {
    /// The word as written.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Nothing => "nothing",
            Self::Rises => "rises",
            Self::Falls => "falls",
        }
    }
}

/// What was observed.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Who was asked, for the report.
    pub way: String,
    /// Why there is no such dashboard, if there is none.
    pub missing: Option<String>,
    /// Why nobody knows whether there is.
    pub unanswered: Option<String>,
    /// The variables and their options.
    pub variables: Vec<Resolved>,
    /// The panels that were asked for.
    pub panels: Vec<SeenPanel>,
    /// Titles that were asked for and are on no panel.
    pub unknown: Vec<String>,
    /// When the service was scraped.
    pub coverage: Coverage,
}

/// A variable with its options.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// Its name.
    pub name: String,
    /// Its query.
    pub query: String,
    /// What it can stand for.
    pub options: Result<Vec<String>, Trouble>,
}

/// A panel and what its queries answered with.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenPanel {
    /// Its title.
    pub title: String,
    /// Its axis's unit.
    pub unit: String,
    /// Its queries.
    pub queries: Vec<Asked>,
}

/// A query of a panel and its answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Its letter.
    pub id: String,
    /// As it was asked.
    pub text: String,
    /// Why its values have another unit than the axis, if they have.
    pub wrong_unit: Option<String>,
    /// In the window.
    pub answer: Result<Shown, Trouble>,
    /// In the baseline; only where it is compared with.
    pub before: Option<Result<Shown, Trouble>>,
}

/// Why a query has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The data source does not exist.
    NoSource(String),
    /// The query was refused.
    Refused(String),
    /// Nobody answered, or not completely: nothing is known.
    Unanswered(String),
}

/// What a query shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// The times it was evaluated at.
    pub times: Vec<Stamp>,
    /// Its series.
    pub series: Vec<(Labels, Vec<(Stamp, f64)>)>,
}

impl Shown {
    fn numbers(&self) -> impl Iterator<Item = f64> {
        self.series.iter().flat_map(|(_, points)| points.iter().map(|(_, value)| *value))
    }

    fn has_number(&self) -> bool {
        self.numbers().any(f64::is_finite)
    }

    /// The first time without a number.
    fn hole(&self, from: Stamp) -> Option<Stamp> {
        let shown = |at: &Stamp| {
            self.series.iter().any(|(_, points)| points.iter().any(|(when, value)| when == at && value.is_finite()))
        };
        self.times.iter().copied().filter(|at| *at >= from).find(|at| !shown(at))
    }
}

enum Verdict {
    Good(String),
    Wrong(Reason, String),
    Open(Reason, String),
}

/// Judges a dashboard expectation.
#[must_use]
pub fn judge(spec: &Dashboard, mode: Mode, window: Window, seen: &Seen, time: ScaledTime) -> Outcome {
    let evidence = describe(spec, seen);
    let end = |verdict| match verdict {
        Verdict::Good(summary) => Outcome::Passed(Evidence { summary, ..evidence.clone() }),
        Verdict::Wrong(reason, summary) => Outcome::Failed(reason, Evidence { summary, ..evidence.clone() }),
        Verdict::Open(reason, summary) => Outcome::Inconclusive(reason, Evidence { summary, ..evidence.clone() }),
    };
    if let Some(verdict) = unusable(spec, seen) {
        return end(verdict);
    }
    let needs_proof = spec.shows == Shows::Nothing || mode != Mode::Eventually;
    let verdicts: Vec<Verdict> = seen.panels.iter().map(|panel| of_panel(spec, mode, window, panel, time)).collect();
    let mut open = None;
    let mut good = Vec::new();
    for verdict in verdicts {
        match verdict {
            Verdict::Wrong(..) => return end(verdict),
            Verdict::Open(..) => open = open.or(Some(verdict)),
            Verdict::Good(text) => good.push(text),
        }
    }
    if let Some(verdict) = open {
        return end(verdict);
    }
    if let Some(gap) = seen.coverage.gap(window.start, window.end).filter(|_| needs_proof) {
        return end(Verdict::Open(Reason::NoCoverage, gap));
    }
    let queries: usize = seen.panels.iter().map(|panel| panel.queries.len()).sum();
    let mut summary = format!("{} panels, {queries} queries of {}: {}", seen.panels.len(), spec.uid, spec.shows.word());
    if let [only] = good.as_slice() {
        summary = format!("{summary}; {only}");
    }
    end(Verdict::Good(summary))
}

/// What makes the whole dashboard useless.
fn unusable(spec: &Dashboard, seen: &Seen) -> Option<Verdict> {
    if let Some(missing) = &seen.missing {
        let summary = format!("there is no dashboard {}: {missing}", spec.uid);
        return Some(Verdict::Wrong(Reason::DashboardMissing, summary));
    }
    if let Some(why) = &seen.unanswered {
        let summary = format!("nobody said whether there is a dashboard {}: {why}", spec.uid);
        return Some(Verdict::Open(Reason::Unreachable, summary));
    }
    for variable in &seen.variables {
        let named = format!("the variable ${} ({})", variable.name, variable.query);
        match &variable.options {
            Ok(options) if options.is_empty() => {
                return Some(Verdict::Wrong(Reason::VariableEmpty, format!("{named} resolves to nothing")));
            }
            Err(Trouble::Unanswered(why)) => {
                return Some(Verdict::Open(Reason::Unreachable, format!("{named} could not be resolved: {why}")));
            }
            Err(Trouble::NoSource(why) | Trouble::Refused(why)) => {
                return Some(Verdict::Wrong(Reason::VariableEmpty, format!("{named} resolves to nothing: {why}")));
            }
            Ok(_) => {}
        }
    }
    if let Some(title) = seen.unknown.first() {
        let summary = format!("the dashboard {} has no panel called `{title}`", spec.uid);
        return Some(Verdict::Wrong(Reason::PanelNoData, summary));
    }
    seen.panels.is_empty().then(|| {
        let summary = format!("the dashboard {} has no panel that asks anything", spec.uid);
        Verdict::Open(Reason::Vacuous, summary)
    })
}

fn of_panel(spec: &Dashboard, mode: Mode, window: Window, panel: &SeenPanel, time: ScaledTime) -> Verdict {
    for query in &panel.queries {
        if let Some(verdict) = trouble(panel, query) {
            return verdict;
        }
    }
    if let Some(wrong) = panel.queries.iter().find_map(|query| query.wrong_unit.as_ref()) {
        return Verdict::Wrong(Reason::PanelUnit, format!("panel `{}`: {wrong}", panel.title));
    }
    let verdict = match spec.shows {
        Shows::Data => shows_data(mode, window, panel, time),
        Shows::Nothing => shows_nothing(panel),
        Shows::Rises | Shows::Falls => moves(spec.shows, panel),
    };
    match (mode, verdict) {
        (Mode::Never, Verdict::Good(text)) => {
            Verdict::Wrong(Reason::WrongValue, format!("panel `{}` must never show this: {text}", panel.title))
        }
        (Mode::Never, Verdict::Wrong(Reason::PanelNoData | Reason::WrongValue, text)) => Verdict::Good(text),
        (_, verdict) => verdict,
    }
}

fn trouble(panel: &SeenPanel, query: &Asked) -> Option<Verdict> {
    let place = format!("panel `{}` query {}", panel.title, query.id);
    let answers = [Some(&query.answer), query.before.as_ref()];
    answers.into_iter().flatten().find_map(|answer| match answer {
        Ok(_) => None,
        Err(Trouble::NoSource(source)) => {
            let text = format!("{place} asks the data source `{source}`, which does not exist: the panel stays empty");
            Some(Verdict::Wrong(Reason::PanelNoData, text))
        }
        Err(Trouble::Refused(why)) => Some(Verdict::Wrong(Reason::Query, format!("{place} was refused: {why}"))),
        Err(Trouble::Unanswered(why)) => {
            Some(Verdict::Open(Reason::Unreachable, format!("{place} was not answered: {why}")))
        }
    })
}

fn shown(query: &Asked) -> Option<&Shown> {
    query.answer.as_ref().ok()
}

fn shows_data(mode: Mode, window: Window, panel: &SeenPanel, time: ScaledTime) -> Verdict {
    for query in &panel.queries {
        let Some(answer) = shown(query) else { continue };
        let place = format!("panel `{}` query {}", panel.title, query.id);
        if !answer.has_number() {
            let what = if answer.numbers().next().is_some() { "only NaN or Inf" } else { "nothing" };
            let text = format!("{place} answers with {what}: {}", query.text);
            return Verdict::Wrong(Reason::PanelNoData, text);
        }
        if let Some(at) = answer.hole(window.start).filter(|_| mode == Mode::Throughout) {
            let text = format!("{place} has no number {} into the window", time.from(window.start, at));
            return Verdict::Wrong(Reason::PanelNoData, text);
        }
    }
    Verdict::Good("every query has a number".to_owned())
}

fn shows_nothing(panel: &SeenPanel) -> Verdict {
    for query in &panel.queries {
        let Some(answer) = shown(query) else { continue };
        if let Some(value) = answer.numbers().find(|value| value.is_finite()) {
            let text = format!("panel `{}` query {} shows {value}, and must show nothing", panel.title, query.id);
            return Verdict::Wrong(Reason::WrongValue, text);
        }
        if answer.numbers().next().is_some() {
            let text = format!("panel `{}` query {} has only NaN or Inf, which is neither", panel.title, query.id);
            return Verdict::Open(Reason::NotANumber, text);
        }
    }
    Verdict::Good("no query has a number".to_owned())
}

fn describe(spec: &Dashboard, seen: &Seen) -> Evidence {
    let mut evidence = Evidence::default()
        .with("asked", seen.way.clone())
        .with("expected", format!("{} shows {}", spec.uid, spec.shows.word()));
    if !seen.variables.is_empty() {
        let rows = seen.variables.iter().map(|variable| {
            let options = match &variable.options {
                Ok(options) => options.join(" "),
                Err(Trouble::NoSource(why) | Trouble::Refused(why) | Trouble::Unanswered(why)) => why.clone(),
            };
            vec![format!("${}", variable.name), variable.query.clone(), options]
        });
        evidence = evidence.with_table("variables", &["variable", "query", "options"], rows.collect());
    }
    let rows = seen.panels.iter().flat_map(|panel| {
        panel.queries.iter().map(|query| {
            let answer = |answer: &Result<Shown, Trouble>| match answer {
                Ok(shown) => summary(shown),
                Err(Trouble::NoSource(source)) => format!("no data source `{source}`"),
                Err(Trouble::Refused(why) | Trouble::Unanswered(why)) => why.clone(),
            };
            let before = query.before.as_ref().map_or_else(|| "–".to_owned(), answer);
            let panel = format!("{} {} [{}]", panel.title, query.id, panel.unit);
            vec![panel, query.text.clone(), answer(&query.answer), before]
        })
    });
    evidence.with_table("panels", &["panel", "asked as", "in the window", "in the baseline"], rows.collect())
}

fn summary(shown: &Shown) -> String {
    let extremes = extremes(shown);
    let low = extremes.values().map(|(low, _)| *low).fold(f64::INFINITY, f64::min);
    let high = extremes.values().map(|(_, high)| *high).fold(f64::NEG_INFINITY, f64::max);
    if extremes.is_empty() {
        "no number".to_owned()
    } else {
        format!("{} series, {low:.4} to {high:.4}", extremes.len())
    }
}

#[cfg(test)]
mod tests;
