//! Traffic: names, paces, requests, placeholders.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Linter;
use crate::scenario::Spanned;
use crate::scenario::diagnostic::{Code, Finding};
use crate::scenario::model::{Journey, Load, Open, Request};
use crate::scenario::suggest;

impl Linter<'_> {
    pub(super) fn loads(&mut self) {
        self.unique(self.scenario.load.iter().map(|load| &load.name), "load");
        for load in &self.scenario.load {
            self.pace(load);
            self.unique(load.requests().map(|request| &request.name), "request");
            self.unique(load.journey.iter().map(|journey| &journey.name), "journey");
            if load.request.is_empty() && load.journey.is_empty() {
                let message = format!("the load `{}` sends nothing", load.name);
                let finding = Finding::error(Code::MissingKey, load.name.span(), message);
                self.report(finding.help("add a [[load.request]] or [[load.journey]] table below it"));
            }
            for request in &load.request {
                self.request(request, &BTreeSet::new());
                for pointer in request.capture.values() {
                    self.error(Code::Contradiction, pointer, "only the steps of a journey can capture values");
                }
            }
            load.journey.iter().for_each(|journey| self.journey(journey));
        }
    }

    fn pace(&mut self, load: &Load) {
        let written = [
            load.open.as_ref().map(|open| ("open", open.span())),
            load.closed.as_ref().map(|closed| ("closed", closed.span())),
            load.stages.as_ref().map(|stages| ("stages", stages.span())),
        ];
        let written: Vec<_> = written.into_iter().flatten().collect();
        match written.as_slice() {
            [] => {
                let message = format!("the load `{}` has no pace", load.name);
                let help = "write `open = { rate = 200 }`, `closed = { users = 20 }` or `stages = [...]`";
                self.report(Finding::error(Code::OneOf, load.name.span(), message).help(help));
            }
            [_] => {}
            [(first, there), (second, here), ..] => {
                let message = format!("the load `{}` has both `{first}` and `{second}`", load.name);
                self.report(Finding::error(Code::OneOf, here.clone(), message).label(there.clone(), "first here"));
            }
        }
        if let Some(open) = &load.open {
            self.open(open);
        }
    }

    fn open(&mut self, open: &Spanned<Open>) {
        match (&open.rate, &open.stages) {
            (None, None) => self.error(Code::OneOf, open, "an open load needs `rate` or `stages`"),
            (Some(rate), Some(stages)) => {
                let finding = Finding::error(Code::OneOf, stages.span(), "an open load has either `rate` or `stages`");
                self.report(finding.label(rate.span(), "the other one"));
            }
            (None, Some(stages)) if !open.ramp.is_zero() => {
                self.error(Code::Contradiction, stages, "`ramp` goes with `rate`; the first stage is a ramp itself");
            }
            _ => {}
        }
    }

    fn journey(&mut self, journey: &Journey) {
        let mut captured = BTreeSet::new();
        for step in &journey.step {
            if let Some(weight) = &step.weight {
                self.error(Code::Contradiction, weight, "the steps of a journey run in order and have no weight");
            }
            self.request(step, &captured);
            for (name, pointer) in &step.capture {
                if !pointer.starts_with('/') {
                    let message = format!("`{pointer}` is no JSON pointer such as \"/reservation/id\"");
                    self.error(Code::InvalidValue, pointer, message);
                }
                captured.insert(name.as_str());
            }
        }
    }

    /// What is asked of an answer's body can be in one.
    fn body_checks(&mut self, request: &Request) {
        for (pointer, value) in &request.expect.json {
            if !pointer.starts_with('/') {
                let message = format!("`{pointer}` is no JSON pointer such as \"/items/0/sku\"");
                self.error(Code::InvalidValue, value, message);
            }
        }
        if let (Some(head), Some(asked)) = (&request.head, request.expect.of_the_body()) {
            let message = "an answer to HEAD has no body that could be checked";
            self.report(Finding::error(Code::Contradiction, asked, message).label(head.span(), "HEAD here"));
        }
    }

    fn request(&mut self, request: &Request, captured: &BTreeSet<&str>) {
        self.body_checks(request);
        match request.targets().as_slice() {
            [] => {
                let message = format!("the request `{}` goes nowhere", request.name);
                let finding = Finding::error(Code::OneOf, request.name.span(), message);
                self.report(finding.help("write `get = \"/path\"`, or post, put, patch, delete, head"));
            }
            [(_, path)] => self.placeholders(request, path, captured),
            [(first, there), (second, here), ..] => {
                let message = format!(
                    "the request `{}` has two methods: {} and {}",
                    request.name,
                    first.as_str(),
                    second.as_str()
                );
                self.report(Finding::error(Code::OneOf, here.span(), message).label(there.span(), "first here"));
            }
        }
        for generator in request.with.values() {
            let Some((seeds, seed)) = self.surroundings.seeds.as_ref().zip(generator.seed()) else { continue };
            if !seeds.contains(seed) {
                let help = suggest::help(seed, "seeds", seeds.iter().map(String::as_str));
                let message = format!("there is no seed `{seed}` in the stack");
                self.report(Finding::error(Code::UnknownSeed, generator.span(), message).help(help));
            }
        }
    }

    fn placeholders(&mut self, request: &Request, path: &Spanned<String>, captured: &BTreeSet<&str>) {
        for name in names_in(path) {
            if !request.with.contains_key(name) && !captured.contains(name) {
                let message = format!("nothing says what stands for `{{{name}}}`");
                let help = format!("write `with.{name} = {{ ... }}`, for example {{ range = [1, 100] }}");
                self.report(Finding::error(Code::Placeholder, path.span(), message).help(help));
            }
        }
        let mut used: BTreeSet<&str> = names_in(path).into_iter().collect();
        request.headers.values().for_each(|value| used.extend(names_in(value)));
        request.json.iter().for_each(|json| texts(json, &mut |text| used.extend(names_in(text))));
        for (name, generator) in request.with.iter().filter(|(name, _)| !used.contains(name.as_str())) {
            let message = format!("no `{{{name}}}` stands in the request `{}`", request.name);
            self.report(Finding::warning(Code::Placeholder, generator.span(), message));
        }
    }
}

/// The names between braces.
fn names_in(text: &str) -> Vec<&str> {
    let inner = text.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name));
    let plain = |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
    inner.filter(plain).collect()
}

/// Every text in a JSON value, keys included.
fn texts<'v>(value: &'v Value, visit: &mut impl FnMut(&'v str)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, visit)),
        Value::Object(object) => object.iter().for_each(|(key, value)| {
            visit(key);
            texts(value, visit);
        }),
        _ => {}
    }
}
