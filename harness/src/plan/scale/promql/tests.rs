//! What scaling changes in an expression, and what it leaves as written.

use super::*;

fn scaled(text: &str, factor: f64) -> String {
    scale(text, Scale::new(factor).unwrap(), &Context::default()).unwrap().text
}

fn doubts(text: &str) -> Vec<DoubtKind> {
    let scaled = scale(text, Scale::new(60.0).unwrap(), &Context::default()).unwrap();
    scaled.doubts.into_iter().map(|doubt| doubt.kind).collect()
}

#[test]
fn durations_are_divided_and_everything_else_stays_as_written() {
    for (text, expected) in [
        ("rate(a[5m]) > 0.1", "rate(a[5s]) > 0.1"),
        (
            "sum by (job)(\n  # five minutes [5m]\n  rate(a{x=\"[5m]\"}[5m] offset 1h)\n) / 2",
            "sum by (job)(\n  # five minutes [5m]\n  rate(a{x=\"[5m]\"}[5s] offset 1m)\n) / 2",
        ),
        ("max_over_time(rate(a[5m])[1h:1m]) > 3", "max_over_time(rate(a[5s])[1m:1s]) > 3"),
        ("max_over_time(rate(a[5m])[24h:])", "max_over_time(rate(a[5s])[24m:])"),
        ("a offset -30m", "a offset -30s"),
        ("up == 0", "up == 0"),
        ("increase(x[5m]) > 0", "increase(x[5s]) > 0"),
        (
            "histogram_quantile(0.95, sum by (le) (rate(b_bucket[5m]))) > 0.5",
            "histogram_quantile(0.95, sum by (le) (rate(b_bucket[5s]))) > 0.5",
        ),
        ("rate(a[1m30s])", "rate(a[1500ms])"),
        ("rate(a[70s])", "rate(a[1166ms])"),
    ] {
        assert_eq!(scaled(text, 60.0), expected);
    }
}

#[test]
fn the_identity_changes_no_byte() {
    let text = "rate( a [5m] )>0.10 # x";
    assert_eq!(scaled(text, 1.0), text);
}

#[test]
fn constants_compared_with_elapsed_time_are_divided() {
    for (text, expected) in [
        ("time() - last > 86400", "time() - last > 1440"),
        ("3600 < time() - last", "60 < time() - last"),
        ("(expiry - time()) / 86400 < 20", "(expiry - time()) / 86400 < 0.3333333333333333"),
        ("time() - max by (job) (last) > 24 * 3600", "time() - max by (job) (last) > 24 * 60"),
        ("time() - timestamp(x) > 300 and up == 1", "time() - timestamp(x) > 5 and up == 1"),
        ("predict_linear(free[6h], 4*24*3600) < 0", "predict_linear(free[6m], 4*24*60) < 0"),
        ("topk(5, time() - x) > 60 + 60", "topk(5, time() - x) > 1 + 1"),
        ("x - 3600 > 7200", "x - 3600 > 7200"),
        ("time() > bool 1700000000", "time() > bool 1700000000"),
    ] {
        assert_eq!(scaled(text, 60.0), expected);
    }
}

#[test]
fn a_recorded_age_is_an_elapsed_time_too() {
    let context = Context { elapsed: BTreeSet::from(["job:age:seconds".to_owned()]) };
    let found = scale("job:age:seconds > 600", Scale::new(60.0).unwrap(), &context).unwrap();
    assert_eq!(found.text, "job:age:seconds > 10");
}

#[test]
fn what_cannot_be_scaled_is_said_with_its_arithmetic() {
    assert_eq!(doubts("increase(restarts[1h]) > 5"), [DoubtKind::CountInWindow]);
    assert_eq!(doubts("increase(restarts[1h]) > 0"), []);
    assert_eq!(doubts("sum(rate(errors[5m])) > 0.1"), [DoubtKind::FewEvents]);
    assert_eq!(doubts("sum(rate(errors[5m])) > 5"), []);
    assert_eq!(doubts("sum(rate(e[5m])) / sum(rate(r[5m])) > 0.01"), []);
    assert_eq!(doubts("day_of_week() > 5"), [DoubtKind::Calendar]);
    assert_eq!(doubts("mysql_slave_seconds_behind_master > 30"), [DoubtKind::ExporterAge]);
    assert_eq!(doubts("time() - last > 10 * interval_seconds"), [DoubtKind::Constant]);
    assert_eq!(doubts("deriv(g[5m]) > 3"), [DoubtKind::Slope]);
    let count = scale("increase(x[5m]) > 5", Scale::new(60.0).unwrap(), &Context::default()).unwrap();
    assert!(
        count.doubts[0].message.contains("takes 1 real events a second, in production 0.0167"),
        "{}",
        count.doubts[0].message
    );
}

#[test]
fn what_is_no_promql_is_refused_with_the_parsers_words() {
    for text in ["rate(a)", "a[", "sum(", "{}", "a >"] {
        assert!(
            matches!(scale(text, Scale::new(60.0).unwrap(), &Context::default()), Err(PromqlError::Syntax(_))),
            "{text}"
        );
    }
}

#[test]
fn endless_expressions_are_refused_and_long_strings_are_not_b34() {
    for text in ["(".repeat(50_000), "a + ".repeat(50_000) + "a", "-".repeat(50_000) + "a"] {
        assert!(matches!(parse(&text), Err(PromqlError::Syntax(_))));
    }
    assert!(parse(&format!("a{{b=~\"{}\"}}", "x|".repeat(50_000))).is_ok());
}

#[test]
fn windows_add_subqueries_and_know_their_function() {
    let expr = parse("max_over_time(rate(a[5m] offset 1m)[1h:1m]) + avg_over_time(b[10m])").unwrap();
    let found = windows(&expr);
    assert_eq!((found[0].range, found[0].offset), (Duration::from_secs(3900), Duration::from_secs(60)));
    assert_eq!((found[0].function.as_str(), found[1].function.as_str()), ("rate", "avg_over_time"));
}

mod property {
    use proptest::prelude::*;

    use super::super::*;

    fn time() -> impl Strategy<Value = String> {
        prop_oneof![
            (1u32..400, prop_oneof!["s", "m", "h", "d"]).prop_map(|(count, unit)| format!("{count}{unit}")),
            (1u32..20, 1u32..60).prop_map(|(hours, minutes)| format!("{hours}h{minutes}m")),
        ]
    }

    fn selector() -> impl Strategy<Value = String> {
        let matcher = prop_oneof![
            Just(String::new()),
            Just("{a=\"[5m] offset 1h\",b=~'x|y'}".to_owned()),
            Just("{c!=`1h`}".to_owned())
        ];
        ("[a-z]{1,4}_total", matcher).prop_map(|(name, matcher)| format!("{name}{matcher}"))
    }

    fn vector() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            selector(),
            (selector(), time()).prop_map(|(selector, time)| format!("{selector} offset {time}")),
            (selector(), time()).prop_map(|(selector, time)| format!("rate({selector}[{time}])")),
            (selector(), time(), time())
                .prop_map(|(selector, range, offset)| format!("increase({selector}[{range}] offset -{offset})")),
            selector().prop_map(|selector| format!("(time() - {selector})")),
            (selector(), time()).prop_map(|(selector, range)| format!("predict_linear({selector}[{range}], 4 * 3600)")),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                (inner.clone(), 0.5f64..9e6).prop_map(|(left, right)| format!("({left}) > {right}")),
                (inner.clone(), inner.clone())
                    .prop_map(|(left, right)| format!("({left}) / on(job)\n ({right}) # [5m]\n")),
                (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left})\nunless ({right})")),
                inner.clone().prop_map(|inner| format!("topk(3, {inner})\n")),
                (inner, time(), time())
                    .prop_map(|(inner, range, step)| format!("max_over_time(({inner}\n)[{range}:{step}])")),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_generated_expression_scales_and_is_proved(text in vector(), factor in prop_oneof![Just(2.0), Just(7.0), Just(60.0), Just(300.0)]) {
            let scaled = scale(&text, Scale::new(factor).unwrap(), &Context::default());
            prop_assert!(scaled.is_ok(), "{text}: {scaled:?}");
            prop_assert_eq!(apply(&text, &scaled.unwrap().replacements).lines().count(), text.lines().count());
        }

        #[test]
        fn scaling_by_the_product_is_scaling_twice_on_whole_durations(minutes in 1u64..500) {
            let text = format!("rate(a[{minutes}h])");
            let twice = scale(&scale(&text, Scale::new(6.0).unwrap(), &Context::default()).unwrap().text, Scale::new(10.0).unwrap(), &Context::default()).unwrap();
            let once = scale(&text, Scale::new(60.0).unwrap(), &Context::default()).unwrap();
            prop_assert_eq!(twice.text, once.text);
        }
    }
}
