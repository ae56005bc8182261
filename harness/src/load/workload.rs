//! What is sent: templates compiled to bytes with gaps, picked by weight. Fed by `spec`, read by `engine`, which asks for
//! the next request and gets it written into its buffer.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::generator::Source;
use super::part::{Escape, Part, json_literal, merged, push_number, write_parts};
use super::spec::{Checks, RequestTemplate, Spec, SpecError, Step};

/// The compiled requests of a load.
#[derive(Debug)]
pub(super) struct Workload {
    requests: Vec<Request>,
    journeys: Vec<Journey>,
    /// Of the single requests, and of the journeys behind them.
    cumulative_weights: Vec<u64>,
    singles: usize,
    rng: SmallRng,
    id_prefix: Option<String>,
    body: Vec<u8>,
}

/// A journey as the places of its steps among the requests.
#[derive(Debug)]
struct Journey {
    steps: std::ops::Range<usize>,
    captures: usize,
}

/// What was picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pick {
    /// A single request.
    Request(usize),
    /// A journey that captures so many values.
    Journey(usize, usize),
}

/// A compiled request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) checks: Checks,
    pub(super) answer: Answer,
    head: Vec<Part>,
    body: Option<Vec<Part>>,
    sources: Vec<Source>,
    values: Vec<String>,
    /// JSON pointers of what is to be captured, and where it goes.
    capture: Vec<(String, usize)>,
}

/// Whether an answer to this method has a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    WithBody,
    HeadOnly,
}

impl Workload {
    pub(super) fn compile(spec: &Spec) -> Result<Self, SpecError> {
        let mut sum = 0;
        let cumulative_weights = spec.weights().map(|weight| {
            sum += u64::from(weight);
            sum
        });
        let cumulative_weights = cumulative_weights.collect();
        let single = |request: &RequestTemplate| Request::compile(request, spec, &[]);
        let mut requests: Vec<Request> = spec.requests.iter().map(single).collect::<Result<_, _>>()?;
        let mut journeys = Vec::new();
        for journey in &spec.journeys {
            // every capture of the journey has a place; a step knows those of the steps before it
            let captures: Vec<&String> = journey.steps.iter().flat_map(|step| step.capture.keys()).collect();
            let (begin, mut known) = (requests.len(), 0);
            for step in &journey.steps {
                let mut request = Request::compile(&step.request, spec, &captures[..known])?;
                request.capture = places(step, &captures)?;
                requests.push(request);
                known += step.capture.len();
            }
            journeys.push(Journey { steps: begin..requests.len(), captures: captures.len() });
        }
        Ok(Self {
            cumulative_weights,
            singles: spec.requests.len(),
            requests,
            journeys,
            // another stream than the schedule's, so that what is sent does not move when it is sent
            rng: SmallRng::seed_from_u64(spec.seed ^ 0x9e37_79b9_7f4a_7c15),
            id_prefix: spec.request_id_prefix.clone(),
            body: Vec::new(),
        })
    }

    /// Picks the next request or journey by weight.
    pub(super) fn pick(&mut self) -> Pick {
        let index = match self.cumulative_weights[..] {
            [_] => 0,
            _ => {
                let sum = *self.cumulative_weights.last().expect("a checked spec has a request");
                let point = self.rng.random_range(0..sum);
                self.cumulative_weights.partition_point(|bound| *bound <= point)
            }
        };
        match index.checked_sub(self.singles) {
            None => Pick::Request(index),
            Some(journey) => Pick::Journey(journey, self.journeys[journey].captures),
        }
    }

    /// How many steps a journey has.
    pub(super) fn steps(&self, journey: usize) -> usize {
        self.journeys[journey].steps.len()
    }

    /// The request of a journey's step.
    pub(super) fn step(&self, journey: usize, step: usize) -> usize {
        self.journeys[journey].steps.start + step
    }

    /// Draws the values of a request and writes it, as it goes over the wire, into `out`. `number` counts the started
    /// requests from 1; `captured` is what the journey has captured so far.
    pub(super) fn write(&mut self, request: usize, number: u64, captured: &[String], out: &mut Vec<u8>) {
        let request = &mut self.requests[request];
        let (drawn, kept) = request.values.split_at_mut(request.sources.len());
        for (source, value) in request.sources.iter_mut().zip(drawn) {
            source.draw(&mut self.rng, value);
        }
        kept.iter_mut().zip(captured).for_each(|(value, captured)| value.clone_from(captured));
        write_parts(&request.head, &request.values, out);
        if let Some(prefix) = &self.id_prefix {
            out.extend_from_slice(b"x-request-id: ");
            out.extend_from_slice(prefix.as_bytes());
            push_number(number, out);
            out.extend_from_slice(b"\r\n");
        }
        if let Some(body) = &request.body {
            self.body.clear();
            write_parts(body, &request.values, &mut self.body);
            out.extend_from_slice(b"content-length: ");
            push_number(self.body.len() as u64, out);
            out.extend_from_slice(b"\r\n\r\n");
            out.extend_from_slice(&self.body);
        } else {
            out.extend_from_slice(b"\r\n");
        }
    }

    pub(super) fn request(&self, index: usize) -> &Request {
        &self.requests[index]
    }
}

impl Request {
    /// `known` are the values captured in earlier steps.
    fn compile(template: &RequestTemplate, spec: &Spec, known: &[&String]) -> Result<Self, SpecError> {
        let wrong = |what: String| SpecError::Request { request: template.name.clone(), what };
        if let Some(name) = known.iter().find(|name| template.with.contains_key(**name)) {
            return Err(wrong(format!("with.{name} hides the captured value of that name; choose another name")));
        }
        let no_pointer = |pointer: &&String| !pointer.is_empty() && !pointer.starts_with('/');
        if let Some(pointer) = template.expect.json.keys().find(no_pointer) {
            return Err(wrong(format!("expect.json: `{pointer}` is no JSON pointer; write it as /items/0/sku")));
        }
        let mut names = Names { template, known, used: vec![false; template.with.len() + known.len()] };
        let sources: Vec<Source> = (template.with.iter())
            .map(|(name, generator)| Source::compile(generator).map_err(|why| format!("with.{name}: {why}")))
            .collect::<Result<_, _>>()
            .map_err(wrong)?;
        let head = names.head(spec).map_err(wrong)?;
        let body = match &template.json {
            Some(json) => Some(names.json(json, &sources).map_err(wrong)?),
            // a method with a body but none given says so, else servers wait or refuse
            None if !["GET", "HEAD", "DELETE", "OPTIONS"].contains(&template.method.as_str()) => Some(Vec::new()),
            None => None,
        };
        if let Some(unused) = names.unused() {
            return Err(wrong(format!("with.{unused} is used nowhere; write {{{unused}}} in path, headers or json")));
        }
        Ok(Self {
            checks: template.expect.clone(),
            answer: if template.method == "HEAD" { Answer::HeadOnly } else { Answer::WithBody },
            head,
            body,
            values: vec![String::new(); sources.len() + known.len()],
            sources,
            capture: Vec::new(),
        })
    }
}

impl Request {
    /// Whether the body has to be kept to be judged or to capture from.
    pub(super) fn read_body(&self) -> bool {
        !self.capture.is_empty() || self.checks.read_body()
    }

    /// Takes what is to be captured, each with its place; none if something is missing.
    pub(super) fn captured(&self, body: &[u8]) -> Option<Vec<(usize, String)>> {
        if self.capture.is_empty() {
            return Some(Vec::new());
        }
        let json: serde_json::Value = serde_json::from_slice(body).ok()?;
        let value = |pointer: &String| match json.pointer(pointer)? {
            serde_json::Value::String(text) => Some(text.clone()),
            number @ serde_json::Value::Number(_) => Some(number.to_string()),
            _ => None,
        };
        self.capture.iter().map(|(pointer, place)| Some((*place, value(pointer)?))).collect()
    }
}

/// The pointers of what a step captures, and the places of their names among all captures of the journey.
fn places(step: &Step, all: &[&String]) -> Result<Vec<(String, usize)>, SpecError> {
    let place = |(name, pointer): (&String, &String)| {
        if !pointer.is_empty() && !pointer.starts_with('/') {
            let what = format!("capture.{name}: `{pointer}` is no JSON pointer; write it as /reservation/id");
            return Err(SpecError::Request { request: step.request.name.clone(), what });
        }
        let place = all.iter().position(|known| *known == name);
        Ok((pointer.clone(), place.expect("all captures of the journey contain those of its steps")))
    };
    step.capture.iter().map(place).collect()
}

impl Checks {
    /// Whether the body has to be kept to be judged.
    pub(super) fn read_body(&self) -> bool {
        self.body_contains.is_some() || !self.json.is_empty()
    }

    /// Whether the status is one of the accepted ones.
    pub(super) fn accept_status(&self, status: u16) -> bool {
        if self.status.is_empty() { (200..300).contains(&status) } else { self.status.contains(&status) }
    }

    /// Whether the body is as asked for.
    pub(super) fn accept_body(&self, body: &[u8]) -> bool {
        let contains = |text: &String| text.is_empty() || body.windows(text.len()).any(|part| part == text.as_bytes());
        if !self.body_contains.as_ref().is_none_or(contains) {
            return false;
        }
        if self.json.is_empty() {
            return true;
        }
        let parsed: Option<serde_json::Value> = serde_json::from_slice(body).ok();
        parsed.is_some_and(|json| self.json.iter().all(|(pointer, value)| json.pointer(pointer) == Some(value)))
    }
}

/// Resolves placeholder names to indices and remembers which were used.
struct Names<'a> {
    template: &'a RequestTemplate,
    /// The captured values, behind the drawn ones.
    known: &'a [&'a String],
    used: Vec<bool>,
}

impl Names<'_> {
    fn head(&mut self, spec: &Spec) -> Result<Vec<Part>, String> {
        let template = self.template;
        if !template.path.starts_with('/') {
            return Err(format!("the path `{}` does not start with /", template.path));
        }
        if template.method.is_empty() || !template.method.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(format!("`{}` is no method; write it in capitals, for example GET", template.method));
        }
        if !template.path.bytes().all(|byte| byte.is_ascii_graphic()) || template.path.contains('#') {
            return Err(format!("the path `{}` has characters that must be percent-encoded", template.path));
        }
        let mut parts = vec![Part::Bytes(format!("{} {}", template.method, spec.target.prefix()).into_bytes())];
        parts.extend(self.text(&template.path, Escape::Percent)?);
        let host = spec.target.host();
        parts.push(Part::Bytes(format!(" HTTP/1.1\r\nhost: {host}\r\nuser-agent: harness\r\n").into_bytes()));
        if template.json.is_some() {
            parts.push(Part::Bytes(b"content-type: application/json\r\n".to_vec()));
        }
        for (name, value) in &template.headers {
            check_header(name, value)?;
            parts.push(Part::Bytes(format!("{name}: ").into_bytes()));
            parts.extend(self.text(value, Escape::Nothing)?);
            parts.push(Part::Bytes(b"\r\n".to_vec()));
        }
        Ok(merged(parts))
    }

    fn json(&mut self, json: &serde_json::Value, sources: &[Source]) -> Result<Vec<Part>, String> {
        let mut parts = Vec::new();
        self.json_parts(json, sources, &mut parts)?;
        Ok(merged(parts))
    }

    fn json_parts(&mut self, json: &serde_json::Value, sources: &[Source], out: &mut Vec<Part>) -> Result<(), String> {
        use serde_json::Value;
        let bytes = |text: &str| Part::Bytes(text.as_bytes().to_vec());
        match json {
            Value::String(text) => {
                let parts = self.text(text, Escape::Json)?;
                let number =
                    matches!(parts[..], [Part::Value(index, _)] if sources.get(index).is_some_and(Source::is_numeric));
                let quote = if number { "" } else { "\"" };
                out.push(bytes(quote));
                out.extend(parts.into_iter().map(json_literal));
                out.push(bytes(quote));
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    out.push(bytes(if index == 0 { "[" } else { "," }));
                    self.json_parts(item, sources, out)?;
                }
                out.push(bytes(if items.is_empty() { "[]" } else { "]" }));
            }
            Value::Object(fields) => {
                for (index, (key, value)) in fields.iter().enumerate() {
                    let key = Value::String(key.clone());
                    out.push(bytes(&format!("{}{key}:", if index == 0 { "{" } else { "," })));
                    self.json_parts(value, sources, out)?;
                }
                out.push(bytes(if fields.is_empty() { "{}" } else { "}" }));
            }
            other => out.push(bytes(&other.to_string())),
        }
        Ok(())
    }

    /// Splits a text at its placeholders; `{{` and `}}` are braces.
    fn text(&mut self, text: &str, escape: Escape) -> Result<Vec<Part>, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(brace) = rest.find(['{', '}']) {
            literal.push_str(&rest[..brace]);
            let (sign, after) = rest[brace..].split_at(1);
            if let Some(after) = after.strip_prefix(sign) {
                literal.push_str(sign);
                rest = after;
                continue;
            }
            let (name, after) = after
                .split_once('}')
                .filter(|_| sign == "{")
                .ok_or_else(|| format!("`{text}` has a lone brace; write {{{{ or }}}} for a brace"))?;
            let index = self.template.with.keys().chain(self.known.iter().copied()).position(|known| known == name);
            let index = index.ok_or_else(|| format!("`{{{name}}}` in `{text}` has no value here; add with.{name}"))?;
            self.used[index] = true;
            parts.push(Part::Bytes(std::mem::take(&mut literal).into_bytes()));
            parts.push(Part::Value(index, escape));
            rest = after;
        }
        literal.push_str(rest);
        parts.push(Part::Bytes(literal.into_bytes()));
        Ok(merged(parts))
    }

    fn unused(&self) -> Option<&str> {
        let index = self.used.iter().take(self.template.with.len()).position(|used| !used)?;
        self.template.with.keys().nth(index).map(String::as_str)
    }
}

fn check_header(name: &str, value: &str) -> Result<(), String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("`{name}` is no header name"));
    }
    if value.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(format!("the header `{name}` has control characters in its value"));
    }
    let own = ["host", "content-length", "transfer-encoding", "connection", "expect"];
    if own.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(format!("the header `{name}` is set by the engine itself; leave it out"));
    }
    Ok(())
}

/// The ledger's view of the requests: method, route and name, in the order of the spec.
pub(super) fn keys(spec: &Spec) -> Vec<super::ledger::Key> {
    let key = |request: &RequestTemplate| super::ledger::Key {
        method: request.method.clone(),
        route: request.path.clone(),
        request: request.name.clone(),
    };
    spec.templates().map(key).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::super::spec::{Generator, Model};
    use super::super::target::{Reach, Target};
    use super::*;

    fn spec(requests: Vec<RequestTemplate>) -> Spec {
        let target = Target::resolve("http://127.0.0.1:80/base", Reach::Loopback).unwrap();
        Spec::new("test", target, Model::steady(1.0, 1), requests)
    }

    fn written(spec: &Spec, number: u64) -> String {
        let mut workload = Workload::compile(spec).unwrap();
        let mut out = Vec::new();
        workload.write(0, number, &[], &mut out);
        String::from_utf8(out).unwrap()
    }

    fn one(value: &str) -> Generator {
        Generator::Choice(vec![value.to_owned()])
    }

    #[test]
    fn a_request_has_its_values_escaped_where_they_stand() {
        let mut template = RequestTemplate::get("/items/{sku}");
        template.method = "POST".to_owned();
        template.headers.insert("x-sku".to_owned(), "<{sku}>".to_owned());
        template.json =
            Some(json!({ "sku": "{sku}", "n": "{n}", "text": "n={n} {{}}", "list": [true, null], "o": {} }));
        template.with = BTreeMap::from([("sku".to_owned(), one("a/\"ü\n")), ("n".to_owned(), Generator::Range(7, 7))]);
        let mut spec = spec(vec![template]);
        spec.request_id_prefix = Some("run-".to_owned());
        let body = r#"{"sku":"a/\"ü\u000a","n":7,"text":"n=7 {}","list":[true,null],"o":{}}"#;
        let expected = format!(
            "POST /base/items/a%2F%22%C3%BC%0A HTTP/1.1\r\nhost: 127.0.0.1:80\r\nuser-agent: harness\r\n\
             content-type: application/json\r\nx-sku: <a/\"ü>\r\nx-request-id: run-1204\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(written(&spec, 1204), expected);
    }

    #[test]
    fn requests_are_picked_by_weight_and_the_same_seed_picks_the_same() {
        let mut requests = vec![RequestTemplate::get("/a"), RequestTemplate::get("/b"), RequestTemplate::get("/c")];
        requests[0].weight = 8;
        requests[1].weight = 0;
        requests[2].weight = 2;
        let spec = spec(requests);
        let picks = || {
            let mut workload = Workload::compile(&spec).unwrap();
            (0..10_000).map(|_| workload.pick()).collect::<Vec<_>>()
        };
        assert_eq!(picks(), picks());
        let count = |index| picks().iter().filter(|pick| **pick == Pick::Request(index)).count();
        assert!(count(0).abs_diff(8_000) < 150 && count(1) == 0);
    }

    #[test]
    fn templates_that_do_not_hold_water_are_refused_with_what_to_try() {
        let refused = |change: &dyn Fn(&mut RequestTemplate)| {
            let mut template = RequestTemplate::get("/items");
            change(&mut template);
            Workload::compile(&spec(vec![template])).unwrap_err().to_string()
        };
        assert!(refused(&|template| template.path = "/items/{id}".to_owned()).contains("add with.id"));
        assert!(refused(&|template| template.path = "/items/{id".to_owned()).contains("lone brace"));
        assert!(refused(&|template| template.path = "items".to_owned()).contains("start with /"));
        assert!(refused(&|template| template.path = "/a b".to_owned()).contains("percent-encoded"));
        assert!(refused(&|template| drop(template.with.insert("id".to_owned(), one("x")))).contains("used nowhere"));
        let header = |name: &str, value: &str| {
            refused(&|template| drop(template.headers.insert(name.to_owned(), value.to_owned())))
        };
        assert!(header("host", "x").contains("engine itself"));
        assert!(header("x y", "x").contains("no header name"));
        assert!(header("x", "a\r\nb").contains("control characters"));
    }

    #[test]
    fn checks_judge_status_and_body() {
        let checks = Checks { status: vec![200, 409], ..Checks::default() };
        assert!(checks.accept_status(409) && !checks.accept_status(201));
        assert!(Checks::default().accept_status(204) && !Checks::default().accept_status(302));
        let body = Checks {
            body_contains: Some("sku".to_owned()),
            json: BTreeMap::from([("/quantity".to_owned(), json!(3))]),
            ..Checks::default()
        };
        assert!(body.accept_body(br#"{"sku":"a","quantity":3}"#));
        assert!(!body.accept_body(br#"{"sku":"a","quantity":4}"#) && !body.accept_body(b"sku"));
    }
}
