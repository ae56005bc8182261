//! The Loki client against recorded answers on a port.

use super::*;
use crate::telemetry::wire::Server;

fn client(server: &Server) -> Loki {
    Loki::new(&server.url, Settings::default()).unwrap()
}

fn streams(values: &[(i64, &str)]) -> String {
    let values: Vec<_> = values.iter().map(|(ts, line)| serde_json::json!([ts.to_string(), line])).collect();
    let stream = serde_json::json!({"stream": {"service": "inventory"}, "values": values});
    serde_json::json!({"status": "success", "data": {"resultType": "streams", "result": [stream]}}).to_string()
}

const WINDOW: Window = Window { start: 1_000_000_000, end: 11_000_000_000 };

#[tokio::test]
async fn every_default_that_surprises_is_sent_t46() {
    let server = Server::always(200, &streams(&[(2_000_000_000, "b"), (1_000_000_000, "a")])).await;
    let answer = client(&server).query_range(r#"{service="inventory"}"#, WINDOW, Limits::default()).await.unwrap();
    let expected = "GET /loki/api/v1/query_range?query={service=\"inventory\"}&start=1000000000&end=11000000000&limit=5000\
                    &direction=forward";
    assert_eq!(server.asked()[0].line, expected);
    let lines: Vec<_> = answer.value.iter().map(|entry| (entry.ts, entry.line.as_str())).collect();
    assert_eq!(lines, [(1_000_000_000, "a"), (2_000_000_000, "b")], "B69: sorted");
}

#[tokio::test]
async fn full_pages_are_followed_by_others_and_a_lower_maximum_is_taken_over_b32() {
    let server = Server::raw(|_, asked| {
        let stored: Vec<(i64, &str)> = (1..=10).map(|n| (n * 1_000_000_000, "x")).collect();
        let parameter = |name: &str| {
            let (_, rest) = asked.line.split_once(&format!("&{name}="))?;
            rest.split('&').next()?.parse::<i64>().ok()
        };
        let (start, limit) = (parameter("start").unwrap(), usize::try_from(parameter("limit").unwrap()).unwrap());
        if limit > 4 {
            let text =
                format!("max entries limit per query exceeded, limit > max_entries_limit_per_query ({limit} > 4)");
            return Some(crate::telemetry::wire::response(400, "", &text));
        }
        let page: Vec<_> = stored.into_iter().filter(|(ts, _)| *ts >= start).take(limit).collect();
        Some(crate::telemetry::wire::response(200, "", &streams(&page)))
    })
    .await;
    let answer = client(&server).query_range("{a=\"b\"}", WINDOW, Limits::default()).await.unwrap();
    assert_eq!((answer.value.len(), answer.warnings.len()), (10, 0));
}

#[tokio::test]
async fn a_count_covers_exactly_the_window() {
    let body = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[11,"42"]}]}}"#;
    let server = Server::always(200, body).await;
    let window = Window { start: 1_000_000_000, end: 11_500_000_000 };
    assert_eq!(client(&server).count("{a=\"b\"} |= \"x\"", window).await.unwrap().value, 42);
    let expected = "GET /loki/api/v1/query?query=sum(count_over_time({a=\"b\"} |= \"x\" [10500ms]))&time=11499999999";
    assert_eq!(server.asked()[0].line, expected);
    let nothing = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
    assert_eq!(client(&Server::always(200, nothing).await).count("{a=\"b\"}", window).await.unwrap().value, 0);
}

#[tokio::test]
async fn a_query_error_in_plain_text_is_a_query_error_b30() {
    let text = "parse error : queries require at least one regexp or equality matcher that does not have an empty-compatible value";
    let error =
        client(&Server::always(400, text).await).query_range("{}", WINDOW, Limits::default()).await.unwrap_err();
    assert!(matches!(&error, Error::Query { message, .. } if message == text), "{error}");
}

#[tokio::test]
async fn a_log_query_and_a_metric_query_are_not_mixed_up_b31() {
    let logs = Server::always(200, &streams(&[])).await;
    assert!(matches!(client(&logs).instant("{a=\"b\"}", 1).await, Err(Error::Query { .. })));
    let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
    let metric = Server::always(200, matrix).await;
    let error = client(&metric).query_range("rate({a=\"b\"}[1m])", WINDOW, Limits::default()).await.unwrap_err();
    assert!(error.to_string().contains("this is a metric query"), "{error}");
}

#[tokio::test]
async fn a_timestamp_that_is_none_is_malformed_b69() {
    for ts in ["-5", "99999999999999999999", "soon"] {
        let body = streams(&[(7, "x")]).replace("\"7\"", &format!("\"{ts}\""));
        let error = client(&Server::always(200, &body).await).query_range("{a=\"b\"}", WINDOW, Limits::default()).await;
        assert!(matches!(error, Err(Error::Malformed { .. })), "{ts}");
    }
}

#[tokio::test]
async fn control_characters_in_a_line_are_kept_b67() {
    let line = "a\u{0}b\u{1b}[31m\u{fffd}";
    let server = Server::always(200, &streams(&[(1_000_000_000, line)])).await;
    let answer = client(&server).query_range("{a=\"b\"}", WINDOW, Limits::default()).await.unwrap();
    assert_eq!(answer.value[0].line, line);
}

#[tokio::test]
#[expect(clippy::float_cmp, reason = "small whole numbers")]
async fn labels_and_discarded_lines_are_read_t49_t50() {
    let server = Server::always(200, r#"{"status":"success","data":["level","service"]}"#).await;
    assert_eq!(client(&server).labels(WINDOW).await.unwrap(), ["level", "service"]);
    assert_eq!(client(&server).label_values("service", WINDOW).await.unwrap().len(), 2);
    assert!(server.asked()[1].line.starts_with("GET /loki/api/v1/label/service/values?start="));
    assert_eq!(client(&Server::always(200, r#"{"status":"success"}"#).await).labels(WINDOW).await, Ok(Vec::new()));
    let text = "loki_discarded_samples_total{reason=\"rate_limited\",tenant=\"a\"} 2\n\
                loki_discarded_samples_total{reason=\"rate_limited\",tenant=\"b\"} 3\n";
    let metrics = client(&Server::always(200, text).await).own_metrics().await.unwrap();
    assert_eq!(discarded(&metrics)["rate_limited"], 5.0);
}
