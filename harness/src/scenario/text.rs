//! Texts with a form of their own: names, queries, addresses on a link. They stay `String` in the model; the types here
//! only say in the schema what the reader has to check.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::quantity::schema;

/// Only a schema: kebab-case, as it names files, folders and windows.
#[derive(Debug)]
pub struct Name;

/// Only a schema: a PromQL query with an instant result.
#[derive(Debug)]
pub struct PromQl;

/// Only a schema: a LogQL query.
#[derive(Debug)]
pub struct LogQl;

/// Only a schema: two components, `"a -> b"`.
#[derive(Debug)]
pub struct LinkText;

/// Only a schema: a text with at least one visible character.
#[derive(Debug)]
pub struct Filled;

/// Only a schema: a path and query on the service, beginning with `/`.
#[derive(Debug)]
pub struct UrlPath;

/// Only a schema: a file inside the stack's folder.
#[derive(Debug)]
pub struct InnerPath;

schema!(Name, "Name", { "type": "string", "x-form": "name", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$" });
schema!(PromQl, "PromQl", { "type": "string", "x-form": "filled", "examples": ["sum(rate(http_requests_total[1m]))"] });
schema!(LogQl, "LogQl", { "type": "string", "x-form": "filled", "examples": ["{service=\"inventory\"} | json"] });
schema!(LinkText, "Link", { "type": "string", "x-form": "link", "pattern": "^[^>]+ -> [^>]+$", "examples": ["inventory-service -> postgres"] });
schema!(Filled, "Filled", { "type": "string", "x-form": "filled", "minLength": 1 });
schema!(UrlPath, "UrlPath", { "type": "string", "x-form": "url-path", "pattern": "^/" });
schema!(InnerPath, "InnerPath", { "type": "string", "x-form": "inner-path" });

/// The longest name: it becomes a folder.
const LONGEST_NAME: usize = 64;

/// Whether a text is kebab-case and short enough to name a folder.
///
/// # Errors
/// In words.
pub fn check_name(text: &str) -> Result<(), String> {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if text.len() > LONGEST_NAME {
        return Err(format!("a name has at most {LONGEST_NAME} characters, this one has {}", text.chars().count()));
    }
    if text.split('-').all(word) {
        Ok(())
    } else {
        Err(format!("`{text}` is not kebab-case (a-z, 0-9, single hyphens between)"))
    }
}

/// The two ends of `"a -> b"`.
///
/// # Errors
/// In words.
pub fn check_link(text: &str) -> Result<(String, String), String> {
    let wrong = || format!("`{text}` is not a link such as \"inventory-service -> postgres\"");
    let (from, to) = text.split_once("->").ok_or_else(wrong)?;
    let (from, to) = (from.trim(), to.trim());
    let plain = |end: &str| !end.is_empty() && !end.contains(char::is_whitespace) && !end.contains("->");
    if plain(from) && plain(to) { Ok((from.to_owned(), to.to_owned())) } else { Err(wrong()) }
}

/// Whether a path stays inside the folder it is relative to.
///
/// # Errors
/// In words.
pub fn check_inner_path(text: &str) -> Result<(), String> {
    use std::path::{Component, Path};
    let inside = Path::new(text).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if text.is_empty() || text.contains('\0') {
        Err("a path cannot be empty".to_owned())
    } else if inside {
        Ok(())
    } else {
        Err(format!("`{text}` leads out of the stack's folder"))
    }
}

/// Whether a path can be a stack's description: relative, and a TOML file.
///
/// # Errors
/// In words.
pub fn check_stack_path(text: &str) -> Result<(), String> {
    use std::path::Path;
    let path = Path::new(text);
    if path.is_absolute() {
        return Err(format!("`{text}` is absolute; write it relative to the scenario"));
    }
    if text.contains('\0') || path.extension().is_none_or(|extension| extension != "toml") {
        return Err(format!("`{text}` is no stack description such as \"../stack/stack.toml\""));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kebab_case() {
        assert!(check_name("database-outage-2").is_ok());
        for text in ["", "A", "a_b", "a--b", "-a", "a-", "../a", "a b", "ü"] {
            assert!(check_name(text).is_err(), "{text}");
        }
        assert!(check_name(&"a".repeat(65)).is_err());
    }

    #[test]
    fn a_path_that_leaves_the_folder_is_refused_b19() {
        assert!(check_inner_path("prometheus/rules/a.yml").is_ok());
        for text in ["../../etc/passwd", "/etc/passwd", "a/../../b", "", "a\0b"] {
            assert!(check_inner_path(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_link_has_two_ends() {
        assert_eq!(check_link("a -> b"), Ok(("a".to_owned(), "b".to_owned())));
        for text in ["a", "a ->", "-> b", "a -> b -> c", "a b -> c"] {
            assert!(check_link(text).is_err(), "{text}");
        }
    }
}
