//! Command-line flags under a time scale. Read by the providers that start Prometheus and Alertmanager. At scale 1 they are
//! production's defaults, except for what isolation needs. Why these values: `docs/design/time-scale.md`.

use std::time::Duration;

use super::duration::{self, Rounding, Scale};

/// Prometheus's default `--query.lookback-delta`.
pub const LOOKBACK: Duration = Duration::from_mins(5);
/// Prometheus's default `--rules.alert.resend-delay`.
pub const RESEND_DELAY: Duration = Duration::from_mins(1);
/// Prometheus's default `--rules.alert.for-grace-period`.
pub const GRACE_PERIOD: Duration = Duration::from_mins(10);
/// Below it, the five seconds in which a starting Prometheus cannot send make alerts resolve spuriously (measured).
pub const SHORTEST_RESEND_DELAY: Duration = Duration::from_secs(3);

/// How far back an instant query looks under a scale.
#[must_use]
pub fn lookback(scale: Scale) -> Duration {
    scale.shorten(LOOKBACK, Rounding::Down).duration
}

/// How often a firing alert is sent again, and after which a lost one is retried.
#[must_use]
pub fn resend_delay(scale: Scale) -> Duration {
    if scale.is_identity() {
        RESEND_DELAY
    } else {
        scale.shorten(RESEND_DELAY, Rounding::Up).duration.max(SHORTEST_RESEND_DELAY)
    }
}

/// The shortest `for` that survives a restart of Prometheus.
#[must_use]
pub fn grace_period(scale: Scale) -> Duration {
    scale.shorten(GRACE_PERIOD, Rounding::Up).duration
}

/// Flags for Prometheus that follow from the scale.
#[must_use]
pub fn prometheus_flags(scale: Scale) -> Vec<String> {
    if scale.is_identity() {
        return Vec::new();
    }
    vec![
        format!("--query.lookback-delta={}", duration::print(lookback(scale))),
        format!("--rules.alert.resend-delay={}", duration::print(resend_delay(scale))),
        format!("--rules.alert.for-grace-period={}", duration::print(grace_period(scale))),
    ]
}

/// Flags for Alertmanager: no clustering, which would hold notifications back for four gossip rounds and talk to others.
#[must_use]
pub fn alertmanager_flags(_scale: Scale) -> Vec<String> {
    vec!["--cluster.listen-address=".to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_follow_the_scale_and_the_resend_delay_has_a_floor() {
        let scale = Scale::new(60.0).unwrap();
        let expected =
            ["--query.lookback-delta=5s", "--rules.alert.resend-delay=3s", "--rules.alert.for-grace-period=10s"];
        assert_eq!(prometheus_flags(scale), expected);
        assert_eq!(resend_delay(Scale::new(10.0).unwrap()), Duration::from_secs(6));
        assert!(prometheus_flags(Scale::ONE).is_empty());
    }
}
