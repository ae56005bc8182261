//! The workspace's files as the rules see them: Rust source with comments and literals blanked, split into product and
//! test code. Fed by the working tree, read by every rule of this test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Folders that hold output, or that are not ours.
const SKIPPED: [&str; 4] = ["target", ".git", "node_modules", "reports"];

/// Which rules a line answers to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Product,
    Test,
}

/// A line of Rust without its comments and literals.
pub(crate) struct Line<'a> {
    pub(crate) number: usize,
    pub(crate) code: &'a str,
    pub(crate) part: Part,
    /// How many inline modules it is in.
    pub(crate) nested: usize,
}

/// A Rust file of a member.
pub(crate) struct Source {
    /// From the workspace root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// As long as `text`, line by line.
    pub(crate) code: String,
    /// `Test` if the whole file is.
    pub(crate) part: Part,
}

impl Source {
    fn new(path: String, text: String) -> Self {
        let code = blanked(&text);
        let part = if is_test(&path) { Part::Test } else { Part::Product };
        Self { path, text, code, part }
    }

    /// Relies on rustfmt: an item at the top level opens and closes in the first column.
    pub(crate) fn lines(&self) -> Vec<Line<'_>> {
        let mut lines = Vec::new();
        let (mut nested, mut part, mut gated) = (0, self.part, false);
        for (index, code) in self.code.lines().enumerate() {
            if code.ends_with('{') && !code.starts_with(' ') {
                nested = usize::from(declares_module(code));
                part = if gated { Part::Test } else { self.part };
            }
            lines.push(Line { number: index + 1, code, part, nested });
            if code.starts_with('}') {
                (nested, part) = (0, self.part);
            }
            gated = code.starts_with("#[cfg(test)]") || gated && code.starts_with("#[");
        }
        lines
    }

    /// The files of modules that this one declares for tests only, as path prefixes.
    fn test_modules(&self) -> Vec<String> {
        let (folder, file) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        let folder = match file {
            "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
            file => format!("{folder}/{}", file.trim_end_matches(".rs")),
        };
        let code: Vec<&str> = self.code.lines().collect();
        let gated = code.windows(2).filter(|pair| pair[0] == "#[cfg(test)]");
        let names = gated.filter_map(|pair| pair[1].rsplit_once("mod ")?.1.strip_suffix(';'));
        names.flat_map(|name| [format!("{folder}/{name}.rs"), format!("{folder}/{name}/")]).collect()
    }
}

fn declares_module(code: &str) -> bool {
    code.starts_with("mod ") || code.starts_with("pub") && code.contains(" mod ")
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("_tests.rs") || path.starts_with("tests/")
}

/// The workspace root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the member lies in the workspace").to_path_buf()
}

/// A file of the workspace.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("failed to read {path}: {error}"))
}

/// Every Rust file of every member, sorted by path; read once.
pub(crate) fn sources() -> &'static [Source] {
    static SOURCES: OnceLock<Vec<Source>> = OnceLock::new();
    SOURCES.get_or_init(load)
}

fn load() -> Vec<Source> {
    let paths = files().into_iter().filter(|path| path.ends_with(".rs"));
    let mut sources: Vec<Source> = paths.map(|path| Source::new(path.clone(), read(&path))).collect();
    let gated: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        if gated.iter().any(|prefix| source.path.starts_with(prefix.as_str())) {
            source.part = Part::Test;
        }
    }
    sources
}

/// Every file of the workspace that is not output, from its root, sorted.
pub(crate) fn files() -> Vec<String> {
    let (root, mut found, mut open) = (root(), Vec::new(), vec![root()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("the folder was listed by its parent") {
            let path = entry.expect("the folder can be read").path();
            let name = path.file_name().expect("an entry has a name").to_string_lossy();
            if path.is_dir() {
                if !SKIPPED.contains(&name.as_ref()) {
                    open.push(path);
                }
            } else if !name.ends_with(".pending-snap") && name != ".git" {
                let below = path.strip_prefix(&root).expect("the walk began at the root");
                found.push(below.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}

/// Comments, and what is between the quotes of strings and characters, become blanks; lines stay lines.
fn blanked(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let kept = usize::from(!matches!(characters[at], '/'));
        let end = literal_end(&characters, at);
        let (from, until) = match end {
            Some(end) if kept == 1 => (at + 1, end - 1),
            Some(end) => (at, end),
            None => (at + 1, at + 1),
        };
        code.extend(&characters[at..from]);
        code.extend(characters[from..until].iter().map(|&each| if each == '\n' { '\n' } else { ' ' }));
        at = end.unwrap_or(at + 1);
        code.extend(&characters[until..at]);
    }
    code
}

/// Where the comment or literal that begins here ends; nothing if none does.
fn literal_end(text: &[char], at: usize) -> Option<usize> {
    let rest = &text[at..];
    let length = match rest {
        ['/', '/', ..] => rest.iter().position(|&each| each == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => rest.windows(2).position(|pair| pair == ['*', '/']).map_or(rest.len(), |end| end + 2),
        ['"', ..] => escaped_end(rest, '"'),
        ['\'', '\\', ..] => escaped_end(rest, '\''),
        ['\'', _, '\'', ..] => 3,
        ['r', '"' | '#', ..] if at == 0 || !is_word(text[at - 1]) || text[at - 1] == 'b' => raw_end(rest)?,
        _ => return None,
    };
    Some(at + length)
}

fn escaped_end(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

fn raw_end(rest: &[char]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|&&each| each == '#').count();
    let closing: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = rest.get(hashes + 1..)?.strip_prefix(&['"'])?;
    let end = body.windows(closing.len()).position(|window| window == closing)?;
    Some(hashes + 2 + end + closing.len())
}

/// Whether a character can be part of an identifier.
pub(crate) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[test]
fn comments_and_literals_are_blanked_and_the_code_around_them_stays() {
    let code = blanked("a(\"x\\\" y\"); // crate::cli\nb('\"', '\\'', 'l); r#\"crate::x \" \"#; /* c */ for<'a> d");
    assert_eq!(
        code.split_whitespace().collect::<Vec<_>>(),
        ["a(\"", "\");", "b('", "',", "'", "',", "'l);", "r", "#;", "for<'a>", "d"]
    );
}
