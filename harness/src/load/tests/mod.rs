//! Honesty tests: what the engine says against what a server on a port saw. Times are judged with the server's own
//! measurements and the engine's own lag as allowance, so that a busy machine does not turn truth into failure.

mod multiplex;
mod process;
mod secure;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use server::{Reply, Server, Then};

use super::*;
use crate::clock::Clock;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn steady(server: &Server, rate: f64, lasts: Duration) -> Spec {
    let mut spec = Spec::new("test", server.target(), Model::steady(rate, 1_000), vec![RequestTemplate::get("/")]);
    spec.lasts = Some(lasts);
    spec
}

async fn run(spec: Spec) -> Summary {
    let handle = start(spec, Clock::start()).unwrap();
    handle.finished().await;
    let summary = handle.stop(Duration::ZERO).await;
    assert_balanced(&summary);
    summary
}

/// What holds for every summary.
fn assert_balanced(summary: &Summary) {
    let Flow { planned, started, dropped, completed, unexpected, failed, .. } = summary.flow;
    assert_eq!(planned, started + dropped);
    assert_eq!(summary.flow.in_flight(), 0);
    let ended: u64 = summary.ledger.values().flat_map(BTreeMap::values).sum();
    assert_eq!(ended, completed + failed);
    assert_eq!(summary.errors.values().sum::<u64>(), unexpected + failed);
    let all = summary.between(summary.started_at, summary.taken_at + SECOND);
    assert_eq!(all.flow(None), summary.flow);
    assert_eq!(all.flow(None), summary.whole().flow(None));
    let count = |window: &Window| window.latency_by_class().map(|(_, _, latency)| latency.count()).sum::<u64>();
    assert_eq!((count(&all), count(summary.whole())), (ended, ended));
}

fn assert_near(actual: Duration, expected: Duration, allowance: Duration, what: &str) {
    assert!(actual.abs_diff(expected) <= allowance, "{what}: {actual:?}, expected {expected:?} ± {allowance:?}");
}

fn statuses(summary: &Summary) -> BTreeMap<String, u64> {
    summary.ledger.values().flatten().map(|(status, count)| (status.to_string(), *count)).collect()
}

#[tokio::test]
async fn a_stall_shows_in_the_percentiles_of_the_open_model_l01() {
    let stall = |seen: &server::Seen| {
        let stalled = seen.at >= SECOND && seen.at < SECOND + 400 * MS;
        Reply::ok().after(if stalled { SECOND + 400 * MS - seen.at } else { Duration::ZERO })
    };
    let server = Server::start(stall);
    let summary = run(steady(&server, 200.0, 2 * SECOND)).await;
    // the stalled share is 1/5: p90 = D/2, p99 = 0.95 D
    let latency = summary.whole().latency(None).unwrap();
    let allowance = 20 * MS + summary.whole().lag().max().unwrap();
    assert_near(latency.quantile(0.9).unwrap(), 200 * MS, allowance, "p90");
    assert_near(latency.quantile(0.99).unwrap(), 380 * MS, allowance, "p99");
    assert_near(latency.max().unwrap(), 400 * MS, allowance, "max");
    assert!(latency.quantile(0.5).unwrap() < 20 * MS + allowance);
    assert_eq!((summary.flow.planned, summary.flow.dropped, server.counts.received()), (400, 0, 400));
    assert_eq!(summary.errors, BTreeMap::new());
}

#[tokio::test]
async fn a_stall_of_the_server_is_in_latency_and_service_time_alike_as_every_request_is_sent_on_time_l02() {
    let stall = |seen: &server::Seen| {
        let stalled = (SECOND / 2..SECOND).contains(&seen.at);
        Reply::ok().after(if stalled { SECOND - seen.at } else { Duration::ZERO })
    };
    let server = Server::start(stall);
    let summary = run(steady(&server, 200.0, 2 * SECOND)).await;
    for window in summary.series(250 * MS) {
        let (Some(latency), Some(service)) = (window.latency(None), window.service_time(None)) else { continue };
        for quantile in [0.5, 0.99, 1.0] {
            let (latency, service) = (latency.quantile(quantile).unwrap(), service.quantile(quantile).unwrap());
            // histograms tell values apart to 1 %
            let lag = window.lag().max().unwrap() + latency / 50 + MS;
            assert!(
                latency + latency / 50 >= service && latency - service.min(latency) <= lag,
                "{latency:?} {service:?}"
            );
        }
    }
    let stalled = summary.between(summary.started_at + SECOND / 2, summary.started_at + 750 * MS);
    assert!(stalled.service_time(None).unwrap().quantile(0.5).unwrap() >= 200 * MS);
}

#[tokio::test]
async fn one_slow_answer_in_a_hundred_is_where_it_belongs_and_the_slowest_is_not_clipped_l04() {
    let delay = |number: u64| if number % 100 == 50 { SECOND } else { 5 * MS };
    let server = Server::start(move |seen| Reply::ok().after(delay(seen.number)));
    let summary = run(steady(&server, 200.0, 2 * SECOND)).await;
    let service = summary.whole().service_time(None).unwrap();
    let lag = summary.whole().lag().max().unwrap();
    // against the server's own measurements: 4 of 400 are slow, so p98 is fast and p99.5 is slow
    for (quantile, allowance) in [(0.5, MS), (0.995, SECOND / 50), (1.0, SECOND / 50)] {
        let (told, took) = (service.quantile(quantile).unwrap(), server.counts.took(quantile));
        let near = told + told / 500 >= took && told <= took + allowance + lag;
        assert!(near, "{quantile}: {told:?}, server {took:?}, lag {lag:?}");
    }
    assert!(service.max().unwrap() >= SECOND && service.quantile(0.98).unwrap() < SECOND / 2);
}

#[tokio::test]
async fn a_warm_up_is_left_out_of_the_times_only_if_it_is_declared_and_is_counted_l10() {
    for (declared, left_out) in [(Duration::ZERO, 0), (SECOND / 2, 50)] {
        let cold = |seen: &server::Seen| Reply::ok().after(if seen.number < 50 { 400 * MS } else { Duration::ZERO });
        let server = Server::start(cold);
        let mut spec = steady(&server, 100.0, 3 * SECOND / 2);
        spec.warm_up = declared;
        let summary = run(spec).await;
        let report = command::Report::from(&summary);
        assert_eq!((report.flow.planned, summary.warmed_up_by(), server.counts.received()), (150, left_out, 150));
        assert_eq!(report.warm_up.map(|warm_up| warm_up.planned), (left_out > 0).then_some(left_out));
        assert_eq!(report.requests[0].statuses.values().sum::<u64>(), 150, "the ledger has them all");
        let slow = report.latency_us["p90"] >= 400_000;
        assert_eq!(slow, declared.is_zero(), "{:?}", report.latency_us);
        assert_eq!(summary.measured().latency(None).unwrap().count(), 150 - left_out);
    }
}

#[test]
fn only_the_monotonic_clock_is_read_so_that_a_jump_of_the_wall_clock_moves_no_rate_l13() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/load");
    let entries = |folder| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut read = 0;
    for path in entries(folder.clone()).chain(entries(folder.join("http2"))).filter(|path| path.is_file()) {
        let text = std::fs::read_to_string(&path).unwrap();
        // `Clock` reads the wall once, when it is made; a stamp is that and the monotonic time since
        for forbidden in ["wall(", "SystemTime", "Realtime", "clock.now()", "Clock::start"] {
            assert!(!text.contains(forbidden), "{}: {forbidden}", path.display());
        }
        read += 1;
    }
    assert!(read > 20);
    let clock = Clock::start();
    // exactly an hour apart: a stamp has whole microseconds
    let one = crate::clock::instant();
    let other = one + 3_600 * SECOND;
    assert_eq!(clock.stamp(other).since(clock.stamp(one)), 3_600 * SECOND);
}

#[tokio::test]
async fn every_second_of_the_ledger_is_the_servers_own_count_by_status_l07() {
    let server = Server::start(|seen| if seen.number % 9 == 0 { Reply::status(503) } else { Reply::ok() });
    let mut spec = steady(&server, 100.0, 3 * SECOND);
    spec.request_id_prefix = Some(String::new());
    let summary = run(spec).await;
    // request n is due (n - 1) / 100 s after the start, so the number that came with it tells its second
    let mut theirs = BTreeMap::new();
    for seen in server.counts.seen() {
        let number: u64 = seen.id.unwrap().parse().unwrap();
        let class = if seen.number % 9 == 0 { Class::ServerError } else { Class::Success };
        *theirs.entry(((number - 1) / 100, class)).or_insert(0_u64) += 1;
    }
    let mut ours = BTreeMap::new();
    for (second, window) in (0_u64..).zip(summary.series(SECOND).take(3)) {
        ours.extend(window.latency_by_class().map(|(_, class, times)| ((second, class), times.count())));
    }
    assert_eq!(ours, theirs);
}

#[tokio::test]
async fn a_generator_that_may_not_send_during_a_stall_still_reports_it() {
    // one connection would be a closed loop; what it could not send is in the count of the dropped
    let server = Server::start(|seen| Reply::ok().after(if seen.number == 10 { 300 * MS } else { Duration::ZERO }));
    let mut spec = steady(&server, 100.0, SECOND);
    spec.model = Model::steady(100.0, 1);
    let summary = run(spec).await;
    assert!(summary.flow.dropped >= 25, "{:?}", summary.flow);
    assert!(summary.flow.achieved_share().unwrap() < 0.8);
}

#[tokio::test]
async fn a_constant_delay_is_reported_as_it_is_l03() {
    let server = Server::start(|_| Reply::ok().after(50 * MS));
    let summary = run(steady(&server, 200.0, SECOND)).await;
    let (latency, service) = (summary.whole().latency(None).unwrap(), summary.whole().service_time(None).unwrap());
    let lag = summary.whole().lag().max().unwrap();
    for told in [latency, service] {
        // other programs run beside this test: what they cost is in the server's own times and in the lag, but for the time
        // in which its threads are not woken, so that only the benchmark bounds p99 from above
        let (p50, p99) = (told.quantile(0.5).unwrap(), told.quantile(0.99).unwrap());
        let (took, most) = (server.counts.took(0.5), server.counts.took(0.99));
        assert!(p50 + p50 / 500 >= took && p50 <= took + 2 * MS + lag, "{p50:?}, server {took:?}, lag {lag:?}");
        assert!(p99 + p99 / 500 >= most && told.quantile(0.005).unwrap() >= 50 * MS, "{p99:?}, server {most:?}");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_dropped_and_counted_exactly_l05() {
    let server = Server::start(|_| Reply::ok().after(300 * MS));
    let mut spec = steady(&server, 100.0, 1_500 * MS);
    spec.model = Model::steady(100.0, 2);
    let summary = run(spec).await;
    assert_eq!(summary.flow.planned, 150);
    assert_eq!(summary.flow.started, server.counts.received());
    assert!((6..=10).contains(&summary.flow.started), "{:?}", summary.flow);
    assert_eq!(summary.flow.dropped, 150 - server.counts.received());
}

#[tokio::test]
async fn the_ledger_is_the_servers_own_count_l07() {
    let server = Server::start(|seen| match seen.line.as_str() {
        "POST /items/7/reserve HTTP/1.1" if seen.number % 2 == 0 => Reply::status(409),
        "POST /items/7/reserve HTTP/1.1" => Reply::status(201),
        _ if seen.number % 7 == 0 => Reply::status(503),
        _ => Reply::ok(),
    });
    let mut reserve = RequestTemplate::get("/items/{id}/reserve");
    reserve.method = "POST".to_owned();
    reserve.json = Some(serde_json::json!({ "quantity": 1 }));
    reserve.with = BTreeMap::from([("id".to_owned(), Generator::Range(7, 7))]);
    reserve.expect.status = vec![201, 409];
    let mut spec = steady(&server, 1_000.0, SECOND);
    spec.requests.push(reserve);
    let summary = run(spec).await;
    let expected = server.counts.by_status().into_iter().map(|(status, count)| (status.to_string(), count));
    let mut ours = BTreeMap::new();
    for (status, count) in summary.ledger.values().flatten() {
        *ours.entry(status.to_string()).or_insert(0) += *count;
    }
    assert_eq!(ours, expected.collect());
    assert_eq!(summary.flow.unexpected, server.counts.by_status()[&503]);
    assert_eq!(summary.errors, BTreeMap::from([(ErrorClass::Status, summary.flow.unexpected)]));
    let key = Key {
        method: "POST".to_owned(),
        route: "/items/{id}/reserve".to_owned(),
        request: "/items/{id}/reserve".to_owned(),
    };
    let posts = server.counts.seen().iter().filter(|seen| seen.line.starts_with("POST")).count() as u64;
    assert_eq!(summary.ledger[&key].values().sum::<u64>(), posts);
    assert_eq!(summary.whole().flow(Some("/items/{id}/reserve")).completed, posts);
    assert!(
        server
            .counts
            .seen()
            .iter()
            .filter(|seen| seen.line.starts_with("POST"))
            .all(|seen| seen.body == "{\"quantity\":1}")
    );
}

#[tokio::test]
async fn while_it_runs_the_ledger_is_the_servers_count_but_for_what_is_in_flight_l07() {
    let behave = |seen: &server::Seen| if seen.number % 5 == 4 { Reply::status(503) } else { Reply::ok() };
    let server = Server::start(move |seen| behave(seen).after(100 * MS));
    let mut handle = start(steady(&server, 500.0, 60 * SECOND), Clock::start()).unwrap();
    for _ in 0..2 {
        handle.samples().recv().await.unwrap();
        let before = server.counts.by_status();
        let summary = handle.snapshot().await;
        let (after, in_flight) = (server.counts.by_status(), summary.flow.in_flight());
        assert!(in_flight > 0);
        for status in [200, 503] {
            let ours = statuses(&summary)[&status.to_string()];
            let (least, most) = (before[&status].saturating_sub(in_flight), after[&status]);
            assert!((least..=most).contains(&ours), "{status}: {ours}, server {least} to {most}");
        }
    }
    let summary = handle.stop(SECOND).await;
    let theirs = server.counts.by_status().into_iter().map(|(status, count)| (status.to_string(), count));
    assert_eq!(statuses(&summary), theirs.collect());
}

#[tokio::test]
async fn timeouts_are_in_the_denominator_with_a_latency_of_at_least_the_timeout_l09() {
    let server =
        Server::start(|seen| Reply::ok().after(if seen.number % 10 == 3 { 3 * SECOND } else { Duration::ZERO }));
    let mut spec = steady(&server, 100.0, SECOND);
    spec.timeout = 200 * MS;
    let summary = run(spec).await;
    assert_eq!(statuses(&summary), BTreeMap::from([("200".to_owned(), 90), ("timeout".to_owned(), 10)]));
    assert_eq!(summary.flow.error_share(), Some(0.1));
    let latency = summary.whole().latency(None).unwrap();
    assert_eq!(latency.count(), 100);
    assert!(latency.quantile(0.95).unwrap() >= 200 * MS && latency.quantile(0.89).unwrap() < 200 * MS);
}

#[tokio::test]
async fn without_a_single_answer_there_is_no_percentile_l12() {
    let server = Server::start(|_| Reply::ok().then(Then::Hang));
    let summary = run(steady(&server, 50.0, SECOND / 2)).await;
    assert_eq!((summary.flow.completed, summary.flow.failed), (0, 25));
    assert_eq!(summary.flow.error_share(), Some(1.0));
    assert!(summary.whole().latency(None).is_none() && summary.whole().service_time(None).is_none());
    assert_eq!(statuses(&summary), BTreeMap::from([("closed".to_owned(), 25)]));
    let report = command::Report::from(&summary);
    assert!(report.latency_us.is_empty() && report.service_time_us.is_empty());
    assert_eq!(report.doubts.iter().map(|doubt| doubt.code.as_str()).collect::<Vec<_>>(), ["NO_DATA"]);
}

#[tokio::test]
async fn a_port_on_which_nobody_listens_is_a_connect_error_not_a_success() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let target = Target::resolve(&format!("http://{free}"), Reach::Loopback).unwrap();
    let mut spec = Spec::new("test", target, Model::steady(1_000.0, 10), vec![RequestTemplate::get("/")]);
    spec.lasts = Some(SECOND / 2);
    let summary = run(spec).await;
    assert_eq!(statuses(&summary), BTreeMap::from([("connect".to_owned(), summary.flow.started)]));
}

#[tokio::test]
async fn a_stop_cancels_what_is_in_flight_and_nothing_is_sent_after_it() {
    let server = Server::start(|_| Reply::ok().after(60 * SECOND));
    let mut spec = steady(&server, 100.0, 60 * SECOND);
    spec.timeout = 60 * SECOND;
    let mut handle = start(spec, Clock::start()).unwrap();
    let first = handle.samples().recv().await.unwrap();
    assert_eq!((first.planned, first.in_flight, first.latency_us), (100, 100, None));
    let summary = handle.stop(Duration::ZERO).await;
    assert_balanced(&summary);
    assert_eq!(summary.flow.cancelled, summary.flow.started);
    assert!((100..200).contains(&summary.flow.started), "{:?}", summary.flow);
    assert!(server.counts.received() <= summary.flow.started);
}

#[tokio::test]
async fn a_stop_with_a_drain_waits_for_the_answers() {
    let server = Server::start(|_| Reply::ok().after(300 * MS));
    let mut handle = start(steady(&server, 100.0, 60 * SECOND), Clock::start()).unwrap();
    handle.samples().recv().await.unwrap();
    let summary = handle.stop(30 * SECOND).await;
    assert_balanced(&summary);
    assert_eq!((summary.flow.cancelled, summary.flow.completed), (0, server.counts.received()));
}

#[tokio::test]
async fn a_dropped_handle_stops_the_load() {
    let server = Server::start(|_| Reply::ok().after(60 * SECOND));
    let mut handle = start(steady(&server, 100.0, 60 * SECOND), Clock::start()).unwrap();
    let first = handle.samples().recv().await;
    assert!(first.is_some());
    let (_, empty) = tokio::sync::mpsc::unbounded_channel();
    let mut seconds = std::mem::replace(handle.samples(), empty);
    drop(handle);
    while seconds.recv().await.is_some() {}
}

#[tokio::test]
async fn a_snapshot_is_consistent_while_the_load_runs() {
    let server = Server::start(|_| Reply::ok().after(100 * MS));
    let mut handle = start(steady(&server, 500.0, 60 * SECOND), Clock::start()).unwrap();
    handle.samples().recv().await.unwrap();
    let first = handle.snapshot().await;
    let Flow { planned, started, dropped, completed, .. } = first.flow;
    assert_eq!(planned, started + dropped);
    assert!(first.flow.in_flight() > 0 && completed > 0);
    assert_eq!(first.ledger.values().flat_map(BTreeMap::values).sum::<u64>(), completed);
    handle.samples().recv().await.unwrap();
    let last = handle.stop(SECOND).await;
    assert_balanced(&last);
    assert!(last.flow.planned > planned);
    // what was settled then has not changed since
    let from = first.started_at;
    let planned = |summary: &Summary| summary.between(from, from + 500 * MS).flow(None).planned;
    assert_eq!((planned(&first), planned(&last)), (250, 250));
}

#[tokio::test]
async fn a_factor_of_zero_stops_the_arrivals_until_another_one_is_set() {
    let server = Server::start(|_| Reply::ok());
    let mut handle = start(steady(&server, 100.0, 60 * SECOND), Clock::start()).unwrap();
    handle.samples().recv().await.unwrap();
    handle.set_factor(0.0);
    let stopped = handle.snapshot().await.flow.planned;
    handle.samples().recv().await.unwrap();
    handle.samples().recv().await.unwrap();
    assert_eq!(handle.snapshot().await.flow.planned, stopped);
    handle.set_factor(2.0);
    handle.samples().recv().await.unwrap();
    handle.samples().recv().await.unwrap();
    let summary = handle.stop(SECOND).await;
    // by intended start: a busy machine sends late, but plans the same
    let doubled = summary.between(summary.started_at + 4 * SECOND, summary.started_at + 4_750 * MS);
    assert_eq!(doubled.flow(None).planned, 150);
    assert_balanced(&summary);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let elsewhere = Server::start(|_| Reply::ok());
    let location = format!("location: http://{}/\r\n", elsewhere.address());
    let server = Server::start(move |_| Reply { headers: location.clone(), ..Reply::status(302) });
    let summary = run(steady(&server, 50.0, SECOND / 2)).await;
    assert_eq!(statuses(&summary), BTreeMap::from([("302".to_owned(), 25)]));
    assert_eq!(summary.flow.unexpected, 25);
    assert_eq!((elsewhere.counts.connections(), server.counts.received()), (0, 25));
}

#[tokio::test]
async fn a_connection_closed_between_requests_is_seen_before_it_is_used() {
    let server = Server::start(|_| Reply::ok().then(Then::Close));
    let mut spec = steady(&server, 1.0, 2 * SECOND);
    // by the next request the connection has been closed for half a second
    spec.model = Model::Users { count: 1, ramp: Duration::ZERO, think: SECOND / 2 };
    let summary = run(spec).await;
    assert_eq!(summary.errors, BTreeMap::new());
    assert_eq!(
        (summary.flow.completed, server.counts.connections()),
        (server.counts.received(), server.counts.received())
    );
    assert!(summary.flow.completed >= 2);
}

#[tokio::test]
async fn a_close_that_crosses_with_a_request_is_an_error_of_its_own_and_nothing_is_sent_twice() {
    let server = Server::start(|_| Reply::ok().then(Then::Close));
    let mut spec = steady(&server, 1.0, SECOND / 2);
    spec.model = Model::Connections { count: 1 };
    let summary = run(spec).await;
    let stale = summary.errors.get(&ErrorClass::Stale).copied().unwrap_or(0);
    assert_eq!(summary.flow.failed, stale);
    assert_eq!(summary.flow.completed, server.counts.received());
}

#[tokio::test]
async fn connections_are_kept_alive() {
    let server = Server::start(|_| Reply::ok());
    let mut spec = steady(&server, 1.0, SECOND);
    spec.model = Model::Users { count: 2, ramp: Duration::ZERO, think: 10 * MS };
    let summary = run(spec).await;
    assert_eq!(summary.flow.completed, server.counts.received());
    assert!(summary.flow.completed > 2 && server.counts.connections() <= 2);
}

#[tokio::test]
async fn a_body_that_is_not_as_asked_for_is_an_error() {
    let server = Server::start(|seen| Reply { body: format!("{{\"quantity\":{}}}", seen.number % 2), ..Reply::ok() });
    let mut spec = steady(&server, 100.0, SECOND / 2);
    spec.requests[0].expect.json = BTreeMap::from([("/quantity".to_owned(), serde_json::json!(1))]);
    let summary = run(spec).await;
    assert_eq!(summary.errors, BTreeMap::from([(ErrorClass::Check, 25)]));
    assert_eq!((summary.flow.completed, summary.flow.unexpected), (50, 25));
}

#[tokio::test]
async fn every_started_request_carries_an_id_of_its_own() {
    let server = Server::start(|_| Reply::ok());
    let mut spec = steady(&server, 200.0, SECOND / 2);
    spec.request_id_prefix = Some("run-7-".to_owned());
    let summary = run(spec).await;
    let seen: BTreeSet<String> = server.counts.seen().into_iter().filter_map(|seen| seen.id).collect();
    assert_eq!(seen, (1..=summary.flow.started).map(|number| format!("run-7-{number}")).collect());
}

#[tokio::test]
async fn a_fixed_number_of_connections_goes_as_fast_as_the_server_and_hides_a_stall_l01() {
    let server = Server::start(|seen| {
        let stalled = (300 * MS..600 * MS).contains(&seen.at);
        Reply::ok().after(if stalled { 600 * MS - seen.at } else { Duration::ZERO })
    });
    let mut spec = steady(&server, 1.0, SECOND);
    spec.model = Model::Connections { count: 4 };
    let summary = run(spec).await;
    assert_eq!(server.counts.connections(), 4);
    assert_eq!((summary.flow.completed, summary.flow.dropped), (server.counts.received(), 0));
    assert!(summary.flow.completed > 100, "{:?}", summary.flow);
    // the closed model is honest about what it is: a stall of a third of the time shows in the maximum only
    let latency = summary.whole().latency(None).unwrap();
    assert!(latency.quantile(0.9).unwrap() < 100 * MS && latency.max().unwrap() >= 250 * MS);
}

#[test]
fn specs_that_make_no_sense_are_refused() {
    let target = Target::resolve("http://127.0.0.1:1", Reach::Loopback).unwrap();
    let refused = |change: &dyn Fn(&mut Spec)| {
        let mut spec = Spec::new("test", target.clone(), Model::steady(1.0, 1), vec![RequestTemplate::get("/")]);
        change(&mut spec);
        start(spec, Clock::start()).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(refused(&|spec| spec.requests.clear()).contains("no request"));
    assert!(refused(&|spec| spec.requests[0].weight = 0).contains("weight"));
    assert!(refused(&|spec| spec.requests.push(RequestTemplate::get("/"))).contains("two requests"));
    let early = |spec: &mut Spec| {
        spec.journeys = vec![shopping()];
        spec.journeys[0].steps.remove(0);
    };
    assert!(refused(&early).contains("add with.sku"));
    assert!(refused(&|spec| spec.timeout = Duration::ZERO).contains("timeout"));
    assert!(refused(&|spec| spec.model = Model::steady(-1.0, 1)).contains("negative"));
    assert!(refused(&|spec| spec.model = Model::steady(1.0, 0)).contains("max-in-flight"));
    assert!(refused(&|spec| spec.model = Model::Connections { count: 0 }).contains("connections"));
}

#[tokio::test]
async fn the_command_tells_every_second_and_reports_for_machines() {
    let server = Server::start(|_| Reply::ok());
    let url = format!("http://{}/items?all", server.address());
    let pace = command::Pace::Rate { rate: 100.0, ramp: SECOND, arrivals: Arrivals::Poisson, max_in_flight: None };
    let options = command::Options::new(url, pace, 2 * SECOND);
    let mut planned = 0;
    let summary =
        command::run(&options, Clock::start(), |second| planned += second.planned, std::future::pending()).await;
    let summary = summary.unwrap();
    assert_balanced(&summary);
    assert_eq!((planned, summary.flow.planned), (server.counts.received(), server.counts.received()));
    assert!((100..200).contains(&planned), "{planned}");
    assert!(server.counts.seen().iter().all(|seen| seen.line == "GET /items?all HTTP/1.1"));
    let report = command::Report::from(&summary);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["requests"][0]["statuses"]["200"], planned);
    assert!(json["latency-us"]["p99"].as_u64().unwrap() <= json["latency-us"]["max"].as_u64().unwrap());
    assert_eq!(serde_json::from_value::<command::Report>(json).unwrap(), report);
}

#[tokio::test]
async fn an_interrupted_command_cancels_and_still_reports() {
    let server = Server::start(|_| Reply::ok().after(60 * SECOND));
    let url = format!("http://{}", server.address());
    let options = command::Options::new(url, command::Pace::Connections(2), 60 * SECOND);
    let (interrupt, interrupted) = tokio::sync::oneshot::channel();
    let mut interrupt = Some(interrupt);
    let progress = |_: &Second| {
        interrupt.take().map(|interrupt| interrupt.send(()));
    };
    let summary = command::run(&options, Clock::start(), progress, async { drop(interrupted.await) }).await.unwrap();
    assert_balanced(&summary);
    assert_eq!((summary.flow.started, summary.flow.cancelled), (2, 2));
}

/// Items are listed, one is reserved, and the reservation is released by its id.
fn shopping() -> Journey {
    let capture = |name: &str, pointer: &str| BTreeMap::from([(name.to_owned(), pointer.to_owned())]);
    let list = RequestTemplate::get("/items");
    let mut reserve = RequestTemplate::get("/items/{sku}/reserve");
    reserve.method = "POST".to_owned();
    reserve.json = Some(serde_json::json!({ "quantity": 1 }));
    let mut release = RequestTemplate::get("/reservations/{id}");
    release.method = "DELETE".to_owned();
    release.headers = BTreeMap::from([("x-sku".to_owned(), "{sku}".to_owned())]);
    let steps = vec![
        Step { request: list, capture: capture("sku", "/items/0/sku") },
        Step { request: reserve, capture: capture("id", "/reservation") },
        Step { request: release, capture: BTreeMap::new() },
    ];
    Journey { name: "shopping".to_owned(), weight: 1, steps }
}

fn shop(seen: &server::Seen) -> Reply {
    let body = match seen.line.split(' ').next().unwrap() {
        "GET" if seen.number % 10 == 9 => "{}".to_owned(),
        "GET" => "{\"items\":[{\"sku\":\"a/b\"}]}".to_owned(),
        _ => format!("{{\"reservation\":{}}}", seen.number),
    };
    Reply { body, ..Reply::ok() }
}

#[tokio::test]
async fn a_journey_hands_what_it_captured_to_its_later_steps() {
    let server = Server::start(shop);
    let mut spec = steady(&server, 100.0, SECOND);
    (spec.requests, spec.journeys) = (Vec::new(), vec![shopping()]);
    let mut handle = start(spec, Clock::start()).unwrap();
    handle.samples().recv().await.unwrap();
    let summary = handle.stop(SECOND).await;
    assert_balanced(&summary);
    let seen = server.counts.seen();
    let reserved: BTreeSet<String> = (seen.iter().filter(|seen| seen.line == "POST /items/a%2Fb/reserve HTTP/1.1"))
        .map(|seen| format!("DELETE /reservations/{} HTTP/1.1", seen.number))
        .collect();
    let released: BTreeSet<String> =
        seen.iter().filter(|seen| seen.line.starts_with("DELETE")).map(|seen| seen.line.clone()).collect();
    assert!(reserved.len() > 20 && released.len() > 10 && released.is_subset(&reserved));
    // an answer without what is to be captured ends its journey
    let flow = |name| summary.whole().flow(Some(name));
    assert_eq!(flow("/items").planned, 100);
    assert_eq!(summary.errors.keys().collect::<Vec<_>>(), [&ErrorClass::Check]);
    assert!(flow("/items/{sku}/reserve").started <= flow("/items").succeeded());
}

#[tokio::test]
async fn users_think_between_requests() {
    let server = Server::start(shop);
    let mut spec = steady(&server, 1.0, SECOND);
    spec.journeys = vec![shopping()];
    spec.model = Model::Users { count: 5, ramp: Duration::ZERO, think: 50 * MS };
    let summary = run(spec).await;
    assert_eq!(summary.flow.completed, server.counts.received());
    // at most one every 50 ms and user; a busy machine sends fewer
    assert!((20..=100).contains(&summary.flow.completed), "{:?}", summary.flow);
    assert!(summary.whole().flow(Some("/reservations/{id}")).completed > 0);
}

#[tokio::test]
async fn a_target_that_answers_nothing_for_longer_than_the_timeout_gets_every_request_all_the_same() {
    let server = Server::start(|_| Reply::ok().after(60 * SECOND));
    let mut spec = steady(&server, 200.0, 2 * SECOND);
    spec.timeout = SECOND / 2;
    spec.model = Model::steady(200.0, Model::usual_max_in_flight(200.0, spec.timeout));
    let summary = run(spec).await;
    assert_eq!(summary.flow.planned, 400);
    // without the tenth more than rate × timeout it would be about 150; a machine that halts for 0.1 s costs a few
    assert!(summary.flow.dropped < 40, "{:?}", summary.flow);
    assert_eq!(summary.errors, BTreeMap::from([(ErrorClass::Timeout, summary.flow.started)]));
}

/// An HTTP/2 server that answers `POST` with what it got and counts; it runs on the test's own runtime.
async fn http2_server(counts: std::sync::Arc<std::sync::atomic::AtomicU64>) -> Target {
    use http_body_util::{BodyExt, Full};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::resolve(&format!("http://{}", listener.local_addr().unwrap()), Reach::Loopback).unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let counts = std::sync::Arc::clone(&counts);
            let answer = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                let number = counts.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                async move {
                    let body = request.into_body().collect().await?.to_bytes();
                    let status = if number % 4 == 3 { 503 } else { 200 };
                    Ok::<_, hyper::Error>(hyper::Response::builder().status(status).body(Full::new(body)).unwrap())
                }
            });
            let io = hyper_util::rt::TokioIo::new(stream);
            let executor = hyper_util::rt::TokioExecutor::new();
            tokio::spawn(async move {
                drop(hyper::server::conn::http2::Builder::new(executor).serve_connection(io, answer).await)
            });
        }
    });
    target
}

#[tokio::test]
async fn http2_is_spoken_and_counted_just_the_same() {
    let counts = std::sync::Arc::default();
    let target = http2_server(std::sync::Arc::clone(&counts)).await;
    let mut echo = RequestTemplate::get("/echo/{n}");
    echo.method = "POST".to_owned();
    echo.json = Some(serde_json::json!({ "n": "{n}", "padding": "x".repeat(100_000) }));
    echo.with = BTreeMap::from([("n".to_owned(), Generator::Range(5, 5))]);
    echo.expect.json = BTreeMap::from([("/n".to_owned(), serde_json::json!(5))]);
    // HTTP/2 forbids what is about the connection; a request with it is no reason to fail
    echo.headers = BTreeMap::from([("keep-alive".to_owned(), "timeout=5".to_owned())]);
    let mut spec = Spec::new("test", target, Model::steady(100.0, 100), vec![echo]);
    (spec.lasts, spec.protocol) = (Some(SECOND), Protocol::Http2);
    let summary = run(spec).await;
    assert_eq!(counts.load(std::sync::atomic::Ordering::SeqCst), 100);
    assert_eq!(statuses(&summary), BTreeMap::from([("200".to_owned(), 75), ("503".to_owned(), 25)]));
    assert_eq!(summary.errors, BTreeMap::from([(ErrorClass::Status, 25)]));
}

#[tokio::test]
async fn a_server_without_http2_is_an_error_of_the_protocol_or_a_closed_connection() {
    let server = Server::start(|_| Reply::ok().then(Then::Close));
    let mut spec = steady(&server, 20.0, SECOND / 2);
    (spec.protocol, spec.timeout) = (Protocol::Http2, SECOND);
    let summary = run(spec).await;
    assert_eq!((summary.flow.completed, summary.flow.failed), (0, 10));
    assert!(!summary.errors.contains_key(&ErrorClass::Timeout), "{:?}", summary.errors);
}

#[tokio::test]
async fn a_page_shows_the_load_without_script_and_escapes_what_comes_from_outside_x01_x09() {
    let server = Server::start(|seen| if seen.number % 10 == 0 { Reply::status(500) } else { Reply::ok() });
    let mut spec = steady(&server, 50.0, 2 * SECOND);
    spec.name = "<script>\"1\"</script>".to_owned();
    spec.requests[0].name = "</table><img src=x onerror=a()>".to_owned();
    spec.requests.push(RequestTemplate { weight: 0, ..RequestTemplate::get("/never") });
    let html = page(&run(spec).await);
    assert!(html.contains("default-src 'none'") && html.contains("&lt;script&gt;&quot;1&quot;&lt;/script&gt;"));
    assert!(!html.contains("<script") && !html.contains("<img"));
    assert!(html.contains("<dt>sent</dt><dd>100 (100.00 %)</dd>") && html.contains("<dt>errors</dt><dd>10.00 %</dd>"));
    assert!(html.contains("200: 90, 500: 10"));
    assert_eq!((html.matches("<svg").count(), html.matches("<path").count()), (2, 6));
}

#[tokio::test]
async fn an_answer_before_the_whole_request_was_sent_is_the_last_on_its_connection() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target::resolve(&format!("http://{}", listener.local_addr().unwrap()), Reach::Loopback).unwrap();
    std::thread::spawn(move || {
        // reads no more than the beginning, says no, and keeps the connection open
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.read_exact(&mut [0; 100]).unwrap();
            stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n").unwrap();
            kept.push(stream);
        }
    });
    let mut upload = RequestTemplate::get("/");
    upload.method = "PUT".to_owned();
    upload.json = Some(serde_json::json!("x".repeat(6_000_000)));
    let mut spec = Spec::new("test", target, Model::steady(2.0, 10), vec![upload]);
    spec.lasts = Some(SECOND);
    let summary = run(spec).await;
    assert_eq!(statuses(&summary), BTreeMap::from([("413".to_owned(), 2)]));
}
