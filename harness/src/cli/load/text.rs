//! A load for people: a line for every second while it runs, a summary at its end.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::load::Second;
use crate::load::command::Report;

const COLUMNS: [&str; 6] = ["p50", "p90", "p95", "p99", "p99.9", "max"];

/// One second as it happened.
pub(super) fn second(second: &Second) -> String {
    let latency = second.latency_us.map_or_else(
        || "no answer".to_owned(),
        |times| {
            let named = ["p50", "p90", "p99", "max"].iter().zip(times);
            named.map(|(name, micros)| format!("{name} {}", time(micros))).collect::<Vec<_>>().join("  ")
        },
    );
    let dropped = if second.dropped > 0 { format!(", {} dropped", count(second.dropped)) } else { String::new() };
    let (sent, failed, flying) = (count(second.started), count(second.failed), count(second.in_flight));
    format!("{sent}/s{dropped}, {failed} errors, {flying} in flight | {latency}")
}

/// The summary.
pub(super) fn of(report: &Report) -> String {
    let flow = &report.flow;
    let share = |share: Option<f64>| share.map_or_else(|| "n/a".to_owned(), |share| format!("{:.2} %", share * 100.0));
    let mut lines = vec![
        format!(
            "requests  {} planned, {} sent ({}), {} dropped, in {}",
            count(flow.planned),
            count(flow.started),
            share(report.achieved_share),
            count(flow.dropped),
            seconds(report.lasted)
        ),
        format!(
            "answers   {} as expected, {} not, {} requests without one, {} cancelled; errors {}",
            count(flow.succeeded()),
            count(flow.unexpected),
            count(flow.failed),
            count(flow.cancelled),
            share(report.error_share)
        ),
        String::new(),
        COLUMNS.iter().fold(" ".repeat(10), |line, name| format!("{line}{name:>10}")),
        row("latency", &report.latency_us, "from the intended start"),
        row("service", &report.service_time_us, "from the actual start"),
        row("lag", &report.lag_us, "from the intended to the actual start"),
    ];
    if let Some(warm_up) = &report.warm_up {
        let (lasted, planned) = (seconds(warm_up.lasted), count(warm_up.planned));
        lines.push(format!("          without the warm-up: {planned} requests in the first {lasted}"));
    }
    lines.push(String::new());
    for request in &report.requests {
        let statuses = request.statuses.iter().map(|(status, number)| format!("{status}: {}", count(*number)));
        lines.push(format!("{} {}  {}", request.method, request.route, statuses.collect::<Vec<_>>().join(", ")));
    }
    lines.extend(report.tls_failure.iter().map(|why| format!("TLS failed: {why}")));
    lines.extend(report.doubts.iter().map(|doubt| format!("INCONCLUSIVE({}): {}", doubt.code, doubt.what)));
    lines.join("\n")
}

fn row(name: &str, times: &BTreeMap<String, u64>, meaning: &str) -> String {
    let value = |column: &&str| times.get(*column).map_or_else(|| "n/a".to_owned(), |micros| time(*micros));
    let values = COLUMNS.iter().fold(String::new(), |line, column| format!("{line}{:>10}", value(column)));
    format!("{name:10}{values}   {meaning}")
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// With as many digits as a person can use.
#[expect(clippy::cast_precision_loss, reason = "a time shown to people")]
fn time(micros: u64) -> String {
    let millis = micros as f64 / 1e3;
    match millis {
        ..1.0 => format!("{millis:.3} ms"),
        1.0..10.0 => format!("{millis:.2} ms"),
        10.0..1e4 => format!("{millis:.1} ms"),
        _ => format!("{:.1} s", millis / 1e3),
    }
}

/// With commas between thousands.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|it| std::str::from_utf8(it).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Stamp;
    use crate::load::Flow;
    use crate::load::command::Doubt;

    #[test]
    fn numbers_are_written_as_people_read_them() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([87, 1_250, 45_678, 61_000_000].map(time), ["0.087 ms", "1.25 ms", "45.7 ms", "61.0 s"]);
    }

    #[test]
    fn without_a_single_answer_percentiles_are_not_available_and_nothing_is_concluded_l12() {
        let none = BTreeMap::new;
        let doubt = Doubt { code: "NO_DATA".to_owned(), what: "not a single request was answered".to_owned() };
        let report = Report {
            load: "test".to_owned(),
            started_at: Stamp(0),
            lasted: Duration::from_secs(1),
            warm_up: None,
            flow: Flow { planned: 5, started: 5, failed: 5, ..Flow::default() },
            error_share: Some(1.0),
            achieved_share: Some(1.0),
            latency_us: none(),
            service_time_us: none(),
            lag_us: none(),
            errors: BTreeMap::new(),
            requests: Vec::new(),
            tls_failure: None,
            saturation: None,
            doubts: vec![doubt],
        };
        let text = of(&report);
        let row = |name| text.lines().find(|line| line.starts_with(name)).map(|line| line.matches("n/a").count());
        assert_eq!([row("latency"), row("service"), row("lag")], [Some(COLUMNS.len()); 3]);
        assert!(text.ends_with("INCONCLUSIVE(NO_DATA): not a single request was answered"), "{text}");
    }

    #[test]
    fn a_second_without_an_answer_says_so() {
        let mut it = Second {
            second: Stamp(0),
            planned: 1_200,
            started: 1_000,
            dropped: 200,
            succeeded: 0,
            failed: 3,
            in_flight: 1_000,
            latency_us: None,
        };
        assert_eq!(second(&it), "1,000/s, 200 dropped, 3 errors, 1,000 in flight | no answer");
        (it.dropped, it.latency_us) = (0, Some([100, 200, 3_000, 40_000]));
        assert_eq!(
            second(&it),
            "1,000/s, 3 errors, 1,000 in flight | p50 0.100 ms  p90 0.200 ms  p99 3.00 ms  max 40.0 ms"
        );
    }
}
