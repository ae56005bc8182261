//! The inside of an action: pipelines, commands and operands.

use super::super::unquote;
use super::{Call, Dialect, MAX_DEPTH, Operand, Pipeline};

/// The functions that Go's templates have themselves.
const GO_FUNCTIONS: [&str; 21] = [
    "and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "index", "slice", "print", "printf", "println",
    "html", "js", "urlquery", "call", "break", "continue",
];

/// The functions of Loki beside them; all of them parse.
const LINE_FUNCTIONS: [&str; 67] = [
    "ToLower",
    "ToUpper",
    "Replace",
    "Trim",
    "TrimLeft",
    "TrimRight",
    "TrimPrefix",
    "TrimSuffix",
    "TrimSpace",
    "regexReplaceAll",
    "regexReplaceAllLiteral",
    "count",
    "urldecode",
    "urlencode",
    "bytes",
    "duration",
    "duration_seconds",
    "unixEpochMillis",
    "unixEpochNanos",
    "toDateInZone",
    "unixToTime",
    "alignLeft",
    "alignRight",
    "b64dec",
    "b64enc",
    "lower",
    "upper",
    "title",
    "trunc",
    "substr",
    "contains",
    "hasPrefix",
    "hasSuffix",
    "indent",
    "nindent",
    "replace",
    "repeat",
    "trim",
    "trimAll",
    "trimSuffix",
    "trimPrefix",
    "int",
    "float64",
    "add",
    "sub",
    "mul",
    "div",
    "mod",
    "addf",
    "subf",
    "mulf",
    "divf",
    "max",
    "min",
    "maxf",
    "minf",
    "ceil",
    "floor",
    "round",
    "fromJson",
    "date",
    "toDate",
    "now",
    "unixEpoch",
    "default",
    "__line__",
    "__timestamp__",
];

/// The functions of Prometheus's alerts beside them; all of them parse.
const ALERT_FUNCTIONS: [&str; 27] = [
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
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "title",
    "toUpper",
    "toLower",
    "match",
    "reReplaceAll",
    "stripPort",
    "stripDomain",
    "parseDuration",
    "toTime",
    "externalURL",
    "pathPrefix",
];

/// Whether `dialect` has a function of that name. What only later versions have (`now`, `toDuration`, `urlQueryEscape`) alerts
/// do not.
fn knows(dialect: Dialect, name: &str) -> bool {
    let own: &[&str] = match dialect {
        Dialect::Line => &LINE_FUNCTIONS,
        Dialect::Alert => &ALERT_FUNCTIONS,
    };
    GO_FUNCTIONS.contains(&name) || own.contains(&name)
}

/// The word that an action begins with, and what follows it.
pub(super) fn first_word(action: &str) -> (&str, &str) {
    let end = action.find(|c: char| !(c == '_' || c.is_alphanumeric())).unwrap_or(action.len());
    (&action[..end], action[end..].trim_start())
}

/// Reads the inside of one action.
pub(super) struct Words<'a> {
    pub(super) text: &'a str,
    pub(super) depth: usize,
    pub(super) dialect: Dialect,
}

impl Words<'_> {
    fn blank(&mut self) {
        self.text = self.text.trim_start();
    }

    fn take(&mut self, prefix: &str) -> bool {
        match self.text.strip_prefix(prefix) {
            Some(rest) => {
                self.text = rest;
                true
            }
            None => false,
        }
    }

    fn name(&mut self) -> String {
        let end = self.text.find(|c: char| !(c == '_' || c.is_alphanumeric())).unwrap_or(self.text.len());
        let (name, rest) = self.text.split_at(end);
        self.text = rest;
        name.to_owned()
    }

    pub(super) fn pipeline(&mut self) -> Result<Pipeline, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("pipelines nested too deeply".to_owned());
        }
        let variables = self.variables();
        let mut commands = vec![self.command()?];
        loop {
            self.blank();
            if !self.take("|") {
                break;
            }
            commands.push(self.command()?);
        }
        self.depth -= 1;
        Ok(Pipeline { variables, commands })
    }

    /// `$x :=`, `$x =`, `$i, $x :=`; nothing is consumed if it is not there.
    fn variables(&mut self) -> Vec<String> {
        let start = self.text;
        let mut names = Vec::new();
        loop {
            self.blank();
            if !self.take("$") {
                break;
            }
            names.push(self.name());
            self.blank();
            if self.take(":=") || self.take("=") {
                return names;
            }
            if !self.take(",") {
                break;
            }
        }
        self.text = start;
        Vec::new()
    }

    fn command(&mut self) -> Result<Call, String> {
        let mut operands = Vec::new();
        loop {
            self.blank();
            if self.text.is_empty() || self.text.starts_with(['|', ')']) {
                break;
            }
            operands.push(self.operand()?);
        }
        match operands.first() {
            None => Err("missing value for command".to_owned()),
            Some(Operand::Nil) if operands.len() == 1 => Err("nil is not a command".to_owned()),
            Some(first) if operands.len() > 1 && !callable(first) => {
                Err("can't give argument to non-function".to_owned())
            }
            Some(_) => Ok(Call { operands }),
        }
    }

    fn operand(&mut self) -> Result<Operand, String> {
        let first = self.text.chars().next().ok_or("unexpected end of action")?;
        match first {
            '"' => self.quoted(),
            '`' => {
                let end = self.text[1..].find('`').ok_or("unterminated raw quoted string")?;
                let value = self.text[1..=end].to_owned();
                self.text = &self.text[end + 2..];
                Ok(Operand::Text(value))
            }
            '.' if !self.text[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                let path = self.path();
                Ok(if path.is_empty() { self.dot() } else { Operand::Field(path) })
            }
            '$' => {
                self.take("$");
                let name = self.name();
                Ok(Operand::Variable(name, self.path()))
            }
            '(' => {
                self.take("(");
                let inner = self.pipeline()?;
                self.blank();
                if !self.take(")") {
                    return Err("unclosed left paren".to_owned());
                }
                Ok(Operand::Group(inner, self.path()))
            }
            c if c == '_' || c.is_alphabetic() => self.word(),
            '+' | '-' | '.' | '0'..='9' => self.number(),
            other => Err(format!("unexpected {other:?} in operand")),
        }
    }

    fn dot(&mut self) -> Operand {
        self.take(".");
        Operand::Dot
    }

    fn path(&mut self) -> Vec<String> {
        let mut path = Vec::new();
        while self.text.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c == '_' || c.is_alphabetic()))
        {
            self.take(".");
            path.push(self.name());
        }
        path
    }

    fn quoted(&mut self) -> Result<Operand, String> {
        let mut escaped = false;
        for (offset, c) in self.text.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    let value = unquote::interpreted(&self.text[1..offset]).ok_or("invalid syntax")?;
                    self.text = &self.text[offset + 1..];
                    return Ok(Operand::Text(value));
                }
                _ => {}
            }
        }
        Err("unterminated quoted string".to_owned())
    }

    fn word(&mut self) -> Result<Operand, String> {
        let name = self.name();
        match name.as_str() {
            "true" => Ok(Operand::Bool(true)),
            "false" => Ok(Operand::Bool(false)),
            "nil" => Ok(Operand::Nil),
            _ if knows(self.dialect, &name) => Ok(Operand::Function(name)),
            _ => Err(format!("function {name:?} not defined")),
        }
    }

    fn number(&mut self) -> Result<Operand, String> {
        let sign = usize::from(self.text.starts_with(['+', '-']));
        let length = self.text[sign..]
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '.'))
            .map_or(self.text.len(), |end| end + sign);
        let (number, rest) = self.text.split_at(length);
        let value = number.parse().map(Operand::Integer).or_else(|_| number.parse().map(Operand::Float));
        self.text = rest;
        value.map_err(|_| format!("bad number syntax: {number:?}"))
    }
}

fn callable(operand: &Operand) -> bool {
    matches!(operand, Operand::Function(_) | Operand::Field(_) | Operand::Variable(..) | Operand::Group(..))
}
