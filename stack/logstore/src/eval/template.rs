//! Executes the templates of `line_format` and `label_format`, and those of alerts.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use super::function;
use super::line::{ERROR, ERROR_DETAILS, Line};
use crate::clock::{self, Nanos};
use crate::label::Labels;
use crate::logql::{Call, Dialect, Node, Operand, Pipeline, Template};

/// How long a rendered text may become.
pub(super) const MAX_OUTPUT: usize = 1 << 20;

/// A value inside a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Nil,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Time(Nanos),
    /// The labels of the line.
    Labels,
    /// Names and texts; what is absent reads as nothing.
    Map(Arc<BTreeMap<String, String>>),
    /// Fields; what is absent is an error.
    Record(Arc<[(&'static str, Value)]>),
}

impl Value {
    /// As `{{ }}` prints it.
    pub(super) fn print(&self, line: &Line<'_>) -> String {
        match self {
            Self::Nil => "<no value>".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Float(value) => go_float(*value),
            Self::Text(text) => text.clone(),
            Self::Time(at) => clock::go_time(*at),
            Self::Labels => {
                let mut out = String::from("map[");
                for (index, (name, value)) in line.series().iter().enumerate() {
                    let _ = write!(out, "{}{name}:{value}", if index > 0 { " " } else { "" });
                }
                out + "]"
            }
            Self::Map(map) => {
                let pairs: Vec<String> = map.iter().map(|(name, value)| format!("{name}:{value}")).collect();
                format!("map[{}]", pairs.join(" "))
            }
            Self::Record(fields) => {
                let values: Vec<String> = fields.iter().map(|(_, value)| value.print(line)).collect();
                format!("{{{}}}", values.join(" "))
            }
        }
    }

    /// Whether `if` takes it for true.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Integer(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Time(_) | Self::Labels | Self::Record(_) => true,
        }
    }
}

/// A float as Go's `%v` prints it: shortest form, with an exponent outside 1e-4 .. 1e21.
pub(super) fn go_float(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    if size != 0.0 && !(1e-4..1e21).contains(&size) {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    value.to_string()
}

/// The text that `template` makes of `line`.
///
/// # Errors
/// What went wrong, for `__error_details__`.
pub(super) fn render(template: &Template, line: &Line<'_>) -> Result<String, String> {
    let mut scope = Scope { dialect: template.dialect, line, variables: Vec::new(), out: String::new() };
    scope.nodes(&template.nodes, &Value::Labels)?;
    Ok(scope.out)
}

/// What the templates of an alert can read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AlertData<'a> {
    /// The labels of the series that the rule found.
    pub(crate) labels: &'a Labels,
    /// Those of the ruler.
    pub(crate) external_labels: &'a Labels,
    /// Where the ruler is reached.
    pub(crate) external_url: &'a str,
    /// The series' value.
    pub(crate) value: f64,
}

/// The variables that every template of an alert knows.
pub(crate) const ALERT_VARIABLES: [&str; 4] = ["labels", "externalLabels", "externalURL", "value"];

/// The text that `template` makes of an alert.
///
/// # Errors
/// What went wrong.
pub(crate) fn render_alert(template: &Template, data: AlertData<'_>) -> Result<String, String> {
    let map = |labels: &Labels| {
        Value::Map(Arc::new(labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    };
    let url = data.external_url.to_owned();
    let values = [map(data.labels), map(data.external_labels), Value::Text(url), Value::Float(data.value)];
    let fields = ["Labels", "ExternalLabels", "ExternalURL", "Value"];
    let dot = Value::Record(fields.into_iter().zip(values.iter().cloned()).collect());
    let variables = ALERT_VARIABLES.iter().map(|name| (*name).to_owned()).zip(values).collect();
    let none = Labels::default();
    let line = Line::new(0, "", &none, None);
    let mut scope = Scope { dialect: template.dialect, line: &line, variables, out: String::new() };
    scope.variables.push((String::new(), dot.clone()));
    scope.nodes(&template.nodes, &dot)?;
    Ok(scope.out)
}

struct Scope<'a> {
    dialect: Dialect,
    line: &'a Line<'a>,
    variables: Vec<(String, Value)>,
    out: String,
}

impl Scope<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<(), String> {
        let known = self.variables.len();
        for node in nodes {
            self.node(node, dot)?;
            if self.out.len() > MAX_OUTPUT {
                return Err(format!("the template makes more than {MAX_OUTPUT} bytes"));
            }
        }
        self.variables.truncate(known);
        Ok(())
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<(), String> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    let text = value.print(self.line);
                    self.out.push_str(&text);
                }
            }
            Node::If(branches, otherwise) => {
                for (condition, body) in branches {
                    if self.pipeline(condition, dot)?.is_true() {
                        return self.nodes(body, dot);
                    }
                }
                self.nodes(otherwise, dot)?;
            }
            Node::With(pipeline, body, otherwise) => {
                let value = self.pipeline(pipeline, dot)?;
                if value.is_true() { self.nodes(body, &value)? } else { self.nodes(otherwise, dot)? }
            }
            Node::Range(..) => return Err("range is not supported".to_owned()),
        }
        Ok(())
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let mut last = None;
        for call in &pipeline.commands {
            last = Some(self.call(call, last, dot)?);
        }
        let value = last.unwrap_or(Value::Nil);
        for name in &pipeline.variables {
            match self.variables.iter_mut().rev().find(|(known, _)| known == name) {
                Some(known) => known.1 = value.clone(),
                None => self.variables.push((name.clone(), value.clone())),
            }
        }
        Ok(value)
    }

    fn call(&mut self, call: &Call, last: Option<Value>, dot: &Value) -> Result<Value, String> {
        let Some((first, rest)) = call.operands.split_first() else {
            return Err("missing value for command".to_owned());
        };
        let Operand::Function(name) = first else {
            if !rest.is_empty() || last.is_some() {
                return Err("can't give argument to non-function".to_owned());
            }
            return self.operand(first, dot);
        };
        if let "and" | "or" = name.as_str() {
            return self.logic(name, rest, last, dot);
        }
        let mut arguments = Vec::with_capacity(rest.len() + 1);
        for operand in rest {
            arguments.push(self.operand(operand, dot)?);
        }
        arguments.extend(last);
        arguments.extend(self.given(name));
        function::call(self.dialect, name, &arguments, self.line).map_err(|e| format!("error calling {name}: {e}"))
    }

    /// What a function needs that is not written: the ruler's address.
    fn given(&self, name: &str) -> Option<Value> {
        let wanted = self.dialect == Dialect::Alert && matches!(name, "externalURL" | "pathPrefix");
        let url = self.variables.iter().find(|(known, _)| known == "externalURL");
        url.filter(|_| wanted).map(|(_, value)| value.clone())
    }

    /// `and` and `or` answer one of their arguments and stop at the one that decides.
    fn logic(&mut self, name: &str, operands: &[Operand], last: Option<Value>, dot: &Value) -> Result<Value, String> {
        let stops = |value: &Value| value.is_true() == (name == "or");
        let mut value = Value::Nil;
        for operand in operands {
            value = self.operand(operand, dot)?;
            if stops(&value) {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, String> {
        match operand {
            Operand::Dot => Ok(dot.clone()),
            Operand::Field(path) => self.field(dot, path),
            Operand::Variable(name, path) if name.is_empty() && self.dialect == Dialect::Line => {
                self.field(&Value::Labels, path)
            }
            Operand::Variable(name, path) => {
                let known =
                    self.variables.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
                self.field(&known.ok_or_else(|| format!("undefined variable: ${name}"))?, path)
            }
            Operand::Text(text) => Ok(Value::Text(text.clone())),
            Operand::Integer(value) => Ok(Value::Integer(*value)),
            Operand::Float(value) => Ok(Value::Float(*value)),
            Operand::Bool(value) => Ok(Value::Bool(*value)),
            Operand::Nil => Ok(Value::Nil),
            Operand::Function(name) => {
                let given: Vec<Value> = self.given(name).into_iter().collect();
                function::call(self.dialect, name, &given, self.line).map_err(|e| format!("error calling {name}: {e}"))
            }
            Operand::Group(pipeline, path) => {
                let value = self.pipeline(pipeline, dot)?;
                self.field(&value, path)
            }
        }
    }

    fn field(&self, value: &Value, path: &[String]) -> Result<Value, String> {
        let Some((name, rest)) = path.split_first() else { return Ok(value.clone()) };
        match value {
            Value::Labels => {
                let found = match name.as_str() {
                    ERROR | ERROR_DETAILS => self.line.value(name),
                    _ => self.line.get(name).map_or("", |(value, _)| value),
                };
                self.field(&Value::Text(found.to_owned()), rest)
            }
            Value::Map(map) => self.field(&Value::Text(map.get(name).cloned().unwrap_or_default()), rest),
            Value::Record(fields) => match fields.iter().find(|(known, _)| known == name) {
                Some((_, value)) => self.field(value, rest),
                None => Err(format!("can't evaluate field {name} in an alert's data")),
            },
            _ => Err(format!("can't evaluate field {name} in type string")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::Labels;

    fn rendered(template: &str) -> Result<String, String> {
        let stream = Labels::new([("app", "Shop"), ("n", "7"), ("msg", "a b&c"), ("t", "1700000000123")]);
        let line = Line::new(1_700_000_000_500_000_000, "the line", &stream, None);
        render(&Template::parse("line", template).unwrap(), &line)
    }

    #[test]
    fn templates_render_as_go_does() {
        for (template, expected) in [
            ("{{.app}}-{{ .none }}|{{__line__}}", "Shop-|the line"),
            ("{{.app | lower | printf \"%s!%5d|%-4s|%q\" \"x\" 3 }}", "x!    3|shop|%!q(MISSING)"),
            ("{{if and (eq .app \"Shop\") (gt (int .n) 5)}}y{{else}}n{{end}}", "y"),
            ("{{with .none}}a{{else}}b{{end}}{{with .n}}{{.}}{{end}}", "b7"),
            ("{{$x := upper .app}}{{$x}}{{$x | trunc 2}}", "SHOPSH"),
            ("{{add .n 1}} {{mul 2 3 4}} {{div 7 2}} {{mod 7 4}} {{sub 1 2}} {{max 1 9 3}}", "8 24 3 3 -1 9"),
            ("{{addf 1.5 .n}} {{divf 1 4}} {{floor 2.7}} {{round 2.456 2}}", "8.5 0.25 2 2.46"),
            ("{{substr 1 3 .app}} {{replace \"h\" \"H\" .app}} {{trimPrefix \"Sh\" .app}}", "ho SHop op"),
            ("{{regexReplaceAll \"(o)\" .app \"<$1>\"}} {{count \"a|b\" \"abc\"}}", "Sh<o>p 2"),
            ("{{urlencode .msg}} {{urldecode \"a%20b+c\"}}", "a+b%26c a b c"),
            ("{{b64enc .n}} {{b64dec \"Nw==\"}} {{alignLeft 3 .n}}|{{alignRight 3 .n}}", "Nw== 7 7  |  7"),
            ("{{default \"x\" .none}} {{contains \"ho\" .app}} {{title \"ab cd\"}} {{repeat 2 .n}}", "x true Ab Cd 77"),
            (
                "{{unixEpoch __timestamp__}} {{__timestamp__ | date \"2006-01-02T15:04:05.000Z07:00\"}}",
                "1700000000 2023-11-14T22:13:20.500Z",
            ),
            (
                "{{unixToTime .t | unixEpochMillis}} {{len .app}} {{index . \"n\"}} {{not true}}",
                "1700000000123 4 7 false",
            ),
            ("{{bytes \"2KB\"}} {{duration \"1.5s\"}} {{print \"a\" 1 2 \"b\"}} {{ne 1 2}}", "2000 1.5 a1 2b true"),
        ] {
            assert_eq!(rendered(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn what_cannot_be_computed_is_an_error_with_a_reason() {
        for (template, reason) in [
            ("{{div 1 0}}", "divide by zero"),
            ("{{.app.x}}", "can't evaluate field x in type string"),
            ("{{trunc .n .app}}", "expected int"),
            ("{{repeat 9999999 .app}}", "more than"),
            ("{{lower}}", "wrong number of args"),
            ("{{regexReplaceAll \"(\" .app \"\"}}", "error parsing regexp"),
        ] {
            let error = rendered(template).unwrap_err();
            assert!(error.contains(reason), "{template}: {error}");
        }
    }
}
