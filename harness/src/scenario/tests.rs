//! Claims about the reader; what lint says is in `tests/fixtures/lint` and in `lint`'s own tests.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::diagnostic::Code;
use super::model::{Arrivals, Draw, Generator, Injection, Method, Pace, Population, That, Window};
use super::{Loaded, load, load_text};

/// The example of the design page, word for word.
const EXAMPLE: &str = include_str!("../../../tests/fixtures/lint/clean-database-outage.toml");

fn example() -> Loaded {
    load_text("example.toml", EXAMPLE)
        .unwrap_or_else(|all| panic!("{}", all.iter().map(|d| format!("{d}\n")).collect::<String>()))
}

/// The codes and first lines for a text.
fn codes(text: &str) -> Vec<(Code, u32)> {
    load_text("t.toml", text).unwrap_err().into_iter().map(|found| (found.code, found.location.line)).collect()
}

#[test]
fn the_example_of_the_design_page_reads_as_meant() {
    let Loaded { scenario, .. } = example();
    assert_eq!(scenario.name.get(), "database-outage");
    assert!((scenario.time_scale() - 60.0).abs() < f64::EPSILON);
    assert_eq!((scenario.baseline(), scenario.recovery()), (Duration::from_mins(10), Duration::from_mins(20)));
    let load = &scenario.load[0];
    assert_eq!(
        load.pace(),
        Some(Pace::Rate { rate: 200.0, ramp: Duration::from_mins(2), arrivals: Arrivals::Poisson, max_in_flight: 400 })
    );
    let (method, path) = load.request[1].target().unwrap();
    assert_eq!((method, path.as_str()), (Method::Post, "/api/items/{sku}/reserve"));
    let zipf = Generator::From { population: Population::Seed("items".to_owned()), draw: Draw::Zipf { exponent: 1.1 } };
    assert_eq!(load.request[1].with["sku"].get(), &zipf);
    assert_eq!(load.request[1].expect.status, [200, 409]);
    let fault = scenario.fault("db-down").unwrap();
    assert!(matches!(fault.inject.get(), Injection::Pause(process) if process.target.get() == "postgres"));
    assert_eq!(scenario.drill(), Duration::from_mins(15));
    assert_eq!(scenario.expect[0].during.get(), &Window::Fault("db-down".to_owned()));
    let That::Alert(alert) = scenario.expect[0].that.get() else { panic!("not an alert") };
    assert_eq!(alert.fires_within.as_ref().unwrap().0, Duration::from_mins(7));
}

#[test]
fn an_expectation_keeps_its_own_lines_and_place() {
    let loaded = example();
    let metric = &loaded.scenario.expect[2];
    assert_eq!(metric.source.lines().next(), Some("[[expect]]"));
    assert_eq!(metric.source.lines().count(), 4, "{}", metric.source);
    assert!(metric.source.ends_with("value = \"> 0\" }"), "{}", metric.source);
    assert_eq!(metric.location.column, 1);
    let line = usize::try_from(metric.location.line).unwrap();
    assert_eq!(EXAMPLE.lines().nth(line - 1), Some("[[expect]]"));
}

#[test]
fn an_empty_file_has_no_expectations_b01() {
    let found = load_text("t.toml", "# nothing\n").unwrap_err();
    assert_eq!(found[0].code, Code::Vacuous);
    assert!(found[0].message.contains("no expectations"));
}

#[test]
fn a_syntax_error_names_line_and_column_b02() {
    let found = load_text("t.toml", "name = \"a\"\nsummary = \n").unwrap_err();
    assert_eq!((found[0].code, found[0].location.line, found[0].location.column), (Code::Syntax, 2, 11));
    assert!(found[0].headline().starts_with("t.toml:2:11: error[syntax]"));
}

#[test]
fn several_errors_are_found_in_one_pass() {
    let text = "name = 5\ntagz = []\n[timeline]\nbaseline = \"5\"\n[[expect]]\nduring = \"run\"\nwithin = \"-5s\"\n";
    let found = codes(text);
    let expected = [
        (Code::WrongType, 1),
        (Code::UnknownKey, 2),
        (Code::InvalidDuration, 4),
        (Code::MissingKey, 5),
        (Code::InvalidDuration, 7),
    ];
    assert_eq!(found, expected);
}

#[test]
fn an_unknown_key_gets_a_suggestion_b03() {
    let found = load_text("t.toml", "name = \"a\"\n[[expct]]\nduring = \"run\"\n").unwrap_err();
    assert_eq!((found[0].code, found[0].location.line, found[0].location.column), (Code::UnknownKey, 2, 3));
    assert_eq!(found[0].help.as_deref(), Some("did you mean `expect`?"));
}

#[test]
fn a_key_that_stands_twice_names_both_places_b04() {
    let found = load_text("t.toml", "name = \"a\"\ntags = []\nname = \"b\"\n").unwrap_err();
    assert_eq!((found[0].code, found[0].location.line, found[0].labels[0].location.line), (Code::DuplicateKey, 3, 1));
    let found = load_text("t.toml", "name = \"a\"\n[timeline]\n[stack]\n[timeline]\n").unwrap_err();
    assert_eq!((found[0].code, found[0].location.line, found[0].labels[0].location.line), (Code::DuplicateKey, 4, 2));
}

#[test]
fn a_wrong_type_names_both_types_b05() {
    let found = load_text("t.toml", "name = \"a\"\n[[load]]\nname = \"l\"\nclosed = { users = \"20\" }\n").unwrap_err();
    assert_eq!(found[0].message, "`load.closed.users` must be a whole number, not the text \"20\"");
}

#[test]
fn nan_and_infinity_are_no_thresholds_b09() {
    for number in ["nan", "-nan", "inf", "-inf"] {
        let found = codes(&format!("name = \"a\"\n[[load]]\nname = \"l\"\nopen = {{ rate = {number} }}\n"));
        assert!(found.contains(&(Code::NotFinite, 4)), "{number}: {found:?}");
    }
    assert_eq!(
        codes("name = \"a\"\n[[load]]\nname=\"l\"\n[[load.request]]\nname=\"r\"\njson={a=[nan]}\n"),
        [(Code::NotFinite, 6)]
    );
}

#[test]
fn two_kinds_in_one_expectation_are_refused() {
    let text =
        "name = \"a\"\n[[expect]]\nduring = \"run\"\nthat.target = { job = \"a\" }\nthat.dashboard = { uid = \"b\" }\n";
    let found = load_text("t.toml", text).unwrap_err();
    assert_eq!((found[0].code, found[0].location.line, found[0].labels[0].location.line), (Code::OneOf, 5, 4));
}

#[test]
fn invalid_utf8_names_the_byte_offset_b11() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    fs::write(&path, b"name = \"a\"\nsummary = \"\xff\"\n").unwrap();
    let found = load(&path).unwrap_err();
    assert_eq!((found[0].code, found[0].location.line, found[0].location.column), (Code::InvalidUtf8, 2, 12));
    assert!(found[0].message.contains("offset 22"), "{}", found[0].message);
}

#[test]
fn a_file_of_50_mb_is_refused_unread_b13() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    fs::File::create(&path).unwrap().set_len(50_000_000).unwrap();
    let found = load(&path).unwrap_err();
    assert_eq!(found[0].code, Code::TooLarge);
    assert!(found[0].message.contains("50000000"), "{}", found[0].message);
}

#[test]
fn ten_thousand_levels_of_nesting_do_not_overflow_the_stack_b14() {
    let deep = 10_000;
    let arrays = format!("a = {}{}", "[".repeat(deep), "]".repeat(deep));
    let tables = format!("a = {}1{}", "{a=".repeat(deep), "}".repeat(deep));
    let dotted = format!("{}a = 1", "a.".repeat(deep));
    let quoted = format!("{}a = 1", "\"a\" . ".repeat(deep));
    let header = format!("[{}a]", "a.".repeat(deep));
    for text in [arrays, tables, dotted, quoted, header] {
        assert_eq!(codes(&text), [(Code::TooDeep, 1)], "{}", &text[..20]);
    }
}

#[test]
fn a_missing_file_and_a_directory_are_named_with_the_cause_b36() {
    let folder = tempfile::tempdir().unwrap();
    let missing = load(&folder.path().join("none.toml")).unwrap_err();
    assert_eq!(missing[0].code, Code::Unreadable);
    assert!(missing[0].headline().contains("none.toml:1:1") && missing[0].message.contains("os error 2"));
    let directory = load(folder.path()).unwrap_err();
    assert!(directory[0].message.contains("directory"));
    assert_eq!(load(Path::new("/dev/zero")).unwrap_err()[0].code, Code::Unreadable);
}

#[test]
fn every_form_in_the_schema_is_checked() {
    fn forms(schema: &serde_json::Value, found: &mut Vec<String>) {
        match schema {
            serde_json::Value::Object(object) => {
                found.extend(object.get("x-form").and_then(|form| form.as_str()).map(str::to_owned));
                object.values().for_each(|value| forms(value, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| forms(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    forms(super::schema(), &mut found);
    assert!(found.len() > 50, "{}", found.len());
    for form in found {
        super::check::check_form_for_test(&form);
    }
}
