//! Judges `that.agreement { of = "latency" }`: the service's own histogram against itself and against what the client measured.
//!
//! A histogram knows a quantile to the width of a bucket, and the client's time holds the way there and back: the client can
//! never be quicker than the bucket's lower bound, and hardly slower than its upper bound and `WAY`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Agreement;
use crate::outcome::{Evidence, Outcome, Reason};

/// A histogram's growth over the load.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Upper bound in seconds and observations up to it, ascending; the last bound is infinite.
    pub buckets: Vec<(f64, f64)>,
    /// `_count`.
    pub count: f64,
    /// `_sum` in seconds.
    pub sum: f64,
}

/// What the client measured, from the actual start of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// How many requests.
    pub count: u64,
    /// By quantile (in [`QUANTILES`]).
    pub quantiles: Vec<Duration>,
}

/// What was observed, by route; the empty route is all together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// The service's.
    pub histograms: BTreeMap<String, Histogram>,
    /// The client's.
    pub client: BTreeMap<String, Measured>,
    /// What limited the load generator, if anything did.
    pub saturation: Option<String>,
    /// Why something could not be read.
    pub error: Option<String>,
}

/// The quantiles that are compared.
pub const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)];
/// What connecting, queueing and reading may add to the service's own time.
const WAY: f64 = 0.05;
/// Above this quantile a busy machine, and not the histogram, decides how much slower the client is.
const TAIL: f64 = 0.95;
/// Fewer observations have no quantiles to speak of.
const FEW: f64 = 50.0;

/// Judges an agreement on latency.
#[must_use]
pub fn judge(spec: &Agreement, seen: &Seen) -> Outcome {
    let evidence = describe(seen);
    let open = |reason, summary: String| Outcome::Inconclusive(reason, Evidence { summary, ..evidence.clone() });
    if let Some(error) = &seen.error {
        return open(Reason::NoCoverage, error.clone());
    }
    let told = seen.histograms.values().map(|histogram| histogram.count).fold(0.0, f64::max);
    if told < FEW {
        return open(Reason::NoData, format!("the histogram has {told} observations, too few for a quantile"));
    }
    let wrong = |summary| Outcome::Failed(Reason::HistogramMismatch, Evidence { summary, ..evidence.clone() });
    for (route, histogram) in &seen.histograms {
        if let Some(contradiction) = contradiction(histogram) {
            return wrong(format!("{}: {contradiction}", place(route)));
        }
    }
    let mut compared = 0;
    for (route, histogram) in seen.histograms.iter().filter(|(_, histogram)| histogram.count >= FEW) {
        let Some(client) = seen.client.get(route) else { continue };
        for ((name, quantile), measured) in QUANTILES.iter().zip(&client.quantiles) {
            compared += 1;
            let client = measured.as_secs_f64();
            let (low, high) = bracket(histogram, *quantile);
            if client < low * (1.0 - spec.tolerance) - 1e-3 {
                let summary = format!(
                    "{} {name}: the histogram says more than {low} s, and the client had its answer after {client:.4} s",
                    place(route)
                );
                return wrong(summary);
            }
            if *quantile < TAIL && client > high * (1.0 + spec.tolerance) + WAY {
                let summary = format!(
                    "{} {name}: the histogram says at most {high} s, and the client waited {client:.4} s",
                    place(route)
                );
                return match &seen.saturation {
                    Some(saturation) => open(
                        Reason::GeneratorSaturated,
                        format!("{summary}; the load generator was saturated: {saturation}"),
                    ),
                    None => wrong(summary),
                };
            }
        }
    }
    if compared == 0 {
        return open(Reason::NoData, "no route of the histogram is one that the client asked for".to_owned());
    }
    let summary = format!("{compared} quantiles of the histogram agree with the client's within a bucket and {WAY} s");
    Outcome::Passed(Evidence { summary, ..evidence })
}

fn place(route: &str) -> &str {
    if route.is_empty() { "all routes" } else { route }
}

/// What no histogram may say about itself.
fn contradiction(histogram: &Histogram) -> Option<String> {
    let Some((bound, whole)) = histogram.buckets.last() else { return Some("there are no buckets".to_owned()) };
    if bound.is_finite() {
        return Some("there is no bucket at +Inf".to_owned());
    }
    if let Some(pair) = histogram.buckets.windows(2).find(|pair| pair[0].1 > pair[1].1) {
        return Some(format!("the bucket at {} holds more than the one at {}", pair[0].0, pair[1].0));
    }
    if (whole - histogram.count).abs() > 0.5 {
        return Some(format!("the bucket at +Inf grew by {whole} and _count by {}", histogram.count));
    }
    let mut below = (0.0, 0.0);
    let (mut least, mut most) = (0.0, 0.0);
    for (bound, cumulative) in &histogram.buckets {
        let inside = cumulative - below.1;
        least += inside * below.0;
        most += if inside > 0.0 { inside * bound } else { 0.0 };
        below = (*bound, *cumulative);
    }
    let sum = histogram.sum;
    let rounding = 1e-6 * histogram.count.max(1.0);
    (sum < least - rounding || sum > most + rounding)
        .then(|| format!("_sum grew by {sum:.3} s, and the buckets allow {least:.3} s to {most:.3} s"))
}

/// Lower and upper bound of the bucket that holds a quantile; two observations to either side may decide which it is.
fn bracket(histogram: &Histogram, quantile: f64) -> (f64, f64) {
    let slip = (2.0 / histogram.count).max(0.005);
    let at = |quantile: f64| {
        let rank = (quantile.clamp(0.0, 1.0) * histogram.count).max(1.0);
        let index = histogram.buckets.iter().position(|(_, count)| *count >= rank);
        index.unwrap_or(histogram.buckets.len().saturating_sub(1))
    };
    let (low, high) = (at(quantile - slip), at(quantile + slip));
    let lower = low.checked_sub(1).map_or(0.0, |before| histogram.buckets[before].0);
    (lower, histogram.buckets.get(high).map_or(f64::INFINITY, |(bound, _)| *bound))
}

fn describe(seen: &Seen) -> Evidence {
    let mut rows = Vec::new();
    for (route, histogram) in &seen.histograms {
        let client = seen.client.get(route);
        for (index, (name, quantile)) in QUANTILES.iter().enumerate() {
            let (low, high) = bracket(histogram, *quantile);
            let measured = client.and_then(|client| client.quantiles.get(index));
            let measured = measured.map_or_else(|| "–".to_owned(), |it| format!("{:.4} s", it.as_secs_f64()));
            let bound = if high.is_finite() {
                format!("{low} s to {high} s")
            } else {
                format!("more than {low} s (top bucket)")
            };
            rows.push(vec![place(route).to_owned(), (*name).to_owned(), bound, measured, histogram.count.to_string()]);
        }
    }
    Evidence::default().with_table("quantiles", &["route", "quantile", "histogram", "client", "observations"], rows)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::expect::Counted;

    fn spec(tolerance: f64) -> Agreement {
        Agreement { of: Counted::Latency, between: BTreeSet::new(), by: BTreeSet::new(), tolerance }
    }

    /// A thousand observations: 600 up to 10 ms, 350 up to 100 ms, 50 up to a second.
    fn histogram() -> Histogram {
        let buckets = vec![(0.01, 600.0), (0.1, 950.0), (1.0, 1000.0), (f64::INFINITY, 1000.0)];
        Histogram { buckets, count: 1000.0, sum: 30.0 }
    }

    fn seen(histogram: Histogram, millis: [u64; 3]) -> Seen {
        let quantiles = millis.iter().map(|millis| Duration::from_millis(*millis)).collect();
        Seen {
            histograms: BTreeMap::from([(String::new(), histogram)]),
            client: BTreeMap::from([(String::new(), Measured { count: 1000, quantiles })]),
            ..Seen::default()
        }
    }

    fn reason(seen: &Seen) -> Option<Reason> {
        judge(&spec(0.0), seen).reason()
    }

    #[test]
    fn a_client_inside_the_buckets_agrees() {
        assert_eq!(reason(&seen(histogram(), [8, 80, 700])), None);
    }

    #[test]
    fn the_way_there_and_back_is_allowed_and_no_more() {
        assert_eq!(reason(&seen(histogram(), [60, 150, 700])), None);
        assert_eq!(reason(&seen(histogram(), [61, 150, 700])), Some(Reason::HistogramMismatch));
        assert_eq!(reason(&seen(histogram(), [60, 151, 700])), Some(Reason::HistogramMismatch));
    }

    #[test]
    fn a_client_quicker_than_the_service_shows_a_wrong_unit() {
        let mut wrong = histogram();
        wrong.buckets.iter_mut().for_each(|(bound, _)| *bound *= 1000.0);
        wrong.sum *= 1000.0;
        assert_eq!(reason(&seen(wrong, [8, 80, 700])), Some(Reason::HistogramMismatch));
    }

    #[test]
    fn the_lower_bound_is_the_buckets_own() {
        assert_eq!(reason(&seen(histogram(), [8, 10, 700])), None);
        assert_eq!(reason(&seen(histogram(), [8, 8, 700])), Some(Reason::HistogramMismatch));
    }

    #[test]
    fn a_tolerance_is_on_top() {
        let seen = seen(histogram(), [8, 155, 700]);
        assert_eq!(judge(&spec(0.1), &seen).reason(), None);
        assert_eq!(judge(&spec(0.0), &seen).reason(), Some(Reason::HistogramMismatch));
    }

    #[test]
    fn a_slow_tail_is_the_machines_and_a_saturated_generators_word_is_none() {
        assert_eq!(reason(&seen(histogram(), [8, 80, 4_000])), None);
        let saturated = Seen { saturation: Some("lag".to_owned()), ..seen(histogram(), [8, 400, 700]) };
        assert!(matches!(judge(&spec(0.0), &saturated), Outcome::Inconclusive(Reason::GeneratorSaturated, _)));
    }

    #[test]
    fn a_quantile_in_the_top_bucket_is_a_lower_bound_only_t12() {
        let top = Histogram { buckets: vec![(0.01, 100.0), (f64::INFINITY, 1000.0)], count: 1000.0, sum: 9000.0 };
        assert_eq!(reason(&seen(top.clone(), [60_000, 60_000, 60_000])), None);
        assert_eq!(reason(&seen(top, [5, 60_000, 60_000])), Some(Reason::HistogramMismatch));
    }

    #[test]
    fn two_observations_may_decide_the_bucket() {
        let edge = Histogram {
            buckets: vec![(0.01, 501.0), (0.1, 1000.0), (f64::INFINITY, 1000.0)],
            count: 1000.0,
            sum: 20.0,
        };
        assert_eq!(reason(&seen(edge, [70, 80, 90])), None, "the median lies between two buckets");
    }

    #[test]
    fn a_histogram_that_contradicts_itself_is_found() {
        let with = |change: fn(&mut Histogram)| {
            let mut histogram = histogram();
            change(&mut histogram);
            reason(&seen(histogram, [8, 80, 700]))
        };
        let wrong = Some(Reason::HistogramMismatch);
        assert_eq!(with(|it| it.count = 1001.0), wrong, "+Inf against _count");
        assert_eq!(with(|it| it.buckets[1].1 = 500.0), wrong, "not cumulative");
        assert_eq!(with(|it| it.sum = 92.0), wrong, "a sum above what the buckets allow");
        assert_eq!(with(|it| it.sum = 8.0), wrong, "a sum below it");
        assert_eq!(with(|it| it.buckets.truncate(3)), wrong, "no +Inf");
    }

    #[test]
    fn few_observations_and_errors_decide_nothing() {
        let few = Histogram { buckets: vec![(f64::INFINITY, 49.0)], count: 49.0, sum: 1.0 };
        assert!(matches!(judge(&spec(0.0), &seen(few, [1, 1, 1])), Outcome::Inconclusive(Reason::NoData, _)));
        let broken = Seen { error: Some("Prometheus does not answer".to_owned()), ..Seen::default() };
        assert!(matches!(judge(&spec(0.0), &broken), Outcome::Inconclusive(Reason::NoCoverage, _)));
        let mut other = seen(histogram(), [8, 80, 700]);
        other.client = BTreeMap::from([("/elsewhere".to_owned(), Measured::default())]);
        assert!(matches!(judge(&spec(0.0), &other), Outcome::Inconclusive(Reason::NoData, _)));
    }
}
