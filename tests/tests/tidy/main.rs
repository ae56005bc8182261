//! The house rules that no compiler checks: headers, names, sizes, imports, runbooks, pinned workflows. `ARCHITECTURE.md`
//! and `CONTRIBUTING.md` say them to people; this test reads the working tree and says them to changes.

mod code;
mod imports;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use code::{Part, Source, files, is_word, read, root, sources};

/// Names that say nothing of what is inside.
const BANNED_NAMES: [&str; 8] = ["utils", "util", "helpers", "helper", "common", "core", "manager", "imp"];

/// A file is read from top to bottom; beyond this many lines of product code nobody does.
const LONGEST_FILE: usize = 400;

/// Modules that decide and never wait, so that their tests need no runtime.
const SYNCHRONOUS: [&str; 9] = [
    "harness/src/condition.rs",
    "harness/src/event.rs",
    "harness/src/exit_code.rs",
    "harness/src/expect/",
    "harness/src/outcome.rs",
    "harness/src/plan/",
    "harness/src/run/timeline.rs",
    "harness/src/scenario/",
    "harness/src/verdict.rs",
];

/// Test code that lets time pass, and why that is no race.
const SLEEPING_TESTS: [(&str, &str); 5] = [
    ("harness/src/load/tests/multiplex.rs", "is the server whose delay keeps requests open side by side"),
    ("harness/src/load/tests/process.rs", "is the process whose busy and idle time is measured"),
    ("harness/src/load/tests/server.rs", "is the server whose latency is measured"),
    ("harness/src/stack/testing.rs", "polls processes, whose end nobody announces, up to a deadline"),
    ("inventory-service/tests/service/support.rs", "polls the service's readiness up to a deadline"),
];

#[track_caller]
fn assert_none(offences: impl IntoIterator<Item = String>, rule: &str) {
    let offences: Vec<String> = offences.into_iter().collect();
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}

/// Places in code where `matches` holds, as `file:line`.
fn places<'a>(
    sources: impl IntoIterator<Item = &'a Source>,
    part: Part,
    matches: impl Fn(&str) -> bool,
) -> Vec<String> {
    let lines = sources.into_iter().flat_map(|source| source.lines().into_iter().map(move |line| (source, line)));
    let found = lines.filter(|(_, line)| line.part == part && matches(line.code));
    found.map(|(source, line)| format!("{}:{}", source.path, line.number)).collect()
}

/// Whether the code has this word, not as a part of another.
fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word)
        .any(|(at, _)| !code[..at].ends_with(is_word) && !code[at + word.len()..].starts_with(is_word))
}

#[test]
fn every_file_opens_with_what_it_is() {
    let sources = sources();
    assert!(sources.len() > 200, "the workspace has more Rust files than {}", sources.len());
    let silent = sources.iter().filter(|source| !source.text.starts_with("//! "));
    assert_none(silent.map(|source| source.path.clone()), "files without `//!` in their first line");
}

#[test]
fn no_module_has_a_name_that_says_nothing() {
    let sources = sources();
    let named = |path: &str| path.trim_end_matches(".rs").split('/').any(|part| BANNED_NAMES.contains(&part));
    let files = sources.iter().filter(|source| named(&source.path)).map(|source| source.path.clone());
    let inline = [Part::Product, Part::Test].into_iter().flat_map(|part| {
        places(sources, part, |code| BANNED_NAMES.iter().any(|name| has_word(code, &format!("mod {name}"))))
    });
    assert_none(files.chain(inline), "modules named after nothing");
}

#[test]
fn no_file_is_too_long_to_be_read() {
    let lengths = sources().iter().map(|source| {
        let product = source.lines().iter().filter(|line| line.part == Part::Product).count();
        (&source.path, product)
    });
    let long = lengths.filter(|(_, length)| *length >= LONGEST_FILE);
    let long = long.map(|(path, length)| format!("{path}: {length} lines without tests"));
    assert_none(long, &format!("files of {LONGEST_FILE} lines or more"));
}

#[test]
fn decisions_are_synchronous() {
    let decides = |source: &&Source| SYNCHRONOUS.iter().any(|place| source.path.starts_with(place));
    let deciding: Vec<&Source> = sources().iter().filter(decides).collect();
    assert!(deciding.len() > 50, "the deciding modules have more files than {}", deciding.len());
    let waits = |code: &str| has_word(code, "async") || has_word(code, "await") || has_word(code, "tokio");
    assert_none(places(deciding, Part::Product, waits), "modules that decide must not wait");
}

#[test]
fn only_the_command_line_speaks_anyhow() {
    let others = sources().iter().filter(|source| !source.path.starts_with("harness/src/cli/"));
    assert_none(places(others, Part::Product, |code| has_word(code, "anyhow")), "`anyhow` outside `cli`");
}

#[test]
fn no_test_is_ignored_without_a_reason() {
    let bare = |code: &str| code.contains("#[ignore]");
    assert_none(places(sources(), Part::Test, bare), "`#[ignore]` without a reason");
}

#[test]
fn no_test_sleeps_except_where_time_is_the_subject() {
    let sleeps = |code: &str| code.contains("sleep(") || code.contains("sleep_until(");
    let found: Vec<String> =
        places(sources(), Part::Test, sleeps).into_iter().filter(|place| !place.starts_with("tests/src/")).collect();
    let listed = |place: &String| SLEEPING_TESTS.iter().any(|(path, _)| place.starts_with(path));
    assert_none(found.iter().filter(|place| !listed(place)).cloned(), "tests that sleep: wait for a condition instead");
    for (path, reason) in SLEEPING_TESTS {
        assert!(found.iter().any(|place| place.starts_with(path)), "{path} no longer sleeps, though it \"{reason}\"");
    }
}

#[test]
fn nothing_names_a_folder_of_somebodys_machine() {
    let roots = ["home", "Users", "root", "mnt", "work", "farm", "workspace"].map(|root| format!("/{root}/"));
    let absolute = |line: &str| {
        roots.iter().any(|root| {
            line.match_indices(root.as_str()).any(|(at, _)| {
                !line[..at].ends_with(|before: char| {
                    is_word(before) || matches!(before, '.' | '-' | '}' | '~' | '/' | '*' | ')')
                })
            })
        })
    };
    let mut offences = Vec::new();
    for path in files() {
        let Ok(text) = std::fs::read_to_string(root().join(&path)) else { continue };
        let lines = text.lines().enumerate().filter(|(_, line)| absolute(line));
        offences.extend(lines.map(|(index, line)| format!("{path}:{}: {}", index + 1, line.trim())));
    }
    assert_none(offences, "paths of one machine");
}

/// The alerts of every rule file, with the name of the page that each one's `runbook_url` ends in.
fn alerts() -> Vec<(String, String)> {
    let managed = |path: &str| path.ends_with("/alerting/rules.yml");
    let rules = |path: &String| {
        path.ends_with(".yml") && path.starts_with("stack/") && (path.contains("/rules/") || managed(path))
    };
    let mut alerts = Vec::new();
    for path in files().into_iter().filter(rules) {
        let text = read(&path);
        let named = if managed(&path) { " title:" } else { "- alert:" };
        for alert in text.split(named).skip(1) {
            let name = alert.lines().next().unwrap_or_default().trim().to_owned();
            let url = alert.lines().find_map(|line| line.trim().strip_prefix("runbook_url:")).unwrap_or_default();
            alerts.push((name, url.rsplit('/').next().unwrap_or_default().trim_matches(['"', ' ']).to_owned()));
        }
    }
    assert!(alerts.len() > 40, "the rule files have more alerts than {}", alerts.len());
    alerts
}

#[test]
fn every_alert_has_its_runbook_and_every_runbook_its_alert() {
    let alerts = alerts();
    let pages: BTreeSet<String> = files()
        .into_iter()
        .filter_map(|path| Some(path.strip_prefix("docs/runbooks/")?.strip_suffix(".md")?.to_owned()))
        .filter(|page| page != "README")
        .collect();
    let without = alerts.iter().filter(|(alert, _)| !pages.contains(alert)).map(|(alert, _)| alert.clone());
    assert_none(without, "alerts without a page in docs/runbooks");
    let astray = alerts.iter().filter(|(alert, page)| *page != format!("{alert}.md"));
    assert_none(
        astray.map(|(alert, page)| format!("{alert} -> {page:?}")),
        "alerts whose `runbook_url` leads elsewhere",
    );
    let orphans = pages.into_iter().filter(|page| !alerts.iter().any(|(alert, _)| alert == page));
    assert_none(orphans, "runbooks without an alert");
}

#[test]
fn workflows_pin_what_they_use_and_may_only_read() {
    let workflows =
        files().into_iter().filter(|path| path.starts_with(".github/workflows/")).map(|path| (read(&path), path));
    let mut steps = 0;
    for (text, path) in workflows {
        assert!(text.contains("permissions:\n  contents: read\n"), "{path} does not limit its token");
        for used in text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: ")) {
            let version = used.split_once('@').map_or("", |(_, version)| version.split(' ').next().unwrap_or_default());
            let hash = version.len() == 40 && version.chars().all(|digit| digit.is_ascii_hexdigit());
            assert!(hash, "{path} uses {used}, which is not pinned by hash");
            steps += 1;
        }
    }
    assert!(steps > 0, "no workflow uses an action");
}

#[test]
fn scripts_are_executable_and_stop_at_the_first_error() {
    const SCRIPTS: [&str; 6] = [
        ".ci/run",
        "stack/check-rules",
        "stack/secure",
        "stack/kubernetes/generate",
        "inventory-service/tests/get-servers",
        "inventory-service/tests/fuzz-api",
    ];
    for path in SCRIPTS {
        let mode = root().join(path).metadata().expect("the script is there").permissions().mode();
        assert!(mode & 0o111 == 0o111, "{path} is not executable");
        assert!(read(path).contains("set -euo pipefail"), "{path} goes on after an error");
    }
}

#[test]
fn the_service_and_the_log_store_know_nothing_of_the_harness() {
    for member in ["inventory-service", "stack/logstore"] {
        let manifest = read(&format!("{member}/Cargo.toml"));
        let depends = manifest.lines().any(|line| line.starts_with("harness.") || line.starts_with("harness = {"));
        assert!(!depends, "{member} depends on the harness");
        let here = sources().iter().filter(|source| source.path.starts_with(member));
        assert_none(places(here, Part::Product, |code| has_word(code, "harness")), "the harness in its subject");
    }
    let harness = read("harness/Cargo.toml");
    assert!(!harness.lines().any(|line| line.starts_with("inventory-service")), "the harness depends on its subject");
}

#[test]
fn every_dependency_is_used() {
    let mut unused = Vec::new();
    for member in ["harness", "inventory-service", "stack/logstore", "tests"] {
        let manifest = read(&format!("{member}/Cargo.toml"));
        let inside = format!("{member}/");
        let here: Vec<&Source> = sources().iter().filter(|source| source.path.starts_with(&inside)).collect();
        let sections = manifest.split("\n[").filter(|section| section.contains("dependencies]"));
        let names =
            sections.flat_map(|section| section.lines().skip(1)).filter_map(|line| line.split(['.', ' ', '=']).next());
        for name in names.filter(|name| name.starts_with(char::is_alphabetic)) {
            let krate = name.replace('-', "_");
            if !here.iter().any(|source| has_word(&source.code, &krate)) {
                unused.push(format!("{member}/Cargo.toml: {name}"));
            }
        }
    }
    assert_none(unused, "dependencies that no source names");
}

#[test]
fn every_recipe_that_is_called_exists() {
    let justfile = read("justfile");
    let defined: BTreeSet<&str> = justfile
        .lines()
        .filter(|line| line.starts_with(char::is_lowercase))
        .filter_map(|line| line.split([' ', ':']).next())
        .collect();
    let callers = files().into_iter().filter(|path| {
        path.ends_with(".md") || path.ends_with(".yml") && path.starts_with(".github/") || path == ".ci/run"
    });
    let mut unknown = Vec::new();
    for path in callers {
        let text = read(&path);
        let calls = ["`just ", "run: just ", "$ just ", "&& just ", "\njust "]
            .into_iter()
            .flat_map(|call| text.split(call).skip(1));
        let called = calls.filter_map(|rest| rest.split(|each: char| !each.is_alphanumeric() && each != '-').next());
        let missing = called.filter(|recipe| recipe.starts_with(char::is_alphabetic) && !defined.contains(recipe));
        unknown.extend(missing.map(|recipe| format!("{path}: just {recipe}")));
    }
    assert_none(unknown, "recipes that the justfile does not have");
}
