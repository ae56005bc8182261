//! Judges `that.load`: what the client itself saw in a window. A load that was not sent decides nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Objective;
use crate::outcome::{Evidence, Outcome, Reason};

/// What the load engine measured in a window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Requests whose intended start lies in the window.
    pub planned: u64,
    /// Of these, sent.
    pub started: u64,
    /// Of these, never sent.
    pub dropped: u64,
    /// Requests that ended as expected.
    pub succeeded: u64,
    /// Requests that ended otherwise or not at all.
    pub failed: u64,
    /// Latency from the intended start by percentile name; empty without an ended request.
    pub latency: BTreeMap<String, Duration>,
    /// What limited the generator, if anything did.
    pub saturation: Option<String>,
}

/// Judges a load objective.
#[must_use]
pub fn judge(spec: &Objective, measured: &Measured) -> Outcome {
    let evidence = describe(measured);
    if let Some(limit) = &measured.saturation {
        let summary = format!("the generator was the bottleneck: {limit}");
        return Outcome::Inconclusive(Reason::GeneratorSaturated, Evidence { summary, ..evidence });
    }
    if let Some(summary) = not_sent(spec, measured) {
        return Outcome::Inconclusive(Reason::LoadNotAchieved, Evidence { summary, ..evidence });
    }
    let ended = measured.succeeded + measured.failed;
    let asked = spec.errors.is_some() || !spec.latency.is_empty();
    if asked && ended == 0 {
        let summary = "no request ended, so there is no percentile and no share".to_owned();
        return Outcome::Inconclusive(Reason::NoData, Evidence { summary, ..evidence });
    }
    if let Some(condition) = spec.errors.as_ref().filter(|condition| !condition.holds(share(measured.failed, ended))) {
        let summary =
            format!("{:.3}% of {ended} requests failed, expected {condition}", share(measured.failed, ended) * 100.0);
        return Outcome::Failed(Reason::ObjectiveMissed, Evidence { summary, ..evidence });
    }
    for (percentile, condition) in &spec.latency {
        match measured.latency.get(percentile) {
            Some(value) if condition.holds_for(*value) => {}
            Some(value) => {
                let summary = format!("{percentile} is {:.1} ms, expected {condition}", value.as_secs_f64() * 1e3);
                return Outcome::Failed(Reason::ObjectiveMissed, Evidence { summary, ..evidence });
            }
            None => {
                let summary = format!("{percentile} was not measured");
                return Outcome::Inconclusive(Reason::NoData, Evidence { summary, ..evidence });
            }
        }
    }
    let p99 =
        measured.latency.get("p99").map_or_else(|| "n/a".to_owned(), |it| format!("{:.1} ms", it.as_secs_f64() * 1e3));
    let summary =
        format!("{} of {} requests sent, {} failed, p99 {p99}", measured.started, measured.planned, measured.failed);
    Outcome::Passed(Evidence { summary, ..evidence })
}

fn not_sent(spec: &Objective, measured: &Measured) -> Option<String> {
    if measured.planned == 0 {
        return Some("no request was planned in the window".to_owned());
    }
    let sent = share(measured.started, measured.planned);
    let condition = spec.achieved.as_ref()?;
    (!condition.holds(sent)).then(|| {
        format!(
            "{} of {} planned requests were sent ({:.2}%), expected {condition}",
            measured.started,
            measured.planned,
            sent * 100.0
        )
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^52")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { f64::NAN } else { part as f64 / whole as f64 }
}

fn describe(measured: &Measured) -> Evidence {
    let rows = measured
        .latency
        .iter()
        .map(|(percentile, value)| vec![percentile.clone(), format!("{:.2} ms", value.as_secs_f64() * 1e3)])
        .collect();
    Evidence::default()
        .with("planned", measured.planned.to_string())
        .with("sent", measured.started.to_string())
        .with("dropped", measured.dropped.to_string())
        .with("succeeded", measured.succeeded.to_string())
        .with("failed", measured.failed.to_string())
        .with_table("latency from the intended start", &["percentile", "latency"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::Condition;

    fn spec() -> Objective {
        let condition = |text| Condition::parse(text).unwrap();
        Objective {
            load: "shoppers".into(),
            request: None,
            latency: BTreeMap::from([("p99".to_owned(), condition("< 250ms"))]),
            errors: Some(condition("< 1%")),
            achieved: Some(condition(">= 99%")),
        }
    }

    fn measured() -> Measured {
        Measured {
            planned: 1000,
            started: 1000,
            succeeded: 995,
            failed: 5,
            latency: BTreeMap::from([("p99".to_owned(), Duration::from_millis(20))]),
            ..Measured::default()
        }
    }

    #[test]
    fn a_load_inside_its_objective_passes() {
        assert!(judge(&spec(), &measured()).is_passed());
    }

    #[test]
    fn a_load_that_was_not_sent_decides_nothing_s59_l05() {
        let short = Measured { started: 50, dropped: 950, succeeded: 50, failed: 0, ..measured() };
        assert_eq!(judge(&spec(), &short).reason(), Some(Reason::LoadNotAchieved));
        assert_eq!(judge(&spec(), &Measured::default()).reason(), Some(Reason::LoadNotAchieved));
        let saturated = Measured { saturation: Some("scheduler lag p99 80 ms".into()), ..measured() };
        assert_eq!(judge(&spec(), &saturated).reason(), Some(Reason::GeneratorSaturated));
    }

    #[test]
    fn nothing_completed_is_inconclusive_l12() {
        let none = Measured { succeeded: 0, failed: 0, latency: BTreeMap::new(), ..measured() };
        assert!(matches!(judge(&spec(), &none), Outcome::Inconclusive(Reason::NoData, _)));
    }

    #[test]
    fn errors_and_latency_beyond_the_bound_fail() {
        let errors = Measured { succeeded: 985, failed: 15, ..measured() };
        assert_eq!(judge(&spec(), &errors).reason(), Some(Reason::ObjectiveMissed));
        let slow = Measured { latency: BTreeMap::from([("p99".to_owned(), Duration::from_millis(250))]), ..measured() };
        assert_eq!(judge(&spec(), &slow).reason(), Some(Reason::ObjectiveMissed), "250 ms is not below 250 ms");
    }
}
