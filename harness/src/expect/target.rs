//! Judges `that.target` from the raw samples of `up`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::look::{Coverage, ScaledTime};
use super::{Health, Mode, Target, Window};
use crate::clock::Stamp;
use crate::outcome::{Evidence, Outcome, Reason};

/// The samples of `up` by instance, in order.
pub type Ups = BTreeMap<String, Vec<(Stamp, f64)>>;

/// Judges a target expectation: all instances of the job must have the health that is asked for.
#[must_use]
pub fn judge(
    spec: &Target,
    mode: Mode,
    within: Option<Duration>,
    window: Window,
    ups: &Ups,
    scrape: Duration,
    time: ScaledTime,
) -> Outcome {
    let evidence = Evidence::default().with("job", spec.job.clone()).with("instances", ups.len().to_string());
    if ups.values().all(Vec::is_empty) {
        let summary = format!("Prometheus has no sample of up{{job=\"{}\"}}", spec.job);
        return Outcome::Failed(Reason::TargetAbsent, Evidence { summary, ..evidence });
    }
    let deadline = match (mode, within) {
        (Mode::Eventually, Some(within)) => (window.effective + within).min(window.end),
        _ => window.end,
    };
    let mut summaries = Vec::new();
    for (instance, samples) in ups {
        match judge_instance(spec, mode, window, deadline, samples, scrape, time) {
            Ok(summary) => summaries.push(format!("{instance} {summary}")),
            Err((reason, summary)) => {
                let evidence = Evidence { summary: format!("{instance} {summary}"), ..evidence };
                return match reason {
                    Reason::NoCoverage => Outcome::Inconclusive(reason, evidence),
                    _ => Outcome::Failed(reason, evidence),
                };
            }
        }
    }
    Outcome::Passed(Evidence { summary: summaries.join("; "), ..evidence })
}

fn judge_instance(
    spec: &Target,
    mode: Mode,
    window: Window,
    deadline: Stamp,
    samples: &[(Stamp, f64)],
    scrape: Duration,
    time: ScaledTime,
) -> Result<String, (Reason, String)> {
    let healthy = |value: f64| (value > 0.5) == (spec.health == Health::Up);
    let inside: Vec<(Stamp, f64)> =
        samples.iter().copied().filter(|(at, _)| *at >= window.start && *at <= deadline).collect();
    let coverage = Coverage::new(scrape, samples.iter().map(|(at, _)| *at).collect());
    let (wrong, word) = match spec.health {
        Health::Up => (Reason::TargetDown, "up"),
        Health::Down => (Reason::TargetNotDown, "down"),
    };
    let violation = match mode {
        Mode::Eventually => {
            if let Some((at, _)) = inside.iter().find(|(_, value)| healthy(*value)) {
                return Ok(format!("is {word} {} after the window's begin", time.from(window.start, *at)));
            }
            true
        }
        Mode::Throughout => inside.iter().any(|(_, value)| !healthy(*value)),
        Mode::Never => inside.iter().any(|(_, value)| healthy(*value)),
    };
    let misses = inside.iter().filter(|(_, value)| !healthy(*value)).count();
    if violation && !(mode == Mode::Eventually && coverage.gap(window.start, deadline).is_some()) {
        return Err((wrong, format!("was not {word} as asked: {misses} of {} scrapes say otherwise", inside.len())));
    }
    match coverage.gap(window.start, deadline) {
        Some(gap) => Err((Reason::NoCoverage, format!("cannot be judged: {gap}"))),
        None => Ok(format!("{word} at {} of {} scrapes", inside.len() - misses, inside.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: ScaledTime = ScaledTime { scale: 1.0 };

    fn judge_ups(mode: Mode, health: Health, values: &[f64]) -> Option<Reason> {
        let at = |second: usize| Stamp(i64::try_from(second).unwrap() * 1_000_000);
        let samples = values.iter().enumerate().map(|(second, value)| (at(second), *value)).collect();
        let ups = Ups::from([("a:1".to_owned(), samples)]);
        let spec = Target { job: "j".into(), health };
        let window = Window::plain(at(0), at(values.len() - 1));
        judge(&spec, mode, None, window, &ups, Duration::from_secs(1), TIME).reason()
    }

    #[test]
    fn a_target_that_is_down_once_is_not_up_throughout() {
        assert_eq!(judge_ups(Mode::Throughout, Health::Up, &[1.0; 5]), None);
        assert_eq!(judge_ups(Mode::Throughout, Health::Up, &[1.0, 1.0, 0.0, 1.0]), Some(Reason::TargetDown));
        assert_eq!(judge_ups(Mode::Eventually, Health::Down, &[1.0, 1.0, 0.0, 1.0]), None);
        assert_eq!(judge_ups(Mode::Eventually, Health::Down, &[1.0; 5]), Some(Reason::TargetNotDown));
        assert_eq!(judge_ups(Mode::Never, Health::Down, &[1.0; 5]), None);
    }

    #[test]
    fn a_target_without_samples_is_absent_not_down_t04() {
        let spec = Target { job: "j".into(), health: Health::Down };
        let window = Window::plain(Stamp(0), Stamp(5));
        let outcome = judge(&spec, Mode::Eventually, None, window, &Ups::new(), Duration::from_secs(1), TIME);
        assert_eq!(outcome.reason(), Some(Reason::TargetAbsent));
    }
}
