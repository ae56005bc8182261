//! Judges what every scenario implies: no alert fires that nobody expects, and those that always fire do.

use std::collections::BTreeMap;

use super::alert::{History, State};
use super::look::{ScaledTime, show_labels};
use super::{Always, Others, Window};
use crate::clock::Stamp;
use crate::outcome::{Evidence, Outcome, Reason};

/// The parts of a window in which Prometheus was not itself the target of a fault.
fn seeing(window: Window, blind: &[(Stamp, Stamp)]) -> Vec<(Stamp, Stamp)> {
    let mut blind: Vec<(Stamp, Stamp)> = blind.to_vec();
    blind.sort_unstable();
    let mut parts = Vec::new();
    let mut from = window.start;
    for (begin, end) in blind {
        if begin > from {
            parts.push((from, begin.min(window.end)));
        }
        from = from.max(end);
    }
    parts.push((from, window.end));
    parts.retain(|(from, to)| from < to);
    parts
}

fn gap(history: &History, parts: &[(Stamp, Stamp)]) -> Option<String> {
    parts.iter().find_map(|(from, to)| history.coverage.gap(*from, *to))
}

/// The first error of a rule while it was watched: what it says then is frozen, so that silence and steadiness mean nothing (T24).
fn error<'a>(history: &'a History, parts: &[(Stamp, Stamp)]) -> Option<&'a (Stamp, String)> {
    let watched = |at: Stamp| parts.iter().any(|(from, to)| at >= *from && at <= *to);
    history.errors.iter().find(|(at, _)| watched(*at))
}

fn not_watched(evidence: Evidence, window: Window, blind: &[(Stamp, Stamp)], time: ScaledTime) -> Evidence {
    let shown: Vec<String> = blind
        .iter()
        .map(|(from, to)| {
            format!("{} to {}", time.from(window.start, *from), time.from(window.start, (*to).min(window.end)))
        })
        .collect();
    if shown.is_empty() {
        return evidence;
    }
    evidence.with("not watched, because Prometheus itself was the target", shown.join(", "))
}

/// Judges that no other alert fired; `histories` by alert name. While Prometheus itself is the target of a fault nothing can
/// be seen, and nothing is asked.
#[must_use]
pub fn judge_others(
    spec: &Others,
    window: Window,
    blind: &[(Stamp, Stamp)],
    histories: &BTreeMap<String, History>,
    time: ScaledTime,
) -> Outcome {
    let parts = seeing(window, blind);
    let mut rows = Vec::new();
    for (name, history) in histories.iter().filter(|(name, _)| !spec.known.contains(*name)) {
        for instance in &history.instances {
            let fired = instance
                .changes
                .iter()
                .find(|it| it.state == State::Firing && it.evaluated >= window.start && it.evaluated <= window.end);
            if let Some(change) = fired {
                rows.push(vec![name.clone(), time.from(window.start, change.evaluated), show_labels(&instance.labels)]);
            }
        }
    }
    let watched: Vec<&str> = histories.keys().filter(|name| !spec.known.contains(*name)).map(String::as_str).collect();
    if let Some(first) = rows.first() {
        let summary = format!("{} fired, and nobody expects it", first[0]);
        let evidence = Evidence::new(summary).with_table("unexpected alerts", &["alert", "fired", "labels"], rows);
        return Outcome::Failed(Reason::UnexpectedAlert, evidence);
    }
    if let Some((name, (at, why))) = histories.iter().find_map(|(name, history)| Some((name, error(history, &parts)?)))
    {
        let when = time.from(window.start, *at);
        let summary = format!("no other alert was seen, but the rule {name} was in error {when}: {why}");
        return Outcome::Inconclusive(Reason::RuleError, Evidence::new(summary));
    }
    if let Some((name, gap)) = histories.iter().find_map(|(name, history)| Some((name, gap(history, &parts)?))) {
        let evidence = Evidence::new(format!("no other alert was seen, but for {name} {gap}"));
        return Outcome::Inconclusive(Reason::NoCoverage, evidence);
    }
    let summary = if watched.is_empty() {
        "every rule is expected or allowed".to_owned()
    } else {
        format!("none of {} other rules fired", watched.len())
    };
    let evidence = Evidence::new(summary).with("watched", watched.join(", "));
    Outcome::Passed(not_watched(evidence, window, blind, time))
}

/// Judges that an alert fired all the time that anybody could see.
#[must_use]
pub fn judge_always(
    spec: &Always,
    window: Window,
    blind: &[(Stamp, Stamp)],
    history: Option<&History>,
    time: ScaledTime,
) -> Outcome {
    let parts = seeing(window, blind);
    let Some(history) = history.filter(|history| history.rules > 0) else {
        let evidence = Evidence::new(format!("Prometheus has loaded no alerting rule named {}", spec.name));
        return Outcome::Failed(Reason::RuleNotLoaded, evidence);
    };
    if let Some((at, why)) = error(history, &parts) {
        let when = time.from(window.start, *at);
        let evidence = Evidence::new(format!("the rule {} was in error {when}: {why}", spec.name));
        return Outcome::Inconclusive(Reason::RuleError, evidence);
    }
    if let Some(at) = parts.iter().find_map(|(from, to)| history.coverage.restarted(*from, *to)) {
        let when = time.from(window.start, at);
        let evidence = Evidence::new(format!("Prometheus restarted {when} into the window, and its alerts began anew"));
        return Outcome::Inconclusive(Reason::PromRestart, evidence);
    }
    let steady = |from: Stamp, to: Stamp| {
        history.instances.iter().any(|instance| {
            instance.state_at(from) == State::Firing
                && !instance
                    .changes
                    .iter()
                    .any(|change| change.state != State::Firing && change.evaluated >= from && change.evaluated <= to)
        })
    };
    if !parts.iter().all(|(from, to)| steady(*from, *to)) {
        let evidence = Evidence::new(format!("{} did not fire all the time", spec.name));
        return Outcome::Failed(Reason::AlertNotAlways, evidence);
    }
    match gap(history, &parts) {
        Some(gap) => {
            Outcome::Inconclusive(Reason::NoCoverage, Evidence::new(format!("{} fired, but {gap}", spec.name)))
        }
        None => {
            let length = time.length(window.end.since(window.start));
            let evidence = Evidence::new(format!("{} fired throughout {length}", spec.name));
            Outcome::Passed(not_watched(evidence, window, blind, time))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::expect::Labels;
    use crate::expect::alert::{Change, Instance};
    use crate::expect::look::Coverage;

    const TIME: ScaledTime = ScaledTime { scale: 1.0 };

    const fn at(seconds: i64) -> Stamp {
        Stamp(seconds * 1_000_000)
    }

    fn history(changes: &[(i64, State)]) -> History {
        let changes =
            changes.iter().map(|(s, state)| Change { evaluated: at(*s), state: *state, value: None }).collect();
        History {
            rules: 1,
            instances: vec![Instance { labels: Labels::new(), annotations: Labels::new(), changes }],
            coverage: Coverage::new(Duration::from_secs(1), (0..=30).map(at).collect()),
            errors: vec![],
        }
    }

    #[test]
    fn an_alert_nobody_expects_fails_and_an_allowed_one_does_not() {
        let histories = BTreeMap::from([("A".to_owned(), history(&[(12, State::Firing)]))]);
        let others = |known: &[&str]| Others { known: known.iter().map(ToString::to_string).collect::<BTreeSet<_>>() };
        let window = Window::plain(at(10), at(20));
        assert_eq!(judge_others(&others(&[]), window, &[], &histories, TIME).reason(), Some(Reason::UnexpectedAlert));
        assert!(judge_others(&others(&["A"]), window, &[], &histories, TIME).is_passed());
        let pending = BTreeMap::from([("A".to_owned(), history(&[(12, State::Pending), (14, State::Inactive)]))]);
        assert!(judge_others(&others(&[]), window, &[], &pending, TIME).is_passed());
        let unseen = BTreeMap::from([("A".to_owned(), History { coverage: Coverage::default(), ..history(&[]) })]);
        assert_eq!(judge_others(&others(&[]), window, &[], &unseen, TIME).reason(), Some(Reason::NoCoverage));
    }

    #[test]
    fn an_alert_that_pauses_is_not_always() {
        let always = Always { name: "Watchdog".into() };
        let window = Window::plain(at(10), at(20));
        let steady = history(&[(5, State::Firing)]);
        assert!(judge_always(&always, window, &[], Some(&steady), TIME).is_passed());
        let paused = history(&[(5, State::Firing), (12, State::Inactive), (13, State::Firing)]);
        assert_eq!(judge_always(&always, window, &[], Some(&paused), TIME).reason(), Some(Reason::AlertNotAlways));
        assert_eq!(judge_always(&always, window, &[], None, TIME).reason(), Some(Reason::RuleNotLoaded));
    }

    #[test]
    fn what_prometheus_does_not_see_while_it_is_the_target_itself_is_no_hole() {
        let window = Window::plain(at(5), at(28));
        let always = Always { name: "Watchdog".into() };
        let seen = Coverage {
            restarts: vec![at(15)],
            ..Coverage::new(Duration::from_secs(1), (0..=10).chain(18..=30).map(at).collect())
        };
        let died =
            History { coverage: seen, ..history(&[(5, State::Firing), (16, State::Inactive), (17, State::Firing)]) };
        assert_eq!(judge_always(&always, window, &[], Some(&died), TIME).reason(), Some(Reason::PromRestart));
        let blind = [(at(10), at(18))];
        let outcome = judge_always(&always, window, &blind, Some(&died), TIME);
        assert!(outcome.is_passed(), "{outcome:?}");
        assert!(outcome.evidence().facts.iter().any(|fact| fact.name.contains("not watched")), "and it is said");
        let others = Others { known: BTreeSet::from(["Watchdog".to_owned()]) };
        let histories = BTreeMap::from([("Watchdog".to_owned(), died)]);
        assert_eq!(judge_others(&others, window, &[], &histories, TIME).reason(), Some(Reason::NoCoverage));
        assert!(judge_others(&others, window, &blind, &histories, TIME).is_passed());
        let short = [(at(13), at(18))];
        assert_eq!(
            judge_others(&others, window, &short, &histories, TIME).reason(),
            Some(Reason::NoCoverage),
            "a hole before"
        );
    }
}
