//! The parser against queries as people write them, against Loki's error texts, and against arbitrary input.

use logstore::logql::{Query, parse};
use proptest::prelude::*;

/// Queries and their canonical form.
const VALID: &[(&str, &str)] = &[
    (r#"{app="x"}"#, r#"{app="x"}"#),
    (r#"{ app =~ "x|y" , env!="z" }"#, r#"{app=~"x|y", env!="z"}"#),
    ("{app=`a\\d`} # a comment\n |= `b`", r#"{app="a\\d"} |= "b""#),
    (r#"{rate="x", sum="y"}"#, r#"{rate="x", sum="y"}"#),
    (r#"({app="x"} |= "a")"#, r#"{app="x"} |= "a""#),
    (
        r#"{app="x"} |= "a" or "b" != "c" |~ "d.*" !~ `e` |> "<_> f" !> "g <_>""#,
        r#"{app="x"} |= "a" or "b" != "c" |~ "d.*" !~ "e" |> "<_> f" !> "g <_>""#,
    ),
    (r#"{app="x"} |= ip("10.0.0.0/8") | addr != ip("::1")"#, r#"{app="x"} |= ip("10.0.0.0/8") | addr!=ip("::1")"#),
    (
        r#"{app="x"} | json | logfmt --strict --keep-empty | unpack | decolorize"#,
        r#"{app="x"} | json | logfmt --strict --keep-empty | unpack | decolorize"#,
    ),
    (
        r#"{app="x"} | json a="b.c[0]", d | logfmt e, f="g""#,
        r#"{app="x"} | json a="b.c[0]", d="d" | logfmt e="e", f="g""#,
    ),
    (
        r#"{app="x"} | regexp `(?P<a>\d+)` | pattern "<b> <_>""#,
        r#"{app="x"} | regexp "(?P<a>\\d+)" | pattern "<b> <_>""#,
    ),
    (
        r#"{app="x"} | line_format "{{.a}}" | label_format b=c,d="{{.e}}" | drop f, g="h" | keep i"#,
        r#"{app="x"} | line_format "{{.a}}" | label_format b=c, d="{{.e}}" | drop f, g="h" | keep i"#,
    ),
    (r#"{app="x"} | a="b" or c>5 and d<=10s"#, r#"{app="x"} | ( a="b" or ( c>5 and d<=10000000000ns ) )"#),
    (r#"{app="x"} | (a="b" or c>5KB) and d!=1"#, r#"{app="x"} | ( ( a="b" or c>5000B ) and d!=1 )"#),
    (r#"{app="x"} | a="b", c="d" or e="f""#, r#"{app="x"} | ( a="b" and ( c="d" or e="f" ) )"#),
    (r#"{app="x"} | a="b" or c="d", e="f""#, r#"{app="x"} | ( a="b" or ( c="d" and e="f" ) )"#),
    (r#"{app="x"} | a="b" c="d""#, r#"{app="x"} | ( a="b" and c="d" )"#),
    (r#"rate({app="x"}[5m])"#, r#"rate({app="x"}[300000ms])"#),
    (r#"rate({app="x"}[5m] |= "a" | json)"#, r#"rate({app="x"} |= "a" | json[300000ms])"#),
    (r#"rate(({app="x"} |= "a")[5m] offset 1h)"#, r#"rate({app="x"} |= "a"[300000ms] offset 3600000000000ns)"#),
    (r#"count_over_time({app="x"}[5m] offset -30s)"#, r#"count_over_time({app="x"}[300000ms] offset -30000000000ns)"#),
    (r#"SUM(rate({app="x"}[1m])) BY (a, b)"#, r#"sum by (a, b) (rate({app="x"}[60000ms]))"#),
    (r#"sum by (a) (rate({app="x"}[1m])) > 2"#, r#"(sum by (a) (rate({app="x"}[60000ms])) > 2)"#),
    (r#"topk(3, sum without (a) (rate({app="x"}[1m])))"#, r#"topk(3,sum without (a) (rate({app="x"}[60000ms])))"#),
    (
        r#"quantile_over_time(0.99, {app="x"} | json | unwrap duration(d) | __error__="" [1m]) by (a)"#,
        r#"quantile_over_time(0.99,{app="x"} | json | unwrap duration(d) | __error__=""[60000ms]) by (a)"#,
    ),
    (r#"1 + 2 * 3 ^ 2"#, "19"),
    (r#"2 ^ 3 ^ 2"#, "512"),
    ("0x1.8p3 + 1e1", "22"),
    (r#"0x1.8p3 + 1e1"#, "22"),
    (r#"vector(0) or vector(1)"#, "(vector(0) or vector(1))"),
    (
        r#"rate({a="x"}[1m]) / on (b) group_left (c) rate({a="y"}[1m])"#,
        r#"(rate({a="x"}[60000ms]) / on (b) group_left (c) rate({a="y"}[60000ms]))"#,
    ),
    (
        r#"rate({a="x"}[1m]) > bool ignoring (b) rate({a="y"}[1m])"#,
        r#"(rate({a="x"}[60000ms]) > bool ignoring (b) rate({a="y"}[60000ms]))"#,
    ),
    (
        r#"label_replace(rate({a="x"}[1m]), "b", "$1", "a", "(.*)")"#,
        r#"label_replace(rate({a="x"}[60000ms]),"b","$1","a","(.*)")"#,
    ),
    (r#"{app="x"} | on_time="y""#, r#"{app="x"} | on_time="y""#),
    (
        r#"count_over_time({job=~".+"} |~ `"score":\s*\[3,\s*0\]` [5m])"#,
        r#"count_over_time({job=~".+"} |~ "\"score\":\\s*\\[3,\\s*0\\]"[300000ms])"#,
    ),
];

const NEEDS_MATCHER: &str = "parse error : queries require at least one regexp or equality matcher";

/// Queries that are none, where they fail, and how the text begins.
const INVALID: &[(&str, usize, &str)] = &[
    (r#"unk({foo="bar"}[5m])"#, 0, "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER"),
    (r#"{foo="bar"} foo"#, 12, "parse error at line 1, col 13: syntax error: unexpected IDENTIFIER"),
    (r#"{foo="bar""#, 10, "parse error at line 1, col 11: syntax error: unexpected $end, expecting } or ,"),
    ("{foo=\"bar\"}\n |~", 15, "parse error at line 2, col 4: syntax error: unexpected $end, expecting STRING or ip"),
    (r#"{foo="bar}"#, 5, "parse error at line 1, col 6: literal not terminated"),
    (
        r#"rate({foo="bar"}[5minutes])"#,
        16,
        r#"parse error at line 1, col 17: unknown unit "minutes" in duration "5minutes""#,
    ),
    (r#"rate({foo="bar"}[5)"#, 16, "parse error at line 1, col 17: missing closing ']' in duration"),
    (r#"rate({foo="bar"})"#, 16, "parse error at line 1, col 17: syntax error: unexpected )"),
    (r#"min({foo="bar"}[5m])"#, 15, "parse error at line 1, col 16: syntax error: unexpected RANGE"),
    (r#"{foo="é"} |= 5"#, 14, "parse error at line 1, col 14: syntax error: unexpected NUMBER, expecting STRING or ip"),
    (r#"{foo="bar"} | logfmt | addr>=ip("1.2.3.4")"#, 29, "parse error at line 1, col 30: syntax error: unexpected ip"),
    ("{}", 0, NEEDS_MATCHER),
    (r#"{foo=~".*"}"#, 0, NEEDS_MATCHER),
    (r#"1 + rate({foo!="x"}[1m])"#, 9, NEEDS_MATCHER),
    (r#"{foo=~"a(b"}"#, 6, "parse error : error parsing regexp: "),
    (r#"sum(3, rate({foo="x"}[1m]))"#, 0, "parse error : unsupported parameter for operation sum(3,"),
    (r#"topk(rate({foo="x"}[1m]))"#, 0, "parse error : parameter required for operation topk"),
    (r#"sum_over_time({foo="x"}[1m])"#, 0, "parse error : invalid aggregation sum_over_time without unwrap"),
    (
        r#"count_over_time({foo="x"} | unwrap y [1m])"#,
        0,
        "parse error : invalid aggregation count_over_time with unwrap",
    ),
    (
        r#"count_over_time({foo="x"}[1m]) by (y)"#,
        0,
        "parse error : grouping not allowed for count_over_time aggregation",
    ),
    (r#"{foo="x"} + 1"#, 0, "parse error : unexpected type for left leg of binary operation (+): *syntax.MatchersExpr"),
    (
        r#"rate({foo="x"}[1m]) or 1"#,
        23,
        "parse error : unexpected literal for right leg of logical/set binary operation (or): 1.000000",
    ),
    (r#"{foo="x"} | line_format "{{.a""#, 12, "parse error : invalid line template: template: line:1: unclosed action"),
    (
        r#"{foo="x"} | regexp "a""#,
        12,
        "parse error : invalid regexp parser: at least one named capture must be supplied",
    ),
    ("", 0, "parse error at line 1, col 1: syntax error: unexpected $end"),
];

fn canonical(query: &str) -> String {
    match parse(query) {
        Ok(query) => query.to_string(),
        Err(error) => panic!("{query}\n{error}"),
    }
}

#[test]
fn valid_queries_parse_to_the_tree_that_loki_builds() {
    for (query, expected) in VALID {
        let printed = canonical(query);
        assert_eq!(printed, *expected, "{query}");
        assert_eq!(canonical(&printed), printed, "the printed form of {query} parses to itself");
    }
}

#[test]
fn invalid_queries_are_refused_with_lokis_text_and_the_offset() {
    for (query, offset, message) in INVALID {
        let error = parse(query).expect_err(query);
        assert_eq!(error.offset, *offset, "{query}: {error}");
        assert!(error.to_string().starts_with(*message), "{query}\n  got  {error}\n  want {message}");
    }
}

#[test]
fn what_loki_has_and_logstore_lacks_parses_and_is_named() {
    let unsupported = |query: &str| parse(query).unwrap().unsupported();
    assert_eq!(unsupported(r#"sum(rate({a="x"} | line_format "{{.b | upper}}" [1m]))"#), None);
    let found = unsupported(r#"{a="x"} | label_format b="{{.c | fromJson}}""#).unwrap();
    assert_eq!((found.offset, found.what.as_str()), (10, "template function fromJson"));
    let found = unsupported(r#"1 + approx_topk(5, rate({a="x"}[1m]))"#).unwrap();
    assert_eq!((found.offset, found.what.as_str()), (4, "approx_topk"));
}

#[test]
fn deep_nesting_is_an_error_and_not_a_crash() {
    let parens = format!("{}1{}", "(".repeat(50_000), ")".repeat(50_000));
    assert!(parse(&parens).is_err());
    let sums = "sum(".repeat(20_000);
    assert!(parse(&sums).is_err());
    let filters = format!("{{a=\"x\"}} | {}", "(".repeat(50_000));
    assert!(parse(&filters).is_err());
    let template = format!("{{a=\"x\"}} | line_format `{}`", "{{if .a}}".repeat(10_000));
    assert!(parse(&template).is_err());
    let powers = format!("1{}", "^1".repeat(30_000));
    assert!(parse(&powers).is_err());
}

#[test]
fn a_long_chain_of_operators_is_bounded() {
    assert!(matches!(parse(&format!("1{}", "+1".repeat(900))), Ok(Query::Metric(_))));
    let error = parse(&format!("1{}", "+1".repeat(30_000))).unwrap_err();
    assert!(error.message.contains("too many operators"), "{error}");
}

const FRAGMENTS: [&str; 64] = [
    "{",
    "}",
    "(",
    ")",
    "[5m]",
    "[",
    "]",
    "=",
    "!=",
    "=~",
    "!~",
    "|=",
    "|~",
    "|",
    "|>",
    "!>",
    ",",
    "\"a\"",
    "`b`",
    "\"",
    "a",
    "app",
    "json",
    "logfmt",
    "regexp",
    "pattern",
    "unwrap",
    "rate",
    "sum",
    "by",
    "without",
    "topk",
    "5",
    "5m",
    "5KB",
    "-",
    "+",
    "*",
    "/",
    "^",
    "%",
    "==",
    ">",
    "bool",
    "on",
    "ignoring",
    "group_left",
    "or",
    "and",
    "unless",
    "offset",
    "drop",
    "keep",
    "label_format",
    "line_format",
    "\"{{.a}}\"",
    "ip",
    "vector",
    "label_replace",
    "quantile_over_time",
    "#",
    "\n",
    "é",
    "{app=\"x\"}",
];

proptest! {
    #[test]
    fn the_parser_never_panics_on_arbitrary_text(text in ".{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn the_parser_never_panics_on_shuffled_fragments(picks in prop::collection::vec(0..FRAGMENTS.len(), 0..25)) {
        let text: String = picks.iter().map(|pick| FRAGMENTS[*pick]).collect::<Vec<_>>().join(" ");
        if let Ok(query) = parse(&text) {
            let printed = query.to_string();
            prop_assert_eq!(parse(&printed).map(|query| query.to_string()), Ok(printed));
        }
        if let Err(error) = parse(&text) {
            prop_assert!(error.offset <= text.len() && text.is_char_boundary(error.offset));
        }
    }

    #[test]
    fn the_parser_never_panics_on_templates_and_patterns(inside in "[{}<>_a-z|.$(),:= -]{0,40}") {
        let _ = parse(&format!("{{a=\"x\"}} | line_format `{inside}`"));
        let _ = parse(&format!("{{a=\"x\"}} | pattern `{inside}`"));
        let _ = parse(&format!("{{a=\"x\"}} | json a=`{inside}`"));
    }
}
