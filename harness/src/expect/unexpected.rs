//! Judges what every scenario implies: no alert fires that nobody expects, and those that always fire do.

use std::collections::BTreeMap;

use super::alert::{History, State};
use super::look::{ScaledTime, show_labels};
use super::{Always, Others, Window};
use crate::outcome::{Evidence, Outcome, Reason};

/// Judges that no other alert fired; `histories` by alert name.
#[must_use]
pub fn judge_others(spec: &Others, window: Window, histories: &BTreeMap<String, History>, time: ScaledTime) -> Outcome {
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
    let gap =
        histories.iter().find_map(|(name, history)| Some((name, history.coverage.gap(window.start, window.end)?)));
    if let Some((name, gap)) = gap {
        let evidence = Evidence::new(format!("no other alert was seen, but for {name} {gap}"));
        return Outcome::Inconclusive(Reason::NoCoverage, evidence);
    }
    let summary = if watched.is_empty() {
        "every rule is expected or allowed".to_owned()
    } else {
        format!("none of {} other rules fired", watched.len())
    };
    Outcome::Passed(Evidence::new(summary).with("watched", watched.join(", ")))
}

/// Judges that an alert fired all the time.
#[must_use]
pub fn judge_always(spec: &Always, window: Window, history: Option<&History>, time: ScaledTime) -> Outcome {
    let Some(history) = history.filter(|history| history.rules > 0) else {
        let evidence = Evidence::new(format!("Prometheus has loaded no alerting rule named {}", spec.name));
        return Outcome::Failed(Reason::RuleNotLoaded, evidence);
    };
    let steady = history.instances.iter().any(|instance| {
        instance.state_at(window.start) == State::Firing
            && !instance.changes.iter().any(|change| {
                change.state != State::Firing && change.evaluated >= window.start && change.evaluated <= window.end
            })
    });
    if !steady {
        let evidence = Evidence::new(format!("{} did not fire all the time", spec.name));
        return Outcome::Failed(Reason::AlertNotAlways, evidence);
    }
    match history.coverage.gap(window.start, window.end) {
        Some(gap) => {
            Outcome::Inconclusive(Reason::NoCoverage, Evidence::new(format!("{} fired, but {gap}", spec.name)))
        }
        None => {
            let length = time.length(window.end.since(window.start));
            Outcome::Passed(Evidence::new(format!("{} fired throughout {length}", spec.name)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::clock::Stamp;
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
        assert_eq!(judge_others(&others(&[]), window, &histories, TIME).reason(), Some(Reason::UnexpectedAlert));
        assert!(judge_others(&others(&["A"]), window, &histories, TIME).is_passed());
        let pending = BTreeMap::from([("A".to_owned(), history(&[(12, State::Pending), (14, State::Inactive)]))]);
        assert!(judge_others(&others(&[]), window, &pending, TIME).is_passed());
        let unseen = BTreeMap::from([("A".to_owned(), History { coverage: Coverage::default(), ..history(&[]) })]);
        assert_eq!(judge_others(&others(&[]), window, &unseen, TIME).reason(), Some(Reason::NoCoverage));
    }

    #[test]
    fn an_alert_that_pauses_is_not_always() {
        let always = Always { name: "Watchdog".into() };
        let window = Window::plain(at(10), at(20));
        let steady = history(&[(5, State::Firing)]);
        assert!(judge_always(&always, window, Some(&steady), TIME).is_passed());
        let paused = history(&[(5, State::Firing), (12, State::Inactive), (13, State::Firing)]);
        assert_eq!(judge_always(&always, window, Some(&paused), TIME).reason(), Some(Reason::AlertNotAlways));
        assert_eq!(judge_always(&always, window, None, TIME).reason(), Some(Reason::RuleNotLoaded));
    }
}
