//! The gates before any load: targets up, Alertmanager discovered, rules loaded and evaluated, clocks in step. Each is a
//! question with one deadline, and a gate that stays shut says which and why.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::stage::Broken;
use crate::clock::{Clock, Stamp};
use crate::outcome::Reason;
use crate::telemetry::Error;
use crate::telemetry::loki::Ruler;
use crate::telemetry::prometheus::{Group, Prometheus, RuleKind, Target};

/// What must be so before load.
#[derive(Clone, Debug)]
pub struct Gate {
    /// Alerts that some expectation names.
    pub alerts: BTreeSet<String>,
    /// The job of the service under drill.
    pub job: Option<String>,
    /// How many targets the configuration has, by job.
    pub targets: usize,
    /// Whether the configuration names an Alertmanager.
    pub alerting: Alerting,
    /// The scrape interval.
    pub scrape: Duration,
    /// The longest evaluation interval.
    pub evaluation: Duration,
}

/// Whether Prometheus is configured to send alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alerting {
    /// It is.
    Configured,
    /// It is not, and nothing is waited for.
    Missing,
}

/// What must be so of the log store's ruler before load.
#[derive(Clone, Debug)]
pub struct LogGate {
    /// All alerts of its rules.
    pub alerts: BTreeSet<String>,
    /// The longest evaluation interval.
    pub evaluation: Duration,
}

impl LogGate {
    /// Waits until the ruler has its rules and has evaluated each three times, without an error.
    ///
    /// # Errors
    /// What was last seen.
    pub async fn pass(&self, ruler: &Ruler) -> Result<(), Broken> {
        let deadline = Instant::now() + ALLOWANCE + self.evaluation * 6;
        let mut begun: Option<Stamp> = None;
        loop {
            let groups = match ruler.rules().await {
                Ok(answer) => answer.value,
                // Loki loads its rules a while after it is ready
                Err(error) if Instant::now() >= deadline => {
                    return Err(Broken::new(Reason::Unreachable, format!("the log store's ruler: {error}")));
                }
                Err(_) => Vec::new(),
            };
            let late = Instant::now() >= deadline;
            match (missing("the log store's ruler", &self.alerts, &groups), oldest(&groups)) {
                (Some(broken), _) if late => return Err(broken),
                (None, Ok(oldest)) => {
                    let begun = *begun.get_or_insert(oldest);
                    if oldest.since(begun) >= self.evaluation * 2 {
                        return broken_rule(&groups).map_or(Ok(()), Err);
                    }
                }
                _ => {}
            }
            if late {
                let message = "the log store's ruler did not evaluate its rules three times";
                return Err(Broken::new(Reason::NoCoverage, message));
            }
            sleep(PAUSE).await;
        }
    }
}

/// Says which of the alerts `server` has no rule for.
fn missing(server: &str, alerts: &BTreeSet<String>, groups: &[Group]) -> Option<Broken> {
    let loaded: BTreeSet<&str> = groups
        .iter()
        .flat_map(|group| &group.rules)
        .filter(|rule| rule.kind == RuleKind::Alerting)
        .map(|rule| rule.name.as_str())
        .collect();
    let missing: Vec<&str> = alerts.iter().map(String::as_str).filter(|name| !loaded.contains(name)).collect();
    if missing.is_empty() {
        return None;
    }
    let message = format!(
        "{server} runs without the alerting rules {}; it has loaded {}",
        missing.join(", "),
        if loaded.is_empty() { "none".to_owned() } else { loaded.into_iter().collect::<Vec<_>>().join(", ") }
    );
    Some(Broken::new(Reason::RuleNotLoaded, message))
}

/// Prometheus's own discovery takes five seconds, whatever is configured.
const DISCOVERY: Duration = Duration::from_secs(5);
/// Room for a busy machine.
const ALLOWANCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);
/// Two clocks may differ by this much.
const SKEW: f64 = 1.0;

impl Gate {
    /// Waits until everything is so. Returns when the first target was seen up.
    ///
    /// # Errors
    /// The gate that stayed shut, with what was last seen.
    pub async fn pass(&self, prometheus: &Prometheus, clock: Clock) -> Result<Option<Stamp>, Broken> {
        self.clocks(prometheus, &clock).await?;
        self.loaded(prometheus).await?;
        let deadline = Instant::now() + DISCOVERY + ALLOWANCE + self.scrape * 4;
        let (first, (), ()) = tokio::try_join!(
            self.up(prometheus, &clock, deadline),
            self.discovered(prometheus, deadline),
            self.evaluated(prometheus)
        )?;
        Ok(first)
    }

    /// Waits until every target was scraped after `since`, so that counters before the load include what came before.
    ///
    /// # Errors
    /// When Prometheus does not answer or does not scrape.
    pub async fn scraped_since(&self, prometheus: &Prometheus, since: Stamp) -> Result<(), Broken> {
        let deadline = Instant::now() + ALLOWANCE + self.scrape * 4;
        loop {
            let targets = prometheus.targets().await.map_err(|error| silent(&error))?.value;
            let late = targets.iter().find(|target| target.last_scrape.is_none_or(|at| at <= since));
            let Some(late) = late else { return Ok(()) };
            if Instant::now() >= deadline {
                return Err(Broken::new(Reason::NoCoverage, format!("target {} is not scraped any more", late.url)));
            }
            sleep(PAUSE).await;
        }
    }

    async fn clocks(&self, prometheus: &Prometheus, clock: &Clock) -> Result<(), Broken> {
        let offset = prometheus.clock_offset(clock).await.map_err(|error| silent(&error))?;
        if offset.seconds.abs() - offset.uncertainty > SKEW {
            let message = format!("Prometheus's clock differs by {:.1} s", offset.seconds);
            return Err(Broken::new(Reason::ClockSkew, message));
        }
        Ok(())
    }

    async fn loaded(&self, prometheus: &Prometheus) -> Result<(), Broken> {
        let groups = prometheus.rules().await.map_err(|error| silent(&error))?.value;
        if groups.iter().all(|group| group.rules.is_empty()) {
            let message = "Prometheus has loaded no rules, and without one nothing proves that it evaluates any; add `rule_files` to its configuration";
            return Err(Broken::new(Reason::RuleNotLoaded, message));
        }
        missing("Prometheus", &self.alerts, &groups).map_or(Ok(()), Err)
    }

    async fn up(&self, prometheus: &Prometheus, clock: &Clock, deadline: Instant) -> Result<Option<Stamp>, Broken> {
        let mut first = None;
        loop {
            let targets = prometheus.targets().await.map_err(|error| silent(&error))?.value;
            if first.is_none() && targets.iter().any(|target| target.health == "up") {
                first = Some(clock.now());
            }
            let shut = self.shut(&targets);
            let Some(shut) = shut else { return Ok(first) };
            if Instant::now() >= deadline {
                return Err(shut);
            }
            sleep(PAUSE).await;
        }
    }

    /// Why the targets are not yet as they must be.
    fn shut(&self, targets: &[Target]) -> Option<Broken> {
        let job = |target: &Target| target.labels.get("job").cloned().unwrap_or_default();
        if let Some(wanted) = self.job.as_ref().filter(|wanted| !targets.iter().any(|target| job(target) == **wanted)) {
            let known: BTreeSet<String> = targets.iter().map(job).collect();
            let known: Vec<String> = known.into_iter().collect();
            let message = format!("Prometheus has no target of job {wanted}; it has {}", known.join(", "));
            return Some(Broken::new(Reason::TargetAbsent, message));
        }
        if targets.len() < self.targets {
            let message = format!("Prometheus has {} of {} targets", targets.len(), self.targets);
            return Some(Broken::new(Reason::TargetAbsent, message));
        }
        let down = targets.iter().find(|target| target.health != "up")?;
        let message = format!("target {} of job {} is {}: {}", down.url, job(down), down.health, down.last_error);
        Some(Broken::new(Reason::TargetDown, message))
    }

    async fn discovered(&self, prometheus: &Prometheus, deadline: Instant) -> Result<(), Broken> {
        if self.alerting != Alerting::Configured {
            return Ok(());
        }
        loop {
            let found = prometheus.alertmanagers().await.map_err(|error| silent(&error))?.value;
            if !found.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let message = "Prometheus did not discover the Alertmanager it is configured with";
                return Err(Broken::new(Reason::HopPromAm, message));
            }
            sleep(PAUSE).await;
        }
    }

    /// Every rule three times: `ALERTS` and recorded series lag by two evaluations after a start (T23).
    async fn evaluated(&self, prometheus: &Prometheus) -> Result<(), Broken> {
        let deadline = Instant::now() + ALLOWANCE + self.evaluation * 6;
        let mut begun: Option<Stamp> = None;
        loop {
            let groups = prometheus.rules().await.map_err(|error| silent(&error))?.value;
            match oldest(&groups) {
                Ok(oldest) => {
                    let begun = *begun.get_or_insert(oldest);
                    if oldest.since(begun) >= self.evaluation * 2 {
                        return broken_rule(&groups).map_or(Ok(()), Err);
                    }
                }
                Err(name) if Instant::now() >= deadline => {
                    return Err(Broken::new(Reason::NoCoverage, format!("rule {name} was not evaluated")));
                }
                Err(_) => {}
            }
            if Instant::now() >= deadline {
                return Err(Broken::new(Reason::NoCoverage, "the rules were not evaluated three times"));
            }
            sleep(PAUSE).await;
        }
    }
}

/// The oldest of the rules' last evaluations, or the first rule without one.
fn oldest(groups: &[Group]) -> Result<Stamp, String> {
    let mut oldest = Stamp(i64::MAX);
    for rule in groups.iter().flat_map(|group| &group.rules) {
        oldest = oldest.min(rule.last_evaluation.ok_or_else(|| rule.name.clone())?);
    }
    Ok(oldest)
}

fn broken_rule(groups: &[Group]) -> Option<Broken> {
    let broken = groups.iter().flat_map(|group| &group.rules).find(|rule| !rule.last_error.is_empty())?;
    Some(Broken::new(Reason::RuleError, format!("rule {} is in error: {}", broken.name, broken.last_error)))
}

fn silent(error: &Error) -> Broken {
    Broken::new(Reason::Unreachable, format!("Prometheus: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect::Labels;
    use crate::telemetry::prometheus::{Health, Rule};

    fn loaded(alert: &str, kind: RuleKind, error: &str) -> Vec<Group> {
        let rule = Rule {
            name: alert.to_owned(),
            kind,
            health: if error.is_empty() { Health::Ok } else { Health::Error },
            last_error: error.to_owned(),
            last_evaluation: Some(Stamp(1)),
            evaluation_time: Duration::ZERO,
            hold: Duration::ZERO,
            keep_firing: Duration::ZERO,
            labels: Labels::new(),
            annotations: Labels::new(),
            query: String::new(),
            alerts: Vec::new(),
        };
        vec![Group {
            name: "g".to_owned(),
            file: "r.yml".to_owned(),
            interval: Duration::from_secs(1),
            last_evaluation: Some(Stamp(1)),
            evaluation_time: Duration::ZERO,
            rules: vec![rule],
        }]
    }

    #[test]
    fn an_alert_that_is_named_must_be_loaded_as_an_alert_t31() {
        let named = BTreeSet::from(["Down".to_owned()]);
        let reason = |groups: &[Group]| missing("Prometheus", &named, groups).map(|broken| broken.reason);
        assert_eq!(reason(&loaded("Down", RuleKind::Alerting, "")), None);
        assert_eq!(reason(&loaded("Dwon", RuleKind::Alerting, "")), Some(Reason::RuleNotLoaded));
        assert_eq!(reason(&loaded("Down", RuleKind::Recording, "")), Some(Reason::RuleNotLoaded));
        assert_eq!(reason(&[]), Some(Reason::RuleNotLoaded));
    }

    #[test]
    fn a_rule_in_error_shuts_the_gate_t24_t30() {
        assert!(broken_rule(&loaded("Down", RuleKind::Alerting, "")).is_none());
        let broken = broken_rule(&loaded("Down", RuleKind::Alerting, "vector contains metrics with the same labelset"));
        assert_eq!(broken.map(|broken| broken.reason), Some(Reason::RuleError));
    }

    #[test]
    fn a_rule_that_was_never_evaluated_is_named_t23() {
        let mut groups = loaded("Down", RuleKind::Alerting, "");
        assert_eq!(oldest(&groups), Ok(Stamp(1)));
        groups[0].rules[0].last_evaluation = None;
        assert_eq!(oldest(&groups), Err("Down".to_owned()));
    }
}
