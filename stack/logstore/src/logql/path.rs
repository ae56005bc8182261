//! The path expressions of `| json a="b.c[0]"`, read by the JSON stage.

/// One step into a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathStep {
    /// Into an object.
    Key(String),
    /// Into an array.
    Index(usize),
}

/// Parses `a.b[0]["c"]`.
pub(super) fn parse(text: &str) -> Result<Vec<PathStep>, String> {
    let mut steps = Vec::new();
    let mut rest = text;
    if rest.is_empty() {
        return Err("syntax error: unexpected $end".to_owned());
    }
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('[') {
            let (step, tail) = bracket(tail)?;
            steps.push(step);
            rest = tail;
        } else {
            let tail = if steps.is_empty() { rest } else { rest.strip_prefix('.').ok_or_else(|| unexpected(rest))? };
            let (name, tail) = field(tail)?;
            steps.push(PathStep::Key(name.to_owned()));
            rest = tail;
        }
    }
    Ok(steps)
}

fn field(text: &str) -> Result<(&str, &str), String> {
    let length = text.find(|c: char| !(c == '_' || c.is_alphanumeric())).unwrap_or(text.len());
    if length == 0 || text.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(unexpected(text));
    }
    Ok(text.split_at(length))
}

fn bracket(text: &str) -> Result<(PathStep, &str), String> {
    let (step, tail) = if let Some(tail) = text.strip_prefix('"') {
        let end = tail.find('"').ok_or("literal not terminated")?;
        (PathStep::Key(tail[..end].to_owned()), &tail[end + 1..])
    } else {
        let length = text.bytes().take_while(u8::is_ascii_digit).count();
        let index = text[..length].parse().map_err(|_| unexpected(text))?;
        (PathStep::Index(index), &text[length..])
    };
    let tail = tail.strip_prefix(']').ok_or_else(|| unexpected(tail))?;
    Ok((step, tail))
}

fn unexpected(text: &str) -> String {
    match text.chars().next() {
        Some(c) => format!("syntax error: unexpected {c:?}"),
        None => "syntax error: unexpected $end".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_walk_objects_and_arrays() {
        let key = |k: &str| PathStep::Key(k.to_owned());
        assert_eq!(parse("a.b_c[0].d").unwrap(), [key("a"), key("b_c"), PathStep::Index(0), key("d")]);
        assert_eq!(parse(r#"["x y"].z"#).unwrap(), [key("x y"), key("z")]);
        assert_eq!(parse(r#"a["b"][1]"#).unwrap(), [key("a"), key("b"), PathStep::Index(1)]);
        for bad in ["", ".", "a.", "a[", "a[x]", "a[0", "a b", "1a", "[\"a]"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
