//! Go's `text/template`, the part that `line_format`, `label_format` and the texts of alerts use: parsed here, executed by
//! `eval`.

mod walk;
mod words;

use words::{Words, first_word};

/// Which functions a template knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Those of `line_format` and `label_format`.
    Line,
    /// Those of labels and annotations of alerts, which are Prometheus's.
    Alert,
}

/// A parsed template.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// Which functions it knows.
    pub dialect: Dialect,
    /// As written.
    pub text: String,
    /// In order.
    pub nodes: Vec<Node>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Copied to the output.
    Text(String),
    /// `{{ .a | upper }}`
    Action(Pipeline),
    /// `{{ if }} .. {{ else if }} .. {{ else }} .. {{ end }}`: conditions with their bodies, and the `else` body.
    If(Vec<(Pipeline, Vec<Node>)>, Vec<Node>),
    /// `{{ with }} .. {{ else }} .. {{ end }}`
    With(Pipeline, Vec<Node>, Vec<Node>),
    /// `{{ range }} .. {{ else }} .. {{ end }}`
    Range(Pipeline, Vec<Node>, Vec<Node>),
}

/// Commands whose results feed each other, perhaps kept in a variable.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Variables declared or assigned (`$x := ..`, `$i, $x := ..`).
    pub variables: Vec<String>,
    /// In order; each result is the last argument of the next.
    pub commands: Vec<Call>,
}

/// A value or a function with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// At least one; the first may be a function.
    pub operands: Vec<Operand>,
}

/// A value in a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// `.`
    Dot,
    /// `.a.b`
    Field(Vec<String>),
    /// `$x.a`
    Variable(String, Vec<String>),
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A fraction.
    Float(f64),
    /// `true`, `false`
    Bool(bool),
    /// `nil`
    Nil,
    /// A function's name.
    Function(String),
    /// `( .. ).a`
    Group(Pipeline, Vec<String>),
}

/// Why a template is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

/// Those of lines that parse and that logstore does not evaluate.
const UNSUPPORTED: [&str; 8] = ["fromJson", "toDate", "toDateInZone", "html", "js", "call", "break", "continue"];

/// Those of alerts that parse and that logstore does not evaluate.
const UNSUPPORTED_IN_ALERTS: [&str; 17] = [
    "html",
    "js",
    "call",
    "break",
    "continue",
    "query",
    "first",
    "label",
    "value",
    "strvalue",
    "sortByLabel",
    "args",
    "safeHtml",
    "tmpl",
    "tableLink",
    "graphLink",
    "toTime",
];

impl Dialect {
    const fn unsupported(self) -> &'static [&'static str] {
        match self {
            Self::Line => &UNSUPPORTED,
            Self::Alert => &UNSUPPORTED_IN_ALERTS,
        }
    }
}

/// How deep blocks and parentheses may nest.
const MAX_DEPTH: usize = 64;

impl Template {
    /// Parses `text`; `name` is Loki's name for the template in error texts (`line` or `label`).
    ///
    /// # Errors
    /// Unclosed actions, unknown functions, misplaced `else` and `end`, malformed operands.
    pub fn parse(name: &str, text: &str) -> Result<Self, TemplateError> {
        Self::parse_as(Dialect::Line, name, text)
    }

    /// As [`Self::parse`], with the functions of `dialect`.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_as(dialect: Dialect, name: &str, text: &str) -> Result<Self, TemplateError> {
        let pieces = split(text).map_err(|e| error(name, &e))?.into_iter();
        let mut parser = Parser { dialect, name, pieces, depth: 0 };
        let (nodes, end) = parser.block()?;
        if let Some(end) = end {
            return Err(error(name, &format!("unexpected {{{{{end}}}}}")));
        }
        Ok(Self { dialect, text: text.to_owned(), nodes })
    }

    /// The first thing in it that logstore does not evaluate.
    #[must_use]
    pub fn unsupported(&self) -> Option<String> {
        walk::unsupported(&self.nodes, self.dialect.unsupported())
    }
}

impl Template {
    /// Whether its output depends on labels.
    #[must_use]
    pub fn reads_labels(&self) -> bool {
        walk::reads_labels(&self.nodes)
    }
}

impl Template {
    /// The first variable that is used and neither declared in the template nor one of `known`.
    #[must_use]
    pub fn undefined_variable(&self, known: &[&str]) -> Option<String> {
        let (mut declared, mut used) = (Vec::new(), Vec::new());
        walk::variables(&self.nodes, &mut declared, &mut used);
        let defined = |name: &str| name.is_empty() || known.contains(&name) || declared.contains(&name);
        used.into_iter().find(|name| !defined(name)).map(str::to_owned)
    }
}

fn error(name: &str, what: &str) -> TemplateError {
    TemplateError(format!("template: {name}:1: {what}"))
}

enum Piece<'a> {
    Text(String),
    Action(&'a str),
}

/// Text and actions in turn, with `{{-` and `-}}` applied and comments gone.
fn split(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let (mut rest, mut trim) = (text, false);
    loop {
        let open = rest.find("{{");
        let mut literal = &rest[..open.unwrap_or(rest.len())];
        if trim {
            literal = literal.trim_start();
        }
        let Some(open) = open else {
            push_text(&mut pieces, literal);
            return Ok(pieces);
        };
        let mut inside = &rest[open + 2..];
        if let Some(tail) = inside.strip_prefix('-').filter(|tail| tail.starts_with(char::is_whitespace)) {
            literal = literal.trim_end();
            inside = tail;
        }
        push_text(&mut pieces, literal);
        let close = action_end(inside)?;
        let mut action = &inside[..close];
        trim = action.ends_with('-') && action[..action.len() - 1].ends_with(char::is_whitespace);
        if trim {
            action = &action[..action.len() - 1];
        }
        let action = action.trim();
        if !(action.starts_with("/*") && action.ends_with("*/")) {
            pieces.push(Piece::Action(action));
        }
        rest = &inside[close + 2..];
    }
}

fn push_text(pieces: &mut Vec<Piece<'_>>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

/// The offset of the `}}` that ends an action, quotes respected.
fn action_end(text: &str) -> Result<usize, String> {
    if text.trim_start().starts_with("/*") {
        let comment = text.find("*/").ok_or("unclosed comment")?;
        let close = text[comment..].find("}}").ok_or("comment ends before closing delimiter")?;
        return Ok(comment + close);
    }
    let bytes = text.as_bytes();
    let (mut at, mut quote) = (0, None);
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(b'"' | b'\''), b'\\') => at += 1,
            (Some(open), b) if open == b => quote = None,
            (Some(_), _) => {}
            (None, b @ (b'"' | b'`' | b'\'')) => quote = Some(b),
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Ok(at),
            _ => {}
        }
        at += 1;
    }
    Err(if quote.is_some() { "unterminated quoted string" } else { "unclosed action" }.to_owned())
}

struct Parser<'a> {
    dialect: Dialect,
    name: &'a str,
    pieces: std::vec::IntoIter<Piece<'a>>,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn error(&self, what: &str) -> TemplateError {
        error(self.name, what)
    }

    /// Nodes up to `end` or an `else ..`, which is returned; `None` at the end of the text.
    fn block(&mut self) -> Result<(Vec<Node>, Option<&'a str>), TemplateError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("blocks nested too deeply"));
        }
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let action = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(action) => action,
            };
            let (word, rest) = first_word(action);
            match word {
                "end" | "else" => {
                    self.depth -= 1;
                    return Ok((nodes, Some(action)));
                }
                "if" => nodes.push(self.conditional(rest)?),
                "with" | "range" => nodes.push(self.scoped(word, rest)?),
                "define" | "template" | "block" => return Err(self.error(&format!("unexpected {{{{{word}}}}}"))),
                _ => nodes.push(Node::Action(self.pipeline(action)?)),
            }
        }
        self.depth -= 1;
        Ok((nodes, None))
    }

    fn conditional(&mut self, condition: &str) -> Result<Node, TemplateError> {
        let mut branches = Vec::new();
        let mut condition = condition;
        loop {
            let test = self.pipeline(condition)?;
            let (body, end) = self.block()?;
            branches.push((test, body));
            match end {
                Some("end") => return Ok(Node::If(branches, Vec::new())),
                Some("else") => return Ok(Node::If(branches, self.last_block()?)),
                Some(other) => match first_word(first_word(other).1) {
                    ("if", rest) => condition = rest,
                    _ => return Err(self.error(&format!("unexpected <{other}> in if"))),
                },
                None => return Err(self.error("unexpected EOF")),
            }
        }
    }

    fn scoped(&mut self, word: &str, value: &str) -> Result<Node, TemplateError> {
        let value = self.pipeline(value)?;
        let (body, end) = self.block()?;
        let otherwise = match end {
            Some("end") => Vec::new(),
            Some("else") => self.last_block()?,
            Some(other) => return Err(self.error(&format!("unexpected <{other}> in {word}"))),
            None => return Err(self.error("unexpected EOF")),
        };
        Ok(if word == "with" { Node::With(value, body, otherwise) } else { Node::Range(value, body, otherwise) })
    }

    fn last_block(&mut self) -> Result<Vec<Node>, TemplateError> {
        match self.block()? {
            (nodes, Some("end")) => Ok(nodes),
            (_, Some(other)) => Err(self.error(&format!("expected end; found {{{{{other}}}}}"))),
            (_, None) => Err(self.error("unexpected EOF")),
        }
    }

    fn pipeline(&self, text: &str) -> Result<Pipeline, TemplateError> {
        let mut words = Words { text, depth: 0, dialect: self.dialect };
        let pipeline = words.pipeline().map_err(|e| self.error(&e))?;
        if words.text.is_empty() {
            Ok(pipeline)
        } else {
            Err(self.error(&format!("unexpected {:?} in command", words.text)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Template, TemplateError> {
        Template::parse("line", text)
    }

    #[test]
    fn text_and_actions_alternate() {
        let template = parse(r#"a {{.b | upper}} {{- printf "%s}}" .c -}} d"#).unwrap();
        assert_eq!(template.nodes.len(), 4);
        assert_eq!(template.nodes[0], Node::Text("a ".to_owned()));
        assert_eq!(template.nodes[3], Node::Text("d".to_owned()));
    }

    #[test]
    fn conditions_nest() {
        let template = parse("{{if eq .a \"1\"}}x{{else if .b}}y{{else}}z{{end}}").unwrap();
        assert!(
            matches!(&template.nodes[..], [Node::If(branches, otherwise)] if branches.len() == 2 && otherwise.len() == 1)
        );
    }

    #[test]
    fn malformed_templates_are_refused_with_a_reason() {
        for (text, reason) in [
            ("{{.a", "unclosed action"),
            ("{{nope .a}}", "function \"nope\" not defined"),
            ("{{if .a}}x", "unexpected EOF"),
            ("{{end}}", "unexpected {{end}}"),
            ("{{}}", "missing value for command"),
            ("{{\"a\" \"b\"}}", "can't give argument to non-function"),
            ("{{(.a}}", "unclosed left paren"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn what_cannot_be_evaluated_is_named() {
        assert_eq!(parse("{{upper .a}}").unwrap().unsupported(), None);
        assert_eq!(
            parse("{{if .a}}{{.b | fromJson}}{{end}}").unwrap().unsupported().unwrap(),
            "template function fromJson"
        );
    }
}
