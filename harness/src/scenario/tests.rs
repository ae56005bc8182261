//! Claims about the reader; what lint says is in `tests/fixtures/lint` and in `lint`'s own tests.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::diagnostic::Code;
use super::model::{Arrivals, Draw, Generator, Injection, Method, Pace, Population, That, Window};
use super::render::{Colour, render};
use super::{Loaded, Surroundings, lint, lint_suite, load, load_text};

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
        Some(Pace::Rate {
            rate: 200.0,
            ramp: Duration::from_mins(2),
            arrivals: Arrivals::Poisson,
            max_in_flight: Some(400)
        })
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
fn a_full_mebibyte_of_nonsense_is_refused_with_a_hundred_problems() {
    for unit in [
        "[[expect]]\n",
        "a=\n",
        "=",
        "[[a.b.c]]\n",
        "{",
        "\"",
        "x=1\n",
        "[a]\n",
        "[[fault]]\nid='a'\ninject.pause={target='a'}\n",
    ] {
        let text = unit.repeat(1024 * 1024 / unit.len());
        let found = load_text("t.toml", &text).unwrap_err();
        assert!((1..=101).contains(&found.len()), "{unit}: {}", found.len());
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
        let _ = super::form::check(&form, "t", &(0..0), "a text of no form");
    }
}

/// The file that editors read; `UPDATE_SCHEMAS=1 cargo test -p harness --lib schema` rewrites it.
#[test]
fn the_schema_file_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/scenario.schema.json");
    let generated = format!("{:#}\n", super::schema());
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == generated, "stale: run `UPDATE_SCHEMAS=1 cargo test -p harness --lib the_schema_file_is_fresh`");
}

/// A keyword that only editors knew would be a rule that the harness does not keep.
#[test]
fn the_schema_says_nothing_that_the_reader_does_not_check() {
    const CHECKED: [&str; 14] = [
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "enum",
        "const",
        "x-form",
        "$ref",
    ];
    const STRUCTURE: [&str; 4] = ["oneOf", "anyOf", "allOf", "definitions"];
    // A pattern and a least length stand beside a form, which is stricter; a format is an integer's size.
    const PROSE: [&str; 8] =
        ["description", "default", "examples", "title", "$schema", "pattern", "minLength", "format"];
    fn keywords<'s>(schema: &'s serde_json::Value, found: &mut Vec<&'s str>) {
        let Some(object) = schema.as_object() else { return };
        for (key, value) in object {
            found.push(key);
            match key.as_str() {
                "properties" | "definitions" => {
                    value.as_object().unwrap().values().for_each(|below| keywords(below, found));
                }
                "items" | "additionalProperties" => keywords(value, found),
                "oneOf" | "anyOf" | "allOf" => {
                    value.as_array().unwrap().iter().for_each(|below| keywords(below, found))
                }
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    keywords(super::schema(), &mut found);
    assert!(found.len() > 500);
    for key in found {
        assert!([&CHECKED[..], &STRUCTURE, &PROSE].iter().any(|known| known.contains(&key)), "{key}");
    }
}

#[test]
fn two_scenarios_of_one_name_are_refused_with_both_files_b46() {
    let scenario = |file: &str| {
        load_text(file, "name = \"a\"\n[[expect]]\nduring = \"run\"\nthat.target = { job = \"j\" }\n").unwrap()
    };
    let found = lint_suite(&[scenario("one.toml"), scenario("two.toml")]);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].code, found[0].location.file.as_str()), (Code::DuplicateName, "two.toml"));
    let shown = render(&found[0], "", Colour::Off);
    assert!(shown.contains("first here: one.toml:1:8"), "{shown}");
}

#[test]
fn a_stack_file_outside_of_the_project_and_a_symlink_loop_are_refused_b19() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("project");
    fs::create_dir(&root).unwrap();
    fs::write(folder.path().join("outside.toml"), "").unwrap();
    std::os::unix::fs::symlink("loop.toml", root.join("loop.toml")).unwrap();
    let surroundings = Surroundings { root: Some(root.clone()), ..Surroundings::default() };
    for (file, message) in [("../outside.toml", "leads out"), ("loop.toml", "os error 40")] {
        let text = format!(
            "name = \"a\"\n[stack]\nfile = \"{file}\"\n[[expect]]\nduring = \"run\"\nthat.target = {{ job = \"j\" }}\n"
        );
        let path = root.join("a.toml");
        fs::write(&path, text).unwrap();
        let found = lint(&load(&path).unwrap(), &surroundings);
        assert_eq!((found.len(), found[0].code), (1, Code::InvalidPath));
        assert!(found[0].message.contains(message), "{}", found[0].message);
    }
}

#[test]
fn diagnostics_are_json_for_machines() {
    let found = load_text("t.toml", "name = 5\n").unwrap_err();
    let json = super::diagnostic::to_json(&found);
    assert_eq!(json[0]["code"], "wrong-type");
    assert_eq!(json[0]["severity"], "error");
    assert_eq!(json[0]["location"], serde_json::json!({ "file": "t.toml", "line": 1, "column": 8 }));
    assert_eq!(json[0]["end"]["column"], 9);
}

#[test]
fn colours_are_written_only_when_asked_for() {
    let found = load_text("t.toml", "name = 5\n").unwrap_err();
    assert!(!render(&found[0], "name = 5\n", Colour::Off).contains('\u{1b}'));
    assert!(render(&found[0], "name = 5\n", Colour::On).contains('\u{1b}'));
}

/// X01 for terminals: a file cannot move the cursor of whoever reads its errors.
#[test]
fn escape_sequences_in_a_file_do_not_reach_the_terminal() {
    let text = "name = \"a\"\n\"\\u001b[2J\" = 1\nsummary = \"\u{7}\"\n[[expect]]\nduring = 5\n";
    for diagnostic in load_text("t\u{1b}[2J.toml", text).unwrap_err() {
        let shown = render(&diagnostic, text, Colour::Off);
        assert!(!shown.contains(['\u{1b}', '\u{7}']), "{shown:?}");
    }
}

/// Reads, lints and renders; the claim is that it returns.
fn swallow(text: &str) {
    match load_text("t.toml", text) {
        Ok(loaded) => {
            for diagnostic in lint(&loaded, &Surroundings::default()) {
                assert!(render(&diagnostic, text, Colour::Off).starts_with("t.toml:"));
            }
        }
        Err(found) => {
            assert!(!found.is_empty());
            found.iter().for_each(|diagnostic| assert!(render(diagnostic, text, Colour::On).contains("t.toml")));
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC*") {
        swallow(&text);
    }

    #[test]
    fn no_toml_like_text_makes_the_reader_panic(text in "([a-z.\"'\\[\\]{}=,#\n0-9 -]|name|expect|\\[\\[|\\]\\]|nan|that|ü|\u{1F600}){0,80}") {
        swallow(&text);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        fs::write(&path, &bytes).unwrap();
        if let Err(found) = load(&path) {
            proptest::prop_assert!(!found.is_empty());
        }
    }

    #[test]
    fn no_damage_to_a_scenario_makes_the_reader_panic(
        cut in 0.0..1.0_f64, length in 0_usize..40, paste in "[\"'=\\[\\]{}.,0-9a-z\n -]{0,8}|ü|nan|inf|-1s|0s", from in 0.0..1.0_f64,
    ) {
        const WHOLE: &str = include_str!("../../../tests/fixtures/lint/clean-everything.toml");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a text")]
        let at = |share: f64| (share * WHOLE.len() as f64) as usize;
        let (cut, from) = (at(cut), at(from));
        let end = (cut + length).min(WHOLE.len());
        swallow(&format!("{}{paste}{}", &WHOLE[..cut], &WHOLE[end..]));
        let until = (from + length).min(WHOLE.len());
        swallow(&format!("{}{}{}", &WHOLE[..cut], &WHOLE[from..until], &WHOLE[end..]));
    }
}
