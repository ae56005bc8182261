//! Evaluation of arbitrary lines: nothing panics, and what is counted agrees with what is listed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use logstore::eval::{Answer, Budget, Direction, EvalError, LabelStyle, Request, evaluate};
use logstore::store::{PushEntry, PushStream, Store};
use logstore::{Discovery, Limits, Options, clock, logql};
use proptest::prelude::*;

const PIPELINES: [&str; 16] = [
    "",
    r#"|= "a" != "b" |~ "[0-9]+" or "x""#,
    r#"|> "<_> <_>""#,
    r#"|= ip("10.0.0.0/8") or ip("::1")"#,
    "| json",
    r#"| json a="b[0].c", d="[1]", e"#,
    "| logfmt --keep-empty",
    r#"| logfmt --strict x="a""#,
    r#"| regexp `(?P<a>\w+)=(?P<b>.*)`"#,
    r#"| pattern "<a>=<b> <_>""#,
    "| unpack",
    r#"| json | logfmt | a > 5 or b < 10s or c = 2KB or d = ip("1.2.3.4")"#,
    r#"| line_format `{{.a}} {{__line__ | trunc 3 | upper}} {{substr 1 2 __line__}} {{printf "%5s|%-3s" .a __line__}}`"#,
    r#"| logfmt | label_format a=b, c="{{.d | default \"x\" | urlencode | b64enc}}""#,
    "| decolorize | drop app | keep nothing",
    r#"| json | line_format "{{if .a}}{{add .a 1}}{{else}}{{div 1 0}}{{end}}""#,
];

fn request(start: i64, end: i64, step: i64) -> Request {
    Request {
        start,
        end,
        step,
        interval: 0,
        direction: Direction::Forward,
        limit: usize::MAX,
        max_series: usize::MAX,
        labels: LabelStyle::Merged,
    }
}

fn answer(store: &Store, query: &str, request: &Request) -> Result<Answer, EvalError> {
    let deadline = clock::instant() + Duration::from_secs(60);
    let mut budget = Budget::new(deadline, Arc::new(AtomicBool::new(false)));
    evaluate(store, &logql::parse(query).unwrap(), request, &mut budget)
}

fn listed(store: &Store, query: &str, request: &Request) -> usize {
    match answer(store, query, request).unwrap() {
        Answer::Streams(streams) => streams.iter().map(|stream| stream.lines.len()).sum(),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn counting_agrees_with_listing_whatever_the_lines_are(
        lines in prop::collection::vec(
            prop_oneof![".{0,40}", r#"[{}"\\:,=a-e0-9 .\[\]-]{0,40}"#, r#"\{"a":"?[0-9a-z.]{0,5}"?,"b":\[[0-9]{0,3}\]\}?"#],
            1..12,
        ),
        offsets in prop::collection::vec(0..20i64, 12),
    ) {
        let limits = Limits { discovery: Discovery::Off, ..Limits::default() };
        let store = Store::open(Options { limits, ..Options::default() }).unwrap();
        let base = clock::wall();
        let entry = |(line, offset): (&String, &i64)| {
            let metadata = vec![("m".to_owned(), offset.to_string())];
            PushEntry { at: base + offset, line: line.clone(), metadata }
        };
        let entries = lines.iter().zip(&offsets).map(entry).collect();
        store.push(vec![PushStream { labels: vec![("app".to_owned(), "x".to_owned())], entries }]).unwrap();
        for pipeline in PIPELINES {
            let count = listed(&store, &format!(r#"{{app="x"}} {pipeline}"#), &request(base, base + 20, 0));
            let metric = format!(r#"sum by (app) (count_over_time({{app="x"}} {pipeline} | __error__="" [1m]))"#);
            let fine = listed(&store, &format!(r#"{{app="x"}} {pipeline} | __error__="""#), &request(base, base + 20, 0));
            let counted = match answer(&store, &metric, &request(base + 20, base + 20, 0)).unwrap() {
                Answer::Vector(samples) => samples.iter().map(|sample| sample.value).sum::<f64>(),
                other => panic!("{other:?}"),
            };
            prop_assert!(fine <= count);
            prop_assert_eq!(counted, f64::from(u32::try_from(fine).unwrap()), "{}", pipeline);
        }
    }

    #[test]
    fn paging_in_either_direction_lists_the_same_lines(
        offsets in prop::collection::vec((0..30i64, 0..3usize), 1..60),
    ) {
        let store = Store::open(Options::default()).unwrap();
        let base = clock::wall();
        for (number, (offset, stream)) in offsets.iter().enumerate() {
            let entries = vec![PushEntry { at: base + offset, line: format!("{number}"), metadata: Vec::new() }];
            store.push(vec![PushStream { labels: vec![("app".to_owned(), format!("s{stream}"))], entries }]).unwrap();
        }
        let lines = |direction| {
            let request = Request { direction, ..request(base, base + 30, 0) };
            let Answer::Streams(streams) = answer(&store, r#"{app=~"s.+"}"#, &request).unwrap() else { unreachable!() };
            for stream in &streams {
                let times: Vec<_> = stream.lines.iter().map(|line| line.at).collect();
                let sorted = if direction == Direction::Forward { times.is_sorted() } else { times.iter().rev().is_sorted() };
                assert!(sorted, "{times:?}");
            }
            let mut all: Vec<_> = streams.into_iter().flat_map(|stream| stream.lines).map(|line| line.text).collect();
            all.sort();
            all
        };
        prop_assert_eq!(lines(Direction::Forward).len(), offsets.len());
        prop_assert_eq!(lines(Direction::Forward), lines(Direction::Backward));
    }
}
