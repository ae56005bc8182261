//! Which rules are replayed, in which time, at which evaluations. Pure; fed by `replay` with a recording and rule files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::fit::leave_out;
use super::grid::{Grid, Writer, grids};
use super::server::ServerError;
use super::state::Timing;
use crate::plan::scale::config::context_of;
use crate::plan::scale::duration::Rounding;
use crate::plan::scale::promql::{self, Context, Degree, Sensitive};
use crate::plan::scale::source::{ConfigError, rules_from_text};
use crate::plan::scale::{Rule, RuleGroup, RuleKind, Scale, flag};
use crate::telemetry::prometheus::RawSeries;
use crate::telemetry::recording::{Evaluated, Header, Recording, RuleFile};
use crate::telemetry::{Error, Labels};

/// Rules as they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleText {
    /// The name by which the recording knows the file; of a file that is none of the run's, its path.
    pub file: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// Why nothing can be replayed.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A rule file does not hold water.
    #[error(transparent)]
    Rules(#[from] ConfigError),
    /// An expression cannot be scaled.
    #[error("scale {0}")]
    Scale(String),
    /// The recording's time scale is none.
    #[error("use the recording: {0}")]
    Recording(String),
    /// The throw-away server.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// It did not answer as it must.
    #[error("ask the throw-away Prometheus: {0}")]
    Asked(#[from] Error),
}

/// The time in which a rule is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Time {
    /// Production time: the rule as written, sample times stretched by the scale.
    Production,
    /// The time of the run: the rule with its durations divided, samples as they were.
    Run,
}

/// What a rule makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Alerts.
    Alert,
    /// A series.
    Record,
}

/// A rule to be replayed.
#[derive(Clone, Debug)]
pub struct ReplayRule {
    /// Its group, as an index into [`Plan::groups`].
    pub group: usize,
    /// What it makes.
    pub kind: Kind,
    /// The name of the alert or the series.
    pub name: String,
    /// The labels it adds, where they are no templates.
    pub labels: Labels,
    /// The names of those that are, whose values are not compared.
    pub templates: BTreeSet<String>,
    /// The expression as written.
    pub written: String,
    /// The expression for the time of the run.
    pub scaled: String,
    /// `for` and `keep_firing_for` as written.
    pub timing: Timing,
    /// The same for the time of the run.
    pub scaled_timing: Timing,
    /// The time in which it is replayed, if it is an alert.
    pub time: Time,
    /// Why not in production time.
    pub sensitive: Option<String>,
    /// The metrics it reads; an empty name stands for a selector without one.
    pub reads: BTreeSet<String>,
}

/// A rule that cannot be replayed exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// Its name.
    pub name: String,
    /// Its group.
    pub group: String,
    /// Why, in words that follow "because".
    pub why: String,
}

/// A group of rules with its evaluations.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its rule file.
    pub file: String,
    /// When it was evaluated, in the time of the run.
    pub grid: Grid,
}

/// Everything that is to be evaluated.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Production seconds per second of the run.
    pub scale: Scale,
    /// The groups.
    pub groups: Vec<Group>,
    /// The rules in the order of the files.
    pub rules: Vec<ReplayRule>,
    /// Rules that are left out.
    pub unfit: Vec<Unfit>,
}

impl Plan {
    /// The times that some alert is replayed in.
    #[must_use]
    pub fn times(&self) -> BTreeSet<Time> {
        self.rules.iter().filter(|rule| rule.kind == Kind::Alert).map(|rule| rule.time).collect()
    }

    /// How far an instant query looks back in a time.
    #[must_use]
    pub fn lookback(&self, time: Time) -> Duration {
        match time {
            Time::Production => flag::LOOKBACK,
            Time::Run => flag::lookback(self.scale),
        }
    }

    /// The names of all recorded series.
    #[must_use]
    pub fn recorded(&self) -> BTreeSet<&str> {
        self.rules.iter().filter(|rule| rule.kind == Kind::Record).map(|rule| rule.name.as_str()).collect()
    }

    /// The rules that are evaluated in a time: its alerts, and the recording rules that they read, in an order in which
    /// every rule comes after those it reads.
    #[must_use]
    pub fn in_time(&self, time: Time) -> Vec<usize> {
        let alerts = |index: &usize| self.rules[*index].kind == Kind::Alert && self.rules[*index].time == time;
        let alerts: Vec<usize> = (0..self.rules.len()).filter(alerts).collect();
        let mut order = Vec::new();
        for alert in alerts {
            self.before(alert, &mut order);
            order.push(alert);
        }
        order
    }

    /// The groups that an alert comes from: its own, and those that record what it reads.
    #[must_use]
    pub fn upstream(&self, group: usize, alert: &str) -> BTreeSet<usize> {
        let mut order = Vec::new();
        let alerts = self.rules.iter().enumerate().filter(|(_, rule)| rule.group == group && rule.name == alert);
        alerts.for_each(|(index, _)| self.before(index, &mut order));
        order.into_iter().map(|index| self.rules[index].group).chain([group]).collect()
    }

    fn before(&self, index: usize, order: &mut Vec<usize>) {
        for (other, rule) in self.rules.iter().enumerate() {
            let reads = rule.kind == Kind::Record && self.rules[index].reads.contains(&rule.name);
            if reads && other != index && !order.contains(&other) {
                self.before(other, order);
                order.push(other);
            }
        }
    }
}

/// The rules of a run as its author wrote them.
#[must_use]
pub fn own(header: &Header) -> Vec<RuleText> {
    let text = |file: &RuleFile| RuleText {
        file: file.file.clone(),
        path: PathBuf::from(&file.path),
        text: file.written.clone(),
    };
    header.rules.iter().map(text).collect()
}

/// Plans the replay.
///
/// # Errors
/// When a rule file is none or an expression cannot be scaled.
pub fn plan(recording: &Recording, texts: &[RuleText]) -> Result<Plan, Problem> {
    let scale = Scale::new(recording.header.scale).map_err(|error| Problem::Recording(error.to_string()))?;
    let mut written = Vec::new();
    for text in texts {
        let groups = rules_from_text(&text.path, &text.text)?;
        written.extend(groups.into_iter().map(|group| (text.file.clone(), group)));
    }
    let grids = known_grids(recording)?;
    let groups: Vec<RuleGroup> = written.iter().map(|(_, group)| group.clone()).collect();
    let (context, degrees) = (context_of(&groups), degrees(&groups));
    let mut plan = Plan { scale, groups: Vec::new(), rules: Vec::new(), unfit: Vec::new() };
    for (file, group) in &written {
        let Some(grid) = grid_of(&recording.header, &grids, file, group) else {
            plan.unfit.extend(group.rules.iter().map(|rule| Unfit {
                name: rule.name().to_owned(),
                group: group.name.clone(),
                why: "the run evaluated no group with its interval".to_owned(),
            }));
            continue;
        };
        let index = plan.groups.len();
        plan.groups.push(Group { name: group.name.clone(), file: file.clone(), grid });
        for rule in &group.rules {
            plan.rules.push(replay_rule(rule, index, scale, &context, &degrees)?);
        }
    }
    leave_out(&mut plan);
    Ok(plan)
}

fn replay_rule(
    rule: &Rule,
    group: usize,
    scale: Scale,
    context: &Context,
    degrees: &BTreeMap<String, Result<Degree, Sensitive>>,
) -> Result<ReplayRule, Problem> {
    let scaled = promql::scale(&rule.expr, scale, context)
        .map_err(|error| Problem::Scale(format!("{}: {error}", rule.expr_location)))?;
    let degree = if scale.is_identity() { Ok(Degree::Any) } else { promql::degree(&rule.ast, degrees) };
    let milliseconds = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let shortened = |duration| milliseconds(scale.shorten(duration, Rounding::Up).duration);
    let (templates, labels): (Labels, Labels) =
        rule.labels.clone().into_iter().partition(|(_, value)| value.contains("{{"));
    let named = |selector: &promql_parser::parser::VectorSelector| selector.name.clone().unwrap_or_default();
    Ok(ReplayRule {
        group,
        kind: if rule.is_alert() { Kind::Alert } else { Kind::Record },
        name: rule.name().to_owned(),
        labels,
        templates: templates.into_keys().collect(),
        written: rule.expr.clone(),
        scaled: scaled.text,
        timing: Timing { hold: milliseconds(rule.hold), keep: milliseconds(rule.keep_firing) },
        scaled_timing: Timing { hold: shortened(rule.hold), keep: shortened(rule.keep_firing) },
        time: if degree.is_ok() { Time::Production } else { Time::Run },
        sensitive: degree.err().map(|why| why.to_string()),
        reads: promql::selectors(&rule.ast).into_iter().map(|(selector, _)| named(selector)).collect(),
    })
}

/// The degree of every recorded series; one that several rules record has to have the same in all of them.
fn degrees(groups: &[RuleGroup]) -> BTreeMap<String, Result<Degree, Sensitive>> {
    let records: Vec<&Rule> = groups.iter().flat_map(|group| &group.rules).filter(|rule| !rule.is_alert()).collect();
    let mut known = BTreeMap::new();
    // each pass settles at least the rules that read only settled ones
    for _ in 0..=records.len() {
        let mut next: BTreeMap<String, Result<Degree, Sensitive>> = BTreeMap::new();
        for rule in &records {
            let found = promql::degree(&rule.ast, &known);
            let agreed = match next.remove(rule.name()) {
                Some(Ok(before)) if found != Ok(before) => {
                    Err(Sensitive(format!("reads `{}`, which is recorded in two units", rule.name())))
                }
                Some(Err(before)) => Err(before),
                _ => found,
            };
            next.insert(rule.name().to_owned(), agreed);
        }
        if next == known {
            break;
        }
        known = next;
    }
    known
}

/// The grids of the groups of the run, as in its header.
fn known_grids(recording: &Recording) -> Result<Vec<Grid>, Problem> {
    let mut makes: BTreeMap<(String, String), BTreeSet<RuleKind>> = BTreeMap::new();
    for file in &recording.header.rules {
        for group in rules_from_text(&PathBuf::from(&file.path), &file.written)? {
            let kinds = group.rules.into_iter().map(|rule| rule.kind);
            makes.entry((file.file.clone(), group.name)).or_default().extend(kinds);
        }
    }
    let empty = BTreeSet::new();
    let kinds = |group: &Evaluated| {
        let named = makes.iter().filter(|((_, name), _)| *name == group.group);
        let nearest = named.map(|((file, _), kinds)| (shared_end(file, &group.file), kinds));
        nearest.filter(|(shared, _)| *shared > 0).max_by_key(|(shared, _)| *shared).map_or(&empty, |(_, kinds)| kinds)
    };
    let sole = |kind: &RuleKind| makes.values().filter(|kinds| kinds.contains(kind)).count() == 1;
    let writers: Vec<Writer<'_>> = recording
        .header
        .groups
        .iter()
        .map(|group| {
            let made = recording.series.iter().filter_map(|series| Some((series, made_by(series, kinds(group))?)));
            let (own, shared): (Vec<_>, Vec<_>) = made.partition(|(_, kind)| sole(kind));
            let (own, shared) = (own.into_iter().map(|it| it.0), shared.into_iter().map(|it| it.0));
            Writer { group, own: own.collect(), shared: shared.collect(), missed: missed(recording, group) }
        })
        .collect();
    Ok(grids(&recording.header, &writers))
}

/// How many of their last parts two paths have in common: in a container a rule file has another folder than the file that was
/// rendered for it.
fn shared_end(one: &str, other: &str) -> usize {
    one.rsplit('/').zip(other.rsplit('/')).take_while(|(one, other)| one == other).count()
}

/// Prometheus's own count of a group's missed evaluations.
fn missed<'a>(recording: &'a Recording, group: &Evaluated) -> Option<&'a RawSeries> {
    let own = format!("{};{}", group.file, group.group);
    recording.series.iter().find(|series| {
        let is = |name: &str| series.labels.get("__name__").is_some_and(|it| it == name);
        let of = |group: &String| {
            group.strip_suffix(own.as_str()).is_some_and(|root| root.is_empty() || root.ends_with('/'))
        };
        is("prometheus_rule_group_iterations_missed_total") && series.labels.get("rule_group").is_some_and(of)
    })
}

/// Which of these rules a series is of.
fn made_by(series: &RawSeries, kinds: &BTreeSet<RuleKind>) -> Option<RuleKind> {
    let kind = match series.labels.get("__name__")?.as_str() {
        "ALERTS" => RuleKind::Alert(series.labels.get("alertname")?.clone()),
        name => RuleKind::Record(name.to_owned()),
    };
    kinds.contains(&kind).then_some(kind)
}

/// The grid of a group: its own; of a group that has moved to another file that of its name; of a new one that of any group
/// with the same interval.
fn grid_of(header: &Header, grids: &[Grid], file: &str, group: &RuleGroup) -> Option<Grid> {
    let known = || header.groups.iter().zip(grids);
    let interval = |grid: &Grid| {
        group.interval.is_none_or(|written| {
            let production = Duration::from_millis(u64::try_from(grid.interval).unwrap_or(0)).mul_f64(header.scale);
            production.abs_diff(written) < Duration::from_millis(5)
        })
    };
    let own = known().find(|(it, _)| it.group == group.name && it.file == file);
    let named = || known().find(|(it, _)| it.group == group.name);
    let any = || known().find(|(_, grid)| interval(grid));
    own.or_else(named).filter(|(_, grid)| interval(grid)).or_else(any).map(|(_, grid)| grid.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::prometheus::RawSample;
    use crate::telemetry::recording::{Extent, FORMAT, RuleFile};

    fn recording(scale: f64) -> Recording {
        let group = |group: &str| Evaluated {
            file: "r.yml".into(),
            group: group.into(),
            interval: 250,
            first: 1_000_000_000,
            last: 1_010_000_000,
            phase: 0,
            late: vec![],
            holes: vec![],
        };
        let header = Header {
            format: FORMAT,
            scenario: "s".into(),
            scale,
            from: 999_000,
            until: 1_011_000,
            extent: Extent::Whole,
            started: None,
            restarts: vec![],
            groups: vec![group("a"), group("b")],
            rules: vec![],
        };
        Recording { header, series: vec![] }
    }

    fn planned(scale: f64, text: &str) -> Plan {
        let text = RuleText { file: "r.yml".into(), path: "r.yml".into(), text: text.into() };
        plan(&recording(scale), &[text]).unwrap()
    }

    const CHAIN: &str = "groups:
- name: a
  rules:
  - {alert: Late, expr: 'job:ratio > 0.1', for: 2m}
  - {record: 'job:ratio', expr: 'job:errors:rate / job:all:rate'}
  - {alert: Fine, expr: 'job:ratio > 0.1', for: 2m, labels: {severity: page, who: '{{ $labels.job }}'}}
- name: b
  rules:
  - {record: 'job:errors:rate', expr: 'rate(errors[5m])'}
  - {record: 'job:all:rate', expr: 'rate(all[5m])'}
  - {alert: Absolute, expr: 'job:all:rate < 1', for: 1m}
";

    #[test]
    fn ratios_stay_in_production_time_and_absolute_rates_get_the_scaled_rule() {
        let plan = planned(60.0, CHAIN);
        let rule = |name: &str| plan.rules.iter().find(|rule| rule.name == name).unwrap();
        assert_eq!((rule("Fine").time, rule("Fine").timing.hold), (Time::Production, 120_000));
        assert_eq!((rule("Absolute").time, rule("Absolute").scaled_timing.hold), (Time::Run, 1_000));
        assert!(rule("Absolute").sensitive.as_ref().unwrap().contains("per second"));
        assert_eq!(rule("job:all:rate").scaled, "rate(all[5s])");
        assert_eq!(rule("Fine").templates, BTreeSet::from(["who".to_owned()]));
        assert!(planned(1.0, CHAIN).rules.iter().all(|rule| rule.time == Time::Production));
    }

    #[test]
    fn recording_rules_come_before_what_reads_them_across_groups() {
        let plan = planned(60.0, CHAIN);
        let names = |time| -> Vec<&str> {
            plan.in_time(time).into_iter().map(|index| plan.rules[index].name.as_str()).collect()
        };
        assert_eq!(names(Time::Production), ["job:errors:rate", "job:all:rate", "job:ratio", "Fine"]);
        assert_eq!(names(Time::Run), ["job:all:rate", "Absolute"]);
    }

    #[test]
    fn what_would_come_out_wrong_is_left_out_and_named() {
        let plan = planned(60.0, CHAIN);
        assert_eq!(plan.unfit.len(), 1);
        assert!(plan.unfit[0].name == "Late" && plan.unfit[0].why.contains("after it in its own group"));
        let circle = planned(
            60.0,
            "groups:
- {name: a, rules: [{record: x, expr: y}]}
- {name: b, rules: [{record: y, expr: x}, {alert: Z, expr: y > 1}]}
",
        );
        assert_eq!(circle.unfit.len(), 3, "{:?}", circle.unfit);
    }

    #[test]
    fn a_group_of_a_container_knows_its_rules_by_the_end_of_their_path() {
        let mut recording = recording(60.0);
        let text = |file: &str, alert: &str| RuleFile {
            file: file.into(),
            path: file.into(),
            written: format!("groups:\n- {{name: a, rules: [{{alert: {alert}, expr: 'vector(1)'}}]}}\n"),
        };
        recording.header.rules = vec![text("prometheus/rules/one.yml", "One"), text("prometheus/rules/two.yml", "Two")];
        recording.header.groups.truncate(1);
        recording.header.groups[0].file = "/config/rules/two.yml".into();
        let alerts = |alert: &str, at| RawSeries {
            labels: [("__name__", "ALERTS"), ("alertname", alert)]
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            samples: vec![RawSample { at, bits: 0 }],
        };
        recording.series = vec![alerts("One", 1_001_033), alerts("Two", 1_001_044)];
        let grids = known_grids(&recording).unwrap();
        assert_eq!(grids[0].first.rem_euclid(250), 44, "the grid of what it wrote itself");
        recording.header.groups[0].file = "/config/rules/other.yml".into();
        assert_eq!(known_grids(&recording).unwrap()[0].first.rem_euclid(250), 0, "by the clock");
    }
}
