//! Matchers as Alertmanager reads them from 0.27 on: names and values are any text in quotes, or words without spaces and
//! signs.

use super::classic::SIGNS;
use super::{Matcher, MatcherError};

/// What no word without quotes contains.
const RESERVED: &str = "{}!=~,\\\"'`";

/// A list, in braces or not; a comma may end it.
pub(super) fn list(text: &str) -> Result<Vec<Matcher>, MatcherError> {
    let shape = || MatcherError::Shape(text.trim().to_owned());
    let mut rest = text.trim();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner.strip_suffix('}').ok_or_else(shape)?.trim();
    }
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (name, after) = word(rest).ok_or_else(shape)?;
        let after = after.trim_start();
        let (operator, after) =
            SIGNS.iter().find_map(|(sign, operator)| Some((*operator, after.strip_prefix(sign)?))).ok_or_else(shape)?;
        let (value, after) = word(after.trim_start()).ok_or_else(shape)?;
        found.push(Matcher::new(&name, operator, &value)?);
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if after.is_empty() => after,
            None => return Err(shape()),
        };
    }
    Ok(found)
}

/// The first word, unquoted, and what follows it.
fn word(text: &str) -> Option<(String, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        return unquote(quoted);
    }
    let end = text.find(|c: char| c.is_whitespace() || RESERVED.contains(c)).unwrap_or(text.len());
    (end > 0).then(|| (text[..end].to_owned(), &text[end..]))
}

/// A text in quotes with the escapes of the Go language, after its first quote, and what follows its last.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((offset, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[offset + 1..])),
            '\\' => {
                let escape = characters.next()?.1;
                let code = |characters: &mut std::str::CharIndices<'_>, digits: usize| {
                    let hex: String = characters.by_ref().take(digits).map(|(_, c)| c).collect();
                    u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32)
                };
                value.push(match escape {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    '"' | '\\' => escape,
                    'x' => code(&mut characters, 2).filter(char::is_ascii)?,
                    'u' => code(&mut characters, 4)?,
                    'U' => code(&mut characters, 8)?,
                    _ => return None,
                });
            }
            '\n' => return None,
            _ => value.push(character),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::Matcher;

    fn read(text: &str) -> Option<Vec<String>> {
        Matcher::parse_list(text).ok().map(|list| list.iter().map(ToString::to_string).collect())
    }

    fn reads(text: &str, expected: &[&str]) {
        assert_eq!(
            read(text).as_deref(),
            Some(&expected.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
            "{text}"
        );
    }

    #[test]
    fn what_the_classic_reader_takes_means_what_it_always_meant() {
        reads(r#"severity="critical""#, &[r#"severity="critical""#]);
        reads("severity=critical", &[r#"severity="critical""#]);
        reads(r#" {severity =~ "a|b", team!="x",} "#.trim(), &[r#"severity=~"a|b""#, r#"team!="x""#]);
        reads(r#"a="b,c",d!~"e.*""#, &[r#"a="b,c""#, r#"d!~"e.*""#]);
        reads(r#"a="say \"hi\"""#, &[r#"a="say \"hi\"""#]);
        reads(r#"a="b\d""#, &[r#"a="b\\d""#]);
        reads(r"a=b\n", &[r#"a="b\n""#]);
        reads("a=", &[r#"a="""#]);
        reads("a=b c", &[r#"a="b c""#]);
        reads("a==b", &[r#"a="=b""#]);
    }

    #[test]
    fn names_in_quotes_are_any_text() {
        reads(r#""service.name"="inventory""#, &[r#"service.name="inventory""#]);
        reads(r#"{"a=b" = "c", "größe"=~"x.*"}"#, &[r#"a=b="c""#, r#"größe=~"x.*""#]);
        reads("größe=groß", &[r#"größe="groß""#]);
        reads(r#"service.name="a""#, &[r#"service.name="a""#]);
    }

    #[test]
    fn what_neither_reader_takes_is_refused() {
        for text in ["a", "=b", r#"a="b"#, r#"a=b"c"#, "a=b,,c=d", r#""a"b"c""#, "{\"a\"=\"b\"", "1a=\"b\" c"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
