//! The same pushes and queries with the same answers: always against logstore, and against the Loki at `LOKI_URL` too if
//! that is set. The expected answers are Loki's.
//!
//! Each run pushes under its own `run` label. Answers are compared as texts: labels (without `run` and what Loki
//! discovers by itself) and line or value, sorted.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use logstore::{Options, Server};
use serde_json::{Value, json};

const SECOND: i64 = 1_000_000_000;

/// What is pushed: labels, seconds after the base, line, metadata.
type Line = (&'static [(&'static str, &'static str)], i64, &'static str, &'static [(&'static str, &'static str)]);

const JSON: &[(&str, &str)] = &[("app", "json"), ("env", "t")];
const LOGFMT: &[(&str, &str)] = &[("app", "logfmt")];
const ACCESS: &[(&str, &str)] = &[("app", "access")];
const PACKED: &[(&str, &str)] = &[("app", "packed")];
const VALUE_A: &[(&str, &str)] = &[("app", "value"), ("pod", "a")];
const VALUE_B: &[(&str, &str)] = &[("app", "value"), ("pod", "b")];
const META: &[(&str, &str)] = &[("app", "meta")];

const LINES: &[Line] = &[
    (
        JSON,
        1,
        r#"{"status":500,"method":"GET","took":"120ms","user":{"id":7,"name":"ann"},"env":"inner","ok":true,"n":null}"#,
        &[],
    ),
    (
        JSON,
        2,
        r#"{"status":200,"method":"POST","took":"30ms","user":{"id":8,"name":"bob"},"tags":["a","b"],"size":"2KB"}"#,
        &[],
    ),
    (JSON, 3, "plain text", &[]),
    (LOGFMT, 1, r#"status=500 msg="first \"quoted\"" dur=1.5s flag"#, &[]),
    (LOGFMT, 2, r#"status=abc msg=second dur=250ms empty= =broken tail=x"#, &[]),
    (ACCESS, 1, r#"10.0.0.7 - ann [GET /items 200] 12ms"#, &[]),
    (ACCESS, 2, r#"192.168.1.9 - bob [POST /items 503] 7ms"#, &[]),
    (PACKED, 1, r#"{"pod":"p1","app":"inner","_entry":"the \"entry\""}"#, &[]),
    (VALUE_A, 10, "v=1 d=100ms b=1KB", &[]),
    (VALUE_A, 20, "v=3 d=300ms b=3KB", &[]),
    (VALUE_A, 30, "v=8 d=200ms b=2KB", &[]),
    (VALUE_B, 15, "v=10 d=1s b=1MB", &[]),
    (VALUE_B, 25, "v=2 d=2s b=2MB", &[]),
    (META, 1, "with metadata", &[("trace_id", "abc"), ("kind", "x")]),
    (META, 2, "without", &[]),
];

/// Queries for lines, and the answers.
const LOGS: &[(&str, &[&str])] = &[
    (r#"{app="access"} |= "ann""#, &[r#"{app="access"} 10.0.0.7 - ann [GET /items 200] 12ms"#]),
    (r#"{app="access"} |= "ann" or "bob" != "POST""#, &[r#"{app="access"} 10.0.0.7 - ann [GET /items 200] 12ms"#]),
    (
        r#"{app="access"} |~ "5[0-9]{2}\\]" !~ "GET|PUT""#,
        &[r#"{app="access"} 192.168.1.9 - bob [POST /items 503] 7ms"#],
    ),
    (r#"{app="access"} |= ip("192.168.0.0/16")"#, &[r#"{app="access"} 192.168.1.9 - bob [POST /items 503] 7ms"#]),
    (r#"{app="access"} |> "<_> - bob <_>""#, &[r#"{app="access"} 192.168.1.9 - bob [POST /items 503] 7ms"#]),
    (r#"{app="access"} !> "<_> - bob <_>""#, &[r#"{app="access"} 10.0.0.7 - ann [GET /items 200] 12ms"#]),
    (
        r#"{app="json"} | json | status >= 500 | keep app, status, env_extracted, user_name, ok"#,
        &[
            r#"{app="json",env_extracted="inner",ok="true",status="500",user_name="ann"} {"status":500,"method":"GET","took":"120ms","user":{"id":7,"name":"ann"},"env":"inner","ok":true,"n":null}"#,
        ],
    ),
    (
        r#"{app="json"} | json | __error__!="" | drop __error_details__"#,
        &[r#"{__error__="JSONParserErr",app="json",env="t"} plain text"#],
    ),
    (
        r#"{app="json"} | json | __error__="" | took > 100ms | line_format "{{.method}} {{.user_id}}" | keep app"#,
        &[r#"{app="json"} GET 7"#],
    ),
    (
        r#"{app="json"} | json who="user.name", first="tags[0]" | __error__="" | line_format "{{.who}}/{{.first}}" | keep who, first"#,
        &[r#"{first="a",who="bob"} bob/a"#, r#"{first="",who="ann"} ann/"#],
    ),
    (r#"{app="json"} | json | size > 1KB | line_format "big" | keep app"#, &[r#"{app="json"} big"#]),
    (
        r#"{app="json"} | json | method="POST" or status=500 | line_format "{{.status}}" | keep app"#,
        &[r#"{app="json"} 200"#, r#"{app="json"} 500"#],
    ),
    (
        r#"{app="logfmt"} | logfmt | line_format "{{.msg}}|{{.dur}}|{{.tail}}" | keep app, flag"#,
        &[r#"{app="logfmt"} first "quoted"|1.5s|"#, r#"{app="logfmt"} second|250ms|x"#],
    ),
    (
        r#"{app="logfmt"} | logfmt --keep-empty | keep flag, empty | line_format "x""#,
        &[r#"{empty=""} x"#, r#"{flag=""} x"#],
    ),
    (
        r#"{app="logfmt"} | logfmt --strict | __error__="LogfmtParserErr" | line_format "{{.msg}}" | keep app, msg | drop __error__, __error_details__"#,
        &[r#"{app="logfmt",msg="second"} second"#],
    ),
    (
        r#"{app="logfmt"} | logfmt m="msg", none | line_format "{{.m}}{{.none}}" | keep m, none"#,
        &[r#"{m="first \"quoted\"",none=""} first "quoted""#, r#"{m="second",none=""} second"#],
    ),
    (
        r#"{app="logfmt"} | logfmt | status > 100 | keep status | line_format "x" | drop __error_details__"#,
        &[r#"{__error__="LabelFilterErr",status="abc"} x"#, r#"{status="500"} x"#],
    ),
    (
        r#"{app="access"} | regexp `^(?P<ip>\S+) - (?P<user>\w+) \[(?P<method>\w+)` | line_format "{{.user}} {{.method}}" | keep ip"#,
        &[r#"{ip="10.0.0.7"} ann GET"#, r#"{ip="192.168.1.9"} bob POST"#],
    ),
    (
        r#"{app="access"} | pattern `<ip> - <user> [<_> <path> <status>] <_>` | addr=ip("1.2.3.4") or ip=ip("10.0.0.0/8") | line_format "{{.status}}" | keep user"#,
        &[r#"{user="ann"} 200"#],
    ),
    (r#"{app="packed"} | unpack"#, &[r#"{app="packed",app_extracted="inner",pod="p1"} the "entry""#]),
    (
        r#"{app="access"} | label_format new=app, tpl="{{.new | upper}}-{{__line__ | trunc 2}}" | line_format "x" |= "x""#,
        &[r#"{new="access",tpl="ACCESS-10"} x"#, r#"{new="access",tpl="ACCESS-19"} x"#],
    ),
    (r#"{app="meta"}"#, &[r#"{app="meta",kind="x",trace_id="abc"} with metadata"#, r#"{app="meta"} without"#]),
    (r#"{app="meta"} | trace_id="abc" | drop kind"#, &[r#"{app="meta",trace_id="abc"} with metadata"#]),
    (
        r#"{app="meta"} | drop trace_id="nope", kind=~"x|y""#,
        &[r#"{app="meta",trace_id="abc"} with metadata"#, r#"{app="meta"} without"#],
    ),
    (r#"{app="access"} | line_format "\u001b[31mred\u001b[0m" | decolorize | keep nothing"#, &["{} red", "{} red"]),
];

/// Queries for numbers at 60 seconds after the base, and the answers.
const METRICS: &[(&str, &[&str])] = &[
    (r#"sum(count_over_time({app="value"}[1m]))"#, &["{} 5"]),
    (r#"sum by (pod) (count_over_time({app="value"}[1m]))"#, &[r#"{pod="a"} 3"#, r#"{pod="b"} 2"#]),
    (
        r#"sum without (run, app, service_name, detected_level) (count_over_time({app="value"}[40s]))"#,
        &[r#"{pod="a"} 1"#, r#"{pod="b"} 1"#],
    ),
    (r#"sum(rate({app="value"} |= "v=1" [50s]))"#, &["{} 0.02"]),
    (r#"sum(bytes_over_time({app="value"} |= "v=1 " [1m]))"#, &["{} 17"]),
    (r#"sum(bytes_rate({app="value"} |= "v=1 " [1m]))"#, &["{} 0.2833333333333333"]),
    (r#"sum(count_over_time({app="value"}[1m] offset 40s))"#, &["{} 3"]),
    (r#"sum(sum_over_time({app="value"} | logfmt | unwrap v [1m]))"#, &["{} 24"]),
    (r#"avg_over_time({app="value"} | logfmt | unwrap v [1m]) by (pod)"#, &[r#"{pod="a"} 4"#, r#"{pod="b"} 6"#]),
    (r#"max_over_time({app="value"} | logfmt | unwrap v [1m]) by (pod)"#, &[r#"{pod="a"} 8"#, r#"{pod="b"} 10"#]),
    (r#"min_over_time({app="value"} | logfmt | unwrap v [1m]) by (pod)"#, &[r#"{pod="a"} 1"#, r#"{pod="b"} 2"#]),
    (r#"first_over_time({app="value"} | logfmt | unwrap v [1m]) by (pod)"#, &[r#"{pod="a"} 1"#, r#"{pod="b"} 10"#]),
    (r#"last_over_time({app="value"} | logfmt | unwrap v [1m]) by (pod)"#, &[r#"{pod="a"} 8"#, r#"{pod="b"} 2"#]),
    (r#"stdvar_over_time({app="value",pod="b"} | logfmt | unwrap v [1m]) by (pod)"#, &[r#"{pod="b"} 16"#]),
    (r#"stddev_over_time({app="value",pod="b"} | logfmt | unwrap v [1m]) by (pod)"#, &[r#"{pod="b"} 4"#]),
    (
        r#"quantile_over_time(0.5, {app="value"} | logfmt | unwrap v [1m]) by (pod)"#,
        &[r#"{pod="a"} 3"#, r#"{pod="b"} 6"#],
    ),
    (r#"sum(rate({app="value"} | logfmt | unwrap v [1m]))"#, &["{} 0.4"]),
    (
        r#"max_over_time({app="value"} | logfmt | unwrap duration(d) [1m]) by (pod)"#,
        &[r#"{pod="a"} 0.3"#, r#"{pod="b"} 2"#],
    ),
    (r#"sum(sum_over_time({app="value"} | logfmt | unwrap bytes(b) [1m]))"#, &["{} 3006000"]),
    (r#"sum(count_over_time({app="json"} | json [1m]))"#, &["{} 3"]),
    (
        r#"sum by (method) (count_over_time({app="json"} | json | __error__="" [1m]))"#,
        &[r#"{method="GET"} 1"#, r#"{method="POST"} 1"#],
    ),
    (r#"absent_over_time({app="none",env="t"}[1m])"#, &[r#"{app="none",env="t"} 1"#]),
    (r#"absent_over_time({app="value"}[1m])"#, &[]),
    (r#"avg(count_over_time({app="value"}[1m]))"#, &["{} 2.5"]),
    (r#"min(count_over_time({app="value"}[1m]))"#, &["{} 2"]),
    (r#"max(count_over_time({app="value"}[1m]))"#, &["{} 3"]),
    (r#"count(count_over_time({app="value"}[1m]))"#, &["{} 2"]),
    (r#"stddev(count_over_time({app="value"}[1m]))"#, &["{} 0.5"]),
    (r#"stdvar(count_over_time({app="value"}[1m]))"#, &["{} 0.25"]),
    (r#"topk(1, sum by (pod) (count_over_time({app="value"}[1m])))"#, &[r#"{pod="a"} 3"#]),
    (r#"bottomk(1, sum by (pod) (count_over_time({app="value"}[1m])))"#, &[r#"{pod="b"} 2"#]),
    (r#"sum by (pod) (count_over_time({app="value"}[1m])) > 2"#, &[r#"{pod="a"} 3"#]),
    (r#"sum by (pod) (count_over_time({app="value"}[1m])) > bool 2"#, &[r#"{pod="a"} 1"#, r#"{pod="b"} 0"#]),
    (r#"2 * sum by (pod) (count_over_time({app="value"}[1m])) - 1"#, &[r#"{pod="a"} 5"#, r#"{pod="b"} 3"#]),
    (r#"2 < sum by (pod) (count_over_time({app="value"}[1m]))"#, &[r#"{pod="a"} 3"#]),
    (
        r#"sum by (pod) (count_over_time({app="value"}[1m])) / on () group_left sum(count_over_time({app="value"}[1m]))"#,
        &[r#"{pod="a"} 0.6"#, r#"{pod="b"} 0.4"#],
    ),
    (
        r#"sum by (pod) (count_over_time({app="value"}[1m])) + on (pod) sum by (pod) (count_over_time({app="value",pod="a"}[1m]))"#,
        &[r#"{pod="a"} 6"#],
    ),
    (
        r#"sum by (pod) (count_over_time({app="value"}[1m])) and sum by (pod) (count_over_time({pod="a"}[1m]))"#,
        &[r#"{pod="a"} 3"#],
    ),
    (
        r#"sum by (pod) (count_over_time({app="value"}[1m])) unless sum by (pod) (count_over_time({pod="a"}[1m]))"#,
        &[r#"{pod="b"} 2"#],
    ),
    (
        r#"sum by (pod) (count_over_time({pod="a"}[1m])) or sum by (pod) (count_over_time({app="value"}[1m]))"#,
        &[r#"{pod="a"} 3"#, r#"{pod="b"} 2"#],
    ),
    (
        r#"label_replace(sum by (pod) (count_over_time({pod="a"}[1m])), "copy", "x-$1", "pod", "(.*)")"#,
        &[r#"{copy="x-a",pod="a"} 3"#],
    ),
    (r#"sum(count_over_time({app="value"}[1m])) or vector(0)"#, &["{} 5"]),
    (r#"sum(count_over_time({app="none"}[1m])) or vector(0)"#, &["{} 0"]),
    (r#"sum(count_over_time({app="none"}[1m]))"#, &[]),
    (r#"sum(count_over_time({app="value"}[1m])) == 5 and vector(1)"#, &["{} 5"]),
    (r#"1 / 0 + vector(1)"#, &["{} NaN"]),
];

/// Queries that are refused, with the status and a part of the text.
const REFUSED: &[(&str, u16, &str)] = &[
    (
        r#"sum by (method) (count_over_time({app="json"} | json [1m]))"#,
        400,
        "pipeline error: 'JSONParserErr' for series: ",
    ),
    (
        r#"sum(sum_over_time({app="logfmt"} | logfmt | unwrap status [1m]))"#,
        400,
        "pipeline error: 'SampleExtractionErr'",
    ),
    (r#"{app="json"}"#, 400, "log queries are not supported as an instant query type"),
    (r#"sum(rate({app="json"}[1m])"#, 400, "parse error at line 1, col "),
    (r#"sum_over_time({app="json"}[1m])"#, 400, "parse error : invalid aggregation sum_over_time without unwrap"),
    (r#"rate({app!="json"}[1m])"#, 400, "queries require at least one regexp or equality matcher"),
    (
        r#"sum by (pod) (count_over_time({app="value"}[1m])) + on () sum by (pod) (count_over_time({app="value"}[1m]))"#,
        500,
        "found duplicate series on the right hand-side;many-to-many matching not allowed: matching labels must be unique on one side",
    ),
];

struct Target {
    url: String,
    client: reqwest::Client,
    run: String,
    base: i64,
}

impl Target {
    fn new(url: String) -> Self {
        let now = logstore::clock::wall();
        let base = (now / SECOND / 60 - 10) * 60 * SECOND;
        Self { url, client: reqwest::Client::new(), run: format!("r{now}"), base }
    }

    async fn push(&self) {
        let mut streams: BTreeMap<String, (Value, Vec<Value>)> = BTreeMap::new();
        for (labels, seconds, line, metadata) in LINES {
            let mut stream: BTreeMap<&str, &str> = labels.iter().copied().collect();
            stream.insert("run", &self.run);
            let at = (self.base + seconds * SECOND).to_string();
            let value = match metadata {
                [] => json!([at, line]),
                metadata => json!([at, line, metadata.iter().copied().collect::<BTreeMap<_, _>>()]),
            };
            streams.entry(json!(stream).to_string()).or_insert_with(|| (json!(stream), Vec::new())).1.push(value);
        }
        let streams: Vec<_> =
            streams.into_values().map(|(stream, values)| json!({"stream": stream, "values": values})).collect();
        let request = self.client.post(format!("{}/loki/api/v1/push", self.url)).json(&json!({"streams": streams}));
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 204, "{}", response.text().await.unwrap());
    }

    async fn ask(&self, path: &str, query: &str, more: &[(&str, String)]) -> (u16, String) {
        let mut parameters = vec![("query", scoped(query, &self.run))];
        parameters.extend(more.iter().cloned());
        let request = self.client.get(format!("{}/loki/api/v1/{path}", self.url)).query(&parameters);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn result(&self, path: &str, query: &str, more: &[(&str, String)]) -> Vec<Value> {
        let (status, text) = self.ask(path, query, more).await;
        assert_eq!(status, 200, "{query}: {text}");
        let body: Value = serde_json::from_str(&text).unwrap();
        body["data"]["result"].as_array().unwrap_or_else(|| panic!("{query}: {text}")).clone()
    }

    async fn lines(&self, query: &str) -> Vec<String> {
        let more = [("start", self.base.to_string()), ("end", (self.base + 60 * SECOND).to_string())];
        let mut found = Vec::new();
        for stream in self.result("query_range", query, &more).await {
            let labels = shown(&stream["stream"]);
            found.extend(
                stream["values"].as_array().unwrap().iter().map(|v| format!("{labels} {}", v[1].as_str().unwrap())),
            );
        }
        found.sort();
        found
    }

    async fn numbers(&self, query: &str) -> Vec<String> {
        let more = [("time", (self.base + 60 * SECOND).to_string())];
        let result = self.result("query", query, &more).await;
        let mut found: Vec<_> =
            result.iter().map(|s| format!("{} {}", shown(&s["metric"]), s["value"][1].as_str().unwrap())).collect();
        found.sort();
        found
    }

    async fn check(&self) -> Vec<String> {
        self.push().await;
        let mut wrong = Vec::new();
        for (query, expected) in LOGS {
            let mut expected = expected.to_vec();
            expected.sort_unstable();
            let found = self.lines(query).await;
            if found != expected {
                wrong.push(format!("{query}\n    found    {found:?}\n    expected {expected:?}"));
            }
        }
        for (query, expected) in METRICS {
            let found = self.numbers(query).await;
            if found != *expected {
                wrong.push(format!("{query}\n    found    {found:?}\n    expected {expected:?}"));
            }
        }
        let time = [("time", (self.base + 60 * SECOND).to_string())];
        for (query, status, text) in REFUSED {
            let found = self.ask("query", query, &time).await;
            if found.0 != *status || !found.1.contains(text) {
                wrong.push(format!("{query}\n    found    {found:?}\n    expected {status} {text:?}"));
            }
        }
        wrong
    }
}

/// Adds the run's label to all selectors: a selector's brace is one that is followed by a name and a matcher.
fn scoped(query: &str, run: &str) -> String {
    let mut out = String::new();
    for (index, c) in query.char_indices() {
        out.push(c);
        let rest = &query[index + 1..];
        let name = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_lowercase()).len();
        if c == '{' && name > 0 && rest[name..].starts_with('=') && rest[name..].contains('"') {
            out.push_str(&format!("run=\"{run}\","));
        }
    }
    out
}

/// The labels that the test is about.
fn shown(labels: &Value) -> String {
    let own = |name: &&String| !["run", "service_name", "detected_level"].contains(&name.as_str());
    let labels: BTreeMap<&String, &Value> = labels.as_object().unwrap().iter().filter(|(name, _)| own(name)).collect();
    let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={:?}", value.as_str().unwrap())).collect();
    format!("{{{}}}", pairs.join(","))
}

#[tokio::test]
async fn logstore_answers_as_loki_does() {
    let server = Server::start(Options::default()).await.unwrap();
    let wrong = Target::new(format!("http://{}", server.address)).check().await;
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn the_loki_at_loki_url_answers_so_too() {
    // without a Loki there is nothing to compare with; the other test runs the same body
    let Ok(url) = std::env::var("LOKI_URL") else { return };
    let wrong = Target::new(url.trim_end_matches('/').to_owned()).check().await;
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
