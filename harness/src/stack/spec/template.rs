//! Text with placeholders, as it stands in `stack.toml`: `postgres://inventory:{secret:db}@{postgres:5432}/inventory`.
//!
//! Parsed once with its position; the provider that runs the component says what each placeholder is worth.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Deserializer};
use toml::Spanned;

/// One thing between braces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Placeholder {
    /// `{name:port}`: the address of another component's port, as the reader must use it.
    Address {
        /// The component.
        component: String,
        /// The port's name, or its number inside the network.
        port: String,
    },
    /// `{listen:port}`: the address the component itself must bind.
    Listen(String),
    /// `{listen-host}`: only the host part of what it must bind.
    ListenHost,
    /// `{listen-port:port}`: only the port number it must bind.
    ListenPort(String),
    /// `{self:port}`: the component's own port, as the harness reaches it.
    Own(String),
    /// `{data}`: the component's data folder.
    Data,
    /// `{config}`: the copy of the component's config that this run uses.
    Config,
    /// `{stack}`: the folder of the stack file.
    Stack,
    /// `{secret:name}`: generated for the run, redacted everywhere.
    Secret(String),
    /// `{harness}`: the running harness's own binary.
    Harness,
    /// Any other single word, filled in by whoever uses the text: `{share}`, `{status}`, `{n}`.
    Value(String),
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { component, port } => write!(f, "{{{component}:{port}}}"),
            Self::Listen(port) => write!(f, "{{listen:{port}}}"),
            Self::ListenHost => f.write_str("{listen-host}"),
            Self::ListenPort(port) => write!(f, "{{listen-port:{port}}}"),
            Self::Own(port) => write!(f, "{{self:{port}}}"),
            Self::Data => f.write_str("{data}"),
            Self::Config => f.write_str("{config}"),
            Self::Stack => f.write_str("{stack}"),
            Self::Secret(name) => write!(f, "{{secret:{name}}}"),
            Self::Harness => f.write_str("{harness}"),
            Self::Value(name) => write!(f, "{{{name}}}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Hole(Placeholder),
}

/// Text with placeholders and the place where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    span: Range<usize>,
}

impl Template {
    /// Reads `text`. `{{` is a literal brace; braces around anything that is not `word` or `word:word` are literal too,
    /// so that JSON and selectors need no escapes.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self { parts: split(text), span: 0..0 }
    }

    /// The placeholders, in order.
    pub fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.parts.iter().filter_map(|part| match part {
            Part::Hole(hole) => Some(hole),
            Part::Literal(_) => None,
        })
    }

    /// Byte offsets in the file it was read from.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The text with every placeholder replaced by what `worth` says.
    ///
    /// # Errors
    /// The first placeholder that `worth` has nothing for.
    pub fn render(&self, worth: impl Fn(&Placeholder) -> Option<String>) -> Result<String, Placeholder> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Hole(hole) => text.push_str(&worth(hole).ok_or_else(|| hole.clone())?),
            }
        }
        Ok(text)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Literal(literal) => f.write_str(literal),
            Part::Hole(hole) => write!(f, "{hole}"),
        })
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<String>::deserialize(deserializer)?;
        Ok(Self { parts: split(spanned.get_ref()), span: spanned.span() })
    }
}

fn split(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        literal.push_str(&rest[..open]);
        let inside = &rest[open + 1..];
        if let Some(after) = inside.strip_prefix('{') {
            literal.push('{');
            rest = after;
        } else if let Some((hole, after)) = inside.split_once('}').and_then(|(word, after)| Some((hole(word)?, after)))
        {
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Hole(hole));
            rest = after;
        } else {
            literal.push('{');
            rest = inside;
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    parts
}

fn hole(text: &str) -> Option<Placeholder> {
    let word = |text: &str| {
        let sound = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        (sound && !text.is_empty()).then(|| text.to_owned())
    };
    Some(match text.split_once(':') {
        None => match text {
            "data" => Placeholder::Data,
            "config" => Placeholder::Config,
            "stack" => Placeholder::Stack,
            "harness" => Placeholder::Harness,
            "listen-host" => Placeholder::ListenHost,
            _ => Placeholder::Value(word(text)?),
        },
        Some(("listen", port)) => Placeholder::Listen(word(port)?),
        Some(("listen-port", port)) => Placeholder::ListenPort(word(port)?),
        Some(("self", port)) => Placeholder::Own(word(port)?),
        Some(("secret", name)) => Placeholder::Secret(word(name)?),
        Some((component, port)) => Placeholder::Address { component: word(component)?, port: word(port)? },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_prints_back_as_written() {
        let text = "postgres://inventory:{secret:db}@{postgres:5432}/{share}?listen={listen:http}&own={self:admin}";
        assert_eq!(Template::parse(text).to_string(), text);
        assert_eq!(Template::parse(text).placeholders().count(), 5);
    }

    #[test]
    fn json_and_selectors_are_literal() {
        for text in [r#"{"a": 1}"#, r#"{service="inventory"}"#, "{", "a{}b", "x} y"] {
            assert_eq!(Template::parse(text).placeholders().count(), 0, "{text}");
            assert_eq!(Template::parse(text).render(|_| None).unwrap(), text);
        }
        assert_eq!(Template::parse("{{data}").render(|_| None).unwrap(), "{data}");
    }

    #[test]
    fn a_placeholder_without_a_value_is_named() {
        let error = Template::parse("{data}/{n}").render(|hole| (*hole == Placeholder::Data).then(|| "/d".to_owned()));
        assert_eq!(error, Err(Placeholder::Value("n".to_owned())));
    }
}
