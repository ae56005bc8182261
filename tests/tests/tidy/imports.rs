//! Who may import whom: the table of `ARCHITECTURE.md` and the exceptions of `docs/design/imports.md` are the rules, and
//! the paths in `harness/src` are held against them. Fed by `code`.

use crate::code::{Source, is_word, read, sources};

/// One row: files of these modules may use these paths.
struct Rule {
    modules: Vec<String>,
    uses: Vec<String>,
    reason: String,
}

/// A path from one top-level module of the harness into another.
struct Import {
    file: String,
    line: usize,
    /// The importing module, `plan::scale::edit`.
    module: String,
    /// What it names, `stack::spec::Role`.
    path: String,
}

#[test]
fn modules_import_only_what_the_table_and_its_exceptions_allow() {
    let mut rules = table("ARCHITECTURE.md", "## Who may import whom");
    rules.extend(table("docs/design/imports.md", "## Exceptions"));
    let forbidden: Vec<String> = imports()
        .iter()
        .filter(|import| !rules.iter().any(|rule| rule.allows(import)))
        .map(|import| format!("{}:{}: `{}` may not use `{}`", import.file, import.line, import.module, import.path))
        .collect();
    assert!(forbidden.is_empty(), "imports against the table of ARCHITECTURE.md:\n{}", forbidden.join("\n"));
}

#[test]
fn every_module_has_a_row_in_the_table() {
    let rules = table("ARCHITECTURE.md", "## Who may import whom");
    let library = read("harness/src/lib.rs");
    let modules = library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    for module in modules {
        assert!(rules.iter().any(|rule| rule.modules.iter().any(|each| each == module)), "no row for `{module}`");
    }
}

#[test]
fn every_exception_has_a_reason_and_is_used() {
    let imports = imports();
    for rule in table("docs/design/imports.md", "## Exceptions") {
        assert!(rule.reason.len() > 20, "the exception of {:?} for {:?} gives no reason", rule.modules, rule.uses);
        for used in &rule.uses {
            let sole = Rule { modules: rule.modules.clone(), uses: vec![used.clone()], reason: String::new() };
            assert!(imports.iter().any(|import| sole.allows(import)), "nobody needs {:?} -> `{used}`", rule.modules);
        }
    }
}

impl Rule {
    fn allows(&self, import: &Import) -> bool {
        self.modules.iter().any(|module| is_below(&import.module, module))
            && self.uses.iter().any(|used| used == "*" || is_below(&import.path, used))
    }
}

fn is_below(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The rows of the first table below a heading; names are what is between backticks.
fn table(page: &str, heading: &str) -> Vec<Rule> {
    let text = read(page);
    let (_, below) = text.split_once(heading).unwrap_or_else(|| panic!("{page} has no `{heading}`"));
    let rows = below.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let rules: Vec<Rule> = rows
        .filter(|row| row.starts_with("| `"))
        .map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
            let reason = cells.get(2).copied().unwrap_or_default().trim().to_owned();
            Rule { modules: names(cells[0]), uses: names(cells[1]), reason }
        })
        .collect();
    assert!(!rules.is_empty(), "{page} has no table below `{heading}`");
    rules
}

fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn imports() -> Vec<Import> {
    let found: Vec<Import> = sources().iter().flat_map(imports_of).collect();
    assert!(found.len() > 100, "the harness has more imports than the {} found: the parser is blind", found.len());
    found
}

fn imports_of(source: &Source) -> Vec<Import> {
    let Some(below) = source.path.strip_prefix("harness/src/").and_then(|path| path.strip_suffix(".rs")) else {
        return Vec::new();
    };
    let segments: Vec<&str> = below.split('/').filter(|segment| *segment != "mod").collect();
    if matches!(segments[..], ["lib" | "main"]) {
        return Vec::new();
    }
    let mut imports = Vec::new();
    let mut offset = 0;
    for line in source.lines() {
        let depth = segments.len() + line.nested;
        for path in line.code.match_indices("::").filter_map(|(at, _)| root_at(line.code, at, depth)) {
            for path in tree(&source.code[offset + path..]) {
                if !is_below(&path, segments[0]) && is_module(&path) {
                    let (file, module) = (source.path.clone(), segments.join("::"));
                    imports.push(Import { file, line: line.number, module, path });
                }
            }
        }
        offset += line.code.len() + 1;
    }
    imports
}

/// Where the path goes on, if the `::` at `at` ends a way to the crate's root: `crate::`, or `super::` often enough.
fn root_at(code: &str, at: usize, depth: usize) -> Option<usize> {
    let begins = |word: &str| code[..at].ends_with(word) && !code[..at - word.len()].ends_with(is_word);
    let next = at + 2;
    if begins("crate") {
        return Some(next);
    }
    let chain = code[..next].bytes().rev().collect::<Vec<_>>();
    let supers = chain.chunks_exact(7).take_while(|chunk| chunk == b"::repus").count();
    (supers == depth && !code[next..].starts_with("super::")).then_some(next)
}

fn is_module(path: &str) -> bool {
    let top = path.split("::").next().unwrap_or_default();
    read("harness/src/lib.rs").contains(&format!("pub mod {top};"))
}

/// Every path of a use tree: `a::{b, c::d}` is `a::b` and `a::c::d`. Also the path of an expression.
fn tree(text: &str) -> Vec<String> {
    let mut paths = Vec::new();
    branch(text, "", &mut paths);
    paths
}

/// Reads one branch and returns what follows it.
fn branch<'a>(text: &'a str, above: &str, paths: &mut Vec<String>) -> &'a str {
    let text = text.trim_start();
    if let Some(group) = text.strip_prefix('{') {
        let mut rest = group.trim_start();
        while !rest.is_empty() && !rest.starts_with('}') {
            rest = branch(rest, above, paths);
            rest = rest.trim_start_matches(|each| !matches!(each, ',' | '}')).trim_start_matches([',', ' ', '\n']);
        }
        return rest.strip_prefix('}').unwrap_or(rest);
    }
    let end = text.find(|each| !is_word(each)).unwrap_or(text.len());
    let path = if above.is_empty() { text[..end].to_owned() } else { format!("{above}::{}", &text[..end]) };
    match text[end..].strip_prefix("::").filter(|rest| !rest.starts_with('<')) {
        Some(rest) => branch(rest, &path, paths),
        None => {
            paths.push(path.trim_end_matches("::").to_owned());
            &text[end..]
        }
    }
}

#[test]
fn paths_are_found_in_groups_expressions_and_ways_up() {
    assert_eq!(
        tree("{plan::{self, build::{Step, Plan}}, run as walk, stack::*};"),
        ["plan::self", "plan::build::Step", "plan::build::Plan", "run", "stack"]
    );
    assert_eq!(tree("load::Summary::default().run::<cli>()"), ["load::Summary::default"]);
    assert_eq!(root_at("use super::super::load;", 16, 2), Some(18));
    assert_eq!(root_at("use super::super::load;", 9, 2), None);
    assert_eq!(root_at("use super::model;", 9, 2), None);
    assert_eq!(root_at("use krate::cli;", 9, 2), None);
}
