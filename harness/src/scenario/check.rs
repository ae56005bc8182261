//! Compares a TOML tree with the schema, and reports everything that does not fit in one pass. Fed by `syntax` and
//! [`super::schema`], read by [`super::load`]; when it finds nothing, the model's own reader cannot fail on shape.

use std::ops::Range;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::diagnostic::{Code, Finding};
use super::{form, suggest};

type Schema = Map<String, Value>;

/// Everything in `table` that the schema does not allow, in the order of the file.
pub(super) fn check(root: &Value, table: &Spanned<DeTable<'_>>) -> Vec<Finding> {
    let mut checker = Checker { root, findings: Vec::new() };
    let schema = root.as_object().expect("a schema is an object");
    checker.table(schema, &Place { path: "a scenario".to_owned(), span: table.span() }, table.get_ref());
    checker.findings
}

struct Checker<'s> {
    root: &'s Value,
    findings: Vec<Finding>,
}

/// What is being looked at.
struct Place {
    /// For messages: `name`, `load.request.weight`.
    path: String,
    span: Range<usize>,
}

impl Place {
    fn below(&self, key: &str, span: Range<usize>) -> Self {
        let path = if self.path == "a scenario" { key.to_owned() } else { format!("{}.{key}", self.path) };
        Self { path, span }
    }
}

impl<'s> Checker<'s> {
    fn report(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Follows references until there is something to compare with.
    fn resolve(&self, schema: &'s Value) -> Option<&'s Schema> {
        let mut schema = schema.as_object()?;
        loop {
            let reference = schema.get("$ref").or_else(|| schema.get("allOf")?.get(0)?.get("$ref"));
            let Some(reference) = reference.and_then(Value::as_str) else { return Some(schema) };
            schema = self.root.pointer(reference.strip_prefix('#')?)?.as_object()?;
        }
    }

    fn value(&mut self, schema: &'s Value, place: &Place, value: &DeValue<'_>) {
        self.finite(place, value);
        let Some(schema) = self.resolve(schema) else { return };
        if let Some(Value::Array(branches)) = schema.get("anyOf") {
            self.any_of(branches, place, value);
        } else if let Some(Value::Array(branches)) = schema.get("oneOf") {
            self.one_of(branches, place, value);
        } else {
            self.plain(schema, place, value);
        }
    }

    /// `nan` and `inf` are legal TOML, and meaningless everywhere here.
    fn finite(&mut self, place: &Place, value: &DeValue<'_>) {
        let Some(float) = value.as_float() else { return };
        if !float.as_str().replace('_', "").parse::<f64>().is_ok_and(f64::is_finite) {
            let message = format!("`{}` is {}, which is no finite number", place.path, float.as_str());
            self.report(Finding::error(Code::NotFinite, place.span.clone(), message));
        }
    }

    /// Alternatives that differ in their type: `"uuid"` or a table.
    fn any_of(&mut self, branches: &'s [Value], place: &Place, value: &DeValue<'_>) {
        let resolved: Vec<&'s Schema> = branches.iter().filter_map(|branch| self.resolve(branch)).collect();
        if let Some(branch) = branches.iter().find(|branch| self.resolve(branch).is_some_and(|s| fits(s, value))) {
            self.value(branch, place, value);
        } else {
            let expected: Vec<&str> = resolved.iter().map(|schema| expected_type(schema)).collect();
            self.wrong_type(place, &expected.join(" or "), value);
        }
    }

    /// Either names, or tables with one key that says which kind it is.
    fn one_of(&mut self, branches: &'s [Value], place: &Place, value: &DeValue<'_>) {
        let names: Vec<&str> = branches.iter().flat_map(names_of).collect();
        if names.is_empty() {
            self.one_key(branches, place, value);
        } else if let Some(text) = value.as_str() {
            self.name(&names, place, text);
        } else {
            self.wrong_type(place, "a text", value);
        }
    }

    fn name(&mut self, names: &[&str], place: &Place, text: &str) {
        if !names.contains(&text) {
            let message = format!("`{}` cannot be `{text}`", place.path);
            let help = suggest::help(text, "allowed", names.iter().copied());
            self.report(Finding::error(Code::UnknownValue, place.span.clone(), message).help(help));
        }
    }

    fn one_key(&mut self, branches: &'s [Value], place: &Place, value: &DeValue<'_>) {
        let kinds: Vec<(&str, &'s Value)> = branches.iter().filter_map(kind_of).collect();
        let Some(table) = value.as_table() else {
            return self.wrong_type(place, "a table with one key", value);
        };
        for (key, below) in table {
            let name: &str = key.get_ref();
            match kinds.iter().find(|(kind, _)| *kind == name) {
                Some((_, schema)) => self.value(schema, &place.below(name, below.span()), below.get_ref()),
                None => self.unknown(place, name, key.span(), kinds.iter().map(|(kind, _)| *kind)),
            }
        }
        let mut keys: Vec<_> = table.keys().collect();
        keys.sort_by_key(|key| key.span().start);
        if let [first, second, ..] = keys.as_slice() {
            let message =
                format!("`{}` has several kinds: `{}` and `{}`", place.path, first.get_ref(), second.get_ref());
            let finding = Finding::error(Code::OneOf, second.span(), message).label(first.span(), "first here");
            self.report(finding.help(format!("write one table for each; `{}` takes exactly one", place.path)));
        } else if keys.is_empty() {
            let help = format!("one of: {}", kinds.iter().map(|(kind, _)| *kind).collect::<Vec<_>>().join(", "));
            let message = format!("`{}` says nothing", place.path);
            self.report(Finding::error(Code::OneOf, place.span.clone(), message).help(help));
        }
    }

    fn plain(&mut self, schema: &'s Schema, place: &Place, value: &DeValue<'_>) {
        if !fits(schema, value) {
            return self.wrong_type(place, expected_type(schema), value);
        }
        match value {
            DeValue::Table(table) => self.table(schema, place, table),
            DeValue::Array(array) => self.array(schema, place, array),
            DeValue::String(text) => self.text(schema, place, text),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                #[expect(clippy::cast_precision_loss, reason = "compared with limits far below 2^53")]
                Ok(number) => self.range(schema, place, number as f64),
                Err(_) => self.report(Finding::error(
                    Code::OutOfRange,
                    place.span.clone(),
                    format!("`{}` does not fit 64 bits", place.path),
                )),
            },
            DeValue::Float(number) => {
                if let Some(number) =
                    number.as_str().replace('_', "").parse().ok().filter(|number: &f64| number.is_finite())
                {
                    self.range(schema, place, number);
                }
            }
            DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        }
    }

    fn table(&mut self, schema: &'s Schema, place: &Place, table: &DeTable<'_>) {
        let known = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        for (key, value) in table {
            let name: &str = key.get_ref();
            match known.and_then(|known| known.get(name)).or_else(|| others.filter(|schema| schema.is_object())) {
                Some(below) => self.value(below, &place.below(name, value.span()), value.get_ref()),
                None if others == Some(&Value::Bool(false)) => {
                    let names = known.into_iter().flat_map(|known| known.keys().map(String::as_str));
                    self.unknown(place, name, key.span(), names);
                }
                None => self.free(&place.below(name, value.span()), value.get_ref()),
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str).filter(|name| !table.contains_key(*name)) {
            let what = if place.path == "a scenario" { place.path.clone() } else { format!("`{}`", place.path) };
            let meaning = known.and_then(|known| known.get(name)?.get("description")?.as_str());
            let finding = Finding::error(Code::MissingKey, place.span.clone(), format!("{what} needs `{name}`"));
            self.report(finding.maybe_help(meaning.map(|meaning| format!("`{name}`: {}", one_line(meaning)))));
        }
    }

    /// Values of any shape; only NaN and infinity are refused.
    fn free(&mut self, place: &Place, value: &DeValue<'_>) {
        self.finite(place, value);
        match value {
            DeValue::Table(table) => {
                table
                    .iter()
                    .for_each(|(key, below)| self.free(&place.below(key.get_ref(), below.span()), below.get_ref()));
            }
            DeValue::Array(array) => {
                array.iter().for_each(|item| self.free(&place.below("[]", item.span()), item.get_ref()));
            }
            _ => {}
        }
    }

    fn array(&mut self, schema: &'s Schema, place: &Place, array: &DeArray<'_>) {
        let limit = |key: &str| schema.get(key).and_then(Value::as_u64).and_then(|limit| usize::try_from(limit).ok());
        let (least, most) = (limit("minItems").unwrap_or(0), limit("maxItems").unwrap_or(usize::MAX));
        if array.len() < least {
            let message = format!("`{}` has {}, at least {least} needed", place.path, entries(array.len()));
            self.report(Finding::error(Code::OutOfRange, place.span.clone(), message));
        } else if array.len() > most {
            let message = format!("`{}` has {}, at most {most} allowed", place.path, entries(array.len()));
            self.report(Finding::error(Code::OutOfRange, place.span.clone(), message));
        }
        if let Some(items) = schema.get("items").filter(|items| items.is_object()) {
            for item in array {
                self.value(items, &Place { path: place.path.clone(), span: item.span() }, item.get_ref());
            }
        } else {
            array.iter().for_each(|item| self.free(place, item.get_ref()));
        }
    }

    fn text(&mut self, schema: &'s Schema, place: &Place, value: &str) {
        let names: Vec<&str> = names_in(schema).collect();
        if !names.is_empty() {
            return self.name(&names, place, value);
        }
        let form = schema.get("x-form").and_then(Value::as_str);
        let too_short = form.is_none() && schema.get("minLength").is_some() && value.trim().is_empty();
        if let Some(finding) = form.and_then(|form| form::check(form, &place.path, &place.span, value)) {
            self.report(finding);
        } else if too_short {
            self.report(Finding::error(Code::InvalidValue, place.span.clone(), format!("`{}` is empty", place.path)));
        }
    }

    fn range(&mut self, schema: &'s Schema, place: &Place, number: f64) {
        let limit = |key: &str| schema.get(key).and_then(Value::as_f64);
        let message = if limit("minimum").is_some_and(|least| number < least) {
            format!("`{}` is {number}, at least {} needed", place.path, limit("minimum").unwrap_or_default())
        } else if limit("maximum").is_some_and(|most| number > most) {
            format!("`{}` is {number}, at most {} allowed", place.path, limit("maximum").unwrap_or_default())
        } else if limit("exclusiveMinimum").is_some_and(|least| number <= least) {
            format!("`{}` is {number}, more than {} needed", place.path, limit("exclusiveMinimum").unwrap_or_default())
        } else {
            return;
        };
        self.report(Finding::error(Code::OutOfRange, place.span.clone(), message));
    }

    fn unknown<'n>(
        &mut self,
        place: &Place,
        name: &str,
        span: Range<usize>,
        names: impl Iterator<Item = &'n str> + Clone,
    ) {
        let message = if place.path == "a scenario" {
            format!("a scenario has no key `{name}`")
        } else {
            format!("`{}` has no key `{name}`", place.path)
        };
        let finding = Finding::error(Code::UnknownKey, span, message);
        self.report(finding.help(suggest::help(name, "keys", names)));
    }

    fn wrong_type(&mut self, place: &Place, expected: &str, value: &DeValue<'_>) {
        let message = format!("`{}` must be {expected}, not {}", place.path, actual_type(value));
        self.report(Finding::error(Code::WrongType, place.span.clone(), message));
    }
}

fn entries(count: usize) -> String {
    match count {
        0 => "no entries".to_owned(),
        1 => "one entry".to_owned(),
        more => format!("{more} entries"),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The names that a schema of a closed set allows.
fn names_of(branch: &Value) -> impl Iterator<Item = &str> {
    branch.as_object().into_iter().flat_map(names_in)
}

fn names_in(schema: &Schema) -> impl Iterator<Item = &str> {
    let many = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    many.chain(schema.get("const")).filter_map(Value::as_str)
}

/// The key of a schema for a table with exactly one key, and the schema of its value.
fn kind_of(branch: &Value) -> Option<(&str, &Value)> {
    let properties = branch.get("properties")?.as_object()?;
    let (kind, schema) = properties.iter().next()?;
    (properties.len() == 1).then_some((kind.as_str(), schema))
}

fn types_of(schema: &Schema) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ if schema.contains_key("oneOf") => vec!["object"],
        _ => Vec::new(),
    }
}

fn fits(schema: &Schema, value: &DeValue<'_>) -> bool {
    let fits = |name: &str| match value {
        DeValue::String(_) | DeValue::Datetime(_) => name == "string" && value.is_str(),
        DeValue::Integer(_) => name == "integer" || name == "number",
        DeValue::Float(_) => name == "number",
        DeValue::Boolean(_) => name == "boolean",
        DeValue::Array(_) => name == "array",
        DeValue::Table(_) => name == "object",
    };
    let types = types_of(schema);
    types.is_empty() || types.into_iter().any(fits)
}

fn expected_type(schema: &Schema) -> &'static str {
    match schema.get("x-form").and_then(Value::as_str) {
        Some("duration" | "positive-duration") => return "a duration such as \"10m\"",
        Some("bound" | "count-bound") => return "a comparison such as \">= 1\"",
        Some("latency-bound") => return "a comparison such as \"< 250ms\"",
        Some("share-bound") => return "a comparison such as \"< 0.1%\"",
        _ => {}
    }
    match types_of(schema).first() {
        Some(&"string") => "a text",
        Some(&"integer") => "a whole number",
        Some(&"number") => "a number",
        Some(&"boolean") => "true or false",
        Some(&"array") => "a list",
        _ => "a table",
    }
}

fn actual_type(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.chars().count() <= 30 => format!("the text \"{text}\""),
        DeValue::String(_) => "a text".to_owned(),
        DeValue::Integer(number) => format!("the whole number {}", number.as_str()),
        DeValue::Float(number) => format!("the number {}", number.as_str()),
        DeValue::Boolean(value) => format!("{value}"),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
