//! Patterns: `| pattern "<ip> - <_>"` extracts labels, `|> "<_> error <_>"` filters lines. Read by `eval`.

/// A parsed pattern: literals and captures in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// As written.
    pub text: String,
    /// In order.
    pub parts: Vec<PatternPart>,
}

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternPart {
    /// Must stand there.
    Literal(String),
    /// `<name>`
    Named(String),
    /// `<_>`
    Unnamed,
}

impl PatternPart {
    fn is_capture(&self) -> bool {
        !matches!(self, Self::Literal(_))
    }
}

/// Parses the expression of the `pattern` stage: at least one named capture, no two captures in a row.
pub(super) fn parse_extraction(text: &str) -> Result<Pattern, String> {
    let pattern = parse(text)?;
    let mut names: Vec<&str> = Vec::new();
    for part in &pattern.parts {
        if let PatternPart::Named(name) = part {
            if names.contains(&name.as_str()) {
                return Err(format!("duplicate capture name ({name}): invalid expression"));
            }
            names.push(name);
        }
    }
    if names.is_empty() {
        return Err("at least one capture is required: invalid expression".to_owned());
    }
    Ok(pattern)
}

/// Parses the expression of a line filter: only unnamed captures.
pub(super) fn parse_filter(text: &str) -> Result<Pattern, String> {
    if text.is_empty() {
        return Ok(Pattern { text: String::new(), parts: Vec::new() });
    }
    let pattern = parse(text)?;
    if pattern.parts.iter().any(|part| matches!(part, PatternPart::Named(_))) {
        return Err("named captures are not allowed".to_owned());
    }
    Ok(pattern)
}

fn parse(text: &str) -> Result<Pattern, String> {
    let mut parts: Vec<PatternPart> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some((name, tail)) = capture(rest) {
            let part = if name == "_" { PatternPart::Unnamed } else { PatternPart::Named(name.to_owned()) };
            if parts.last().is_some_and(PatternPart::is_capture) {
                return Err(format!(
                    "found consecutive capture '{}': invalid expression",
                    &text[..text.len() - tail.len()]
                ));
            }
            parts.push(part);
            rest = tail;
            continue;
        }
        let length = rest.chars().next().map_or(0, char::len_utf8);
        match parts.last_mut() {
            Some(PatternPart::Literal(literal)) => literal.push_str(&rest[..length]),
            _ => parts.push(PatternPart::Literal(rest[..length].to_owned())),
        }
        rest = &rest[length..];
    }
    if parts.is_empty() {
        return Err("syntax error: unexpected $end, expecting IDENTIFIER or LITERAL".to_owned());
    }
    Ok(Pattern { text: text.to_owned(), parts })
}

/// `<name>` at the start of `text`: the name and what follows.
fn capture(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('<')?;
    let (name, tail) = inside.split_once('>')?;
    let mut bytes = name.bytes();
    let first = bytes.next()?;
    let valid = (first == b'_' || first.is_ascii_alphabetic()) && bytes.all(|b| b == b'_' || b.is_ascii_alphanumeric());
    valid.then_some((name, tail))
}

impl Pattern {
    /// The named captures of `line`; extraction stops at the first literal that is not found.
    #[must_use]
    pub fn extract<'a, 'b>(&'a self, line: &'b str) -> Vec<(&'a str, &'b str)> {
        let mut found = Vec::new();
        if line.is_empty() {
            return found;
        }
        let mut rest = line;
        let mut parts = self.parts.iter().peekable();
        if let Some(PatternPart::Literal(literal)) = parts.peek() {
            match rest.strip_prefix(literal.as_str()) {
                Some(tail) => rest = tail,
                None => return found,
            }
            parts.next();
        }
        while let Some(part) = parts.next() {
            let literal = match parts.next() {
                Some(PatternPart::Literal(literal)) => Some(literal.as_str()),
                _ => None,
            };
            let end = literal.and_then(|literal| rest.find(literal).map(|at| (at, at + literal.len())));
            let (value, tail) = end.map_or((rest, None), |(at, after)| (&rest[..at], Some(&rest[after..])));
            if let PatternPart::Named(name) = part {
                found.push((name.as_str(), value));
            }
            let Some(tail) = tail else { break };
            rest = tail;
        }
        found
    }

    /// Whether `line` has this shape, decided as Loki does: each literal is looked for after the one before, a capture
    /// is at least one character long, and text before a leading literal is passed over.
    #[must_use]
    pub fn matches(&self, line: &str) -> bool {
        if line.is_empty() || self.parts.is_empty() {
            return line.is_empty() && self.parts.is_empty();
        }
        let mut rest = line;
        for (index, part) in self.parts.iter().enumerate() {
            let PatternPart::Literal(literal) = part else { continue };
            match rest.find(literal.as_str()) {
                None => return false,
                Some(0) if index > 0 => return false,
                Some(at) => rest = &rest[at + literal.len()..],
            }
        }
        self.parts.last().is_some_and(PatternPart::is_capture) != rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_captures_lie_between_literals() {
        let pattern = parse_extraction("<ip> - <_> \"<method> <path>\"").unwrap();
        let found = pattern.extract(r#"10.0.0.1 - bob "GET /items" tail"#);
        assert_eq!(found, [("ip", "10.0.0.1"), ("method", "GET"), ("path", "/items")]);
        assert_eq!(pattern.extract("only"), [("ip", "only")]);
        assert_eq!(parse_extraction("level=<level>").unwrap().extract("x level=info"), []);
        assert_eq!(parse_extraction("<a>,<b>").unwrap().extract("1,2,3"), [("a", "1"), ("b", "2,3")]);
    }

    #[test]
    fn patterns_that_cannot_extract_are_refused() {
        for bad in ["", "no capture", "<_>", "<a><b>", "<a> <a>"] {
            assert!(parse_extraction(bad).is_err(), "{bad}");
        }
        assert!(parse_extraction("<a> <not a name> <b>").is_ok());
    }

    #[test]
    fn line_patterns_match_whole_lines() {
        let matches = |pattern: &str, line: &str| parse_filter(pattern).unwrap().matches(line);
        assert!(matches("<_> error <_>", "an error here"));
        assert!(!matches("<_> error <_>", "error here"));
        assert!(matches("level=<_> msg", "level=info msg"));
        assert!(!matches("level=<_> msg", "level=info msg more"));
        assert!(parse_filter("<name>").is_err());
    }
}
