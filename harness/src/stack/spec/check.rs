//! What serde cannot see: names that must exist, placeholders that must have a value, dependencies that must end.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;

use super::{Component, Placeholder, Problem, ReadyCondition, Role, Spec, Template, did_you_mean};

/// Everything that is wrong with `spec`, in the order of the file.
pub(super) fn problems(spec: &Spec) -> Vec<Problem> {
    let mut check = Check { spec, found: Vec::new() };
    check.service();
    for (name, component) in &spec.components {
        check.component(name, component);
    }
    check.links();
    check.usage();
    check.cycles();
    check.found.sort_by(|a, b| a.at.cmp(&b.at));
    check.found
}

struct Check<'a> {
    spec: &'a Spec,
    found: Vec<Problem>,
}

/// Which words may stand in a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Words {
    Known,
    Any,
}

impl Check<'_> {
    fn report(&mut self, span: Range<usize>, message: String, help: Option<String>) {
        self.found.push(Problem { at: self.spec.location(span.start), message, help });
    }

    fn service(&mut self) {
        self.component_exists(&self.spec.service.component);
        self.text(None, &self.spec.service.base_url, Words::Known);
        if let Some(openapi) = &self.spec.service.openapi {
            self.text(None, openapi, Words::Known);
        }
    }

    fn component_exists(&mut self, name: &Spanned<String>) {
        self.known_component(name.get_ref(), name.span());
    }

    fn known_component(&mut self, name: &str, span: Range<usize>) -> bool {
        let known: Vec<&str> = self.spec.components.keys().map(String::as_str).collect();
        if known.contains(&name) {
            return true;
        }
        let help = did_you_mean(name, &known).or_else(|| Some(format!("there are {}", quoted(&known))));
        self.report(span, format!("there is no component `{name}`"), help);
        false
    }

    fn known_address(&mut self, component: &str, port: &str, span: Range<usize>) {
        if self.known_component(component, span.clone()) {
            self.known_port(component, port, span);
        }
    }

    fn known_port(&mut self, component: &str, port: &str, span: Range<usize>) {
        if self.spec.port(component, port).is_some() {
            return;
        }
        let known: Vec<&str> =
            self.spec.components.get(component).into_iter().flat_map(|c| c.ports.keys().map(String::as_str)).collect();
        let help = did_you_mean(port, &known).or_else(|| Some(format!("it has {}", quoted(&known))));
        self.report(span, format!("component `{component}` has no port `{port}`"), help);
    }

    fn component(&mut self, name: &str, component: &Component) {
        let everywhere = component.command.iter().chain(&component.args).chain(component.alternatives.iter().flatten());
        let texts = everywhere.chain(component.init.iter().flatten()).chain(component.env.values());
        let texts = texts.chain(component.image.iter().flat_map(|image| &image.command));
        for text in texts {
            self.text(Some(name), text, Words::Known);
        }
        for need in &component.needs {
            self.component_exists(need);
        }
        for ready in &component.ready {
            self.ready(name, ready);
        }
        for variant in component.variants.values() {
            for text in variant.env.values().chain(variant.command.iter().flatten()).chain(&variant.args) {
                self.text(Some(name), text, Words::Known);
            }
            for dropped in &variant.drops {
                self.component_exists(dropped);
            }
        }
        for switch in component.switches.values() {
            for call in [&switch.inject, &switch.undo].into_iter().chain(&switch.probe) {
                self.text(Some(name), &call.url, Words::Any);
            }
        }
        self.runnable(name, component);
        self.access(component);
        self.collect(component);
        self.config_exists(component);
    }

    fn runnable(&mut self, name: &str, component: &Component) {
        let commands = std::iter::once(&component.command).filter(|command| !command.is_empty());
        let runnable = commands.chain(&component.alternatives).next().is_some() || component.image.is_some();
        if !runnable {
            let message = format!("component `{name}` has neither a `command` nor an `image`");
            self.report(self.table(name), message, Some("say how it is run".to_owned()));
        }
        if component.alternatives.iter().any(Vec::is_empty) {
            self.report(self.table(name), format!("component `{name}` has an empty alternative"), None);
        }
        if let Some(port) = component.ports.iter().find(|(_, number)| **number == 0) {
            self.report(self.table(name), format!("port `{}` of component `{name}` is 0", port.0), None);
        }
        for (port, number) in &component.publish {
            if !component.ports.contains_key(port) {
                self.report(
                    self.table(name),
                    format!("component `{name}` publishes a port `{port}` that it has not"),
                    None,
                );
            } else if *number == 0 {
                self.report(self.table(name), format!("component `{name}` publishes `{port}` at port 0"), None);
            }
        }
        if component.replicas == 0 {
            self.report(self.table(name), format!("component `{name}` has no replicas"), None);
        }
    }

    fn config_exists(&mut self, component: &Component) {
        if let Some(config) = &component.config
            && !self.spec.folder.join(config.get_ref()).exists()
        {
            let message = format!("there is no `{}` in {}", config.get_ref(), self.spec.folder.display());
            self.report(config.span(), message, None);
        }
    }

    fn collect(&mut self, component: &Component) {
        let Some(labels) = &component.collect else { return };
        let name = |label: &String| {
            label.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        if labels.get_ref().is_empty() {
            let help = Some("write for example `collect = { service = \"shop\" }`".to_owned());
            self.report(labels.span(), "a log stream needs a label".to_owned(), help);
        } else if let Some(label) = labels.get_ref().keys().find(|label| !name(label)) {
            self.report(labels.span(), format!("`{label}` is no label's name"), None);
        } else if self.spec.with_role(Role::Loki).is_none() {
            let message = "there is no component with `role = \"loki\"` to push log lines to".to_owned();
            self.report(labels.span(), message, None);
        }
    }

    fn access(&mut self, component: &Component) {
        let Some(access) = &component.access else { return };
        let keys = access.get_ref();
        if keys.user.is_some() != keys.password_file.is_some() {
            self.report(access.span(), "`user` and `password-file` go together".to_owned(), None);
        }
        if keys.user.is_some() && keys.bearer_file.is_some() {
            let message = "`user` and `bearer-file` exclude each other".to_owned();
            self.report(access.span(), message, None);
        }
        for file in keys.ca.iter().chain(&keys.password_file).chain(&keys.bearer_file) {
            if !self.spec.folder.join(file).is_file() {
                let message = format!("there is no `{file}` in {}", self.spec.folder.display());
                self.report(access.span(), message, None);
            }
        }
    }

    /// Where the component's table begins.
    fn table(&self, name: &str) -> Range<usize> {
        let header = format!("[component.{name}]");
        let at = self.spec.text.find(&header).unwrap_or(0);
        at..at + header.len()
    }

    fn ready(&mut self, name: &str, ready: &Spanned<ReadyCondition>) {
        let condition = ready.get_ref();
        let given = [condition.http.is_some(), condition.tcp.is_some(), condition.log.is_some()];
        if given.iter().filter(|given| **given).count() != 1 {
            let message = "a readiness condition has exactly one of `http`, `tcp`, `log`".to_owned();
            self.report(ready.span(), message, None);
        }
        for text in condition.http.iter().chain(&condition.tcp) {
            self.text(Some(name), text, Words::Known);
        }
        if let Some(Err(error)) = condition.log.as_deref().map(regex::Regex::new) {
            self.report(ready.span(), format!("`log` is not a regular expression: {error}"), None);
        }
    }

    fn text(&mut self, owner: Option<&str>, text: &Template, words: Words) {
        for hole in text.placeholders() {
            match hole {
                Placeholder::Address { component, port } => self.known_address(component, port, text.span()),
                Placeholder::Listen(port) | Placeholder::ListenPort(port) | Placeholder::Own(port) => {
                    self.own_port(owner, port, hole, text.span());
                }
                Placeholder::Config if owner.is_some_and(|owner| self.spec.components[owner].config.is_none()) => {
                    let help = Some("add `config = \"<file or folder>\"` to the component".to_owned());
                    self.report(text.span(), "`{config}` is used, but the component has no `config`".to_owned(), help);
                }
                Placeholder::Value(word) if words == Words::Known => self.unknown_word(word, text.span()),
                _ => {}
            }
        }
    }

    fn own_port(&mut self, owner: Option<&str>, port: &str, hole: &Placeholder, span: Range<usize>) {
        match owner {
            Some(owner) => self.known_port(owner, port, span),
            None => self.report(span, format!("`{hole}` has no component here"), None),
        }
    }

    fn unknown_word(&mut self, word: &str, span: Range<usize>) {
        const KNOWN: [&str; 5] = ["data", "config", "stack", "harness", "listen-host"];
        let help = did_you_mean(word, &KNOWN)
            .or_else(|| Some("a literal brace is written `{{`".to_owned()))
            .map(|help| help.replace("mean `", "mean `{").replace("`?", "}`?"));
        self.report(span, format!("`{{{word}}}` stands for nothing"), help);
    }

    fn links(&mut self) {
        for link in &self.spec.links {
            self.component_exists(&link.from);
            match link.to.get_ref().split_once(':') {
                Some((component, port)) => self.known_address(component, port, link.to.span()),
                None => {
                    let help = Some("write `component:port`".to_owned());
                    self.report(link.to.span(), format!("`{}` names no port", link.to.get_ref()), help);
                }
            }
        }
    }

    fn usage(&mut self) {
        let Some(target) = self.spec.usage.as_ref().map(|usage| &usage.target) else { return };
        let (host, port) = target.get_ref().split_once(':').unwrap_or((target.get_ref(), ""));
        if self.spec.components.contains_key(host) {
            let message = format!("`{host}` is a component; the harness exports under a name of its own");
            self.report(target.span(), message, Some("write for example `cadvisor:8080`".to_owned()));
        } else if host.is_empty() || port.parse::<u16>().is_err() {
            let help = Some("write `host:port` as prometheus.yml does".to_owned());
            self.report(target.span(), format!("`{}` is no target", target.get_ref()), help);
        }
    }

    fn cycles(&mut self) {
        for (name, component) in &self.spec.components {
            for need in &component.needs {
                if self.reaches(need.get_ref(), name, &mut BTreeSet::new()) {
                    let message = format!("component `{name}` needs `{}`, which needs `{name}`", need.get_ref());
                    self.report(need.span(), message, None);
                }
            }
        }
    }

    fn reaches(&self, from: &str, to: &str, seen: &mut BTreeSet<String>) -> bool {
        from == to
            || (seen.insert(from.to_owned())
                && self
                    .spec
                    .components
                    .get(from)
                    .is_some_and(|c| c.needs.iter().any(|need| self.reaches(need.get_ref(), to, seen))))
    }
}

fn quoted(names: &[&str]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
