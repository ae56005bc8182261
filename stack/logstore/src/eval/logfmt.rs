//! A logfmt reader: `key=value key="quoted value" key`.

/// A pair, or what is wrong at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Pair(String, String),
    Error(String),
}

/// All pairs of a line in order; after an error reading goes on behind the next blank.
pub(super) fn items(line: &str) -> Vec<Item> {
    let mut reader = Reader { line, at: 0 };
    let mut found = Vec::new();
    while let Some(item) = reader.next() {
        found.push(item);
    }
    found
}

/// The pairs up to the first error.
pub(crate) fn pairs(line: &str) -> Vec<(String, String)> {
    let pairs = items(line).into_iter().map_while(|item| match item {
        Item::Pair(key, value) => Some((key, value)),
        Item::Error(_) => None,
    });
    pairs.collect()
}

struct Reader<'a> {
    line: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn byte(&self) -> Option<u8> {
        self.line.as_bytes().get(self.at).copied()
    }

    fn blank(&self) -> bool {
        self.byte().is_some_and(|b| b <= b' ')
    }

    fn next(&mut self) -> Option<Item> {
        while self.blank() {
            self.at += 1;
        }
        self.byte()?;
        let start = self.at;
        while let Some(byte) = self.byte() {
            match byte {
                b'=' if self.at == start => return Some(self.unexpected('=')),
                b'"' => return Some(self.unexpected('"')),
                b'=' => {
                    let key = self.line[start..self.at].to_owned();
                    self.at += 1;
                    return Some(self.value(key));
                }
                b if b <= b' ' => break,
                _ => self.at += 1,
            }
        }
        Some(Item::Pair(self.line[start..self.at].to_owned(), String::new()))
    }

    fn value(&mut self, key: String) -> Item {
        match self.byte() {
            None => return Item::Pair(key, String::new()),
            Some(b'"') => return self.quoted(key),
            Some(_) => {}
        }
        let start = self.at;
        while let Some(byte) = self.byte() {
            match byte {
                b'=' | b'"' => return self.unexpected(char::from(byte)),
                b if b <= b' ' => break,
                _ => self.at += 1,
            }
        }
        Item::Pair(key, self.line[start..self.at].to_owned())
    }

    fn quoted(&mut self, key: String) -> Item {
        let start = self.at + 1;
        let (mut escaped, mut any) = (false, false);
        for (offset, byte) in self.line.as_bytes()[start..].iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => (escaped, any) = (true, true),
                b'"' => {
                    let inside = &self.line[start..start + offset];
                    self.at = start + offset + 1;
                    let value = if any { super::json::unescape(inside) } else { Some(inside.to_owned()) };
                    return match value {
                        Some(value) => Item::Pair(key, value),
                        None => self.error("invalid quoted value"),
                    };
                }
                _ => {}
            }
        }
        self.at = self.line.len();
        self.error("unterminated quoted value")
    }

    fn unexpected(&mut self, found: char) -> Item {
        let error = self.error(&format!("unexpected '{found}'"));
        while self.byte().is_some() && !self.blank() {
            self.at += 1;
        }
        error
    }

    fn error(&self, what: &str) -> Item {
        Item::Error(format!("logfmt syntax error at pos {} : {what}", self.at + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_bare_quoted_or_without_a_value() {
        let pair = |k: &str, v: &str| Item::Pair(k.to_owned(), v.to_owned());
        assert_eq!(
            items(r#"level=info msg="a \"b\" é" flag dur=10ms empty= q="""#),
            [
                pair("level", "info"),
                pair("msg", "a \"b\" é"),
                pair("flag", ""),
                pair("dur", "10ms"),
                pair("empty", ""),
                pair("q", "")
            ]
        );
    }

    #[test]
    fn reading_goes_on_after_an_error() {
        let found = items(r#"a=1 =x b="y" c=d=e f=2 g="open"#);
        assert_eq!(found.len(), 6);
        assert_eq!(found[1], Item::Error("logfmt syntax error at pos 5 : unexpected '='".to_owned()));
        assert!(matches!(&found[3], Item::Error(text) if text.contains("unexpected '='")));
        assert!(matches!(&found[5], Item::Error(text) if text.contains("unterminated")));
    }
}
