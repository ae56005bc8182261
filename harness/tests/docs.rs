//! The reference parts of the guides are generated from the code, and the guides' examples are read.
//! `UPDATE_DOCS=1 cargo test -p harness --test docs` rewrites the parts between the markers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its own functions too")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use harness::event::Verdict;
use harness::outcome::Reason;
use harness::plan::finding::FindingCode;
use harness::scenario::render::{Colour, render};
use harness::scenario::{Code, load_text, schema};
use serde_json::{Map, Value};

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

/// Compares the text between the markers `<!-- begin: part -->` and `<!-- end: part -->` with what it should be.
fn fresh(name: &str, part: &str, generated: &str) {
    let text = fs::read_to_string(page(name)).unwrap();
    let (begin, end) = (format!("<!-- begin: {part} -->\n"), format!("<!-- end: {part} -->"));
    let (before, rest) = text.split_once(&begin).unwrap();
    let (written, after) = rest.split_once(&end).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(page(name), format!("{before}{begin}{generated}{end}{after}")).unwrap();
    } else {
        assert!(written == generated, "docs/{name} is stale: run `UPDATE_DOCS=1 cargo test -p harness --test docs`");
    }
}

fn resolve(schema: &Value) -> &Value {
    let reference = schema.get("$ref").or_else(|| schema.get("allOf")?.get(0)?.get("$ref"));
    match reference.and_then(Value::as_str) {
        Some(path) => resolve(harness::scenario::schema().pointer(&path[1..]).unwrap()),
        None => schema,
    }
}

fn description(schema: &Value) -> String {
    let own = schema.get("description").or_else(|| resolve(schema).get("description"));
    let text = own.and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn form(schema: &Value) -> String {
    let schema = resolve(schema);
    if let Some(branches) = schema.get("anyOf").and_then(Value::as_array) {
        return branches.iter().map(form).collect::<Vec<_>>().join(" or ");
    }
    let names: Vec<String> = schema
        .get("oneOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .flat_map(|branch| {
            branch.get("enum").and_then(Value::as_array).into_iter().flatten().chain(branch.get("const"))
        })
        .chain(schema.get("enum").and_then(Value::as_array).into_iter().flatten())
        .map(|name| format!("`{name}`"))
        .collect();
    if !names.is_empty() {
        return names.join(", ");
    }
    let named = match schema.get("x-form").and_then(Value::as_str) {
        Some("duration" | "positive-duration") => "duration",
        Some("bound") => "comparison",
        Some("latency-bound") => "comparison with a time",
        Some("share-bound") => "comparison with a share",
        Some("count-bound") => "comparison with a count",
        Some("size") => "size",
        Some("data-rate") => "data rate",
        Some("name") => "kebab-case",
        Some("link") => "`\"a -> b\"`",
        Some("share") => "percentage",
        _ => match schema.get("type").and_then(Value::as_str) {
            Some("string") => "text",
            Some("integer") => "whole number",
            Some("number") => "number",
            Some("boolean") => "`true` or `false`",
            Some("array") => return format!("list of {}", schema.get("items").map(form).unwrap_or_default()),
            None if schema.get("oneOf").is_none() => "any value",
            _ => "table",
        },
    };
    named.to_owned()
}

fn rows(out: &mut String, schema: &Value) {
    let schema = resolve(schema);
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    if properties.is_empty() {
        return;
    }
    out.push_str("\n| key | value | meaning |\n|---|---|---|\n");
    for (key, below) in properties {
        let must = if required.contains(&key.as_str()) { " **required**" } else { "" };
        writeln!(out, "| `{key}`{must} | {} | {} |", form(below), description(below)).unwrap();
    }
}

/// One heading a table of the language, in the order of the schema.
fn keys() -> String {
    let mut out = String::new();
    let tables: [(&str, &str); 13] = [
        ("The file", ""),
        ("`[stack]`", "Stack"),
        ("`[timeline]`", "Timeline"),
        ("`[[load]]`", "Load"),
        ("`open = { … }`", "Open"),
        ("`stages = [{ … }]`", "Stage"),
        ("`closed = { … }`", "Closed"),
        ("`[[load.request]]` and `[[load.journey.step]]`", "Request"),
        ("`expect = { … }` of a request", "Expected"),
        ("`[[load.journey]]`", "Journey"),
        ("`[[fault]]`", "Fault"),
        ("`[[expect]]`", "Expectation"),
        ("`[alerts]`", "Alerts"),
    ];
    let definitions = &schema()["definitions"];
    for (title, name) in tables {
        let table = if name.is_empty() { schema() } else { &definitions[name] };
        writeln!(out, "\n### {title}\n\n{}", description(table)).unwrap();
        rows(&mut out, table);
    }
    writeln!(out, "\n### `with.<placeholder> = {{ … }}`\n\nWhere a placeholder's values come from.").unwrap();
    rows(&mut out, &definitions["Generator"]["anyOf"][0]);
    writeln!(out, "\n### `during = {{ … }}`\n").unwrap();
    for branch in definitions["Window"]["anyOf"][1]["oneOf"].as_array().unwrap() {
        let (key, _) = branch["properties"].as_object().unwrap().iter().next().unwrap();
        writeln!(out, "* `{key}` — {}", description(branch)).unwrap();
    }
    kinds(&mut out, "inject", &definitions["Injection"]);
    kinds(&mut out, "that", &definitions["That"]);
    out
}

fn kinds(out: &mut String, key: &str, schema: &Value) {
    for branch in schema["oneOf"].as_array().unwrap() {
        let (kind, below) = branch["properties"].as_object().unwrap().iter().next().unwrap();
        writeln!(out, "\n### `{key}.{kind} = {{ … }}`\n\n{}", description(branch)).unwrap();
        rows(out, below);
    }
}

#[test]
fn the_reference_in_the_scenario_guide_is_fresh() {
    fresh("scenarios.md", "keys", &keys());
    let mut out = "\n| code | meaning |\n|---|---|\n".to_owned();
    Code::ALL.iter().for_each(|code| writeln!(out, "| `{code}` | {} |", code.meaning()).unwrap());
    out.push('\n');
    fresh("scenarios.md", "codes", &out);
}

#[test]
fn the_list_of_findings_is_fresh() {
    let mut out = "\n| code | level | meaning |\n|---|---|---|\n".to_owned();
    for found in FindingCode::ALL {
        writeln!(out, "| `{}` | {} | {} |", found.code(), found.level().word(), found.meaning()).unwrap();
    }
    out.push('\n');
    fresh("rules.md", "findings", &out);
}

#[test]
fn the_list_of_reason_codes_is_fresh() {
    let mut out = "\n| code | meaning |\n|---|---|\n".to_owned();
    Reason::ALL.iter().for_each(|reason| writeln!(out, "| `{}` | {} |", reason.code(), reason.meaning()).unwrap());
    out.push('\n');
    fresh("outcomes.md", "reasons", &out);
}

#[test]
fn every_verdict_stands_in_the_outcomes_page_with_its_exit_code() {
    let text = fs::read_to_string(page("outcomes.md")).unwrap();
    let verdicts = [
        Verdict::Pass,
        Verdict::Fail,
        Verdict::Invalid,
        Verdict::Inconclusive,
        Verdict::Environment,
        Verdict::Leftovers,
        Verdict::Bug,
        Verdict::Interrupted,
    ];
    for verdict in verdicts {
        let word = serde_json::to_value(verdict).unwrap().as_str().unwrap().to_uppercase();
        let row = format!("| {} | {word} |", verdict.exit_code());
        assert!(text.contains(&row), "docs/outcomes.md lacks the row {row}");
    }
}

/// The language has no key that the reference does not show.
#[test]
fn every_key_stands_in_the_guide() {
    fn collect(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(object) => {
                let properties = object.get("properties").and_then(Value::as_object);
                found.extend(properties.into_iter().flat_map(|all| all.keys().cloned()));
                object.values().for_each(|value| collect(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let guide = fs::read_to_string(page("scenarios.md")).unwrap();
    let mut found = Vec::new();
    collect(schema(), &mut found);
    assert!(found.len() > 150, "{}", found.len());
    for key in found {
        assert!(
            [format!("`{key}`"), format!("inject.{key} ="), format!("that.{key} =")]
                .iter()
                .any(|text| guide.contains(text)),
            "`{key}` is not in docs/scenarios.md"
        );
    }
}

#[test]
fn every_example_in_the_guide_can_be_read() {
    let guide = fs::read_to_string(page("scenarios.md")).unwrap();
    let blocks = guide.split("```toml\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let examples: Vec<&str> = blocks.map(|(text, _)| text).collect();
    assert!(examples.len() >= 4, "{}", examples.len());
    for (index, example) in examples.iter().enumerate() {
        let whole =
            if example.starts_with("name") { (*example).to_owned() } else { format!("name = \"guide\"\n{example}") };
        if let Err(found) = load_text(&format!("example {index}"), &whole) {
            panic!("{}", found.iter().map(|diagnostic| render(diagnostic, &whole, Colour::Off)).collect::<String>());
        }
    }
}
