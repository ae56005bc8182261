//! The Prometheus client against recorded answers on a port.

use std::time::Duration;

use super::super::wire::Server;
use super::*;

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("../golden/prometheus-", $name, ".json"))
    };
}

fn client(server: &Server) -> Prometheus {
    Prometheus::new(&server.url, Settings::default()).unwrap()
}

const NOW: Stamp = Stamp(1_795_168_810_734_000);

#[tokio::test]
async fn a_vector_has_labels_values_and_the_evaluation_time() {
    let server = Server::always(200, golden!("query")).await;
    let answer = client(&server).instant("up", NOW).await.unwrap();
    assert!(answer.warnings.is_empty());
    let seen: Vec<_> =
        answer.value.iter().map(|sample| (sample.labels["job"].as_str(), sample.value, sample.at)).collect();
    assert_eq!(seen, [("prometheus", 1.0, NOW), ("dead", 0.0, NOW)]);
    assert_eq!(server.asked()[0].line, "GET /api/v1/query?query=up&time=1795168810.734000");
}

#[tokio::test]
async fn raw_samples_keep_their_own_timestamps_t07_t15() {
    let server = Server::always(200, golden!("matrix")).await;
    let series = client(&server).range_raw("up[3s]", NOW).await.unwrap().value;
    let times: Vec<_> = series[0].points.iter().map(|point| point.at).collect();
    assert_eq!(times, [1_795_168_808_375_000, 1_795_168_809_375_000, 1_795_168_810_375_000].map(Stamp));
}

#[tokio::test]
async fn a_scalar_is_one_series_without_labels_t14_b23() {
    let server = Server::always(200, golden!("scalar")).await;
    let samples = client(&server).instant("1/0", NOW).await.unwrap().value;
    assert_eq!((samples.len(), samples[0].labels.len(), samples[0].value), (1, 0, f64::INFINITY));
}

#[tokio::test]
async fn the_wrong_type_is_an_error_not_an_empty_vector_b22() {
    let server = Server::always(200, golden!("matrix")).await;
    let error = client(&server).instant("up[3s]", NOW).await.unwrap_err().to_string();
    assert!(error.contains("the query is a range vector, and an instant vector or a scalar is needed here"), "{error}");
    let server = Server::always(200, r#"{"status":"success","data":{"resultType":"string","result":[1,"x"]}}"#).await;
    assert!(matches!(client(&server).range_raw("\"x\"", NOW).await, Err(Error::Query { .. })));
}

#[tokio::test]
async fn a_query_that_cannot_be_evaluated_is_not_no_data_b25_b54() {
    for status in [422, 400, 200] {
        let server = Server::always(status, golden!("err")).await;
        let error = client(&server).instant("up * on() up", NOW).await.unwrap_err();
        let Error::Query { kind, message } = error else { panic!("{error}") };
        assert_eq!(kind, "execution");
        assert!(message.contains("many-to-many matching not allowed"), "{message}");
    }
    let server = Server::always(503, r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#).await;
    assert!(matches!(client(&server).instant("up", NOW).await, Err(Error::Refused { status: 503, .. })), "T16");
}

#[tokio::test]
async fn warnings_travel_with_the_answer_b55() {
    let body = r#"{"status":"success","data":{"resultType":"vector","result":[]},
        "warnings":["results truncated due to limit"],"infos":["metric might not be a counter"]}"#;
    let answer = client(&Server::always(200, body).await).instant("up", NOW).await.unwrap();
    assert_eq!(answer.warnings, ["results truncated due to limit", "metric might not be a counter"]);
}

#[tokio::test]
async fn a_wrong_shape_is_malformed_with_its_path_b59() {
    for (body, path) in [
        ("<html>", "$"),
        ("null", "$"),
        (r#"{"status":"success"}"#, "data"),
        (r#"{"status":"success","data":null}"#, "data"),
        (r#"{"status":"maybe","data":{}}"#, "status"),
        (r#"{"status":"success","data":{"resultType":"vector","result":null}}"#, "data.result"),
        (
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,2]}]}}"#,
            "data.result[0].value[1]",
        ),
        (
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"one"]}]}}"#,
            "data.result[0].value[1]",
        ),
        (
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":1},"value":[1,"1"]}]}}"#,
            "data.result[0].metric.a",
        ),
    ] {
        let error = client(&Server::always(200, body).await).instant("up", NOW).await.unwrap_err();
        assert!(matches!(&error, Error::Malformed { path: seen, .. } if seen == path), "{body}: {error}");
    }
}

#[tokio::test]
async fn duplicate_keys_are_read_the_same_way_each_time_b61() {
    let body = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"1","a":"2"},"value":[1,"1"]}]}}"#;
    let server = Server::always(200, body).await;
    for _ in 0..3 {
        assert_eq!(client(&server).instant("up", NOW).await.unwrap().value[0].labels["a"], "2");
    }
}

#[tokio::test]
async fn a_native_histogram_is_no_number_t14() {
    let body =
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{"count":"1"}]}]}}"#;
    let error = client(&Server::always(200, body).await).instant("h", NOW).await.unwrap_err();
    assert!(error.to_string().contains("histogram_quantile"), "{error}");
}

#[tokio::test]
async fn rules_come_with_health_times_and_alerts() {
    let groups = client(&Server::always(200, golden!("rules")).await).rules().await.unwrap().value;
    let group = &groups[0];
    assert_eq!((group.name.as_str(), group.file.as_str(), group.interval), ("g", "rules.yml", Duration::from_secs(1)));
    let kinds: Vec<_> = group.rules.iter().map(|rule| (rule.name.as_str(), rule.kind, rule.health)).collect();
    assert_eq!(kinds[0], ("job:up:sum", RuleKind::Recording, Health::Ok));
    assert_eq!(kinds[3], ("Broken", RuleKind::Alerting, Health::Error));
    assert!(group.rules[3].last_error.contains("many-to-many"));
    assert_eq!(group.rules[2].keep_firing, Duration::from_secs(3));
    let dead = &group.rules[1];
    assert_eq!((dead.hold, dead.last_evaluation), (Duration::from_secs(2), Some(Stamp(1_795_168_810_633_953))));
    let alert = &dead.alerts[0];
    assert_eq!((alert.state, alert.active_at), (AlertPhase::Firing, Some(Stamp(1_795_168_805_632_510))));
    assert_eq!((alert.value.unwrap(), alert.annotations["summary"].as_str()), (0.0, "dead down"));
}

#[tokio::test]
async fn rules_that_were_never_evaluated_say_so() {
    let body = r#"{"status":"success","data":{"groups":[{"name":"g","file":"f","interval":15,"rules":[{"name":"A","query":"up",
        "type":"alerting","health":"unknown","lastEvaluation":"0001-01-01T00:00:00Z","duration":0.5}]}]}}"#;
    let groups = client(&Server::always(200, body).await).rules().await.unwrap().value;
    let rule = &groups[0].rules[0];
    assert_eq!((rule.last_evaluation, rule.health, rule.hold), (None, Health::Unknown, Duration::from_millis(500)));
}

#[tokio::test]
async fn alerts_targets_and_alertmanagers_are_read() {
    let alerts = client(&Server::always(200, golden!("alerts")).await).alerts().await.unwrap().value;
    assert_eq!(alerts[0].labels["alertname"], "Dead");
    let targets = client(&Server::always(200, golden!("targets")).await).targets().await.unwrap().value;
    let down = &targets[0];
    assert_eq!((down.health.as_str(), down.interval.as_str(), down.pool.as_str()), ("down", "1s", "dead"));
    assert!(down.last_error.contains("connection refused") && down.discovered_labels.contains_key("__address__"));
    assert_eq!(targets[1].last_scrape, Some(Stamp(1_795_168_810_375_945)));
    let managers = client(&Server::always(200, golden!("ams")).await).alertmanagers().await.unwrap().value;
    assert_eq!(managers[0].url, "http://127.0.0.1:19193/api/v2/alerts");
}

#[tokio::test]
async fn the_server_tells_what_it_is_and_how_it_runs() {
    let build = client(&Server::always(200, golden!("buildinfo")).await).build_info().await.unwrap();
    assert_eq!(build.version, "2.42.0+ds");
    let flags = client(&Server::always(200, golden!("flags")).await).flags().await.unwrap();
    assert_eq!(flags["rules.alert.resend-delay"], "1m");
    let config = client(&Server::always(200, golden!("config")).await).config_yaml().await.unwrap();
    assert!(config.contains("evaluation_interval: 1s"));
    let runtime = client(&Server::always(200, golden!("runtimeinfo")).await).runtime_info().await.unwrap();
    assert_eq!((runtime.started, runtime.reload_succeeded), (Some(Stamp(1_795_168_799_698_086)), true));
    let metadata = client(&Server::always(200, golden!("meta")).await).metadata("prometheus_build_info").await.unwrap();
    assert_eq!(metadata[0].kind, "gauge");
    let series = client(&Server::always(200, golden!("series")).await).series("up", NOW, NOW).await.unwrap().value;
    assert_eq!(series[1]["job"], "dead");
}

#[tokio::test]
async fn a_clock_that_is_ahead_is_measured_t20_b62() {
    let clock = Clock::start();
    let server = Server::answering(move |_| {
        let ahead = clock.now().as_seconds() + 600.0;
        format!(r#"{{"status":"success","data":{{"resultType":"scalar","result":[{ahead},"{ahead}"]}}}}"#)
    });
    let offset = client(&server.await).clock_offset(&clock).await.unwrap();
    assert!((offset.seconds - 600.0).abs() <= offset.uncertainty + 0.001, "{offset:?}");
}

#[tokio::test]
async fn its_own_counters_prove_what_it_did_not_do_t26_t32() {
    let server = Server::always(200, include_str!("../golden/prometheus-metrics.txt")).await;
    let counters = OwnCounters::of(&client(&server).own_metrics().await.unwrap());
    assert_eq!(counters.notifications_dropped, Some(1.0));
    assert_eq!((counters.iterations["rules.yml;g"], counters.iterations_missed["rules.yml;g"]), (11.0, 0.0));
    assert!(counters.evaluation_failures["rules.yml;g"] > 0.0);
    assert_eq!(OwnCounters::of(&Exposition::default()).notifications_dropped, None, "not served is not zero");
}
