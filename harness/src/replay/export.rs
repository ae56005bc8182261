//! Writes a replayed run as a test for `promtool test rules`: a drill becomes a regression test that needs no server. Pure but
//! for the files it writes; fed by `cli`.
//!
//! One test for each rule group, because promtool evaluates all groups at the same instants and a run does not: time 0 is
//! the group's first evaluation. Samples keep their order against the evaluations; they lie on a grid of one second of
//! production time, with `_` in between and `stale` where a series ended. What is asserted is the set of firing alerts one
//! evaluation before and at every change. `alert_rule_test` compares rendered annotations too, values in them included, so
//! that it is used where no alert fires; where some do, their labels are compared through `ALERTS`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::Done;
use super::compare::AlertResult;
use super::lane::Stretch;
use super::rules::{Kind, Plan, RuleText, Time};
use crate::telemetry::Labels;
use crate::telemetry::prometheus::{RawSample, RawSeries};
use crate::telemetry::recording::Recording;

/// One slot of the grid that samples lie on, in milliseconds of production time.
const SLOT: i64 = 1_000;

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// The test.
    pub path: PathBuf,
    /// How many assertions it makes.
    pub assertions: usize,
    /// How many series it brings.
    pub series: usize,
    /// Alerts it says nothing about, and why.
    pub left_out: BTreeMap<String, String>,
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} assertions on {} series", self.path.display(), self.assertions, self.series)?;
        self.left_out.iter().try_for_each(|(alert, why)| write!(f, "\n  without {alert}: {why}"))
    }
}

/// Writes the test, and copies of the rules beside it where the files have changed since the run.
///
/// # Errors
/// When a file cannot be written.
pub fn test(recording: &Recording, done: &Done, rules: &[RuleText], path: &Path) -> io::Result<Exported> {
    let files = rules.iter().map(|rule| rule_file(rule, path)).collect::<io::Result<Vec<String>>>()?;
    let (text, exported) = document(recording, done, &files);
    std::fs::write(path, text)?;
    Ok(Exported { path: path.to_path_buf(), ..exported })
}

/// How the test names a rule file: the author's own, relative to the test, while it says what the run said.
fn rule_file(rule: &RuleText, test: &Path) -> io::Result<String> {
    let folder = std::path::absolute(test)?.parent().map(Path::to_path_buf).unwrap_or_default();
    if std::fs::read_to_string(&rule.path).is_ok_and(|text| text == rule.text) {
        return Ok(relative(&std::path::absolute(&rule.path)?, &folder).display().to_string());
    }
    let stem = test.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let beside = PathBuf::from(format!("{stem}-rules")).join(rule.path.file_name().unwrap_or_default());
    let copy = folder.join(&beside);
    std::fs::create_dir_all(copy.parent().unwrap_or(&folder))?;
    std::fs::write(copy, &rule.text)?;
    Ok(beside.display().to_string())
}

fn relative(path: &Path, folder: &Path) -> PathBuf {
    let (path, folder): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (path.components().collect(), folder.components().collect());
    let common = path.iter().zip(&folder).take_while(|(left, right)| left == right).count();
    let up = folder[common..].iter().map(|_| Component::ParentDir);
    up.chain(path[common..].iter().copied()).collect()
}

fn document(recording: &Recording, done: &Done, files: &[String]) -> (String, Exported) {
    let header = &recording.header;
    let interval = done.plan.groups.first().map_or(0, |group| length(recording, &done.plan, group.grid.interval));
    let mut out = format!(
        "# The run of `{}` as a test of its rules, in production time: promtool test rules <this file>.\n\
         # Written by `harness replay --export-test`.\n",
        header.scenario
    );
    let mut exported = Exported::default();
    for (name, why) in &done.replayed.scaled {
        exported.left_out.insert(name.clone(), format!("it {why}, so that production time changes its meaning"));
    }
    for unfit in &done.replayed.unfit {
        exported.left_out.insert(unfit.name.clone(), unfit.why.clone());
    }
    for (name, why) in &exported.left_out {
        let _ = writeln!(out, "# Nothing is said about {name}: {why}.");
    }
    if done.plan.groups.iter().any(|group| group.grid.lives.len() > 1) {
        out.push_str("# Prometheus restarted in the run; the test ends before.\n");
    }
    out.push_str("rule_files:\n");
    for file in files {
        let _ = writeln!(out, "  - {}", quoted(file));
    }
    let _ = writeln!(out, "evaluation_interval: {interval}ms");
    let order: Vec<&str> = done.plan.groups.iter().map(|group| group.name.as_str()).collect();
    if order.iter().collect::<BTreeSet<_>>().len() == order.len() {
        let names: Vec<String> = evaluation_order(&done.plan).into_iter().map(quoted).collect();
        let _ = writeln!(out, "group_eval_order: [{}]", names.join(", "));
    }
    out.push_str("tests:\n");
    for group in 0..done.plan.groups.len() {
        if length(recording, &done.plan, done.plan.groups[group].grid.interval) == interval {
            group_test(&mut out, recording, done, group, &mut exported);
        }
    }
    (out, exported)
}

fn length(recording: &Recording, plan: &Plan, interval: i64) -> i64 {
    let stretch = Stretch::of(plan, Time::Production, recording);
    stretch.at(stretch.until) - stretch.at(stretch.until - interval)
}

/// Groups that record before groups that read it.
fn evaluation_order(plan: &Plan) -> Vec<&str> {
    let mut order: Vec<usize> = Vec::new();
    for rule in plan.in_time(Time::Production).into_iter().chain(0..plan.rules.len()) {
        let group = plan.rules[rule].group;
        if !order.contains(&group) {
            order.push(group);
        }
    }
    order.extend((0..plan.groups.len()).filter(|group| !order.contains(group)).collect::<Vec<_>>());
    order.into_iter().map(|group| plan.groups[group].name.as_str()).collect()
}

/// The names of the metrics that a group's alerts need, through recorded series; whether these are of another group.
fn needs(plan: &Plan, group: usize) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let own =
        |rule: &&super::ReplayRule| rule.group == group && rule.kind == Kind::Alert && rule.time == Time::Production;
    let (mut names, mut elsewhere) = (BTreeSet::new(), BTreeSet::new());
    let mut open: Vec<&str> = plan.rules.iter().filter(own).flat_map(|it| &it.reads).map(String::as_str).collect();
    while let Some(name) = open.pop() {
        if names.insert(name) {
            let makers = plan.rules.iter().filter(|rule| rule.kind == Kind::Record && rule.name == name);
            for maker in makers {
                open.extend(maker.reads.iter().map(String::as_str));
                if maker.group != group {
                    elsewhere.insert(name);
                }
            }
        }
    }
    (names, elsewhere)
}

fn group_test(out: &mut String, recording: &Recording, done: &Done, group: usize, exported: &mut Exported) {
    let (plan, grid) = (&done.plan, &done.plan.groups[group].grid);
    let (needed, elsewhere) = needs(plan, group);
    let recorded = plan.recorded();
    let wanted = |series: &&RawSeries| {
        let name = series.labels.get("__name__").map_or("", String::as_str);
        needed.contains(name) && !recorded.contains(name) && !name.starts_with("ALERTS")
    };
    let stretch = Stretch::of(plan, Time::Production, recording);
    let zero = stretch.at(grid.first);
    // promtool knows no restart: the test ends with the first life of Prometheus
    let last = grid.life(0).end.saturating_sub(1);
    let end = stretch.at(grid.at(last)) - zero;
    let mut tests = Assertions { out: String::new(), count: 0, step: length(recording, plan, grid.interval) };
    // a sample that an evaluation did not see has another time in the test, which may tell when a window has it no more
    let feeders = plan.rules.iter().filter(|rule| rule.kind == Kind::Record && needed.contains(rule.name.as_str()));
    let mut groups = feeders.map(|rule| rule.group).chain([group]);
    let blind = groups.any(|group| !done.arrivals.blind(&plan.groups[group].grid).is_empty());
    tests.of_group(done, group, last, usize::from(!elsewhere.is_empty()) + usize::from(blind), exported);
    if tests.count == 0 {
        return;
    }
    let _ = writeln!(out, "  - name: {}\n    interval: 1s\n    input_series:", quoted(&plan.groups[group].name));
    let mut brought = 0;
    for series in recording.series.iter().filter(wanted) {
        let samples = done.arrivals.behind(series, grid);
        if let Some(values) = values(&samples, |at| stretch.at(at) - zero, end) {
            let _ = writeln!(
                out,
                "      - series: {}\n        values: {}",
                quoted(&selector(&series.labels)),
                quoted(&values)
            );
            brought += 1;
        }
    }
    if brought == 0 {
        // promtool ends a test with its last sample
        let _ = writeln!(out, "      - series: 'run:evaluations'\n        values: '0x{}'", end / SLOT);
    } else {
        let _ = writeln!(out, "      - series: 'run:length'\n        values: '0x{}'", end / SLOT);
    }
    out.push_str(&tests.out);
    exported.assertions += tests.count;
    exported.series += brought;
}

struct Assertions {
    out: String,
    count: usize,
    step: i64,
}

impl Assertions {
    fn of_group(&mut self, done: &Done, group: usize, last: usize, room: usize, exported: &mut Exported) {
        let plan = &done.plan;
        let rules = || plan.rules.iter().filter(|rule| rule.kind == Kind::Alert && rule.time == Time::Production);
        let own: BTreeSet<&str> = rules().filter(|rule| rule.group == group).map(|rule| rule.name.as_str()).collect();
        let (mut alerts, mut expressions, mut quiet) = (String::new(), String::new(), Vec::new());
        for name in own {
            if rules().any(|rule| rule.group != group && rule.name == name) {
                exported.left_out.insert(name.to_owned(), "several groups have an alert of this name".to_owned());
                continue;
            }
            let results: Vec<&AlertResult> =
                done.replayed.alerts.iter().filter(|it| it.group == group && it.name() == name).collect();
            if results.iter().all(|result| result.replayed.is_empty()) {
                quiet.push(name);
                continue;
            }
            let templated = rules().any(|rule| rule.name == name && !rule.templates.is_empty());
            for number in moments(&results, last, room) {
                let firing: Vec<&Labels> =
                    results.iter().filter(|result| fires(result, number)).map(|result| &result.labels).collect();
                let at = i64::try_from(number).unwrap_or(0) * self.step;
                self.count += 1;
                if firing.is_empty() {
                    let _ = writeln!(
                        alerts,
                        "      - eval_time: {at}ms\n        alertname: {}\n        exp_alerts: []",
                        quoted(name)
                    );
                } else {
                    expression(&mut expressions, name, at, &firing, templated);
                }
            }
        }
        let end = i64::try_from(last).unwrap_or(0) * self.step;
        if !quiet.is_empty() {
            let query = format!(
                "max_over_time(ALERTS{{alertstate=\"firing\",alertname=~\"{}\"}}[{}ms])",
                quiet.join("|"),
                end.max(1)
            );
            let _ = writeln!(
                expressions,
                "      - expr: {}\n        eval_time: {end}ms\n        exp_samples: []",
                quoted(&query)
            );
            self.count += 1;
        }
        for (key, text) in [("alert_rule_test", alerts), ("promql_expr_test", expressions)] {
            if !text.is_empty() {
                let _ = write!(self.out, "    {key}:\n{text}");
            }
        }
    }
}

/// The evaluations at which something is asserted: every change and the evaluation before it. Alerts that read what another
/// group records get one evaluation of room, because promtool evaluates both groups at the same instant and a run does not;
/// so do those that read scrapes which took long.
fn moments(results: &[&AlertResult], last: usize, room: usize) -> BTreeSet<usize> {
    let changes: BTreeSet<usize> = results
        .iter()
        .flat_map(|result| &result.replayed)
        .flat_map(|episode| [Some(episode.fired), episode.resolved])
        .flatten()
        .collect();
    // with room, an assertion may come too near to another change
    let near = |number: usize| changes.iter().any(|change| number + room >= *change && number < change + room);
    changes
        .iter()
        .flat_map(|change| [change.checked_sub(1 + room), Some(change + room)])
        .flatten()
        .filter(|number| *number <= last && !near(*number))
        .collect()
}

fn fires(result: &AlertResult, number: usize) -> bool {
    result.replayed.iter().any(|it| it.fired <= number && it.resolved.is_none_or(|resolved| number < resolved))
}

fn expression(out: &mut String, name: &str, at: i64, firing: &[&Labels], templated: bool) {
    let query = format!("ALERTS{{alertname=\"{name}\",alertstate=\"firing\"}}");
    let query = if templated { format!("count({query})") } else { query };
    let _ = writeln!(out, "      - expr: {}\n        eval_time: {at}ms\n        exp_samples:", quoted(&query));
    if templated {
        let _ = writeln!(out, "          - labels: '{{}}'\n            value: {}", firing.len());
        return;
    }
    for labels in firing {
        let mut labels = (*labels).clone();
        labels.insert("__name__".to_owned(), "ALERTS".to_owned());
        labels.insert("alertstate".to_owned(), "firing".to_owned());
        let _ = writeln!(out, "          - labels: {}\n            value: 1", quoted(&selector(&labels)));
    }
}

/// A series' values, slot by slot; none when it has no sample from the first evaluation to the last.
fn values(samples: &[RawSample], offset: impl Fn(i64) -> i64, end: i64) -> Option<String> {
    // up to the next slot, so that an evaluation sees exactly the samples that it saw
    let slot = |at: i64| offset(at).div_euclid(SLOT) + i64::from(offset(at).rem_euclid(SLOT) > 0);
    let mut slots: BTreeMap<i64, RawSample> = BTreeMap::new();
    slots.extend(
        samples.iter().map(|sample| (slot(sample.at), *sample)).filter(|(slot, _)| *slot >= 0 && slot * SLOT <= end),
    );
    let mut text = String::new();
    let mut next = 0;
    for (slot, sample) in slots {
        if slot > next {
            let _ = write!(text, "_x{} ", slot - next);
        }
        if sample.is_stale() {
            text.push_str("stale ");
        } else {
            let value = sample.value();
            let _ = if value.is_infinite() {
                write!(text, "{}Inf ", if value > 0.0 { "" } else { "-" })
            } else {
                write!(text, "{value} ")
            };
        }
        next = slot + 1;
    }
    text.pop()?;
    Some(text)
}

/// `name{label="value"}` as Prometheus writes it.
fn selector(labels: &Labels) -> String {
    let name = labels.get("__name__").map_or("", String::as_str);
    let pair = |(name, value): (&String, &String)| {
        format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
    };
    let pairs: Vec<String> = labels.iter().filter(|(name, _)| *name != "__name__").map(pair).collect();
    format!("{name}{{{}}}", pairs.join(","))
}

/// A YAML text in single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::state::Episode;
    use crate::telemetry::prometheus::STALE;

    #[test]
    fn samples_lie_in_the_slot_from_which_the_next_evaluation_sees_them() {
        let sample = |at, value: f64| RawSample { at, bits: value.to_bits() };
        let samples = [
            sample(-5_000, 9.0),
            sample(0, 1.0),
            sample(14_999, 2.0),
            sample(15_001, f64::INFINITY),
            RawSample { at: 31_000, bits: STALE },
            sample(99_000, 3.0),
        ];
        assert_eq!(values(&samples, |at| at, 60_000).unwrap(), "1 _x14 2 Inf _x14 stale");
        assert_eq!(values(&samples[..1], |at| at, 60_000), None);
    }

    #[test]
    fn every_change_is_asserted_with_the_evaluation_before_it() {
        let result = |fired, resolved| AlertResult {
            group: 0,
            labels: Labels::new(),
            time: Time::Production,
            live: vec![],
            replayed: vec![Episode { fired, resolved }],
            changes: 0,
            exact: 0,
            settled: 0,
            certainty: crate::replay::Certainty::Certain,
            parted: None,
        };
        let one = result(10, Some(20));
        assert_eq!(moments(&[&one], 100, 0), BTreeSet::from([9, 10, 19, 20]));
        assert_eq!(moments(&[&one], 100, 1), BTreeSet::from([8, 11, 18, 21]));
        assert_eq!(moments(&[&result(0, None)], 100, 0), BTreeSet::from([0]));
        assert_eq!(moments(&[&result(10, Some(12))], 100, 1), BTreeSet::from([8, 13]), "too short for room inside");
        assert!(fires(&one, 10) && fires(&one, 19) && !fires(&one, 20) && !fires(&one, 9));
    }

    #[test]
    fn selectors_and_paths_are_written_as_promtool_reads_them() {
        let labels = Labels::from([("__name__".into(), "up".into()), ("a".into(), "x\"\\\n".into())]);
        assert_eq!(selector(&labels), r#"up{a="x\"\\\n"}"#);
        assert_eq!(quoted("it's"), "'it''s'");
        assert_eq!(relative(Path::new("/a/b/c.yml"), Path::new("/a/d/e")), Path::new("../../b/c.yml"));
        assert_eq!(relative(Path::new("/a/c.yml"), Path::new("/a")), Path::new("c.yml"));
    }
}
