//! A replay in words and as JSON. Pure; printed by `cli`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::arrival::Race;
use super::compare::{AlertResult, Certainty, Score};
use super::rules::{Plan, Time, Unfit};
use super::state::Episode;
use super::{Done, Took};
use crate::telemetry::Labels;
use crate::telemetry::recording::{Extent, Header};

/// A replay as a machine reads it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Document<'a> {
    scenario: &'a str,
    time_scale: f64,
    whole: bool,
    /// Firing and resolving evaluations that the recording alone reproduces.
    exact: usize,
    /// Those that it leaves open: one of two orders of a scrape and an evaluation reproduces them.
    settled: usize,
    /// All, live or replayed.
    changes: usize,
    /// What shows that they are open.
    races: Vec<Open<'a>>,
    restarts: usize,
    alerts: Vec<Alert<'a>>,
    never_fired: Vec<&'a str>,
    scaled: Vec<Reason<'a>>,
    not_replayed: Vec<Reason<'a>>,
    starting_seconds: f64,
    replaying_seconds: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Alert<'a> {
    alert: &'a str,
    group: &'a str,
    labels: &'a Labels,
    rule: &'static str,
    exact: bool,
    settled: bool,
    doubtful: bool,
    live: Vec<Span>,
    replayed: Vec<Span>,
}

/// A scrape that was being stored when an evaluation began; times in milliseconds since the epoch.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Open<'a> {
    job: &'a str,
    instance: &'a str,
    scrape: i64,
    took: i64,
    evaluation: i64,
    seen: bool,
}

/// Evaluation times in milliseconds since the epoch.
#[derive(Debug, Serialize)]
struct Span {
    fired: i64,
    resolved: Option<i64>,
}

#[derive(Debug, Serialize)]
struct Reason<'a> {
    rule: &'a str,
    why: &'a str,
}

/// A replay as a machine reads it.
#[must_use]
pub fn document<'a>(header: &'a Header, done: &'a Done) -> Document<'a> {
    let Score { exact, settled, changes } = done.replayed.score();
    let Took { starting, replaying } = done.took;
    let reason = |(rule, why): (&'a String, &'a String)| Reason { rule, why };
    Document {
        scenario: &header.scenario,
        time_scale: header.scale,
        whole: header.extent == Extent::Whole,
        exact,
        settled,
        changes,
        races: done.settled.iter().map(open_of).collect(),
        restarts: restarts(done),
        alerts: done.replayed.alerts.iter().map(|alert| alert_of(&done.plan, alert)).collect(),
        never_fired: done.replayed.quiet.iter().map(String::as_str).collect(),
        scaled: done.replayed.scaled.iter().map(reason).collect(),
        not_replayed: done.replayed.unfit.iter().map(|it| reason((&it.name, &it.why))).collect(),
        starting_seconds: starting.as_secs_f64(),
        replaying_seconds: replaying.as_secs_f64(),
    }
}

fn open_of(race: &Race) -> Open<'_> {
    Open {
        job: &race.target.0,
        instance: &race.target.1,
        scrape: race.scrape,
        took: race.took,
        evaluation: race.evaluation,
        seen: race.was_seen(),
    }
}

/// How often Prometheus began anew.
fn restarts(done: &Done) -> usize {
    done.plan.groups.iter().map(|group| group.grid.lives.len().saturating_sub(1)).max().unwrap_or(0)
}

fn alert_of<'a>(plan: &'a Plan, alert: &'a AlertResult) -> Alert<'a> {
    let group = &plan.groups[alert.group];
    let spans = |episodes: &[Episode]| -> Vec<Span> {
        let at = |number| group.grid.at(number);
        episodes.iter().map(|it| Span { fired: at(it.fired), resolved: it.resolved.map(at) }).collect()
    };
    Alert {
        alert: alert.name(),
        group: &group.name,
        labels: &alert.labels,
        rule: if alert.time == Time::Production { "production" } else { "scaled" },
        exact: alert.is_exact() && alert.settled == 0,
        settled: alert.settled > 0,
        doubtful: is_doubtful(alert),
        live: spans(&alert.live),
        replayed: spans(&alert.replayed),
    }
}

/// A replay in words. Times are production time since `zero` (milliseconds since the epoch): the first fault, or the begin.
#[must_use]
pub fn text(header: &Header, done: &Done, zero: i64) -> String {
    let Score { exact, settled, changes } = done.replayed.score();
    let mut out = format!(
        "{}: {} evaluations of {} alerting rules in {} after {} for Prometheus to start\n",
        header.scenario,
        done.replayed.evaluations,
        done.replayed.quiet.len() + alert_names(done).len(),
        seconds(done.took.replaying),
        seconds(done.took.starting),
    );
    for alert in &done.replayed.alerts {
        let grid = &done.plan.groups[alert.group].grid;
        let at = |number: usize| since(grid.at(number) - zero, header.scale);
        let dies = |number: usize| grid.life(number).end < grid.count;
        line(&mut out, alert, &at, &dies);
    }
    let compared = changes - settled;
    let _ = writeln!(out, "  reproduced exactly: {exact} of {compared} firing and resolving evaluations");
    if settled > 0 {
        let _ = writeln!(
            out,
            "  ~ is open: {settled} more agree with one of two orders that the recording does not tell apart"
        );
    }
    for race in &done.settled {
        let at = |real: i64| since(real - zero, header.scale);
        let Race { target: (job, instance), scrape, took, evaluation, .. } = race;
        let saw = if race.was_seen() { "saw it live" } else { "did not see it live" };
        let _ = writeln!(
            out,
            "      the scrape of {job} {instance} at {} took {took} ms; the evaluation at {} ({} ms after it began) {saw}",
            at(*scrape),
            at(*evaluation),
            evaluation - scrape
        );
    }
    if restarts(done) > 0 {
        out.push_str("  Prometheus was not alive all the time: what fired ended with it, and alerts began anew\n");
    }
    if done.replayed.alerts.iter().any(is_doubtful) {
        out.push_str("  ? is undecided: evaluations that led there came late or may have been missed\n");
    }
    if !done.replayed.quiet.is_empty() {
        let _ = writeln!(out, "  {} other alerts never fired, live or replayed", done.replayed.quiet.len());
    }
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, why) in &done.replayed.scaled {
        reasons.entry(why).or_default().push(name);
    }
    for (why, names) in reasons {
        let _ = writeln!(out, "  with the scaled rule, because it {why}: {}", joined(names.into_iter()));
    }
    for Unfit { name, why, .. } in &done.replayed.unfit {
        let _ = writeln!(out, "  {name}: not replayed, because {why}");
    }
    if header.extent == Extent::Cut {
        let _ = writeln!(out, "  the recording is cut: what came after its limit is not in it");
    }
    out.pop();
    out
}

fn is_doubtful(alert: &AlertResult) -> bool {
    !alert.is_exact() && alert.certainty == Certainty::Doubtful
}

fn alert_names(done: &Done) -> std::collections::BTreeSet<&str> {
    done.replayed.alerts.iter().map(AlertResult::name).collect()
}

fn line(out: &mut String, alert: &AlertResult, at: &impl Fn(usize) -> String, dies: &impl Fn(usize) -> bool) {
    let labels = alert.labels.iter().filter(|(name, _)| *name != "alertname");
    let labels = joined(labels.map(|(name, value)| format!("{name}=\"{value}\"")));
    let spans = |episodes: &[Episode]| {
        let span = |it: &Episode| match it.resolved {
            Some(resolved) => format!("fires {} resolves {}", at(it.fired), at(resolved)),
            None if dies(it.fired) => format!("fires {} until Prometheus ended", at(it.fired)),
            None => format!("fires {} to the end", at(it.fired)),
        };
        if episodes.is_empty() { "never fires".to_owned() } else { joined(episodes.iter().map(span)) }
    };
    let sign = match alert.is_exact() {
        true if alert.settled > 0 => "~",
        true => "=",
        false if is_doubtful(alert) => "?",
        false => "≠",
    };
    let _ = writeln!(out, "  {sign} {} {{{labels}}}", alert.name());
    if alert.is_exact() {
        let _ = writeln!(out, "      {}", spans(&alert.live));
    } else {
        let _ = writeln!(out, "      live      {}\n      replayed  {}", spans(&alert.live), spans(&alert.replayed));
    }
}

fn joined<T: AsRef<str>>(items: impl Iterator<Item = T>) -> String {
    let items: Vec<T> = items.collect();
    items.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

/// Real milliseconds as production time: `+3m15s`.
fn since(real: i64, scale: f64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a run is shorter than 2^52 ms")]
    let seconds = real as f64 / 1000.0 * scale;
    let sign = if seconds < 0.0 { '-' } else { '+' };
    let seconds = seconds.abs();
    let (minutes, rest) = ((seconds / 60.0).floor(), seconds % 60.0);
    if minutes > 0.0 { format!("{sign}{minutes}m{rest:04.1}s") } else { format!("{sign}{rest:.1}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_production_time_from_the_first_fault() {
        assert_eq!(since(3_250, 60.0), "+3m15.0s");
        assert_eq!(since(-250, 60.0), "-15.0s");
        assert_eq!(since(61_234, 1.0), "+1m01.2s");
    }
}
