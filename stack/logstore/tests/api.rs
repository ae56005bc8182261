//! Pushes and queries over real HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Write;

use logstore::{Discovery, Limits, Options, Server};
use serde_json::{Value, json};

const SECOND: i64 = 1_000_000_000;

struct Loki {
    server: Server,
    client: reqwest::Client,
}

struct Reply {
    status: u16,
    text: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    fn result(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()["data"]["result"].clone()
    }
}

impl Loki {
    async fn start(options: Options) -> Self {
        Self { server: Server::start(options).await.unwrap(), client: reqwest::Client::new() }
    }

    async fn plain() -> Self {
        let limits = Limits { discovery: Discovery::Off, ..Limits::default() };
        Self::start(Options { limits, ..Options::default() }).await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address)
    }

    async fn push(&self, labels: Value, values: Value) -> Reply {
        self.push_body(json!({"streams": [{"stream": labels, "values": values}]})).await
    }

    async fn push_body(&self, body: Value) -> Reply {
        self.reply(self.client.post(self.url("/loki/api/v1/push")).json(&body)).await
    }

    async fn push_lines(&self, labels: Value, lines: &[(i64, &str)]) {
        let values: Vec<_> = lines.iter().map(|(at, line)| json!([at.to_string(), line])).collect();
        let reply = self.push(labels, json!(values)).await;
        assert_eq!((reply.status, reply.text.as_str()), (204, ""));
    }

    async fn reply(&self, request: reqwest::RequestBuilder) -> Reply {
        let response = request.send().await.unwrap();
        Reply { status: response.status().as_u16(), text: response.text().await.unwrap() }
    }

    async fn get(&self, path: &str, query: &[(&str, String)]) -> Reply {
        self.reply(self.client.get(self.url(path)).query(query)).await
    }

    async fn instant(&self, query: &str, at: i64) -> Reply {
        self.get("/loki/api/v1/query", &[("query", query.to_owned()), ("time", at.to_string())]).await
    }

    async fn range(&self, query: &str, start: i64, end: i64, more: &[(&str, &str)]) -> Reply {
        let mut all = vec![("query", query.to_owned()), ("start", start.to_string()), ("end", end.to_string())];
        all.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        self.get("/loki/api/v1/query_range", &all).await
    }

    /// The lines of all streams of an answer, in their order.
    async fn lines(&self, query: &str, start: i64, end: i64, more: &[(&str, &str)]) -> Vec<String> {
        let result = self.range(query, start, end, more).await.result();
        let values = result.as_array().unwrap().iter().flat_map(|stream| stream["values"].as_array().unwrap().clone());
        values.map(|value| value[1].as_str().unwrap().to_owned()).collect()
    }

    async fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics", &[]).await.text;
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in\n{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

/// A time that is a whole second, a minute ago.
fn base() -> i64 {
    let now = logstore::clock::wall();
    (now / SECOND - 60) * SECOND
}

#[tokio::test]
async fn an_acknowledged_push_is_queryable_at_once() {
    let loki = Loki::plain().await;
    let at = base();
    for number in 0..50 {
        let line = format!("line {number}");
        loki.push_lines(json!({"app": "x"}), &[(at + number, &line)]).await;
        assert_eq!(loki.lines(r#"{app="x"}"#, at + number, at + number + 1, &[]).await, [line]);
    }
    assert_eq!(loki.metric("loki_distributor_lines_received_total").await, 50.0);
}

#[tokio::test]
async fn streams_answer_in_lokis_shape_t56() {
    let loki = Loki::start(Options::default()).await;
    let at = base();
    loki.push_lines(json!({"app": "x", "env": "t"}), &[(at, "a"), (at + 1, "b")]).await;
    let reply = loki.range(r#"{app="x"}"#, at, at + 10, &[]).await;
    let body = reply.json();
    assert_eq!(body["status"], "success");
    assert_eq!(body["data"]["resultType"], "streams");
    let expected = json!([{
        "stream": {"app": "x", "env": "t", "service_name": "x", "detected_level": "unknown"},
        "values": [[(at + 1).to_string(), "b"], [at.to_string(), "a"]],
    }]);
    assert_eq!(body["data"]["result"], expected);
    assert_eq!(body["data"]["stats"]["summary"]["totalLinesProcessed"], 2);
}

#[tokio::test]
async fn start_is_inclusive_and_end_exclusive_and_the_direction_is_backward_t46() {
    let loki = Loki::plain().await;
    let at = base();
    loki.push_lines(json!({"app": "x"}), &[(at, "a"), (at + 1, "b"), (at + 2, "c")]).await;
    assert_eq!(loki.lines(r#"{app="x"}"#, at, at + 2, &[]).await, ["b", "a"]);
    assert_eq!(loki.lines(r#"{app="x"}"#, at, at + 3, &[("direction", "forward")]).await, ["a", "b", "c"]);
    assert_eq!(loki.lines(r#"{app="x"}"#, at, at + 3, &[("limit", "2")]).await, ["c", "b"]);
    assert_eq!(loki.lines(r#"{app="x"}"#, at, at + 3, &[("limit", "2"), ("direction", "forward")]).await, ["a", "b"]);
    assert_eq!(loki.lines(r#"{app="x"}"#, at, at, &[]).await, [""; 0]);
}

#[tokio::test]
async fn paging_forward_sees_each_line_once_also_with_equal_times_t47() {
    let loki = Loki::plain().await;
    let at = base();
    let lines: Vec<(i64, String)> = (0..250).map(|n| (at + n / 3, format!("line {n:03}"))).collect();
    let borrowed: Vec<(i64, &str)> = lines.iter().map(|(at, line)| (*at, line.as_str())).collect();
    loki.push_lines(json!({"app": "x"}), &borrowed).await;
    assert_eq!(loki.lines(r#"{app="x"}"#, at, at + 1_000, &[]).await.len(), 100, "the default limit");
    let (mut start, mut seen) = (at, std::collections::BTreeSet::new());
    loop {
        let more = [("limit", "40"), ("direction", "forward")];
        let result = loki.range(r#"{app="x"}"#, start, at + 1_000, &more).await.result();
        let values = result[0]["values"].as_array().unwrap().clone();
        seen.extend(values.iter().map(|value| value[1].as_str().unwrap().to_owned()));
        if values.len() < 40 {
            break;
        }
        start = values.last().unwrap()[0].as_str().unwrap().parse().unwrap();
    }
    assert_eq!(seen.len(), 250);
    let count = loki.instant(r#"count_over_time({app="x"}[1h])"#, at + 1_000).await.result();
    assert_eq!(count[0]["value"][1], "250");
}

#[tokio::test]
async fn more_lines_than_allowed_are_refused_with_lokis_text_t46() {
    let loki = Loki::plain().await;
    let reply = loki.range(r#"{app="x"}"#, base(), base() + 1, &[("limit", "5001")]).await;
    let text = "max entries limit per query exceeded, limit > max_entries_limit_per_query (5001 > 5000)\n";
    assert_eq!((reply.status, reply.text.as_str()), (400, text));
    let reply = loki.range(r#"rate({app="x"}[1m])"#, base(), base() + SECOND, &[("limit", "5001")]).await;
    assert_eq!(reply.status, 200, "the limit is one of lines");
}

#[tokio::test]
async fn a_duplicate_is_dropped_and_another_text_of_the_same_time_is_not_t48() {
    let loki = Loki::plain().await;
    let at = base();
    for _ in 0..2 {
        loki.push_lines(json!({"app": "x"}), &[(at, "a"), (at, "b"), (at, "a"), (at + 5, "a")]).await;
    }
    let more = [("direction", "forward")];
    assert_eq!(loki.lines(r#"{app="x"}"#, at, at + 10, &more).await, ["a", "b", "a"]);
    assert_eq!(loki.metric("logstore_duplicate_lines_total").await, 5.0);
}

#[tokio::test]
async fn entries_of_any_order_come_back_in_order() {
    let loki = Loki::plain().await;
    let at = base();
    loki.push_lines(json!({"app": "x"}), &[(at + 5, "f"), (at + 1, "b"), (at + 3, "d")]).await;
    loki.push_lines(json!({"app": "y"}), &[(at + 4, "e"), (at, "a"), (at + 2, "c")]).await;
    let result = loki.range(r#"{app=~"x|y"}"#, at, at + 10, &[("limit", "3"), ("direction", "forward")]).await.result();
    assert_eq!(result[0]["values"][0][1], "b");
    assert_eq!(result[1]["values"], json!([[at.to_string(), "a"], [(at + 2).to_string(), "c"]]));
}

#[tokio::test]
async fn an_interval_thins_lines_out() {
    let loki = Loki::plain().await;
    let at = base();
    let lines: Vec<(i64, String)> = (0..10).map(|n| (at + n * SECOND, n.to_string())).collect();
    let borrowed: Vec<(i64, &str)> = lines.iter().map(|(at, line)| (*at, line.as_str())).collect();
    loki.push_lines(json!({"app": "x"}), &borrowed).await;
    let more = [("interval", "4s"), ("direction", "forward")];
    assert_eq!(loki.lines(r#"{app="x"}"#, at, at + 20 * SECOND, &more).await, ["0", "4", "8"]);
}

#[tokio::test]
async fn gzip_pushes_are_taken() {
    let loki = Loki::plain().await;
    let at = base();
    let body = json!({"streams": [{"stream": {"app": "x"}, "values": [[at.to_string(), "packed"]]}]}).to_string();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body.as_bytes()).unwrap();
    let request = loki.client.post(loki.url("/loki/api/v1/push"));
    let request = request.header("content-type", "application/json; charset=utf-8").header("content-encoding", "gzip");
    assert_eq!(loki.reply(request.body(encoder.finish().unwrap())).await.status, 204);
    assert_eq!(loki.lines(r#"{app="x"}"#, at, at + 1, &[]).await, ["packed"]);
}

#[tokio::test]
async fn a_body_that_inflates_beyond_the_limit_is_refused() {
    let options = Options { limits: Limits { max_body: 10_000, ..Limits::default() }, ..Options::default() };
    let loki = Loki::start(options).await;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&vec![b' '; 1 << 20]).unwrap();
    let request = loki.client.post(loki.url("/loki/api/v1/push"));
    let request = request.header("content-type", "application/json").header("content-encoding", "gzip");
    let reply = loki.reply(request.body(encoder.finish().unwrap())).await;
    assert_eq!(reply.status, 413, "{}", reply.text);
}

#[tokio::test]
async fn what_is_refused_is_named_and_counted_and_the_rest_is_stored_t49_t50() {
    let limits = Limits { max_line_size: 20, max_label_names: 3, max_streams: 2, ..Limits::default() };
    let loki = Loki::start(Options { limits, ..Options::default() }).await;
    let now = logstore::clock::wall();
    let refused = |labels: Value, at: i64, line: &'static str| {
        let body = json!({"streams": [{"stream": labels, "values": [[at.to_string(), line]]}]});
        loki.push_body(body)
    };
    for (labels, at, line, status, text, reason) in [
        (
            json!({"app": "x"}),
            now - 8 * 86_400 * SECOND,
            "old",
            400,
            "has timestamp too old: ",
            "greater_than_max_sample_age",
        ),
        (json!({"app": "x"}), now + 700 * SECOND, "new", 400, "has timestamp too new: ", "too_far_in_future"),
        (
            json!({"app": "x"}),
            now,
            "a line of more than twenty bytes",
            400,
            "Max entry size '20' bytes exceeded for stream '{app=\"x\", service_name=\"x\"}' while adding an entry with length '32' bytes",
            "line_too_long",
        ),
        (json!({}), now, "x", 400, "error at least one label pair is required per stream", "missing_labels"),
        (
            json!({"a": "1", "b": "2", "c": "3", "d": "4"}),
            now,
            "x",
            400,
            "has 4 label names; limit 3",
            "max_label_names_per_series",
        ),
    ] {
        let reply = refused(labels, at, line).await;
        assert_eq!(reply.status, status, "{}", reply.text);
        assert!(reply.text.contains(text), "{}", reply.text);
        let counter = format!("loki_discarded_samples_total{{reason=\"{reason}\"");
        assert_eq!(loki.metric(&counter).await, 1.0, "{reason}");
    }
    let mixed = json!([[(now - 1).to_string(), "good"], [(now + 700 * SECOND).to_string(), "new"]]);
    assert_eq!(loki.push(json!({"app": "x"}), mixed).await.status, 400);
    assert_eq!(loki.lines(r#"{app="x"}"#, now - 1, now, &[]).await, ["good"]);
    let behind = refused(json!({"app": "x"}), now - 4_000 * SECOND, "late").await;
    assert_eq!(behind.status, 400);
    assert!(behind.text.contains("entry too far behind, entry timestamp is: "), "{}", behind.text);
    assert!(behind.text.contains("user 'fake', total ignored: 1 out of 1 for stream: {app=\"x\""), "{}", behind.text);
    assert_eq!(refused(json!({"app": "y"}), now, "y").await.status, 204);
    let third = refused(json!({"app": "z"}), now, "z").await;
    assert_eq!(third.status, 429);
    assert!(third.text.starts_with("Maximum active stream limit exceeded when trying to create stream {app=\"z\""));
}

#[tokio::test]
async fn a_rate_limit_refuses_the_whole_push_and_counts_its_lines_t50() {
    let limits = Limits { ingestion_rate: 1_000, ingestion_burst: 1_000, ..Limits::default() };
    let loki = Loki::start(Options { limits, ..Options::default() }).await;
    let at = base();
    let long = "x".repeat(600);
    let values = json!([[at.to_string(), long], [(at + 1).to_string(), long]]);
    let reply = loki.push(json!({"app": "x"}), values).await;
    assert_eq!(reply.status, 429);
    assert!(reply.text.starts_with("Ingestion rate limit exceeded for user fake (limit: 1000 bytes/sec) while attempting to ingest '2' lines totaling '1200' bytes"), "{}", reply.text);
    assert_eq!(loki.metric("loki_discarded_samples_total{reason=\"rate_limited\"").await, 2.0);
    assert_eq!(loki.lines(r#"{app="x"}"#, at, at + 9, &[]).await, [""; 0]);
}

#[tokio::test]
async fn pushes_that_are_none_are_refused_whole() {
    let loki = Loki::plain().await;
    assert_eq!(loki.push_body(json!({"streams": []})).await.status, 422);
    for body in [
        json!({"streams": [{"stream": {"app": "x"}, "values": [[1, "x"]]}]}),
        json!({"streams": [{"stream": {"app": "x"}, "values": [["1x", "x"]]}]}),
        json!({"streams": [{"stream": {"app": "x"}, "values": [["1"]]}]}),
        json!({"streams": [{"stream": {"not a name": "x"}, "values": [["1", "x"]]}]}),
        json!({"streams": {}}),
        json!("x"),
    ] {
        let reply = loki.push_body(body.clone()).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.text);
    }
}

#[tokio::test]
async fn metric_queries_answer_in_lokis_shapes() {
    let loki = Loki::plain().await;
    let at = base() / (10 * SECOND) * 10 * SECOND;
    loki.push_lines(json!({"app": "x", "level": "info"}), &[(at + 1, "a"), (at + 2, "bb")]).await;
    loki.push_lines(json!({"app": "x", "level": "error"}), &[(at + 3, "ccc")]).await;
    let reply = loki.instant(r#"sum by (level) (count_over_time({app="x"}[10s]))"#, at + SECOND).await;
    assert_eq!(reply.json()["data"]["resultType"], "vector");
    let seconds = (at + SECOND) / SECOND;
    let expected = json!([
        {"metric": {"level": "error"}, "value": [seconds, "1"]},
        {"metric": {"level": "info"}, "value": [seconds, "2"]},
    ]);
    assert_eq!(reply.result(), expected);
    let reply = loki.range(r#"sum(bytes_over_time({app="x"}[10s]))"#, at, at + 20 * SECOND, &[("step", "10")]).await;
    assert_eq!(reply.json()["data"]["resultType"], "matrix");
    assert_eq!(reply.result(), json!([{"metric": {}, "values": [[at / SECOND + 10, "6"]]}]));
    let rate = loki.instant(r#"sum(rate({app="x"} |= "c" [10s])) > 0.05"#, at + SECOND).await.result();
    assert_eq!(rate[0]["value"][1], "0.1");
    assert_eq!(loki.instant(r#"sum(rate({app="x"}[10s])) > 5"#, at + SECOND).await.result(), json!([]));
    assert_eq!(loki.instant(r#"sum(rate({app="x"}[10s])) > bool 5"#, at + SECOND).await.result()[0]["value"][1], "0");
    let scalar = loki.instant("1 + 1", at).await.json();
    assert_eq!(
        (&scalar["data"]["resultType"], &scalar["data"]["result"]),
        (&json!("scalar"), &json!([at / SECOND, "2"]))
    );
}

#[tokio::test]
async fn a_window_excludes_its_start_and_includes_its_end() {
    let loki = Loki::plain().await;
    let at = base();
    loki.push_lines(json!({"app": "x"}), &[(at, "a"), (at + 10 * SECOND, "b")]).await;
    for (time, expected) in [(at, "1"), (at + 9 * SECOND, "1"), (at + 10 * SECOND, "1"), (at + 11 * SECOND, "1")] {
        let result = loki.instant(r#"count_over_time({app="x"}[10s])"#, time).await.result();
        assert_eq!(result[0]["value"][1], expected, "{}", (time - at) / SECOND);
    }
    assert_eq!(loki.instant(r#"count_over_time({app="x"}[10s])"#, at + 20 * SECOND).await.result(), json!([]));
}

#[tokio::test]
async fn range_queries_are_aligned_to_the_step() {
    let loki = Loki::plain().await;
    let at = base() / (10 * SECOND) * 10 * SECOND;
    loki.push_lines(json!({"app": "x"}), &[(at + 1, "a")]).await;
    let reply =
        loki.range(r#"count_over_time({app="x"}[10s])"#, at + 3 * SECOND, at + 4 * SECOND, &[("step", "10s")]).await;
    assert_eq!(reply.result()[0]["values"], json!([[at / SECOND + 10, "1"]]));
}

#[tokio::test]
async fn wrong_queries_are_refused_with_position_and_reason() {
    let loki = Loki::plain().await;
    let at = base();
    for (query, text) in [
        (r#"{app="x"} foo"#, "parse error at line 1, col 11: syntax error: unexpected IDENTIFIER\n"),
        (
            r#"{app="x"} | line_format "{{ .a | fromJson }}""#,
            "logstore does not support template function fromJson (at offset 12 of the query)\n",
        ),
        (
            r#"approx_topk(1, rate({app="x"}[1m]))"#,
            "logstore does not support approx_topk (at offset 0 of the query)\n",
        ),
    ] {
        let reply = loki.range(query, at, at + SECOND, &[]).await;
        assert_eq!((reply.status, reply.text.as_str()), (400, text), "{query}");
    }
    let reply = loki.instant(r#"{app="x"}"#, at).await;
    assert_eq!(reply.status, 400);
    assert!(reply.text.starts_with("log queries are not supported as an instant query type"));
    assert_eq!(loki.get("/loki/api/v1/nothing", &[]).await.status, 404);
}

#[tokio::test]
async fn labels_values_series_and_sizes_are_listed() {
    let loki = Loki::plain().await;
    let at = base();
    assert_eq!(loki.get("/loki/api/v1/labels", &[]).await.json(), json!({"status": "success"}));
    loki.push_lines(json!({"app": "x", "env": "t"}), &[(at, "abc")]).await;
    loki.push_lines(json!({"app": "y"}), &[(at, "d")]).await;
    let get = async |path: &str, query: &[(&str, String)]| loki.get(path, query).await.json()["data"].clone();
    assert_eq!(get("/loki/api/v1/labels", &[]).await, json!(["app", "env"]));
    assert_eq!(get("/loki/api/v1/label/app/values", &[]).await, json!(["x", "y"]));
    let query = [("query", r#"{env="t"}"#.to_owned())];
    assert_eq!(get("/loki/api/v1/label/app/values", &query).await, json!(["x"]));
    let series = get("/loki/api/v1/series", &[("match[]", r#"{app=~".+"}"#.to_owned())]).await;
    assert_eq!(series, json!([{"app": "x", "env": "t"}, {"app": "y"}]));
    let stats = loki.get("/loki/api/v1/index/stats", &[("query", r#"{app="x"}"#.to_owned())]).await.json();
    assert_eq!(stats, json!({"streams": 1, "chunks": 1, "bytes": 3, "entries": 1}));
    assert_eq!(loki.get("/ready", &[]).await.text, "ready\n");
    assert_eq!(loki.get("/loki/api/v1/status/buildinfo", &[]).await.json()["branch"], "logstore");
    assert!(loki.get("/config", &[]).await.text.contains("max_entries_limit_per_query: 5000"));
}

#[tokio::test]
async fn form_posts_are_queries_too() {
    let loki = Loki::plain().await;
    let at = base();
    loki.push_lines(json!({"app": "x"}), &[(at, "a")]).await;
    let form = format!("query=%7Bapp%3D%22x%22%7D&start={at}&end={}", at + 1);
    let request = loki.client.post(loki.url("/loki/api/v1/query_range"));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    assert_eq!(loki.reply(request).await.result()[0]["values"][0][1], "a");
}

#[tokio::test]
async fn memory_is_bounded_and_the_oldest_chunk_goes_first() {
    let limits = Limits { ingestion_burst: 1 << 30, stream_burst: 1 << 30, ..Limits::default() };
    let loki = Loki::start(Options { max_bytes: 4 << 20, limits, ..Options::default() }).await;
    let at = base();
    let filler = "x".repeat(1_000);
    for batch in 0..20i64 {
        let values: Vec<_> = (0..1_000i64)
            .map(|n| json!([(at + batch * 1_000 + n).to_string(), format!("{:05} {filler}", batch * 1_000 + n)]))
            .collect();
        let reply = loki.push(json!({"app": "x"}), json!(values)).await;
        assert_eq!(reply.status, 204, "{}", reply.text);
        let memory = loki.metric("logstore_memory_bytes").await;
        assert!(memory <= f64::from(4 << 20), "{memory}");
        let newest = loki.lines(r#"{app="x"}"#, at, at + 100_000, &[("limit", "1")]).await;
        assert!(newest[0].starts_with(&format!("{:05}", batch * 1_000 + 999)));
    }
    let evicted = loki.metric("logstore_evicted_entries_total").await;
    let kept = loki.metric("logstore_entries").await;
    assert_eq!(evicted + kept, 20_000.0);
    assert!(kept > 2_000.0, "{kept}");
    let oldest = loki.lines(r#"{app="x"}"#, at, at + 100_000, &[("limit", "1"), ("direction", "forward")]).await;
    assert!(oldest[0].starts_with(&format!("{:05}", evicted as i64)), "{}", &oldest[0][..5]);
}

#[derive(Clone, PartialEq, prost::Message)]
struct ProtoPush {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<ProtoStream>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ProtoStream {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<ProtoEntry>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ProtoEntry {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<ProtoTime>,
    #[prost(string, tag = "2")]
    line: String,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<ProtoPair>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ProtoTime {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ProtoPair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[tokio::test]
async fn snappy_protobuf_pushes_with_metadata_are_taken() {
    let loki = Loki::plain().await;
    let at = base() + 7;
    let timestamp = Some(ProtoTime { seconds: at / SECOND, nanos: i32::try_from(at % SECOND).unwrap() });
    let metadata = vec![ProtoPair { name: "trace".into(), value: "1".into() }];
    let entries = vec![ProtoEntry { timestamp, line: "proto".into(), metadata }];
    let streams = vec![ProtoStream { labels: r#"{app="x", b="\"q\""}"#.into(), entries }];
    let plain = prost::Message::encode_to_vec(&ProtoPush { streams });
    let body = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
    let push = |body: Vec<u8>| {
        let request = loki.client.post(loki.url("/loki/api/v1/push"));
        loki.reply(request.header("content-type", "application/x-protobuf").body(body))
    };
    assert_eq!(push(body).await.status, 204);
    let result = loki.range(r#"{app="x"} | trace="1""#, at, at + 1, &[]).await.result();
    assert_eq!(result[0]["stream"]["b"], "\"q\"");
    assert_eq!(result[0]["values"], json!([[at.to_string(), "proto"]]));
    assert_eq!(push(b"no snappy".to_vec()).await.status, 400);
    assert_eq!(push(vec![0xff, 0xff, 0xff, 0xff, 0x0f]).await.status, 413);
}

#[tokio::test]
async fn a_tail_sends_the_past_and_what_comes_each_once_t53() {
    use futures_util::StreamExt;
    let loki = Loki::plain().await;
    let at = base();
    loki.push_lines(json!({"app": "x"}), &[(at, "past"), (at + 1, "hidden")]).await;
    let query = "query=%7Bapp%3D%22x%22%7D%20%21%3D%20%22hidden%22";
    let url = format!("ws://{}/loki/api/v1/tail?{query}&start={at}", loki.server.address);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let mut next = async || {
        let text = socket.next().await.unwrap().unwrap().into_text().unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let with = |value: Value| json!({"streams": [{"stream": {"app": "x"}, "values": [value]}]});
    assert_eq!(next().await, with(json!([at.to_string(), "past"])));
    loki.push_lines(json!({"app": "x"}), &[(at + 2, "hidden too"), (at + 3, "new")]).await;
    loki.push_lines(json!({"app": "y"}), &[(at + 4, "other")]).await;
    loki.push_lines(json!({"app": "x"}), &[(at + 5, "newer")]).await;
    assert_eq!(next().await, with(json!([(at + 3).to_string(), "new"])));
    assert_eq!(next().await, with(json!([(at + 5).to_string(), "newer"])));
    let refused = loki.get("/loki/api/v1/tail", &[("query", r#"rate({app="x"}[1m])"#.to_owned())]).await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn a_query_that_would_take_too_much_memory_is_refused_with_a_reason() {
    let loki = Loki::plain().await;
    let at = base();
    let streams: Vec<_> = (0..500)
        .map(|n| json!({"stream": {"app": "x", "n": n.to_string()}, "values": [[at.to_string(), "a"]]}))
        .collect();
    assert_eq!(loki.push_body(json!({"streams": streams})).await.status, 204);
    let query = r#"max(count_over_time({app="x"}[1d]))"#;
    let reply = loki.range(query, at, at + 10_000 * SECOND, &[("step", "1")]).await;
    assert_eq!(reply.status, 400);
    assert!(reply.text.starts_with("logstore does not hold more than 4000000 points"), "{}", reply.text);
    let reply = loki.range(r#"sum(count_over_time({app="x"}[1d]))"#, at, at + 10_000 * SECOND, &[("step", "1")]).await;
    assert_eq!(reply.result()[0]["values"][0][1], "500");
    let reply = loki.instant(r#"count_over_time({app=~"x|y"}[1d]) or count_over_time({n="1"}[1d])"#, at).await;
    assert_eq!(reply.result().as_array().unwrap().len(), 500);
    loki.push_lines(json!({"app": "x", "n": "last"}), &[(at, "a")]).await;
    let reply = loki.instant(r#"count_over_time({app="x"}[1d])"#, at).await;
    assert_eq!((reply.status, reply.text.contains("(500) reached for a single query")), (400, true), "{}", reply.text);
}
